#!/usr/bin/env bash
# The same input in batches of 1, 37 and 1,024 events, from a file and from standard input, as Avro and as JSON lines:
# always the same outputs, timers and rules included.
#   cuts_test.sh NUDGE
set -euo pipefail
nudge=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for format in avro jsonl; do
    "$nudge" generate --output "$work/$format" --events 60000 --users 6000 --seed 9 --format "$format" >/dev/null
done
configure() { # NAME FORMAT BATCH
    cat >"$work/$1.yaml" <<CONFIG
name: cuts
run: {batch: $3}
input: {format: $2}
output: {scored_events_share: 0.02}
emit_interventions:
  rules:
    - name: cart
      on: {idle_cart: 10m}
      promotion: {kind: reminder, valid_for: 1d}
      cooldown: 1h
    - name: ended
      on: session_end
      if: session_outcome == "abandoned_cart"
      promotion: {kind: coupon, value: 5, currency: EUR, valid_for: 1d}
      budget: {count: 100, per: day}
    - name: after
      on: {after: {event: purchase, delay: 3h}}
      promotion: {kind: recommendation, valid_for: 1d}
CONFIG
}
run() { # NAME INPUT
    "$nudge" run "$work/$1.yaml" --input "$2" --output "$work/out-$1" >/dev/null 2>"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
}
configure whole avro 1024
run whole "$work/avro/events.avro"
for topic in decisions late_events promotions scored_events sessions; do
    [ -s "$work/out-whole/$topic/0.jsonl" ] || { echo "cuts: no $topic: nothing is compared" >&2; exit 1; }
done
configure single avro 1
run single "$work/avro/events.avro"
configure odd avro 37
run odd "$work/avro/events.avro"
configure piped avro 1024
run piped - <"$work/avro/events.avro"
configure lines jsonl 100
run lines "$work/jsonl/events.jsonl"
for name in single odd piped lines; do
    diff -r --exclude='.*' "$work/out-whole" "$work/out-$name"
done
echo "cuts: $(cat "$work"/out-whole/*/* | wc -l) records the same in 5 runs"
