#!/usr/bin/env python3
"""Disturbs instances that read the same topic, and compares what they commit with a run that
nobody disturbed, partition by partition, record by record: key, time stamp and value.

Instances are killed (and started again, some with their state removed), stopped for longer than
their transactions live and let go on, added and removed; with three brokers, brokers are killed.
With --feed events come while the storm goes on, with a load that changes; with --enough what the run
must have had at least is checked as well, and with --full (2 million in ten minutes) and --hour.
With --hops records take a chain of topics, by device, by card and by user; see kafka_storm_hops.py
for what is compared then.
Needs java and mvn; says so and passes without, unless CI is set.
"""
import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faulty_proxy import FaultyProxy  # noqa: E402
import kafka_storm_hops as hops  # noqa: E402
from kafka_ports import free_port  # noqa: E402
from kafka_storm_verdict import (LEAST, TOPICS, Dump, compare, count_records,  # noqa: E402
                                 file_matches)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRANSACTION_TIMEOUT = 3

CONFIG = """
name: storm
input: {{source: {source}, format: jsonl, allowed_lateness: 5s}}
output: {{sink: {source}, scored_events_share: 0.02}}
state: {{memory: {memory}MiB{entities}}}
commit: {{interval: 30ms}}
run: {{batch: {batch}}}
kafka:
  brokers: [{servers}]
  topic: clicks
  group: {group}
  output_prefix: storm.
  ends: {ends}
  transaction_timeout: {timeout}s
  session_timeout: 6s
{hops}{instance}
emit_interventions:
  rules:
    - name: forgotten_cart
      on: {{idle_cart: 2m}}
      if: cart_value >= 1 and present(cart_age_s)
      promotion: {{kind: reminder, valid_for: 1d}}
      cooldown: 1h
      cap: {{count: 2, per: 30d}}
      holdout: {{share: 0.1, salt: reminders}}
    - name: busy
      on: [product_view]
      if: session_events >= 8 and session_events <= {busy}
      alert: {{severity: low, reason: "{{session_events:.0}} events", suggest: review}}
      cooldown: 10m
{rule}"""


def skip(reason):
    print(f"kafka_storm: skipped: {reason}")
    sys.exit(1 if os.environ.get("CI") else 0)


class Cluster:
    def __init__(self, work, brokers):
        self.port = free_port()
        self.brokers = brokers
        self.environment = dict(os.environ, NUDGE_KAFKA_DIR=os.path.join(work, "kafka"),
                                NUDGE_KAFKA_PORT=str(self.port))
        self.script = os.path.join(ROOT, "scripts", "kafka.sh")
        try:
            self.servers = self.run("start", "--brokers", str(brokers)).strip().splitlines()[-1]
        except BaseException:
            self.run("wipe")
            raise
        self.classpath = self.run("classpath").strip()

    def run(self, *arguments):
        result = subprocess.run([self.script, *arguments], env=self.environment, text=True,
                                stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        if result.returncode == 3:
            skip("java and mvn are needed for Kafka")
        if result.returncode != 0:
            sys.exit(f"kafka.sh {' '.join(arguments)}: exit {result.returncode}")
        return result.stdout

    def start_proxies(self, seed):
        """Between instances and brokers; they let everything pass until they are told to be faulty."""
        proxies = [FaultyProxy(self.port + 30 + i, self.port + 20 + i, seed + i)
                   for i in range(self.brokers)]
        return proxies, ", ".join(f"127.0.0.1:{self.port + 30 + i}" for i in range(self.brokers))

    def probe(self, *arguments):
        """Runs until its standard input ends, or it is done."""
        return subprocess.Popen(
            ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", self.classpath,
             os.path.join(ROOT, "test/integration/KafkaProbe.java"), self.servers, *arguments],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def tool(self, *arguments):
        subprocess.run(["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
                        self.classpath, os.path.join(ROOT, "test/integration/KafkaTool.java"),
                        self.servers, *arguments], check=True, stderr=subprocess.DEVNULL)


class Instance:
    """One process with its own disk, started again as often as it takes."""

    def __init__(self, nudge, config, directory):
        self.command = [nudge, "run", config, "--state", os.path.join(directory, "state"),
                        "--workers", "1"]
        self.directory = directory
        self.log = os.path.join(directory, "log")
        self.process = None
        os.makedirs(directory, exist_ok=True)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.is_running():
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        if self.process:
            self.process.wait()

    def wipe(self):
        shutil.rmtree(os.path.join(self.directory, "state"), ignore_errors=True)


class Transactions:
    """Tells which kills have left a transaction open."""

    def __init__(self, cluster):
        self.probe = cluster.probe("transactions", "app=storm")
        self.left = set()

    def open(self):
        self.probe.stdin.write("\n")
        self.probe.stdin.flush()
        return set(self.probe.stdout.readline().split())

    def look(self):
        """Those that nobody goes on with, nor were known to be so: now and a little later the same."""
        now = self.open()
        time.sleep(0.3)
        new = (now & self.open()) - self.left
        self.left |= new
        return len(new)

    def close(self):
        self.probe.kill()
        self.probe.wait()


def write_config(path, **values):
    with open(path, "w") as file:
        file.write(CONFIG.format(**{"timeout": TRANSACTION_TIMEOUT, "ends": "true", "memory": 192,
                                    "entities": "", "hops": "", "rule": "", "instance": "",
                                    **values}))
    return path


def spoil(paths, randomness):
    """Lines that are no events, for dead letters."""
    for path in paths:
        with open(path) as file:
            lines = file.readlines()
        for _ in range(30):
            lines.insert(randomness.randrange(len(lines)), '{"event_time": "never"}\n')
        with open(path, "w") as file:
            file.writelines(lines)


def wait_all(instances, limit):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        for instance in instances:
            if instance.process and instance.process.poll() not in (None, 0, -signal.SIGKILL):
                tail = open(instance.log, errors="replace").read()[-3000:]
                sys.exit(f"{instance.directory}: exit {instance.process.returncode}\n{tail}")
        if not any(instance.is_running() for instance in instances):
            return
        time.sleep(0.1)
    for instance in instances:
        print(open(instance.log, errors="replace").read()[-3000:])
    sys.exit(f"not at the end after {limit} s")


def has_ended(code, log):
    """
    A stop that a stalled network, a dead broker or a busy machine holds up beyond its time ends like
    a kill, and says so as its last word; what is promised then is what is promised of a kill. So does
    one that comes before the instance has begun to listen for it. Anything else is a failure.
    """
    return (code in (0, -signal.SIGTERM) or open(log, errors="replace").read().rstrip().endswith(
        "no clean stop in time; the next start recovers"))


def stop(instance, counts):
    instance.process.send_signal(signal.SIGTERM)
    counts["ended"] += 1
    try:
        code = instance.process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        sys.exit(f"{instance.directory}: no stop within 60 s")
    if not has_ended(code, instance.log):
        sys.exit(f"{instance.directory}: exit {code}\n" +
                 open(instance.log, errors="replace").read()[-3000:])
    counts["ended late"] += code not in (0, -signal.SIGTERM)
    instance.process = None


def disturb(arguments, randomness, cluster, instances, counts, transactions, feeder):
    """Until the time is over or everything has been processed."""
    begin = time.monotonic()
    end = begin + arguments.seconds
    stopped = {}
    brokers_down = None
    while time.monotonic() < end:
        time.sleep(randomness.uniform(0.05, 0.9))
        now = time.monotonic()
        for instance in [i for i, until in stopped.items() if now >= until]:
            del stopped[instance]
            if instance.is_running():
                instance.process.send_signal(signal.SIGCONT)
        if brokers_down and now >= brokers_down[1]:
            cluster.run("restart", brokers_down[0])
            brokers_down = None
        instance = randomness.choice(instances)
        if all(i.process and i.process.poll() == 0 for i in instances):
            break
        if feeder and feeder.poll() not in (None, 0):
            sys.exit(f"the feeder has failed: exit {feeder.returncode}")
        if not instance.is_running():
            if instance.process is None or instance.process.poll() != 0:
                if instance.process is None:
                    counts["added"] += 1
                instance.start()
            continue
        dice = randomness.random()
        inside = counts["kills inside a transaction"]
        if arguments.enough and inside < 1.5 * LEAST["kills inside a transaction"] * (now - begin) / (
                end - begin):
            dice *= 0.6  # A busy machine does little between two kills: so there are more of them.
        if instance in stopped or arguments.network:
            continue
        if dice < 0.55:
            instance.kill()
            counts["killed"] += 1
            counts["kills inside a transaction"] += transactions.look() > 0
            if randomness.random() < 0.2:
                instance.wipe()
                counts["disks wiped"] += 1
            if randomness.random() < 0.7:
                instance.start()
        elif dice < 0.7:
            instance.process.send_signal(signal.SIGSTOP)
            stopped[instance] = now + randomness.uniform(0.5, 3.0 * TRANSACTION_TIMEOUT)
            counts["stopped"] += 1
            transactions.look()
        elif dice < 0.75:
            stop(instance, counts)
        elif arguments.brokers == 3 and dice < 0.85 and not brokers_down:
            broker = str(randomness.randint(1, 3))
            cluster.run("kill", broker)
            brokers_down = (broker, now + randomness.uniform(1.0, 6.0))
            counts["brokers killed"] += 1
    for instance in stopped:
        if instance.is_running():
            instance.process.send_signal(signal.SIGCONT)
    if brokers_down:
        cluster.run("restart", brokers_down[0])
    for instance in instances:
        if not instance.is_running() and (instance.process is None or instance.process.poll() != 0):
            instance.start()


def end_input(instances, feeder, counts):
    """All events are there: the input ends, for all instances anew."""
    if feeder.wait(600) != 0:
        sys.exit(f"the feeder has failed: exit {feeder.returncode}")
    for instance in instances:
        if instance.is_running():
            stop(instance, counts)
        with open(instance.command[2]) as file:
            text = file.read()
        with open(instance.command[2], "w") as file:
            file.write(text.replace("ends: false", "ends: true"))
    for instance in instances:
        instance.start()


class Storm:
    def __init__(self, arguments, nudge, work):
        self.arguments, self.nudge, self.work = arguments, nudge, work
        self.randomness = random.Random(arguments.seed)
        self.names = [f"storm.{topic}" for topic in TOPICS]
        self.instances = []
        self.feeder = self.transactions = None
        self.write_config = write_config
        self.counts = {key: 0 for key in ("killed", "kills inside a transaction", "disks wiped",
                                          "stopped", "ended", "ended late", "added", "brokers killed")}
        self.cluster = Cluster(work, arguments.brokers)
        self.common = {"servers": self.cluster.servers.replace(",", ", "), "batch": arguments.batch,
                       "busy": 9 if arguments.feed else 100000,
                       **(hops.SETTINGS if arguments.hops else {})}

    def close(self):
        for instance in self.instances:
            instance.kill()
        if self.feeder:
            self.feeder.kill()
        if self.transactions:
            self.transactions.close()
        self.cluster.run("wipe")

    def call(self, *arguments):
        said = subprocess.run([self.nudge, *arguments], capture_output=True, text=True)
        if said.returncode != 0:
            sys.exit(f"nudge {' '.join(arguments)}: exit {said.returncode}\n{said.stderr[-3000:]}")

    def generate(self):
        arguments = self.arguments
        self.call("generate", "--output", f"{self.work}/in", "--format", "jsonl", "--events",
                  str(arguments.events), "--users", str(max(1, arguments.events // 20)), "--late",
                  "0.02", "--seed", str(arguments.seed), "--partitions", str(arguments.partitions),
                  *(hops.GENERATE if arguments.hops else ()))
        files = [f"{self.work}/in/events-{i}.jsonl" for i in range(arguments.partitions)]
        spoil(files, self.randomness)
        return files

    def run_quietly(self, config, name):
        """One instance that nobody disturbs, to the end; returns what it has written, and its time."""
        instance = Instance(self.nudge, config, f"{self.work}/{name}")
        self.instances.append(instance)
        begin = time.monotonic()
        instance.start()
        wait_all([instance], max(900, self.arguments.events / 1000))
        self.instances.remove(instance)
        seconds = time.monotonic() - begin
        self.cluster.tool("dump", f"{self.work}/{name}-written", *self.names)
        return Dump(f"{self.work}/{name}-written"), seconds

    def run_first(self, files):
        """Of the same input, before the storm, over files and over topics, which are then empty again."""
        config = write_config(f"{self.work}/files.yaml", source="files", group="none", **self.common)
        self.call("run", config, "--input", *files, "--output", f"{self.work}/out")
        quiet = write_config(f"{self.work}/quiet.yaml", source="kafka", group="quiet", **self.common)
        self.cluster.tool("load", "clicks", *files)
        self.call("topics", "create", quiet)
        expected, seconds = self.run_quietly(quiet, "expected")
        if not file_matches(expected, f"{self.work}/out", self.arguments.partitions):
            sys.exit("the undisturbed run differs from the run over files")
        self.cluster.tool("delete", *self.names, "storm-changelog", "storm-journal",
                          *(["clicks"] if self.arguments.feed else []))
        time.sleep(3)
        if self.arguments.feed:
            self.cluster.tool("create", "clicks", str(self.arguments.partitions))
        return expected, seconds

    def storm(self, files):
        arguments, cluster, counts = self.arguments, self.cluster, self.counts
        proxies = []
        common = dict(self.common)
        if arguments.network:
            proxies, common["servers"] = cluster.start_proxies(arguments.seed)
        for i in range(arguments.instances):
            config = write_config(f"{self.work}/storm{i}.yaml", source="kafka", group="storm",
                                  instance=f"  instance: node{i}",
                                  ends="false" if arguments.feed else "true", **common)
            self.instances.append(Instance(self.nudge, config, f"{self.work}/node{i}"))
        self.transactions = Transactions(cluster)
        if arguments.feed:
            self.feeder = cluster.probe(
                "feed", "topic=clicks", f"seconds={int(arguments.seconds * 0.9)}",
                f"seed={arguments.seed}", *[f"file{i}={path}" for i, path in enumerate(files)])
        for instance in self.instances[:max(1, arguments.instances - 1)]:
            instance.start()
        begin = time.monotonic()
        for proxy in proxies:
            proxy.is_faulty = True
        disturb(arguments, self.randomness, cluster, self.instances, counts, self.transactions,
                self.feeder)
        for proxy in proxies:
            proxy.is_faulty = False
            for fault, count in proxy.counts.items():
                counts[f"connections {fault}"] = counts.get(f"connections {fault}", 0) + count
        disturbed = time.monotonic() - begin
        if arguments.feed:
            end_input(self.instances, self.feeder, counts)
        wait_all(self.instances, max(600, arguments.events / 1000))
        cluster.tool("dump", f"{self.work}/found", *self.names)
        return Dump(f"{self.work}/found"), disturbed

    def logs(self):
        return "".join(open(i.log, errors="replace").read() for i in self.instances)

    def run(self):
        arguments = self.arguments
        files = self.generate()
        self.cluster.tool("create", "clicks", str(arguments.partitions))
        expected, seconds = (None, 0.0) if arguments.hops else self.run_first(files)
        self.call("topics", "create", write_config(f"{self.work}/quiet.yaml", source="kafka",
                                                   group="quiet", **self.common))
        found, disturbed = self.storm(files)
        passed = True
        if arguments.hops:
            self.write_config(f"{self.work}/files.yaml", source="files", group="none",
                              **{**self.common, "hops": ""})
            passed = hops.check_chain(self, files)
            expected, seconds = hops.run_again(self)
        passed = compare(expected, found) and passed
        logs = self.logs()
        seen = {word: len(re.findall(word, logs))
                for word in ("commit_aborted", "commit_resolved", "partition_failed",
                             "partition_dropped", "state_rebuilt", "restored", "lost=1")}
        for word in ("AddressSanitizer", "runtime error:", "Assertion "):
            if word in logs:
                passed = False
                print(f"{word} in the logs:\n{logs[max(0, logs.index(word) - 500):][:3000]}")
        records = count_records(expected)
        if arguments.enough:
            had = {**records, **self.counts}
            missing = [f"{what}: {had[what]}, at least {least} expected"
                       for what, least in LEAST.items() if had[what] < least]
            passed = passed and not missing
            print("\n".join(missing))
        print(f"seed {arguments.seed}: undisturbed {seconds:.1f} s, disturbed {disturbed:.1f} s; "
              f"injected {self.counts}; seen {seen}; records {records}; "
              f"{'the same' if passed else 'DIFFERENT'}")
        return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nudge")
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--events", type=int, default=200000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60, help="of disturbance")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--feed", action="store_true", help="events come while the storm goes on")
    parser.add_argument("--enough", action="store_true", help="fail where little was disturbed or came out")
    parser.add_argument("--full", action="store_true", help="2 million events in ten minutes, fed, and enough")
    parser.add_argument("--hour", action="store_true", help="likewise, an hour")
    parser.add_argument("--hops", action="store_true", help="records go by device, by card and by user")
    parser.add_argument("--network", action="store_true",
                        help="disturb connections instead of instances")
    parser.add_argument("--keep", action="store_true", help="leave the files where they are")
    arguments = parser.parse_args()
    if arguments.full or arguments.hour:
        arguments.events, arguments.partitions = 2000000, 6
        arguments.seconds = 3600 if arguments.hour else 600
        arguments.feed = arguments.enough = True
    arguments.feed = arguments.feed or arguments.hops  # Their topic is as long as the run.
    if not shutil.which("java"):
        skip("java is needed for Kafka")
    work = tempfile.mkdtemp(prefix="nudge-storm-")
    # A copy: a build meanwhile would change what is compared.
    storm = Storm(arguments, shutil.copy(arguments.nudge, os.path.join(work, "nudge")), work)
    passed = False
    try:
        passed = storm.run()
    finally:
        storm.close()
        if passed and not arguments.keep:
            shutil.rmtree(work, ignore_errors=True)
        else:
            print(f"files: {work}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
