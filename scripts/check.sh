#!/usr/bin/env bash
# Everything that can be said of the sources without running them: format, lint, directions of includes, names that
# do not belong, and generated documentation that is not current. Needs build/release.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

complain() {
    echo "check: $*" >&2
    failed=1
}

mapfile -t sources < <(git ls-files '*.c' '*.h' '*.cpp')

clang-format --dry-run -Werror "${sources[@]}" || complain "format: run clang-format -i on the files above"

# A folder of the table in ARCHITECTURE.md may include what stands behind it, and nothing else of the project.
includes_only() {
    local folder=$1
    shift
    local allowed
    allowed=$(IFS='|'; echo "$*")
    local bad
    bad=$(git ls-files "$folder/*.c" "$folder/*.h" "$folder/*.cpp" |
        xargs grep -HnE '^#include "(pipeline|operators|models)/' |
        grep -vE "#include \"($allowed)" || true)
    if [ -n "$bad" ]; then
        complain "include directions: $folder may include only $* "$'\n'"$bad"
    fi
}
event_contract='pipeline/event/ pipeline/limits.h'
includes_only pipeline/base pipeline/base/
includes_only pipeline/config pipeline/base/ pipeline/config/
# shellcheck disable=SC2086
includes_only pipeline/state pipeline/base/ pipeline/state/ pipeline/limits.h pipeline/stage.h
includes_only pipeline/metrics pipeline/base/ pipeline/metrics/
# shellcheck disable=SC2086
includes_only pipeline/wire pipeline/base/ pipeline/config/ pipeline/metrics/ pipeline/wire/ $event_contract
# shellcheck disable=SC2086
includes_only operators pipeline/base/ pipeline/config/ pipeline/output/ pipeline/state/record.h pipeline/stage.h \
    models/ operators/ $event_contract
includes_only models pipeline/base/ pipeline/config/ models/

# An operator may share helper files with another, but never includes another operator.
for operator in sessionize extract_features score_fraud predict_intent score_anomaly emit_interventions; do
    bad=$(git grep -lE "#include \"operators/$operator\.h\"" -- 'operators/*' |
        grep -vE "^operators/(${operator}|session_|feature_|fraud_|anomaly_|rule|emit_)" || true)
    [ -z "$bad" ] || complain "operators/$operator.h is included by $bad"
done
bad=$(git grep -lE '#include "operators/' -- 'pipeline/*' | grep -vE '^pipeline/(run/stages\.c|commands/)' || true)
[ -z "$bad" ] || complain "only pipeline/run/stages.c and commands may name operators: $bad"

# Data sets are known to mappings and configurations, never to the program.
bad=$(git grep -ilE 'rees46|taobao|talkingdata|zanbil|fraud_handbook|hillstrom' -- 'pipeline/*.c' 'pipeline/*.h' \
    'pipeline/*.cpp' 'operators/*' 'models/*.c' 'models/*.h' || true)
[ -z "$bad" ] || complain "a data set is named in $bad"

# The reference documentation is printed from the program's own tables.
reference=$(mktemp)
trap 'rm -f "$reference"' EXIT
scripts/reference.sh >"$reference"
cmp -s "$reference" pipeline/reference.md ||
    complain "pipeline/reference.md is not current: scripts/reference.sh > pipeline/reference.md"

if [ "${1:-}" != --quick ]; then
    # Fuzz targets are built apart; what they are made of is here.
    git ls-files 'pipeline/*.c' 'operators/*.c' 'models/*.c' 'test/*.c' | grep -v '^test/fuzz/' |
        xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p build/release >build/tidy.log 2>/dev/null ||
        complain "clang-tidy:"$'\n'"$(grep -E 'warning:|error:' build/tidy.log | sort -u | head -20)"
fi
[ "$failed" -eq 0 ] && echo "check: clean"
exit "$failed"
