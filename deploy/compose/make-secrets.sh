#!/bin/sh
# Makes the passwords of docker-compose.kafka.yml in .secrets of the clone; what is there stays.
#
# The files can be read by everybody, as each container has another account; the folder is what keeps others out.
set -eu
cd "$(dirname -- "$0")/../.."
mkdir -p .secrets
chmod 700 .secrets
cd .secrets
umask 022

make() {
    [ -s "$1" ] || { printf '%s\n' "$2" >"$1.part" && mv "$1.part" "$1"; }
}

password() {
    head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

for name in admin flexcore flexcore_data; do
    make "${name}_password" "$(password)"
done
make database_url "postgresql://flexcore:$(cat flexcore_password)@postgres:5432/flexcore"
make data_url "postgresql://flexcore_data:$(cat flexcore_data_password)@postgres:5432/flexcore_data"
