"""What a disturbed run has written, compared with what an undisturbed one has."""
import os
import re

TOPICS = ["alerts", "promotions", "sessions", "decisions", "dead_letters", "late_events",
          "scored_events"]

# What a run with --enough must have had at least, or it has proved less than it is for.
LEAST = {"promotions": 1000, "promotions by timers": 500, "late_events": 500, "capped": 100,
         "dead_letters": 100, "kills inside a transaction": 10}


class Dump:
    """Records by topic and partition, as lines; one file of them in memory at a time."""

    def __init__(self, directory):
        self.directory = directory
        self.names = sorted(os.listdir(directory))

    def lines(self, name):
        path = os.path.join(self.directory, name)
        if not os.path.exists(path):
            return []
        with open(path, "rb") as file:
            return file.read().splitlines()

    def topic(self, topic):
        for name in self.names:
            if name.rsplit("-", 1)[0] == f"storm.{topic}":
                yield from self.lines(name)


def count_records(expected):
    """How many of what there were, and of what kind."""
    counts = {topic: sum(1 for _ in expected.topic(topic)) for topic in TOPICS}
    counts["promotions by timers"] = sum(
        1 for line in expected.topic("promotions")
        if b'"cause":"idle_cart"' in line or b'"cause":"after"' in line)
    counts["capped"] = sum(1 for line in expected.topic("decisions") if b'"suppressed_by":"cap"' in line)
    return counts


def compare(expected, found):
    failed = False
    for name in expected.names:
        a, b = expected.lines(name), found.lines(name)
        if a != b:
            failed = True
            first = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            lost = len(set(a) - set(b))
            doubled = len(b) - len(set(b))
            print(f"{name}: {len(a)} records expected, {len(b)} found, {lost} lost, "
                  f"{doubled} doubled, first difference at {first}:\n  "
                  f"{a[first][:300] if first < len(a) else None}\n  "
                  f"{b[first][:300] if first < len(b) else None}")
    return not failed


def file_matches(expected, directory, partitions):
    """
    The same values as the run over files has, where no event was in a topic; a dead letter names its
    place.
    """
    for topic in TOPICS:
        for partition in range(partitions):
            path = os.path.join(directory, topic, f"{partition}.jsonl")
            lines = open(path, "rb").read().splitlines() if os.path.exists(path) else []
            values = [line.split(b"\t", 2)[2] for line in expected.lines(f"storm.{topic}-{partition}")]
            if topic == "dead_letters":
                place = rb'"source":"[^"]*"|"byte_position":[0-9]+'
                lines = [re.sub(place, b"", line) for line in lines]
                values = [re.sub(place, b"", line) for line in values]
            values = [re.sub(rb'topic":"clicks"', b'topic":null', line) for line in values]
            if lines != values:
                print(f"{topic} {partition}: {len(lines)} records from files, {len(values)} from "
                      f"Kafka")
                return False
    return True
