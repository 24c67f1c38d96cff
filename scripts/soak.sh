#!/usr/bin/env bash
# Hours of nudge on a real broker under changing load, with the broker away for a while in the middle:
# memory, file handles, threads, disk and lag are sampled, plotted, and judged by whether they grow.
#   scripts/soak.sh [--seconds N] [--rate N] [--partitions N] [--away N] [--output DIR]
#     --seconds N   how long (default 3600)
#     --rate N      events a second on the average, in waves from a tenth to twice of it (default 2000)
#     --partitions N of the input (default 3); with 1 RocksDB compacts soon enough for a run of minutes
#     --away N      seconds that the broker is away; 0: stays (default a twelfth of the time)
#     --output DIR  samples.csv, soak.svg, logs (default build/soak)
# A day of event time goes by in a fifth of it, so that timers fire, sessions end and users are forgotten
# as they come. Needs java and kcat, and mvn the first time. Fails where something grows, or was lost.
set -euo pipefail
cd "$(dirname "$0")/.."
nudge=${NUDGE:-build/release/nudge}
seconds=3600 rate=2000 partitions=3 away='' output=build/soak
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=$2 ;;
    --rate) rate=$2 ;;
    --partitions) partitions=$2 ;;
    --away) away=$2 ;;
    --output) output=$2 ;;
    *)
        sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
        exit 2
        ;;
    esac
    shift 2
done
away=${away:-$((seconds / 12))}
for program in java kcat "$nudge"; do
    command -v "$program" >/dev/null || { echo "soak.sh: $program is needed" >&2; exit 3; }
done

rm -rf "$output"
mkdir -p "$output"
output=$(cd "$output" && pwd)
# A copy, so that a build meanwhile does not change what runs.
cp "$nudge" "$output/nudge"
export NUDGE=$output/nudge
nudge=$NUDGE
export NUDGE_KAFKA_DIR=$output/kafka NUDGE_KAFKA_PORT=${NUDGE_KAFKA_PORT:-32092}
port=$((NUDGE_KAFKA_PORT + 40)) # For /metrics.
feed='' run=''
end() {
    [ -z "$feed" ] || kill "$feed" 2>/dev/null || true
    [ -z "$run" ] || kill "$run" 2>/dev/null || true
    wait 2>/dev/null || true
    scripts/kafka.sh wipe || true
}
trap end EXIT
trap 'exit 130' INT TERM

servers=$(scripts/kafka.sh start 2>/dev/null | tail -1)
java -cp "$(scripts/kafka.sh classpath)" org.apache.kafka.tools.TopicCommand --bootstrap-server "$servers" \
    --create --topic clicks --partitions "$partitions" --config retention.bytes=200000000 --config segment.bytes=20000000 \
    >"$output/topics.log" 2>&1
cat >"$output/soak.yaml" <<YAML
name: soak
input: {source: kafka, format: jsonl, idle_after: 30s}
output: {sink: kafka, scored_events_share: 0.01}
# Little memory, so that caches are full before the warm-up is over.
state: {memory: 128MiB, retention: 12h}
commit: {interval: 50ms}
metrics: {listen: "127.0.0.1:$port"}
kafka: {brokers: [$servers], topic: clicks, output_prefix: soak.}
predict_intent: {purchase_pack: $PWD/models/packs/shop_purchase, abandon_pack: $PWD/models/packs/shop_abandon}
score_fraud: {base_rate: 0.5, pack: $PWD/models/packs/shop_fraud}
emit_interventions:
  rules:
    - name: forgotten_cart
      on: {idle_cart: 10m}
      if: cart_value >= 1
      promotion: {kind: reminder, valid_for: 1d}
      cooldown: 1h
    - name: likely_fraud_at_payment
      on: [checkout, purchase, payment_failed]
      if: fraud_score > 0.9
      alert: {severity: high, reason: "Score {fraud_score:.2}", suggest: pause_transaction}
      cooldown: 1h
YAML
"$nudge" topics create "$output/soak.yaml"
"$nudge" run "$output/soak.yaml" --state "$output/state" --summary "$output/summary.json" \
    >"$output/nudge.log" 2>&1 &
run=$!
# As many hours of event time as it takes for five days, and as few shoppers as come back within one.
scripts/feed.sh "$servers" clicks --rate "$rate" --speed "$((5 * 86400 / seconds))" --wave "$((seconds / 12 + 1))" \
    -- --users 20000 2>"$output/feed.log" &
feed=$!

python3 scripts/soak_watch.py --pid "$run" --config "$output/soak.yaml" --nudge "$nudge" --state "$output/state" \
    --metrics "http://127.0.0.1:$port/metrics" --seconds "$seconds" --samples "$output/samples.csv" &
watch=$!
if [ "$away" -gt 0 ]; then
    sleep $((seconds / 2))
    echo "soak: the broker goes away for $away s"
    scripts/kafka.sh kill
    sleep "$away"
    scripts/kafka.sh restart
    echo "soak: it is back"
fi
wait "$watch" || true
kill "$feed" && wait "$feed" 2>/dev/null || true
feed=''
# All that was fed is to be read before the end.
for _ in $(seq 60); do
    kill -0 "$run" 2>/dev/null || break
    behind=$("$nudge" lag "$output/soak.yaml" | awk 'END {print $NF}')
    [ "$behind" -gt 0 ] || break
    sleep 1
done
kill -TERM "$run" 2>/dev/null || true
code=0
wait "$run" || code=$?
run=''
[ "$code" -eq 0 ] || { tail -20 "$output/nudge.log" >&2; echo "soak: nudge ended with $code" >&2; exit 1; }
python3 scripts/soak_report.py "$output/samples.csv" --plot "$output/soak.svg" --summary "$output/summary.json" \
    --behind "$behind" --away "$((away > 0 ? seconds / 2 : -1)),$away"
