#!/usr/bin/env python3
"""Holds what nudge found against what the generator knows.

    quickstart_report.py GENERATED OUTPUT

GENERATED has truth.jsonl, OUTPUT the topics of a run. An alert belongs to the visit whose number
begins its event id.
"""
import collections
import json
import os
import sys


def records(directory, topic):
    folder = os.path.join(directory, topic)
    if not os.path.isdir(folder):
        return
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name)) as file:
            for line in file:
                yield json.loads(line)


def main():
    generated, output = sys.argv[1:3]
    truth = {}
    with open(os.path.join(generated, "truth.jsonl")) as file:
        for line in file:
            visit = json.loads(line)
            truth[visit["visit"]] = visit
    alerted = collections.defaultdict(set)
    for alert in records(output, "alerts"):
        if alert["event_id"]:
            alerted[alert["event_id"].split("-")[0]].add(alert["rule"])
    kinds = collections.Counter(visit["kind"] for visit in truth.values())
    found = collections.Counter(truth[visit]["kind"] for visit in alerted if visit in truth)
    print("What the alerts found, by what the visits were")
    print(f"  {'kind of visit':<20}{'visits':>9}{'alerted':>9}{'share':>9}")
    order = sorted(kinds, key=lambda kind: (kind == "human", kind == "crawler", kind))
    for kind in order:
        print(f"  {kind:<20}{kinds[kind]:>9}{found[kind]:>9}{found[kind] / kinds[kind]:>9.1%}")
    fraud = sum(count for kind, count in found.items() if kind not in ("human", "crawler"))
    total = sum(found.values())
    print(f"  of {total} visits with an alert {fraud} were fraud or scraping "
          f"({fraud / max(total, 1):.0%})\n")

    print("By rule")
    by_rule = collections.defaultdict(collections.Counter)
    for visit, rules in alerted.items():
        for rule in rules:
            by_rule[rule][truth[visit]["kind"] if visit in truth else "unknown"] += 1
    for rule, counts in sorted(by_rule.items()):
        print(f"  {rule:<26}" + ", ".join(f"{kind} {count}" for kind, count in counts.most_common(5)))

    promotions = collections.Counter(record["rule"] for record in records(output, "promotions"))
    held_out = collections.Counter()
    why = collections.Counter()
    for decision in records(output, "decisions"):
        if decision["suppressed_by"] == "held_out":
            held_out[decision["rule"]] += 1
        elif decision["suppressed_by"]:
            why[decision["suppressed_by"]] += 1
    print("\nPromotions, and how many were held back for the control group")
    for rule, count in promotions.most_common():
        print(f"  {rule:<26}{count:>8}{held_out[rule]:>8}")
    if why:
        print("  not carried out: " + ", ".join(f"{reason} {count}" for reason, count in why.most_common()))
    carts = [visit for visit in truth.values() if visit["reached_cart"] and visit["kind"] == "human"]
    movable = sum(visit["buys_with_coupon"] and not visit["buys_without_coupon"] for visit in carts)
    print(f"  the truth: of {len(carts)} filled carts {movable} would be bought only with a coupon")


if __name__ == "__main__":
    main()
