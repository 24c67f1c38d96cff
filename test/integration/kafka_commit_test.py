#!/usr/bin/env python3
"""When an instance commits, and what it does with a commit that is larger than a request: on a real
broker."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal, event, lines  # noqa: E402
from kafka_harness import Application, file_outputs, same, wait_for  # noqa: E402

broker = None


def patiently(work, **options):
    """An application that commits after an hour, where nothing else makes it."""
    application = Application(broker, work, **options)
    text = harness.read(application.path).decode()
    check("interval: 30ms" in text, "the interval stands in the configuration")
    harness.write(application.path, text.replace("interval: 30ms", "interval: 1h"))
    return application.create()


def test_what_was_output_is_committed_before_the_interval_is_over(work):
    topic = broker.make("t" + os.path.basename(work))
    application = patiently(work, topic=topic, ends=False)
    running = application.start()
    try:
        # The fourth view of the session is an alert.
        broker.send(topic, [lines([event(n)]).rstrip(b"\n") for n in range(4)])
        wait_for(lambda: ("alerts", 0) in application.outputs(), "the alert")
        running.stop()
    finally:
        running.kill()


def test_commits_of_many_requests_are_whole_and_restored_whole(work):
    """Each of many users has a record: some megabytes of changelog in a transaction."""
    events = [event(n, user=f"u{n % 6000}", seconds=n // 100) for n in range(30000)]
    file = harness.write(os.path.join(work, "events-0.jsonl"), lines(events))
    topic = broker.make("t" + os.path.basename(work))
    broker.send(topic, lines(events).splitlines())
    application = patiently(work, topic=topic)
    application.run()
    found = application.outputs()
    same(found, file_outputs(work, application, [file]), "many requests")
    # Without its state it reads all of it back, and there is nothing left to do.
    os.rename(application.state, application.state + ".gone")
    said = application.run().errors
    restored = re.search(r"restored partition=0 records=(\d+)", said)
    check(restored and int(restored[1]) > 6000, f"records of all users restored: {said[-2000:]}")
    equal(application.outputs(), found, "outputs after the restore")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
