#!/usr/bin/env python3
"""Makes the page of benchmarks, and its plot, from the summaries that scripts/bench.sh left.

    bench_report.py DIRECTORY PAGE.md PLOT.svg

What stands in the page from "Against the aims" on is kept.
"""
import json
import math
import os
import platform
import sys

TITLES = {
    "zipf-200k": "200,000 users, Zipf, Avro",
    "zipf-200k-models": "the same with 200 trees of depth 6 and a GRU of 32",
    "zipf-200k-jsonl": "200,000 users, Zipf, JSON lines",
    "two-partitions-1": "the same in two partitions, one worker",
    "two-partitions-2": "two partitions, two workers",
    "zipf-10000": "10,000 users, Zipf",
    "zipf-50000": "50,000 users, Zipf",
    "zipf-1000000": "1 million users, Zipf",
    "zipf-5000000": "5 million users, Zipf",
    "uniform-200000": "200,000 users, uniform",
    "uniform-5000000": "5 million users, uniform",
}
USERS = {"zipf-10000": 1e4, "zipf-50000": 5e4, "zipf-200k": 2e5, "zipf-1000000": 1e6,
         "zipf-5000000": 5e6, "uniform-200000": 2e5, "uniform-5000000": 5e6}


def cpu_name():
    with open("/proc/cpuinfo") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    kernels = "AVX-512" if "avx512f" in fields["flags"] else "AVX2"
    return (f"{fields['model name']} (family {fields['cpu family']}, {kernels}), "
            f"{os.cpu_count()} cores, Linux {platform.release().split('-')[0]}")


def table(runs):
    yield ("| run | events/s | events a CPU second | hit rate of the cache | decisions | peak MiB | "
           "written to the store, MB |")
    yield "|---|---|---|---|---|---|---|"
    for name, run in runs.items():
        taken = run["cache_hits"] + run["cache_misses"]
        yield (f"| {TITLES[name]} | {run['events_this_run'] / run['elapsed_seconds']:,.0f} "
               f"| {run['events_this_run'] / run['cpu_seconds']:,.0f} "
               f"| {100 * run['cache_hits'] / max(taken, 1):.1f}% "
               f"| {100 * run['decisions'] / run['events_accepted']:.1f}% "
               f"| {run['peak_memory_bytes'] / 2**20:,.0f} "
               f"| {run['store_bytes_written'] / 1e6:,.0f} |")


def stages(run):
    events = run["events_this_run"]
    spent = sum(run["stage_cpu_ns"].values())
    yield "| where | ns an event |"
    yield "|---|---|"
    for name, ns in run["stage_cpu_ns"].items():
        yield f"| {name} | {ns / events:,.0f} |"
    rest = run["cpu_seconds"] * 1e9 - spent
    yield f"| other threads (RocksDB's) and start | {rest / events:,.0f} |"


def plot(runs):
    """Cost of an event over the number of users, as SVG."""
    width, height, left, bottom = 640, 360, 70, 50
    points = {"zipf": [], "uniform": []}
    for name, users in USERS.items():
        if name in runs:
            run = runs[name]
            points[name.split("-")[0]].append((users, run["cpu_seconds"] * 1e6 / run["events_this_run"]))
    most = max(y for series in points.values() for _, y in series) * 1.15

    def x_of(users):
        return left + (math.log10(users) - 4) / (math.log10(5e6) - 4) * (width - left - 20)

    def y_of(cost):
        return height - bottom - cost / most * (height - bottom - 30)

    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           'font-family="sans-serif" font-size="12">')
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    yield f'<text x="{left}" y="18">CPU of all threads, microseconds an event</text>'
    step = 10 ** math.floor(math.log10(most)) / 2
    tick = 0.0
    while tick <= most:
        y = y_of(tick)
        yield f'<line x1="{left}" x2="{width - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        tick += step
    for users, label in ((1e4, "10 K"), (5e4, "50 K"), (2e5, "200 K"), (1e6, "1 M"), (5e6, "5 M")):
        yield f'<text x="{x_of(users):.1f}" y="{height - bottom + 18}" text-anchor="middle">{label}</text>'
    yield f'<text x="{(left + width) / 2:.0f}" y="{height - 10}" text-anchor="middle">users</text>'
    for color, (name, series) in zip(("#1f6fb4", "#d0661b"), points.items()):
        series.sort()
        line = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in series)
        yield f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>'
        for x, y in series:
            yield f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.5" fill="{color}"/>'
        x, y = series[-1]
        yield f'<text x="{x_of(x) - 8:.1f}" y="{y_of(y) - 8:.1f}" text-anchor="end" fill="{color}">{name}</text>'
    yield "</svg>"


def rounds_of(directory, name):
    """Summaries of a run that was made once, or of one that went in rounds."""
    found = []
    for suffix in ("", ".1", ".2", ".3"):
        path = os.path.join(directory, f"{name}{suffix}.json")
        if os.path.exists(path):
            with open(path) as file:
                found.append(json.load(file))
    return found


def speed(run, spent):
    return run["events_this_run"] / run[spent]


def ratios(rounds, name, other, spent):
    """How fast `name` is for `other`, in each round: the least, the middle and the most."""
    pairs = zip(rounds[name], rounds[other])
    found = sorted(speed(run, spent) / speed(beside, spent) for run, beside in pairs)
    return " / ".join(f"{ratio:.2f}" for ratio in found)


def said_of_it(page):
    """What people wrote below the tables of an earlier run: it stays, and is theirs to bring up to date."""
    if not os.path.exists(page):
        return ""
    with open(page) as file:
        _, heading, rest = file.read().partition("\n## Against the aims\n")
    return heading + rest


def main():
    directory, page, picture = sys.argv[1:4]
    rounds = {name: rounds_of(directory, name) for name in TITLES}
    runs = {name: sorted(found, key=lambda run: run["cpu_seconds"])[len(found) // 2]
            for name, found in rounds.items() if found}
    with open(os.path.join(directory, "reference.txt")) as file:
        reference = file.read().strip()
    lines = [
        "# Benchmarks", "",
        "Made by `scripts/bench.sh`: 10 million generated events of one day through all stages, with "
        "features by user, device, card, terminal and address (user alone where there are two "
        "partitions), three logistic models, the rules of `pipeline/examples/bench.yaml`, state in "
        "RocksDB, every commit synced. CPU is that of all threads of the process.", "",
        f"Machine: {cpu_name()}; {reference}", "",
        *table(runs), "",
        "In rounds, one after the other, three times each (the table has the middle one), as times of the other:", "",
        "| | least / middle / most |", "|---|---|",
        "| 5 million users in 512 MiB for 200,000 users, events a CPU second | "
        + ratios(rounds, "zipf-5000000", "zipf-200k", "cpu_seconds") + " |",
        "| JSON lines for Avro, events a CPU second | "
        + ratios(rounds, "zipf-200k-jsonl", "zipf-200k", "cpu_seconds") + " |",
        "| two workers for one, events a second | "
        + ratios(rounds, "two-partitions-2", "two-partitions-1", "elapsed_seconds") + " |", "",
        f"![cost of an event over the number of users]({os.path.basename(picture)})", "",
        "## Where the time goes", "", "200,000 users, Zipf, Avro:", "",
        *stages(runs["zipf-200k"]), "",
    ]
    kept = said_of_it(page)
    with open(page, "w") as file:
        file.write("\n".join(lines) + kept)
    with open(picture, "w") as file:
        file.write("\n".join(plot(runs)) + "\n")


if __name__ == "__main__":
    main()
