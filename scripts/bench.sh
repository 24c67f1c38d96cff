#!/usr/bin/env bash
# Measures the whole pipeline on generated events and writes pipeline/benchmarks.md with a plot beside it.
#   scripts/bench.sh [quick]      quick: a tenth of the events, and nothing is written
#   scripts/bench.sh kafka ...    on Kafka instead, see scripts/bench_kafka.py --help
# Takes about half an hour and 15 GB below $NUDGE_BENCH (default: a temporary folder). Nothing else should run.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = kafka ]; then
    shift
    cmake --preset release >/dev/null
    cmake --build build/release >/dev/null
    exec scripts/bench_kafka.py "$@"
fi
nudge=build/release/nudge
work=${NUDGE_BENCH:-$(mktemp -d)}
mkdir -p "$work"
events=10000000
[ "${1:-}" = quick ] && events=1000000

cmake --preset release >/dev/null
cmake --build build/release >/dev/null

generate() { # NAME OPTIONS...
    local name=$1
    shift
    [ -d "$work/$name" ] || "$nudge" generate --output "$work/$name" --events $events "$@" >/dev/null
}
config_of() { # USERS: five million are held under 512 MiB, fewer have room
    if [ "$1" -ge 5000000 ]; then echo pipeline/examples/bench_512.yaml; else echo pipeline/examples/bench.yaml; fi
}
measure() { # NAME CONFIG OPTIONS...
    local name=$1 config=$2
    shift 2
    rm -rf "$work/out"
    "$nudge" run "$config" --output "$work/out" --summary "$work/$name.json" "$@" >"$work/$name.txt" 2>&1 ||
        { cat "$work/$name.txt" >&2; exit 1; }
    grep -E '^[0-9]+ events in' "$work/$name.txt" | sed "s/^/$name: /"
}

build/release/reference_bench | tee "$work/reference.txt"
generate zipf-200k --users 200000
measure zipf-200k pipeline/examples/bench.yaml --input "$work/zipf-200k/events.avro"
generate zipf-200k-jsonl --users 200000 --format jsonl
measure zipf-200k-jsonl pipeline/examples/bench_jsonl.yaml --input "$work/zipf-200k-jsonl/events.jsonl"
rm -rf "$work/zipf-200k-jsonl"
generate zipf-200k-2 --users 200000 --partitions 2
measure two-partitions-1 pipeline/examples/bench.yaml --workers 1 --input "$work"/zipf-200k-2/events-*.avro
measure two-partitions-2 pipeline/examples/bench.yaml --workers 2 --input "$work"/zipf-200k-2/events-*.avro
rm -rf "$work/zipf-200k-2"
for users in 10000 50000 1000000 5000000; do
    generate "zipf-$users" --users $users
    measure "zipf-$users" "$(config_of "$users")" --input "$work/zipf-$users/events.avro"
    rm -rf "$work/zipf-$users"
done
for users in 200000 5000000; do
    generate "uniform-$users" --users $users --zipf 0
    measure "uniform-$users" "$(config_of "$users")" --input "$work/uniform-$users/events.avro"
    rm -rf "$work/uniform-$users"
done
if [ "${1:-}" != quick ]; then
    scripts/bench_report.py "$work" pipeline/benchmarks.md pipeline/benchmarks.svg
fi
