#!/usr/bin/env python3
"""What a run takes from its topics, on a real broker: several of them in an order that the journal
says, where it begins, keys and headers, trace headers on what comes out, long records."""
import base64
import hashlib
import json
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_harness import (SEVERAL, Application, check_places, file_outputs,  # noqa: E402
                           generate, same, wait_for, without_places)

broker = None
INTERLEAVING = 4


def numbers(payload):
    """Of LEB128."""
    found, value, shift = [], 0, 0
    for byte in payload:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    return found


def merge_by_journal(application, topics, partition):
    """The records of the topics' partitions in the order that the journal says they were taken."""
    waiting = {topic: [] for topic in topics}
    for record in broker.records(*topics):
        if record["partition"] == partition:
            waiting[record["topic"]].append(record)
    merged = []
    for entry in broker.records(f"{application.name}-journal"):
        kind, ordinal, value = struct.unpack("<BQq", entry["value"][:17])
        if entry["partition"] != partition or kind != INTERLEAVING:
            continue
        if value < 0:
            equal(entry["value"][17:].decode().split("\n"), topics, "names in the journal")
            continue
        equal(ordinal, len(merged), "where an order begins")
        pairs = iter(numbers(entry["value"][17:]))
        changes = dict(zip(pairs, pairs))
        at_end = 0
        for taken in range(value):
            at_end = changes.get(taken, at_end)
            place = min((waiting[topic][0]["time_ms"], i) for i, topic in enumerate(topics)
                        if not at_end >> i & 1)[1]
            merged.append(waiting[topics[place]].pop(0))
    check(not any(waiting.values()), f"{sum(map(len, waiting.values()))} records were not taken")
    return merged


def portions(events, count):
    step = (len(events) + count - 1) // count
    return [events[i:i + step] for i in range(0, len(events), step)]


def test_several_topics_are_taken_in_an_order_that_the_journal_says(work):
    base = "m" + os.path.basename(work).replace("-", "")
    topics = [f"{base}.clicks", f"{base}.orders"]
    for topic in topics:
        broker.make(topic, 2)
    application = Application(broker, work, kafka=f"  topics: [{', '.join(topics)}]",
                              ends=False).create()
    events = []
    for partition, path in enumerate(generate(work, 6000, 2)):
        for line in harness.read(path).splitlines():
            item = json.loads(line)
            is_order = item["type"] in ("purchase", "checkout", "payment_failed", "add_to_cart")
            events.append({"topic": topics[is_order], "partition": partition, "value": line,
                           "time_ms": item["event_time"]})
    events.sort(key=lambda item: item["time_ms"])
    running = application.start()
    try:
        # The first portion comes before the instance is there, the others while it runs; it is
        # killed in between.
        for number, portion in enumerate(portions(events, 8)):
            broker.send(None, portion)
            if number == 3:
                running.kill()
                running = application.start()
            time.sleep(0.3 if number else 0)
        wait_for(lambda: sum(offset for offset, _ in
                             broker.offsets(application.name).values()) == len(events),
                 "everything committed")
        running.stop()
    finally:
        running.kill()
    application.write(ends=True)
    application.run()
    lag = harness.nudge("lag", application.path)
    check(lag.code == 0 and lag.out.rstrip().endswith(" 0") and topics[1] in lag.out, f"{lag}")
    files = []
    for partition in range(2):
        merged = merge_by_journal(application, topics, partition)
        equal(len(merged), sum(event["partition"] == partition for event in events), "records")
        check(len({record["topic"] for record in merged}) == 2, "both topics have records")
        files.append(harness.write(os.path.join(work, f"{partition}.jsonl"),
                                   b"".join(record["value"] + b"\n" for record in merged)))
    found = application.outputs()
    check(len(found[("promotions", 0)]) > 3, "promotions")
    same(without_places(found, SEVERAL),
         without_places(file_outputs(work, application, files), SEVERAL), "several topics")
    check_places(application, topics, "several topics",
                 {("decisions", True): 3, ("promotions", False): 3})


def test_topics_are_found_by_a_pattern_and_refused_where_they_do_not_fit(work):
    base = "p" + os.path.basename(work).replace("-", "")
    for name, partitions in (("a", 2), ("b", 2), ("other", 3)):
        broker.make(f"{base}.{name}", partitions)
    application = Application(broker, work, kafka=f"  topic_pattern: '{base}\\.[a-z]'").create()
    events = [harness.event(i, f"u{i % 7}") for i in range(300)]
    broker.send(None, [{"topic": f"{base}.{'ab'[i % 2]}", "partition": i % 7 % 2,
                        "value": json.dumps(event), "time_ms": event["event_time"]}
                       for i, event in enumerate(events)])
    summary = os.path.join(work, "summary")
    application.run("--summary", summary)
    equal(json.loads(harness.read(summary))["events_read"], 300, "events")
    # In the order of time, as here everything was there from the start.
    files = [harness.write(os.path.join(work, f"{p}.jsonl"),
                           harness.lines(event for i, event in enumerate(events)
                                         if i % 7 % 2 == p)) for p in range(2)]
    same(without_places(application.outputs(), SEVERAL),
         without_places(file_outputs(work, application, files), SEVERAL), "pattern")
    check_places(application, [f"{base}.a", f"{base}.b"], "pattern", {("alerts", True): 4})
    for pattern, words in ((f"{base}\\..*", "must have as many"), (f"{base}x", "no topic matches"),
                           ("(", "expected a regular expression")):
        application.write(kafka=f"  topic_pattern: '{pattern}'")
        result = harness.nudge("topics", "check", application.path)
        check(result.code == 2 and words in result.errors, f"{pattern}: {result}")
    application.write(kafka=f"  topics: [{base}.a, {base}.a]")
    result = harness.nudge("check", application.path)
    check(result.code == 2 and "twice" in result.errors, f"{result}")
    application.write(kafka=f"  topics: [{base}.a]\n  topic: {base}.b")
    result = harness.nudge("check", application.path)
    check(result.code == 2 and "kafka.topic" in result.errors, f"{result}")


def test_a_topic_that_is_added_to_the_list_begins_at_its_start(work):
    base = "l" + os.path.basename(work).replace("-", "")
    topics = [broker.make(f"{base}.{name}") for name in "ab"]
    application = Application(broker, work, kafka=f"  topics: [{topics[0]}]", ends=False).create()
    events = [harness.event(i, f"u{i % 5}") for i in range(200)]
    broker.send(topics[0], [{"value": json.dumps(event), "time_ms": event["event_time"]}
                            for event in events[:100]])
    running = application.start()
    wait_for(lambda: broker.offsets(application.name).get((topics[0], 0), (0,))[0] == 100,
             "the first topic")
    running.stop()
    application.write(kafka=f"  topics: [{', '.join(topics)}]", ends=True)
    broker.send(topics[1], [{"value": json.dumps(event), "time_ms": event["event_time"]}
                            for event in events[100:]])
    application.run()
    equal({place: offset for place, (offset, _) in broker.offsets(application.name).items()},
          {(topics[0], 0): 100, (topics[1], 0): 100}, "offsets")
    file = harness.write(os.path.join(work, "all.jsonl"), harness.lines(events))
    # Two of its decisions name a configuration that was changed in between.
    found = without_places(application.outputs(), SEVERAL)
    expected = without_places(file_outputs(work, application, [file]), SEVERAL)
    same({("sessions", 0): found[("sessions", 0)]}, {("sessions", 0): expected[("sessions", 0)]},
         "a topic more")
    check_places(application, topics, "a topic more", {("decisions", True): 4})


def test_a_run_begins_where_it_is_told_to(work):
    topic = broker.make("s" + os.path.basename(work))
    events = [harness.event(i, f"u{i % 5}") for i in range(90)]
    broker.send(topic, [{"value": json.dumps(event), "time_ms": event["event_time"]}
                        for event in events])
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(events[30]["event_time"] / 1000))
    for start, expected in (("earliest", 90), (f"time\n  start_time: {begin}", 60), ("latest", 0),
                            ("time\n  start_time: 2099-01-01T00:00:00Z", 0)):
        application = Application(broker, work, topic, kafka=f"  start: {start}").create()
        summary = os.path.join(work, "summary")
        application.run("--summary", summary)
        equal(json.loads(harness.read(summary))["events_read"], expected, f"start {start}")
        # What was committed once is where the next start goes on, whatever the setting says.
        broker.send(topic, [{"value": json.dumps(harness.event(200)), "time_ms": 1780272200000}])
        application.run("--summary", summary)
        equal(json.loads(harness.read(summary))["events_this_run"], 1, f"again, {start}")
        broker.ask("trim", topic, 0, 0)
        topic = broker.make(topic + "x")
        broker.send(topic, [{"value": json.dumps(event), "time_ms": event["event_time"]}
                            for event in events])


MAPPING = """
fields:
  event_time: {from: kafka.timestamp, format: epoch_ms}
  event_id: {from: id}
  user_id: {from: kafka.key}
  device_id: {from: kafka.header.device}
  shop: {from: kafka.topic}
  type: {from: action, map: {view: product_view}}
  item: {from: item}
"""


def test_an_input_that_is_not_keyed_by_the_user_is_refused(work):
    topic = broker.make("n" + os.path.basename(work), 2)
    mapping = harness.write(os.path.join(work, "mapping.yaml"),
                            "route_by: device_id\n" + MAPPING.lstrip())
    application = Application(broker, work, topic, input=f"  mapping: {mapping}").create()
    for command in (("check",), ("run",)):
        result = harness.nudge(*command, application.path)
        check(result.code == 2 and "users are known by user_id" in result.errors, f"{result}")
    # State by another entity, likewise; one partition holds all of both.
    plain = Application(broker, work, topic)
    text = harness.read(plain.path).decode()
    harness.write(plain.path, text.replace("{memory: 192MiB}",
                                           "{memory: 192MiB, entities: [device]}"))
    for command in (("check",), ("run",)):
        result = harness.nudge(*command, plain.path)
        check(result.code == 2 and "state by device cannot be kept" in result.errors, f"{result}")
    for config in (application.path, plain.path):
        result = harness.nudge("check", config, "--partitions", "1")
        check(result.code == 0, f"{result}")


def test_keys_headers_and_times_of_records_are_at_hand_in_mappings(work):
    topic = broker.make("k" + os.path.basename(work))
    mapping = harness.write(os.path.join(work, "mapping.yaml"), MAPPING)
    application = Application(broker, work, topic, input=f"  mapping: {mapping}").create()
    events, records = [], []
    for i in range(120):
        event = harness.event(i, f"u{i % 5}", item=f"i{i % 3}", device_id=f"d{i % 4}", shop=topic)
        events.append(event)
        records.append({"key": event["user_id"], "time_ms": event["event_time"],
                        "headers": [("device", "old"), ("device", f"d{i % 4}"), ("x", None)],
                        "value": json.dumps({"id": f"e{i}", "action": "view",
                                             "item": event["item"]})})
    broker.send(topic, records)
    application.run()
    plain = Application(broker, work, topic)
    file = harness.write(os.path.join(work, "all.jsonl"), harness.lines(events))
    found, expected = application.outputs(), file_outputs(work, plain, [file])
    for outputs in (found, expected):
        outputs.pop(("scored_events", 0), None)
        for place, values in list(outputs.items()):
            outputs[place] = [value.replace(plain.name.encode(), application.name.encode())
                              for value in values]
    same({("sessions", 0): found[("sessions", 0)]}, {("sessions", 0): expected[("sessions", 0)]},
         "keys and headers")
    equal(len(found[("alerts", 0)]), len(expected[("alerts", 0)]), "alerts")


def test_trace_headers_go_on_to_what_an_event_causes(work):
    topic = broker.make("h" + os.path.basename(work))
    application = Application(broker, work, topic).create()

    def headers(i):
        trace = f"00-{i:032x}-{i:016x}-01"
        return {0: [("traceparent", trace), ("tracestate", f"shop={i}"), ("other", "no")],
                1: [("b3", f"{i:032x}-{i:016x}-1")], 2: []}[i % 3]

    records = []
    for i in range(300):
        event = harness.event(i, f"u{i % 6}")
        value = json.dumps(event) if i % 50 != 7 else "broken"
        records.append({"value": value, "time_ms": event["event_time"], "headers": headers(i)})
    broker.send(topic, records)
    application.run()
    seen = {}
    for record in broker.records(*application.topics()):
        name = record["topic"].split(".", 1)[1]
        value = json.loads(record["value"])
        is_event = name in ("dead_letters", "scored_events") or value.get("cause") == "event"
        expected = [(key, text.encode()) for key, text in headers(value["ordinal"])
                    if key != "other"] if is_event else []
        equal(record["headers"], expected, f"{name} by event {value.get('ordinal')}")
        seen[name] = seen.get(name, 0) + (is_event and bool(expected))
    for name in ("alerts", "decisions", "dead_letters", "scored_events"):
        check(seen[name] > 0, f"{name} with headers: {seen}")
    # None where none are wanted.
    quiet = Application(broker, work, topic, kafka="  trace_headers: []").create()
    quiet.run()
    check(not any(record["headers"] for record in broker.records(*quiet.topics())), "headers")


def test_records_of_a_megabyte_and_more_are_taken_or_become_dead_letters(work):
    topic = broker.make("b" + os.path.basename(work), 1, "max.message.bytes=8000000")
    application = Application(broker, work, topic).create()
    long = "x" * 1000000
    events = [harness.event(0), harness.event(1, attributes={"note": "y" * 500}),
              harness.event(2, search=long), harness.event(3, search=long * 3), harness.event(4)]
    broker.send(topic, [json.dumps(event) for event in events])
    broker.send(topic, ["{" + long * 6])
    broker.send(topic, [json.dumps(harness.event(5))])
    summary = os.path.join(work, "summary")
    application.run("--summary", summary)
    read = json.loads(harness.read(summary))
    equal(read["events_read"], 7, "events")
    file = harness.write(os.path.join(work, "all.jsonl"),
                         harness.lines(events) + b"{" + long.encode() * 6 + b"\n" +
                         harness.lines([harness.event(5)]))
    found, expected = application.outputs(), file_outputs(work, application, [file])
    letters = [json.loads(value) for value in found.pop(("dead_letters", 0))]
    others = [json.loads(value) for value in expected.pop(("dead_letters", 0))]
    same(found, expected, "long records")
    equal([(letter["ordinal"], letter["reason"], letter["length"]) for letter in letters],
          [(3, "too_long", len(json.dumps(events[3]))), (5, "too_long", 6000001)], "dead letters")
    equal([letter["ordinal"] for letter in others], [3, 5], "those of the file")
    equal(letters[1]["sha256"], hashlib.sha256(b"{" + long.encode() * 6).hexdigest(), "hash")
    equal(len(base64.b64decode(letters[1]["content"])), 256 << 10, "content")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
