#!/usr/bin/env bash
# Runs four partitions on two workers under the thread sanitizer, and compares with one worker.
#   threads_test.sh NUDGE
set -euo pipefail
nudge=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TSAN_OPTIONS=halt_on_error=1
"$nudge" generate --output "$work/in" --events 20000 --users 2000 --partitions 4 >/dev/null
printf 'name: threads\ninput: {format: avro}\ncommit: {interval: 50ms, sync: false}\n' >"$work/threads.yaml"
for workers in 1 2; do
    "$nudge" run "$work/threads.yaml" --input "$work"/in/events-*.avro --workers "$workers" \
        --output "$work/out-$workers" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
done
diff -r --exclude='.*' "$work/out-1" "$work/out-2"
echo "threads: one and two workers agree, no data race"
