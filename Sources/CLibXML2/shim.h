// Debian's libxml2 was built with ICU and says so in its headers, which then pull in ICU's own; those clash with the ICU
// inside Foundation. Nothing that we use depends on it.
#include <libxml/xmlversion.h>
#undef LIBXML_ICU_ENABLED

#include <libxml/HTMLparser.h>
#include <libxml/HTMLtree.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlreader.h>
#include <libxml/xpath.h>
