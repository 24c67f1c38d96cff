"""The verdict on a storm whose records took hops: clicks -> by device -> by card -> by user.

Events of one user that name different devices go different ways, so they may come to the user in
another order each time: a whole run is not the same twice, and is not compared. What holds is this,
and is:
1. Each topic of the chain has each record of the input once, as it came, in the partition of its
   device, card or user; records that go the same way stay in their order.
2. A hop's features are those of a run over files of what its topic's partition has, in that order.
3. Outputs are those of an undisturbed run over the same NAME-repartition, partition by partition,
   record by record.
"""
import json
import math
import os
import random
import shutil
import struct
import subprocess

from kafka_marks import MARKER, HopMark, Mark, partition_of

KINDS = ("device", "card")
FIELDS = {"device": "device_id", "card": "payment_instrument"}
IDENTITIES = ("user_id", "device_id", "ip")
CHAIN = [*(f"storm-by-{kind}" for kind in KINDS), "storm-repartition"]
# Copies are found among a few ids of an entity, by a run over files among those of the user.
GENERATE = ("--duplicates", "0")
SCORED_SHARE = "0.2"
SETTINGS = {
    "memory": 384,
    "timeout": 5,  # Several times as many transactions are under way.
    "entities": ", entities: [device, card]",
    "hops": "  repartition: true\n  repartition_purge: 0s\n  repartition_idle: 3s\n",
    "rule": """    - name: busy_device
      on: [add_to_cart, purchase]
      if: device_events_1h >= 6 or card_payments_failed_1h >= 1
      alert: {severity: low, reason: "{device_events_1h:.0} events of the device", suggest: review}
      cooldown: 1h
""",
}


class Wrong(Exception):
    pass


class Record:
    """Of a topic of the chain."""

    def __init__(self, line, has_hop):
        _, partition, offset, time_ms, key, value, headers = line.rstrip("\n").split("\t")
        self.partition, self.offset = int(partition), int(offset)
        self.content = (time_ms, key, value)
        found = {"headers": [(name, bytes.fromhex(content)) for name, content in
                             (part.split("=", 1) for part in headers.split(",") if part)]}
        self.mark = Mark(found)
        self.is_marker = bool(self.mark.flags & MARKER)
        self.place = (self.mark.partition, self.mark.offset)
        self.hop = HopMark(found) if has_hop else None


def read_topic(folder, topic, has_hop):
    """By partition, in order; markers left out."""
    found = {}
    with open(os.path.join(folder, topic)) as file:
        for line in file:
            record = Record(line, has_hop)
            if not record.is_marker:
                found.setdefault(record.partition, []).append(record)
    return found


def event_of(content):
    event = json.loads(bytes.fromhex(content[2]))
    return event if isinstance(event.get("event_time"), int) else None


def read_input(folder):
    """The content of each record and its event, if it is one, by place."""
    found = {}
    with open(os.path.join(folder, "clicks")) as file:
        for line in file:
            _, partition, offset, time_ms, key, value, _ = line.rstrip("\n").split("\t")
            content = (time_ms, key, value)
            found[int(partition), int(offset)] = (content, event_of(content))
    return found


def target_of(place, event, stage, count):
    """The partition that a record is to be in behind that many hops."""
    if event is None:
        return place[0]
    name = FIELDS[KINDS[stage]] if stage < len(KINDS) else None
    if name is None or not event.get(name):
        name = next(one for one in IDENTITIES if event.get(one))
    return partition_of(event[name], count)


def check_topic(topic, stage, records, before, source, count):
    """`before`: where each record stood in the topic before, as partition and offset."""
    stands, last = {}, {}
    for partition, items in records.items():
        for item in items:
            if item.place in stands:
                raise Wrong(f"{topic}: {item.place} is there twice")
            if item.place not in source:
                raise Wrong(f"{topic}: {item.place} is not of the input")
            content, event = source[item.place]
            if item.content != content:
                raise Wrong(f"{topic}: {item.place} is not as it came")
            if partition != target_of(item.place, event, stage, count):
                raise Wrong(f"{topic}: {item.place} is in partition {partition}")
            came_from, at = before[item.place]
            if item.hop and item.hop.partition != came_from:
                raise Wrong(f"{topic}: {item.place} names another partition of the hop")
            if last.get((came_from, partition), -1) >= at:
                raise Wrong(f"{topic}: {item.place} out of order in partition {partition}")
            last[came_from, partition] = at
            stands[item.place] = (partition, item.offset)
    missing = sorted(set(source) - set(stands))
    if missing:
        raise Wrong(f"{topic}: {len(missing)} records are lost, {missing[:3]} first")
    return stands


def feature_names(nudge):
    """In the order of the vector."""
    text = subprocess.run([nudge, "describe", "features"], check=True, capture_output=True,
                          text=True).stdout
    return [line.split(" ")[0] for line in text.splitlines()
            if line[:1].islower() and ", in " in line and line.endswith(")")]


def columns_of(kind, names):
    """In the order of the header: what compares the event with the state before it is last."""
    def is_before(i):
        return names[i].endswith(("_amount_deviation", "_idle_s"))
    own = [i for i, name in enumerate(names) if name.startswith(kind + "_")]
    return sorted(own, key=is_before)


def is_same(value, expected):
    """A single against its decimal text; missing is none or not a number."""
    if expected is None:
        return math.isnan(value)
    return value == struct.unpack("<f", struct.pack("<f", expected))[0]


def run_over(storm, events):
    """Scored events of a run over a file that has just these."""
    folder = f"{storm.work}/hop"
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    with open(f"{storm.work}/files.yaml") as file:
        text = file.read().replace("scored_events_share: 0.02", f"scored_events_share: {SCORED_SHARE}")
    with open(f"{folder}/files.yaml", "w") as file:
        file.write(text)
    with open(f"{folder}/events.jsonl", "w") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)
    storm.call("run", f"{folder}/files.yaml", "--input", f"{folder}/events.jsonl", "--output",
               f"{folder}/out")
    with open(f"{folder}/out/scored_events/0.jsonl") as file:
        return [json.loads(line) for line in file]


def check_features(storm, stage, records, then, source):
    """`then`: by place, the record behind the hop. Returns how many values were compared."""
    kind, names = KINDS[stage], feature_names(storm.nudge)
    columns = columns_of(kind, names)
    values = set()
    for partition, items in sorted(records.items()):
        events = [(item.place, source[item.place][1]) for item in items if source[item.place][1]]
        places = {event["event_id"]: place for place, event in events}
        for scored in run_over(storm, [event for _, event in events]):
            carried = then[places[scored["event_id"]]].hop.values
            # Those of the hops before come first.
            own = carried[-len(columns):] if carried else [math.nan] * len(columns)
            for i, value in zip(columns, own):
                if not is_same(value, scored["features"][i]):
                    raise Wrong(f"{kind} {partition}: {scored['event_id']}: {names[i]} is {value}, "
                                f"{scored['features'][i]} expected")
                values.add((i, value))
    if len(values) < 5 * len(columns):
        raise Wrong(f"{kind}: only {len(values)} values of {len(columns)} features")
    return len(values)


def check_chain(storm, files):
    """The first two; files: of the input, by partition. Says what is wrong."""
    folder = f"{storm.work}/chain"
    storm.cluster.tool("records", folder, "clicks", *CHAIN)
    source = read_input(folder)
    lines = sum(1 for path in files for _ in open(path))
    if len(source) != lines:
        print(f"clicks has {len(source)} records of {lines}")
        return False
    before = {place: place for place in source}
    topics, values = [], []
    try:
        for stage, topic in enumerate(CHAIN):
            topics.append(read_topic(folder, topic, stage > 0))
            before = check_topic(topic, stage, topics[-1], before, source, storm.arguments.partitions)
        for stage in range(len(KINDS)):
            then = {item.place: item for items in topics[stage + 1].values() for item in items}
            values.append(check_features(storm, stage, topics[stage], then, source))
    except Wrong as wrong:
        print(wrong)
        return False
    print(f"chain: {len(source)} records in each of {len(CHAIN)} topics, once and in order; different "
          f"values by {' and '.join(KINDS)}: {values}")
    return True


def run_again(storm):
    """
    An undisturbed run over what stands in NAME-repartition, by another group that has read nothing;
    hops find their topics empty, so they send nothing.
    """
    made = [name for kind in KINDS for name in (f"storm-by-{kind}-changelog", f"storm-by-{kind}-journal")]
    storm.cluster.tool("delete", *storm.names, "storm-changelog", "storm-journal", *made)
    storm.cluster.tool("trim", *CHAIN[:-1])
    path = f"{storm.work}/again.yaml"
    batch = random.Random(storm.arguments.seed).choice([7, 100, 1024])
    storm.write_config(path, source="kafka", group="again", instance="  start: latest",
                       **{**storm.common, "batch": batch})
    storm.call("topics", "create", path)
    return storm.run_quietly(path, "expected")
