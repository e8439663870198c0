#!/usr/bin/env bash
# SQLite 3.40.1 (PyPI apsw 3.40.1.0; Debian 12 ships the same version) beside 3.51.1 (PyPI pysqlite3-binary 0.5.4.post2): substr() with large numbers.
#
# SQLite's integers have 64 bits, and the arguments of substr() look as if they had too. In 3.40.1 both are cut to 32 bits without a word: a length of 2^32 + 2
# gives two characters, one of 2^32 gives none, a start of 2^32 + 1 begins at the first character, and the largest 64-bit length, a natural way to say "to the
# end", is -1: the one character BEFORE the start. 3.51.1 takes 64 bits. "No length" says "to the end" in every version. Met when a window of a text was cut with an open end.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.40.1.0 pysqlite3-binary==0.5.4.post2
"$folder/venv/bin/python" - <<'PYTHON'
import apsw
import pysqlite3

QUERY = """SELECT length(substr('abcdef', 1, 4294967298)), length(substr('abcdef', 1, 4294967296)), substr('abcdef', 4294967297, 2),
    substr('abcdef', 3, 9223372036854775807), substr('abcdef', 3), substr('abcdef', 3, 2147483647)"""
old = next(apsw.Connection(":memory:").cursor().execute(QUERY))
new = pysqlite3.connect(":memory:").execute(QUERY).fetchone()
print(apsw.sqlitelibversion(), old)
print(pysqlite3.sqlite_version, new)
assert old == (2, 0, "ab", "b", "cdef", "cdef"), old
assert new == (6, 6, "", "cdef", "cdef", "cdef"), new
PYTHON
