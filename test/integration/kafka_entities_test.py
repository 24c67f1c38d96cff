#!/usr/bin/env python3
"""State by card, device, terminal and address over several partitions, by hops, on a real broker."""
import json
import os
import random
import shutil
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_harness import Application  # noqa: E402
from kafka_operate_test import metrics  # noqa: E402
from kafka_route_test import Disturbed, Mark, partition_of  # noqa: E402
from kafka_storm import free_port  # noqa: E402

broker = None
PARTITIONS = 4
ALL = ("device", "card", "terminal", "address")
FIELDS = {"device": "device_id", "card": "payment_instrument", "terminal": "merchant",
          "address": "ip"}
# Of features, those that each kind of entity has.
LEAST = {"device": 6, "card": 10, "terminal": 11, "address": 6}
IDLE = (1 << 63) - 1

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

def waves(count, seed=1, users=24, entities=16):
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
        if i > 0 and i % 5 == 0:  # Sent again, as a producer does that was not answered.
            again = [event for event in found[-1] if event["event_id"] not in
                     {other["event_id"] for other in wave} and
                     not any((entity, event.get(field)) in
                             {(entity, other.get(field)) for other in wave}
                             for entity, field in FIELDS.items() if event.get(field)) and
                     event["user_id"] not in {other["user_id"] for other in wave}]
            wave += again[:1]
        found.append(wave)
    return found


def send(topic, wave):
    broker.send(topic, [{"partition": partition_of(event["user_id"], PARTITIONS),
                         "key": event["user_id"], "value": json.dumps(event),
                         "time_ms": event["event_time"]} for event in wave])


def read_committed(application):
    """Events that the users' tasks have read and committed, the ends of transactions not counted."""
    name = f"{application.name}-repartition"
    offsets = broker.offsets(application.name)
    return sum(not Mark(record).flags & 1 and
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


class HopMark:
    """The header nudge.hop."""

    def __init__(self, record):
        (header,) = [value for name, value in record["headers"] if name == "nudge.hop"]
        version, self.flags, count, self.partition, self.mark_ms, self.hash = \
            struct.unpack_from("<BBHIqQ", header)
        equal(version, 1, "version of the header")
        equal(len(header), 24 + 4 * count, "bytes of the header")
        self.values = struct.unpack_from(f"<{count}f", header, 24)


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
            if mark.flags & 1:
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
            harness.wait_for(lambda: read_committed(application) == sent, 15, f"wave {i}")
        running.stop()
    except AssertionError:
        print(running.said()[-2000:], broker.offsets(application.name))
        raise
    finally:
        running.kill()


def test_features_by_card_are_those_of_one_partition(work):
    topic = broker.make("c" + os.path.basename(work), PARTITIONS)
    application = Hopped(work, topic, ["card"])
    all_waves = waves(20)
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


def feed(topic, records, pause):
    """On a thread of its own."""
    def go():
        for i in range(0, len(records), 300):
            broker.send(topic, records[i:i + 300])
            time.sleep(pause)
    thread = threading.Thread(target=go)
    thread.start()
    return thread


class Wiping(Disturbed):
    """Takes the state of an instance that is killed away as well, now and then."""

    def start(self, i):
        if self.random.random() < 0.2:
            shutil.rmtree(os.path.join(self.application.work, f"state{i}"), ignore_errors=True)
        super().start(i)


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
        feeder = feed(topic, records, 0.8 * seconds / (len(records) / 300))
        disturbed.go_on(seconds)
        feeder.join()
        disturbed.stop()
    finally:
        disturbed.end()
    application.write(ends=True)
    application.run(timeout=120)
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


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
