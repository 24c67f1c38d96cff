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
EVENTS_MIN = 10
START = "start"
GAP_S = 1800

TRAINING = """train:
  pipeline: {root}/pipeline/examples/rees46.yaml
  name: shop
  version: 1
  target: purchase_in_session
  gap: 30m
  markov_order: {order}
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
    """What followed which last events, the oldest first, and the number of sessions."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    sessions = {}
    for row in rows:
        key = (row["user_id"], row["user_session"])
        sessions.setdefault(key, []).append((seconds(row["event_time"]), TYPES[row["event_type"]]))
    end = max(seconds(row["event_time"]) for row in rows)
    seen = {}
    for events in sessions.values():
        types = [START] + [type_ for _, type_ in events]
        after = types[2:] + (["leave"] if events[-1][0] <= end - GAP_S else [])
        for place, to in enumerate(after, 2):
            for length in range(1, min(3, place) + 1):
                context = tuple(types[place - length:place])
                if context != (START,):
                    seen.setdefault(context, {}).setdefault(to, 0)
                    seen[context][to] += 1
    return seen, len(sessions)


def read_table(path):
    table = {}
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("steps:\n")[1].splitlines()
    for line in lines:
        context, weights = line.strip().rstrip("}").split(": {")
        table[tuple(context.split(" > "))] = {
            name: float(value) for name, value in
            (entry.split(": ") for entry in weights.split(", "))}
    return table


def chance(seen, prior, context, to):
    """The definition: what was seen, mixed with the chance from the context without its oldest event."""
    followed = seen.get(context, {})
    shorter = chance(seen, prior, context[1:], to) if len(context) > 1 else prior[context][to]
    return (followed.get(to, 0) + PRIOR_EVENTS * shorter) / (sum(followed.values()) + PRIOR_EVENTS)


def compare(table, prior, seen, order):
    """Each chance as its definition says; `prior` is a table of rows without these states."""
    single = {(name,) for name in set(TYPES.values()) - {"remove_from_cart"}}
    longer = {context for context, followed in seen.items()
              if 1 < len(context) <= order and sum(followed.values()) >= EVENTS_MIN}
    if {context for context in table if len(context) > 1} != longer:
        sys.exit(f"order {order}: contexts {sorted(set(table) ^ longer)[:5]} ...")
    for context in sorted(single | longer):
        if context in single and not seen.get(context):
            sys.exit(f"{context} was never seen")
        if abs(sum(table[context].values()) - 1) > 1e-12:
            sys.exit(f"{context}: chances sum to {sum(table[context].values())}")
        if "remove_from_cart" in context:
            continue  # What the prior says of it is not known here.
        for to in prior[context[-1:]]:
            wanted = chance(seen, prior, context, to)
            if abs(table[context][to] - wanted) > 1e-12:
                sys.exit(f"{context} to {to}: {table[context][to]}, {wanted} expected")
    return len(longer)


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
        seen, sessions = count(data)
        contexts = 0
        for order in (1, 2, 3):
            with open(training, "w", encoding="utf-8") as file:
                file.write(TRAINING.format(root=root, order=order))
            said = run([nudge, "train", training, "--markov", table, "--input", data])
            if f"{sessions} sessions" not in said or f"order {order}, " not in said:
                sys.exit(f"{sessions} sessions and order {order} expected: {said}")
            run([nudge, "train", training, "--markov", prior, "--input", other])
            contexts = compare(read_table(table), read_table(prior), seen, order)
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
    print(f"markov_test: the steps of {sessions} sessions as counted in Python, to order 3 with "
          f"{contexts} contexts of more than one event")


if __name__ == "__main__":
    main()
