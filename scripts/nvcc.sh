#!/usr/bin/env bash
# Runs nvcc for the build: keeps what ptxas says of each kernel's registers and spills in a file, and fails
# where a kernel spills.
#   nvcc.sh FIGURES COMMAND...
set -euo pipefail
figures=$1
shift
"$@" >"$figures" 2>&1 || { cat "$figures" >&2; exit 1; }
if grep -qi warning "$figures"; then
    cat "$figures" >&2
    exit 1
fi
if grep -E '[1-9][0-9]* bytes spill' "$figures" >&2; then
    echo "a kernel spills registers, see $figures" >&2
    exit 1
fi
