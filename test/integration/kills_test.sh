#!/usr/bin/env bash
# Kills runs of generated and of real data at random moments.
#   kills_test.sh NUDGE
set -euo pipefail
nudge=$1
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$nudge" generate --output "$work/in" --events 150000 --users 20000 --seed 5 >/dev/null
for format in jsonl avro; do
    cat >"$work/$format.yaml" <<CONFIG
name: kills
input: {format: avro}
output: {format: $format, scored_events_share: 0.01}
commit: {interval: 20ms, segment: 1MiB}
CONFIG
    "$here/kill_test.py" "$nudge" "$work/$format.yaml" --input "$work/in/events.avro" --kills 65
done
