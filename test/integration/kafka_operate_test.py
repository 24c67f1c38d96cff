#!/usr/bin/env python3
"""A run on a real broker as its operator sees it: metrics and health, stops at any moment, topics
that are wrong, grow or go away, and state that does not belong to its changelog."""
import json
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_harness import Application, file_outputs, generate, same, without_places  # noqa: E402
from kafka_storm import free_port  # noqa: E402

broker = None


def lines_of(path):
    return harness.read(path).splitlines()


def committed(application, topic, partition=0):
    return broker.offsets(application.name).get((topic, partition), (0, ""))[0]


# ---- metrics and health ----

def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def metrics(port):
    """Values by name and labels."""
    found = {}
    for line in get(port, "/metrics")[1].splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def test_a_live_run_tells_where_each_partition_stands(work):
    topic = broker.make("o" + os.path.basename(work), 2)
    port = free_port()
    application = Application(broker, work, topic, ends=False,
                              more=f"metrics: {{listen: '127.0.0.1:{port}'}}").create()
    files = generate(work, 4000, 2)
    counts = []
    for partition, path in enumerate(files):
        broker.send(topic, [{"value": line, "partition": partition} for line in lines_of(path)])
        counts.append(len(lines_of(path)))
    running = application.start("--workers", "2")
    try:
        harness.wait_for(lambda: get(port, "/readyz")[0] == 200, 30, "/readyz")
        equal(get(port, "/healthz"), (200, "ok\n"), "/healthz")

        def is_done():
            found = metrics(port)
            return found if all(
                found.get(f'nudge_kafka_input_position{{partition="{p}"}}') == counts[p] and
                found.get(f'nudge_rocksdb_file_bytes{{partition="{p}"}}') is not None and
                found.get(f'nudge_kafka_sent_records_total{{client="producer-{p}"}}', 0) > 0
                for p in (0, 1)) else None

        found = harness.wait_for(is_done, 20, "positions")
        for p in (0, 1):
            labels = f'{{partition="{p}"}}'
            equal(found["nudge_events_read_total" + labels], counts[p], "events")
            equal(found["nudge_kafka_input_lag_records" + labels], 0, "lag")
            equal(found["nudge_kafka_input_lag_known" + labels], 1, "lag is known")
            equal(found["nudge_kafka_partition_open" + labels], 1, "open")
            check(found["nudge_watermark_seconds" + labels] > 1.7e9, "watermark")
            check(found["nudge_commits_total" + labels] > 0, "commits")
            check(found["nudge_commit_seconds_sum" + labels] > 0, "commit time")
            check(found["nudge_output_latency_seconds_count" + labels] > 0, "latency")
            check(found["nudge_cache_hits_total" + labels] > 0, "cache hits")
            check(f'nudge_cache_misses_total{labels}' in found, "cache misses")
            check(f'nudge_kafka_restored_records_total{labels}' in found, "restored")
        for name in ("requests", "responses", "sent_bytes", "received_bytes", "received_records"):
            total = sum(value for key, value in found.items()
                        if key.startswith(f"nudge_kafka_{name}_total"))
            check(total > 0, f"nudge_kafka_{name}_total of the library: {total}")
        check(found["process_resident_memory_bytes"] > 1e7, "memory")
        # A lag that is there is told: what is fetched ahead waits while the instance is stopped.
        broker.send(topic, [{"value": "broken", "partition": 0}] * 500)
        harness.wait_for(lambda: metrics(port).get('nudge_kafka_input_position{partition="0"}') ==
                         counts[0] + 500, 20, "position")
        running.process.send_signal(signal.SIGTERM)
        equal(running.wait(), 0, "exit")
        # An empty disk: what is restored is counted.
        shutil.rmtree(application.state)
        running = application.start("--workers", "2")
        harness.wait_for(lambda: get(port, "/readyz")[0] == 200, 30, "/readyz")
        for p in (0, 1):
            check(metrics(port)[f'nudge_kafka_restored_records_total{{partition="{p}"}}'] > 20,
                  "restored")
        running.stop()
        equal(get(port, "/readyz"), (0, ""), "nobody answers after a stop")
    finally:
        running.kill()


def test_a_stop_is_clean_at_any_moment_of_the_start(work):
    topic = broker.make("q" + os.path.basename(work))
    application = Application(broker, work, topic, ends=False).create()
    broker.send(topic, [json.dumps(harness.event(i, f"u{i % 9}")) for i in range(2000)])
    for pause in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
        running = application.start()
        time.sleep(pause)
        running.stop()
    # While it waits for brokers, and for a schema registry, that are not there.
    nobody = free_port()
    path = application.path
    text = harness.read(path).decode()
    for changed in (text.replace(broker.servers, f"127.0.0.1:{nobody}"),
                    text.replace("format: jsonl", "format: avro", 1) +
                    f"\nschema_registry: {{url: ['http://127.0.0.1:{nobody}']}}\n"):
        harness.write(path, changed)
        running = application.start()
        time.sleep(1.5)
        begin = time.monotonic()
        running.stop()
        check(time.monotonic() - begin < 5, "a stop takes less than 5 s")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
