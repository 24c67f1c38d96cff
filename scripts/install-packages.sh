#!/usr/bin/env bash
# Installs what is needed from the distribution's own packages (Debian 12, Ubuntu 24.04); does nothing
# where all of it is there.
#   scripts/install-packages.sh          for the build, the tests and the tools
#   scripts/install-packages.sh build    for the build and the quickstart alone: a fifth of it
set -euo pipefail

packages=(
    g++ cmake ninja-build pkg-config python3 tzdata
    libavro-dev libcmocka-dev libcsv-dev libcurl4-openssl-dev libjemalloc-dev libmicrohttpd-dev
    libopenblas-pthread-dev librdkafka-dev librocksdb-dev
    libsimdjson-dev libsodium-dev libutf8proc-dev libxxhash-dev libyaml-dev zlib1g-dev
)
case ${1:-all} in
build) ;;
all)
    # clang: fuzzing, lint and format. git: the checks look at the files that are in it. openssl, the
    # certificates and a Java and Maven of any origin: tests against real brokers and registries.
    # libxgboost0: what trains boosted trees, opened at run time. kcat: feeds topics (scripts/feed.sh). The
    # last three make the models that are brought along in a test.
    packages+=(clang clang-format clang-tidy libclang-rt-dev git openssl ca-certificates libxgboost0 kcat
        python3-xgboost python3-sklearn python3-torch)
    command -v javac >/dev/null || packages+=(default-jdk-headless)
    command -v mvn >/dev/null || packages+=(maven)
    ;;
*)
    sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
    exit 2
    ;;
esac

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

# No question is asked, and other programs that use the terminal's package manager are waited for.
apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "these packages are missing and neither root nor sudo is at hand; as root:" >&2
        echo "  apt-get update && apt-get install ${missing[*]}" >&2
        exit 1
    fi
    apt=(sudo "${apt[@]}")
fi
echo "installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } </dev/null >"$log" 2>&1; then
    tail -20 "$log" >&2
    echo "the packages could not be installed" >&2
    exit 1
fi
