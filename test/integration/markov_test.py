#!/usr/bin/env python3
"""A Markov table made of a real clickstream, against a count of the same rows in plain Python.

    markov_test.py NUDGE

Data: $NUDGE_DATA or ../shared/data; without them nothing is tested, unless CI is set.
"""
import csv
import gzip
import os
import subprocess
import sys
import tempfile

CLICKS = "rees46/2019-10-01_until_0230.csv.gz"
TYPES = {"view": "product_view", "cart": "add_to_cart", "purchase": "purchase",
         "remove_from_cart": "remove_from_cart"}
PRIOR_EVENTS = 10
GAP_S = 1800

TRAINING = """train:
  pipeline: {root}/pipeline/examples/rees46.yaml
  name: shop
  version: 1
  target: purchase_in_session
  gap: 30m
"""


# Of the states that are compared nothing is seen, so that their chances are the prior's.
OTHER = """event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
2019-10-01 00:00:00 UTC,remove_from_cart,1,2,,b,3.5,4,s
2019-10-01 00:00:09 UTC,remove_from_cart,1,2,,b,3.5,4,s
"""


def find_data():
    for folder in (os.environ.get("NUDGE_DATA"), "../shared/data"):
        if folder and os.path.exists(os.path.join(folder, CLICKS)):
            return os.path.join(folder, CLICKS)
    return None


def seconds(text):
    hour, minute, second = text.split()[1].split(":")
    return int(hour) * 3600 + int(minute) * 60 + int(second)


def count(path):
    """Steps, leavings and sessions of the rows as they stand."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    sessions = {}
    for row in rows:
        key = (row["user_id"], row["user_session"])
        sessions.setdefault(key, []).append((seconds(row["event_time"]), TYPES[row["event_type"]]))
    end = max(seconds(row["event_time"]) for row in rows)
    steps, leaves = {}, {}
    for events in sessions.values():
        for (_, before), (_, after) in zip(events, events[1:]):
            steps[before, after] = steps.get((before, after), 0) + 1
        if events[-1][0] <= end - GAP_S:
            leaves[events[-1][1]] = leaves.get(events[-1][1], 0) + 1
    return steps, leaves, len(sessions)


def read_table(path):
    table = {}
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("steps:\n")[1].splitlines()
    for line in lines:
        state, weights = line.strip().rstrip("}").split(": {")
        table[state] = {name: float(value) for name, value in
                        (entry.split(": ") for entry in weights.split(", "))}
    return table


def compare(table, prior, steps, leaves):
    """Each chance as its definition says; `prior` is a table of rows without these states."""
    for state in sorted(set(TYPES.values()) - {"remove_from_cart"}):
        total = sum(n for (before, _), n in steps.items() if before == state)
        total += leaves.get(state, 0)
        if total == 0 or abs(sum(table[state].values()) - 1) > 1e-12:
            sys.exit(f"{state}: {total} seen, chances sum to {sum(table[state].values())}")
        for to in prior[state]:
            seen = leaves.get(state, 0) if to == "leave" else steps.get((state, to), 0)
            chance = (seen + PRIOR_EVENTS * prior[state][to]) / (total + PRIOR_EVENTS)
            if abs(table[state][to] - chance) > 1e-12:
                sys.exit(f"{state} to {to}: {table[state][to]} of {seen} in {total}, "
                         f"{chance} expected")


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    nudge = os.path.abspath(sys.argv[1])
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    data = find_data()
    if not data:
        print(f"markov_test: skipped, no {CLICKS}")
        sys.exit(1 if os.environ.get("CI") else 0)
    with tempfile.TemporaryDirectory() as work:
        training, table, prior, other, shop = (
            os.path.join(work, name)
            for name in ("train.yaml", "markov.yaml", "prior.yaml", "other.csv", "shop.yaml"))
        with open(other, "w", encoding="utf-8") as file:
            file.write(OTHER)
        with open(training, "w", encoding="utf-8") as file:
            file.write(TRAINING.format(root=root))
        said = run([nudge, "train", training, "--markov", table, "--input", data])
        steps, leaves, sessions = count(data)
        if f"{sessions} sessions" not in said:
            sys.exit(f"{sessions} sessions expected: {said}")
        run([nudge, "train", training, "--markov", prior, "--input", other])
        compare(read_table(table), read_table(prior), steps, leaves)
        with open(table, "rb") as file:
            first = file.read()
        run([nudge, "train", training, "--markov", table, "--input", data])
        with open(table, "rb") as file:
            if file.read() != first:
                sys.exit("the same rows gave another table")
        with open(shop, "w", encoding="utf-8") as file:
            file.write(f"input: {{format: csv, mapping: {root}/schemas/mappings/rees46.yaml}}\n"
                       "extract_features: {markov: markov.yaml}\n")
        said = run([nudge, "check", shop])
        if "Markov table: shop 1 " not in said:
            sys.exit(f"the table is not in use: {said}")
    print(f"markov_test: {sum(steps.values())} steps of {sessions} sessions as counted in Python")


if __name__ == "__main__":
    main()
