#!/usr/bin/env bash
# From a fresh Debian 12 or Ubuntu 24.04 to a report of what was found: installs, builds, generates a day of
# traffic, runs the pipeline on it, and holds what it found against what the generator knows.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-packages.sh build
echo "building ..."
# A newer compiler than ours may warn of more; that is for the tests to complain of.
cmake --preset release --compile-no-warning-as-error >/dev/null
cmake --build build/release --target nudge >build/build.log || { grep -A 20 FAILED: build/build.log >&2; exit 1; }
work=build/quickstart
rm -rf "$work"
mkdir -p "$work"
echo
build/release/nudge generate --output "$work/day" --events 500000 --users 60000 --seed 7
echo
build/release/nudge run pipeline/examples/shop.yaml --input "$work/day/events.avro" --output "$work/out"
echo
scripts/quickstart_report.py "$work/day" "$work/out" | tee "$work/report.txt"
echo
echo "One alert of each rule, as a risk analyst reads it:"
scripts/quickstart_alerts.py "$work/out" | while read -r rule decision; do
    build/release/nudge explain "$decision" --output "$work/out" >"$work/alert-$rule.txt"
    echo "  $work/alert-$rule.txt"
done
