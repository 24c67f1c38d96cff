#!/usr/bin/env bash
# Robots in a shop's access log, found by what they do alone, against those that declare themselves: first by the
# rules of pipeline/examples/zanbil_bots.yaml, then by a model that learns from the declared ones of the log's
# first half and is judged on addresses that it has never seen, in the second.
#   scripts/bots.sh access_log.gz
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -eq 1 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
log=$1
nudge=${NUDGE:-build/release/nudge}
examples=$PWD/pipeline/examples
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
later=$(sed -n 's/^ *until: //p' "$examples/zanbil_bots_train.yaml")

judge() { # NAME CONFIG
    sed -e "s|mapping: .*/mappings|mapping: $PWD/schemas/mappings|" "$2" >"$work/$1.yaml"
    printf 'output:\n  scored_events_share: 1\n' >>"$work/$1.yaml"
    "$nudge" run "$work/$1.yaml" --input "$log" --output "$work/$1" --summary "$work/$1.json" >/dev/null 2>"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
    scripts/bots.py table "$log" "$work/$1" "$work/$1.json" "$later"
}
echo "By rules"
judge rules "$examples/zanbil_bots.yaml"

scripts/bots.py truth "$log" "$work/truth.jsonl"
"$nudge" train "$examples/zanbil_bots_train.yaml" --input "$log" --truth "$work/truth.jsonl" --output "$work/pack" \
    >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
# The model in the place of all rules but one, which speaks of what no robot of the first half did.
awk -v pack="$work/pack" '/^score_fraud:/ {print; print "  pack: " pack; next}
    /base_rate:/ {print "  base_rate: 0.5"; next}
    /feature:/ && !/page after page/ {next} {print}' "$examples/zanbil_bots.yaml" >"$work/with_model.yaml"
echo
echo "By a model trained on what came before $later, and the rule \"page after page\""
judge model "$work/with_model.yaml"
