// The files of the folder `web`, embedded by the compiler (C23, 6.10.4): the binary needs no files beside it.
#include "CWebAssets.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char index_html[] = {
#embed "web/index.html"
};
static const unsigned char app_js[] = {
#embed "web/app.js"
};
static const unsigned char app_css[] = {
#embed "web/app.css"
};
static const unsigned char icon_svg[] = {
#embed "web/icon.svg"
};

outrider_web_asset outrider_web_index_html(void) { return (outrider_web_asset){index_html, sizeof index_html}; }
outrider_web_asset outrider_web_app_js(void) { return (outrider_web_asset){app_js, sizeof app_js}; }
outrider_web_asset outrider_web_app_css(void) { return (outrider_web_asset){app_css, sizeof app_css}; }
outrider_web_asset outrider_web_icon_svg(void) { return (outrider_web_asset){icon_svg, sizeof icon_svg}; }
