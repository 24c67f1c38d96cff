#!/usr/bin/env python3
"""`nudge topics`, `nudge lag`, refusals at the start, and at-least-once, on a real broker."""
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kafka_storm import Cluster, has_ended, skip  # noqa: E402
from kafka_harness import PATIENCE_S  # noqa: E402

CONFIG = """
name: {name}
input: {{source: kafka, format: jsonl}}
output: {{sink: kafka}}
commit: {{interval: 30ms}}
kafka:
  brokers: [{servers}]
  topic: {topic}
  group: {group}
  output_prefix: {name}.
  transaction_timeout: 3s
  session_timeout: 6s
{more}
"""
SESSIONS = "sessions"


class Case:
    def __init__(self, nudge, cluster, work):
        self.nudge, self.cluster, self.work = nudge, cluster, work

    def config(self, name, topic="clicks", group=None, more=""):
        path = f"{self.work}/{name}-{group}.yaml"
        with open(path, "w") as file:
            file.write(CONFIG.format(name=name, topic=topic, group=group or name, more=more,
                                     servers=self.cluster.servers))
        return path

    def run(self, *arguments, expect=0, limit=PATIENCE_S):
        result = subprocess.run([self.nudge, *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, timeout=limit)
        if result.returncode != expect:
            sys.exit(f"nudge {' '.join(arguments)}: exit {result.returncode}, {expect} expected\n"
                     f"{result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def refused(self, words, *arguments, expect=2):
        said = self.run(*arguments, expect=expect)
        if words not in said:
            sys.exit(f"nudge {' '.join(arguments)}: \"{words}\" expected in:\n{said}")

    def dump(self, *topics):
        folder = tempfile.mkdtemp(dir=self.work)
        self.cluster.tool("dump", folder, *topics)
        return {os.path.basename(path): open(path, "rb").read().splitlines()
                for path in glob.glob(f"{folder}/*")}


def topics(case):
    config = case.config("shop", more="  ends: true")
    case.refused("shop.alerts is missing", "topics", "check", config)
    case.refused("shop.alerts is missing", "run", config, "--state", f"{case.work}/s0")
    assert "9 topics created" in case.run("topics", "create", config)
    assert "0 topics created" in case.run("topics", "create", config)
    case.run("topics", "check", config)
    case.refused("nowhere: no such topic", "topics", "check", case.config("shop", "nowhere", "n"))
    # Topics that are there, but not as they must be.
    case.cluster.tool("create", "wide-changelog", "3")
    case.refused("wide-changelog has 3 partitions, and clicks has 2", "topics", "create",
                 case.config("wide"))
    case.cluster.tool("create", "deleted-changelog", "2")
    case.refused('cleanup.policy is "delete", and must be compact', "topics", "create",
                 case.config("deleted"))
    clocks(case)


def clocks(case):
    """Of state and journal the brokers must not ask what time their writers have."""
    words = 'message.timestamp.type is "CreateTime", and must be LogAppendTime'
    for kind, policy in (("changelog", "compact"), ("journal", "delete")):
        config = case.config(f"late-{kind}")
        case.run("topics", "create", config)
        case.run("topics", "check", config)
        case.cluster.tool("delete", f"late-{kind}-{kind}")
        case.cluster.tool("create", f"late-{kind}-{kind}", "2", f"cleanup.policy={policy}",
                          "message.timestamp.after.max.ms=")
        case.refused(f"late-{kind}-{kind}: {words}", "topics", "check", config)
        case.refused(words, "topics", "create", config)
        case.refused(words, "run", config, "--state", f"{case.work}/late-{kind}")
        # Where any time is taken there is nothing to refuse.
        case.cluster.tool("delete", f"late-{kind}-{kind}")
        case.cluster.tool("create", f"late-{kind}-{kind}", "2", f"cleanup.policy={policy}")
        case.run("topics", "check", config)


def runs(case):
    config = case.config("shop", more="  ends: true")
    said = case.run("run", config, "--state", f"{case.work}/s1")
    assert "20000" in said, said
    lag = case.run("lag", config)
    assert lag.rstrip().endswith(" 0"), lag
    first = case.dump(f"shop.{SESSIONS}")
    assert sum(map(len, first.values())) > 100
    # The same again: nothing is left to do.
    said = case.run("run", config, "--state", f"{case.work}/s1")
    assert "nothing new" in said, said
    assert case.dump(f"shop.{SESSIONS}") == first
    # A group without offsets, before a changelog with records, is not a new beginning.
    case.refused("has no committed offset", "run", case.config("shop", group="other"), "--state",
                 f"{case.work}/s2")
    # Nor is a changelog that was emptied.
    case.cluster.tool("delete", "shop-changelog")
    case.run("topics", "create", config)
    case.refused("is empty: it was deleted", "run", config, "--state", f"{case.work}/s3")
    return first


def at_least_once(case, first):
    config = case.config("plain", more="  ends: true\n  exactly_once: false")
    case.run("topics", "create", config)
    case.run("run", config, "--state", f"{case.work}/p")
    found = case.dump(f"plain.{SESSIONS}")
    for partition in range(2):
        # Undisturbed, it is the same as exactly once.
        assert found[f"plain.{SESSIONS}-{partition}"] == first[f"shop.{SESSIONS}-{partition}"]


def halve(case):
    """The first and the second half of each input file."""
    halves = [[], []]
    for path in sorted(glob.glob(f"{case.work}/in/events*.jsonl")):
        with open(path) as file:
            lines = file.readlines()
        middle = len(lines) // 2
        for number, part in enumerate((lines[:middle], lines[middle:])):
            halves[number].append(f"{path}.{number}")
            with open(halves[number][-1], "w") as file:
                file.writelines(part)
    return halves


def wait_for_lag(case, config, limit=PATIENCE_S):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        lag = case.run("lag", config)
        if lag.rstrip().endswith(" 0"):
            return
        time.sleep(0.5)
    sys.exit(f"still behind after {limit} s:\n{lag}")


def brokers_go_away(case, first):
    """For longer than sessions and transactions live, between two halves of the input."""
    halves = halve(case)
    case.cluster.tool("create", "halves", "2")
    case.cluster.tool("load", "halves", *halves[0])
    config = case.config("away", "halves")
    case.run("topics", "create", config)
    log_path = f"{case.work}/away.log"
    with open(log_path, "w") as log:
        process = subprocess.Popen([case.nudge, "run", config, "--state", f"{case.work}/a"],
                                   stdout=log, stderr=log)
        wait_for_lag(case, config)
        case.cluster.run("kill")
        time.sleep(9)
        case.cluster.run("restart")
        case.cluster.tool("load", "halves", *halves[1])
        wait_for_lag(case, config)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=PATIENCE_S)
    if not has_ended(code, log_path):
        sys.exit(f"brokers away: exit {code}\n{open(log_path).read()}")
    case.run("run", case.config("away", "halves", more="  ends: true"), "--state",
             f"{case.work}/a")
    found = case.dump(f"away.{SESSIONS}")
    for partition in range(2):
        named = [line.replace(b'"halves"', b'"clicks"')
                 for line in found[f"away.{SESSIONS}-{partition}"]]
        assert named == first[f"shop.{SESSIONS}-{partition}"]


def stops(case):
    config = case.config("endless")
    case.run("topics", "create", config)
    log_path = f"{case.work}/endless.log"
    with open(log_path, "w") as log:
        process = subprocess.Popen([case.nudge, "run", config, "--state", f"{case.work}/e"],
                                   stdout=log, stderr=log)
        wait_for_lag(case, config)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=PATIENCE_S)
    if not has_ended(code, log_path):
        sys.exit(f"SIGTERM: exit {code}\n{open(log_path).read()}")
    lag = case.run("lag", config)
    assert lag.rstrip().endswith(" 0"), lag


def main():
    if not shutil.which("java"):
        skip("java is needed for Kafka")
    work = tempfile.mkdtemp(prefix="nudge-topics-")
    cluster = Cluster(work, 1)
    try:
        case = Case(os.path.abspath(sys.argv[1]), cluster, work)
        subprocess.run([case.nudge, "generate", "--output", f"{work}/in", "--format", "jsonl",
                        "--events", "20000", "--users", "2000", "--partitions", "2"], check=True,
                       stdout=subprocess.DEVNULL)
        cluster.tool("create", "clicks", "2")
        cluster.tool("load", "clicks", *sorted(glob.glob(f"{work}/in/events*.jsonl")))
        topics(case)
        first = runs(case)
        at_least_once(case, first)
        brokers_go_away(case, first)
        stops(case)
        print("kafka_topics: passed")
    finally:
        cluster.run("wipe")
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
