#!/usr/bin/env python3
"""A run on a real broker as its operator sees it: metrics and health, stops at any moment, topics
that are wrong, grow or go away, and state that is too old."""
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_harness import (Application, committed, file_outputs, generate, get,  # noqa: E402
                           metrics, run_to, same, wait_for, without_places)
from kafka_ports import free_port  # noqa: E402

broker = None


def lines_of(path):
    return harness.read(path).splitlines()


# ---- metrics and health ----

def test_a_live_run_tells_where_each_partition_stands(work):
    topic = broker.make("o" + os.path.basename(work), 2)
    port = free_port()
    application = Application(broker, work, topic, ends=False,
                              more=f"metrics: {{listen: '127.0.0.1:{port}'}}").create()
    files = generate(work, 4000, 2)
    counts = []
    running = application.start("--workers", "2")
    try:
        wait_for(lambda: get(port, "/readyz")[0] == 200, "/readyz")
        for partition, path in enumerate(files):
            counts.append(len(lines_of(path)))
            broker.send(topic, [{"value": line, "partition": partition}
                                for line in lines_of(path)])
        equal(get(port, "/healthz"), (200, "ok\n"), "/healthz")

        def is_done():
            found = metrics(port)
            return found if all(
                found.get(f'nudge_kafka_input_position{{partition="{p}"}}') == counts[p] and
                found.get(f'nudge_kafka_input_lag_records{{partition="{p}"}}') == 0 and
                found.get(f'nudge_output_latency_seconds_count{{partition="{p}"}}', 0) > 0 and
                found.get(f'nudge_rocksdb_file_bytes{{partition="{p}"}}') is not None and
                found.get(f'nudge_kafka_sent_records_total{{client="producer-{p}"}}', 0) > 0
                for p in (0, 1)) else None

        found = wait_for(is_done, "positions")
        for p in (0, 1):
            labels = f'{{partition="{p}"}}'
            equal(found["nudge_events_read_total" + labels], counts[p], "events")
            equal(found["nudge_kafka_input_lag_known" + labels], 1, "lag is known")
            equal(found["nudge_kafka_partition_open" + labels], 1, "open")
            check(found["nudge_watermark_seconds" + labels] > 1.7e9, "watermark")
            check(found["nudge_commits_total" + labels] > 0, "commits")
            check(found["nudge_commit_seconds_sum" + labels] > 0, "commit time")
            check(found["nudge_cache_hits_total" + labels] > 0, "cache hits")
            check(f'nudge_cache_misses_total{labels}' in found, "cache misses")
            check(f'nudge_kafka_restored_records_total{labels}' in found, "restored")
        for name in ("requests", "responses", "sent_bytes", "received_bytes", "received_records"):
            total = sum(value for key, value in found.items()
                        if key.startswith(f"nudge_kafka_{name}_total"))
            check(total > 0, f"nudge_kafka_{name}_total of the library: {total}")
        check(found["process_resident_memory_bytes"] > 1e7, "memory")
        # A lag that is there is told: what is fetched ahead waits while the instance is stopped.
        # Of these one is too long a trace, and one is none.
        headers = [("traceparent", "x" * 1024), ("tracestate", "y" * 1025), ("z", "z" * 1025)]
        broker.send(topic, [{"value": "broken", "partition": 0, "headers": headers}] * 7)
        broker.send(topic, [{"value": "broken", "partition": 0}] * 493)
        wait_for(lambda: metrics(port).get('nudge_kafka_input_position{partition="0"}') ==
                 counts[0] + 500, "position")
        wait_for(lambda: metrics(port).get(
            'nudge_kafka_trace_headers_dropped_total{partition="0"}') == 7, "headers")
        running.stop()
        # An empty disk: what is restored is counted.
        shutil.rmtree(application.state)
        running = application.start("--workers", "2")
        wait_for(lambda: get(port, "/readyz")[0] == 200, "/readyz")
        for p in (0, 1):
            wait_for(lambda p=p: metrics(port).get(
                f'nudge_kafka_restored_records_total{{partition="{p}"}}', 0) > 20, "restored")
        running.stop()
        equal(get(port, "/readyz"), (0, ""), "nobody answers after a stop")
    finally:
        running.kill()


# What a summary has of the run, and not of its input.
OF_THE_RUN = {"name", "elapsed_seconds", "cpu_seconds", "peak_memory_bytes", "commits", "cache_hits",
              "cache_misses", "cache_new_records", "store_records_written", "store_bytes_written",
              "stage_cpu_ns", "was_stopped"}


def test_the_summary_is_that_of_a_run_over_files(work):
    topic = broker.make("y" + os.path.basename(work), 3)
    application = Application(broker, work, topic).create()
    files = generate(work, 6000, 3)
    broker.send(topic, [{"value": line, "partition": partition}
                        for partition, path in enumerate(files) for line in lines_of(path)])
    summaries = [os.path.join(work, name) for name in ("topics", "files", "stopped")]
    application.run("--workers", "2", "--summary", summaries[0])
    same(without_places(application.outputs()),
         without_places(file_outputs(work, application, files)), "outputs")
    result = harness.nudge("run", os.path.join(work, "files.yaml"), "--input", *files, "--output",
                           os.path.join(work, "again"), "--summary", summaries[1])
    check(result.code == 0, f"{result}")
    # The same by a signal, of a run that has nothing new to read.
    application.write(ends=False)
    running = application.start("--workers", "2", "--summary", summaries[2])
    for partition in range(3):
        running.wait_for(f"partition_opened partition={partition}")
    running.stop()
    topics, expected, stopped = ({key: value for key, value in json.loads(harness.read(path)).items()
                                  if key not in OF_THE_RUN} for path in summaries)
    check(expected["sessions"] > 0 and expected["alerts"] > 0, f"{expected}")
    equal(topics, expected, "summary")
    equal(stopped, {**expected, "events_this_run": 0}, "summary when stopped")


def test_a_run_that_ends_says_which_input_it_did_not_have(work):
    """The second worker's place in the group is kept for as long as it may come back."""
    topic = broker.make("l" + os.path.basename(work), 2)
    application = Application(broker, work, topic, ends=False).create()
    running = application.start("--workers", "2")
    for partition in range(2):
        running.wait_for(f"partition_opened partition={partition}")
    running.stop()
    events = harness.lines([harness.event(n) for n in range(20)]).splitlines()
    broker.send(topic, [{"value": line, "partition": n % 2} for n, line in enumerate(events)])
    application.write(ends=True)
    said = application.run("--workers", "1").errors
    check("input_left" in said and "partitions=1 of=2" in said, f"half of it is left: {said}")
    said = application.run("--workers", "2").errors
    check("input_left" not in said, f"all of it is read: {said}")


def catches_signals(running):
    """Waits until it does, which is the first thing that it does."""
    def is_caught():
        status = harness.read(f"/proc/{running.process.pid}/status").decode()
        caught = int(next(line.split()[1] for line in status.splitlines()
                          if line.startswith("SigCgt")), 16)
        return caught >> (signal.SIGTERM - 1) & 1
    wait_for(is_caught, "a handler")


def stop_cleanly(application, pause):
    """One that hangs does so more than once; one that a busy machine holds up does not."""
    for attempt in range(3):
        running = application.start()
        catches_signals(running)
        time.sleep(pause)
        if running.stop(may_be_late=attempt < 2):
            return


def test_a_stop_is_clean_at_any_moment_of_the_start(work):
    topic = broker.make("q" + os.path.basename(work))
    application = Application(broker, work, topic, ends=False).create()
    broker.send(topic, [json.dumps(harness.event(i, f"u{i % 9}")) for i in range(2000)])
    for pause in (0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
        stop_cleanly(application, pause)
    # While it waits for brokers, and for a schema registry, that are not there.
    nobody = free_port()
    path = application.path
    text = harness.read(path).decode()
    for changed in (text.replace(broker.servers, f"127.0.0.1:{nobody}"),
                    text.replace("format: jsonl", "format: avro", 1) +
                    f"\nschema_registry: {{url: ['http://127.0.0.1:{nobody}']}}\n"):
        harness.write(path, changed)
        stop_cleanly(application, 1.5)


# ---- topics that are not as they must be ----

def refused(application, words, *command):
    result = harness.nudge(*(command or ("topics", "check")), application.path)
    check(result.code == 2 and words in result.errors, f"\"{words}\" expected: {result}")


def test_topics_that_are_wrong_are_refused(work):
    topic = broker.make("w" + os.path.basename(work), 2)
    application = Application(broker, work, topic, ends=False)
    name = application.name
    refused(application, "is missing")
    # Each of them with a number of partitions that is not the input's.
    for wrong in (f"{name}.promotions", f"{name}-changelog", f"{name}-journal"):
        broker.make(wrong, 3)
        refused(application, f"{wrong} has 3 partitions, and {topic} has 2", "topics", "create")
        broker.ask("delete", wrong)
    application.create()
    result = harness.nudge("topics", "check", application.path)
    check(result.code == 0 and "as they must be" in result.out, f"{result}")
    # State that would be dropped after a while, and offsets that compaction would tear out.
    broker.ask("set", f"{name}-changelog", "cleanup.policy=delete")
    refused(application, 'cleanup.policy is "delete", and must be compact')
    broker.ask("set", f"{name}-changelog", "cleanup.policy=compact,delete")
    refused(application, "must be compact")
    broker.ask("set", f"{name}-changelog", "cleanup.policy=compact")
    broker.ask("set", f"{name}-journal", "cleanup.policy=compact")
    refused(application, f'{name}-journal: cleanup.policy is "compact", and must be delete')
    broker.ask("set", f"{name}-journal", "cleanup.policy=delete")
    broker.ask("set", f"{name}.alerts", "cleanup.policy=compact")
    refused(application, f"{name}.alerts: cleanup.policy")
    broker.ask("set", f"{name}.alerts", "cleanup.policy=delete")
    result = harness.nudge("topics", "check", application.path)
    check(result.code == 0, f"{result}")


def test_another_applications_changelog_is_refused(work):
    topic = broker.make("x" + os.path.basename(work), 2)
    application = Application(broker, work, topic).create()
    changelog = f"{application.name}-changelog"
    # Records of another program: they are not keyed as ours are.
    broker.send(changelog, [{"key": "user-1", "value": "what Streams keeps", "partition": 1}])
    refused(application, f"{changelog}, partition 1, offset 0: no record of a changelog of ours")
    result = harness.nudge("run", application.path, "--state", application.state)
    check(result.code == 2 and "no record of a changelog" in result.errors, f"{result}")
    # Records of ours, but of a group that this one is not.
    first = Application(broker, work, topic).create()
    broker.send(topic, [{"value": json.dumps(harness.event(i, f"u{i}")), "partition": i % 2}
                        for i in range(50)])
    first.run()
    other = Application(broker, work, topic, name=first.name, kafka="  group: another")
    refused(other, "group another has no committed offset")
    first.write()
    result = harness.nudge("topics", "check", first.path)
    check(result.code == 0, f"{result}")


def test_an_input_topic_that_is_deleted_is_said_to_be_gone(work):
    topic = broker.make("d" + os.path.basename(work))
    application = Application(broker, work, topic, ends=False).create()
    broker.send(topic, [json.dumps(harness.event(i)) for i in range(100)])
    running = application.start()
    try:
        wait_for(lambda: committed(application, topic) == 100, "a first commit")
        broker.ask("delete", topic)
        code = running.wait()
        said = running.said()
        check(code == 2, f"exit {code}:\n{said[-2000:]}")
        last = said.strip().splitlines()[-1]
        check(f"topic {topic}" in last and "was deleted" in last, f"the last line says so: {last}")
    finally:
        running.kill()


def test_records_that_are_removed_before_they_are_read_are_not_passed_over_in_silence(work):
    topic = broker.make("r" + os.path.basename(work))
    application = Application(broker, work, topic, ends=False).create()
    broker.send(topic, [json.dumps(harness.event(i)) for i in range(100)])
    run_to(application, topic, 100)
    broker.send(topic, [json.dumps(harness.event(100 + i)) for i in range(100)])
    broker.ask("trim", topic, 0, 150)
    running = application.start()
    try:
        running.wait_for("records were removed before they were read")
        check(committed(application, topic) == 100, "nothing is passed over")
        check(topic in running.said(), "the topic is named")
    finally:
        running.kill()


def test_partitions_that_are_added_are_taken_in_by_a_new_start(work):
    topic = broker.make("g" + os.path.basename(work))
    fast = "  properties: {topic.metadata.refresh.interval.ms: 300}"
    application = Application(broker, work, topic, ends=False, kafka=fast).create()
    running = application.start()
    try:
        broker.send(topic, [json.dumps(harness.event(i)) for i in range(50)])
        wait_for(lambda: committed(application, topic) == 50, "a first commit")
        broker.ask("grow", topic, 2)
        running.wait_for("partition_unknown")
        check("the topic has grown" in running.said(), "why")
        # What goes to the old partition goes on being read; the new one waits.
        broker.send(topic, [{"value": json.dumps(harness.event(60 + i)), "partition": i % 2}
                            for i in range(50)])
        wait_for(lambda: committed(application, topic) == 75, "the old partition")
        running.stop()
    finally:
        running.kill()
    refused(application, f"has 1 partitions, and {topic} has 2")
    for name in application.topics() + [f"{application.name}-{t}" for t in ("changelog", "journal")]:
        broker.ask("grow", name, 2)
    application.write(ends=True)
    application.run()
    equal((committed(application, topic), committed(application, topic, 1)), (75, 25), "offsets")


# ---- state that is too old ----

def test_records_not_heard_of_are_removed_from_state_and_changelog(work):
    topic = broker.make("t" + os.path.basename(work))
    port = free_port()
    more = "metrics: {listen: '127.0.0.1:%d'}" % port
    application = Application(broker, work, topic, ends=False, more=more)
    text = harness.read(application.path).decode()
    harness.write(application.path, text.replace("{memory: 192MiB}",
                                                 "{memory: 192MiB, retention: 5h}"))
    harness.nudge("topics", "create", application.path)
    # Many come once; a few stay; one of the many is back when all of them are forgotten.
    many = [harness.event(i, f"u{i}") for i in range(300)]
    few = [harness.event(1000 + i, f"stays{i % 3}", seconds=400 + 300 * i) for i in range(200)]
    few.insert(150, harness.event(5000, "u7", seconds=400 + 300 * 149))
    events = many + few
    running = application.start()
    try:
        broker.send(topic, [json.dumps(event) for event in many])
        for i in range(0, len(few), 20):
            broker.send(topic, [json.dumps(event) for event in few[i:i + 20]])
            wait_for(lambda end=300 + min(i + 20, len(few)):
                     committed(application, topic) == end, "a portion")

        def newest():
            found = {}
            for record in broker.records(f"{application.name}-changelog"):
                found[record["key"]] = record["value"]
            return found

        # The task's own record, those who stay and who is back; others went before, or go with one of
        # the next commits, where the store was busy.
        while True:
            values = newest().values()
            gone = sum(value is None for value in values)
            if len(values) - gone < 20 and gone > 280:
                break
            check(len(events) < 700, f"{len(values) - gone} kept, {gone} removed")
            events.append(harness.event(1500 + len(events), "stays0", seconds=400 + 300 * 200))
            broker.send(topic, [json.dumps(events[-1])])
            wait_for(lambda: committed(application, topic) == len(events), "another event")
        wait_for(lambda: metrics(port).get('nudge_rocksdb_keys{partition="0"}', 999) < 60,
                 "removed from RocksDB")
        running.stop()
    finally:
        running.kill()
    # An empty disk is restored from what is left, and goes on as if all of it were there.
    shutil.rmtree(application.state)
    last = [harness.event(9000 + i, f"u{i % 9}", seconds=70000 + i) for i in range(100)]
    broker.send(topic, [json.dumps(event) for event in last])
    text = harness.read(application.path).decode()
    harness.write(application.path, text.replace("ends: false", "ends: true"))
    application.run()
    file = harness.write(os.path.join(work, "all.jsonl"), harness.lines(events + last))
    text = harness.read(application.path).decode().replace(more, "")
    harness.write(application.path, text)
    same(application.outputs(), file_outputs(work, application, [file]), "retention")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
