#!/usr/bin/env bash
# glibc 2.36 (Debian 12): iconv() from a one-byte charset may keep the last letter to itself.
#
# Windows-1255 (Hebrew) and Windows-1258 (Vietnamese) write a letter and its point or tone as two bytes where Unicode has one character for
# both. The converter joins them, so it holds back each letter, final forms too, until it knows that none follows: all input is consumed, the return value is 0,
# nothing hints that a character is missing, and one more call without input brings it out. The tables without composition
# (1252, 1253, 1256, ISO 8859-8) and even TCVN, whose letters are composed already, hold nothing back. Python's own cp1255 never composes: its text differs
# from iconv's by normalisation: two characters where iconv has one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
version=$(apt-cache policy libc6 | awk '/Candidate:/ { print $2 }')
[[ $version == 2.36-* ]] || { echo "libc6 $version is not Debian 12's"; exit 1; }
apt-get download -qq "libc6=$version" 2>"$folder/apt.log" || { cat "$folder/apt.log"; exit 1; }
dpkg -x ./*.deb root
modules=$(dirname "$(find root -path '*gconv/CP1255.so' -o -path '*gconv/ISO8859-8.so' | head -1)")
GCONV_PATH=$PWD/$modules python3 - <<'PYTHON'
import ctypes

libc = ctypes.CDLL("libc.so.6")
libc.gnu_get_libc_version.restype = ctypes.c_char_p
libc.iconv_open.restype = ctypes.c_void_p
libc.iconv.restype = ctypes.c_size_t
print("glibc", libc.gnu_get_libc_version().decode())
assert libc.gnu_get_libc_version() == b"2.36"


def convert(charset, data):
    """What the call with the input writes, and what a call without input adds."""
    handle = ctypes.c_void_p(libc.iconv_open(b"UTF-8", charset.encode()))
    source, target = ctypes.create_string_buffer(data, len(data)), ctypes.create_string_buffer(64)
    rest, room = ctypes.c_size_t(len(data)), ctypes.c_size_t(64)
    reader, writer = ctypes.c_void_p(ctypes.addressof(source)), ctypes.c_void_p(ctypes.addressof(target))
    result = libc.iconv(handle, ctypes.byref(reader), ctypes.byref(rest), ctypes.byref(writer), ctypes.byref(room))
    first = 64 - room.value
    libc.iconv(handle, None, None, ctypes.byref(writer), ctypes.byref(room))
    libc.iconv_close(handle)
    assert (result, rest.value) == (0, 0)
    return target.raw[:first].decode(), target.raw[first : 64 - room.value].decode()


wrong = []
for charset, data, expected in (
    ("WINDOWS-1255", b"\xf9\xec\xe5\xed", ("\u05e9\u05dc\u05d5", "\u05dd")),  # Also a final letter, which takes no point.
    ("WINDOWS-1255", b"\xe7\xe5\xf9", ("\u05d7\u05d5", "\u05e9")),
    ("WINDOWS-1255", b"\xe7\xe5\xf9\xd1", ("\u05d7\u05d5", "\ufb2a")),
    ("WINDOWS-1258", b"ba", ("b", "a")),
    ("WINDOWS-1258", b"ba\xec", ("b\u00e1", "")),
    ("WINDOWS-1252", b"b\xe5", ("b\u00e5", "")),
    ("WINDOWS-1253", b"b\xe5", ("b\u03b5", "")),
    ("WINDOWS-1256", b"b\xe5", ("b\u0647", "")),
    ("ISO-8859-8", b"\xe7\xe5\xf9", ("\u05d7\u05d5\u05e9", "")),
    ("TCVN", b"b\xe5", ("b\u1ed3", "")),
):
    found = convert(charset, data)
    print(f"{charset:13} {data.hex(' '):12} -> {ascii(found[0])} then {ascii(found[1])}")
    wrong += [] if found == expected else [(charset, data, found, expected)]
assert not wrong, wrong
assert b"\xf9\xd1".decode("cp1255") == "\u05e9\u05c1"
print("as described")
PYTHON
