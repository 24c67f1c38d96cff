#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. Prints the time of each suite.
#   scripts/test.sh              everything; suites that use one core most of the time run beside each
#                                other (scripts/lanes.py), what they say is printed as they end
#   scripts/test.sh SUITE...     only these: build unit sanitizers threads fuzz check kafka, files or some of
#                                what it is (examples bad_input operations privacy kills); by hand kafka_hard
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
    cmake --build build/tsan --target nudge state_store_writing_test simulation_test
    scripts/lanes.py "$(nproc)" <<'COMMANDS'
build/tsan/simulation_test
test/integration/threads_test.sh build/tsan/nudge
build/tsan/state_store_writing_test
COMMANDS
}
suite_fuzz() {
    cmake --preset fuzz >/dev/null
    cmake --build build/fuzz
    test/fuzz/run.sh build/fuzz 10
}
suite_check() {
    scripts/check.sh
}
# A line a command: those that take longest first, see lanes.py.
commands_examples() {
    cat <<'COMMANDS'
test/integration/examples_test.sh build/release/nudge
test/integration/train_eval_test.py build/release/nudge
test/integration/eval_slices_test.py build/release/nudge
test/integration/eval_reference_test.py build/release/nudge
test/integration/explain_models_test.py build/release/nudge
test/integration/brought_models_test.py build/release/nudge
test/integration/anomaly_test.sh build/release/nudge
test/integration/markov_test.py build/release/nudge
test/integration/generator_distance_test.sh build/release/nudge
scripts/features.sh
COMMANDS
}
commands_bad_input() {
    echo test/integration/bad_input_test.py build/release/nudge
    echo test/integration/bad_config_test.py build/release/nudge
    echo test/integration/train_bad_input_test.py build/release/nudge
}
commands_operations() {
    echo test/integration/operations_test.py build/release/nudge
    echo test/integration/limits_test.py build/release/nudge
    echo test/integration/state_refused_test.py build/release/nudge
    echo test/integration/device_test.py build/release/nudge
}
commands_privacy() {
    echo test/integration/privacy_test.py build/release/nudge
}
commands_kills() {
    echo test/integration/kills_test.sh build/release/nudge
    echo test/integration/crash_points_test.sh build/crash/nudge
}
build_crash() {
    cmake --preset crash >/dev/null
    cmake --build build/crash --target nudge
}
suite_examples() {
    commands_examples | scripts/lanes.py "$(nproc)"
}
suite_bad_input() {
    commands_bad_input | scripts/lanes.py 1
}
suite_operations() {
    commands_operations | scripts/lanes.py 1
}
suite_privacy() {
    commands_privacy | scripts/lanes.py 1
}
suite_kills() {
    build_crash
    commands_kills | scripts/lanes.py "$(nproc)"
}
suite_files() { # All of them, whatever runs over files.
    build_crash
    {
        commands_operations
        commands_kills
        commands_examples
        commands_bad_input
        commands_privacy
    } | scripts/lanes.py "$(nproc)"
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
    suites=(build unit sanitizers threads fuzz check files kafka)
fi
for suite in "${suites[@]}"; do
    run_suite "$suite"
done
echo "=== times"
printf '%s\n' "${times[@]}"
echo "${#times[@]} passed, 0 failed"
