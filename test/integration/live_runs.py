"""Runs that are met while they run, or that follow their input: what several tests begin with."""
import contextlib
import glob
import json
import os
import signal

from harness import check, finish, nudge, read, start, wait_for

RULES = """
output: {scored_events_share: 0.02}
emit_interventions:
  rules:
    - {name: cart, on: {idle_cart: 10m}, promotion: {kind: reminder, valid_for: 1d}, cooldown: 1h}
    - {name: bought, on: purchase, if: price > 1, alert: {severity: low, reason: "{price}"}}
"""
# Many small batches and commits, so that a run can be met in its middle.
SLOW = "name: operations\nrun: {batch: 16}\ncommit: {interval: 10ms, segment: 64KiB}\n" + RULES
PLAIN = "name: operations\n" + RULES
FOLLOW = "commit: {interval: 20ms}\noutput: {scored_events_share: 1}\n"


def generate(work, events, *more, name="in"):
    folder = f"{work}/{name}"
    result = nudge("generate", "--output", folder, "--events", events, "--users", events // 10,
                   "--seed", 5, "--format", "jsonl", *more)
    check(result.code == 0, f"generate: {result}")
    return sorted(glob.glob(f"{folder}/events*.jsonl"))


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def stop_in_the_middle(config, inputs, output, number=signal.SIGTERM, least=1):
    """Starts a run, sends the signal when it has written `least` bytes of sessions; returns result
    and summary."""
    summary = f"{output}.stopped.json"
    process = start("run", config, "--input", *inputs, "--output", output, "--summary", summary)
    written = size(f"{output}/sessions/0.jsonl")
    wait_for(lambda: size(f"{output}/sessions/0.jsonl") >= written + least or process.poll() is not None, 30,
             "the first output")
    process.send_signal(number)
    result = finish(process)
    check(result.code == 0, f"stopped: {result}")
    return result, json.loads(read(summary))


@contextlib.contextmanager
def followed(config, inputs, output, *more):
    """A run that follows its input; stopped with SIGTERM at the end."""
    process = start("run", config, "--input", *inputs, "--output", output, "--summary",
                    f"{output}.json", *more)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.result = finish(process)
    check(process.result.code == 0, f"followed: {process.result}")


def scored(output):
    path = f"{output}/scored_events/0.jsonl"
    return read(path).count(b"\n") if os.path.exists(path) else 0
