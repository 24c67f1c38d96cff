#!/usr/bin/env bash
# Detectors without labels in the whole pipeline: the same scores in batches of 1, 37 and 1,024 and across kill -9; a
# forest trained without labels, the same twice, that ranks simulated fraud high; and, where the data are, the
# figures of models/evaluation.md.
#   anomaly_test.sh NUDGE
set -euo pipefail
nudge=$1
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../pipeline/examples
data=${NUDGE_DATA:-$here/../../../shared/data}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "anomaly: $*" >&2; exit 1; }
quiet() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

quiet "$nudge" generate --output "$work/shop" --events 60000 --users 6000 --days 2 --seed 77
events=$work/shop/events.avro

# ---- Batches and kills -------------------------------------------------------------------------
configure() { # NAME DETECTOR BATCH
    cat >"$work/$1.yaml" <<CONFIG
name: anomaly
run: {batch: $3}
input: {format: avro}
output: {scored_events_share: 0.05}
score_anomaly: {detector: $2}
emit_interventions:
  rules:
    - {name: odd, on: any, if: anomaly_score > 0.3, alert: {severity: low, reason: "{anomaly_score:.3}"}, cooldown: 1h}
CONFIG
}
for detector in \
    "isolation_forest, inputs: [window_events_10m, gap_log_mean, price], reservoir: 512" \
    "half_space_trees, inputs: [window_events_10m, gap_log_mean, price]" \
    "robust_ewma, inputs: [gap_last_s]"; do
    for batch in 1024 37 1; do
        configure "b$batch" "$detector" "$batch"
        quiet "$nudge" run "$work/b$batch.yaml" --input "$events" --output "$work/out-$batch"
        diff -r --exclude='.*' "$work/out-1024" "$work/out-$batch" >/dev/null || fail "$detector: batches of $batch"
    done
    [ -s "$work/out-1024/alerts/0.jsonl" ] || fail "$detector: no alert: nothing is compared"
    for kill in 1 2 3 4 5 6; do
        "$nudge" run "$work/b37.yaml" --input "$events" --output "$work/out-killed" >/dev/null 2>&1 &
        sleep "0.$((kill * 7 % 10))"
        kill -9 $! 2>/dev/null || true
        wait $! 2>/dev/null || true
    done
    quiet "$nudge" run "$work/b37.yaml" --input "$events" --output "$work/out-killed"
    diff -r --exclude='.*' "$work/out-1024" "$work/out-killed" >/dev/null || fail "$detector: after kills"
    echo "anomaly: ${detector%%,*}: $(wc -l <"$work/out-1024/alerts/0.jsonl") alerts the same in any batches and after kills"
    rm -rf "$work"/out-*
done

# ---- Trained without labels --------------------------------------------------------------------
for name in pack again; do
    quiet "$nudge" train "$examples/shop_train_anomaly.yaml" --input "$events" --output "$work/$name"
done
diff -r "$work/pack" "$work/again" || fail "two trainings, two packs"
quiet "$nudge" eval "$examples/shop_train_fraud.yaml" --input "$events" --truth "$work/shop/truth.jsonl" \
    --pack "$work/pack" --json "$work/eval.json"
sed -n 's/^all rows *[0-9]* *[0-9]* *[0-9.]* \[[^]]*\] *\([0-9.]*\) .*/\1/p' "$work/log" >"$work/auc"
awk '{found = 1; if ($1 < 0.7) exit 1} END {exit !found}' "$work/auc" || fail "trained forest: ROC-AUC $(cat "$work/auc")"
cat >"$work/served.yaml" <<CONFIG
name: served
input: {format: avro}
score_fraud: {base_rate: 0.5, pack: pack}
emit_interventions:
  rules:
    - {name: odd, on: any, if: fraud_score > 0.3, alert: {severity: low, reason: "{fraud_score:.3}"}, cooldown: 1h}
CONFIG
quiet "$nudge" run "$work/served.yaml" --input "$events" --output "$work/served"
id=$(sed -n '1s/.*"decision_id":"\([0-9a-f]*\)".*/\1/p' "$work/served/alerts/0.jsonl")
[ -n "$id" ] || fail "a served forest alerts nobody"
quiet "$nudge" explain "$id" --output "$work/served"
echo "anomaly: a forest trained without labels ranks fraud with ROC-AUC $(cat "$work/auc")"

# ---- Figures -----------------------------------------------------------------------------------
if [ ! -d "$data/nab" ] || [ ! -d "$data/adbench" ]; then
    [ -z "${CI:-}" ] || fail "no data in $data"
    echo "anomaly: figures skipped, no data in $data"
    exit 0
fi
at_least() { # WHAT LEAST FIGURE
    awk -v figure="$3" -v least="$2" 'BEGIN {exit !(figure + 0 >= least)}' || fail "$1: $3, at least $2 expected"
    echo "anomaly: $1 $3"
}
NUDGE=$nudge "$here/../../scripts/anomaly.sh" points "$data/adbench/34_smtp.csv.gz" "$data/adbench/16_http.csv.gz" >"$work/points"
at_least smtp 0.88 "$(sed -n 's/^34_smtp.*ROC-AUC \([0-9.]*\),.*/\1/p' "$work/points")"
at_least http 0.99 "$(sed -n 's/^16_http.*ROC-AUC \([0-9.]*\),.*/\1/p' "$work/points")"
NUDGE=$nudge "$here/../../scripts/anomaly.sh" nab "$data/nab" >"$work/nab"
at_least "Numenta benchmark" 58 "$(sed -n 's/.*standard profile \([0-9.]*\),.*/\1/p' "$work/nab")"
