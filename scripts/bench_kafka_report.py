"""The page of figures on Kafka, from what scripts/bench_kafka.py has measured.

    python3 scripts/bench_kafka_report.py RESULTS.json PAGE.md
"""
import json
import os
import platform
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def machine():
    with open("/proc/cpuinfo") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    kernels = "AVX-512" if "avx512f" in fields["flags"] else "AVX2"
    loops = subprocess.run([os.path.join(ROOT, "build/release/reference_bench")], text=True, stdout=subprocess.PIPE,
                           check=False).stdout
    return {"cpu": f"{fields['model name']} (family {fields['cpu family']}, {kernels}), {os.cpu_count()} cores, "
                   f"Linux {platform.release().split('-')[0]}", "loops": " ".join(loops.split())}


def three(values, form="{:,.0f}"):
    """The one value, or least, middle and most."""
    values = sorted(values)
    if len(values) == 1:
        return form.format(values[0])
    return " / ".join(form.format(v) for v in (values[0], statistics.median(values), values[-1]))


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"
    yield ""


def throughput(runs):
    rows = []
    for name, figures in runs.items():
        if "events_per_cpu_s" not in figures[0]:
            continue
        hits = [100 * f["cache_hits"] for f in figures if "cache_hits" in f]
        rows.append([name, len(figures), three([f["events_per_s"] for f in figures]),
                     three([f["events_per_cpu_s"] for f in figures]), three([f["rss_mb"] for f in figures]),
                     three([f["peak_rss_mb"] for f in figures]), three(hits, "{:.1f}%") if hits else "",
                     figures[0]["alerts"], figures[0]["promotions"],
                     sum(f.get("doubled", 0) for f in figures) if "doubled" in figures[0] else ""])
    yield from table(["run", "runs", "events/s", "events a CPU-second", "resident MB", "at most", "hit rate of the cache",
                      "alerts", "promotions", "doubled"], rows)


def where(runs):
    figures = runs["nudge"][0]["us_an_event"]
    yield "## Where the CPU goes"
    yield ""
    yield "Threads of the first run of nudge, us an event: " + ", ".join(
        f"{name} {us:.2f}" for name, us in figures.items()) + "."
    yield ""


def latency(runs):
    rows = [[name, f["rate"], f["samples"], f["p50_ms"], f["p90_ms"], f["p99_ms"], f["p999_ms"], f["max_ms"],
             f["worst_send_delay_ms"], f.get("acked_p99_ms", "")]
            for name, figures in runs.items() if name.endswith("latency") for f in figures]
    yield from table(["run", "events/s", "samples", "p50 ms", "p90", "p99", "p99.9", "max", "sender late by at most",
                      "broker's answer, p99"],
                     rows)


def restarts(runs):
    rows = [[name, three([f["first_output_s"] for f in figures], "{:.2f}"),
             three([f["first_commit_s"] for f in figures], "{:.2f}")]
            for name, figures in runs.items() if name.endswith("kill -9") and "first_output_s" in figures[0]]
    yield from table(["run", "s to the first committed output", "s to the first commit"], rows)


def middle(runs, name, key):
    return statistics.median(f[key] for f in runs[name]) if name in runs else None


def latency_aims(runs, aim):
    """In milliseconds, and beside the other job at the same rate in the same run."""
    theirs = {f["rate"]: f for f in runs.get("Kafka Streams, latency", [])}
    rates = sorted({f["rate"]: f for f in runs.get("nudge, latency", [])}.items())
    for rate, figures in rates:
        bounds = {"p50_ms": 20, "p99_ms": 50} if rate == 5000 else {"p99_ms": 100} if rate == rates[-1][0] else {}
        for key, bound in bounds.items():
            which = f"{rate:,} events/s" if rate == 5000 else f"half of the maximum rate ({rate:,}/s)"
            aim(f"{which}: {key[:3]} {bound} ms", figures[key], "{:.1f}", lambda x, bound=bound: x <= bound)
        if rate in theirs:
            for key, bound in (("p50_ms", 20 / 62), ("p99_ms", 50 / 112)):
                aim(f"{rate:,} events/s: {key[:3]} at most {bound:.2f} of that of Kafka Streams",
                    figures[key] / theirs[rate][key], "{:.2f}", lambda x, bound=bound: x <= bound)


def aims(runs):
    rows = []

    def aim(text, value, form, is_reached):
        rows.append([text, "not measured" if value is None else form.format(value),
                     "" if value is None else "reached" if is_reached(value) else "missed"])

    mine = middle(runs, "nudge", "events_per_cpu_s")
    memory = middle(runs, "nudge, all users in memory", "events_per_cpu_s")
    theirs = middle(runs, "Kafka Streams", "events_per_cpu_s")
    aim("2.5 times the events a CPU-second of Kafka Streams", mine / theirs if mine and theirs else None, "{:.2f}",
        lambda x: x >= 2.5)
    aim("the same with all users in memory: 4 times", memory / theirs if memory and theirs else None, "{:.2f}",
        lambda x: x >= 4)
    latency_aims(runs, aim)
    aim("kill -9 to the first committed output: 2 s", middle(runs, "nudge, kill -9", "first_output_s"), "{:.2f}",
        lambda x: x <= 2)
    aim("resident memory: 500 MB", middle(runs, "nudge", "peak_rss_mb"), "{:.0f}", lambda x: x <= 500)
    aim("restore of a removed state: 250 MB of records a second", middle(runs, "nudge, restore", "megabytes_per_s"),
        "{:.0f}", lambda x: x >= 250)
    yield from table(["aim", "figure", ""], rows)


def page(results):
    runs = results["runs"]
    yield "# Benchmarks on Kafka"
    yield ""
    yield ("Made by `scripts/bench.sh kafka`: one broker (Kafka 4.1.1) and everything else on one core, the application "
           "on the other. A topic of 2 million clicks of 667 thousand users in four partitions, Avro; "
           "`pipeline/examples/bench_kafka.yaml` with 100 trees of depth 6 on all features and a GRU of 32 on 16 inputs "
           "(four embeddings), as many as the other job's has: sessions, all features of users, scores for fraud, "
           "purchase and abandoned carts, an alert for about a two-hundredth of the events and a promotion for idle "
           "carts, exactly once, state in RocksDB with a changelog. Kafka Streams 4.1.1 does a like job (sessions, 16 features, 100 trees, a GRU of 32 on them, alerts, "
           "idle carts, commits every 100 ms) on the same topic in the same run. Where three figures stand they are the least, "
           "the middle and the most of the runs.")
    yield ""
    yield f"Machine: {results['machine']['cpu']}; {results['machine']['loops']}."
    yield ""
    yield "## Against the aims"
    yield ""
    yield from aims(runs)
    yield "## Throughput"
    yield ""
    yield ("Between a quarter and all of the topic, by the CPU of the whole process. The runs by users read generated "
           "events of a million shoppers, between half and all of them.")
    yield ""
    yield from throughput(runs)
    if "nudge" in runs:
        yield from where(runs)
    yield "## Latency"
    yield ""
    yield ("From when an event was due to be sent to when a reader of committed records had its alert, one clock; after "
           "a burst, a pause and five seconds that are not counted. Alerts come in clumps of some hundred events. The "
           "broker has run for some minutes by then, and compiled its code.")
    yield ""
    yield from latency(runs)
    yield "## kill -9"
    yield ""
    yield ("In the middle of the topic; from the start of the next process, which is static member of the group, on the "
           "same disk.")
    yield ""
    yield from restarts(runs)
    for name in ("nudge, restore",):
        for figures in runs.get(name, []):
            yield (f"Restored from nothing: {figures['records']:,} records, {figures['megabytes']:,} MB in "
                   f"{figures['seconds']:.1f} s, {figures['megabytes_per_s']} MB/s ({figures['cpu_seconds']:.1f} s of CPU); "
                   f"{figures['seconds_with_start']:.1f} s from the start of the process to all partitions open.")
            yield ""
    once = middle(runs, "nudge, exactly once", "events_per_cpu_s")
    least = middle(runs, "nudge, at least once", "events_per_cpu_s")
    if once and least:
        yield (f"Exactly once costs {100 * (1 - once / least):.0f}% of the events a CPU-second: {once:,.0f} against "
               f"{least:,.0f} at least once.")


BY_HAND = "\n## What falls short"  # From there on the page is written by people, and stays.


def write(results_path, page_path):
    with open(results_path) as file:
        results = json.load(file)
    written = ""
    if os.path.exists(page_path):
        with open(page_path) as file:
            _, begin, rest = file.read().partition(BY_HAND)
            written = begin + rest
    with open(page_path, "w") as file:
        file.write("\n".join(page(results)).rstrip() + "\n" + written)


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2])
