#!/usr/bin/env bash
# Makes the packs in models/packs anew, from generated history; the same bytes each time.
#   scripts/train_packs.sh [DIRECTORY]    where the packs go, models/packs unless given
set -euo pipefail
cd "$(dirname "$0")/.."
nudge=${NUDGE:-build/release/nudge}
packs=${1:-models/packs}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$nudge" generate --output "$work/history" --events 1000000 --days 3 --seed 11
for target in purchase abandon fraud; do
    "$nudge" train "pipeline/examples/shop_train_$target.yaml" --input "$work/history/events.avro" \
        --truth "$work/history/truth.jsonl" --output "$packs/shop_$target"
done
