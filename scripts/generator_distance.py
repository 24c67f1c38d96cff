#!/usr/bin/env python3
"""How far the generated traffic is from a real shop's.

usage: generator_distance.py [--check] GENERATED_DIR REES46_CSV

GENERATED_DIR was written by `nudge generate --format jsonl`; REES46_CSV is an excerpt of the REES46
multi-category store data, plain or gzip. Prints Markdown: for each aspect the numbers of both side
by side, and one distance:

- KS: the largest difference between the two distribution functions (Kolmogorov-Smirnov), 0 to 1;
- TV: half the sum of the differences of shares (total variation), 0 to 1.

REES46 knows views, carts and purchases, to the second, and bots were taken out of it. So the
generated side is cut down to the visits of humans (by the truth file) and to those three types of
events, its times to whole seconds, its copies dropped, and sessions are taken by the sender's own
session id on both sides. Popularity depends on how much one looks at: it is compared on as many
views as REES46 has, drawn by session in the order of a hash.

With --check it exits with 1 where a distance is above its limit, which is what a change of the
generator may use up, not what is good.
"""
import csv
import glob
import gzip
import hashlib
import json
import math
import os
import sys
from collections import Counter, defaultdict
from datetime import datetime, timezone

KINDS = {"product_view": "view", "add_to_cart": "cart", "purchase": "purchase"}
LEVELS = (0.5, 0.75, 0.9, 0.95, 0.99)
LIMITS = {"funnel": 0.08, "events": 0.05, "session length": 0.05, "gap between events": 0.05,
          "popularity": 0.08, "repetition": 0.05, "price of a viewed item": 0.2}
exceeded = []


class Event:
    __slots__ = ("second", "kind", "item", "category", "price")

    def __init__(self, second, kind, item, category, price):
        self.second, self.kind, self.item = second, kind, item
        self.category, self.price = category, price


def read_rees46(path):
    """Sessions, each a list of events in order of time."""
    sessions = defaultdict(list)
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["event_type"] not in KINDS.values():
                continue
            time = datetime.strptime(row["event_time"], "%Y-%m-%d %H:%M:%S UTC")
            second = int(time.replace(tzinfo=timezone.utc).timestamp())
            sessions[row["user_session"]].append(
                Event(second, row["event_type"], row["product_id"], row["category_id"],
                      float(row["price"])))
    return in_order(sessions)


def read_generated(directory):
    """Sessions of humans; those under way when the simulation stopped are left out."""
    humans = set()
    with open(os.path.join(directory, "truth.jsonl")) as file:
        for line in file:
            truth = json.loads(line)
            if truth["kind"] == "human" and truth["complete"]:
                humans.add(truth["visit"])
    paths = sorted(glob.glob(os.path.join(directory, "events*.jsonl")))
    if not paths:
        sys.exit(f"{directory}: no events*.jsonl; use nudge generate --format jsonl")
    sessions, seen = defaultdict(list), set()
    for path in paths:
        with open(path) as file:
            for line in file:
                event = json.loads(line)
                kind = KINDS.get(event["type"])
                visit = event["event_id"].split("-")[0]
                if not kind or visit not in humans or event["event_id"] in seen:
                    continue
                seen.add(event["event_id"])
                sessions[visit].append(
                    Event(event["event_time"] // 1000, kind, event["item"], event["category"],
                          event["price"] / 1e6))
    return in_order(sessions), len(humans)


def in_order(sessions):
    for events in sessions.values():
        events.sort(key=lambda event: event.second)
    return sessions


def quantile(ordered, level):
    return ordered[min(len(ordered) - 1, int(level * len(ordered)))]


def kolmogorov_smirnov(a, b):
    a, b = sorted(a), sorted(b)
    i = j = 0
    most = 0.0
    while i < len(a) and j < len(b):
        value = min(a[i], b[j])
        while i < len(a) and a[i] == value:
            i += 1
        while j < len(b) and b[j] == value:
            j += 1
        most = max(most, abs(i / len(a) - j / len(b)))
    return most


def total_variation(a, b):
    return sum(abs(a.get(key, 0) - b.get(key, 0)) for key in set(a) | set(b)) / 2


def shares(counter):
    total = sum(counter.values())
    return {key: count / total for key, count in counter.items()}


def funnel(sessions):
    """Share of sessions by what was reached."""
    reached = Counter()
    for events in sessions.values():
        kinds = {event.kind for event in events}
        if "purchase" in kinds:
            reached["purchase, cart seen" if "cart" in kinds else "purchase, no cart seen"] += 1
        else:
            reached["cart, no purchase" if "cart" in kinds else "views only"] += 1
    return shares(reached)


def gaps(sessions):
    return [after.second - before.second
            for events in sessions.values() for before, after in zip(events, events[1:])]


def sample_views(sessions, views_max):
    """Views of whole sessions, up to views_max."""
    views = []
    for name in sorted(sessions, key=lambda name: hashlib.md5(name.encode()).digest()):
        views += [event.item for event in sessions[name] if event.kind == "view"]
        if len(views) >= views_max:
            break
    return views[:views_max]


def popularity(views):
    """Slope of log count over log rank, by least squares over ranks evenly spread on the log scale;
    share of views of the most viewed 1% of items; and the share that each item's rank holds."""
    counts = sorted(Counter(views).values(), reverse=True)
    last = next((i for i, count in enumerate(counts) if count < 3), len(counts))
    ranks = sorted({int(round(math.exp(math.log(max(last, 2)) * k / 40))) for k in range(41)})
    points = [(math.log(rank), math.log(counts[rank - 1])) for rank in ranks if rank <= len(counts)]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = (sum((x - mean_x) * (y - mean_y) for x, y in points) /
             sum((x - mean_x) ** 2 for x, _ in points))
    top = sum(counts[:max(1, len(counts) // 100)]) / len(views)
    by_rank = [rank for rank, count in enumerate(counts) for _ in range(count)]
    return {"slope": slope, "top": top, "items": len(counts), "by_rank": by_rank}


def repeats(sessions):
    """Of the views after another view in a session: the same item again; the same category."""
    views = same_item = same_category = 0
    for events in sessions.values():
        seen, last = set(), None
        for event in events:
            if event.kind != "view":
                continue
            if last is not None:
                views += 1
                same_item += event.item in seen
                same_category += event.category == last
            seen.add(event.item)
            last = event.category
    return same_item / views, same_category / views


def measured(aspect, measure, distance):
    """The distance as the table shows it, held against its limit."""
    if distance > LIMITS[aspect]:
        exceeded.append(f"{aspect}: {measure} {distance:.3f}, at most {LIMITS[aspect]} expected")
    return f"{measure} {distance:.3f}"


def row(aspect, number, real, generated, distance=""):
    print(f"| {aspect} | {number} | {real} | {generated} | {distance} |")


def percent(share):
    return f"{100 * share:.1f}%"


def quantile_rows(aspect, unit, real, generated, form, shown=True):
    a, b = sorted(real), sorted(generated)
    distance = measured(aspect, "KS", kolmogorov_smirnov(a, b))
    aspect = aspect if shown else ""
    for level in LEVELS:
        row(aspect, f"{percent(level).replace('.0', '')} quantile{unit}",
            form.format(quantile(a, level)), form.format(quantile(b, level)), distance)
        aspect = distance = ""


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--check"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    generated, visits = read_generated(arguments[0])
    real = read_rees46(arguments[1])
    print("| aspect | number | REES46 | generated | distance |")
    print("|---|---|---:|---:|---|")
    row("size", "sessions with a view, cart or purchase", len(real), len(generated))
    real_funnel, generated_funnel = funnel(real), funnel(generated)
    distance = measured("funnel", "TV", total_variation(real_funnel, generated_funnel))
    aspect = "funnel"
    for step in ("views only", "cart, no purchase", "purchase, cart seen", "purchase, no cart seen"):
        row(aspect, f"sessions: {step}", percent(real_funnel.get(step, 0)),
            percent(generated_funnel.get(step, 0)), distance)
        aspect = distance = ""
    kinds = [shares(Counter(event.kind for events in side.values() for event in events))
             for side in (real, generated)]
    aspect, distance = "events", measured("events", "TV", total_variation(*kinds))
    for kind in ("view", "cart", "purchase"):
        row(aspect, kind, percent(kinds[0].get(kind, 0)), percent(kinds[1].get(kind, 0)), distance)
        aspect = distance = ""
    lengths = [[len(events) for events in side.values()] for side in (real, generated)]
    row("session length", "mean, events", *(f"{sum(x) / len(x):.2f}" for x in lengths))
    quantile_rows("session length", ", events", *lengths, "{}", shown=False)
    quantile_rows("gap between events", ", s", gaps(real), gaps(generated), "{}")
    views = sum(event.kind == "view" for events in real.values() for event in events)
    a, b = (popularity(sample_views(side, views)) for side in (real, generated))
    row("popularity", "slope, log views over log rank", f"{a['slope']:.2f}", f"{b['slope']:.2f}",
        measured("popularity", "KS", kolmogorov_smirnov(a["by_rank"], b["by_rank"])))
    row("", f"items in {views} views", a["items"], b["items"])
    row("", "views of the top 1% of items", percent(a["top"]), percent(b["top"]))
    pairs = list(zip(repeats(real), repeats(generated)))
    row("repetition", "next view: an item seen before", *(percent(x) for x in pairs[0]),
        measured("repetition", "TV", abs(pairs[0][0] - pairs[0][1])))
    row("", "next view: the same category", *(percent(x) for x in pairs[1]),
        measured("repetition", "TV", abs(pairs[1][0] - pairs[1][1])))
    quantile_rows("price of a viewed item", "",
                  *([event.price for events in side.values() for event in events
                     if event.kind == "view"] for side in (real, generated)), "{:.2f}")
    print(f"\n{visits} human visits were complete; {percent(len(generated) / visits)} of them had "
          "a view, cart or purchase. REES46's prices are in its own currency.")
    if len(arguments) < len(sys.argv) - 1 and exceeded:
        sys.exit("generator_distance: " + "; ".join(exceeded))


if __name__ == "__main__":
    main()
