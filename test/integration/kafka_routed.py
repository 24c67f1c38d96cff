"""An application whose records are sent on by user, what it is fed with, and what it has sent on."""
import json
import random

import harness
from harness import check, equal
from kafka_harness import Application
from kafka_marks import AHEAD, MARKER, Mark, partition_of

MAX_AHEAD_MS = 30 * 86400 * 1000


def routed(application):
    """What was sent on, without and with the markers; each record has its mark."""
    records = application.broker.records(f"{application.name}-repartition")
    for record in records:
        record["mark"] = Mark(record)
    return [record for record in records if not record["mark"].flags & MARKER], records


def check_routed(application, topics, partitions, what, target=None, has_marks=True):
    """
    Each record of the input once, as it was, in the partition of its user, in the order of its own
    partition, and with the time that it was there.
    """
    sent, records = routed(application)
    expected = {(item["topic"], item["partition"], item["offset"]): item
                for item in application.broker.records(*topics)}
    check(expected, f"{what}: there is nothing to compare with")
    found = {}
    for item in sent:
        place = item["mark"].place
        check(place not in found, f"{what}: {place} is there twice")
        found[place] = item
    missing = sorted(set(expected) - set(found))
    check(not missing, f"{what}: {len(missing)} records are missing, {missing[:3]} first")
    equal(sorted(set(found) - set(expected)), [], f"{what}: records that nobody sent")
    for place, item in found.items():
        origin = expected[place]
        headers, came = ([header for header in headers if header[0] != "nudge.route"]
                         for headers in (item["headers"], origin["headers"]))
        equal((item["key"], item["value"], item["mark"].time_ms, headers),
              (origin["key"], origin["value"], origin["time_ms"], came), f"{what}: {place}")
        equal(item["partition"], (target or target_of)(origin, partitions), f"{what}: {place}")
    last = {}
    for item in records:
        mark, way = item["mark"], (item["partition"], item["mark"].topic, item["mark"].partition)
        if not mark.flags & MARKER:
            check(last.get(way, -1) < mark.offset, f"{what}: {way}: {mark.offset} out of order")
            last[way] = mark.offset
    if has_marks:
        check_marks(sent, what)
    return sent, records


def target_of(record, partitions):
    try:
        user = json.loads(record["value"])["user_id"]
    except (ValueError, KeyError, TypeError):
        return record["partition"]
    return partition_of(user, partitions)


def check_marks(sent, what):
    """Of events whose times are in order or nearly so: the newest so far, from the second on."""
    origins = {}
    for item in sent:
        origins.setdefault(item["mark"].partition, []).append(item)
    for items in origins.values():
        newest, count = 0, 0
        for item in sorted(items, key=lambda item: item["mark"].offset):
            try:
                time_ms = json.loads(item["value"])["event_time"]
            except (ValueError, KeyError, TypeError):
                time_ms = None
            is_ahead = time_ms and count > 1 and time_ms > newest + MAX_AHEAD_MS
            equal(bool(item["mark"].flags & AHEAD), bool(is_ahead), f"{what}: ahead")
            if time_ms and not is_ahead:
                newest, count = max(newest, time_ms), count + 1
            equal(item["mark"].mark_ms, newest if count > 1 else 0,
                  f"{what}: time at {item['mark'].place}")


def route(broker, work, topic, **parts):
    more = parts.get("kafka", "")
    purge = "" if "purge" in more else "  repartition_purge: 0s\n"
    parts["kafka"] = "  repartition: true\n" + purge + more
    return Application(broker, work, topic, **parts)


def scattered(count, users=20, partitions=3, seed=1):
    """Events by item, so that a user's are in all partitions; as records to be sent."""
    random.seed(seed)
    records = []
    for i in range(count):
        event = harness.event(i, f"user-{random.randrange(users)}", item=f"i{i % 29}")
        records.append({"partition": partition_of(event["item"], partitions), "key": event["item"],
                        "value": json.dumps(event), "time_ms": event["event_time"],
                        "headers": [("n", str(i))]})
    return records


def letters(application):
    found = []
    for values in (values for (topic, _), values in application.outputs().items()
                   if topic == "dead_letters"):
        for item in map(json.loads, values):
            found.append(json.dumps({name: value for name, value in sorted(item.items())
                                     if name != "byte_position"}))
    return sorted(found)
