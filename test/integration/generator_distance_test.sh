#!/usr/bin/env bash
# The generated traffic is as near to a real shop's as pipeline/generate/distance.md says.
#   generator_distance_test.sh NUDGE             compares
#   generator_distance_test.sh NUDGE --write     writes the page anew
set -euo pipefail
nudge=$1
cd "$(dirname "$0")/../.."
real=("${NUDGE_DATA:-../shared/data}"/rees46/*.csv.gz)
if [ ! -f "${real[0]}" ]; then
    if [ -n "${CI:-}" ]; then
        echo "generator_distance: ${real[0]}: missing, and CI is set" >&2
        exit 1
    fi
    echo "generator_distance: skipped: no data in ${real[0]%/*} (set NUDGE_DATA)"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$nudge" generate --output "$work/in" --events 300000 --seed 1 --format jsonl >/dev/null
{
    echo "# How near the generated traffic is to a real shop's"
    echo
    echo "\`nudge generate --events 300000 --seed 1 --format jsonl\` beside an excerpt of the REES46"
    echo "multi-category store data, by \`scripts/generator_distance.py\`, which says how each number is"
    echo "made. KS and TV go from 0, the same, to 1, nothing in common. More carts and purchases than in"
    echo "the excerpt are meant: models are to learn from them."
    echo
    scripts/generator_distance.py --check "$work/in" "${real[0]}"
} >"$work/distance.md"
if [ "${2:-}" = --write ]; then
    cp "$work/distance.md" pipeline/generate/distance.md
elif ! diff "$work/distance.md" pipeline/generate/distance.md; then
    echo "generator_distance: pipeline/generate/distance.md is not current: run this test with --write" >&2
    exit 1
fi
echo "generator_distance: within its limits, and the page is current"
