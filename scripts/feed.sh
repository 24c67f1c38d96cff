#!/usr/bin/env bash
# Feeds a Kafka topic with a simulated shop's live traffic, keyed by shopper, until it is stopped: each
# event is sent when its time has come, as `nudge generate` makes them, one after the other.
#   scripts/feed.sh BROKERS TOPIC [--rate N] [--wave SECONDS] [--speed X] [-- GENERATE_OPTION...]
#     --rate N        events a second, on the average of a day (default 200)
#     --wave SECONDS  the load swings between almost nothing and almost twice as much in that time
#     --speed X       event time runs X times as fast as the clock; the rate stays (default 1)
# Needs nudge (NUDGE, by default the release build's, else the one on the path), kcat and python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
nudge=${NUDGE:-$here/../build/release/nudge}
command -v "$nudge" >/dev/null || nudge=nudge

usage() {
    sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
    exit 2
}
[ $# -ge 2 ] || usage
brokers=$1 topic=$2 rate=200 wave=0 speed=1
shift 2
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    [ $# -ge 2 ] || usage
    case $1 in
    --rate) rate=$2 ;;
    --wave) wave=$2 ;;
    --speed) speed=$2 ;;
    *) usage ;;
    esac
    shift 2
done
[ "${1:-}" != -- ] || shift
for program in "$nudge" kcat python3; do
    command -v "$program" >/dev/null || { echo "feed.sh: $program is needed" >&2; exit 3; }
done

work=$(mktemp -d)
end() {
    kill $(jobs -p) 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 0' INT TERM
# Events come through a pipe, so that a month of them needs no disk; nobody asks for the truth.
mkfifo "$work/events.jsonl"
ln -s /dev/null "$work/truth.jsonl"
days=30
events=$(python3 -c "print(max(1, round($rate / $speed * 86400 * $days)))")
"$nudge" generate --output "$work" --format jsonl --events "$events" --days "$days" \
    --start "$(date +%s000)" --seed "$$" "$@" >/dev/null 2>"$work/generate.log" &
"$here/pace.py" --speed "$speed" --wave "$wave" <"$work/events.jsonl" |
    kcat -P -E -b "$brokers" -t "$topic" -K '\t' -X partitioner=murmur2_random -X enable.idempotence=true \
        -X linger.ms=5 -X message.timeout.ms=0 &
wait $!
