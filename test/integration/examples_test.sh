#!/usr/bin/env bash
# Runs every configuration in pipeline/examples on the data that it is for, and the README's commands.
#   examples_test.sh NUDGE
set -euo pipefail
nudge=$1
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../pipeline/examples
data=${NUDGE_DATA:-$here/../../../shared/data}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$here/readme_test.py" "$nudge"
"$here/cuts_test.sh" "$nudge"

# Each configuration there is at least valid.
for config in "$examples"/*.yaml; do
    grep -qE '^(rules|pipeline|train):' "$config" && continue # Parts of others, and trainings.
    NUDGE_PRIVACY_KEY=0123456789abcdef "$nudge" check "$config" >"$work/check" 2>&1 || { cat "$work/check" >&2; exit 1; }
done

expect() { # NAME INPUT KEY VALUE...
    local name=$1 input=$2
    shift 2
    "$nudge" run "$examples/$name.yaml" --input "$data/$input" --output "$work/$name" --summary "$work/$name.json" \
        >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    while [ $# -gt 0 ]; do
        local found
        found=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/$name.json" "$1")
        [ "$found" = "$2" ] || { echo "$name: $1 is $found, $2 expected" >&2; exit 1; }
        shift 2
    done
    echo "$name: $(grep -oE '^[0-9]+ events' "$work/log") as expected"
}
if [ ! -d "$data" ]; then
    [ -z "${CI:-}" ] || { echo "examples: no data in $data" >&2; exit 1; }
    echo "examples: skipped, no data in $data"
    exit 0
fi
expect rees46 rees46/2019-10-01_until_0230.csv.gz events_read 5931 events_accepted 5931
expect taobao taobao/user_behavior_slice.csv.gz events_read 96168 events_accepted 96168
expect talkingdata talkingdata/clicks_before_nov9.csv.gz events_read 71439 events_accepted 71439
expect fraud_handbook fraud_handbook/2018-04.csv.gz events_read 288062 events_accepted 288062
expect zanbil zanbil/access_log.gz events_read 100000 events_skipped 90555 events_accepted 9445
expect zanbil_bots zanbil/access_log.gz events_read 100000 events_skipped 2755 events_accepted 97245

# Robots found by behaviour, by rules and by a trained model: ranked above the others nearly always.
NUDGE=$nudge BOTS_ROUNDS=2 "$here/../../scripts/bots.sh" "$data/zanbil/access_log.gz" >"$work/bots"
awk -F'|' '/ROC-AUC/ {n++; for (i = 3; i <= 4; i++) if ($i + 0 < 0.98) {print "bots: " $0; bad = 1}}
    END {if (n != 4) print "bots: " n + 0 " rows of ROC-AUC, 4 expected"; exit bad || n != 4}' "$work/bots" >&2
if grep -n "user_agent" "$here/../../schemas/mappings/zanbil_requests.yaml" >&2; then exit 1; fi
echo "bots: $(grep -c ROC-AUC "$work/bots") figures of at least 0.98"
