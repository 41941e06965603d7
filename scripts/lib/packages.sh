# shellcheck shell=bash disable=SC2034
# packages.sh - installs what Debian 12 has and this machine lacks.

packages_build=(gcc g++ libc6-dev cmake ninja-build pkg-config curl ca-certificates
    libcurl4-openssl-dev libjansson-dev libjwt-dev liburing-dev libmsgpack-dev libnats-dev libre2-dev
    libsodium-dev libsqlite3-dev libssl-dev patch xz-utils zlib1g-dev)
packages_test=(chromium chromium-driver clang clang-format clang-tidy libclang-rt-14-dev
    libcmocka-dev nats-server openssl
    python3 python3-cryptography python3-prometheus-client python3-jsonschema python3-pytest
    python3-websockets python3-msgpack python3-requests python3-selenium)

# The validators of tests/support/spec-validators; a Node.js from elsewhere brings its own npm.
if ! command -v npm >/dev/null; then
    packages_test+=(nodejs npm)
fi

# install_packages NAME...: says which are missing, then installs those, through sudo where
# this is not root. Nothing happens when none is.
install_packages() {
    local name missing=()
    for name in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
            missing+=("$name")
        fi
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    echo "installing ${#missing[@]} packages: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "these packages need root, and there is no sudo: install them first" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}"
}
