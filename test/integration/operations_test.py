#!/usr/bin/env python3
"""What an engineer on call does to the program: stops it, starts it again, lets it follow files that grow, and watches.
Nothing that was committed is lost or doubled.

    operations_test.py NUDGE [TEST...]
"""
import json
import os
import pty
import re
import select
import signal
import sys
import time

import harness
from harness import (check, equal, event, finish, lines, nudge, outputs, read, records, run_ok,
                     same_outputs, start, wait_for, write)
from live_runs import FOLLOW, PLAIN, SLOW, followed, generate, scored, size, stop_in_the_middle


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


if __name__ == "__main__":
    harness.main(sys.modules["__main__"])
