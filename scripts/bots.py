#!/usr/bin/env python3
"""What scripts/bots.sh counts.

    bots.py truth LOG.gz TRUTH.jsonl      one line an address: does it declare itself a program?
    bots.py table LOG.gz OUT SUMMARY.json LATER
                                          the table of a run whose outputs lie in OUT; addresses
                                          first seen from LATER (ISO 8601) on are shown apart

An address is declared where more than half of its requests name a robot in the user agent. The user
agent is read here, to judge by, and by nothing that scores.
"""
import bisect
import gzip
import json
import os
import random
import re
import statistics
import sys
from collections import Counter, defaultdict

ROBOT = re.compile(r"bot|crawl|spider", re.I)
ROUNDS = int(os.environ.get("BOTS_ROUNDS", "100"))  # Of the bootstrap.


def read_log(path):
    """(address, declares itself) of each line."""
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            parts = line.split('"')
            yield line.split(" ", 1)[0], len(parts) > 5 and bool(ROBOT.search(parts[5]))


def declared_of(log):
    requests, named = Counter(), Counter()
    for address, names_robot in log:
        requests[address] += 1
        named[address] += names_robot
    return {address: 2 * named[address] > count for address, count in requests.items()}


def write_truth(log_path, path):
    with open(path, "w", encoding="utf-8") as out:
        for address, is_bot in declared_of(read_log(log_path)).items():
            out.write(json.dumps({"visit": address, "kind": "declared" if is_bot else "other",
                                  "bot": is_bot, "fraud": False}) + "\n")


def auc_of(groups, weights):
    """Chance that a bot's request scores above another's; ties count half. groups: for each group
    its [(rank of score, is bot, count)]."""
    bots, others = Counter(), Counter()
    for group, weight in weights.items():
        for rank, is_bot, count in groups[group]:
            (bots if is_bot else others)[rank] += weight * count
    total_bots, total_others = sum(bots.values()), sum(others.values())
    if not total_bots or not total_others:
        return float("nan")
    below = above = 0
    for rank in sorted(set(bots) | set(others)):
        above += bots[rank] * (below + others[rank] / 2)
        below += others[rank]
    return above / (total_bots * total_others)


def auc_with_interval(scored):
    """scored: [(address, score, is bot)]. Interval: bootstrap over addresses."""
    ranks = {score: i for i, score in enumerate(sorted({score for _, score, _ in scored}))}
    counted = defaultdict(Counter)
    for address, score, is_bot in scored:
        counted[address][(ranks[score], is_bot)] += 1
    groups = {address: [(rank, is_bot, n) for (rank, is_bot), n in counter.items()]
              for address, counter in counted.items()}
    names = sorted(groups)
    rng = random.Random(1)
    rounds = sorted(auc_of(groups, Counter(rng.choices(names, k=len(names))))
                    for _ in range(ROUNDS))
    low, high = rounds[int(0.025 * ROUNDS)], rounds[int(0.975 * ROUNDS)]
    return f"{auc_of(groups, dict.fromkeys(names, 1)):.4f} [{low:.4f}, {high:.4f}]"


class Run:
    def __init__(self, log_path, out):
        log = list(read_log(log_path))
        self.declared = declared_of(log)
        self.requests = []  # (address, score, names a robot), accepted ones in order.
        self.first, self.last, self.times, self.user = {}, {}, defaultdict(list), {}
        with open(f"{out}/scored_events/0.jsonl", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                address, names_robot = log[row["ordinal"]]
                score = row["scores"]["fraud"]
                self.requests.append((address, score, names_robot))
                self.first.setdefault(address, row["time"])
                self.last[address] = score
                self.times[address].append(row["time"])
                self.user[row["user"]] = address
        for times in self.times.values():
            times.sort()
        self.decided = {}  # Address: requests until its first alert.
        with open(f"{out}/alerts/0.jsonl", encoding="utf-8") as lines:
            for line in lines:
                alert = json.loads(line)
                address = self.user[alert["user"]]
                seen = bisect.bisect_right(self.times[address], alert["time"])
                self.decided[address] = min(seen, self.decided.get(address, seen))

    def table(self, since):
        """Rows of figures over the addresses that were first seen from `since` on."""
        chosen = [address for address in self.first if self.first[address] >= since]
        members = set(chosen)
        bots = [address for address in chosen if self.declared[address]]
        found = [address for address in chosen if address in self.decided]
        true = [address for address in found if self.declared[address]]
        named = sum(names for address, _, names in self.requests if address in members)
        caught = sum(names for address, _, names in self.requests
                     if address in members and address in self.decided)
        heavy = [address for address in bots if len(self.times[address]) >= 3]
        yield "addresses", len(chosen)
        yield "that declare themselves robots", len(bots)
        yield "found, by at least one alert", len(found)
        yield "found and declared", len(true)
        yield "recall, addresses", f"{len(true) / len(bots):.3f}"
        yield ("recall, addresses with three requests or more",
               f"{sum(a in self.decided for a in heavy) / max(1, len(heavy)):.3f} of {len(heavy)}")
        yield "recall, requests of declared robots", f"{caught / max(1, named):.3f}"
        yield "precision, addresses", f"{len(true) / max(1, len(found)):.3f}"
        yield ("ROC-AUC, addresses at their last request",
               auc_with_interval([(a, self.last[a], self.declared[a]) for a in chosen]))
        yield ("ROC-AUC, requests as they come",
               auc_with_interval([r for r in self.requests if r[0] in members]))
        yield ("median requests until the alert",
               f"{statistics.median(self.decided[a] for a in true):.0f}" if true else "-")


def print_table(log_path, out, summary_path, later):
    with open(summary_path, encoding="utf-8") as file:
        summary = json.load(file)
    run = Run(log_path, out)
    dead = summary["dead_letters"]
    reasons = ", ".join(f"{name} {n}" for name, n in dead["by_reason"].items() if n) or "none"
    print(f"requests {summary['events_read']}, skipped {summary['events_skipped']}, "
          f"sessions {summary['sessions']}, dead letters {dead['total']} ({reasons})")
    print(f"\n| | all addresses | first seen from {later} on |\n|---|---|---|")
    for (name, value), (_, new) in zip(run.table(""), run.table(later)):
        print(f"| {name} | {value} | {new} |")
    others = [a for a in run.decided if not run.declared[a]]
    print(f"\n{len(others)} addresses with an alert do not declare themselves; the busiest made "
          f"{', '.join(str(n) for n in sorted((len(run.times[a]) for a in others))[:-6:-1])} "
          "requests.")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "truth":
        write_truth(sys.argv[2], sys.argv[3])
        return 0
    if len(sys.argv) == 6 and sys.argv[1] == "table":
        print_table(*sys.argv[2:])
        return 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main())
