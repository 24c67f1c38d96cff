#!/usr/bin/env bash
# Detectors without labels on what others labelled, through the whole pipeline, one pass, as the rows come.
#   scripts/anomaly.sh points FILE.csv.gz...   rows of x0,x1,x2,label (ADBench's http and smtp)
#   scripts/anomaly.sh nab FOLDER              the Numenta anomaly benchmark: data/ and labels/
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")/.." && pwd)
nudge=${NUDGE:-$here/build/release/nudge}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { # EXAMPLE INPUT OUTPUT
    sed -e "s|mapping: .*/mappings|mapping: $here/schemas/mappings|" "$here/pipeline/examples/$1.yaml" >"$work/$1.yaml"
    printf 'output:\n  scored_events_share: 1\n' >>"$work/$1.yaml"
    "$nudge" run "$work/$1.yaml" --input "$2" --output "$3" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
}
mode=$1
shift
case $mode in
points)
    for file; do
        run adbench "$file" "$work/out"
        "$here/scripts/anomaly.py" points "$file" "$work/out/scored_events/0.jsonl" "$work/out/alerts/0.jsonl"
        rm -rf "$work/out"
    done
    ;;
nab)
    find "$1/data" -name '*.csv' | sort | while read -r file; do
        name=${file#"$1/data/"}
        run nab "$file" "$work/out/${name%.csv}" </dev/null
    done
    "$here/scripts/anomaly.py" nab "$1" "$work/out"
    ;;
*) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac
