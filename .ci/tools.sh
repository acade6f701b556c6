# shellcheck shell=bash
# For the programs here, to be sourced in the repository's root: where things are built, and how missing tools are installed by
# name.

target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
tools="$target/ci" # apart from this machine's own
python="$tools/venv/bin/python"
mkdir -p "$tools"

# Installs the Debian packages of the commands that are missing: command:package ...
need() {
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
need_python() {
    need python3:python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || need ensurepip:python3-venv
    [ -x "$python" ] || python3 -m venv "$tools/venv"
    "$python" -m pip install --quiet --disable-pip-version-check "$@"
}
