#!/usr/bin/env bash
# What the features are worth on generated traffic: which pairs say the same (fails where a pair is not
# listed with its reason), and with --families what each family adds to the models.
#   scripts/features.sh [--families]
set -euo pipefail
cd "$(dirname "$0")/.."
nudge=${NUDGE:-build/release/nudge}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$nudge" generate --output "$work" --events 300000 --users 2000 --days 60 --seed 9 --fraud 4 >/dev/null
"$nudge" eval pipeline/examples/shop_train_purchase.yaml --correlations \
    --allow test/data/correlated_features.yaml --input "$work/events.avro"
if [ "${1:-}" = --families ]; then
    "$nudge" generate --output "$work" --events 600000 --days 3 --seed 12 >/dev/null
    for target in purchase fraud; do
        echo "What each family adds to the $target model"
        "$nudge" eval "pipeline/examples/shop_train_$target.yaml" --families \
            --input "$work/events.avro" --truth "$work/truth.jsonl"
    done
fi
