#!/usr/bin/env python3
"""Input that is not keyed by the user, sent on to its users' partitions, on a real broker."""
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_disturbed import TRANSACTION_S, Disturbed, feed  # noqa: E402
from kafka_harness import (Application, check_places, file_outputs, get, metrics,  # noqa: E402
                           same, wait_for)
from kafka_marks import CUT, murmur2, partition_of  # noqa: E402
from kafka_ports import free_port  # noqa: E402
from kafka_routed import check_routed, letters, route, routed, scattered  # noqa: E402
from kafka_wire_test import (FIRST, UNRESOLVED, Registry, datum, frame, section,  # noqa: E402
                             some_events, text_of)

broker = None


def test_the_partitioner_is_that_of_apaches_producers(work):
    for text, hash in (("21", -973932308), ("foobar", -790332482), ("abc", 479470107),
                       ("a-little-bit-long-string", -985981536),
                       ("a-little-bit-longer-string", -1486304829)):
        equal(murmur2(text.encode()), hash & 0xffffffff, text)


def test_each_record_is_sent_on_once_as_it_was_to_the_partition_of_its_user(work):
    topic = broker.make("r" + os.path.basename(work), 3)
    records = scattered(3000)
    for i, record in enumerate(records):
        record["headers"] = [("b3", f"trace {i}"), ("nudge.route", "another's")][:1 + i % 2]
    broker.send(topic, records)
    application = route(broker, work, topic).create()
    summary = os.path.join(work, "summary")
    application.run("--summary", summary)
    sent, everything = check_routed(application, [topic], 3, "routed")
    check(all(any(item["partition"] == partition for item in sent) for partition in range(3)),
          "all partitions have some")
    # They come by the clock, so a busy machine has more of them, but never as many as records.
    check(len(everything) < 2 * len(sent), f"{len(everything) - len(sent)} markers")
    read = json.loads(harness.read(summary))
    equal((read["events_read"], read["events_accepted"], read["late_events"]), (3000, 3000, 0),
          "counts")
    # A result names the place that the event came from, and has its trace.
    check_places(application, [topic], "routed", {("alerts", True): 20, ("scored_events", True): 20})
    places = {item["mark"].place: item for item in sent}
    alerts = [item for item in broker.records(f"{application.name}.alerts")]
    check(len(alerts) > 20, f"{len(alerts)} alerts")
    for alert in alerts:
        value = json.loads(alert["value"])
        item = places[value["topic"], int(value["partition"]), value["ordinal"]]
        equal(value["event_id"], json.loads(item["value"])["event_id"], "event of an alert")
        equal(alert["headers"], item["headers"][:1], "trace of an alert")
    # The same again: nothing is left to do.
    before = application.outputs()
    application.run("--summary", summary)
    equal(json.loads(harness.read(summary))["events_read"], 3000, "events, twice")
    same(application.outputs(), before, "twice")
    check_routed(application, [topic], 3, "twice")


# ---- what users get ----

USERS, ROUNDS, ROUND_S = 40, 3, 4 * 3600


def rounds(partitions):
    """
    Events by partition of the input, in rounds. In each a user is in one partition, another one each
    time; between rounds lies more time than any timer needs, and at the end of each round every
    partition has events for most of those that they are sent on to; the others are told the time by
    markers alone. So the order in which a user's events come is determined, and so is what comes of
    them.
    """
    random.seed(5)
    clocks = {(p, q): next(user for user in (f"clock-{p}-{n}" for n in range(1000))
                           if partition_of(user, partitions) == q)
              for p in range(partitions) for q in range(partitions) if p == 0 or q != 2}
    number, found = 0, []
    for i in range(ROUNDS):
        begin, parts = i * ROUND_S, [[] for _ in range(partitions)]
        for user in range(USERS):
            part, seconds = random.choice(parts), begin + random.randrange(300)
            for j in range(random.randrange(1, 9)):
                kind = random.choice(["product_view", "product_view", "add_to_cart"])
                seconds += random.randrange(1, 30)
                part.append(harness.event(number, f"user-{user}", kind, seconds,
                                          item=f"i{random.randrange(9)}", price=5000000,
                                          quantity=1))
                number += 1
        for p, part in enumerate(parts):
            part.sort(key=lambda event: event["event_time"])
            for (origin, q), user in clocks.items():
                if origin == p:
                    part.append(harness.event(number, user, seconds=begin + 3 * 3600 + q))
                    number += 1
        found.append(parts)
    return found


def by_user(outputs, topics):
    """What each user got, in order; ids and ordinals are those of places, which differ."""
    found = {}
    for (topic, partition), values in sorted(outputs.items()):
        for value in values if topic in topics else []:
            item = json.loads(value)
            for name in ("decision_id", "topic", "partition", "ordinal", "cause_topic",
                         "cause_partition", "cause_ordinal"):
                item.pop(name, None)
            found.setdefault((topic, partition, item["user"]), []).append(item)
    return found


def test_users_get_what_a_run_over_files_by_user_gives(work):
    topic = broker.make("u" + os.path.basename(work), 3)
    port = free_port()
    application = route(broker, work, topic, kafka="  repartition_idle: 1h\n", ends=False,
                        more=f"metrics: {{listen: '127.0.0.1:{port}'}}").create()
    files = [[], [], []]
    running = application.start("--workers", "2")
    try:
        # Both workers are in the group: what a route has counted stays behind when its partition moves.
        wait_for(lambda: get(port, "/readyz")[0] == 200, "/readyz")
        for i, parts in enumerate(rounds(3)):
            events = sorted((event for part in parts for event in part),
                            key=lambda event: event["event_time"])
            for event in events:
                files[partition_of(event["user_id"], 3)].append(event)
            broker.send(topic, [{"partition": p, "value": json.dumps(event)}
                                for p, part in enumerate(parts) for event in part])
            reached = harness.START_MS / 1000 + i * ROUND_S + 3 * 3600 - 5
            wait_for(lambda: all(
                metrics(port).get(f'nudge_watermark_seconds{{partition="{p}"}}', 0) >= reached
                for p in range(3)), f"round {i}")
        wait_for(lambda: sum(
            value for name, value in metrics(port).items()
            if name.startswith("nudge_route_records_total")) == sum(map(len, files)),
            "metric of what was sent on")
        for p in range(3):
            found = metrics(port)[f'nudge_route_newest_event_time_seconds{{partition="{p}"}}']
            check(found > reached, f"newest event of partition {p}: {found}")
        running.stop()
    finally:
        running.kill()
    application.write(ends=True, more="")
    summary = os.path.join(work, "summary")
    # As many as before: members are known by name until they time out.
    application.run("--workers", "2", "--summary", summary)
    check_routed(application, [topic], 3, "rounds")
    check_places(application, [topic], "rounds", {("alerts", True): 20, ("promotions", False): 20})
    equal(json.loads(harness.read(summary))["late_events"], 0, "late events")
    paths = [harness.write(os.path.join(work, f"{i}.jsonl"), harness.lines(events))
             for i, events in enumerate(files)]
    topics = ("alerts", "promotions", "sessions", "decisions")
    found = by_user(application.outputs(), topics)
    expected = by_user(file_outputs(work, application, paths), topics)
    for least, name in ((20, "alerts"), (20, "promotions"), (60, "sessions")):
        count = sum(len(items) for place, items in expected.items() if place[0] == name)
        check(count >= least, f"{count} {name}, {least} expected")
    for place in sorted(set(found) | set(expected)):
        equal(found.get(place), expected.get(place), f"{place}")


# ---- time ----

def watermark_of(port):
    return metrics(port)['nudge_watermark_seconds{partition="0"}']


def is_newest(watermark):
    """Five seconds before the last event of the partitions that are not slow."""
    return watermark - harness.START_MS / 1000 + 5 == 60 * 298


def run_with_a_slow_partition(work, idle, moves_on, first_idle=False):
    """A partition of the input whose events come when those of the others are long processed."""
    name = f"s{idle}" + os.path.basename(work)
    topic = broker.make(name, 3)
    port = free_port()
    events = [harness.event(i, f"user-{i % 17}", seconds=60 * i) for i in range(300)]
    application = route(broker, work, topic, kafka=f"  repartition_idle: {idle}\n", ends=False,
                        more=f"metrics: {{listen: '127.0.0.1:{port}'}}").create()

    def records(parts):
        return [{"partition": i % 3, "value": json.dumps(event)}
                for i, event in enumerate(events) if i % 3 in parts]

    def total(name):
        return sum(value for key, value in metrics(port).items() if key.startswith(name))

    def has_said_so():
        return (total('nudge_route_markers_total{partition="2"}') >= 3 and
                total('nudge_route_commits_total{partition="2"}') >= 1)

    running = application.start()
    try:
        if first_idle:  # Which one is idle first is all the same.
            wait_for(has_said_so, "an idle partition")
        broker.send(topic, records((0, 1)))
        wait_for(lambda: total("nudge_events_read_total") == 200, "two partitions")
        time.sleep(0.5)  # Were time to move on, it would have.
        if moves_on:
            wait_for(lambda: is_newest(watermark_of(port)), "time")
        watermark = watermark_of(port)
        broker.send(topic, records((2,)))
        wait_for(lambda: total("nudge_events_read_total") == 300, "the third")
        running.stop()
    finally:
        running.kill()
    application.write(ends=True, more="")
    summary = os.path.join(work, name + ".summary")
    application.run("--summary", summary)
    check_routed(application, [topic], 3, "a slow partition")
    return watermark, json.loads(harness.read(summary))["late_events"]


def test_a_slow_partition_holds_time_back_and_its_events_are_not_late(work):
    watermark, late = run_with_a_slow_partition(work, "1h", moves_on=False)
    check(watermark < harness.START_MS / 1000, f"time moved on to {watermark}")
    equal(late, 0, "late events")


def test_a_partition_that_is_idle_holds_nobody_back(work):
    for first_idle in (True, False):
        watermark, late = run_with_a_slow_partition(os.path.join(work, str(first_idle)), "0s",
                                                    moves_on=True, first_idle=first_idle)
        check(is_newest(watermark), f"time without the idle partition: {watermark}")
        check(late > 90, f"{late} late events")


def test_timers_of_the_last_events_fire_when_all_partitions_are_idle(work):
    """As they do in a partition that is not sent on, where the newest event tells the time."""
    topic = broker.make("l" + os.path.basename(work), 3)
    # A cart is left in the partition that is behind; the others are ten minutes on.
    cart = harness.event(0, "left", "add_to_cart", item="i", price=9000000, quantity=1)
    other = [harness.event(i, f"user-{i}", seconds=600 + i) for i in range(1, 7)]
    records = [{"partition": 0, "value": json.dumps(harness.event(90 + i, "left", seconds=i))}
               for i in range(2)] + [{"partition": 0, "value": json.dumps(cart)}]
    records += [{"partition": 1 + i % 2, "value": json.dumps(event)} for i, event in enumerate(other)]
    application = route(broker, work, topic, kafka="  repartition_idle: 300ms\n", ends=False).create()
    broker.send(topic, records)
    running = application.start()
    try:
        wait_for(lambda: any(topic == "promotions" for topic, _ in application.outputs()),
                 "the promotion of the cart that was left")
        running.stop()
    finally:
        running.kill()
    (letter,) = [json.loads(value) for (name, _), values in application.outputs().items()
                 if name == "promotions" for value in values]
    equal(letter["cause"], "idle_cart", "by a timer")


# ---- dead letters ----

def test_dead_letters_are_those_of_a_run_that_sends_nothing_on(work):
    topic = broker.make("d" + os.path.basename(work), 3, "max.message.bytes=4000000")
    records = scattered(300)
    far = harness.event(1, "u9", seconds=400 * 86400)
    long = json.dumps(harness.event(2, "u8", search="x" * 3000000))
    fits = json.dumps(harness.event(3, "u7", attributes={"note": "y" * 60000}))
    bad = ["no json", json.dumps({"event_time": harness.START_MS, "type": "product_view"}), None,
           json.dumps({**harness.event(0), "event_time": "soon"}), json.dumps(far), long, fits]
    for i, value in enumerate(bad * 2):
        records.insert(40 + 17 * i, {"partition": i % 3, "value": value, "key": f"k{i}"})
    broker.send(topic, records)
    plain = Application(broker, work, topic).create()
    plain.run()
    application = route(broker, work, topic).create()
    summary = os.path.join(work, "summary")
    application.run("--summary", summary)
    check_routed_but_long(application, topic)
    found, expected = letters(application), letters(plain)
    reasons = {json.loads(item)["reason"] for item in expected}
    check(reasons >= {"not_parsed", "no_time", "no_identity", "time_ahead", "too_long"},
          f"{reasons}")
    equal(found, expected, "dead letters")
    equal(json.loads(harness.read(summary))["events_read"], len(records), "records")
    # What another program writes to the topic is one as well, with its place there.
    broker.send(f"{application.name}-repartition", [{"partition": 1, "value": "{}"}])
    application.run()
    (stranger,) = [json.loads(item) for item in letters(application) if item not in expected]
    equal((stranger["source"], stranger["partition"], stranger["reason"]),
          (f"{application.name}-repartition", "1", "not_parsed"), "of another program")


def check_routed_but_long(application, topic):
    """Of a record that is too long there is the beginning, which a dead letter keeps."""
    sent, _ = routed(application)
    originals = {(item["partition"], item["offset"]): item["value"]
                 for item in broker.records(topic)}
    cut = [item for item in sent if item["mark"].flags & CUT]
    equal(len(cut), 2, "records that were cut")
    for item in sent:
        whole = originals[item["mark"].partition, item["mark"].offset]
        equal(item["value"], whole if item not in cut else whole[:256 << 10], "bytes")
    equal(len(sent), len(originals), "records")


# ---- operating it ----

def test_topics_are_made_checked_and_shown_and_old_records_deleted(work):
    topic = broker.make("o" + os.path.basename(work), 3)
    broker.send(topic, scattered(300))
    application = route(broker, work, topic, kafka="  repartition_purge: 300ms\n", ends=False)
    name = f"{application.name}-repartition"
    result = harness.nudge("topics", "create", application.path)
    check("10 topics created" in result.out, f"{result}")
    for setting, words in (("retention.ms=604800000", "retention.ms is \"604800000\", and must be -1"),
                           ("max.message.bytes=1000000", "max.message.bytes is \"1000000\""),
                           ("cleanup.policy=compact", "must be delete")):
        broker.ask("set", name, setting)
        for command in ("check", "create"):
            result = harness.nudge("topics", command, application.path)
            check(result.code == 2 and name in result.errors and words in result.errors,
                  f"{setting}: {result}")
        undo = {"retention.ms": "-1", "max.message.bytes": "4194304",
                "cleanup.policy": "delete"}[setting.split("=")[0]]
        broker.ask("set", name, f"{setting.split('=')[0]}={undo}")
    result = harness.nudge("topics", "check", application.path)
    check(result.code == 0, f"{result}")
    running = application.start()
    try:
        # What is committed is deleted, in the end all but what came last.
        wait_for(lambda: sum(offset for (name_, _), (offset, _) in
                             broker.offsets(application.name).items()
                             if name_ == topic) == 300, "all is sent on")
        wait_for(lambda: len(broker.records(name)) < 20, "deleted")
        running.stop()
    finally:
        running.kill()
    lag = harness.nudge("lag", application.path).out
    check(f"topic {topic}\n" in lag and f"topic {name}\n" in lag, lag)
    rows = [line.split() for line in lag.splitlines() if line.split()[0].isdigit()]
    equal(len(rows), 6, "partitions")
    check(all(row[3] == "0" for row in rows[:3]), lag)
    application.write(ends=True)
    application.run()
    values = [value for (name_, _), found in application.outputs().items()
              if name_ == "sessions" for value in found]
    equal(sum(json.loads(value)["events"] for value in values), 300, "events of sessions")


def test_who_has_read_without_it_is_refused_and_the_other_way_round(work):
    topic = broker.make("w" + os.path.basename(work), 3)
    broker.send(topic, scattered(100))
    for begins in (True, False):
        application = Application(broker, work, topic)
        parts = {True: "  repartition: true\n", False: ""}
        application.write(kafka=parts[begins])
        application.create().run()
        application.write(kafka=parts[not begins])
        for words in (("topics", "create", application.path),
                      ("run", application.path, "--state", application.state)):
            result = harness.nudge(*words)
            check(result.code == 2 and "give the application another name" in result.errors,
                  f"{words}: {result}")


def test_check_says_how_records_are_sent_on(work):
    mapping = harness.write(os.path.join(work, "mapping.yaml"), """route_by: device_id
fields:
  event_time: {from: t, format: epoch_ms}
  user_id: {from: u}
  device_id: {from: d}
  type: {from: a, map: {view: product_view}}
""")
    application = route(broker, work, "clicks", input=f"  mapping: {mapping}")
    result = harness.nudge("check", application.path)
    check(result.code == 0 and f"over topic {application.name}-repartition" in result.out,
          f"{result}")
    application.write(kafka="")
    result = harness.nudge("check", application.path)
    check(result.code == 2 and "can be sent on by kafka.repartition" in result.errors, f"{result}")


def test_several_topics_are_sent_on_and_at_least_once_as_well(work):
    topics = [broker.make(letter + os.path.basename(work), 3) for letter in "ab"]
    for i, topic in enumerate(topics):
        records = scattered(400, seed=i + 3)
        for record in records:
            record["headers"] = []
        broker.send(topic, records)
    for more in ("", "  exactly_once: false\n"):
        application = route(broker, work, None, kafka=f"  topics: [{', '.join(topics)}]\n{more}").create()
        summary = os.path.join(work, "summary")
        application.run("--summary", summary)
        check_routed(application, topics, 3, "topics", has_marks=False)
        read = json.loads(harness.read(summary))
        equal((read["events_read"], read["late_events"]), (800, 0), "events")
        application.run("--summary", summary)
        equal(json.loads(harness.read(summary))["events_read"], 800, "events, twice")
        check_routed(application, topics, 3, "topics, twice", has_marks=False)


def test_who_is_known_by_device_or_address_is_sent_on_by_it(work):
    topic = broker.make("i" + os.path.basename(work), 3)
    records, targets = [], {}
    for i in range(60):
        event = harness.event(i, f"u{i}", device_id=f"d{i % 9}", ip=f"10.0.0.{i % 5}")
        for name in (["user_id"], [], ["user_id", "device_id"])[i % 3]:
            del event[name]
        identity = event.get("user_id", event.get("device_id", event["ip"]))
        records.append({"partition": i % 3, "value": json.dumps(event)})
        targets[records[-1]["value"].encode()] = partition_of(identity, 3)
    broker.send(topic, records)
    application = route(broker, work, topic).create()
    application.run()
    check_routed(application, [topic], 3, "identities",
                 target=lambda record, _: targets[record["value"]])


def test_framed_avro_is_sent_on_by_the_schemas_of_a_registry(work):
    registry = Registry()
    try:
        registry.tell("add", 10, text_of(FIRST))
        registry.tell("add", 99, text_of(UNRESOLVED))
        topic = broker.make("x" + os.path.basename(work), 3)
        records, targets = [], {}
        for i, event in enumerate(some_events(work, 300)):
            is_bad = i % 100 == 50
            value = frame(99, datum(UNRESOLVED, event)) if is_bad else frame(10, datum(FIRST, event))
            identity = event.get("user_id") or event.get("device_id") or event["ip"]
            targets[value] = i % 3 if is_bad else partition_of(identity, 3)
            records.append({"partition": i % 3, "value": value})
        broker.send(topic, records)
        application = route(broker, work, topic, format="avro", more=section(registry)).create()
        summary = os.path.join(work, "summary")
        application.run("--summary", summary)
        check_routed(application, [topic], 3, "Avro", has_marks=False,
                     target=lambda record, _: targets[record["value"]])
        read = json.loads(harness.read(summary))
        equal((read["events_read"], len(letters(application))), (300, 3), "events, dead letters")
    finally:
        registry.close()


# ---- kill -9 ----

def test_kills_while_records_are_sent_on_lose_and_double_nothing(work):
    topic = broker.make("k" + os.path.basename(work), 3)
    seconds = int(os.environ.get("KAFKA_ROUTE_SECONDS", "8"))
    records = scattered(6000, users=300)
    for i, record in enumerate(records):
        record["headers"] = []
        if i % 97 == 5:
            record["value"] = "broken"
        if i % 61 == 7:  # Late wherever it comes from.
            record["value"] = json.dumps(harness.event(i, f"user-{i % 300}", seconds=i - 5000))
    application = route(broker, work, topic, ends=False, kafka="  repartition_idle: 1h\n",
                        transaction_s=TRANSACTION_S).create()
    disturbed = Disturbed(application, int(os.environ.get("KAFKA_SEED", "1")))
    try:
        feeder = feed(broker, topic, records, 0.8 * seconds)
        disturbed.go_on(seconds)
        feeder.join()
        disturbed.stop()
    finally:
        disturbed.end()
    application.write(ends=True)
    application.run()
    check_routed(application, [topic], 3, "kills")
    found = application.outputs()
    # The same records, sent on as they were, once more from the beginning, and undisturbed.
    broker.ask("delete", *application.topics(), f"{application.name}-changelog",
               f"{application.name}-journal")
    application.write(kafka=application.parts["kafka"] +
                      f"  start: latest\n  group: {application.name}-again\n")
    application.create()
    application.write(more="run: {batch: 7}")  # However it is cut into batches.
    application.state += ".again"
    application.run()
    expected = application.outputs()
    for name in ("dead_letters", "late_events", "alerts", "sessions"):
        count = sum(len(values) for (topic, _), values in expected.items() if topic == name)
        check(count > 20, f"{count} {name}")
    same(found, expected, "kills")
    print(f"    disturbed: {disturbed.done}")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
