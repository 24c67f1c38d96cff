#!/usr/bin/env python3
"""Input that is not keyed by the user, sent on to its users' partitions, on a real broker."""
import json
import os
import random
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_harness import Application, file_outputs, same  # noqa: E402

broker = None
MARKER, ENDED, AHEAD, CUT = 1, 2, 4, 8
IDLE = (1 << 63) - 1
MAX_AHEAD_MS = 30 * 86400 * 1000


def murmur2(data):
    """As org.apache.kafka.common.utils.Utils has it."""
    m, h, mask = 0x5bd1e995, 0x9747b28c ^ len(data), 0xffffffff
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = struct.unpack_from("<I", data, i)[0] * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(user, count):
    """Where Apache's producers put a record that is keyed by that user."""
    return (murmur2(user.encode()) & 0x7fffffff) % count


class Mark:
    """The header nudge.route."""

    def __init__(self, record):
        (header,) = [value for name, value in record["headers"] if name == "nudge.route"]
        version, self.flags, self.partition, self.offset, self.time_ms, self.mark_ms = \
            struct.unpack_from("<BBIqqq", header)
        equal(version, 1, "version of the header")
        rest = header[30:]
        if self.flags & CUT:
            self.length, self.sha256 = struct.unpack_from("<Q", rest)[0], rest[8:72].decode()
            rest = rest[72:]
        self.topic = rest.decode()
        self.place = (self.topic, self.partition, self.offset)


def routed(application):
    """What was sent on, without and with the markers; each record has its mark."""
    records = broker.records(f"{application.name}-repartition")
    for record in records:
        record["mark"] = Mark(record)
    return [record for record in records if not record["mark"].flags & MARKER], records


def check_routed(application, topics, partitions, what, target=None):
    """
    Each record of the input once, as it was, in the partition of its user, in the order of its own
    partition, and with the time that it was there.
    """
    sent, records = routed(application)
    expected = {(item["topic"], item["partition"], item["offset"]): item
                for item in broker.records(*topics)}
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
        headers = [header for header in item["headers"] if header[0] != "nudge.route"]
        equal((item["key"], item["value"], item["mark"].time_ms, headers),
              (origin["key"], origin["value"], origin["time_ms"], origin["headers"]),
              f"{what}: {place}")
        equal(item["partition"], (target or target_of)(origin, partitions), f"{what}: {place}")
    last = {}
    for item in records:
        mark, way = item["mark"], (item["partition"], item["mark"].topic, item["mark"].partition)
        if not mark.flags & MARKER:
            check(last.get(way, -1) < mark.offset, f"{what}: {way}: {mark.offset} out of order")
            last[way] = mark.offset
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


def route(work, topic, **parts):
    parts["kafka"] = "  repartition: true\n  repartition_purge: 0s\n" + parts.get("kafka", "")
    return Application(broker, work, topic, **parts)


def scattered(count, users=20, partitions=3, seed=1):
    """Events by item, so that a user's are in all partitions; as records to be sent."""
    random.seed(seed)
    records = []
    for i in range(count):
        event = harness.event(i, f"user-{random.randrange(users)}", item=f"i{i % 7}")
        records.append({"partition": partition_of(event["item"], partitions), "key": event["item"],
                        "value": json.dumps(event), "time_ms": event["event_time"],
                        "headers": [("n", str(i)), ("nudge.route", "not ours")][:i % 3]})
    return records


def test_the_partitioner_is_that_of_apaches_producers(work):
    for text, hash in (("21", -973932308), ("foobar", -790332482), ("abc", 479470107),
                       ("a-little-bit-long-string", -985981536),
                       ("a-little-bit-longer-string", -1486304829)):
        equal(murmur2(text.encode()), hash & 0xffffffff, text)


def test_each_record_is_sent_on_once_as_it_was_to_the_partition_of_its_user(work):
    topic = broker.make("r" + os.path.basename(work), 3)
    records = scattered(3000)
    for record in records:
        record["headers"] = [header for header in record["headers"] if header[0] == "n"]
    broker.send(topic, records)
    application = route(work, topic).create()
    summary = os.path.join(work, "summary")
    application.run("--summary", summary)
    sent, everything = check_routed(application, [topic], 3, "routed")
    check(all(any(item["partition"] == partition for item in sent) for partition in range(3)),
          "all partitions have some")
    check(len(everything) - len(sent) < 100, f"{len(everything) - len(sent)} markers")
    read = json.loads(harness.read(summary))
    equal((read["events_read"], read["events_accepted"], read["late_events"]), (3000, 3000, 0),
          "counts")
    # The same again: nothing is left to do.
    before = application.outputs()
    said = application.run("--summary", summary).out
    equal(json.loads(harness.read(summary))["events_read"], 3000, "events, twice")
    same(application.outputs(), before, "twice")
    check_routed(application, [topic], 3, "twice")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
