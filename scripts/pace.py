#!/usr/bin/env python3
"""Passes events on, as JSON lines from standard input, each when its time has come.

    pace.py [--speed X] [--wave SECONDS]

Writes KEY, a tab, and the line; the key is the user, or else the device or session. The first line
goes at once. --speed: event time runs X times as fast as the clock. --wave: the speed swings around
that, from a tenth of it to 1.9 times it, once in so many seconds; after a wave it is where it would be
without.
"""
import argparse
import json
import math
import sys
import time

STEP_S = 0.01
SWING = 0.9


def reached(elapsed, speed, wave):
    """Seconds of event time that have passed `elapsed` seconds after the start."""
    if wave <= 0:
        return elapsed * speed
    turn = 2 * math.pi / wave
    return speed * (elapsed + SWING / turn * (1 - math.cos(turn * elapsed)))


def key_of(event):
    for field in ("user_id", "device_id", "session_hint"):
        if event.get(field):
            return event[field]
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=1)
    parser.add_argument("--wave", type=float, default=0)
    arguments = parser.parse_args()
    first = None
    begin = time.monotonic()
    now_ms = 0  # Event time that may be passed on, from the first event on.
    for line in sys.stdin:
        event = json.loads(line)
        if first is None:
            first = event["event_time"]
            begin = time.monotonic()
        while event["event_time"] - first > now_ms:
            sys.stdout.flush()
            time.sleep(STEP_S)
            now_ms = 1000 * reached(time.monotonic() - begin, arguments.speed, arguments.wave)
        sys.stdout.write(f"{key_of(event)}\t{line}")


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(0)
