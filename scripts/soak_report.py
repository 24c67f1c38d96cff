#!/usr/bin/env python3
"""Plots what soak_watch.py sampled, and says of each column that should stay flat whether it grows.

    soak_report.py SAMPLES.csv --plot FILE.svg [--summary FILE.json] [--behind N] [--away SECOND,SECONDS]

A third of the time is warm-up. From there on the slope is the median of the slopes of all pairs of
samples (Theil, 1950; Sen, 1968), which a compaction or a pause does not move; times what is left, it is
by how much a column grew. It may be a tenth of the median, or the floor below where that is more.
Samples while the broker was away, and until the lag was made up, are drawn but not judged, and pairs
across that gap are not taken: what making up for it needs is kept, and is not growth.
"""
import argparse
import csv
import json
import statistics
import sys

WARM_UP = 1 / 3
SHARE = 0.1
PAIRS_MAX = 400  # Samples that slopes are taken between; more are thinned out.
# Column, what it is, floor of what may be called growth.
# RocksDB has up to sixteen slices of a partition before it merges them.
FLAT = (("resident_mb", "resident memory, MB", 8), ("handles", "file handles", 12),
        ("threads", "threads", 1), ("state_mb", "state on disk, MB", 16), ("files", "files of the state", 12))
DRAWN = FLAT + (("cached", "records in the cache", None), ("lag", "records behind", None), ("rate", "events a second", None))
WIDTH, HEIGHT, LEFT, GAP = 900, 110, 70, 34


def read(path):
    with open(path, newline="") as file:
        rows = [{name: float(value) if value else None for name, value in row.items()}
                for row in csv.DictReader(file)]
    # Where one was late, the next ones came at once.
    rows = [row for before, row in zip([{"second": -1.0}] + rows, rows) if row["second"] > before["second"]]
    for before, row in zip([None] + rows, rows):
        known = before and None not in (before["events"], row["events"])
        row["rate"] = ((row["events"] - before["events"]) / (row["second"] - before["second"])
                       if known else None)
    return rows


def slope(points, gap):
    """Median slope of all pairs on the same side of the gap."""
    points = points[::max(1, len(points) // PAIRS_MAX)]
    return statistics.median((y2 - y1) / (x2 - x1)
                             for number, (x1, y1) in enumerate(points) for x2, y2 in points[number + 1:]
                             if (x1 < gap[0]) == (x2 < gap[0]))


def column(rows, name):
    return [(row["second"], row[name]) for row in rows if row[name] is not None]


def caught_up(rows, away):
    """The second at which the lag was again what it had been before; None: never."""
    before = statistics.median(lag for second, lag in column(rows, "lag") if second < away[0])
    limit = max(2 * before, 1000)
    return next((second for second, lag in column(rows, "lag")
                 if second > sum(away) and lag <= limit), None)


def judge(rows, begin, gap):
    """Prints a line a column; returns the names of those that grow."""
    growing = []
    for name, label, floor in FLAT:
        points = [(x, y) for x, y in column(rows, name) if x >= begin and not gap[0] <= x <= gap[1]]
        if len(points) < 10:
            sys.exit(f"soak: {len(points)} samples of {label} to judge by; at least 10 expected")
        median = statistics.median(y for _, y in points)
        growth = slope(points, gap) * (points[-1][0] - points[0][0])
        allowed = max(SHARE * median, floor)
        verdict = "flat" if growth <= allowed else "GROWS"
        print(f"  {label:22} median {median:9.1f}  grew by {growth:+8.2f}  (allowed {allowed:.1f})  {verdict}")
        if growth > allowed:
            growing.append(label)
    return growing


def panel(points, label, top, last, shades):
    low, high = 0, max([y for _, y in points] + [1e-9]) * 1.05
    def place(x, y):
        return (f"{LEFT + x / last * (WIDTH - LEFT - 10):.1f},"
                f"{top + HEIGHT - (y - low) / (high - low) * HEIGHT:.1f}")
    shaded = "".join(f'<rect x="{LEFT + a / last * (WIDTH - LEFT - 10):.1f}" y="{top}" fill="{colour}" '
                     f'width="{max(0, b - a) / last * (WIDTH - LEFT - 10):.1f}" height="{HEIGHT}"/>'
                     for a, b, colour in shades)
    line = " ".join(place(x, y) for x, y in points)
    return (f'{shaded}<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - 10}" height="{HEIGHT}" '
            f'fill="none" stroke="#999"/><text x="{LEFT}" y="{top - 6}">{label}</text>'
            f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{high:,.0f}</text>'
            f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>'
            f'<polyline points="{line}" fill="none" stroke="#1668b8" stroke-width="1.5"/>')


def plot(path, rows, shades):
    last = rows[-1]["second"]
    panels = "\n".join(panel(column(rows, name), label, GAP + number * (HEIGHT + GAP), last, shades)
                       for number, (name, label, _) in enumerate(DRAWN))
    height = GAP + len(DRAWN) * (HEIGHT + GAP) + 10
    with open(path, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
                   'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n'
                   f'{panels}\n<text x="{LEFT}" y="{height - 12}">{last:,.0f} s from left to right; '
                   "grey: warm-up; red: broker away, until caught up</text></svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples")
    parser.add_argument("--plot", required=True)
    parser.add_argument("--summary")
    parser.add_argument("--behind", type=int, default=0)
    parser.add_argument("--away", default="-1,0")
    arguments = parser.parse_args()
    rows = read(arguments.samples)
    away = [float(text) for text in arguments.away.split(",")]
    begin = rows[-1]["second"] * WARM_UP
    complaints = []
    gap = (-1.0, -1.0)
    if away[0] >= 0:
        again = caught_up(rows, away)
        gap = (away[0], again if again is not None else rows[-1]["second"])
        if again is None:
            complaints.append("the lag was not made up after the broker's absence")
        else:
            print(f"  broker away for {away[1]:.0f} s; caught up {again - sum(away):.0f} s after it was back")
    plot(arguments.plot, rows, [(0, begin, "#eee"), (*gap, "#fdd")])
    complaints += [f"{label} grow" for label in judge(rows, begin, gap)]
    if arguments.behind:
        complaints.append(f"{arguments.behind} records were not read in the end")
    if arguments.summary:
        with open(arguments.summary) as file:
            summary = json.load(file)
        print(f"  {summary['events_read']} events read, {summary['duplicates']} duplicates, "
              f"{summary['alerts']} alerts, {summary['promotions']} promotions, peak memory "
              f"{summary['peak_memory_bytes'] / 1e6:.0f} MB")
    print(f"  plot: {arguments.plot}")
    print("soak: " + ("; ".join(complaints) if complaints else "nothing grows, nothing was left"))
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
