#!/usr/bin/env bash
# Swift 6.3.1 (Linux, x86-64), upcoming feature MemberImportVisibility: the members of C's timespec belong to Glibc or to SwiftOverlayShims, a module of Swift's own
# runtime that nobody imports, by the order of the files on the command line.
#
# One file reads tv_sec of a timespec and imports Glibc. Another, with no import, gives Duration one more initializer. Compiled as one module, clock.swift first, all
# is well. With the other file first, the same sources are refused: 'tv_sec' "is not available due to missing import of defining module 'SwiftOverlayShims'", and so is
# timespec's initializer. An incremental build may pass where a whole-module one fails, so a package can break by a new file far from the clock.
# What helps: leave the feature off in modules that touch timespec, or read clocks through ContinuousClock alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
version=$(swiftc --version 2>&1 | grep -o 'Swift version [0-9.]*' | head -n 1)
echo "$version"
[[ $version == "Swift version 6.3.1" ]] || { echo "seen with 6.3.1; look again"; exit 1; }
cat > clock.swift <<'SWIFT'
import Glibc

public func secondsSinceStart() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec
}
SWIFT
cat > limit.swift <<'SWIFT'
extension Duration {
    public init(atMostTen number: Double) { self = number > 0 ? .milliseconds(min(number, 10)) : .zero }
}
SWIFT
compile() { swiftc -typecheck -wmo -swift-version 6 -enable-upcoming-feature MemberImportVisibility -module-name Clock "$@" 2>&1; }
compile clock.swift limit.swift && echo "clock.swift limit.swift: compiles"
if output=$(compile limit.swift clock.swift); then
    echo "limit.swift clock.swift: compiles too; the behaviour has changed"
    exit 1
fi
grep "error:" <<< "$output" | sed 's/^/limit.swift clock.swift: /'
grep -q "missing import of defining module 'SwiftOverlayShims'" <<< "$output"
# Without the feature both orders compile.
swiftc -typecheck -wmo -swift-version 6 -module-name Clock limit.swift clock.swift && echo "without the feature: compiles"
