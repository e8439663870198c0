#!/usr/bin/env bash
# Installs what the benchmarks compare Outrider with: the peers, from PyPI, in a virtual environment of their own, linked from .deps/bench-venv.
# A second run looks, finds everything and takes well under a second. Nothing that Outrider needs to build, run or pass its tests is in here.
#
#   scripts/bench-setup.sh          installs what is missing
#   scripts/bench-setup.sh check    says what is there; installs nothing; status 1 when something that is required is missing
#
# Environment:
#   OUTRIDER_CACHE   as for scripts/setup.sh (default ${XDG_CACHE_HOME:-$HOME/.cache}/outrider)
#   PYTHON           the Python to make the environment with (default python3)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${OUTRIDER_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or OUTRIDER_CACHE}/.cache}/outrider}
[[ $cache == /* ]] || cache=$PWD/$cache
venv=$cache/bench-venv
log=$cache/bench-venv.log

# The harness itself needs the required ones; a peer that has no wheel for this machine is left out of the tables, and said to be.
required=(numpy==2.4.6)
optional=(
    faiss-cpu==1.15.1 hnswlib==0.8.0 usearch==2.26.6 scann==1.4.2                           # vectors
    tantivy==0.27.0                                                                          # text
    onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1 tokenizers==0.23.3                   # embedding
    fastapi==0.165.0 uvicorn==0.54.0 uvloop==0.23.0 httptools==0.9.0 orjson==3.13.0          # a service in Python
    bm25s==0.3.16 pystemmer==3.1.0 numba==0.68.1                                             # its words
)
from_source=hnswlib # PyPI has no wheel of it: compiled here with g++ for this very CPU (-march=native, as its authors do), which needs python3-dev.

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
fail() { printf 'bench-setup: %s\n' "$*" >&2; exit 1; }

# Sets `missing` to those of the given requirements that are not installed in the version wanted.
find_missing() {
    local have requirement name
    have=
    if [[ -x $venv/bin/python ]]; then
        # The names of the .dist-info folders say it all, without the half second that pip takes to start.
        have=" $(cd "$venv"/lib/python3*/site-packages 2>/dev/null && printf '%s\n' *.dist-info | sed 's/\.dist-info$//; s/-\([^-]*\)$/==\1/' | tr '_A-Z\n' '-a-z ')"
    fi
    missing=()
    for requirement; do
        name=${requirement//_/-}
        [[ $have == *" $name "* ]] || missing+=("$requirement")
    done
}

# install REQUIREMENT: one at a time, so that a peer without a wheel does not take the others with it.
install() {
    local started=$SECONDS
    "$venv/bin/python" -m pip --disable-pip-version-check install --no-cache-dir --only-binary :all: --no-binary "$from_source" \
        --constraint "$cache/bench-constraints.txt" "$1" \
        >>"$log" 2>&1 9>&- </dev/null || return 1
    note "$1 ($((SECONDS - started)) s)"
}

report() {
    find_missing "${required[@]}" "${optional[@]}"
    if ((${#missing[@]} == 0)); then
        say "benchmark peers: all $((${#required[@]} + ${#optional[@]})) present ($venv)"
        return 0
    fi
    say "benchmark peers: missing in $venv: ${missing[*]}"
    return 1
}

link() {
    [[ $(readlink "$root/.deps/bench-venv" || true) == "$venv" ]] && return
    mkdir -p "$root/.deps"
    ln -sfn "$venv" "$root/.deps/.bench-venv.$$"
    mv -fT "$root/.deps/.bench-venv.$$" "$root/.deps/bench-venv"
    note ".deps/bench-venv -> $venv"
}

setup() {
    local requirement left=()
    mkdir -p "$cache"
    if [[ -x $venv/bin/python && -e $venv/.unavailable ]]; then
        # What had no wheel last time is tried again only when its pin changed.
        while read -r requirement; do left+=("$requirement"); done <"$venv/.unavailable"
    fi
    find_missing "${required[@]}" "${optional[@]}"
    local wanted=()
    for requirement in ${missing[@]+"${missing[@]}"}; do
        [[ " ${left[*]-} " == *" $requirement "* ]] || wanted+=("$requirement")
    done
    if ((${#wanted[@]} == 0)); then
        say "benchmark peers: $((${#required[@]} + ${#optional[@]} - ${#missing[@]})) present ($venv)"
        ((${#missing[@]} == 0)) || note "not available for this machine: ${missing[*]} (remove $venv/.unavailable to try again)"
        link
        return
    fi
    exec 9>"$cache/.lock-bench"
    if ! flock --nonblock 9; then
        note "waiting for another set-up that holds $cache/.lock-bench"
        flock 9
    fi
    : >"$log"
    if ! "$venv/bin/python" -c '' 2>/dev/null; then
        say "benchmark peers: making $venv"
        "${PYTHON:-python3}" -m venv --clear "$venv" >>"$log" 2>&1 9>&- || fail "python3 -m venv failed; install python3-venv; the log is $log"
    fi
    printf '%s\n' "${required[@]}" "${optional[@]}" >"$cache/bench-constraints.txt"
    say "benchmark peers: installing ${#wanted[@]} into $venv (log: $log)"
    local failed=()
    for requirement in "${wanted[@]}"; do
        install "$requirement" && continue
        [[ " ${required[*]} " == *" $requirement "* ]] && fail "$requirement could not be installed; the log is $log"
        failed+=("$requirement")
        note "$requirement: NOT available here, its rows will be left out: $(grep -E '^ERROR' "$log" | tail -n 1 | cut -c 1-140)"
    done
    # Only a refusal of the package index is remembered; without a network nothing is.
    if ((${#failed[@]} > 0)) && ! grep -qE 'Temporary failure|NewConnectionError|ConnectTimeout' "$log"; then
        printf '%s\n' ${left[@]+"${left[@]}"} "${failed[@]}" >"$venv/.unavailable"
    fi
    exec 9>&-
    link
    say "benchmark peers: ready"
}

case ${1:-setup} in
    setup) setup ;;
    check) report ;;
    *) fail "unknown step '$1': use no argument, or check" ;;
esac
