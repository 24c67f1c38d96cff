#!/usr/bin/env bash
# What must hold on real brokers, in half an hour: ten minutes of it the storm.
#   kafka_test.sh NUDGE SANITIZED [hard]     SANITIZED: nudge with AddressSanitizer and UBSan
#                                            hard: broken networks and three brokers for longer
# Modules mostly wait, for brokers, for groups to be rearranged and for time-outs to pass, so two of
# them run at a time, each with a broker of its own, those that take longest first. The storm that must
# have met enough is alone, since what it meets depends on how much happens in its time.
set -euo pipefail
nudge=$1
sanitized=$2
here=$(dirname "$0")
"$here/../../scripts/lanes.py" "${NUDGE_TEST_LANES:-2}" <<MODULES
$here/kafka_route_test.py $sanitized
$here/kafka_entities_test.py $nudge
$here/kafka_hops_test.py $nudge
$here/kafka_operate_test.py $nudge
$here/kafka_flow_test.py $sanitized
$here/kafka_input_test.py $nudge
$here/kafka_outage_test.py $nudge
$here/kafka_security_test.py $nudge
$here/kafka_topics_test.py $nudge
$here/kafka_state_test.py $sanitized
$here/kafka_wire_test.py $nudge
$here/kafka_commit_test.py $sanitized
MODULES
"$here/kafka_storm.py" "$nudge" --full --brokers 3 --seed "${KAFKA_SEED:-1}"
"$here/../../scripts/lanes.py" "${NUDGE_TEST_LANES:-2}" <<STORMS
$here/kafka_storm.py $sanitized --network --feed --events 60000 --seconds 40 --seed ${KAFKA_SEED:-3}
$here/kafka_storm.py $nudge --hops --partitions 3 --events 30000 --seconds 25 --seed ${KAFKA_SEED:-9}
STORMS
if [ "${3:-}" = hard ]; then
    "$here/kafka_storm.py" "$nudge" --network --feed --events 200000 --seconds 120 --seed "${KAFKA_SEED:-4}"
    "$here/kafka_storm.py" "$nudge" --brokers 3 --feed --events 200000 --seconds 120 --seed "${KAFKA_SEED:-5}"
    "$here/kafka_storm.py" "$nudge" --brokers 3 --hops --events 100000 --seconds 120 --seed "${KAFKA_SEED:-6}"
fi
