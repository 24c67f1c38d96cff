"""A real broker with Apache's clients beside it, and an instance of nudge that reads it, for tests.

Set NUDGE_TEST_KAFKA to a folder for a broker that is started there when it is not running, and left
running; else each module has its own for as long as it runs.
"""
import glob
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from kafka_ports import free_port  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUTPUTS = harness.TOPICS
# How long something that must happen is waited for: a busy machine is no failure.
PATIENCE_S = 180
LATE_STOP = "no clean stop in time; the next start recovers"


class Broker:
    """One broker and a tool that does what tests want of it."""

    def __init__(self, secure=False, version=None):
        if not shutil.which("java"):
            raise harness.Skip("java is needed for Kafka")
        kept = None if secure else os.environ.get("NUDGE_TEST_KAFKA")
        self.is_kept = kept is not None
        self.folder = kept or tempfile.mkdtemp(prefix="nudge-broker-")
        port_file = os.path.join(self.folder, "port")
        if not os.path.exists(port_file):
            harness.write(port_file, str(free_port()))
        self.port = int(harness.read(port_file))
        self.environment = dict(os.environ, NUDGE_KAFKA_DIR=os.path.join(self.folder, "kafka"),
                                NUDGE_KAFKA_PORT=str(self.port))
        if version:
            self.environment.update(NUDGE_KAFKA_VERSION=version)
            self.environment.pop("NUDGE_KAFKA_JARS", None)
        self.tool = None
        try:
            self.start(secure)
        except BaseException:
            self.close()
            raise

    def start(self, secure):
        self.servers = self.run("start", *(["--secure"] if secure else [])).strip().split()[-1]
        self.tool = subprocess.Popen(
            ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
             self.run("classpath").strip(), os.path.join(ROOT, "test/integration/KafkaTool.java"),
             self.servers, "shell"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)

    def run(self, *arguments):
        result = subprocess.run([os.path.join(ROOT, "scripts", "kafka.sh"), *arguments], text=True,
                                env=self.environment, stdout=subprocess.PIPE,
                                stdin=subprocess.DEVNULL, check=False)
        if result.returncode == 3:
            raise harness.Skip("java and mvn are needed for Kafka")
        harness.equal(result.returncode, 0, f"kafka.sh {' '.join(arguments)}: exit")
        return result.stdout

    def close(self):
        if self.tool:
            self.tool.stdin.close()
            self.tool.wait()
        if not self.is_kept:
            self.run("wipe")
            shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, *words):
        self.tool.stdin.write("\t".join(map(str, words)) + "\n")
        self.tool.stdin.flush()
        lines = []
        while True:
            line = self.tool.stdout.readline().rstrip("\n")
            if line == "ok":
                return lines
            harness.check(line and not line.startswith("error: "), f"{words}: {line}")
            lines.append(line)

    def make(self, topic, partitions=1, *settings):
        self.ask("make", topic, partitions, *settings)
        return topic

    def send(self, topic, records):
        """Records are values, or dictionaries of value, key, partition, time_ms and headers."""
        lines = []
        for record in records:
            record = record if isinstance(record, dict) else {"value": record}
            headers = ",".join(f"{name}={hexed(value)}"
                               for name, value in record.get("headers", []))
            lines.append("\t".join([record.get("topic", topic), str(record.get("partition", 0)),
                                    str(record.get("time_ms", "-")), hexed(record.get("key")),
                                    hexed(record["value"]), headers]) + "\n")
        with tempfile.NamedTemporaryFile("w", suffix=".records") as file:
            file.writelines(lines)
            file.flush()
            self.ask("send", file.name)

    def records(self, *topics):
        """What readers of committed records see, in the order of partitions and offsets."""
        found = []
        for line in self.ask("read", *topics):
            topic, partition, offset, time_ms, key, value, headers = line.split("\t")
            found.append({"topic": topic, "partition": int(partition), "offset": int(offset),
                          "time_ms": int(time_ms), "key": unhexed(key), "value": unhexed(value),
                          "headers": [(name, unhexed(content)) for name, content in
                                      (part.split("=", 1) for part in headers.split(",") if part)]})
        return sorted(found, key=lambda item: (item["topic"], item["partition"], item["offset"]))

    def offsets(self, group):
        """Committed offset and its metadata, by (topic, partition)."""
        return {(topic, int(partition)): (int(offset), metadata) for topic, partition, offset,
                metadata in (line.split("\t") for line in self.ask("offsets", group))}


started = []  # Instances, for what they said last where something does not happen.


def wait_for(condition, what):
    try:
        return harness.wait_for(condition, PATIENCE_S, what)
    except AssertionError as late:
        said = "".join(f"\n--- {instance.name}:\n{instance.said()[-3000:]}"
                       for instance in started if instance.process.poll() is None)
        raise AssertionError(f"{late}{said}") from None


# ---- metrics and health ----

def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""


def metrics(port):
    """Values by name and labels; none while nobody answers."""
    found = {}
    for line in get(port, "/metrics")[1].splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def hexed(value):
    if value is None:
        return "-"
    return (value if isinstance(value, bytes) else value.encode()).hex()


def unhexed(text):
    return None if text == "-" else bytes.fromhex(text)


RULES = """
emit_interventions:
  rules:
    - name: forgotten_cart
      on: {idle_cart: 2m}
      if: cart_value >= 1 and present(cart_age_s)
      promotion: {kind: reminder, valid_for: 1d}
      cooldown: 1h
    - name: busy
      on: [product_view]
      if: session_events >= 4
      alert: {severity: low, reason: "{session_events:.0} events", suggest: review}
      cooldown: 10m
"""


class Application:
    """A configuration with a name of its own, so that tests can share a broker."""

    def __init__(self, broker, work, topic=None, name=None, kafka="", input="", more="",
                 ends=True, rules=RULES, format="jsonl", output="jsonl", transaction_s=10):
        self.broker, self.work = broker, work
        self.name = name or "t" + uuid.uuid4().hex[:10]
        self.topic = topic
        self.parts = {"kafka": kafka, "input": input, "more": more, "ends": ends, "rules": rules,
                      "format": format, "output": output, "transaction_s": transaction_s}
        self.state = os.path.join(work, self.name + ".state")
        self.path = self.write()

    def write(self, **changes):
        self.parts.update(changes)
        parts = self.parts
        topic = f"  topic: {self.topic}\n" if self.topic else ""
        text = f"""name: {self.name}
input:
  source: kafka
  format: {parts["format"]}
  allowed_lateness: 5s
{parts["input"]}
output: {{sink: kafka, format: {parts["output"]}, scored_events_share: 0.05}}
state: {{memory: 192MiB}}
commit: {{interval: 30ms}}
kafka:
  brokers: [{self.broker.servers}]
{topic}  output_prefix: {self.name}.
  ends: {"true" if parts["ends"] else "false"}
  transaction_timeout: {parts["transaction_s"]}s
  session_timeout: 6s
{parts["kafka"]}
{parts["more"]}
{parts["rules"]}
"""
        return harness.write(os.path.join(self.work, self.name + ".yaml"), text)

    def create(self):
        result = harness.nudge("topics", "create", self.path)
        harness.check(result.code == 0, f"topics create: {result}")
        return self

    def run(self, *more, code=0, env=None, timeout=PATIENCE_S):
        result = harness.nudge("run", self.path, "--state", self.state, *more, env=env,
                               timeout=timeout)
        harness.check(result.code == code, f"run, exit {code} expected: {result}")
        return result

    def start(self, *more, env=None):
        return Running(self, more, env)

    def topics(self):
        return [f"{self.name}.{topic}" for topic in OUTPUTS]

    def outputs(self):
        """Values by topic and partition, those without records left out."""
        found = {}
        for record in self.broker.records(*self.topics()):
            place = (record["topic"][len(self.name) + 1:], record["partition"])
            found.setdefault(place, []).append(record["value"])
        return found


class Running:
    """An instance that goes on until it is stopped. What it prints is collected."""

    def __init__(self, application, more, env):
        self.process = harness.start("run", application.path, "--state", application.state, *more,
                                     env={**os.environ, **(env or {})}, stderr=subprocess.STDOUT)
        self.name = application.name
        self.lines = []
        started.append(self)
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()

    def collect(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace"))

    def said(self):
        return "".join(self.lines)

    def wait_for(self, words, seconds=PATIENCE_S):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if words in self.said():
                return
            if self.process.poll() is not None and not self.reader.is_alive():
                break
            time.sleep(0.02)
        harness.check(words in self.said(), f"\"{words}\" expected in:\n{self.said()[-3000:]}")

    def wait(self, seconds=PATIENCE_S):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {seconds} s:\n{self.said()[-3000:]}") from None
        self.reader.join()
        return self.process.returncode

    def stop(self, may_be_late=True):
        """
        A busy machine may hold a stop up beyond its time: then it ends like a kill, and says so as
        its last word. What is promised then is what is promised of a kill. One that has not said a
        word yet has not even begun to catch the signal.
        """
        self.process.send_signal(signal.SIGTERM)
        code = self.wait()
        is_late = code == 1 and self.said().rstrip().endswith(LATE_STOP)
        is_early = code == -signal.SIGTERM and not self.said().strip()
        harness.check(code == 0 or is_early or (is_late and may_be_late),
                      f"stop: exit {code}:\n{self.said()[-3000:]}")
        return code == 0

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()


def committed(application, topic, partition=0):
    return application.broker.offsets(application.name).get((topic, partition), (0, ""))[0]


def run_to(application, topic, count):
    """Runs until that much of the input is committed; returns what was said."""
    running = application.start()
    try:
        wait_for(lambda: sum(offset for (name, _), (offset, _) in
                             application.broker.offsets(application.name).items()
                             if name == topic) == count, "everything committed")
        running.stop()
    finally:
        running.kill()
    return running.said()


def file_outputs(work, application, files, name="files"):
    """
    Values by topic and partition of the file run of the same configuration, naming the topic that
    the application reads, where it is one.
    """
    text = harness.read(application.path).decode()
    before, rest = text.split("kafka:\n", 1)
    kept = rest[rest.index("\nemit_interventions"):] if "\nemit_interventions" in rest else ""
    before = before.replace("source: kafka", "source: files").replace("sink: kafka", "sink: files")
    before = before.replace("format: avro", "format: jsonl")
    config = harness.write(os.path.join(work, name + ".yaml"), before + kept)
    out = os.path.join(work, name + ".out")
    result = harness.nudge("run", config, "--input", *files, "--output", out)
    harness.check(result.code == 0, f"run over files: {result}")
    found = {}
    for topic in OUTPUTS:
        for path in sorted(glob.glob(os.path.join(out, topic, "*.jsonl"))):
            values = harness.read(path).splitlines()
            if application.topic:
                named = f'topic":"{application.topic}"'.encode()
                values = [value.replace(b'topic":null', named) for value in values]
            if values:
                found[(topic, int(os.path.basename(path).split(".")[0]))] = values
    return found


def without_places(outputs, also=()):
    """A dead letter names its place, which files and topics have each their own way."""
    placed = {}
    for (topic, partition), values in outputs.items():
        names = [*also, *(("source", "byte_position") if topic == "dead_letters" else ())]
        if names:
            parsed = [json.loads(value) for value in values]
            for item in parsed:
                for name in names:
                    item.pop(name, None)
            values = [json.dumps(item).encode() for item in parsed]
        placed[(topic, partition)] = values
    return placed


# Of several topics each has its own places, where the file that is all of them has one count.
SEVERAL = ("topic", "ordinal", "cause_topic", "cause_ordinal")


def check_places(application, topics, what, least):
    """What names a place and an event id names the place where the event of that id stood."""
    ids = {}
    for record in application.broker.records(*topics):
        try:
            ids[(record["topic"], record["partition"], record["offset"])] = \
                json.loads(record["value"]).get("event_id")
        except (ValueError, TypeError):
            pass
    counts = {}
    for (name, partition), values in application.outputs().items():
        for value in values if name not in ("sessions", "dead_letters") else ():
            item = json.loads(value)
            place = (item["topic"], int(item["partition"]), item["ordinal"])
            harness.check(place in ids, f"{what}: {name} {partition}: no event at {place}: {item}")
            harness.equal(item["event_id"], ids[place], f"{what}: {name} {partition}: at {place}")
            kind = (name, item.get("cause", "event") == "event")
            counts[kind] = counts.get(kind, 0) + 1
        for value in values if name == "sessions" else ():
            item = json.loads(value)
            place = (item["cause_topic"], int(item["cause_partition"]), item["cause_ordinal"])
            harness.check(place in ids, f"{what}: session of no event at {place}: {item}")
    for kind, count in least.items():
        harness.check(counts.get(kind, 0) >= count, f"{what}: {counts}, {least} expected")


def same(found, expected, what):
    """Compares outputs by place, and says where they differ first."""
    harness.check(expected, f"{what}: there is nothing to compare with")
    for place in sorted(set(found) | set(expected)):
        a, b = expected.get(place, []), found.get(place, [])
        if a != b:
            first = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            raise AssertionError(
                f"{what}: {place}: {len(b)} records, {len(a)} expected; record {first} is "
                f"{harness.shorten(b[first] if first < len(b) else None)}, "
                f"{harness.shorten(a[first] if first < len(a) else None)} expected")


def generate(work, events=2000, partitions=1, *more):
    """Files of generated events, a partition each, and the events."""
    result = harness.nudge("generate", "--output", os.path.join(work, "in"), "--format", "jsonl",
                           "--events", events, "--users", max(1, events // 30), "--partitions",
                           partitions, *more)
    harness.check(result.code == 0, f"generate: {result}")
    files = sorted(path for path in glob.glob(os.path.join(work, "in", "*.jsonl"))
                   if "truth" not in path)
    return files


def main(module, secure=False):
    """Runs the tests of a module, which find the broker as module.broker."""
    try:
        module.broker = Broker(secure)
    except harness.Skip as reason:
        print(f"{os.path.basename(sys.argv[0])}: skipped: {reason}")
        sys.exit(1 if os.environ.get("CI") else 0)
    try:
        harness.main(module)
    finally:
        module.broker.close()
