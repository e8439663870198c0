#ifndef OUTRIDER_WEB_ASSETS_H
#define OUTRIDER_WEB_ASSETS_H

#include <stddef.h>

/// A file of the web user interface, as it was when the binary was built. The bytes live as long as the process.
typedef struct {
    const unsigned char *bytes;
    size_t size;
} outrider_web_asset;

outrider_web_asset outrider_web_index_html(void);
outrider_web_asset outrider_web_app_js(void);
outrider_web_asset outrider_web_app_css(void);
outrider_web_asset outrider_web_icon_svg(void);

#endif
