#!/bin/sh
# Regenerates the lock of each peer's environment, hashed and without a host: benchmarks/peers/lock.sh [--upgrade].
set -eu
cd "$(dirname -- "$0")"
uv=../../.boot/bin/uv
[ -x "$uv" ] || uv=$(command -v uv) || { echo "lock.sh: run ./flexcore --help once, it installs uv" >&2; exit 1; }

for wanted in */requirements.in; do
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header "$wanted" --output-file "${wanted%.in}.lock" "$@"
done
