#!/usr/bin/env bash
# Installs what the build, the tests and the tools need, from the distribution's own packages (Debian 12,
# Ubuntu 24.04). Does nothing where all of them are there.
set -euo pipefail

packages=(
    build-essential clang clang-format clang-tidy libclang-rt-dev cmake ninja-build pkg-config python3
    libavro-dev libcmocka-dev libcsv-dev libcurl4-openssl-dev libjemalloc-dev libmicrohttpd-dev
    libopenblas-pthread-dev librdkafka-dev librocksdb-dev
    libsimdjson-dev libsodium-dev libutf8proc-dev libxxhash-dev libyaml-dev openssl zlib1g-dev tzdata
)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
echo "installing: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
