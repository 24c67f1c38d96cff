#!/usr/bin/env python3
"""A broker that goes away and comes back, and two processes of one name, on a real broker.

    kafka_outage_test.py NUDGE [SECONDS]     for how long it is away, by default just long enough
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kafka_harness import PATIENCE_S  # noqa: E402
from kafka_storm import Cluster  # noqa: E402

SESSION_S = 2
SETTLED_S = 4 * SESSION_S  # After which being shut out means that another has the name.
LONG_SESSION_S = 10  # Where somebody must have been shut out before.
MEMORY_MIB = 32  # Of which a process may have more while it waits for a broker.
CONFIG = """
name: outage
input: {{source: kafka, format: jsonl}}
output: {{sink: kafka}}
commit: {{interval: 30ms}}
kafka:
  brokers: [{servers}]
  topic: clicks
  instance: only-one
  output_prefix: outage.
  transaction_timeout: 3s
  session_timeout: {session}s
"""


class Case:
    def __init__(self, nudge, cluster, work):
        self.nudge, self.cluster, self.work = nudge, cluster, work
        self.config = f"{work}/outage.yaml"
        self.write(SESSION_S)
        self.processes = []

    def write(self, session_s):
        with open(self.config, "w") as file:
            file.write(CONFIG.format(servers=self.cluster.servers, session=session_s))

    def start(self, name):
        with open(f"{self.work}/{name}.log", "ab") as log:
            process = subprocess.Popen([self.nudge, "run", self.config, "--state", f"{self.work}/{name}"],
                                       stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def log(self, name):
        with open(f"{self.work}/{name}.log", errors="replace") as file:
            return file.read()

    def is_assigned(self, name):
        until = time.monotonic() + PATIENCE_S
        while "assigned" not in self.log(name):
            if time.monotonic() > until:
                sys.exit(f"{name}: not assigned\n{self.log(name)[-2000:]}")
            time.sleep(0.05)

    def behind(self):
        said = subprocess.run([self.nudge, "lag", self.config], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        return int(said.stdout.split()[-1]) if said.returncode == 0 else None

    def feed(self):
        """The same events once more: they are duplicates, and read all the same."""
        self.cluster.tool("load", "clicks", *(f"{self.work}/in/events-{n}.jsonl" for n in range(2)))

    def reads_all(self, process, name, what):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if process.poll() is not None:
                sys.exit(f"{what}: nudge ended with {process.returncode}\n{self.log(name)[-2000:]}")
            if self.behind() == 0:
                return
            time.sleep(0.5)
        sys.exit(f"{what}: {self.behind()} records behind after {PATIENCE_S} s\n{self.log(name)[-2000:]}")


def resident_mib(process):
    with open(f"/proc/{process.pid}/status") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmRSS"))


def broker_away(case, process, seconds):
    before = resident_mib(process)
    case.cluster.run("kill")
    time.sleep(seconds)
    after = resident_mib(process)
    case.cluster.run("restart")
    case.feed()
    case.reads_all(process, "one", "after the broker was away")
    if after > before + MEMORY_MIB:
        sys.exit(f"the broker away for {seconds:.0f} s: {before} MiB before it, {after} MiB after")


def newcomer_of_the_same_name(case, older):
    time.sleep(SETTLED_S + 1)
    newer = case.start("two")
    try:
        code = older.wait(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        sys.exit("two of one name: the older one goes on")
    if code != 1 or "fenced" not in case.log("one"):
        sys.exit(f"two of one name: the older one ended with {code}\n{case.log('one')[-2000:]}")
    case.feed()
    case.reads_all(newer, "two", "the newer of two")
    return newer


def shut_out_by_one_that_died(case, process):
    """Within the time in which it may be its own doing, so it joins again."""
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=PATIENCE_S)
    case.write(LONG_SESSION_S)
    first = case.start("three")
    case.is_assigned("three")
    second = case.start("four")
    case.is_assigned("four")
    second.kill()
    second.wait()
    case.feed()
    case.reads_all(first, "three", "shut out by one that died")
    if "group_left" not in case.log("three"):
        sys.exit("shut out by one that died: it was not shut out, so nothing was tested")


def main():
    nudge = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="nudge-outage-") as work:
        cluster = Cluster(work, 1)
        case = Case(nudge, cluster, work)
        try:
            cluster.tool("create", "clicks", "2")
            subprocess.run([nudge, "generate", "--output", f"{work}/in", "--events", "5000", "--format",
                            "jsonl", "--partitions", "2"], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            subprocess.run([nudge, "topics", "create", case.config], check=True, stdout=subprocess.DEVNULL)
            process = case.start("one")
            case.feed()
            case.reads_all(process, "one", "at the start")
            # The group forgets the instance, and the instance the group.
            broker_away(case, process, float(sys.argv[2]) if len(sys.argv) > 2 else 3 * SESSION_S)
            process = newcomer_of_the_same_name(case, process)
            shut_out_by_one_that_died(case, process)
        finally:
            for process in case.processes:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            cluster.run("wipe")
    print("kafka_outage: 3 passed, 0 failed")


if __name__ == "__main__":
    main()
