#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. Prints the time of each suite.
#   scripts/test.sh              everything
#   scripts/test.sh SUITE...     only these: build unit sanitizers threads fuzz check examples bad_input
#                                operations privacy kills kafka; by hand kafka_hard
set -euo pipefail
cd "$(dirname "$0")/.."
export NUDGE_DATA=${NUDGE_DATA:-$PWD/../shared/data}

suite_build() {
    cmake --preset release >/dev/null
    cmake --build build/release
}
suite_unit() {
    ctest --test-dir build/release --output-on-failure -j "$(nproc)"
}
suite_sanitizers() {
    cmake --preset dev >/dev/null
    cmake --build build/dev
    ctest --test-dir build/dev --output-on-failure -j "$(nproc)"
}
suite_threads() {
    cmake --preset tsan >/dev/null
    cmake --build build/tsan --target nudge state_store_writing_test
    test/integration/threads_test.sh build/tsan/nudge
    build/tsan/state_store_writing_test
}
suite_fuzz() {
    cmake --preset fuzz >/dev/null
    cmake --build build/fuzz
    test/fuzz/run.sh build/fuzz 10
}
suite_check() {
    scripts/check.sh
}
suite_examples() {
    test/integration/generator_distance_test.sh build/release/nudge
    test/integration/examples_test.sh build/release/nudge
    test/integration/anomaly_test.sh build/release/nudge
    test/integration/markov_test.py build/release/nudge
    test/integration/train_eval_test.py build/release/nudge
    test/integration/explain_models_test.py build/release/nudge
    test/integration/eval_slices_test.py build/release/nudge
    test/integration/eval_reference_test.py build/release/nudge
    scripts/features.sh
}
suite_bad_input() {
    test/integration/bad_input_test.py build/release/nudge
    test/integration/train_bad_input_test.py build/release/nudge
}
suite_operations() {
    test/integration/operations_test.py build/release/nudge
    test/integration/device_test.py build/release/nudge
}
suite_privacy() {
    test/integration/privacy_test.py build/release/nudge
}
suite_kills() {
    test/integration/kills_test.sh build/release/nudge
    cmake --preset crash >/dev/null
    cmake --build build/crash --target nudge
    test/integration/crash_points_test.sh build/crash/nudge
}
# Against real brokers; longer and harder by hand, see kafka_storm.py --help.
test_kafka() {
    cmake --preset dev >/dev/null
    cmake --build build/dev --target nudge
    test/integration/kafka_test.sh build/release/nudge build/dev/nudge "$@"
}
suite_kafka() {
    test_kafka
}

suite_kafka_hard() { # For longer than a change should wait: by hand.
    test_kafka hard
}

run_suite() {
    local begin=$SECONDS
    echo "=== $1"
    "suite_$1"
    times+=("$(printf '%-12s %4d s' "$1" $((SECONDS - begin)))")
}

times=()
scripts/install-packages.sh
suites=("$@")
if [ ${#suites[@]} -eq 0 ]; then
    suites=(build unit sanitizers threads fuzz check examples bad_input operations privacy kills kafka)
fi
for suite in "${suites[@]}"; do
    run_suite "$suite"
done
echo "=== times"
printf '%s\n' "${times[@]}"
echo "${#times[@]} passed, 0 failed"
