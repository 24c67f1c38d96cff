#!/usr/bin/env python3
"""Samples a running nudge every few seconds into a CSV file, until the time is over or it has ended.

A column that could not be read is left empty, such as the lag while the broker is away.
"""
import argparse
import csv
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

PAGE = os.sysconf("SC_PAGE_SIZE")
COLUMNS = ("second", "resident_mb", "handles", "threads", "state_mb", "files", "lag", "events", "commits", "cached")


def resident_mb(pid):
    with open(f"/proc/{pid}/statm") as file:
        return round(int(file.read().split()[1]) * PAGE / 1e6, 2)


def disk(directory):
    """Megabytes and number of the files below; those that vanish meanwhile are not counted."""
    size = count = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size += os.stat(os.path.join(folder, name)).st_size
                count += 1
            except FileNotFoundError:
                pass
    return round(size / 1e6, 2), count


def lag(nudge, config):
    try:
        said = subprocess.run([nudge, "lag", config], capture_output=True, text=True, timeout=4, check=True)
        return int(said.stdout.split()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return ""


def totals(url, *names):
    """Sums of counters over their labels."""
    try:
        with urllib.request.urlopen(url, timeout=4) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return [""] * len(names)
    return [round(sum(float(value) for value in
                      re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)))
            for name in names]


def sample(arguments, begin):
    pid = arguments.pid
    state_mb, files = disk(arguments.state)
    counts = totals(arguments.metrics, "nudge_events_read_total", "nudge_commits_total",
                    "nudge_cache_resident_records")
    return (round(time.monotonic() - begin, 1), resident_mb(pid), len(os.listdir(f"/proc/{pid}/fd")),
            len(os.listdir(f"/proc/{pid}/task")), state_mb, files, lag(arguments.nudge, arguments.config),
            *counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("pid", "config", "nudge", "state", "metrics", "samples"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--every", type=float, default=3)
    arguments = parser.parse_args()
    begin = time.monotonic()
    with open(arguments.samples, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(1, round(arguments.seconds / arguments.every) + 1):
            time.sleep(max(0.0, begin + number * arguments.every - time.monotonic()))
            try:
                writer.writerow(sample(arguments, begin))
            except (FileNotFoundError, ProcessLookupError):
                sys.exit("soak: nudge has ended")
            file.flush()


if __name__ == "__main__":
    main()
