#!/usr/bin/env bash
# Measures the whole pipeline on generated events and writes pipeline/benchmarks.md with a plot beside it.
#   scripts/bench.sh [quick]      quick: a tenth of the events, and nothing is written
#   scripts/bench.sh kafka ...    on Kafka instead, see scripts/bench_kafka.py --help
# Takes about half an hour and 20 GB below $NUDGE_BENCH (default: a temporary folder). Nothing else should run.
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
# Packs of 200 trees of depth 6 and of a GRU of 32, and bench.yaml with them; how good they are does not matter here.
make_models() {
    local examples=$PWD/pipeline/examples example
    [ -d "$work/history" ] || "$nudge" generate --output "$work/history" --events 150000 --users 20000 --days 2 \
        --seed 11 >/dev/null
    for example in shop_train_fraud_trees shop_train_purchase_gru; do
        sed -e "s|shop_history.yaml|$examples/shop_history.yaml|" -e 's/epochs: 12/epochs: 2/' \
            -e 's/rounds: 300, depth: 5, learning_rate: 0.1, patience: 30/rounds: 200, depth: 6, learning_rate: 0.02, patience: 200/' \
            "$examples/$example.yaml" >"$work/$example.yaml"
        [ -d "$work/$example" ] || "$nudge" train "$work/$example.yaml" --input "$work/history/events.avro" \
            --truth "$work/history/truth.jsonl" --output "$work/$example" >/dev/null
    done
    grep -q 'trees: 200' "$work/shop_train_fraud_trees/manifest.yaml"
    sed -e "s|../../models/packs/shop_purchase|$work/shop_train_purchase_gru|" \
        -e "s|../../models/packs/shop_fraud|$work/shop_train_fraud_trees|" \
        -e "s|../../models|$PWD/models|" -e "s|bench_rules.yaml|$examples/bench_rules.yaml|" \
        "$examples/bench.yaml" >"$work/bench_models.yaml"
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
generate zipf-200k-jsonl --users 200000 --format jsonl
generate zipf-200k-2 --users 200000 --partitions 2
generate zipf-5000000 --users 5000000
# What is compared goes in rounds, since a machine that others share does not give the same for long.
for round in 1 2 3; do
    measure "zipf-200k.$round" pipeline/examples/bench.yaml --input "$work/zipf-200k/events.avro"
    measure "zipf-5000000.$round" "$(config_of 5000000)" --input "$work/zipf-5000000/events.avro"
    measure "zipf-200k-jsonl.$round" pipeline/examples/bench_jsonl.yaml --input "$work/zipf-200k-jsonl/events.jsonl"
    for workers in 1 2; do
        measure "two-partitions-$workers.$round" pipeline/examples/bench.yaml --workers $workers \
            --input "$work"/zipf-200k-2/events-*.avro
    done
done
rm -rf "$work/zipf-200k-jsonl" "$work/zipf-200k-2" "$work/zipf-5000000"
make_models
measure zipf-200k-models "$work/bench_models.yaml" --input "$work/zipf-200k/events.avro"
for users in 10000 50000 1000000; do
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
