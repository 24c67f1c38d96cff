#!/usr/bin/env bash
# Prints pipeline/reference.md from the program's own tables.
set -euo pipefail
nudge=$(dirname "$0")/../build/release/nudge
echo "# Reference"
echo
echo "Printed by \`scripts/reference.sh\` from the tables that the program runs on; do not edit."
for subject in events settings rules training stages features outputs metrics; do
    echo
    echo "# ${subject^}"
    echo
    "$nudge" describe "$subject" --markdown
done
