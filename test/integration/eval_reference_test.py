#!/usr/bin/env python3
"""The logistic regression that `nudge eval` puts beside every model, against one fitted here.

    eval_reference_test.py NUDGE [TEST...]
"""
import csv
import json
import math
import os
import random
import sys

import harness
from harness import check, equal, nudge, read, write

UNTIL = "2026-01-15T00:00:00Z"
L2 = 0.02
CONFIG = """
train:
  target: table
  name: t
  kind: trees
  until: %s
  held_share: %s
  l2: [%s]
  trees: {rounds: 40, patience: 0, depth: 3, learning_rate: 0.2}
"""


def made(count=2000, seed=1, missing=0.0):
    """Rows of three features over twenty days; the label depends on two of them, and on their product."""
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        x = [draw.gauss(3, 2), draw.gauss(0, 1), draw.gauss(-10, 5)]
        logit = 0.5 * (x[0] - 3) - 0.9 * x[1] + 0.8 * (x[0] - 3) * x[1] - 0.7
        label = int(draw.random() < 1 / (1 + math.exp(-logit)))
        time = f"2026-01-{1 + i * 20 // count:02}T{i * 480 // count % 24:02}:{i % 60:02}:{i % 59:02}Z"
        rows.append((time, label, ["" if draw.random() < missing else f"{value:.6f}" for value in x]))
    return sorted(rows)


def as_table(work, rows, name="rows.csv"):
    lines = ["time,label,a,b,c"] + [",".join([time, str(label), *x]) for time, label, x in rows]
    return write(os.path.join(work, name), "\n".join(lines) + "\n")


def trained(work, rows, held_share=0, kind="trees", l2=L2):
    text = CONFIG % (UNTIL, held_share, l2)
    config = write(os.path.join(work, f"{kind}.yaml"), text.replace("kind: trees", f"kind: {kind}"))
    pack = os.path.join(work, kind)
    result = nudge("train", config, "--input", as_table(work, rows), "--output", pack)
    check(result.code == 0, f"train: {result}")
    return config, pack


def evaluated(work, config, pack, table, *more):
    paths = {name: os.path.join(work, f"out.{name}") for name in ("json", "html", "csv")}
    result = nudge("eval", config, "--pack", pack, "--input", table, "--json", paths["json"], "--html",
                   paths["html"], "--scores", paths["csv"], *more)
    check(result.code == 0, f"eval: {result}")
    with open(paths["csv"], newline="", encoding="ascii") as file:
        return json.loads(read(paths["json"])), list(csv.DictReader(file)), result.out, read(paths["html"]).decode()


def solve(matrix, right):
    """Gauss's elimination with pivots."""
    size = len(right)
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, size):
            factor = rows[r][i] / rows[i][i]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i])]
    result = [0.0] * size
    for i in reversed(range(size)):
        result[i] = (rows[i][size] - sum(rows[i][j] * result[j] for j in range(i + 1, size))) / rows[i][i]
    return result


def newton(inputs, labels, l2):
    """Weights and bias of least mean log loss + l2/2 |weights|^2, by Newton's method."""
    width, count = len(inputs[0]), len(inputs)
    w = [0.0] * (width + 1)
    for _ in range(30):
        gradient = [l2 * value for value in w[:width]] + [0.0]
        hessian = [[l2 if i == j < width else 0.0 for j in range(width + 1)] for i in range(width + 1)]
        for x, y in zip(inputs, labels):
            x = [*x, 1.0]
            p = 1 / (1 + math.exp(-sum(a * b for a, b in zip(w, x))))
            for i in range(width + 1):
                gradient[i] += (p - y) * x[i] / count
                for j in range(width + 1):
                    hessian[i][j] += p * (1 - p) * x[i] * x[j] / count
        w = [a - b for a, b in zip(w, solve(hessian, gradient))]
    return w


def standardised(rows):
    columns = list(zip(*rows))
    means = [sum(column) / len(column) for column in columns]
    spreads = [math.sqrt(sum((v - m) ** 2 for v in column) / len(column)) for column, m in zip(columns, means)]
    return means, spreads


def scaled(row, means, spreads):
    """As the program does it: cut off five spreads from the mean."""
    return [max(-5.0, min(5.0, (v - m) / s)) for v, m, s in zip(row, means, spreads)]


def roc_auc(pairs):
    positives = [chance for label, chance in pairs if label]
    negatives = [chance for label, chance in pairs if not label]
    return sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives) / len(positives) / len(negatives)


def pr_auc(pairs):
    """Average precision; rows with one chance come in together."""
    positive, area = sum(label for label, _ in pairs), 0.0
    for chance in {chance for _, chance in pairs}:
        above = [label for label, other in pairs if other >= chance]
        gained = sum(label for label, other in pairs if other == chance)
        area += gained / positive * sum(above) / len(above)
    return area


def test_it_is_the_regression_that_the_rows_before_the_measured_ones_ask_for(work):
    rows = made()
    config, pack = trained(work, rows)
    report, scores, text, page = evaluated(work, config, pack, as_table(work, rows))
    before = [row for row in rows if row[0] < UNTIL]
    after = [row for row in rows if row[0] >= UNTIL]
    means, spreads = standardised([[float(v) for v in x] for _, _, x in before])
    weights = newton([scaled(map(float, x), means, spreads) for _, _, x in before], [row[1] for row in before], L2)
    equal(len(scores), len(after), "rows")
    for row, score in zip(after, scores):
        x = [*scaled(map(float, row[2]), means, spreads), 1.0]
        chance = 1 / (1 + math.exp(-sum(a * b for a, b in zip(weights, x))))
        check(abs(chance - float(score["reference"])) < 2e-5, f"{row}: {chance}, {score['reference']}")
    said = report["reference"]
    equal({key: said[key] for key in ("kind", "features", "fit_rows", "held_rows", "positives", "is_calibrated")},
          {"kind": "logistic", "features": 3, "fit_rows": len(before), "held_rows": 0,
           "positives": sum(row[1] for row in before), "is_calibrated": False}, "what it was fitted to")
    check(said["first_time"][:19] + "Z" == before[0][0] and said["last_time"][:19] + "Z" == before[-1][0], f"{said}")
    for output in (text, page):
        check(f"a logistic regression on 3 features, fitted to {len(before)} rows" in output, "the report does not say")
    check("<th>logistic regression</th>" in page, "the page has no line for it")
    pairs = [(int(score["label"]), float(score["reference"])) for score in scores]
    models = [(int(score["label"]), float(score["chance"])) for score in scores]
    beside = report["slices"][0]["reference"]
    for name, area in (("roc_auc", roc_auc), ("pr_auc", pr_auc)):
        check(abs(beside[name]["value"] - area(pairs)) < 1e-9, f"{name}: {beside[name]}, {area(pairs)}")
        gain = beside["model_less_it"][name]
        check(abs(gain["value"] - (area(models) - area(pairs))) < 1e-9, f"gain of {name}: {gain}")
        check(gain["low"] < gain["value"] < gain["high"], f"interval of the gain of {name}: {gain}")
        width = sum(beside[name][end] * sign for end, sign in (("high", 1), ("low", -1)))
        check(gain["low"] > 0 and gain["high"] - gain["low"] < 1.5 * width, f"trees know the product: {gain}")
    brier = sum((label - chance) ** 2 for label, chance in pairs) / len(pairs)
    check(abs(beside["brier"]["value"] - brier) < 1e-9, f"Brier: {beside['brier']}, {brier}")


def test_it_does_not_know_what_is_measured(work):
    rows = made(missing=0.1)
    config, pack = trained(work, rows, held_share=0.25)
    _, scores, _, _ = evaluated(work, config, pack, as_table(work, rows))
    turned = [(time, 1 - label if time >= UNTIL else label, x) for time, label, x in rows]
    _, again, _, _ = evaluated(work, config, pack, as_table(work, turned))
    equal([row["reference"] for row in scores], [row["reference"] for row in again], "chances")
    check([row["label"] for row in scores] != [row["label"] for row in again], "the labels were turned")
    later, fewer, _, _ = evaluated(work, config, pack, as_table(work, rows), "--after", "2026-01-10T00:00:00Z")
    check(later["reference"]["last_time"] < "2026-01-10", f"fitted to measured rows: {later['reference']}")
    check(len(fewer) > len(scores), "rows from --after on")


def test_a_model_that_is_one_is_no_better_than_it(work):
    rows = made(missing=0.05)
    for held in (0, 0.25):
        config, pack = trained(work, rows, held_share=held, kind="logistic", l2="0.1, 0.02, 0.001")
        report, scores, text, _ = evaluated(work, config, pack, as_table(work, rows))
        for row in scores:
            check(abs(float(row["chance"]) - float(row["reference"])) < 1e-6, f"{held}: {row}")
        equal(report["reference"]["is_calibrated"], held > 0, "calibrated as the pack")
        equal("chosen and calibrated on the last" in text, held > 0, "the report says so")


def test_where_it_cannot_be_fitted_the_report_says_why(work):
    rows = made()
    config, pack = trained(work, rows)
    late = [row for row in rows if row[0] >= UNTIL]
    one_class = [(time, label if time >= UNTIL else 0, x) for time, label, x in rows]
    every = write(os.path.join(work, "every.yaml"), read(config).decode().replace(f"  until: {UNTIL}\n", ""))
    for made_of, settings, words in ((late, config, "no row before 2026-01-15T00:00:00.000Z to fit it to"),
                                     (rows, every, "the measured rows begin with the input"),
                                     (one_class, config, "one class only")):
        report, scores, text, page = evaluated(work, settings, pack, as_table(work, made_of, "other.csv"))
        check("No logistic regression beside the model: " in text and words in text, f"{words}: not in the text")
        check(words in page, f"{words}: not in the page")
        check(report["reference"]["kind"] is None and words in report["reference"]["why_not"], f"{report['reference']}")
        check(all(part["reference"] is None for part in report["slices"]), "figures of what is not there")
        check("reference" not in scores[0], f"{scores[0]}")


def test_rows_that_the_pack_was_trained_on_are_pointed_out(work):
    rows = made()
    config, pack = trained(work, rows)
    report, _, text, page = evaluated(work, config, pack, as_table(work, rows))
    equal(report["rows_in_training_time"], 0, "rows before until")
    check("Warning" not in text + page, "a warning without a reason")
    after = "2026-01-10T00:00:00Z"
    seen = sum(after <= row[0] < UNTIL for row in rows)
    report, scores, text, page = evaluated(work, config, pack, as_table(work, rows), "--after", after)
    equal(report["rows_in_training_time"], seen, "rows from --after to until")
    for output in (text, page):
        check(f"{seen} of the {len(scores)} rows lie in the time that the pack was trained on, from 2026-01-01T" in output,
              "no warning")
    result = nudge("eval", config, "--pack", pack, "--input", as_table(work, rows), "--before", after)
    check(result.code == 2 and f'--before: "{after}": a time after {UNTIL} expected' in result.errors, f"{result}")


def test_a_pack_can_stand_in_its_place(work):
    rows = made()
    config, pack = trained(work, rows)
    _, other = trained(work, rows, kind="logistic")
    late = as_table(work, [row for row in rows if row[0] >= UNTIL], "late.csv")
    _, alone, _, _ = evaluated(work, config, other, late)
    report, scores, text, _ = evaluated(work, config, pack, late, "--reference", other)
    equal([row["reference"] for row in scores], [row["chance"] for row in alone], "chances of the pack")
    check(report["reference"]["kind"] == "pack" and report["reference"]["pack"].startswith("t 1 "), str(report["reference"]))
    check("Reference: the pack t 1 " in text, "the text does not name it")
    for folder, words in ((os.path.join(work, "nowhere"), "nowhere"), (late, "late.csv")):
        result = nudge("eval", config, "--pack", pack, "--input", late, "--reference", folder)
        check(result.code != 0 and words in result.errors, f"{words}: {result}")


def test_it_is_fitted_to_events_as_they_were_served(work):
    events = os.path.join(work, "shop", "events.avro")
    result = nudge("generate", "--output", os.path.join(work, "shop"), "--events", 60000, "--seed", 3, "--days", 2)
    check(result.code == 0, f"generate: {result}")
    write(os.path.join(work, "shop.yaml"), "input: {format: avro}\n")
    packs = {}
    for kind in ("logistic", "gru"):
        network = "" if kind == "logistic" else (
            "  network:\n    hidden: 4\n"
            "    embeddings: [{feature: event_type, rows: 40, width: 2, first: 2, unknown: 1}]\n"
            "    layers: [{size: 1}]\n  descent: {epochs: 1}\n")
        packs[kind] = write(os.path.join(work, f"{kind}.yaml"), f"""
train:
  pipeline: shop.yaml
  name: test
  kind: {kind}
  target: purchase_in_session
  until: 2026-06-02T00:00:00Z
  gap: 30m
  prefixes: [1, 3, 5, 10]
  features: [session_events, session_product_views, cart_pieces, user_events]
  l2: [0.01]
{network}""")
        result = nudge("train", packs[kind], "--input", events, "--output", os.path.join(work, kind))
        check(result.code == 0, f"train: {result}")
    report, scores, _, _ = evaluated(work, packs["logistic"], os.path.join(work, "logistic"), events)
    check(max(abs(float(row["chance"]) - float(row["reference"])) for row in scores) < 1e-6,
          "another regression than nudge train fits to the same rows")
    beside, _, _, _ = evaluated(work, packs["gru"], os.path.join(work, "gru"), events)
    equal(beside["reference"]["features"], 4, "an id is no number")
    for name in ("pr_auc", "roc_auc"):
        equal(beside["slices"][0]["reference"][name]["value"], report["slices"][0]["reference"][name]["value"], name)
    check(all(part["reference"] for part in beside["slices"]), "a part without it")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
