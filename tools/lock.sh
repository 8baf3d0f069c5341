#!/bin/sh
# Regenerates requirements.lock (everything FlexCore runs and is checked with) and tools/boot.lock (uv itself).
#
# Both are hashed and name no host. Pins stay as they are unless asked: tools/lock.sh --upgrade [-P NAME].
set -eu
cd "$(dirname -- "$0")/.."
uv=.boot/bin/uv
[ -x "$uv" ] || uv=$(command -v uv) || { echo "tools/lock.sh: run ./flexcore --help once, it installs uv" >&2; exit 1; }

compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header "$@"
}

compile pyproject.toml --group dev --output-file requirements.lock "$@"
printf 'uv==0.13.9\n' | compile - --no-annotate --output-file tools/boot.lock
