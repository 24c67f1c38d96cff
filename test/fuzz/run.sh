#!/usr/bin/env bash
# Runs every fuzz target over its committed corpus, then for some seconds with new inputs.
#   run.sh BUILD_DIRECTORY SECONDS
set -euo pipefail
build=$1
seconds=$2
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
for target in "$build"/*_fuzz; do
    name=$(basename "$target" _fuzz)
    corpus=$here/corpus/$name
    [ -d "$corpus" ] || { echo "fuzz: $name has no corpus in $corpus" >&2; exit 1; }
    mkdir -p "$work/$name"
    if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
        -artifact_prefix="$work/" "$work/$name" "$corpus" >"$work/$name.log" 2>&1; then
        tail -40 "$work/$name.log" >&2
        echo "fuzz: $name failed" >&2
        exit 1
    fi
    count=$((count + 1))
    printf '%-24s %s\n' "$name" "$(grep -E '^#[0-9]+' "$work/$name.log" | tail -1 | cut -c1-60)"
done
echo "$count passed, 0 failed"
