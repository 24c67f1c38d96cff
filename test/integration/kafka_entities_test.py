#!/usr/bin/env python3
"""State by card, device, terminal and address over several partitions, by hops, on a real broker."""
import json
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_disturbed import TRANSACTION_S, Wiping, feed  # noqa: E402
from kafka_harness import wait_for  # noqa: E402
from kafka_hopped import (ALL, PARTITIONS, Hopped, by_event, check_hops,  # noqa: E402
                          feature_names, file_run, flow, read_committed, send, waves)
from kafka_marks import partition_of  # noqa: E402
from kafka_ports import free_port  # noqa: E402

broker = None
# Of features, those that each kind of entity has.
LEAST = {"device": 6, "card": 10, "terminal": 11, "address": 6}


# ---- events whose order is determined, however they are sent on ----

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


def run_in_waves(application, topic, all_waves, disturb=None):
    """Sends a wave when the one before is through."""
    application.write(ends=False)
    application.create()
    running = application.start()
    sent = 0
    try:
        for i, wave in enumerate(all_waves):
            send(broker, topic, wave)
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
    application = Hopped(broker, work, topic, ["card"])
    all_waves = waves(20, erases=True)
    run_in_waves(application, topic, all_waves)
    expected = file_run(work, application, [event for wave in all_waves for event in wave])
    compare(application, expected, "card", ["card"])
    check_hops(application, topic, "card")


def test_features_by_all_entities_are_those_of_one_partition_through_kills(work):
    topic = broker.make("a" + os.path.basename(work), PARTITIONS)
    port = free_port()
    application = Hopped(broker, work, topic, ALL, more=f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
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
    application = Hopped(broker, work, topic, ["device", "card"], ends=False,
                         transaction_s=TRANSACTION_S).create()
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


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
