#!/usr/bin/env python3
"""Hops as their operator sees them, on a real broker: time, topics, and what they do not take."""
import json
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_harness import metrics, wait_for  # noqa: E402
from kafka_hopped import (ALL, PARTITIONS, Hopped, by_event, check_hops,  # noqa: E402
                          feature_names, file_run, flow, read_committed, send, waves)
from kafka_ports import free_port  # noqa: E402

broker = None


# ---- time ----

def watermark(port):
    return metrics(port)['nudge_watermark_seconds{partition="0"}']


def test_a_slow_partition_holds_time_back_over_hops_and_its_events_are_not_late(work):
    topic = broker.make("s" + os.path.basename(work), PARTITIONS)
    port = free_port()
    events = [harness.event(i, f"user-{i % 17}", seconds=60 * i, payment_instrument=f"c{i % 11}",
                            device_id=f"d{i % 13}") for i in range(400)]
    application = Hopped(broker, work, topic, ["device", "card"], ends=False,
                         more=f"metrics: {{listen: '127.0.0.1:{port}'}}").create()

    def records(parts):
        return [{"partition": i % 4, "value": json.dumps(event)}
                for i, event in enumerate(events) if i % 4 in parts]

    running = application.start()
    try:
        broker.send(topic, records((0, 1, 2)))
        wait_for(lambda: read_committed(application, 300) == 300, "three partitions")
        time.sleep(1)  # Were time to move on, it would have.
        check(watermark(port) < harness.START_MS / 1000, f"time moved on to {watermark(port)}")
        for hop in ("device", "card"):  # They are partitions of their own.
            def total(name):
                found = metrics(port)
                return sum(found[f'{name}{{partition="{hop}-{p}"}}'] for p in range(PARTITIONS))
            equal(total("nudge_events_read_total"), 300, f"events of {hop}")
            # The ends of transactions count as well, and stand behind the last record.
            check(total("nudge_kafka_input_lag_records") < 5 * PARTITIONS, f"lag of {hop}")
        broker.send(topic, records((3,)))
        wait_for(lambda: read_committed(application, 400) == 400, "the fourth")
        # The earliest of the partitions' newest events, less the lateness.
        wait_for(lambda: watermark(port) == harness.START_MS / 1000 + 60 * 396 - 5, "time")
        running.stop()
    finally:
        running.kill()
    application.write(ends=True, more="")
    summary = os.path.join(work, "summary")
    application.run("--summary", summary)
    read = json.loads(harness.read(summary))
    equal((read["events_read"], read["late_events"]), (400, 0), "events, late events")


def test_timers_of_the_last_events_fire_behind_hops_when_all_partitions_are_idle(work):
    topic = broker.make("l" + os.path.basename(work), PARTITIONS)
    # A cart is left in the partition that is behind; the others are ten minutes on.
    cart = harness.event(0, "left", "add_to_cart", item="i", price=9000000, quantity=1)
    records = [{"partition": 0, "value": json.dumps(harness.event(90 + i, "left", seconds=i))}
               for i in range(2)] + [{"partition": 0, "value": json.dumps(cart)}]
    records += [{"partition": 1 + i % 2, "value": json.dumps(
        harness.event(i, f"user-{i}", seconds=600 + i, payment_instrument=f"c{i}"))}
        for i in range(1, 7)]
    application = Hopped(broker, work, topic, ["device", "card"], ends=False, rules=kafka_harness.RULES,
                         kafka="  repartition_idle: 300ms\n").create()
    broker.send(topic, records)
    running = application.start()
    try:
        wait_for(lambda: application.values("promotions"), "the promotion of the cart that was left")

        def is_at_rest():
            """Nothing comes any more, and nothing is written any more."""
            before = broker.offsets(application.name)
            time.sleep(2)
            return broker.offsets(application.name) == before
        wait_for(is_at_rest, "offsets at rest")
        running.stop()
    finally:
        running.kill()
    ((_, promotion),) = application.values("promotions")
    equal(promotion["cause"], "idle_cart", "by a timer")


# ---- what is not a record of a hop ----

def route_header(topic):
    return struct.pack("<BBIqqq", 1, 0, 0, 0, harness.START_MS, harness.START_MS) + topic.encode()


def hop_header(version=1, count=0, hash=0, length=None):
    bytes = struct.pack("<BBHIqQ", version, 0, count, 0, harness.START_MS, hash) + count * b"1234"
    return bytes[:length]


def test_headers_of_another_version_and_records_of_another_program_are_told_apart(work):
    topic = broker.make("h" + os.path.basename(work), PARTITIONS)
    event = json.dumps(harness.event(1, payment_instrument="c"))
    for count, (header, words) in enumerate((
            (hop_header(version=2), "header nudge.hop is not of version 1"),
            (hop_header(count=5), "header nudge.hop has other features"),
            (hop_header(count=16, hash=7), "header nudge.hop has other features"))):
        application = Hopped(broker, work, topic, ["device", "card"]).create()
        broker.send(f"{application.name}-repartition", [{
            "partition": 1, "value": event,
            "headers": [("nudge.route", route_header(topic)), ("nudge.hop", header)]}])
        result = application.run(code=2)
        check(words in result.errors and f"{application.name}-repartition, partition 1, offset 0" in
              result.errors, f"{count}: {result}")
    application = Hopped(broker, work, topic, ["device", "card"]).create()
    strange = [{"partition": 1, "value": "{}"}, {"partition": 2, "value": event, "key": "k",
               "headers": [("nudge.route", b"1")]}, {"partition": 3, "value": "x" * 900000}]
    for kind in ("device", "card"):
        broker.send(application.hop(kind), strange)
    broker.send(f"{application.name}-repartition", strange)
    cut = [("nudge.route", route_header(topic)), ("nudge.hop", hop_header(count=3, length=30))]
    broker.send(f"{application.name}-repartition",
                [{"partition": 1, "value": event, "headers": cut},
                 {"partition": 1, "value": event, "headers": cut[:1]}])
    broker.send(topic, [{"partition": 0, "value": event}])
    application.run()
    letters = [item for _, item in application.values("dead_letters")]
    found = sorted((item["source"], item["partition"], item["reason"],
                    "nudge.hop" in item["detail"]) for item in letters)
    name = application.name
    expected = [(source, partition, "not_parsed", False) for partition in "123" for source in
                (f"{name}-by-card", f"{name}-by-device", f"{name}-repartition")]
    expected += [(f"{name}-repartition", "1", "not_parsed", True)] * 2
    equal(found, sorted(expected), "dead letters")
    long = [item for item in letters if item["partition"] == "3"]
    equal([item["length"] for item in long], [900000] * 3, "length of the long ones")
    equal(len(application.values("scored_events")), 1, "scored events")


# ---- operating it ----

def test_topics_of_hops_are_made_checked_and_shown_and_old_records_deleted(work):
    topic = broker.make("o" + os.path.basename(work), PARTITIONS)
    send(broker, topic, flow(300, 5))
    application = Hopped(broker, work, topic, ["card", "terminal"], ends=False,
                         kafka="  repartition_purge: 300ms\n  repartition_idle: 1h\n")
    result = harness.nudge("topics", "create", application.path)
    check("16 topics created" in result.out, f"{result}")
    name = application.hop("terminal")
    for changed, setting, undo, words in (
            (name, "retention.ms=604800000", "retention.ms=-1", "must be -1"),
            (name + "-changelog", "cleanup.policy=delete", "cleanup.policy=compact",
             "must be compact"),
            (name + "-journal", "cleanup.policy=compact", "cleanup.policy=delete", "must be delete")):
        broker.ask("set", changed, setting)
        result = harness.nudge("topics", "check", application.path)
        check(result.code == 2 and changed in result.errors and words in result.errors,
              f"{setting}: {result}")
        broker.ask("set", changed, undo)
    result = harness.nudge("topics", "check", application.path)
    check(result.code == 0, f"{result}")
    running = application.start()
    try:
        # What is committed is deleted, in the end all but what came last.
        for left in (application.hop("card"), name, f"{application.name}-repartition"):
            wait_for(lambda left=left: sum(offset for (topic, _), (offset, _) in
                                           broker.offsets(application.name).items()
                                           if topic == left) >= 300, f"{left} is read")
            wait_for(lambda left=left: len(broker.records(left)) < 20, f"{left} is deleted")
        running.stop()
    finally:
        running.kill()
    lag = harness.nudge("lag", application.path).out
    heads = [line.split(" ")[-1] for line in lag.splitlines() if line.startswith("group")]
    result = harness.nudge("topics", "check", application.path)
    check(result.code == 0, f"{result}")
    equal(heads, [topic, application.hop("card"), name, f"{application.name}-repartition"], "lag")
    equal(len(application.values("scored_events")), 300, "scored events")


def test_other_entities_than_before_are_refused(work):
    topic = broker.make("w" + os.path.basename(work), PARTITIONS)
    send(broker, topic, flow(40, 6))
    for first, then, words in ((["card"], ["device", "card"], "device, card, and group"),
                               (["card"], ["user"], "the user alone, and group"),
                               (["user"], ["card"], "by the user alone")):
        application = Hopped(broker, work, topic, first).create()
        application.run()
        application.entities = then
        application.write()
        for arguments in (("topics", "create", application.path),
                          ("run", application.path, "--state", application.state)):
            result = harness.nudge(*arguments)
            check(result.code == 2 and words in result.errors and
                  "give the application another name" in result.errors, f"{arguments}: {result}")
        application.entities = first
        application.write()
        application.run()


def test_one_partition_needs_no_hop_and_at_least_once_goes_as_well(work):
    topic = broker.make("1" + os.path.basename(work), 1)
    events = [event for wave in waves(6, seed=4) for event in wave]
    broker.send(topic, [{"value": json.dumps(event)} for event in events])
    application = Hopped(broker, work, topic, ALL)
    result = harness.nudge("topics", "create", application.path)
    check("10 topics created" in result.out, f"{result}")
    application.run()
    names = feature_names()
    expected = by_event(file_run(work, application, events)["scored_events"], "files")
    for _, item in application.values("scored_events"):
        for name, a, b in zip(names, item["features"], expected[item["event_id"]]["features"]):
            equal(a, b, f"{item['event_id']}: {name}")
    equal(len(application.values("scored_events")), len(expected), "scored events")
    topic = broker.make("0" + os.path.basename(work), PARTITIONS)
    send(broker, topic, flow(200, 8))
    application = Hopped(broker, work, topic, ["card"], kafka="  exactly_once: false\n").create()
    application.run()
    check_hops(application, topic, "at least once")
    equal(len(application.values("scored_events")), 200, "scored events")


def test_check_says_which_way_records_go_and_what_cannot_be(work):
    application = Hopped(broker, work, "clicks", ["card", "device"])
    result = harness.nudge("check", application.path)
    check(result.code == 0 and f"by device over topic {application.name}-by-device, then by card "
          f"over topic {application.name}-by-card, then by the user's identity, over topic "
          f"{application.name}-repartition" in result.out, f"{result.out} {result}")
    application.entities = ["item"]
    application.write()
    result = harness.nudge("check", application.path)
    check(result.code == 2 and "state by item cannot be kept" in result.errors and
          "repartition" not in result.errors.split("cannot be kept")[1], f"{result}")
    text = harness.read(Hopped(broker, work, "clicks", ["card"]).path).decode()
    path = harness.write(os.path.join(work, "plain.yaml"),
                         text.replace("repartition: true", "repartition: false"))
    result = harness.nudge("check", path)
    check(result.code == 2 and "or set kafka.repartition: true" in result.errors, f"{result}")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
