#!/usr/bin/env python3
"""State by card, device, terminal and address over several partitions, by hops, on a real broker."""
import json
import os
import random
import shutil
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_disturbed import Wiping, feed  # noqa: E402
from kafka_harness import Application, metrics, wait_for  # noqa: E402
from kafka_marks import MARKER, HopMark, Mark, partition_of  # noqa: E402
from kafka_ports import free_port  # noqa: E402

broker = None
PARTITIONS = 4
ALL = ("device", "card", "terminal", "address")
FIELDS = {"device": "device_id", "card": "payment_instrument", "terminal": "merchant",
          "address": "ip"}
# Of features, those that each kind of entity has.
LEAST = {"device": 6, "card": 10, "terminal": 11, "address": 6}

RULES = """
emit_interventions:
  rules:
    - name: shared_card
      on: [purchase]
      if: card_distinct_users >= 2 or terminal_bad_labels_28d >= 1 or device_distinct_users >= 2
      alert: {severity: low, reason: "{card_distinct_users:.0} users", suggest: review}
"""


class Hopped(Application):
    """An application that keeps state by those entities."""

    def __init__(self, work, topic, entities, **parts):
        self.entities = entities
        parts["kafka"] = "  repartition: true\n" + parts.get(
            "kafka", "  repartition_purge: 0s\n  repartition_idle: 1h\n")
        parts["more"] = "duplicates: {horizon: 10d}\n" + parts.get("more", "")
        super().__init__(broker, work, topic, rules=parts.pop("rules", RULES), **parts)

    def write(self, **changes):
        path = super().write(**changes)
        text = harness.read(path).decode()
        text = text.replace("scored_events_share: 0.05", "scored_events_share: 1").replace(
            "{memory: 192MiB}", "{memory: 192MiB, entities: [%s]}" % ", ".join(self.entities))
        return harness.write(path, text)

    def hop(self, kind):
        return f"{self.name}-by-{kind}"

    def values(self, *names):
        """Of those output topics, in the order of partitions and offsets."""
        return [(record["topic"][len(self.name) + 1:], json.loads(record["value"]))
                for record in broker.records(*(f"{self.name}.{name}" for name in names))]


# ---- events whose order is determined, however they are sent on ----

def waves(count, seed=1, users=24, entities=16, erases=False):
    """
    Events in waves: within one, no user and no entity comes twice. So where each wave is waited for,
    the events of an entity, and those of a user, have one order.
    """
    random.seed(seed)
    number, found, seconds = 0, [], 0
    for i in range(count):
        wave, used = [], set()
        for user in random.sample(range(users), users // 2):
            seconds += random.randrange(1, 400)
            kind = random.choice(["product_view", "purchase", "purchase", "payment_failed",
                                  "login_failed", "label", "checkout", "price_change"])
            event = harness.event(number, f"user-{user}", kind, seconds, item=f"i{number % 9}")
            if erases and random.random() < 0.05:
                event["type"] = kind = "erase"
            for entity, field in FIELDS.items():
                value = random.randrange(entities)
                if random.random() < 0.75 and (entity, value) not in used:
                    used.add((entity, value))
                    event[field] = f"10.0.0.{value}" if entity == "address" else f"{entity}{value}"
            if kind in ("purchase", "payment_failed", "checkout") and random.random() < 0.9:
                event.update(price=random.randrange(1, 90) * 1000000, quantity=random.randrange(1, 4))
            if kind == "label":
                event["label_value"] = random.choice(["chargeback", "fraud", "good"])
            number += 1
            wave.append(event)
        found.append(wave)
        if i % 5 == 2:  # Sent again, as by a producer that was not answered.
            found.append(wave[:5])
    return found


def send(topic, wave):
    broker.send(topic, [{"partition": partition_of(event["user_id"], PARTITIONS),
                         "key": event["user_id"], "value": json.dumps(event),
                         "time_ms": event["event_time"]} for event in wave])


def read_committed(application, at_least=0):
    """Events that the users' tasks have read and committed, the ends of transactions not counted."""
    name = f"{application.name}-repartition"
    offsets = broker.offsets(application.name)
    if sum(offset for (topic, _), (offset, _) in offsets.items() if topic == name) < at_least:
        return 0  # Not worth a look.
    return sum(not Mark(record).flags & MARKER and
               record["offset"] < offsets.get((name, record["partition"]), (0, ""))[0]
               for record in broker.records(name))


def file_run(work, application, events):
    """What one partition gives, all of whose events one task sees."""
    text = harness.read(application.path).decode()
    before, rest = text.split("kafka:\n", 1)
    before += "duplicates: {horizon: 10d}\n"
    before = before.replace("source: kafka", "source: files").replace("sink: kafka", "sink: files")
    config = harness.write(os.path.join(work, "files.yaml"),
                           before + rest[rest.index("\nemit_interventions"):])
    path = harness.write(os.path.join(work, "events.jsonl"), harness.lines(events))
    out = os.path.join(work, "files.out")
    shutil.rmtree(out, ignore_errors=True)
    result = harness.nudge("run", config, "--input", path, "--output", out)
    harness.check(result.code == 0, f"run over files: {result}")
    return {name: [json.loads(line) for line in
                   harness.read(os.path.join(out, name, "0.jsonl")).splitlines()]
            for name in ("scored_events", "alerts")
            if os.path.exists(os.path.join(out, name, "0.jsonl"))}


def feature_names():
    """In the order of the vector."""
    lines = harness.nudge("describe", "features").out.splitlines()
    return [line.split(" ")[0] for line in lines if line[:1].islower() and ", in " in line and
            line.endswith(")")]


def by_event(items, what):
    found = {}
    for item in items:
        check(item["event_id"] not in found, f"{what}: {item['event_id']} is there twice")
        found[item["event_id"]] = item
    return found


def compare(application, expected, what, kinds):
    """The whole vector of each event, and the alerts, which depend on it: each once, none missing."""
    names = feature_names()
    scored = by_event((item for _, item in application.values("scored_events")), what)
    wanted = by_event(expected["scored_events"], what)
    equal(sorted(scored), sorted(wanted), f"{what}: scored events")
    seen = {name: set() for name in names}
    for event_id, item in wanted.items():
        equal(len(item["features"]), len(names), "features")
        for name, a, b in zip(names, scored[event_id]["features"], item["features"]):
            equal(a, b, f"{what}: {event_id}: {name}")
            seen[name].add(b)
        equal(scored[event_id]["scores"], item["scores"], f"{what}: {event_id}: scores")
    for kind in kinds:
        varied = [name for name in names if name.startswith(kind) and len(seen[name] - {None}) > 1]
        check(len(varied) >= LEAST[kind] - 1, f"{what}: of {kind} only {varied} are ever different")
    alerts = by_event((item for _, item in application.values("alerts")), what)
    wanted = by_event(expected["alerts"], what)
    check(len(wanted) >= 20, f"{len(wanted)} alerts")
    equal(sorted(alerts), sorted(wanted), f"{what}: alerts")
    for event_id, item in wanted.items():
        for name in ("score", "terms", "reason", "rule", "event_time"):
            equal(alerts[event_id].get(name), item.get(name), f"{what}: {event_id}: {name}")


def check_hops(application, topic, what):
    """Each record of the input is once in each topic on its way, by its entity, as it came."""
    sent = {(item["partition"], item["offset"]): item for item in broker.records(topic)}
    chain = [application.hop(kind) for kind in ALL if kind in application.entities]
    kinds = [kind for kind in ALL if kind in application.entities]
    for i, name in enumerate([*chain, f"{application.name}-repartition"]):
        found = {}
        for item in broker.records(name):
            mark = Mark(item)
            if i > 0:
                HopMark(item)
            if mark.flags & MARKER:
                continue
            place = (mark.partition, mark.offset)
            equal(mark.topic, topic, f"{what}: {name}: topic of {place}")
            check(place not in found, f"{what}: {name}: {place} is there twice")
            found[place] = item
            equal((item["key"], item["value"]), (sent[place]["key"], sent[place]["value"]),
                  f"{what}: {name}: {place}")
            try:
                event = json.loads(item["value"])
            except ValueError:
                equal(item["partition"], place[0], f"{what}: {name}: partition of {place}")
                continue
            key = event.get(FIELDS[kinds[i]]) if i < len(kinds) else None
            equal(item["partition"], partition_of(key or event["user_id"], PARTITIONS),
                  f"{what}: {name}: partition of {place}")
        equal(sorted(found), sorted(sent), f"{what}: {name}: records")


def run_in_waves(application, topic, all_waves, disturb=None):
    """Sends a wave when the one before is through."""
    application.write(ends=False)
    application.create()
    running = application.start()
    sent = 0
    try:
        for i, wave in enumerate(all_waves):
            send(topic, wave)
            sent += len(wave)
            if disturb:
                running = disturb(i, running)
            wait_for(lambda: read_committed(application, sent) == sent, f"wave {i}")
        running.stop()
    except AssertionError:
        print(running.said()[-2000:], broker.offsets(application.name))
        raise
    finally:
        running.kill()


def test_features_by_card_are_those_of_one_partition(work):
    topic = broker.make("c" + os.path.basename(work), PARTITIONS)
    application = Hopped(work, topic, ["card"])
    all_waves = waves(20, erases=True)
    run_in_waves(application, topic, all_waves)
    expected = file_run(work, application, [event for wave in all_waves for event in wave])
    compare(application, expected, "card", ["card"])
    check_hops(application, topic, "card")


def test_features_by_all_entities_are_those_of_one_partition_through_kills(work):
    topic = broker.make("a" + os.path.basename(work), PARTITIONS)
    port = free_port()
    application = Hopped(work, topic, ALL, more=f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
    done = {"kill": 0, "wipe": 0}

    def disturb(i, running):
        """Kills the process somewhere in the wave, and every other time takes its state away."""
        if i % 3 != 1:
            return running
        time.sleep(random.random() * 0.4)
        running.kill()
        done["kill"] += 1
        if i % 6 == 1:
            shutil.rmtree(application.state)
            done["wipe"] += 1
        return application.start()

    all_waves = waves(24, seed=2)
    run_in_waves(application, topic, all_waves, disturb)
    events = [event for wave in all_waves for event in wave]
    compare(application, file_run(work, application, events), "kills", ALL)
    check_hops(application, topic, "kills")
    check(done["kill"] >= 8 and done["wipe"] >= 4, f"{done}")
    # A run that ends with its input: what is left, which is nothing, and the timers.
    application.write(ends=True)
    summary = os.path.join(work, "summary")
    application.run("--summary", summary)
    read = json.loads(harness.read(summary))
    equal((read["events_read"], read["late_events"]), (len(events), 0), "events of users' tasks")
    sessions = application.values("sessions")
    equal(sum(item["events"] for _, item in sessions),
          len({event["event_id"] for event in events if event["type"] not in
               ("label", "price_change")}), "events of sessions")
    before = len(application.values("scored_events"))
    application.run("--summary", summary)
    equal(len(application.values("scored_events")), before, "scored events, twice")


# ---- in no particular order, through kills ----

def flow(count, seed, users=60, entities=40):
    random.seed(seed)
    found = []
    for i in range(count):
        kind = random.choice(["product_view", "purchase", "payment_failed", "label"])
        event = harness.event(i, f"user-{random.randrange(users)}", kind,
                              5 * i + random.randrange(60), price=random.randrange(1, 90) * 1000000)
        for entity, field in FIELDS.items():
            if random.random() < 0.7:
                value = random.randrange(entities)
                event[field] = f"10.0.0.{value}" if entity == "address" else f"{entity}{value}"
        if kind == "label":
            event["label_value"] = random.choice(["chargeback", "good"])
        if i % 61 == 7:  # Late wherever it comes from.
            event["event_time"] -= 5000000
        found.append(event)
    return found


def check_against_topics(work, application, what):
    """
    The order in which a hop has taken events is that of its topic's partition: features by its
    entity are those of a run over a file of just that.
    """
    names = feature_names()
    scored = by_event((item for _, item in application.values("scored_events")), what)
    for kind in application.entities:
        columns = [i for i, name in enumerate(names) if name.startswith(kind + "_")]
        records = broker.records(application.hop(kind))
        compared, varied = 0, set()
        for partition in range(PARTITIONS):
            events = [json.loads(record["value"]) for record in records
                      if record["partition"] == partition and record["value"] and
                      record["value"] != b"broken"]
            for event_id, item in by_event(
                    file_run(work, application, events)["scored_events"], what).items():
                found = scored[event_id]["features"]
                for i in columns:
                    equal(found[i], item["features"][i], f"{what}: {event_id}: {names[i]}")
                    varied.add((i, found[i]))
                compared += 1
        equal(compared, len(scored), f"{what}: events by {kind}")
        check(len(varied) > 20 * len(columns), f"{what}: {len(varied)} values by {kind}")


def test_two_instances_through_kills_lose_and_double_nothing(work):
    topic = broker.make("k" + os.path.basename(work), PARTITIONS)
    seconds = int(os.environ.get("KAFKA_ENTITIES_SECONDS", "12"))
    events = flow(4000, seed=int(os.environ.get("KAFKA_SEED", "3")))
    application = Hopped(work, topic, ["device", "card"], ends=False).create()
    records = [{"partition": partition_of(event["user_id"], PARTITIONS),
                "value": "broken" if i % 97 == 5 else json.dumps(event),
                "time_ms": event["event_time"]} for i, event in enumerate(events)]
    disturbed = Wiping(application, int(os.environ.get("KAFKA_SEED", "1")))
    try:
        feeder = feed(broker, topic, records, 0.8 * seconds)
        disturbed.go_on(seconds)
        feeder.join()
        disturbed.stop()
    finally:
        disturbed.end()
    application.write(ends=True)
    application.run()
    letters = application.values("dead_letters")
    broken = sum(record["value"] == "broken" for record in records)
    equal((len(letters), {item["source"] for _, item in letters}), (broken, {topic}), "dead letters")
    equal(len({(item["partition"], item["ordinal"]) for _, item in letters}), broken,
          "places of dead letters")
    equal(len(application.values("scored_events")), len(events) - broken, "scored events")
    check_hops(application, topic, "flow")
    check_against_topics(work, application, "flow")
    check(disturbed.done["kill"] >= 3, f"{disturbed.done}")
    print(f"    disturbed: {disturbed.done}")


# ---- time ----

def watermark(port):
    return metrics(port)['nudge_watermark_seconds{partition="0"}']


def test_a_slow_partition_holds_time_back_over_hops_and_its_events_are_not_late(work):
    topic = broker.make("s" + os.path.basename(work), PARTITIONS)
    port = free_port()
    events = [harness.event(i, f"user-{i % 17}", seconds=60 * i, payment_instrument=f"c{i % 11}",
                            device_id=f"d{i % 13}") for i in range(400)]
    application = Hopped(work, topic, ["device", "card"], ends=False,
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
    application = Hopped(work, topic, ["device", "card"], ends=False, rules=kafka_harness.RULES,
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
        application = Hopped(work, topic, ["device", "card"]).create()
        broker.send(f"{application.name}-repartition", [{
            "partition": 1, "value": event,
            "headers": [("nudge.route", route_header(topic)), ("nudge.hop", header)]}])
        result = application.run(code=2)
        check(words in result.errors and f"{application.name}-repartition, partition 1, offset 0" in
              result.errors, f"{count}: {result}")
    application = Hopped(work, topic, ["device", "card"]).create()
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
    send(topic, flow(300, 5))
    application = Hopped(work, topic, ["card", "terminal"], ends=False,
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
    send(topic, flow(40, 6))
    for first, then, words in ((["card"], ["device", "card"], "device, card, and group"),
                               (["card"], ["user"], "the user alone, and group"),
                               (["user"], ["card"], "by the user alone")):
        application = Hopped(work, topic, first).create()
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
    application = Hopped(work, topic, ALL)
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
    send(topic, flow(200, 8))
    application = Hopped(work, topic, ["card"], kafka="  exactly_once: false\n").create()
    application.run()
    check_hops(application, topic, "at least once")
    equal(len(application.values("scored_events")), 200, "scored events")


def test_check_says_which_way_records_go_and_what_cannot_be(work):
    application = Hopped(work, "clicks", ["card", "device"])
    result = harness.nudge("check", application.path)
    check(result.code == 0 and f"by device over topic {application.name}-by-device, then by card "
          f"over topic {application.name}-by-card, then by the user's identity, over topic "
          f"{application.name}-repartition" in result.out, f"{result.out} {result}")
    application.entities = ["item"]
    application.write()
    result = harness.nudge("check", application.path)
    check(result.code == 2 and "state by item cannot be kept" in result.errors and
          "repartition" not in result.errors.split("cannot be kept")[1], f"{result}")
    text = harness.read(Hopped(work, "clicks", ["card"]).path).decode()
    path = harness.write(os.path.join(work, "plain.yaml"),
                         text.replace("repartition: true", "repartition: false"))
    result = harness.nudge("check", path)
    check(result.code == 2 and "or set kafka.repartition: true" in result.errors, f"{result}")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
