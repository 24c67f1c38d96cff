#!/usr/bin/env bash
# Runs every fuzz target over its committed corpus, then for some seconds with new inputs; as many at a
# time as there are cores, since a target uses one.
#   run.sh BUILD_DIRECTORY SECONDS
set -euo pipefail
build=$1
export fuzz_seconds=$2
fuzz_here=$(dirname "$0")
fuzz_work=$(mktemp -d)
export fuzz_here fuzz_work
trap 'rm -rf "$fuzz_work"' EXIT

fuzz_one() {
    local target=$1 name corpus
    name=$(basename "$target" _fuzz)
    corpus=$fuzz_here/corpus/$name
    [ -d "$corpus" ] || { echo "fuzz: $name has no corpus in $corpus" >&2; return 1; }
    mkdir -p "$fuzz_work/$name"
    if ! "$target" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
        -artifact_prefix="$fuzz_work/" "$fuzz_work/$name" "$corpus" >"$fuzz_work/$name.log" 2>&1; then
        tail -40 "$fuzz_work/$name.log" >&2
        echo "fuzz: $name failed" >&2
        return 1
    fi
    printf '%-24s %s\n' "$name" "$(grep -E '^#[0-9]+' "$fuzz_work/$name.log" | tail -1 | cut -c1-60)"
}
export -f fuzz_one

targets=("$build"/*_fuzz)
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz_one {}'
echo "${#targets[@]} passed, 0 failed"
