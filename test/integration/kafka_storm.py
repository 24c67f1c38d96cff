#!/usr/bin/env python3
"""Disturbs instances that read the same topic, and compares what they commit with a run that
nobody disturbed, partition by partition, record by record: key, time stamp and value.

Instances are killed (and started again, some with their state removed), stopped for longer than
their transactions live and let go on, added and removed; with three brokers, brokers are killed.
With --feed events come while the storm goes on, with a load that changes; with --enough what the run
must have had at least is checked as well, and with --full (2 million in ten minutes) and --hour.
Needs java and mvn; says so and passes without, unless CI is set.
"""
import argparse
import glob
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faulty_proxy import FaultyProxy  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOPICS = ["alerts", "promotions", "sessions", "decisions", "dead_letters", "late_events",
          "scored_events"]
TRANSACTION_TIMEOUT = 3

CONFIG = """
name: storm
input: {{source: {source}, format: jsonl, allowed_lateness: 5s}}
output: {{sink: {source}, scored_events_share: 0.02}}
state: {{memory: 192MiB}}
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
{instance}
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
"""


# What a run with --enough must have had at least, or it has proved less than it is for.
LEAST = {"promotions": 1000, "promotions by timers": 500, "late_events": 500, "capped": 100,
         "dead_letters": 100, "kills inside a transaction": 10}


def skip(reason):
    print(f"kafka_storm: skipped: {reason}")
    sys.exit(1 if os.environ.get("CI") else 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return 20000 + probe.getsockname()[1] % 10000


class Cluster:
    def __init__(self, work, brokers):
        self.port = free_port()
        self.brokers = brokers
        self.environment = dict(os.environ, NUDGE_KAFKA_DIR=os.path.join(work, "kafka"),
                                NUDGE_KAFKA_PORT=str(self.port))
        self.script = os.path.join(ROOT, "scripts", "kafka.sh")
        self.servers = self.run("start", "--brokers", str(brokers)).strip().splitlines()[-1]
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
        """Those that nobody goes on with, and that were not known to be so: now and a little later the same."""
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
        file.write(CONFIG.format(**{"timeout": TRANSACTION_TIMEOUT, "ends": "true", **values}))
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
        1 for line in expected.topic("promotions") if b'"cause":"idle_cart"' in line or b'"cause":"after"' in line)
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
    """The same values as the run over files has, where no event was in a topic; a dead letter names its place."""
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


def has_stopped(instance, code):
    """
    A stop that a stalled network or a dead broker holds up beyond its time ends like a kill, and
    says so as its last word; what is promised then is what is promised of a kill. So does one that
    comes before the instance has begun to listen for it. Anything else is a failure.
    """
    log = open(instance.log, errors="replace").read()
    return (code in (0, -signal.SIGTERM) or
            log.rstrip().endswith("no clean stop in time; the next start recovers"))


def stop(instance, counts):
    instance.process.send_signal(signal.SIGTERM)
    counts["ended"] += 1
    try:
        code = instance.process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        sys.exit(f"{instance.directory}: no stop within 20 s")
    if not has_stopped(instance, code):
        sys.exit(f"{instance.directory}: exit {code}\n" +
                 open(instance.log, errors="replace").read()[-3000:])
    counts["ended late"] += code not in (0, -signal.SIGTERM)
    instance.process = None


def disturb(arguments, randomness, cluster, instances, counts, transactions, feeder):
    """Until the time is over or everything has been processed."""
    end = time.monotonic() + arguments.seconds
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
    parser.add_argument("--network", action="store_true",
                        help="disturb connections instead of instances")
    parser.add_argument("--keep", action="store_true", help="leave the files where they are")
    arguments = parser.parse_args()
    if arguments.full or arguments.hour:
        arguments.events, arguments.partitions = 2000000, 6
        arguments.seconds = 3600 if arguments.hour else 600
        arguments.feed = arguments.enough = True
    feeds = arguments.feed
    if not shutil.which("java"):
        skip("java is needed for Kafka")
    randomness = random.Random(arguments.seed)
    work = tempfile.mkdtemp(prefix="nudge-storm-")
    # A copy: a build meanwhile would change what is compared.
    nudge = shutil.copy(arguments.nudge, os.path.join(work, "nudge"))
    cluster = Cluster(work, arguments.brokers)
    instances = []
    feeder = transactions = None
    passed = False
    try:
        quiet = {"stdout": subprocess.DEVNULL, "check": True}
        subprocess.run([nudge, "generate", "--output", f"{work}/in", "--format", "jsonl",
                        "--events", str(arguments.events), "--users",
                        str(max(1, arguments.events // 20)), "--late", "0.02", "--seed",
                        str(arguments.seed), "--partitions", str(arguments.partitions)], **quiet)
        files = sorted(path for path in glob.glob(f"{work}/in/*.jsonl") if "truth" not in path)
        files = files[:arguments.partitions]
        spoil(files, randomness)
        common = {"servers": cluster.servers.replace(",", ", "), "batch": arguments.batch,
                  "busy": 9 if feeds else 100000}
        file_config = write_config(f"{work}/files.yaml", source="files", group="none",
                                   instance="", **common)
        subprocess.run([nudge, "run", file_config, "--input", *files, "--output", f"{work}/out"],
                       stderr=subprocess.DEVNULL, **quiet)

        cluster.tool("create", "clicks", str(arguments.partitions))
        cluster.tool("load", "clicks", *files)
        quiet_config = write_config(f"{work}/quiet.yaml", source="kafka", group="quiet",
                                    instance="", **common)
        subprocess.run([nudge, "topics", "create", quiet_config], **quiet)
        first = Instance(nudge, quiet_config, f"{work}/quiet")
        begin = time.monotonic()
        first.start()
        wait_all([first], max(900, arguments.events / 1000))
        seconds = time.monotonic() - begin
        names = [f"storm.{topic}" for topic in TOPICS]
        cluster.tool("dump", f"{work}/expected", *names)
        expected = Dump(f"{work}/expected")
        if not file_matches(expected, f"{work}/out", arguments.partitions):
            sys.exit("the undisturbed run differs from the run over files")
        cluster.tool("delete", *names, "storm-changelog", "storm-journal",
                     *(["clicks"] if feeds else []))
        time.sleep(3)
        if feeds:
            cluster.tool("create", "clicks", str(arguments.partitions))
        subprocess.run([nudge, "topics", "create", quiet_config], **quiet)

        counts = {key: 0 for key in ("killed", "kills inside a transaction", "disks wiped", "stopped",
                                     "ended", "ended late", "added", "brokers killed")}
        proxies = []
        if arguments.network:
            proxies, common["servers"] = cluster.start_proxies(arguments.seed)
        for i in range(arguments.instances):
            settings = {"source": "kafka", "group": "storm", "instance": f"  instance: node{i}"}
            config = write_config(f"{work}/storm{i}.yaml", **settings, **common,
                                  ends="false" if feeds else "true")
            instances.append(Instance(nudge, config, f"{work}/node{i}"))
        transactions = Transactions(cluster)
        if feeds:
            feeder = cluster.probe("feed", "topic=clicks", f"seconds={int(arguments.seconds * 0.9)}",
                                   f"seed={arguments.seed}",
                                   *[f"file{i}={path}" for i, path in enumerate(files)])
        for instance in instances[:max(1, arguments.instances - 1)]:
            instance.start()
        begin = time.monotonic()
        for proxy in proxies:
            proxy.is_faulty = True
        disturb(arguments, randomness, cluster, instances, counts, transactions, feeder)
        for proxy in proxies:
            proxy.is_faulty = False
            for fault, count in proxy.counts.items():
                counts[f"connections {fault}"] = counts.get(f"connections {fault}", 0) + count
        disturbed = time.monotonic() - begin
        if feeds:
            end_input(instances, feeder, counts)
        wait_all(instances, max(600, arguments.events / 1000) if feeds else 180)
        cluster.tool("dump", f"{work}/found", *names)
        passed = compare(expected, Dump(f"{work}/found"))
        logs = "".join(open(i.log, errors="replace").read() for i in instances)
        seen = {word: len(re.findall(word, logs))
                for word in ("commit_aborted", "commit_resolved", "partition_failed",
                             "partition_dropped", "state_rebuilt", "restored", "lost=1")}
        records = count_records(expected)
        if arguments.enough:
            had = {**records, **counts}
            missing = [f"{what}: {had[what]}, at least {least} expected"
                       for what, least in LEAST.items() if had[what] < least]
            passed = passed and not missing
            print("\n".join(missing))
        print(f"seed {arguments.seed}: undisturbed {seconds:.1f} s, disturbed {disturbed:.1f} s; "
              f"injected {counts}; seen {seen}; records {records}; "
              f"{'the same' if passed else 'DIFFERENT'}")
    finally:
        for instance in instances:
            instance.kill()
        if feeder:
            feeder.kill()
        if transactions:
            transactions.close()
        cluster.run("wipe")
        if passed and not arguments.keep:
            shutil.rmtree(work, ignore_errors=True)
        else:
            print(f"files: {work}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
