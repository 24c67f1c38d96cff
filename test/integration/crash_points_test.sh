#!/usr/bin/env bash
# Kills a program that was built with crash points at each named step of commit, restore and truncation, and again
# while it recovers from that.
#   crash_points_test.sh NUDGE
set -euo pipefail
nudge=$1
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$nudge" generate --output "$work/in" --events 20000 --users 3000 --seed 5 >/dev/null
cat >"$work/steps.yaml" <<CONFIG
name: steps
input: {format: avro}
output: {scored_events_share: 0.01}
commit: {interval: 1h, events: 1000, segment: 64KiB}
CONFIG
"$here/kill_test.py" "$nudge" "$work/steps.yaml" --input "$work/in/events.avro" \
    --steps "$here/../../pipeline/base/crash_point.h"
