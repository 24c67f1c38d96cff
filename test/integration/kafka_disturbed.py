"""Two instances that are killed, started again and stopped while their input comes."""
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import harness
from harness import check
from kafka_harness import LATE_STOP, PATIENCE_S


TRANSACTION_S = 3  # For so long transactions live.


class Disturbed:
    """
    Two instances. Every now and then one is killed and started again, some time later where the
    other is to take over, or stopped for longer than its transactions live.
    """

    def __init__(self, application, seed):
        self.application, self.random = application, random.Random(seed)
        self.done = {"kill": 0, "away": 0, "stop": 0}
        self.running = [None, None]
        for i in range(2):
            self.start(i)

    def start(self, i):
        log = open(os.path.join(self.application.work, f"log{i}"), "ab")
        self.running[i] = subprocess.Popen(
            [harness.NUDGE, "run", self.application.path, "--state",
             os.path.join(self.application.work, f"state{i}")], stdout=log, stderr=log)

    def go_on(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(self.random.uniform(0.3, 1.5))
            i = self.random.randrange(2)
            action = self.random.choice(["kill"] * 14 + ["away", "stop"])
            self.done[action] += 1
            if action == "stop":
                self.running[i].send_signal(signal.SIGSTOP)
                time.sleep(TRANSACTION_S + 1)
                self.running[i].send_signal(signal.SIGCONT)
            else:
                self.running[i].kill()
                self.running[i].wait()
                time.sleep(7 if action == "away" else 0)
                self.start(i)
            for j in range(2):  # Who was shut out has ended.
                if self.running[j].poll() is not None:
                    self.start(j)

    def stop(self):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for i, process in enumerate(self.running):
            code = process.wait(PATIENCE_S)
            said = harness.read(os.path.join(self.application.work, f"log{i}")).decode()
            # One that had not begun yet does not even catch the signal.
            check(code in (0, -signal.SIGTERM) or said.rstrip().endswith(LATE_STOP),
                  f"stop: exit {code}:\n{said[-2000:]}")

    def end(self):
        for process in self.running:
            process.kill()
            process.wait()


class Wiping(Disturbed):
    """Takes the state of an instance that is killed away as well, now and then."""

    def start(self, i):
        if self.random.random() < 0.2:
            shutil.rmtree(os.path.join(self.application.work, f"state{i}"), ignore_errors=True)
        super().start(i)


def feed(broker, topic, records, seconds):
    """In that time, on a thread of its own."""
    pause = seconds / (len(records) / 300)

    def send():
        for i in range(0, len(records), 300):
            broker.send(topic, records[i:i + 300])
            time.sleep(pause)
    thread = threading.Thread(target=send)
    thread.start()
    return thread
