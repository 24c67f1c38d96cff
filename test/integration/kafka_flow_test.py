#!/usr/bin/env python3
"""What must not stop a run on a real broker, nor change what comes of it: a restore that takes longer
than the group waits for a member, and a wall clock that jumps."""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check  # noqa: E402
from kafka_harness import (Application, committed, file_outputs, generate, run_to,  # noqa: E402
                           same, wait_for, without_places)
from kafka_ports import free_port  # noqa: E402
from slow_proxy import SlowProxy  # noqa: E402

broker = None

POLL_INTERVAL_S = 6


def test_a_restore_that_takes_long_keeps_the_group_and_stops_nobody(work):
    topic = broker.make("p" + os.path.basename(work), 2)
    properties = "  properties: {max.poll.interval.ms: %d000}" % POLL_INTERVAL_S
    # With metrics: a partition that is being opened by a worker, and is given to another one, has some.
    listen = f"metrics: {{listen: '127.0.0.1:{free_port()}'}}"
    application = Application(broker, work, topic, ends=False, kafka=properties,
                              more=listen).create()
    many = [harness.event(n, user=f"u{n % 6000}", seconds=n // 100) for n in range(12000)]
    few = [harness.event(n, user=f"v{n % 5}", seconds=n) for n in range(60)]
    broker.send(topic, [{"partition": 0, "value": json.dumps(event)} for event in many])
    broker.send(topic, [{"partition": 1, "value": json.dumps(event)} for event in few[:20]])
    run_to(application, topic, len(many) + 20)
    shutil.rmtree(application.state)
    text = harness.read(application.path).decode()
    proxy = SlowProxy(broker.port + 30, broker.port + 20)
    harness.write(application.path,
                  text.replace(broker.servers, f"127.0.0.1:{broker.port + 30}"))
    proxy.is_slow = True
    try:
        for end in (40, 60):  # A stop in the middle of it is clean, and the next start goes on.
            running = application.start("--workers", "2")
            running.wait_for("partition_opened partition=1")
            if end == 60:
                time.sleep(2.5 * POLL_INTERVAL_S)
            broker.send(topic, [{"partition": 1, "value": json.dumps(event)}
                                for event in few[end - 20:end]])
            wait_for(lambda end=end: committed(application, topic, 1) == end,
                     "the other partition")
            check("partition_opened partition=0" not in running.said(), "it is not restored yet")
            if end == 40:
                running.stop()
        check(proxy.slowed > 0, "something was slow")
        proxy.is_slow = False
        running.wait_for("partition_opened partition=0")
        for word in ("revoked", "group_left", "partition_failed"):
            check(word not in running.said(), f"{word}:\n{running.said()[-2000:]}")
        running.stop()
    finally:
        running.kill()
        proxy.close()
    harness.write(application.path, text)
    files = [harness.write(os.path.join(work, f"{i}.jsonl"), harness.lines(events))
             for i, events in enumerate((many, few))]
    application.write(ends=True, more="")
    application.run("--workers", "2")  # As before: members are known by name until they time out.
    same(application.outputs(), file_outputs(work, application, files), "a long restore")


def test_a_clock_that_jumps_changes_nothing(work):
    library = os.path.join(work, "jumping_clock.so")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jumping_clock.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    offset = harness.write(os.path.join(work, "offset"), bytes(4096))
    topic = broker.make("j" + os.path.basename(work), 2)
    application = Application(broker, work, topic, ends=False).create()
    files = generate(work, 4000, 2)
    events = [[{"partition": i, "value": value} for value in harness.read(path).splitlines()]
              for i, path in enumerate(files)]
    randomness = random.Random(7)
    # The last one is for a build with AddressSanitizer, which wants to be loaded first.
    running = application.start(env={"LD_PRELOAD": library, "JUMPING_CLOCK": offset,
                                     "ASAN_OPTIONS": "verify_asan_link_order=0"})
    sent, wrong_s = 0, 0.0
    try:
        while any(events):
            # Back by seconds at most: the library waits by the wall clock until it is there again.
            wrong_s += randomness.choice([3600.0, 86400.0 * 365, -2.0, -1.0, 0.7])
            with open(offset, "r+b") as file:
                file.write(struct.pack("<q", int(wrong_s * 1e9)))
            for part in events:
                portion = part[:100]
                del part[:100]
                sent += len(portion)
                broker.send(topic, portion)
            if randomness.random() < 0.3:
                wait_for(lambda: committed(application, topic) +
                         committed(application, topic, 1) == sent, "so far")
        wait_for(lambda: committed(application, topic) +
                 committed(application, topic, 1) == sent, "all of it")
        running.stop()
    finally:
        running.kill()
    # What waits when it jumps ahead is over at once, and tried again.
    check("failures=1" not in running.said(), running.said()[-2000:])
    application.write(ends=True)
    application.run()
    same(without_places(application.outputs()),
         without_places(file_outputs(work, application, files)), "a clock that jumps")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
