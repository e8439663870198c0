#!/usr/bin/env bash
# cmark-gfm 0.29.0.gfm.6 (Debian libcmark-gfm0.29.0.gfm.6 and -extensions, -6): footnotes are nodes without a name.
#
# Parsed with CMARK_OPT_FOOTNOTES, the tree holds a reference where the text has its mark and a definition at the end. The node
# types are there (0xc00b inline, 0x800b block), cmark_node_get_type_string() answers "<unknown>" for both. cmark_node_get_literal() gives the
# reference's number as a renderer counts it, not the label that the author wrote, and nothing for the definition. A walker that decides by name, as the
# extensions' types need it to (they are given out at run time), meets one name for two things: compare cmark_node_get_type() with the constants.
# A reference without a definition falls back to plain text.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq libcmark-gfm0.29.0.gfm.6=0.29.0.gfm.6-6 libcmark-gfm-extensions0.29.0.gfm.6=0.29.0.gfm.6-6 2>"$folder/apt.log" || { cat "$folder/apt.log"; exit 1; }
for package in ./*.deb; do dpkg -x "$package" root; done
library=$(find root -name 'libcmark-gfm.so.0.29.0.gfm.6')
python3 - "$library" <<'PYTHON'
import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
for name in ("cmark_parse_document", "cmark_node_first_child", "cmark_node_next"):
    getattr(library, name).restype = ctypes.c_void_p
for name in ("cmark_node_get_type_string", "cmark_node_get_literal", "cmark_version_string"):
    getattr(library, name).restype = ctypes.c_char_p
print("cmark-gfm", library.cmark_version_string().decode())
FOOTNOTES = 1 << 13
text = "Beta[^why] and alpha[^lost].\n\n[^why]: Because.\n".encode()
seen = []


def walk(node, depth):
    while node:
        handle = ctypes.c_void_p(node)
        literal = library.cmark_node_get_literal(handle)
        row = (library.cmark_node_get_type_string(handle).decode(), library.cmark_node_get_type(handle), literal.decode() if literal else None)
        seen.append(row)
        print("  " * depth + f"{row[0]} {row[1]:#06x} {row[2]!r}")
        walk(library.cmark_node_first_child(handle), depth + 1)
        node = library.cmark_node_next(handle)


walk(library.cmark_parse_document(text, len(text), FOOTNOTES), 0)
unnamed = [row for row in seen if row[0] == "<unknown>"]
assert [row[1] for row in unnamed] == [0xC00B, 0x800B], unnamed
assert [row[2] for row in unnamed] == ["1", None], unnamed
assert "".join(row[2] or "" for row in seen if row[0] == "text").find("[^lost]") >= 0
print("as described")
PYTHON
