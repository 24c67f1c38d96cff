#!/usr/bin/env python3
"""Measures nudge on Kafka, in the same run and on the same broker as a Kafka Streams job that does alike.

    scripts/bench.sh kafka [--parts drain,latency,restart,restore,price,users] [--quick]

The application has one core, the broker and everything else the other. Where NUDGE_PEERS names a folder with the
Kafka Streams job (its build.sh is run where it has to be) its topic is read by both; else, or where that is missing,
nudge alone reads a topic of generated events. Broker, data and state lie below NUDGE_BENCH, by default a temporary
folder. Figures go to standard output as they come, and to pipeline/benchmarks_kafka.json and .md at the end, unless
--quick. Needs java 17 and mvn; nothing else should run.
"""
import argparse
import http.server
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_kafka_report  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NUDGE = os.path.join(ROOT, "build/release/nudge")
CONFIG = os.path.join(ROOT, "pipeline/examples/bench_kafka.yaml")
PARTITIONS = 4
PORT = 29092
REGISTRY_PORT = 29095
METRICS_PORT = 9464
APP_CORE, OTHER_CORE = "0", "1"
# Alert thresholds of the Kafka Streams job for a two-hundredth and a twentieth of the events, and its intent band.
PEER_INTENT = ["intentlow=0.72752", "intenthigh=0.77028"]
PEER_RARE, PEER_OFTEN = "threshold=0.630816", "threshold=0.548668"
BOUND = "fraud_score > 0.763"  # Of the configuration; for other models it is found anew.
ALERTING = ("product_view", "add_to_cart", "purchase")  # Types of events that its rule looks at.


def say(text):
    print(text, flush=True)


def java(*options):
    return ["java", "-XX:+UseSerialGC", *options]


class Registry:
    """As much of a schema registry as gives out ids; the first is the topic's schema."""

    def __init__(self):
        schemas = [open(os.path.join(ROOT, "schemas/mappings/clicks.avsc")).read()]

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self, content):
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                found = re.match(r"/schemas/ids/(\d+)", self.path)
                self.reply({"schema": schemas[int(found[1]) - 1]} if found else [])

            def do_POST(self):
                schema = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["schema"]
                if schema not in schemas:
                    schemas.append(schema)
                self.reply({"id": schemas.index(schema) + 1})

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", REGISTRY_PORT), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Broker:
    """With the collector of garbage that Kafka's own scripts choose, and memory that it has touched beforehand: this
    machine's host takes its time to give it, which would be within the pauses."""

    def __init__(self, work):
        self.environment = dict(os.environ, NUDGE_KAFKA_DIR=os.path.join(work, "kafka"), NUDGE_KAFKA_PORT=str(PORT),
                                NUDGE_KAFKA_HEAP="1g", NUDGE_KAFKA_JVM="-XX:+UseG1GC -XX:+AlwaysPreTouch")
        self.script("wipe")  # What a run that was ended has left.
        self.servers = self.script("start").strip().splitlines()[-1]
        self.classpath = self.script("classpath").strip()

    def script(self, *arguments):
        # On its core from the start: it makes as many threads for collecting and compiling as it finds cores.
        command = ["taskset", "-c", OTHER_CORE, os.path.join(ROOT, "scripts/kafka.sh"), *arguments]
        return subprocess.run(command, env=self.environment, check=True, text=True, stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL).stdout

    def command(self, program, *arguments, heap="512m", more=()):
        return ["taskset", "-c", OTHER_CORE, *java(f"-Xms{heap}", f"-Xmx{heap}", *more), "-cp", self.classpath,
                os.path.join(ROOT, f"test/integration/{program}.java"), self.servers, *arguments]

    def run(self, program, *arguments, **options):
        result = subprocess.run(self.command(program, *arguments, **options), text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        if result.returncode != 0:
            sys.exit(f"{program} {' '.join(arguments)}: {result.stderr[-2000:]}")
        return result.stdout.strip()

    def create(self, topic):
        self.run("KafkaTool", "create", topic, str(PARTITIONS))

    def delete(self, *topics):
        self.run("KafkaTool", "delete", *topics)

    def count(self, topics):
        return json.loads(self.run("KafkaProbe", "count", "topics=" + ",".join(topics), heap="1g"))


def ticks(path):
    with open(path) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """The application under measurement, on its own core."""
    running = []

    def __init__(self, command, log):
        self.log = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(["taskset", "-c", APP_CORE, *command], stdout=out, stderr=out)
        self.pid = self.child.pid
        Process.running.append(self)

    def threads(self):
        found = {}
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{thread}/comm") as file:
                    name = file.read().strip()
                found[name] = found.get(name, 0) + ticks(f"/proc/{self.pid}/task/{thread}/stat")
            except OSError:
                pass
        return found

    def snapshot(self, events):
        return {"events": events, "wall": time.monotonic(), "cpu": ticks(f"/proc/{self.pid}/stat"),
                "threads": self.threads()}

    def memory_mb(self, field):
        with open(f"/proc/{self.pid}/status") as file:
            return int(re.search(rf"^{field}:\s+(\d+)", file.read(), re.M)[1]) / 1024

    def check(self):
        if self.child.poll() is not None:
            sys.exit(f"{self.log}: exit {self.child.returncode}\n" + open(self.log, errors="replace").read()[-3000:])

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(60)

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


def stretch(begin, end, process):
    events = end["events"] - begin["events"]
    cpu, wall = end["cpu"] - begin["cpu"], end["wall"] - begin["wall"]
    spent = {name: (value - begin["threads"].get(name, 0)) / events * 1e6 for name, value in end["threads"].items()}
    return {"events": round(events), "seconds": round(wall, 2), "events_per_s": round(events / wall),
            "events_per_cpu_s": round(events / cpu), "rss_mb": round(process.memory_mb("VmRSS")),
            "peak_rss_mb": round(process.memory_mb("VmHWM")),
            "us_an_event": {name: round(us, 2) for name, us in sorted(spent.items(), key=lambda x: -x[1]) if us > 0.02}}


class Nudge:
    """One application: its names, its configuration, its state."""

    def __init__(self, work, broker, name, topic="clicks", changes=()):
        self.broker, self.name, self.topic = broker, name, topic
        self.state = os.path.join(work, "state", name)
        self.config = os.path.join(work, f"{name}.yaml")
        self.summary = os.path.join(work, f"{name}.json")
        self.log = os.path.join(work, f"{name}.log")
        text = open(CONFIG).read().replace("../../", ROOT + "/")
        text = text.replace("name: clicks", f"name: {name}").replace("topic: clicks", f"topic: {topic}")
        text = text.replace("clicks-out.", f"{name}.")
        for old, new in changes:
            if old not in text:
                sys.exit(f"{CONFIG} has no \"{old}\"")
            text = text.replace(old, new)
        with open(self.config, "w") as file:
            file.write(text)
        shutil.rmtree(self.state, ignore_errors=True)
        subprocess.run([NUDGE, "topics", "create", self.config], check=True, stdout=subprocess.DEVNULL)

    def start(self):
        self.process = Process([NUDGE, "run", self.config, "--state", self.state, "--summary", self.summary], self.log)
        return self.process

    def events(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return 0
        return sum(float(x) for x in re.findall(r"^nudge_events_read_total\{[^}]*\} (\S+)", text, re.M))

    def at(self, events, pause=0.1):
        while True:
            done = self.events()
            if done >= events:
                return self.process.snapshot(done)
            self.process.check()
            time.sleep(pause)

    def counts(self):
        with open(self.summary) as file:
            summary = json.load(file)
        taken = summary["cache_hits"] + summary["cache_misses"]
        return {"alerts": summary["alerts"], "promotions": summary["promotions"], "decisions": summary["decisions"],
                "dead_letters": summary["dead_letters"]["total"], "commits": summary["commits"],
                "cache_hits": round(summary["cache_hits"] / taken, 3),
                "cache_new": round(summary["cache_new_records"] / taken, 3),
                "store_mb": round(summary["store_bytes_written"] / 1e6)}

    def outputs(self):
        return [f"{self.name}.{topic}" for topic in ("alerts", "promotions", "sessions", "decisions", "dead_letters",
                                                     "late_events", "scored_events")]

    def drop(self):
        self.broker.delete(*self.outputs(), f"{self.name}-changelog", f"{self.name}-journal")
        shutil.rmtree(self.state, ignore_errors=True)


class Peer:
    """The Kafka Streams job."""

    def __init__(self, work, broker, folder):
        self.broker, self.work = broker, work
        self.build = os.path.join(work, "peers/build")
        self.environment = dict(os.environ, PEERS_TMP=os.path.join(work, "peers"),
                                PEERS_DATA=os.path.join(folder, "../data/rees46/2019-10-01_until_0230.csv.gz"))
        self.environment.setdefault("TMPDIR", "/tmp")
        if not os.path.isdir(os.path.join(self.build, "kstreams")):
            subprocess.run([os.path.join(folder, "build.sh")], env=self.environment, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def java(self, module, name, *arguments):
        options = ["-Xms3g", "-Xmx3g"] if module == "kstreams" else ["-Xmx2g"]
        classes = f"{self.build}/{module}/{module}-1.jar:{self.build}/{module}/lib/*"
        return [*java(*options), "-cp", classes, name, f"brokers={self.broker.servers}", *arguments]

    def fill(self, topic, events):
        subprocess.run(self.java("common", "peers.common.Generator", f"topic={topic}", f"events={events}"),
                       env=self.environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self, label, *arguments, topic="clicks"):
        for output in ("alerts", "promotions"):
            self.broker.create(f"{label}.{output}")
        state = os.path.join(self.work, "state", label)
        shutil.rmtree(state, ignore_errors=True)
        return self.start_again(label, *arguments, topic=topic)

    def start_again(self, label, *arguments, topic="clicks"):
        command = self.java("kstreams", "peers.kstreams.Main", f"app={label}", f"topic={topic}", f"label={label}",
                            f"alerts={label}.alerts", f"promotions={label}.promotions",
                            f"dir={os.path.join(self.work, 'state')}", *PEER_INTENT, *arguments)
        saved = os.environ.copy()
        os.environ.update(self.environment)
        process = Process(command, os.path.join(self.work, f"{label}.log"))
        os.environ.clear()
        os.environ.update(saved)
        return process

    def drop(self, label):
        self.broker.delete(f"{label}.alerts", f"{label}.promotions", f"{label}-users-changelog",
                           f"{label}-timers-changelog")
        shutil.rmtree(os.path.join(self.work, "state", label), ignore_errors=True)


class Bench:
    def __init__(self, work, options):
        self.work, self.options, self.results = work, options, {}
        self.broker = Broker(work)
        self.registry = Registry()
        folder = os.environ.get("NUDGE_PEERS", "")
        self.peer = Peer(work, self.broker, folder) if os.path.isdir(folder) else None
        self.serial = int(time.time()) % 100000
        self.models = []  # Changes of the configuration.
        self.rare = self.often = BOUND

    def label(self, kind):
        self.serial += 1
        return f"{kind}-{self.serial}"

    def nudge(self, kind, topic="clicks", changes=(), bound=None):
        bounds = [(BOUND, bound or self.rare)]
        return Nudge(self.work, self.broker, self.label(kind), topic, [*self.models, *bounds, *changes])

    def note(self, name, figures):
        self.results.setdefault(name, []).append(figures)
        say(f"{name}: {json.dumps(figures)}")

    # ---- input ----

    def fill(self):
        """The Kafka Streams job's topic, or generated events in its place."""
        self.events = 2000000
        if self.peer:
            self.peer.fill("clicks", self.events)
        else:
            self.events = self.users("clicks", self.events, 650000, "0")
        self.first = self.events // 4

    def users(self, topic, events, users, zipf):
        """Generated events; canonical JSON turned into the topic's Avro. Returns how many the topic has."""
        folder = os.path.join(self.work, "generated")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([NUDGE, "generate", "--output", folder, "--format", "jsonl", "--events", str(events), "--users",
                        str(users), "--zipf", zipf, "--partitions", str(PARTITIONS)], check=True,
                       stdout=subprocess.DEVNULL)
        self.broker.create(topic)
        sent = self.broker.run("KafkaProbe", "fill", f"topic={topic}",
                               *[f"file{i}={folder}/events-{i}.jsonl" for i in range(PARTITIONS)])
        shutil.rmtree(folder)
        return int(sent)

    # ---- models ----

    def train(self, example, name, changes, *inputs):
        folder = os.path.join(self.work, "packs", name)
        if os.path.isdir(folder):
            return folder
        text = open(os.path.join(ROOT, "pipeline/examples", example)).read()
        text = text.replace("shop_history.yaml", os.path.join(ROOT, "pipeline/examples/shop_history.yaml"))
        for old, new in changes:
            if old not in text:
                sys.exit(f"{example} has no \"{old}\"")
            text = text.replace(old, new)
        path = os.path.join(self.work, f"{name}.yaml")
        with open(path, "w") as file:
            file.write(text)
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        made = subprocess.run([NUDGE, "train", path, *inputs, "--output", folder], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if made.returncode != 0:
            sys.exit(f"{path}: {made.stdout[-2000:]}")
        return folder

    def make_models(self):
        """As many trees and as wide a network as the Kafka Streams job has; how good they are does not matter here."""
        history = os.path.join(self.work, "history")
        subprocess.run([NUDGE, "generate", "--output", history, "--events", "150000", "--users", "20000", "--days", "2",
                        "--seed", "11"], check=True, stdout=subprocess.DEVNULL)
        events = ["--input", f"{history}/events.avro"]
        trees = self.train("shop_train_fraud_trees.yaml", "trees", [
            ("rounds: 300, depth: 5, learning_rate: 0.1, patience: 30",
             "rounds: 100, depth: 6, learning_rate: 0.03, patience: 100")], *events, "--truth", f"{history}/truth.jsonl")
        # The other job's network has 16 inputs; here they are four embeddings, 16 wide in all.
        network = self.train("shop_train_purchase_gru.yaml", "gru", [
            ("epochs: 12", "epochs: 2"),
            ("  network:\n", "  features: [event_type, event_category_bucket, event_price, gap_last_s]\n  network:\n"),
        ], *events)
        packs = os.path.join(ROOT, "models/packs")
        self.models = [(f"{packs}/shop_fraud", trees), (f"{packs}/shop_purchase", network)]
        with open(os.path.join(trees, "manifest.yaml")) as file:
            self.note("trees", {"trees": int(re.search(r"\btrees: (\d+)", file.read())[1])})
        self.find_bounds()

    def find_bounds(self):
        """The scores that a two-hundredth and a fiftieth of the events pass, from a sample of half of the topic."""
        run = self.nudge("bounds", changes=[("sink: kafka, format: avro",
                                             "sink: kafka, format: jsonl, scored_events_share: 0.05")])
        run.start()
        run.at(self.events // 2)
        run.process.stop()
        folder = os.path.join(self.work, "bounds")
        shutil.rmtree(folder, ignore_errors=True)
        self.broker.run("KafkaTool", "dump", folder, f"{run.name}.scored_events")
        scores, count = [], 0
        for name in os.listdir(folder):
            with open(os.path.join(folder, name)) as file:
                for line in file:
                    event = json.loads(line.split("\t", 2)[2])
                    count += 1
                    if event["type"] in ALERTING:
                        scores.append(event["scores"]["fraud"])
        scores.sort(reverse=True)
        self.rare = f"fraud_score > {scores[count // 200]:.5f}"
        self.often = f"fraud_score > {scores[count // 50]:.5f}"
        self.note("bounds", {"sampled": count, "rare": self.rare, "often": self.often})
        run.drop()

    # ---- parts ----

    def drain_nudge(self, name, topic="clicks", changes=(), first=None, last=None, verify=True):
        run = self.nudge("drain", topic, changes)
        process = run.start()
        begin = run.at(first or self.first)
        end = run.at(last or self.events)
        figures = stretch(begin, end, process)
        run.process.stop()
        figures.update(run.counts())
        if verify:
            found = self.broker.count(run.outputs()[:4])
            figures["doubled"] = sum(n for topic, n in found.items() if topic.endswith("doubled"))
            figures["committed"] = {topic.split(".")[1]: n for topic, n in found.items()
                                    if not topic.endswith("doubled")}
        self.note(name, figures)
        run.drop()
        return figures

    def drain_peer(self):
        label = self.label("ks")
        path = os.path.join(self.work, f"{label}.jsonl")
        process = self.peer.start(label, PEER_RARE, f"from={self.first}", f"to={self.events}", f"file={path}")
        process.child.wait(600)
        with open(path) as file:
            told = [json.loads(line) for line in file][-1]
        found = self.broker.count([f"{label}.alerts", f"{label}.promotions"])
        self.note("Kafka Streams", {
            "events": told["events"], "seconds": told["wall_s"], "events_per_s": told["ev_per_s"],
            "events_per_cpu_s": told["ev_per_cpu_s"], "rss_mb": told["rss_mb"], "peak_rss_mb": told["peak_rss_mb"],
            "alerts": found[f"{label}.alerts"], "promotions": found[f"{label}.promotions"],
            "doubled": found[f"{label}.alerts doubled"]})
        self.peer.drop(label)

    def drain(self):
        for _ in range(1 if self.options.quick else 3):
            self.drain_nudge("nudge")
            if self.peer:
                self.drain_peer()
            self.drain_nudge("nudge, all users in memory",
                             changes=[("memory: 512MiB", "memory: 1536MiB, preallocate: true")])
        models, bound = self.models, self.rare
        self.models, self.rare = [], BOUND
        self.drain_nudge("nudge, logistic models", verify=False)
        self.models, self.rare = models, bound
        self.drain_nudge("nudge, 1 GiB", changes=[("memory: 512MiB", "memory: 1GiB")])

    def price(self):
        """The same run without transactions, between two with them."""
        at_least_once = [("\nkafka:\n", "\nkafka:\n  exactly_once: false\n")]
        self.drain_nudge("nudge, exactly once", verify=False)
        self.drain_nudge("nudge, at least once", changes=at_least_once, verify=False)
        self.drain_nudge("nudge, exactly once", verify=False)

    def probe(self, topic, alerts, form, rate, burst, seconds):
        """With room for all that it allocates: were it collected, events would be sent late."""
        return json.loads(self.broker.run(
            "KafkaProbe", "latency", "from=clicks", f"to={topic}", f"alerts={alerts}", f"format={form}",
            f"rate={rate}", f"burst={burst}", f"settle={3 if self.options.quick else 15}", "warm=5",
            f"seconds={seconds}", heap="6g", more=("-Xmn4g", "-XX:+AlwaysPreTouch")))

    def half_of(self, name):
        """Half of the rate at which that one drained the topic; None where it did not."""
        rates = [r["events_per_s"] for r in self.results.get(name, [])]
        return round(min(rates) / 2000) * 1000 if rates else None

    def latency(self):
        """Both at 5,000 events a second and at half of what the other job drains; nudge at half of its own as well."""
        quick = self.options.quick
        seconds = 8 if quick else 300 if self.options.long else 60
        for rate, measured in ((5000, (self.latency_of_nudge, self.latency_of_peer)),
                               (self.half_of("Kafka Streams"), (self.latency_of_nudge, self.latency_of_peer)),
                               (self.half_of("nudge"), (self.latency_of_nudge,))):
            if rate and rate > 5000:
                seconds = max(4, min(15, 1400000 // rate - 5))
            for measure in measured if rate else ():
                measure(rate, 100000 if quick else 300000, seconds)

    def latency_of_nudge(self, rate, burst, seconds):
        topic = self.label("clicks")
        self.broker.create(topic)
        run = self.nudge("latency", topic, bound=self.often)
        run.start()
        figures = self.probe(topic, f"{run.name}.alerts", "nudge", rate, burst, seconds)
        run.process.stop()
        self.note("nudge, latency", figures)
        run.drop()
        self.broker.delete(topic)

    def latency_of_peer(self, rate, burst, seconds):
        if not self.peer:
            return
        label, topic = self.label("ks"), self.label("clicks")
        self.broker.create(topic)
        process = self.peer.start(label, PEER_OFTEN, topic=topic)
        self.await_line(process, "running_after")
        self.note("Kafka Streams, latency",
                  self.probe(topic, f"{label}.alerts", "id", rate, burst, min(seconds, 60)))
        process.stop()
        self.peer.drop(label)
        self.broker.delete(topic)

    def await_line(self, process, words, limit=120):
        end = time.monotonic() + limit
        while words not in open(process.log, errors="replace").read():
            process.check()
            if time.monotonic() > end:
                sys.exit(f"{process.log}: no {words}")
            time.sleep(0.05)

    def killed(self, name, start, start_again, group, alerts, topic, killed_at):
        """kill -9 in the middle of the topic; seconds from the start of the next process."""
        process = start()
        self.broker.run("KafkaProbe", "until", f"group={group}", f"topic={topic}", f"n={killed_at}")
        watch = subprocess.Popen(self.broker.command("KafkaProbe", "first", f"group={group}", f"alerts={alerts}",
                                                     f"topic={topic}"), text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        # It has to stand at the end before the next process writes, so that one is dead first.
        process.kill()
        if watch.stdout.readline().strip() != "ready":
            sys.exit("the watcher of the restart did not start")
        begin = time.time() * 1000
        process = start_again()
        output, commit = (int(x) for x in watch.stdout.readline().split())
        watch.wait()
        self.note(name, {"killed_at": killed_at, "first_output_s": round((output - begin) / 1000, 2),
                         "first_commit_s": round((commit - begin) / 1000, 2)})
        return process

    def restart(self):
        for _ in range(1 if self.options.quick else 2):
            run = self.nudge("restart", bound=self.often)
            process = self.killed("nudge, kill -9", run.start, run.start, run.name, f"{run.name}.alerts", "clicks",
                                  self.events // 2)
            self.broker.run("KafkaProbe", "until", f"group={run.name}", "topic=clicks", f"n={self.events}")
            process.stop()
            found = self.broker.count(run.outputs()[:4])
            self.note("nudge, after kill -9", found)
            run.drop()
        if self.peer:
            label = self.label("ks")
            process = self.killed("Kafka Streams, kill -9",
                                  lambda: self.peer.start(label, PEER_OFTEN, "instance=app1"),
                                  lambda: self.peer.start_again(label, PEER_OFTEN, "instance=app1"),
                                  label, f"{label}.alerts", "clicks", self.events // 2)
            process.kill()
            self.peer.drop(label)

    def restore(self):
        """All users of the topic, state removed, and the changelog read back."""
        run = self.nudge("restore")
        run.start()
        run.at(self.events)
        time.sleep(1)
        run.process.stop()
        size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in
                   os.walk(os.path.join(self.work, "kafka")) if f"{run.name}-changelog" in folder for name in names
                   if name.endswith(".log"))
        shutil.rmtree(run.state)
        os.truncate(run.log, 0)
        begin = time.monotonic()
        process = run.start()
        while open(run.log).read().count("partition_opened") < PARTITIONS:
            process.check()
            time.sleep(0.05)
        seconds = time.monotonic() - begin
        cpu = ticks(f"/proc/{process.pid}/stat")
        told = re.findall(r" restored .*records=(\d+) megabytes=([\d.]+) seconds=([\d.]+)", open(run.log).read())
        process.stop()
        megabytes = sum(float(x[1]) for x in told)
        longest = max((float(x[2]) for x in told), default=0.0)
        self.note("nudge, restore", {"records": sum(int(x[0]) for x in told), "megabytes": round(megabytes),
                                     "changelog_megabytes": round(size / 1e6), "seconds": longest,
                                     "cpu_seconds": round(cpu, 2),
                                     "seconds_with_start": round(seconds, 2),
                                     "megabytes_per_s": round(megabytes / longest) if longest else None})
        run.drop()

    def million(self):
        """A million users, evenly and unevenly often; after a stretch in which the store settles."""
        events = 1000000 if self.options.quick else 4000000
        for name, zipf in (("uniform", "0"), ("Zipf", "0.8")):
            topic = self.label("users")
            sent = self.users(topic, events, 1000000, zipf)
            self.drain_nudge(f"nudge, 1 M users, {name}", topic, first=sent // 2, last=sent, verify=False)
            self.broker.delete(topic)

    def run(self):
        self.fill()
        self.make_models()
        for part in self.options.parts.split(","):
            say(f"-- {part}, load {os.getloadavg()[0]:.1f}")
            getattr(self, {"users": "million"}.get(part, part))()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="drain,latency,restart,restore,price,users")
    parser.add_argument("--quick", action="store_true", help="one run of each, short; nothing is written")
    parser.add_argument("--long", action="store_true", help="latency over five minutes")
    parser.add_argument("--results", default=os.path.join(ROOT, "pipeline/benchmarks_kafka.json"),
                        help="where the figures go as JSON; the page goes beside it (%(default)s)")
    options = parser.parse_args()
    # So that the broker is stopped whatever ends the run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    work = os.environ.get("NUDGE_BENCH") or tempfile.mkdtemp(prefix="nudge-bench-kafka-")
    os.makedirs(os.path.join(work, "state"), exist_ok=True)
    global NUDGE
    # A copy: a build meanwhile would change what is measured.
    NUDGE = shutil.copy(NUDGE, os.path.join(work, "nudge"))
    bench = Bench(work, options)
    begin = time.monotonic()
    try:
        bench.run()
    finally:
        for process in Process.running:
            process.kill()
        bench.broker.script("wipe")
        # What was measured counts, whatever ended the run.
        if not options.quick and bench.results:
            with open(options.results, "w") as file:
                json.dump({"machine": bench_kafka_report.machine(), "runs": bench.results}, file, indent=1)
            bench_kafka_report.write(options.results, os.path.splitext(options.results)[0] + ".md")
    say(f"{time.monotonic() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
