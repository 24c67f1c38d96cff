"""An application whose records take hops, what it is fed with, and what its hops have sent on."""
import json
import os
import random
import shutil

import harness
from harness import check, equal
from kafka_harness import Application
from kafka_marks import MARKER, HopMark, Mark, partition_of

PARTITIONS = 4
ALL = ("device", "card", "terminal", "address")
FIELDS = {"device": "device_id", "card": "payment_instrument", "terminal": "merchant",
          "address": "ip"}

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

    def __init__(self, broker, work, topic, entities, **parts):
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
                for record in self.broker.records(*(f"{self.name}.{name}" for name in names))]


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


def send(broker, topic, wave):
    broker.send(topic, [{"partition": partition_of(event["user_id"], PARTITIONS),
                         "key": event["user_id"], "value": json.dumps(event),
                         "time_ms": event["event_time"]} for event in wave])


def read_committed(application, at_least=0):
    """Events that the users' tasks have read and committed, the ends of transactions not counted."""
    name = f"{application.name}-repartition"
    offsets = application.broker.offsets(application.name)
    if sum(offset for (topic, _), (offset, _) in offsets.items() if topic == name) < at_least:
        return 0  # Not worth a look.
    return sum(not Mark(record).flags & MARKER and
               record["offset"] < offsets.get((name, record["partition"]), (0, ""))[0]
               for record in application.broker.records(name))


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


def check_hops(application, topic, what):
    """Each record of the input is once in each topic on its way, by its entity, as it came."""
    sent = {(item["partition"], item["offset"]): item for item in application.broker.records(topic)}
    chain = [application.hop(kind) for kind in ALL if kind in application.entities]
    kinds = [kind for kind in ALL if kind in application.entities]
    for i, name in enumerate([*chain, f"{application.name}-repartition"]):
        found = {}
        for item in application.broker.records(name):
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
