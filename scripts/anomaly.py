#!/usr/bin/env python3
"""What scripts/anomaly.sh counts.

    anomaly.py points LABELLED.csv.gz SCORED.jsonl [ALERTS.jsonl]
                                                  ROC-AUC and average precision of anomaly scores
    anomaly.py nab NAB-FOLDER OUTPUT-FOLDER       the Numenta anomaly benchmark's standard profile
                                                  of the runs whose outputs lie in
                                                  OUTPUT-FOLDER/FOLDER/SERIES/scored_events

The benchmark's rules (Lavin, Ahmad, "Evaluating real-time anomaly detection algorithms", 2015; its
standard profile: a window found 1, a false alarm 0.11, a missed window 1): the first 15% of a
series, of at most 5,000 values, do not count. A value scored at the threshold or above is a
detection. Within a window the earliest one counts, by a sigmoid that falls from 1 at its left end
to 0 at its right end; each one outside costs, little just behind a window and the whole weight from
three window lengths on or before any. One threshold for all series, the best there is. 0 is a detector
that says nothing, 100 one that finds each window at its first value and nothing else.
"""
import csv
import datetime
import gzip
import json
import math
import os
import re
import sys

FALSE_ALARM = 0.11
MISSED = 1.0
LINE = re.compile(r'"ordinal":(\d+),.*"anomaly":([-+.0-9eE]+|null)')


def scores_of(path, rows):
    """Score of each row, None where it has none."""
    scores = [None] * rows
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            ordinal, score = LINE.search(line).groups()
            scores[int(ordinal)] = None if score == "null" else float(score)
    return scores


# ---- points ------------------------------------------------------------------------------------

def ranking(labels, scores):
    """(anomalies, others) of each score, highest first."""
    counts = {}
    for label, score in zip(labels, scores):
        pair = counts.setdefault(-1.0 if score is None else score, [0, 0])
        pair[not label] += 1
    return [counts[score] for score in sorted(counts, reverse=True)]


def auc(ranks):
    anomalies = sum(a for a, _ in ranks)
    others = sum(o for _, o in ranks)
    above = wins = 0.0
    for a, o in ranks:
        wins += o * (above + a / 2)
        above += a
    return wins / (anomalies * others)


def average_precision(ranks):
    anomalies = sum(a for a, _ in ranks)
    found = seen = 0
    total = 0.0
    for a, o in ranks:
        found += a
        seen += a + o
        total += a * found / seen
    return total / anomalies


def points(labelled, scored, alerts=None):
    with gzip.open(labelled, "rt", encoding="utf-8", newline="") as lines:
        labels = [row["label"] == "1" for row in csv.DictReader(lines)]
    scores = scores_of(scored, len(labels))
    ranks = ranking(labels, scores)
    print(f"{os.path.basename(labelled)}: {len(labels)} rows, {sum(labels)} anomalies, "
          f"{sum(score is None for score in scores)} not scored; "
          f"ROC-AUC {auc(ranks):.4f}, average precision {average_precision(ranks):.4f}")
    if alerts and os.path.exists(alerts):
        with open(alerts, encoding="utf-8") as lines:
            places = [json.loads(line)["cause"]["ordinal"] for line in lines]
        print(f"  alerts {len(places)}, of which anomalies {sum(labels[p] for p in places)}")


# ---- the benchmark of series -------------------------------------------------------------------

def sigmoid(position):
    return -1.0 if position > 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def probation(rows):
    return int(0.15 * min(rows, 5000))


def value_of_rows(rows, windows):
    """(window or None, what a detection there is worth) of each row."""
    values = []
    best = sigmoid(-1.0)
    previous = None
    for row in range(rows):
        window = next((w for w in windows if w[0] <= row <= w[1]), None)
        if window:
            left, right = window
            values.append((window, sigmoid(-(right - row + 1) / (right - left + 1)) / best))
            previous = window
        elif previous is None:
            values.append((None, -FALSE_ALARM))
        else:
            left, right = previous
            values.append((None, FALSE_ALARM * sigmoid((row - right) / (right - left))))
    return values


def read_series(root, name, windows):
    with open(f"{root}/data/{name}", encoding="utf-8", newline="") as lines:
        times = [datetime.datetime.fromisoformat(row["timestamp"]) for row in csv.DictReader(lines)]
    rows = []
    for begin, end in windows:
        begin, end = (datetime.datetime.fromisoformat(text) for text in (begin, end))
        inside = [i for i, time in enumerate(times) if begin <= time <= end]
        rows.append((inside[0], inside[-1]))
    return len(times), rows


def best_threshold(detections, windows):
    """detections: (score, series, window, value). The best score over all thresholds."""
    raw = best = -MISSED * windows
    threshold = None
    found = {}
    detections.sort(key=lambda detection: -detection[0])
    for i, (score, series, window, value) in enumerate(detections):
        if window is None:
            raw += value
        else:
            before = found.get((series, window))
            raw += value + MISSED if before is None else max(0.0, value - before)
            found[(series, window)] = value if before is None else max(before, value)
        is_last_of_score = i + 1 == len(detections) or detections[i + 1][0] != score
        if is_last_of_score and raw > best:
            best, threshold = raw, score
    return 100 * (best + MISSED * windows) / (windows + MISSED * windows), threshold


def nab(root, outputs):
    with open(f"{root}/labels/combined_windows.json", encoding="utf-8") as file:
        labels = json.load(file)
    groups, detections, windows, series = {}, [], 0, 0
    for name in sorted(labels):
        if not os.path.exists(f"{root}/data/{name}"):
            continue
        rows, inside = read_series(root, name, labels[name])
        scores = scores_of(f"{outputs}/{name[:-4]}/scored_events/0.jsonl", rows)
        worth = value_of_rows(rows, inside)
        made = [(scores[row], name, *worth[row]) for row in range(probation(rows), rows)
                if scores[row] is not None]
        group = groups.setdefault(os.path.dirname(name), [[], 0, 0])
        group[0] += made
        group[1] += len(inside)
        group[2] += 1
        detections += made
        windows += len(inside)
        series += 1
    score, threshold = best_threshold(detections, windows)
    print(f"{series} series, {windows} windows: standard profile {score:.1f}, "
          f"at threshold {threshold:.4f}")
    for name, (made, count, files) in sorted(groups.items()):
        alarms = [d for d in made if d[0] >= threshold]
        found = {(d[1], d[2]) for d in alarms if d[2]}
        false = sum(d[2] is None for d in alarms)
        print(f"  {name}: {files} series, {len(found)} of {count} windows found, "
              f"{false} false alarms")


def main():
    if len(sys.argv) in (4, 5) and sys.argv[1] == "points":
        points(*sys.argv[2:])
        return 0
    if len(sys.argv) == 4 and sys.argv[1] == "nab":
        nab(sys.argv[2], sys.argv[3])
        return 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main())
