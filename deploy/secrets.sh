#!/bin/sh
# Makes the secrets that compose.yaml mounts, each once: what is there is kept. A lost master_key cannot be made again.
# The files are readable by the users inside the containers; the folder is closed to the others of this machine.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
cd secrets

make_once() { # name, value
    if [ -s "$1" ]; then return; fi
    rm -f "$1.new"
    printf '%s\n' "$2" >"$1.new"
    chmod 444 "$1.new"
    mv "$1.new" "$1"
}
password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in postgres_password owner_password service_password; do make_once "$name" "$(password)"; done
make_once master_key "$(head -c 32 /dev/urandom | base64)"
make_once migrate_url "postgresql://tallybook_owner:$(cat owner_password)@db/tallybook"
make_once database_url "postgresql://tallybook_service:$(cat service_password)@db/tallybook"
