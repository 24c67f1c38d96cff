#!/usr/bin/env python3
"""What an engineer on call does to the program, and what happens to it: stops, full disks, damaged
state, files that grow. Whatever it is, nothing that was committed is lost or doubled.

    operations_test.py NUDGE [TEST...]
"""
import contextlib
import ctypes
import glob
import gzip
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import harness
from harness import (Skip, check, equal, event, finish, lines, nudge, outputs, read, records, run_ok,
                     same_outputs, start, wait_for, write)

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


def test_a_signal_stops_after_a_commit_and_the_next_run_goes_on(work):
    config = write(f"{work}/config.yaml", SLOW)
    inputs = generate(work, 100000)
    run_ok(config, inputs, f"{work}/whole")
    for number in (signal.SIGTERM, signal.SIGINT):
        output = f"{work}/stopped-{number}"
        result, summary = stop_in_the_middle(config, inputs, output, number)
        check(summary["was_stopped"] and "stopped; run it again" in result.out, f"{result.out}")
        check(0 < summary["events_read"] < 100000, f"{summary['events_read']} events when stopped")
        # What the summary says is what is there: everything was committed.
        equal(len(records(output, "sessions")), summary["session_records"], "sessions when stopped")
        _, second = stop_in_the_middle(config, inputs, output, number)
        check(second["events_read"] == summary["events_read"] + second["events_this_run"],
              f"{summary['events_read']} and {second['events_this_run']} more: "
              f"{second['events_read']}")
        last = run_ok(config, inputs, output)
        check(not last["was_stopped"], "the last run says that it was stopped")
        equal(last["events_read"], 100000, "events of all runs")
        same_outputs(output, f"{work}/whole", f"stopped by signal {number}")


def test_a_stop_is_heard_from_the_first_moment_on(work):
    """While the configuration is read, which a pipe can hold up, signals are caught already."""
    config = f"{work}/config.yaml"
    os.mkfifo(config)
    inputs = write(f"{work}/events.jsonl", lines([event(number) for number in range(100)]))
    process = harness.start("run", config, "--input", inputs, "--output", f"{work}/out")
    with open(config, "wb") as file:
        status = read(f"/proc/{process.pid}/status").decode()
        caught = int(re.search(r"^SigCgt:\t([0-9a-f]+)$", status, re.MULTILINE)[1], 16)
        file.write(b"name: x\n")
    check(caught >> (signal.SIGTERM - 1) & 1 and caught >> (signal.SIGINT - 1) & 1,
          f"signals caught: {caught:x}")
    check(finish(process).code == 0, "the run")


def test_an_empty_input_is_said_to_be_empty(work):
    config = write(f"{work}/config.yaml", PLAIN)
    result = nudge("run", config, "--input", write(f"{work}/empty", ""), "--output", f"{work}/out")
    check(result.code == 0 and "the input is empty" in result.out, f"{result} {result.out}")


def test_running_again_after_the_end_changes_nothing_and_says_so(work):
    config = write(f"{work}/config.yaml", PLAIN)
    inputs = generate(work, 50000)
    first = run_ok(config, inputs, f"{work}/out")
    before = outputs(f"{work}/out")
    result = nudge("run", config, "--input", *inputs, "--output", f"{work}/out", "--summary",
                   f"{work}/again.json")
    check(result.code == 0 and "nothing new" in result.out, f"{result} {result.out}")
    again = json.loads(read(f"{work}/again.json"))
    equal(again["events_this_run"], 0, "events of the second run")
    for key in ("events_read", "sessions", "alerts", "decisions", "duplicates"):
        equal(again[key], first[key], key)
    check(outputs(f"{work}/out") == before, "the outputs changed")


def test_a_file_that_has_grown_since_its_end_is_read_on(work):
    config = write(f"{work}/config.yaml", PLAIN)
    kinds = ("product_view", "add_to_cart", "search", "purchase")
    day = [lines([event(1000 * part + number, user=f"u{number % 9}", kind=kinds[number % 4], item="i",
                        price=5000000, seconds=86400 * part + 20 * number) for number in range(80)])
           for part in (0, 1)]
    path = write(f"{work}/events.jsonl", day[0])
    first = run_ok(config, [path], f"{work}/out")
    with open(path, "ab") as file:
        file.write(day[1])
    second = run_ok(config, [path], f"{work}/out")
    equal((first["events_read"], second["events_this_run"]), (80, 80), "events")
    run_ok(config, [path], f"{work}/whole")
    for topic in ("sessions", "promotions", "alerts"):
        # What was open at the end of the first day was closed then, and not as the second went by.
        found, expected = (sorted(json.dumps(record) for record in records(f"{work}/{name}", topic))
                           for name in ("out", "whole"))
        check(expected, f"no {topic}")
        equal(found, expected, topic)
    # Within a session, too: it was closed early, and the rest is a revision of it.
    with open(path, "ab") as file:
        file.write(lines([event(5000, user="u7", seconds=86400 + 1700)]))
    third = run_ok(config, [path], f"{work}/out")
    equal((third["events_this_run"], third["dead_letters"]["total"]), (1, 0), "one event more")


SUMMARY_KEYS = ("events_read", "events_accepted", "duplicates", "late_events", "dead_letters",
                "sessions", "alerts", "promotions", "decisions", "elapsed_seconds", "cpu_seconds",
                "peak_memory_bytes")


def test_the_summary_agrees_with_the_outputs(work):
    config = write(f"{work}/config.yaml", PLAIN)
    inputs = generate(work, 30000)
    content = read(inputs[0]).splitlines(keepends=True)
    content[100:100] = [b"not json\n"] * 7 + [lines([event(0, price=-5)])] * 3
    write(inputs[0], b"".join(content))
    result = nudge("run", config, "--input", *inputs, "--output", f"{work}/out", "--summary",
                   f"{work}/summary.json")
    equal(result.code, 0, "exit")
    summary = json.loads(read(f"{work}/summary.json"))
    missing = [key for key in SUMMARY_KEYS if key not in summary]
    check(not missing, f"missing: {missing}")
    written = {topic: len(records(f"{work}/out", topic)) for topic in harness.TOPICS}
    for key, topic in (("session_records", "sessions"), ("late_event_records", "late_events"),
                       ("alerts", "alerts"), ("promotions", "promotions"),
                       ("decisions", "decisions"), ("scored_events", "scored_events")):
        check(written[topic] > 0, f"no {topic}")
        equal(summary[key], written[topic], key)
    distinct = {record["session_id"] for record in records(f"{work}/out", "sessions")}
    check(0 < summary["sessions"] <= len(distinct), f"{summary['sessions']} sessions")
    equal(summary["dead_letters"]["total"], written["dead_letters"], "dead letters")
    reasons = {}
    for letter in records(f"{work}/out", "dead_letters"):
        reasons[letter["reason"]] = reasons.get(letter["reason"], 0) + 1
    equal({key: value for key, value in summary["dead_letters"]["by_reason"].items() if value},
          reasons, "dead letters by reason")
    equal(reasons, {"not_parsed": 7, "negative_price": 3}, "reasons")
    equal(summary["events_read"], 30010, "events read")
    equal(summary["events_read"], summary["events_accepted"] + summary["duplicates"]
          + summary["late_diverted"] + summary["events_skipped"] + summary["dead_letters"]["total"],
          "the sum of what became of each record")
    equal(sum(summary["events_by_type"].values()), summary["events_accepted"], "events by type")
    equal(summary["late_events"], written["late_events"], "late events and those written")
    check(summary["elapsed_seconds"] > 0 and summary["cpu_seconds"] > 0
          and summary["peak_memory_bytes"] > 1 << 20, f"{summary}")
    for topic, count in written.items():
        check(re.search(rf"^  {topic} +{count}$", result.out, re.MULTILINE),
              f"{topic} {count} is not in the summary: {result.out}")
    check("not_parsed" in result.out and "event time reached 2026-06-" in result.out, result.out)


def test_two_workers_write_what_one_writes(work):
    config = write(f"{work}/config.yaml", PLAIN)
    inputs = generate(work, 40000, "--partitions", 4)
    equal(len(inputs), 4, "partitions")
    one = run_ok(config, inputs, f"{work}/one", "--workers", 1)
    for workers in (2, 4, 9):
        more = run_ok(config, inputs, f"{work}/{workers}", "--workers", workers)
        same_outputs(f"{work}/{workers}", f"{work}/one", f"{workers} workers")
        equal(more["sessions"], one["sessions"], "sessions")
    check(os.path.exists(f"{work}/one/sessions/3.jsonl"), "partition 3 has no sessions")


def test_standard_input_gives_what_the_file_gives(work):
    config = write(f"{work}/config.yaml", PLAIN)
    inputs = generate(work, 20000)
    whole = run_ok(config, inputs, f"{work}/file")
    summary = run_ok(config, ["-"], f"{work}/pipe", stdin=read(inputs[0]))
    equal(summary["events_read"], whole["events_read"], "events")
    same_outputs(f"{work}/pipe", f"{work}/file", "standard input")
    # Fed again after a stop: what was read before is skipped.
    summary = run_ok(config, ["-"], f"{work}/pipe", stdin=read(inputs[0]))
    equal(summary["events_this_run"], 0, "events of the second feeding")
    same_outputs(f"{work}/pipe", f"{work}/file", "standard input, fed again")


def test_input_files_of_the_configuration_are_read(work):
    generate(work, 2000)
    config = write(f"{work}/config.yaml", f"input: {{files: [{work}/in/events.jsonl]}}\n"
                   f"output: {{directory: {work}/here}}\n")
    result = nudge("run", config)
    check(result.code == 0 and size(f"{work}/here/sessions/0.jsonl"), f"{result}")


# Files that grow.


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


FOLLOW = "commit: {interval: 20ms}\noutput: {scored_events_share: 1}\n"


def test_a_followed_file_is_read_as_it_grows(work):
    config = write(f"{work}/config.yaml", FOLLOW)
    path = f"{work}/events.jsonl"
    content = lines([event(number, user=f"u{number % 7}") for number in range(90)])
    steps = [content[:2000], content[2000:2001], content[2001:9000], content[9000:]]
    with open(path, "wb") as file:
        with followed(config, [path], f"{work}/out", "--follow") as process:
            for end, step in enumerate(steps):
                file.write(step)
                file.flush()
                whole = b"".join(steps[:end + 1]).count(b"\n")
                wait_for(lambda: scored(f"{work}/out") == whole, 20,
                         f"{whole} events; {scored(f'{work}/out')} are there")
                check(process.poll() is None, "it ended by itself")
    summary = json.loads(read(f"{work}/out.json"))
    equal((summary["events_read"], summary["was_stopped"]), (90, True), "summary")
    equal(summary["dead_letters"]["total"], 0, "dead letters")
    # Nothing was drained: the sessions are still open, and more input goes on with them.
    equal(records(f"{work}/out", "sessions"), [], "sessions")
    with open(path, "ab") as file:
        file.write(lines([event(100, user="u1")]))
    with followed(config, [path], f"{work}/out", "--follow"):
        wait_for(lambda: scored(f"{work}/out") == 91, 20, "the event of the second run")
    # A run to the end of it closes what is open, as one run would have.
    run_ok(config, [path], f"{work}/out")
    run_ok(config, [path], f"{work}/whole")
    same_outputs(f"{work}/out", f"{work}/whole", "followed in steps")


def test_a_followed_file_may_be_rotated(work):
    config = write(f"{work}/config.yaml", FOLLOW + "input: {follow: true}\n")
    path = f"{work}/events.jsonl"
    write(path, lines([event(number) for number in range(50)]))
    with followed(config, [path], f"{work}/out"):
        wait_for(lambda: scored(f"{work}/out") == 50, 20, "the events of the first file")
        with open(path, "ab") as old:
            os.rename(path, path + ".1")
            old.write(lines([event(number) for number in range(50, 60)]))
        write(path, lines([event(number) for number in range(60, 65)]))
        wait_for(lambda: scored(f"{work}/out") == 65, 20,
                 f"the events of both files; {scored(f'{work}/out')} are there")
        with open(path, "wb") as file:  # Cut to nothing and begun again.
            file.write(lines([event(65)]))
        wait_for(lambda: scored(f"{work}/out") == 66, 20,
                 f"the event after the cut; {scored(f'{work}/out')} are there")
    # Replaced by a longer one while nobody looked.
    write(path, lines([event(number) for number in range(66, 70)]))
    with followed(config, [path], f"{work}/out"):
        wait_for(lambda: scored(f"{work}/out") == 70, 20,
                 f"the events of the file that came meanwhile; {scored(f'{work}/out')} are there")
    ids = [record["event_id"] for record in records(f"{work}/out", "scored_events")]
    equal(ids, [f"e{number}" for number in range(70)], "event ids in order")


IDLE = """
commit: {interval: 20ms}
input: {follow: true, allowed_lateness: 0s, idle_after: 300ms}
emit_interventions:
  rules: [{name: cart, on: {idle_cart: 2s}, promotion: {kind: reminder, valid_for: 1d}}]
"""


def test_a_cart_goes_idle_while_nothing_comes(work):
    config = write(f"{work}/config.yaml", IDLE)
    path = write(f"{work}/events.jsonl", lines([event(0, kind="add_to_cart", item="i",
                                                      price=5000000)]))
    promotions = f"{work}/out/promotions/0.jsonl"
    with followed(config, [path], f"{work}/out"):
        wait_for(lambda: size(promotions), 20, "the promotion")
        # Later input goes on after the time that the clock made.
        write(path, read(path) + lines([event(1, kind="product_view", seconds=3600)]))
        time.sleep(0.5)
    found = records(f"{work}/out", "promotions")
    equal([(item["rule"], item["cause"]) for item in found], [("cart", "idle_cart")], "promotions")
    summary = json.loads(read(f"{work}/out.json"))
    check(summary["ticks"] > 0, "no tick was counted")
    equal(summary["events_accepted"], 2, "events")
    # Without idle_after the watermark waits.
    config = write(f"{work}/waits.yaml", IDLE.replace(", idle_after: 300ms", ""))
    path = write(f"{work}/one.jsonl", lines([event(0, kind="add_to_cart", item="i")]))
    with followed(config, [path], f"{work}/waits"):
        time.sleep(3)
    equal(size(f"{work}/waits/promotions/0.jsonl"), 0, "promotions without idle_after")


# State and outputs that are not as they were left.


def fingerprint(output):
    """Outputs and log; RocksDB's own files only where it keeps data."""
    found = outputs(output)
    for path in glob.glob(f"{output}/.state/*/log/*.log"):
        found[path[len(output):]] = read(path)
    return found


def refuses(config, inputs, output, words, what, code=1):
    """The run must fail so, and leave outputs and log as they are."""
    before = fingerprint(output) if os.path.isdir(output) else {}
    result = nudge("run", config, "--input", *inputs, "--output", output)
    check(result.code == code, f"{what}: {result}")
    missing = [word for word in words if word not in result.errors]
    check(not missing, f"{what}: {missing} missing in: {result.errors.strip()}")
    after = fingerprint(output) if os.path.isdir(output) else {}
    for path, content in before.items():
        check(after.get(path) == content, f"{what}: {path} was changed by the refused run")


def make_stopped(work, segment="64KiB"):
    """A run that was stopped in its middle, after some commits."""
    config = write(f"{work}/config.yaml", SLOW.replace("64KiB", segment))
    inputs = generate(work, 100000)
    stop_in_the_middle(config, inputs, f"{work}/stopped", least=1000000)
    return config, inputs, f"{work}/stopped"


def flip(path, at, count=16):
    content = bytearray(read(path))
    at = at if at >= 0 else len(content) + at
    check(at + count <= len(content), f"{path} is too short to be damaged at {at}")
    content[at:at + count] = bytes(byte ^ 255 for byte in content[at:at + count])
    write(path, bytes(content))


def last_log(output):
    return sorted(glob.glob(f"{output}/.state/0/log/*.log"))[-1]


def test_a_state_directory_in_use_is_refused(work):
    config = write(f"{work}/config.yaml", FOLLOW)
    path = write(f"{work}/events.jsonl", lines([event(0)]))
    with followed(config, [path], f"{work}/out", "--follow"):
        wait_for(lambda: scored(f"{work}/out") == 1, 20, "the event")
        before = outputs(f"{work}/out")
        # The same outputs with another state directory are in use as well.
        for state in (f"{work}/out/.state", f"{work}/other"):
            result = nudge("run", config, "--input", path, "--output", f"{work}/out", "--state",
                           state)
            check(result.code == 1 and "another process" in result.errors, f"{state}: {result}")
        check(outputs(f"{work}/out") == before, "the refused run changed the outputs")
    run_ok(config, [path], f"{work}/out")


def test_damaged_state_and_outputs_are_refused_and_left_alone(work):
    config, inputs, stopped = make_stopped(work)

    def newer_log(output):
        content = bytearray(read(last_log(output)))
        content[8:12] = (77).to_bytes(4, "little")
        write(last_log(output), bytes(content))

    def log_header(output):
        flip(last_log(output), 0, 8)

    def no_log(output):
        shutil.rmtree(f"{output}/.state/0/log")

    def no_store(output):
        shutil.rmtree(f"{output}/.state/0/store")

    def no_current(output):
        os.remove(f"{output}/.state/0/store/CURRENT")

    def damage_manifest(output):
        flip(glob.glob(f"{output}/.state/0/store/MANIFEST-*")[0], 40)

    def cut_output(output):
        os.truncate(f"{output}/alerts/0.jsonl", 100)

    def no_output(output):
        os.remove(f"{output}/sessions/0.jsonl")

    def no_outputs(output):
        for folder in harness.TOPICS:
            shutil.rmtree(f"{output}/{folder}", ignore_errors=True)

    def no_state(output):
        shutil.rmtree(f"{output}/.state")

    cases = [
        (newer_log, ["/log/", "newer version", "77"]),
        (log_header, ["/log/", "corrupt"]),
        (no_log, ["/log", "no log"]),
        (no_store, ["/log", "do not belong together"]),
        (no_current, ["/store", "orrupt"]),
        (damage_manifest, ["/store", "orrupt"]),
        (cut_output, ["alerts/0.jsonl", "committed output is missing", "100 there"]),
        (no_output, ["sessions/0.jsonl", "committed output is missing", "no file"]),
        (no_outputs, ["committed output is missing"]),
        (no_state, ["of another run", "state"]),
    ]
    problems = []
    for damage, words in cases:
        output = f"{work}/{damage.__name__}"
        shutil.copytree(stopped, output)
        damage(output)
        try:
            refuses(config, inputs, output, words, damage.__name__)
            # Again the same: the refusal itself repaired or broke nothing.
            refuses(config, inputs, output, [], damage.__name__ + " again")
        except AssertionError as error:
            problems.append(str(error))
        shutil.rmtree(output)
    check(not problems, f"{len(problems)} cases:\n    " + "\n    ".join(problems))
    # What was copied was good: it still goes on.
    run_ok(config, inputs, stopped)
    run_ok(config, inputs, f"{work}/whole")
    same_outputs(stopped, f"{work}/whole", "the copied state")


def test_damage_in_the_middle_of_the_log_is_no_torn_tail(work):
    config, inputs, stopped = make_stopped(work, "64MiB")
    length = len(read(last_log(stopped)).rstrip(b"\0"))
    for at in (length // 4, length // 2):
        output = f"{work}/damaged"
        shutil.copytree(stopped, output)
        flip(last_log(output), at)
        refuses(config, inputs, output, ["/log/", "corrupt at offset"], f"damage at {at}")
        shutil.rmtree(output)


def test_damaged_state_files_end_the_run_before_anything_wrong_is_written(work):
    config, inputs, stopped = make_stopped(work)
    run_ok(config, inputs, f"{work}/whole")
    whole = outputs(f"{work}/whole")
    tables = sorted(glob.glob(f"{stopped}/.state/0/store/*.sst"), key=os.path.getsize)
    check(tables, "no state files")
    detected = 0
    for table in (tables[-1], tables[0]):
        for at in (size(table) // 3, -20):
            output = f"{work}/damaged"
            shutil.copytree(stopped, output)
            flip(table.replace(stopped, output), at)
            before = outputs(output)
            result = nudge("run", config, "--input", *inputs, "--output", output)
            if result.code == 0:
                same_outputs(output, f"{work}/whole", "damage that was not in the way")
            else:
                detected += 1
                check(result.code == 1 and "/store" in result.errors
                      and "orrupt" in result.errors, f"{table}: {result}")
                for path, content in outputs(output).items():
                    check(whole[path].startswith(content), f"{path} is not as it should be")
                    check(content.startswith(before.get(path, b"")), f"{path} lost records")
            shutil.rmtree(output)
    check(detected >= 2, f"{detected} of 4 damages were found")


def test_a_torn_tail_of_log_and_outputs_is_dropped(work):
    config, inputs, stopped = make_stopped(work)
    run_ok(config, inputs, f"{work}/whole")
    with open(last_log(stopped), "rb") as file:
        frames = file.read().rstrip(b"\0")
    # Half of a next frame, and records that no commit stands for.
    with open(last_log(stopped), "r+b") as file:
        file.seek(len(frames) + 8)
        file.write(frames[200:230])
    with open(f"{stopped}/sessions/0.jsonl", "ab") as file:
        file.write(b'{"session_id":"never committed"')
    run_ok(config, inputs, stopped)
    same_outputs(stopped, f"{work}/whole", "after a torn tail")


def test_another_input_than_before_is_refused(work):
    config = write(f"{work}/config.yaml", PLAIN)
    path = write(f"{work}/events.jsonl", lines([event(number) for number in range(100)]))
    run_ok(config, [path], f"{work}/out")
    write(path, lines([event(number) for number in range(50)]))
    refuses(config, [path], f"{work}/out", [path, "expected"], "a shorter file", code=2)


def test_files_in_another_order_than_before_are_refused(work):
    config = write(f"{work}/config.yaml", PLAIN)
    content = [lines([event(number, user=f"{name}{number}") for number in range(100)])
               for name in "ab"]
    paths = [write(f"{work}/{name}.jsonl", text) for name, text in zip("ab", content)]
    packed = write(f"{work}/a.jsonl.gz", gzip.compress(content[0], mtime=0))
    run_ok(config, paths, f"{work}/out")
    refuses(config, paths[::-1], f"{work}/out", [paths[1], "record 100", "order"], "swapped", code=2)
    # One that is another, be it longer, packed, or the same but for its first byte.
    write(f"{work}/other.jsonl", content[1] * 2)
    write(f"{work}/first.jsonl", b" " + content[0][1:])
    for name in ("other.jsonl", "first.jsonl"):
        refuses(config, [f"{work}/{name}", paths[1]], f"{work}/out", [name, "record 100"], name,
                code=2)
    # The same bytes under another name, or packed, are the same input.
    os.rename(paths[0], f"{work}/moved.jsonl")
    for name in (f"{work}/moved.jsonl", packed):
        equal(run_ok(config, [name, paths[1]], f"{work}/out")["events_this_run"], 0, name)


def test_fewer_files_than_the_state_has_partitions_are_refused(work):
    """What the left-out files still have would be missing from the outputs, and nobody would know."""
    config = write(f"{work}/config.yaml", PLAIN)
    paths = [write(f"{work}/{name}.jsonl", lines([event(number, user=f"{name}{number}")
                                                  for number in range(100)])) for name in "abc"]
    run_ok(config, paths, f"{work}/out")
    refuses(config, paths[:1], f"{work}/out",
            [f"{work}/out/.state", "partitions 1 to 2", "1 given", "expected the same input files"],
            "one of three", code=2)
    refuses(config, paths[:2], f"{work}/out", ["of partition 2,", "2 given"], "two of three", code=2)
    equal(run_ok(config, paths, f"{work}/out")["events_this_run"], 0, "events of all three again")
    # A file more is a partition more.
    paths.append(write(f"{work}/d.jsonl", lines([event(number, user="d") for number in range(10)])))
    equal(run_ok(config, paths, f"{work}/out")["events_this_run"], 10, "events of the fourth")
    # A partition that never committed anything is none, nor is what else lies in the folder.
    os.makedirs(f"{work}/out/.state/4/log")
    os.makedirs(f"{work}/out/.state/notes")
    write(f"{work}/out/.state/4/log/lock", "")
    equal(run_ok(config, paths, f"{work}/out")["events_this_run"], 0, "events of all four again")


def test_standard_input_with_a_header_is_read_on(work):
    write(f"{work}/mapping.yaml", "fields: {event_time: {from: when, format: epoch_ms}, type: what, "
          "user_id: who}\n")
    config = write(f"{work}/config.yaml", "input: {format: csv, mapping: mapping.yaml}\n")
    rows = [f"{harness.START_MS + 1000 * number},page_view,u{number % 7}" for number in range(200)]
    text = "\n".join(["when,what,who"] + rows[:100]) + "\n"
    run_ok(config, ["-"], f"{work}/out", stdin=text.encode())
    text += "\n".join(rows[100:]) + "\n"
    summary = run_ok(config, ["-"], f"{work}/out", stdin=text.encode())
    equal((summary["events_read"], summary["events_this_run"]), (200, 100), "events")
    equal(summary["dead_letters"]["total"], 0, "dead letters")


def test_another_output_format_than_before_is_refused(work):
    path = write(f"{work}/events.jsonl", lines([event(number) for number in range(100)]))
    config = write(f"{work}/config.yaml", "name: x\n")
    run_ok(config, [path], f"{work}/out")
    write(config, "name: x\noutput: {format: avro}\n")
    refuses(config, [path], f"{work}/out", ["jsonl", "avro"], "another format", code=2)


def test_folders_that_cannot_be_written_are_refused(work):
    config = write(f"{work}/config.yaml", PLAIN)
    path = write(f"{work}/events.jsonl", lines([event(0)]))
    in_the_way = write(f"{work}/file", "")
    for name, more in (("output", ["--output", in_the_way]),
                       ("below a file", ["--output", f"{in_the_way}/out"]),
                       ("state", ["--output", f"{work}/out", "--state", f"{in_the_way}/state"]),
                       ("no such place", ["--output", "/proc/nudge"]),
                       ("topic", ["--output", f"{work}/topic"])):
        if name == "topic":
            write(f"{work}/topic/sessions", "")
        result = nudge("run", config, "--input", path, *more)
        where = more[-1] if name != "topic" else f"{work}/topic/sessions"
        check(result.code == 1 and where in result.errors, f"{name}: {result}")
    # The summary that cannot be written is said, after a run that counts.
    result = nudge("run", config, "--input", path, "--output", f"{work}/good", "--summary",
                   f"{in_the_way}/summary.json")
    check(result.code == 1 and f"{in_the_way}/summary.json" in result.errors, f"summary: {result}")
    summary = run_ok(config, [path], f"{work}/good")
    equal((summary["events_read"], summary["events_this_run"]), (1, 0), "events after it")
    if os.geteuid() == 0:
        return
    os.makedirs(f"{work}/locked", mode=0o500)
    result = nudge("run", config, "--input", path, "--output", f"{work}/locked/out")
    check(result.code == 1 and "Permission denied" in result.errors, f"no permission: {result}")


@contextlib.contextmanager
def small_disk(work, kilobytes):
    """A file system of that size, if this user may mount one."""
    folder = f"{work}/disk"
    os.makedirs(folder)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={kilobytes}k".encode()
    if libc.mount(b"none", folder.encode(), b"tmpfs", 0, options) != 0:
        raise Skip(f"cannot mount a small disk: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        libc.umount2(folder.encode(), 2)


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(work):
    config = write(f"{work}/config.yaml", SLOW)
    inputs = generate(work, 30000)
    run_ok(config, inputs, f"{work}/whole")
    whole = outputs(f"{work}/whole")
    for name in ("output", "state", "both"):
        with small_disk(f"{work}/{name}", 2500) as disk:
            output = f"{disk}/out" if name != "state" else f"{work}/{name}/out"
            state = f"{disk}/state" if name != "output" else f"{work}/{name}/state"
            result = nudge("run", config, "--input", *inputs, "--output", output, "--state", state)
            check(result.code == 1 and "No space left" in result.errors, f"{name}: {result}")
            for path, content in outputs(output).items():
                check(whole[path].startswith(content) or content.startswith(whole[path]),
                      f"{name}: {path} is not the beginning of what it should be")
            # There is room again: the same command goes on, as if nothing had been.
            libc = ctypes.CDLL(None, use_errno=True)
            equal(libc.mount(b"none", disk.encode(), b"tmpfs", 32, b"size=200m"), 0, "more room")
            result = nudge("run", config, "--input", *inputs, "--output", output, "--state", state)
            check(result.code == 0, f"{name}, with room: {result}")
            same_outputs(output, f"{work}/whole", f"{name}: after the full disk")


# Terminal, pipes, memory.


def test_output_that_does_not_arrive_is_an_error(work):
    config = write(f"{work}/config.yaml", PLAIN)
    path = write(f"{work}/events.jsonl", lines([event(0)]))
    run = ("run", config, "--input", path, "--output", f"{work}/out", "--summary", f"{work}/s.json")
    commands = [("describe", "features"), ("check", config), ("--help",), ("run", "--help"), run]
    for command in commands:
        name = " ".join(command[:2])
        with open("/dev/full", "wb") as full:
            result = finish(start(*command, stdout=full))
        check(result.code == 1 and "No space left" in result.errors, f"{name} > full: {result}")
        reader, writer = os.pipe()
        os.close(reader)
        process = start(*command, stdout=writer)
        os.close(writer)
        result = finish(process)
        check(result.code == 1 and "Broken pipe" in result.errors, f"{name} | nobody: {result}")
        script = 'exec "$0" "$@" >&-'
        result = finish(subprocess.Popen(["sh", "-c", script, harness.NUDGE, *command],
                                         stderr=subprocess.PIPE))
        check(result.code == 1 and "standard output" in result.errors, f"{name} >&-: {result}")
    # The work was done and committed all the same, and nothing was printed into its files.
    equal(json.loads(read(f"{work}/s.json"))["events_read"], 1, "events")
    for path, content in outputs(f"{work}/out").items():
        check(content.startswith(b'{"'), f"{path}: {content[:60]}")


def test_progress_is_shown_on_a_terminal(work):
    config = write(f"{work}/config.yaml", SLOW)
    inputs = generate(work, 100000)
    master, terminal = pty.openpty()
    process = start("run", config, "--input", *inputs, "--output", f"{work}/out", stderr=terminal)
    os.close(terminal)
    shown = b""
    while True:
        ready, _, _ = select.select([master], [], [], 60)
        try:
            block = os.read(master, 65536) if ready else b""
        except OSError:  # The other end was closed.
            block = b""
        if not block:
            break
        shown += block
    os.close(master)
    result = finish(process)
    equal(result.code, 0, "exit")
    shown = shown.decode()
    drawn = re.findall(r"\r\x1b\[K *(\d+)% (\d+) events  (\d+)/s  at (\S+)  (\d+) alerts  (\d+) "
                       r"promotions  (\d+) dead letters", shown)
    check(len(drawn) >= 2, f"progress: {shown[-400:]!r}")
    equal((drawn[-1][0], drawn[-1][1]), ("100", "100000"), "the last line's share and events")
    counts = [int(line[1]) for line in drawn]
    check(counts == sorted(counts) and drawn[-1][3].startswith("2026-06-"), f"{drawn}")


def test_progress_is_logged_every_ten_seconds_elsewhere(work):
    config = write(f"{work}/config.yaml", FOLLOW)
    path = write(f"{work}/events.jsonl", lines([event(number) for number in range(30)]))
    with followed(config, [path], f"{work}/out", "--follow") as process:
        time.sleep(21)
    found = re.findall(r"^\S+Z info progress events=(\d+) .*event_time=(\S+) alerts=\d+ "
                       r"promotions=\d+ dead_letters=\d+$", process.result.errors, re.MULTILINE)
    equal(len(found), 2, f"progress lines in 21 s: {process.result.errors}")
    equal(found[0][0], "30", "events")


def run_measured(config, inputs, output):
    """Runs with all workers; the system's own account of the largest resident memory, in bytes."""
    process = start("run", config, "--input", *inputs, "--output", output, "--summary",
                    f"{output}.json", "--workers", 2, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, ProcessLookupError):
            with open(f"/proc/{process.pid}/status") as file:
                found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
                peak = int(found.group(1)) * 1024 if found else peak
        time.sleep(0.05)
    result = finish(process)
    check(result.code == 0, f"{result}")
    return peak


def check_cap(work, cap_mib, users, events, partitions):
    """A run over so many users that only a part of them is held stays below the memory given."""
    folder, output = f"{work}/in{users}-{partitions}", f"{work}/out{users}-{partitions}"
    config = write(f"{work}/{cap_mib}.yaml", "input: {format: avro}\ncommit: {sync: false}\n"
                   f"state: {{memory: {cap_mib}MiB}}\n" + RULES)
    result = nudge("generate", "--output", folder, "--events", events, "--users", users,
                   "--zipf", 0, "--days", 3, "--seed", 2, "--partitions", partitions)
    check(result.code == 0, f"generate: {result}")
    peak = run_measured(config, sorted(glob.glob(f"{folder}/*.avro")), output) / (1 << 20)
    summary = json.loads(read(f"{output}.json"))
    again = summary["cache_misses"] - summary["cache_new_records"]
    print(f"  memory: {peak:.0f} MiB of {cap_mib}, {users} users, {partitions} partitions, "
          f"{summary['cache_new_records']} records, {again} read again from the store, "
          f"{summary['elapsed_seconds']:.1f} s", flush=True)
    shutil.rmtree(folder)
    shutil.rmtree(output)
    check(0 < peak <= cap_mib, f"{peak:.0f} MiB, at most {cap_mib} expected")
    said = summary["peak_memory_bytes"] / (1 << 20)
    check(abs(said - peak) < 16, f"the summary says {said:.0f} MiB, not {peak:.0f}")
    check(again > 10000, "the cache held everything: the cap was not tried")


def test_memory_stays_below_the_cap(work):
    if b"__asan_init" in read(harness.NUDGE):
        raise Skip("the address sanitizer has its own idea of memory")
    for partitions in (1, 4):
        check_cap(work, 160, 400000, 1000000, partitions)


def test_five_million_users_stay_below_512_mib(work):
    if b"__asan_init" in read(harness.NUDGE):
        raise Skip("the address sanitizer has its own idea of memory")
    check_cap(work, 512, 5000000, 4000000, 1)


if __name__ == "__main__":
    harness.main(sys.modules["__main__"])
