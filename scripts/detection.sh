#!/usr/bin/env bash
# How much of each kind of fraud the shop's score finds, on traffic that nothing was trained on: as it
# is, and with the behaviour of everybody moved by half either way.
#   scripts/detection.sh [EVENTS]
set -euo pipefail
cd "$(dirname "$0")/.."
nudge=${NUDGE:-build/release/nudge}
events=${1:-600000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for shift in 0 0.5 -0.5; do
    "$nudge" generate --output "$work/$shift" --events "$events" --days 3 --seed 77 --shift "$shift" \
        --hoarding 0.8 >/dev/null
    echo "behaviour moved by $shift"
    "$nudge" eval pipeline/examples/shop.yaml --detection --input "$work/$shift/events.avro" \
        --truth "$work/$shift/truth.jsonl"
    echo
done
