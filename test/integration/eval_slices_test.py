#!/usr/bin/env python3
"""Evaluation by slice and by a chosen attribute, against figures worked out here by definition.

    eval_slices_test.py NUDGE [TEST...]
"""
import csv
import html.parser
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from datetime import datetime

import harness
from harness import Skip, check, equal, nudge, read, write

AGENTS = {
    "desktop": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36",
    "mobile": "Mozilla/5.0 (Linux; Android 13; CUBOT X70) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
    "tablet": "Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) AppleWebKit/605.1.15",
    "bot": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
}
BANDS = ["18-24", "25-44", "45-64", 'over "65", <b>'] # Words that CSV and HTML must write out.
THRESHOLD = 0.42 # Close to the middle of the chances.
HOUR_OFFSET = 210 # Minutes, a shop's clock ahead of UTC.
CONFIG = """
train:
  pipeline: shop.yaml
  name: test
  target: purchase_in_session
  l2: [0.01]
  features: [session_events, session_product_views, cart_pieces, user_events]
eval: {attribute: attributes.age_band, %s}
"""


def history(work, users=400, seed=1):
    """Events in order of time, no two at the same; channel, agent and band change within sessions."""
    draw = random.Random(seed)
    made = []
    for user in range(users):
        begin = draw.randrange(20 * 3600) + 0.0
        for _ in range(draw.choice([1, 1, 2, 3])):
            band = draw.randrange(4)
            steps = draw.randrange(1, 8)
            for step in range(steps):
                kind = "add_to_cart" if step > 1 and draw.random() < 0.3 else "product_view"
                attributes = {"age_band": BANDS[band], "note": "x"} if draw.random() < 0.9 else {"note": "y"}
                if draw.random() < 0.2:
                    band = draw.randrange(4)
                made.append((begin, user, kind, draw.choice(["web", "web", "app", "store"]),
                             draw.choice([*AGENTS, None]), attributes))
                begin += draw.randrange(5, 200)
            if draw.random() < (0.15 + 0.15 * band) * (0.5 if steps < 3 else 1.2):
                made.append((begin, user, "purchase", "web", "desktop", {"age_band": BANDS[band]}))
            begin += 7200 + draw.randrange(20000)
    made.sort(key=lambda one: one[0])
    events = []
    for number, (begin, user, kind, channel, agent, attributes) in enumerate(made):
        event = {"event_time": harness.START_MS + int(begin) * 1000 + number % 1000,
                 "event_id": f"e{number}", "user_id": f"u{user}", "type": kind, "attributes": attributes,
                 "item": f"p{number % 50}", "price": 10000000, "quantity": 1, "currency": "EUR"}
        if channel != "store":
            event["channel"] = channel
        if agent:
            event["user_agent"] = AGENTS[agent]
        event["agent_kind"] = agent or ""
        events.append(event)
    times = set()
    for event in events: # So that a row's time says which event it is of.
        while event["event_time"] in times:
            event["event_time"] += 1
        times.add(event["event_time"])
    return sorted(events, key=lambda event: event["event_time"])


def as_input(work, events, name="events.jsonl"):
    kept = [{key: value for key, value in event.items() if key != "agent_kind"} for event in events]
    write(os.path.join(work, "shop.yaml"),
          f"input: {{format: jsonl}}\nextract_features: {{utc_offset_minutes: {HOUR_OFFSET}}}\n")
    return write(os.path.join(work, name), harness.lines(kept))


def trained(work, events, settings="sessions_min: 20"):
    config = write(os.path.join(work, "train.yaml"), CONFIG % settings)
    result = nudge("train", config, "--input", as_input(work, events), "--output",
                   os.path.join(work, "pack"))
    check(result.code == 0, f"train: {result}")
    return config


def evaluated(work, config, events_path, *more):
    paths = {name: os.path.join(work, f"out.{name}") for name in ("json", "html", "scores")}
    result = nudge("eval", config, "--pack", os.path.join(work, "pack"), "--input", events_path,
                   "--json", paths["json"], "--html", paths["html"], "--scores", paths["scores"], *more)
    check(result.code == 0, f"eval: {result}")
    with open(paths["scores"], newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = int(row["label"])
        row["chance"] = float(row["chance"])
    return json.loads(read(paths["json"])), rows, result.out, paths


def milliseconds(text):
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


# The figures by definition, over lists of (label, chance); no code or formula of the program's.

def ranked_sum(pairs):
    """The chance that a positive is above a negative, by comparing each with each."""
    positives = [chance for label, chance in pairs if label]
    negatives = [chance for label, chance in pairs if not label]
    above = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    return above / (len(positives) * len(negatives))


def average_precision(pairs):
    total, last_recall = 0.0, 0.0
    all_positive = sum(label for label, _ in pairs)
    for threshold in sorted({chance for _, chance in pairs}, reverse=True):
        taken = [label for label, chance in pairs if chance >= threshold]
        recall = sum(taken) / all_positive
        total += (recall - last_recall) * sum(taken) / len(taken)
        last_recall = recall
    return total


def calibration_error(pairs):
    """Ten bins of equal size from the highest chance on, ties together."""
    bins, taken = [[] for _ in range(10)], 0
    place = 0
    for threshold in sorted({chance for _, chance in pairs}, reverse=True):
        tie = [pair for pair in pairs if pair[1] == threshold]
        bins[place] += tie
        taken += len(tie)
        while place < 9 and taken >= len(pairs) * (place + 1) / 10 - 1e-9:
            place += 1
    return sum(abs(sum(c for _, c in part) - sum(l for l, _ in part)) for part in bins) / len(pairs)


def rates(pairs, threshold):
    """The figures that do not need a ranking."""
    selected = [label for label, chance in pairs if chance >= threshold]
    positive, count = sum(label for label, _ in pairs), len(pairs)
    hits = sum(selected)
    negative = count - positive
    misses = [label for label, chance in pairs if chance < threshold]
    divide = lambda a, b: a / b if b else None
    return {
        "base_rate": positive / count,
        "selection_rate": len(selected) / count,
        "log_loss": -sum(math.log(c if l else 1 - c) for l, c in pairs) / count,
        "brier": sum((l - c) ** 2 for l, c in pairs) / count,
        "calibration_bias": sum(c for _, c in pairs) / count - positive / count,
        "accuracy": (hits + misses.count(0)) / count,
        "precision": divide(hits, len(selected)),
        "recall": divide(hits, positive),
        "false_positive_rate": divide(len(selected) - hits, negative),
        "f1": divide(2 * hits, 2 * hits + (len(selected) - hits) + (positive - hits)),
    }


def figures(pairs, threshold):
    has_positive, has_negative = any(label for label, _ in pairs), not all(label for label, _ in pairs)
    return {**rates(pairs, threshold), "calibration_error": calibration_error(pairs),
            "pr_auc": average_precision(pairs) if has_positive else None,
            "roc_auc": ranked_sum(pairs) if has_positive and has_negative else None}


GAPS = {"demographic_parity_difference": "selection_rate", "equal_opportunity_difference": "recall",
        "false_positive_rate_difference": "false_positive_rate",
        "predictive_parity_difference": "precision", "calibration_difference": "calibration_bias"}


def same(found, expected, what):
    check(found is not None and expected is not None and abs(found - expected) < 2e-6,
          f"{what}: {found}, {expected} expected")


def check_slice(part, rows, threshold, what):
    pairs = [(row["label"], row["chance"]) for row in rows]
    equal(part["rows"], len(pairs), f"{what}: rows")
    equal(part["positives"], sum(label for label, _ in pairs), f"{what}: positives")
    equal(part["selected"], sum(chance >= threshold for _, chance in pairs), f"{what}: selected")
    expected = figures(pairs, threshold)
    for name, value in expected.items():
        if part[name]["value"] is not None:
            same(part[name]["value"], value, f"{what}: {name}")
    return expected


def by(report, dimension):
    return {part["name"]: part for part in
            next(one for one in report["divided"] if one["by"] == dimension)["slices"]}


def test_every_figure_of_every_slice_is_what_its_definition_gives(work):
    events = history(work)
    config = trained(work, events)
    report, rows, text, _ = evaluated(work, config, as_input(work, events), "--threshold", str(THRESHOLD))
    check(len(rows) > 2000, f"{len(rows)} rows")
    same(report["threshold"], THRESHOLD, "threshold")
    check_slice(by(report, "all rows")["all rows"], rows, THRESHOLD, "all rows")
    columns = {"channel": "channel", "device": "device", "visitor": "visitor", "hour": "hour",
               "attributes.age_band": "attribute"}
    measured = 0
    for dimension, column in columns.items():
        parts = by(report, dimension)
        values = {row[column] for row in rows}
        equal(set(parts), {value or "(missing)" for value in values}, f"slices by {dimension}")
        for name, part in parts.items():
            inside = [row for row in rows if (row[column] or "(missing)") == name]
            check_slice(part, inside, THRESHOLD, f"{dimension} {name}")
            for value in (part["pr_auc"], part["roc_auc"]):
                if value["value"] is not None:
                    check(value["low"] <= value["value"] <= value["high"] and value["low"] < value["high"],
                          f"{dimension} {name}: interval {value}")
                    measured += 1
            check(part["rows"] > 0 and name in text, f"{name} is not in the text")
    check(measured > 30, f"{measured} areas were measured")
    middle = sorted(rows, key=lambda row: row["chance"])[len(rows) // 2]["chance"]
    again, _, _, _ = evaluated(work, config, as_input(work, events), "--threshold", f"{middle:.9g}")
    check_slice(by(again, "all rows")["all rows"], rows, middle, "a threshold that is a row's chance")
    try:
        from sklearn.metrics import average_precision_score, roc_auc_score, f1_score, brier_score_loss
    except ImportError:
        return # The figures above stand without it.
    labels, chances = [r["label"] for r in rows], [r["chance"] for r in rows]
    whole = by(report, "all rows")["all rows"]
    same(whole["roc_auc"]["value"], roc_auc_score(labels, chances), "scikit-learn's ROC-AUC")
    same(whole["pr_auc"]["value"], average_precision_score(labels, chances), "scikit-learn's PR-AUC")
    same(whole["brier"]["value"], brier_score_loss(labels, chances), "scikit-learn's Brier")
    same(whole["f1"]["value"], f1_score(labels, [c >= THRESHOLD for c in chances]), "scikit-learn's F1")


def precision_of_top(rows, top):
    """Of the rows that tie with the last one, as many as are left count by their mean."""
    last = sorted((row["chance"] for row in rows), reverse=True)[top - 1]
    above = [row["label"] for row in rows if row["chance"] > last]
    tie = [row["label"] for row in rows if row["chance"] == last]
    return (sum(above) + (top - len(above)) * sum(tie) / len(tie)) / top


def test_tops_gain_and_time_are_what_their_definitions_give(work):
    events = history(work)
    config = trained(work, events)
    report, rows, text, _ = evaluated(work, config, as_input(work, events))
    whole = report["slices"][0]
    equal(whole["rows"], len(rows), "rows")
    for top in (10, 100, 1000):
        same(whole["precision_at_top"][str(top)], precision_of_top(rows, top), f"precision in the top {top}")
    check(f"precision in the top 10: {whole['precision_at_top']['10']:.4f}, 100:" in text, "the text lacks the tops")
    few = next(part for part in report["slices"] if part["rows"] < 1000)
    check(few["precision_at_top"]["1000"] is None, "precision in the top 1,000 of fewer rows")
    positives = sum(row["label"] for row in rows)
    for percent in range(0, 101, 5):
        looked = percent * len(rows) / 100
        chances = sorted({row["chance"] for row in rows}, reverse=True)
        found = 0.0
        for chance in chances:
            tie = [row["label"] for row in rows if row["chance"] == chance]
            taken = min(looked, len(tie))
            found += taken * sum(tie) / len(tie)
            looked -= taken
        same(whole["gain"][percent], found / positives, f"gain at {percent} percent")
    times = [milliseconds(row["time"]) for row in rows]
    first, last = min(times), max(times)
    equal((milliseconds(whole["first_time"]), milliseconds(whole["last_time"])), (first, last), "times")
    for place, part in enumerate(whole["over_time"]):
        inside = [row for row, time in zip(rows, times) if (time - first) * 40 // (last - first + 1) == place]
        equal(part["rows"], len(inside), f"rows of time {place}")
        if inside:
            same(part["chance"], sum(row["chance"] for row in inside) / len(inside), f"chance at {place}")
            same(part["observed"], sum(row["label"] for row in inside) / len(inside), f"share at {place}")


def test_the_gaps_are_largest_less_smallest_over_the_groups(work):
    events = history(work)
    config = trained(work, events)
    report, rows, text, _ = evaluated(work, config, as_input(work, events), "--threshold", str(THRESHOLD))
    groups = {band: figures([(r["label"], r["chance"]) for r in rows if r["attribute"] == band], THRESHOLD)
              for band in BANDS}
    fairness = report["fairness"]
    equal(fairness["attribute"], "attributes.age_band", "attribute")
    for gap, figure in GAPS.items():
        values = {band: group[figure] for band, group in groups.items()}
        found = fairness[gap]
        same(found["value"], max(values.values()) - min(values.values()), gap)
        equal(found["most"], max(values, key=values.get), f"{gap}: most")
        equal(found["least"], min(values, key=values.get), f"{gap}: least")
        equal(found["groups"], 4, f"{gap}: groups, (missing) not among them")
        check(found["low"] <= found["value"] <= found["high"] and found["low"] < found["high"],
              f"{gap}: interval {found}")
    rates = [group["selection_rate"] for group in groups.values()]
    ratio = min(rates) / max(rates)
    same(fairness["demographic_parity_ratio"]["value"], ratio, "ratio")
    equal(fairness["is_below_four_fifths"], ratio < 0.8, "four fifths")
    check("29 CFR 1607.4" in text and f"a ratio of {ratio:.3f} is" in text, "the rule is not named")
    same(fairness["equalized_odds_difference"]["value"],
         max(fairness["equal_opportunity_difference"]["value"],
             fairness["false_positive_rate_difference"]["value"]), "equalized odds")


def test_a_row_is_divided_by_what_its_own_event_said(work):
    events = history(work)
    config = trained(work, events)
    _, rows, _, _ = evaluated(work, config, as_input(work, events))
    at = {event["event_time"]: event for event in events}
    first_end = {}
    last = {}
    sessions = {}
    for event in events: # A silence of over 30 minutes ends a session.
        user = event["user_id"]
        if user not in last or event["event_time"] - last[user] > 30 * 60000:
            sessions[user] = sessions.get(user, 0) + 1
        last[user] = event["event_time"]
        first_end[event["event_time"]] = sessions[user]
    seen = set()
    for row in rows:
        time = milliseconds(row["time"])
        event = at[time]
        hour = (time // 60000 + HOUR_OFFSET) // 60 % 24
        expected = {"channel": event.get("channel", ""), "device": event["agent_kind"],
                    "visitor": "new" if first_end[time] == 1 else "returning", "hour": f"{hour:02}",
                    "attribute": event["attributes"].get("age_band", "")}
        equal({key: row[key] for key in expected}, expected, f"slices of the row at {row['time']}")
        seen.update(expected.items())
    check(len(seen) > 30, f"only {len(seen)} different slices")
    # What comes later may be anything: rows before keep their slices.
    middle = sorted(at)[len(at) // 2]
    other = [event if event["event_time"] < middle else
             {**event, "channel": "later", "user_agent": "Later/1.0", "attributes": {"age_band": "later"}}
             for event in events]
    _, changed, _, _ = evaluated(work, config, as_input(work, other, "other.jsonl"))
    keep = ("time", "channel", "device", "visitor", "hour", "attribute")
    before = [[[row[key] for key in keep] for row in all_rows if milliseconds(row["time"]) < middle]
              for all_rows in (rows, changed)]
    check(len(before[0]) > 500, f"{len(before[0])} rows")
    equal(before[1], before[0], "slices before the events that were changed")
    check(any(row["attribute"] == "later" for row in changed), "the change did nothing")


def test_slices_that_are_too_small_are_counted_and_not_measured(work):
    events = history(work, 60)
    config = trained(work, events, "sessions_min: 40, class_min: 45, slices_max: 2")
    report, rows, text, _ = evaluated(work, config, as_input(work, events), "--threshold", str(THRESHOLD))
    small = measured = left_out = 0
    for dimension in report["divided"]:
        for part in dimension["slices"]:
            negatives = part["rows"] - part["positives"]
            if part["sessions"] < 40:
                small += 1
                check(part["is_too_small"] and all(part[name]["value"] is None and part[name]["low"] is None
                                                   for name in figures([(1, 0.5), (0, 0.5)], 0.3)), part)
            else:
                for name, enough in (("roc_auc", part["positives"] >= 45 and negatives >= 45),
                                     ("recall", part["positives"] >= 45), ("f1", part["positives"] >= 45),
                                     ("false_positive_rate", negatives >= 45),
                                     ("precision", part["selected"] >= 45), ("brier", True)):
                    equal(part[name]["value"] is not None, enough, f"{part['name']}: {name}")
                    measured += enough
                    left_out += not enough
    check(small > 5 and measured > 10 and left_out > 0, f"{small} {measured} {left_out}")
    check("too few sessions to be measured" in text, "the text does not say so")
    bands = next(one for one in report["divided"] if one["by"] == "attributes.age_band")
    equal([part["kind"] for part in bands["slices"]], ["value", "value", "other", "missing"], "kinds")
    equal((bands["values"], bands["values_in_other"]), (4, 2), "values")
    counts = sorted((sum(row["attribute"] == band for row in rows) for band in BANDS), reverse=True)
    equal([part["rows"] for part in bands["slices"][:3]], [*counts[:2], sum(counts[2:])], "rows")
    check("(other): 2 of 4 values" in text, "the text does not say how many are in other")


def test_a_bad_choice_is_refused_by_name(work):
    events = history(work, 60)
    config = trained(work, events)
    path = as_input(work, events)
    cases = [("attributes.age_bnd", "attributes.age_bnd", "the rows have age_band, note"),
             ("chanel", "--attribute", "did you mean channel?"), ("user_id", "--attribute", "tells persons apart"),
             ("text", "--attribute", "tells persons apart"), ("price", "--attribute", "a field of words"),
             ("brand", "brand", "none of"), ("attributes.", "--attribute", "attributes.NAME")]
    for attribute, *words in cases:
        result = nudge("eval", config, "--pack", os.path.join(work, "pack"), "--input", path,
                       "--attribute", attribute)
        check(result.code == 2 and all(word in result.errors for word in words), f"{attribute}: {result}")
    for setting, words in (("attribute: chanel", "train.yaml:8: attribute"), ("threshold: 2", "threshold"),
                           ("slices_max: 1", "slices_max"), ("atribute: x", "did you mean")):
        bad = write(config, CONFIG.replace("attribute: attributes.age_band, %s", setting))
        result = nudge("eval", bad, "--pack", os.path.join(work, "pack"), "--input", path)
        check(result.code == 2 and words in result.errors, f"{setting}: {result}")
    write(config, CONFIG % "sessions_min: 20")
    for threshold in ("2", "x", "-0.1", ""):
        result = nudge("eval", config, "--pack", os.path.join(work, "pack"), "--input", path,
                       "--threshold", threshold)
        check(result.code == 2 and "--threshold" in result.errors, f"{threshold}: {result}")
    report, _, text, _ = evaluated(work, config, path, "--attribute", "currency")
    check("fewer than two groups" in text and report["fairness"]["is_below_four_fifths"] is None,
          "gaps of one group")


def test_a_score_that_is_served_is_divided_as_the_packs_own(work):
    events = history(work)
    config = trained(work, events)
    path = as_input(work, events)
    by_pack, rows, _, _ = evaluated(work, config, path, "--threshold", str(THRESHOLD))
    write(os.path.join(work, "served.yaml"), read(os.path.join(work, "shop.yaml"))
          + b"predict_intent: {purchase_pack: pack}\n")
    served = write(os.path.join(work, "served_train.yaml"),
                   read(config).replace(b"pipeline: shop.yaml", b"pipeline: served.yaml"))
    figures, scores = os.path.join(work, "served.json"), os.path.join(work, "served.csv")
    for threshold, expected in (([], 0.5), (["--threshold", str(THRESHOLD)], THRESHOLD)):
        result = nudge("eval", served, "--score", "purchase", "--input", path, "--json", figures,
                       "--scores", scores, *threshold)
        check(result.code == 0, f"eval: {result}")
        by_score = json.loads(read(figures))
        same(by_score["threshold"], expected, "threshold")
    equal(by_score["divided"], by_pack["divided"], "slices")
    equal(by_score["fairness"], by_pack["fairness"], "fairness")
    with open(scores, newline="", encoding="utf-8") as file:
        equal([row["attribute"] for row in csv.DictReader(file)], [row["attribute"] for row in rows],
              "attribute of each row")


class Page(html.parser.HTMLParser):
    """What the page shows: texts, and rectangles and lines by their class."""

    def __init__(self):
        super().__init__()
        self.open, self.classes, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.classes += [value for name, value in attrs if name == "class"]

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_shows_tables_and_bars_and_opens_offline(work):
    events = history(work)
    events[0]["attributes"]["age_band"] = "<script>alert(1)</script>" + "long" * 20
    config = trained(work, events)
    report, _, _, paths = evaluated(work, config, as_input(work, events))
    source = read(paths["html"]).decode()
    page = Page()
    page.feed(source)
    text = " ".join(page.text)
    for words in ("Gain", "Over time", "By channel", "By kind of device",
                  "By new and returning visitors", "By local hour", "By attributes.age_band",
                  "equal opportunity difference", 'over "65", <b>',
                  "too few sessions to be measured", "29 CFR 1607.4"):
        check(words in text, f"the page lacks {words}")
    drawn = {"channel": 3, "device": 3, "visitor": 3, "hour": 3, "attributes.age_band": 4}
    names = {3: ("selection_rate", "pr_auc", "roc_auc"),
             4: ("selection_rate", "recall", "false_positive_rate", "roc_auc")}
    bars = sum(part[name]["value"] is not None for dimension, pictures in drawn.items()
               for part in by(report, dimension).values() for name in names[pictures])
    equal(page.classes.count("bar"), bars, "bars")
    equal(page.classes.count("interval"), bars, "intervals")
    equal(page.classes.count("four-fifths"), 1, "line of four fifths")
    check("script" not in page.open and not re.search(r"(src|href)=|url\(|@import|https?:", source),
          "the page fetches or runs something")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not browser:
        raise Skip("no chromium to open the page in")
    shown = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions",
                            f"--user-data-dir={work}/browser", "--dump-dom", f"file://{paths['html']}"],
                           capture_output=True, timeout=60, check=False)
    dom = shown.stdout.decode()
    equal(dom.count('class="bar"'), bars, "bars in the browser")
    check("alert(1)" in dom and "<script>" not in dom, "a value became a part of the page")


def table(work, groups=300, seed=3):
    """A table whose lines come in groups, with a chance that a fitted model finds and a region."""
    draw = random.Random(seed)
    lines = ["time,label,group,x,noise,region"]
    for number in range(groups):
        region = draw.choice([1, 1, 1, 2, 2, 3])
        level = draw.gauss(0.5 * (region == 2), 1)
        label = int(draw.random() < 1 / (1 + math.exp(1 - 1.5 * level)))
        for _ in range(draw.randrange(1, 6)):
            lines.append(f"2026-01-{1 + number * 27 // groups:02}T{number % 24:02}:00:00Z,{label},{number},"
                         f"{level + draw.gauss(0, 0.7):.4f},{draw.random():.4f},{region}")
    return lines


def test_intervals_agree_with_a_bootstrap_over_groups(work):
    lines = table(work)
    path = write(os.path.join(work, "rows.csv"), "\n".join(lines) + "\n")
    config = write(os.path.join(work, "t.yaml"),
                   "train: {target: table, name: t, features: [x, noise]}\neval: {attribute: region}\n")
    result = nudge("train", config, "--input", path, "--output", os.path.join(work, "pack"))
    check(result.code == 0, f"train: {result}")
    report, rows, _, _ = evaluated(work, config, path, "--threshold", "0.4")
    rows_of = {}
    for line, row in zip(lines[1:], rows):
        _, label, group, _, _, region = line.split(",")
        equal((row["label"], row["attribute"]), (int(label), region), "the line of the table")
        rows_of.setdefault(group, []).append(row)
    draw = random.Random(11)
    names, drawn = list(rows_of), {}
    for _ in range(300):
        picked = [row for name in draw.choices(names, k=len(names)) for row in rows_of[name]]
        found = {region: rates([(r["label"], r["chance"]) for r in picked if r["attribute"] == region], 0.4)
                 for region in "123"}
        for region, values in found.items():
            for name in ("selection_rate", "recall", "brier"):
                drawn.setdefault((region, name), []).append(values[name])
        for gap, name in GAPS.items():
            two = report["fairness"][gap]
            drawn.setdefault((gap, ""), []).append(found[two["most"]][name] - found[two["least"]][name])
    for (where, name), values in drawn.items():
        found = by(report, "region")[where][name] if name else report["fairness"][where]
        values.sort()
        low, high = values[int(0.025 * len(values))], values[int(0.975 * len(values))]
        width = high - low
        check(abs(found["low"] - low) < 0.3 * width and abs(found["high"] - high) < 0.3 * width,
              f"{where} {name}: {found}, about {low:.4f} to {high:.4f} expected")
    again, _, _, _ = evaluated(work, config, path, "--threshold", "0.4")
    equal(again, report, "a second evaluation")
    result = nudge("eval", config, "--pack", os.path.join(work, "pack"), "--input", path, "--attribute", "regoin")
    check(result.code == 2 and "did you mean region?" in result.errors, f"{result}")


def test_of_very_many_values_those_beyond_the_maximum_are_still_counted(work):
    lines = [f"2026-01-01T00:{i // 60 % 60:02}:{i % 60:02}Z,{i % 3 % 2},{i},{i % 7},{i if i > 50 else 1}"
             for i in range(5000)]
    path = write(os.path.join(work, "rows.csv"), "\n".join(["time,label,group,x,many", *lines]) + "\n")
    config = write(os.path.join(work, "t.yaml"),
                   "train: {target: table, name: t, features: [x]}\neval: {attribute: many}\n")
    result = nudge("train", config, "--input", path, "--output", os.path.join(work, "pack"))
    check(result.code == 0, f"train: {result}")
    report, _, text, _ = evaluated(work, config, path)
    parts = by(report, "many")
    equal(len(parts), 13, "slices")
    equal(parts["1"]["rows"], 51, "rows of the most frequent")
    equal(sum(part["rows"] for part in parts.values()), 5000, "rows of all")
    check("and more" in text, "the text does not say that there were more")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
