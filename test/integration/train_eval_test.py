#!/usr/bin/env python3
"""Training and evaluation as a user runs them, on generated history and on the real night.

    train_eval_test.py NUDGE
"""
import datetime
import json
import os
import random
import struct
import sys
import time

import harness
from harness import Skip, check, equal, nudge, read, write

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "pipeline", "examples")
TRUTH_TRAIN = """
train:
  pipeline: shop.yaml
  name: test
  target: %s
  leave_out_kinds: [%s]
  prefixes: [1, 2, 3, 5, 10, 20, 50]
  rows_max: 20000
  l2: [0.01, 0.001]
"""


def history(work, seed):
    """Generated events and truth, and the pipeline that reads them."""
    folder = os.path.join(work, f"history-{seed}")
    result = nudge("generate", "--output", folder, "--events", 60000, "--seed", seed, "--users",
                   5000, "--fraud", 3)
    check(result.code == 0, f"generate: {result}")
    write(os.path.join(work, "shop.yaml"), "input: {format: avro}\n")
    return os.path.join(folder, "events.avro"), os.path.join(folder, "truth.jsonl")


def train(config, events, truth, pack, *more):
    return nudge("train", config, "--input", events, "--truth", truth, "--output", pack, *more)


def pack_bytes(pack):
    return {name: read(os.path.join(pack, name)) for name in sorted(os.listdir(pack))}


def test_trains_the_same_pack_twice_and_measures_it_on_another_seed(work):
    events, truth = history(work, 1)
    config = write(os.path.join(work, "train.yaml"), TRUTH_TRAIN % ("truth", "coupon_farming"))
    for pack in ("a", "b"):
        result = train(config, events, truth, os.path.join(work, pack))
        check(result.code == 0, f"train: {result}")
    first = pack_bytes(os.path.join(work, "a"))
    equal(sorted(first), ["manifest.yaml", "weights.safetensors"], "files of the pack")
    check(first == pack_bytes(os.path.join(work, "b")), "two trainings gave different packs")
    other, other_truth = history(work, 2)
    figures = os.path.join(work, "figures.json")
    page = os.path.join(work, "page.html")
    result = nudge("eval", config, "--pack", os.path.join(work, "a"), "--input", other, "--truth",
                   other_truth, "--json", figures, "--html", page)
    check(result.code == 0, f"eval: {result}")
    slices = {part["name"]: part for part in json.loads(read(figures))["slices"]}
    whole = slices["all rows"]
    check(whole["roc_auc"]["value"] > 0.95, f"ROC-AUC {whole['roc_auc']}")
    check(whole["pr_auc"]["value"] > whole["best_feature_by_pr_auc"]["pr_auc"],
          "the model is no better than one feature")
    check(whole["calibration_error"]["value"] < 0.03, f"calibration {whole['calibration_error']}")
    for metric in ("pr_auc", "roc_auc", "brier"):
        value = whole[metric]
        check(value["low"] < value["value"] < value["high"], f"interval of {metric}: {value}")
    html = read(page).decode()
    check("<svg" in html and "http" not in html and "<script" not in html,
          "the page fetches nothing")


def test_a_pack_serves_as_it_was_measured(work):
    events, truth = history(work, 1)
    config = write(os.path.join(work, "train.yaml"), TRUTH_TRAIN % ("truth", ""))
    result = train(config, events, truth, os.path.join(work, "pack"))
    check(result.code == 0, f"train: {result}")
    served = write(os.path.join(work, "served.yaml"),
                   "input: {format: avro}\nscore_fraud: {base_rate: 0.5, pack: pack}\n")
    figures = os.path.join(work, "detection.json")
    result = nudge("eval", served, "--detection", "--input", events, "--truth", truth, "--json",
                   figures)
    check(result.code == 0, f"detection: {result}")
    kinds = {kind["kind"]: kind for kind in json.loads(read(figures))["kinds"]}
    check(kinds["card_testing"]["recall_at_0.01"] > 0.9, f"card testing: {kinds['card_testing']}")
    check(kinds["human"]["recall_at_0.001"] <= 0.001, f"humans: {kinds['human']}")


TREES = "  kind: trees\n  trees: {rounds: 120, depth: 4, learning_rate: 0.2, patience: 15}\n"


def test_trees_are_trained_measured_served_and_explained(work):
    events, truth = history(work, 1)
    for target, calibration in (("truth", "platt"), ("purchase_in_session", "isotonic")):
        text = TRUTH_TRAIN % (target, "coupon_farming" if target == "truth" else "")
        text = text.replace("  l2: [0.01, 0.001]\n", TREES) + f"  calibration: {calibration}\n"
        if target != "truth":
            text += "  folds: 3\n  refit: false\n"
        config = write(os.path.join(work, f"train_{target}.yaml"), text)
        for pack in ("a", "b"):
            result = train(config, events, truth, os.path.join(work, target, pack))
            check(result.code == 0, f"train: {result}")
            check((target == "truth") != ("standard deviation" in result.out), f"folds: {result}")
        first = pack_bytes(os.path.join(work, target, "a"))
        equal(sorted(first), ["manifest.yaml", "model.ubj", "weights.safetensors"], "files")
        check(first == pack_bytes(os.path.join(work, target, "b")), "two trainings, two packs")
        figures, page = (os.path.join(work, name) for name in ("trees.json", "trees.html"))
        scores = os.path.join(work, "scores.csv")
        result = nudge("eval", config, "--pack", os.path.join(work, target, "a"), "--input", events,
                       "--truth", truth, "--json", figures, "--html", page, "--scores", scores)
        check(result.code == 0, f"eval: {result}")
        report = json.loads(read(figures))
        whole = report["slices"][0]
        check(whole["pr_auc"]["value"] > whole["best_feature_by_pr_auc"]["pr_auc"],
              f"no better than one feature: {whole}")
        check(len(read(scores).splitlines()) > whole["rows"], "a line of scores for each row")
        terms = [feature["mean_term"] for feature in report["importance"]]
        check(terms == sorted(terms, reverse=True) and terms[0] > 0.05, f"importance: {terms[:3]}")
        check(f"<th>{report['importance'][0]['feature']}</th>".encode() in read(page),
              "the page shows the importance")
    served = write(os.path.join(work, "served.yaml"), """
input: {format: avro}
score_fraud: {base_rate: 0.5, pack: truth/a, deviations: [{feature: rate_events_1h}]}
predict_intent: {purchase_pack: mean}
emit_interventions:
  rules:
    - {name: likely, on: [add_to_cart], if: purchase_score > 0.05, alert: {severity: low, reason: "{purchase_score:.2}"}}
""")
    os.mkdir(os.path.join(work, "mean"))
    write(os.path.join(work, "mean", "manifest.yaml"),
          "format: 1\nkind: mean\nname: both\nversion: 2\n"
          "packs: [../purchase_in_session/a, ../purchase_in_session/b]\n")
    result = nudge("check", served)
    check(result.code == 0, f"check: {result}")
    result = nudge("eval", served, "--detection", "--input", events, "--truth", truth, "--json",
                   figures)
    check(result.code == 0, f"detection: {result}")
    kinds = {kind["kind"]: kind for kind in json.loads(read(figures))["kinds"]}
    check(kinds["card_testing"]["recall_at_0.01"] > 0.9, f"card testing: {kinds['card_testing']}")
    out = os.path.join(work, "out")
    result = nudge("run", served, "--input", events, "--output", out)
    check(result.code == 0, f"run: {result}")
    alerts = harness.records(out, "alerts")
    check(len(alerts) > 20, f"{len(alerts)} alerts")
    check("both 2 " in json.dumps(alerts[0]), f"the pack is not named: {alerts[0]}")
    for alert in alerts:
        total = alert["intercept"] + alert["others"] + sum(term["logit"] for term in alert["terms"])
        check(abs(total - alert["logit"]) < 1e-4 and len(alert["terms"]) == 5,
              f"the reasons do not sum: {alert}")


DETECTORS = {
    "half_space_trees": "inputs: [window_events_10m, gap_log_mean, rate_events_1m, device_events_1h], depth: 6",
    "isolation_forest": "inputs: [window_events_10m, gap_log_mean, rate_events_1m, device_events_1h], sample: 128, "
                        "reservoir: 256",
    "robust_ewma": "inputs: gap_last_s, hold: 0",
}


def single(number):
    return struct.unpack("f", struct.pack("f", number))[0]


def ranked(pairs):
    """ROC-AUC of (score, label), ties as halves."""
    pairs = sorted(pairs)
    places, start = 0.0, 0
    while start < len(pairs):
        end = start
        while end < len(pairs) and pairs[end][0] == pairs[start][0]:
            end += 1
        places += sum(label for _, label in pairs[start:end]) * (start + 1 + end) / 2
        start = end
    positive = sum(label for _, label in pairs)
    return (places - positive * (positive + 1) / 2) / (positive * (len(pairs) - positive))


def test_what_a_detector_says_is_measured_as_it_was_served(work):
    events, truth = history(work, 1)
    for name, more in DETECTORS.items():
        write(os.path.join(work, "detect.yaml"),
              f"input: {{format: avro}}\noutput: {{scored_events_share: 1}}\n"
              f"score_anomaly: {{detector: {name}, {more}}}\n")
        config = write(os.path.join(work, "measure.yaml"),
                       "train: {pipeline: detect.yaml, name: m, target: truth, rows_max: 1000000}\n")
        figures, scores = os.path.join(work, "m.json"), os.path.join(work, "m.csv")
        result = nudge("eval", config, "--score", "anomaly", "--input", events, "--truth", truth,
                       "--json", figures, "--scores", scores)
        check(result.code == 0, f"{name}: {result}")
        rows = [line.split(",") for line in read(scores).decode().splitlines()[1:]]
        out = os.path.join(work, f"served-{name}")
        result = nudge("run", os.path.join(work, "detect.yaml"), "--input", events, "--output", out)
        check(result.code == 0, f"{name}: {result}")
        served = [single(event["scores"]["anomaly"]) for event in harness.records(out, "scored_events")
                  if event["scores"]["anomaly"] is not None]
        measured = [single(float(row[2])) for row in rows]
        check(10000 < len(measured) <= len(served), f"{name}: {len(measured)} rows")
        check(set(measured) <= set(served), f"{name}: scores that were not served")
        whole = json.loads(read(figures))["slices"][0]
        area = ranked([(float(row[2]), int(row[1])) for row in rows])
        check(abs(area - whole["roc_auc"]["value"]) < 2e-3, f"{name}: {area} in Python, {whole}")
    for arguments, words in ((("--score", "anomly"), "anomaly expected"),
                             (("--score", "purchase"), "has a score purchase"),
                             (("--score", "anomaly", "--pack", work), "either --pack or --score")):
        result = nudge("eval", config, *arguments, "--input", events, "--truth", truth)
        check(result.code != 0 and words in result.errors, f"{arguments}: {result}")


def table(work, rows):
    lines = ["time,label,group,price,views"] + rows
    return write(os.path.join(work, "rows.csv"), "\n".join(lines) + "\n")


def test_rows_of_a_table_are_fitted_and_measured(work):
    rows = [f"2026-01-{1 + i // 100:02}T00:{i % 60:02}:00Z,{int(i * 7919 % 100 < i % 10 * 10)},{i // 2},"
            f"{'' if i % 3 == 0 else i % 17},{i % 10}" for i in range(2000)]
    config = write(os.path.join(work, "table.yaml"),
                   "train: {target: table, name: t, kind: trees, until: 2026-01-15T00:00:00Z}\n")
    result = nudge("train", config, "--input", table(work, rows), "--output", os.path.join(work, "p"))
    check(result.code == 0 and "1400 rows" in result.out, f"train: {result}")
    result = nudge("eval", config, "--input", table(work, rows), "--pack", os.path.join(work, "p"),
                   "--json", os.path.join(work, "t.json"))
    check(result.code == 0, f"eval: {result}")
    report = json.loads(read(os.path.join(work, "t.json")))
    equal(report["slices"][0]["rows"], 600, "rows from until on")
    equal(report["importance"][0]["feature"], "views", "the feature that matters")
    for rows, words in ((["2026-01-01T00:00:00Z,1,1,2"], "rows.csv:2: 4 columns, 5 expected"),
                        (["2026-01-01T00:00:00Z,2,1,2,3"], 'rows.csv:2: label: "2": 0 or 1'),
                        (["soon,1,1,2,3"], 'rows.csv:2: time: "soon"'),
                        (["2026-01-01T00:00:00Z,1,x,2,3"], 'rows.csv:2: group: "x"'),
                        (["2026-01-01T00:00:00Z,1,1,2,inf"], 'rows.csv:2: views: "inf"'),
                        (["2026-01-01T00:00:00Z,1,1,2,3"], "one class only")):
        result = nudge("train", config, "--input", table(work, rows), "--output",
                       os.path.join(work, "bad"))
        check(result.code == 2 and words in result.errors, f"{words}: {result}")
        check(not os.path.exists(os.path.join(work, "bad")), "a refused training left a pack")


def test_the_past_fades_where_it_is_asked_for(work):
    """Until the tenth day few views buy, from then on many do; measured from the fifteenth on."""
    rows = [f"2026-01-{1 + i // 100:02}T{i % 100 * 24 // 100:02}:00:00Z,{int((i * 7 % 10 >= 5) == (i >= 900))},{i},"
            f"{i % 17},{i * 7 % 10}" for i in range(2000)]
    data = table(work, rows)
    for kind in ("logistic", "trees", "mlp"):
        for more, is_followed in (("", False), (", half_life: 12h", True)):
            pack = os.path.join(work, f"{kind}-{is_followed}")
            config = write(os.path.join(work, "fade.yaml"),
                           f"train: {{target: table, name: t, kind: {kind}, until: 2026-01-15T00:00:00Z{more}}}\n")
            result = nudge("train", config, "--input", data, "--output", pack)
            check(result.code == 0, f"train: {result}")
            result = nudge("eval", config, "--input", data, "--pack", pack, "--json", os.path.join(work, "f.json"))
            check(result.code == 0, f"eval: {result}")
            area = json.loads(read(os.path.join(work, "f.json")))["slices"][0]["roc_auc"]["value"]
            check(area > 0.9 if is_followed else area < 0.7, f"{kind}{more}: ROC-AUC {area}")


def test_the_examples_train_within_a_minute(work):
    events, truth = history(work, 1)
    for name in ("purchase", "abandon", "fraud", "purchase_trees", "fraud_trees", "purchase_gru"):
        config = os.path.join(EXAMPLES, f"shop_train_{name}.yaml")
        result = train(config, events, truth, os.path.join(work, name))
        check(result.code == 0, f"{name}: {result}")


def test_trees_that_were_killed_go_on_to_the_same_pack(work):
    events, truth = history(work, 1)
    checkpoint = os.path.join(work, "checkpoint")
    text = (TRUTH_TRAIN % ("truth", "")).replace("  l2: [0.01, 0.001]\n",
                                                 "  kind: trees\n  trees: {row_share: 0.7, feature_share: 0.5, "
                                                 "depth: 4, rounds: 600, patience: 0}\n")
    plain = write(os.path.join(work, "plain.yaml"), text)
    kept = write(os.path.join(work, "kept.yaml"), text.replace("{row", "{checkpoint: checkpoint, row"))
    other = write(os.path.join(work, "other.yaml"), read(kept).replace(b"depth: 4", b"depth: 3"))
    result = train(plain, events, truth, os.path.join(work, "plain"))
    check(result.code == 0, f"train: {result}")
    process = harness.start("train", kept, "--input", events, "--truth", truth, "--output",
                            os.path.join(work, "kept"))
    while process.poll() is None and not os.path.exists(checkpoint):
        time.sleep(0.001)
    process.kill()
    process.communicate()
    check(os.path.exists(checkpoint) and not os.path.exists(os.path.join(work, "kept")), "was done before it was killed")
    result = train(other, events, truth, os.path.join(work, "other"))
    check(result.code == 2 and "other rows or settings" in result.errors, f"another training: {result}")
    result = train(kept, events, truth, os.path.join(work, "kept"))
    check(result.code == 0, f"train: {result}")
    check(pack_bytes(os.path.join(work, "plain")) == pack_bytes(os.path.join(work, "kept")), "not the same pack")
    check(not os.path.exists(checkpoint), "the checkpoint is left")


NETWORK = """
train:
  pipeline: shop.yaml
  name: test
  kind: %s
  target: purchase_in_session
  prefixes: [1, 2, 3, 5, 10, 20, 50]
  rows_max: 60000
  features: [session_events, session_product_views, cart_pieces, user_events, funnel_buy_chance]
  network:%s
    embeddings: [{feature: event_type, rows: 40, width: 4, first: 2, unknown: 1},
                 {feature: gap_last_s, rows: 6, width: 2, first: 1, bins: [1, 10, 60, 300]}]
    layers: [{size: 8, activation: relu}, {size: 1}]
  descent: {epochs: 3, learning_rate: 0.01, dropout: 0.1}
"""


def test_networks_are_trained_twice_to_the_same_bytes_and_beat_one_feature(work):
    events, _ = history(work, 1)
    other, _ = history(work, 2)
    for kind in ("mlp", "gru", "lstm"):
        hidden = "" if kind == "mlp" else "\n    hidden: 12"
        config = write(os.path.join(work, f"{kind}.yaml"), NETWORK % (kind, hidden))
        packs = [os.path.join(work, f"{kind}-{i}") for i in (1, 2)]
        for pack in packs if kind == "gru" else packs[:1]:
            result = nudge("train", config, "--input", events, "--output", pack)
            check(result.code == 0, f"train: {result}")
        if kind == "gru":
            check(pack_bytes(packs[0]) == pack_bytes(packs[1]), "two trainings differ")
        figures = os.path.join(work, "figures.json")
        result = nudge("eval", config, "--pack", packs[0], "--input", other, "--json", figures)
        check(result.code == 0, f"eval: {result}")
        report = json.loads(read(figures))
        terms = {feature["feature"]: feature["mean_term"] for feature in report["importance"]}
        equal("session_before" in terms, kind != "mlp", f"{kind}: what it remembers, in {terms}")
        check(min(terms["event_type"], terms.get("session_before", 1)) > 0.05 and len(result.out) > 0,
              f"{kind}: importance {terms}")
        whole = report["slices"][0]
        check(whole["pr_auc"]["value"] > whole["best_feature_by_pr_auc"]["pr_auc"],
              f"{kind} is no better than one feature: {whole['pr_auc']}")
        check(whole["calibration_error"]["value"] < 0.03, f"{kind}: {whole['calibration_error']}")


def test_a_network_stepped_from_before_the_cart_foretells_what_becomes_of_it(work):
    events, _ = history(work, 1)
    other, _ = history(work, 2)
    text = (NETWORK % ("lstm", "\n    hidden: 12")).replace("purchase_in_session", "abandon_cart")
    text = text.replace("  prefixes: [1, 2, 3, 5, 10, 20, 50]\n", "")
    config = write(os.path.join(work, "carts.yaml"), text)
    pack = os.path.join(work, "carts")
    result = nudge("train", config, "--input", events, "--output", pack)
    check(result.code == 0, f"train: {result}")
    measured, served, figures = (os.path.join(work, name) for name in ("a.csv", "b.csv", "c.json"))
    result = nudge("eval", config, "--pack", pack, "--input", other, "--scores", measured,
                   "--json", figures)
    check(result.code == 0, f"eval: {result}")
    whole = json.loads(read(figures))["slices"][0]
    check(whole["roc_auc"]["low"] > 0.6, f"no better than chance: {whole['roc_auc']}")
    write(os.path.join(work, "serving.yaml"),
          "input: {format: avro}\npredict_intent: {abandon_pack: carts}\n")
    config = write(os.path.join(work, "served.yaml"), text.replace("shop.yaml", "serving.yaml"))
    result = nudge("eval", config, "--score", "abandon", "--input", other, "--scores", served)
    check(result.code == 0, f"eval: {result}")
    lines = read(served).splitlines()
    equal(len(lines) - 1, whole["rows"], "rows with a cart, as served")
    check(set(lines) <= set(read(measured).splitlines()), "another chance was served than measured")


def test_a_recurrent_pack_serves_what_was_measured_however_the_input_is_cut(work):
    events, _ = history(work, 1)
    config = write(os.path.join(work, "train.yaml"), NETWORK % ("gru", "\n    hidden: 12"))
    result = nudge("train", config, "--input", events, "--output", os.path.join(work, "pack"))
    check(result.code == 0, f"train: {result}")
    measured = os.path.join(work, "scores.csv")
    result = nudge("eval", config, "--pack", os.path.join(work, "pack"), "--input", events,
                   "--scores", measured)
    check(result.code == 0, f"eval: {result}")
    outputs = []
    for batch in (1024, 37):
        served = write(os.path.join(work, "served.yaml"),
                       f"run: {{batch: {batch}}}\ninput: {{format: avro}}\n"
                       "predict_intent: {purchase_pack: pack}\n"
                       "output: {scored_events_share: 1}\nemit_interventions:\n  rules:\n"
                       "    - {name: likely, on: any, if: purchase_score > 0.2 and session_events == 3,\n"
                       "       alert: {reason: likely}}\n")
        out = os.path.join(work, f"out-{batch}")
        result = nudge("run", served, "--input", events, "--output", out)
        check(result.code == 0, f"run: {result}")
        outputs.append([read(os.path.join(out, topic, "0.jsonl"))
                        for topic in ("scored_events", "alerts", "decisions")])
    check(outputs[0] == outputs[1], "the outputs depend on the batches")
    check(outputs[0][1], "no alerts")
    served = {}
    for line in outputs[0][0].decode().splitlines():
        event = json.loads(line)
        served.setdefault(event["time"], []).append(event["scores"]["purchase"] or 0)
    wanted = [line.split(",") for line in read(measured).decode().splitlines()[1:]]
    found = sum(any(abs(chance - float(expected)) < 1e-6 for chance in served.get(time, []))
                for time, _, expected, *_ in wanted)
    check(len(wanted) > 10000 and found >= 0.999 * len(wanted),
          f"{found} of {len(wanted)} measured chances were served")
    for line in outputs[0][1].decode().splitlines():
        alert = json.loads(line)
        total = alert["intercept"] + alert["others"] + sum(term["logit"] for term in alert["terms"])
        check(alert["score"] == "purchase" and abs(total - alert["logit"]) < 1e-4, f"reasons: {line}")


def test_bad_training_files_are_refused_before_anything_runs(work):
    events, truth = history(work, 1)
    lines = (TRUTH_TRAIN % ("purchase_in_session", "")).strip().split("\n")[1:]
    cases = [
        ("  colour: red", "colour"), ("  target: buys", "purchase_in_session"),
        ("  features: [sesion_events]", "did you mean session_events?"),
        ("  leave_out_families: [card, gab]", "gap"), ("  held_share: 2", "held_share"),
        ("  l2: [x]", "l2"), ("  prefixes: [0]", "prefixes"), ("  until: soon", "until"),
        ("  event_types: [purchas]", "did you mean purchase?"), ("  pipeline: nowhere.yaml", "nowhere"),
        ("  kind: tree", "trees"), ("  trees: {dept: 3}", "depth"), ("  trees: {depth: 99}", "depth"),
        ("  calibration: plat", "platt"), ("  folds: 99", "folds"),
        ("  target: table", "pipeline"),
        ("  target: truth\n  leave_out_kinds: [coupon_farmin]", "did you mean coupon_farming?"),
    ]
    for line, words in cases:
        keys = [part.strip().split(":")[0] for part in line.split("\n")]
        kept = [old for old in lines if old.strip().split(":")[0] not in keys]
        config = write(os.path.join(work, "bad.yaml"), "\n".join(["train:", *kept, line]) + "\n")
        result = train(config, events, truth, os.path.join(work, "bad"))
        check(result.code == 2 and words in result.errors, f"{line}: {result}")
        check(not os.path.exists(os.path.join(work, "bad")), f"{line}: left a pack")


def test_what_a_user_does_within_days_is_foretold(work):
    draw, day, events = random.Random(4), 86400000, []
    for user in range(150):
        begin = harness.START_MS + draw.randrange(15 * day)
        for _ in range(draw.randrange(1, 6)):
            for _ in range(draw.randrange(1, 5)):
                events.append([begin, user, "product_view"])
                begin += 1000 + draw.randrange(100000)
            if draw.random() < 0.4:
                events.append([begin, user, draw.choice(["purchase", "label"])])
            begin += draw.randrange(4 * day)
    events.sort()
    for place in range(1, len(events)): # So that a row's time says which event it is of.
        events[place][0] = max(events[place][0], events[place - 1][0] + 1)
    lines = [{"event_time": time, "event_id": f"e{i}", "user_id": f"u{user}", "type": kind, "item": "p",
              "price": 1000000, "quantity": 1, "currency": "EUR",
              **({"label_for": "nothing", "label_value": "chargeback"} if kind == "label" else {})}
             for i, (time, user, kind) in enumerate(events)]
    write(os.path.join(work, "shop.yaml"), "input: {format: jsonl}\n")
    path = write(os.path.join(work, "events.jsonl"), harness.lines(lines))
    pack, scores = os.path.join(work, "pack"), os.path.join(work, "scores.csv")
    for target, kind in (("purchase_within", "purchase"), ("label\n  label_by: user_id", "label")):
        config = write(os.path.join(work, "within.yaml"),
                       f"train:\n  pipeline: shop.yaml\n  name: t\n  target: {target}\n  within: 2d\n  l2: [0.1]\n")
        result = nudge("train", config, "--input", path, "--output", pack)
        check(result.code == 0, f"train: {result}")
        result = nudge("eval", config, "--input", path, "--pack", pack, "--scores", scores)
        check(result.code == 0, f"eval: {result}")
        found = [line.split(",")[:2] for line in read(scores).decode().splitlines()[1:]]
        expected = []
        for time, user, what in events:
            if what != "label" and time <= events[-1][0] - 2 * day:
                follows = any(other == user and one == kind and time < then <= time + 2 * day
                              for then, other, one in events)
                stamp = datetime.datetime.fromtimestamp(time / 1000, datetime.timezone.utc)
                expected.append([stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z"), str(int(follows))])
        equal(sorted(found), sorted(expected), f"rows and labels, {kind}")
        check(50 < sum(label == "1" for _, label in found) < len(found) - 50, "both classes")
    config = write(os.path.join(work, "gru.yaml"), (NETWORK % ("gru", "\n    hidden: 4")).replace(
        "purchase_in_session", "purchase_within"))
    result = nudge("train", config, "--input", path, "--output", os.path.join(work, "gru"))
    check(result.code == 2 and "what becomes of a user" in result.errors, f"{result}")


def test_training_without_a_second_class_says_so(work):
    events, truth = history(work, 1)
    config = write(os.path.join(work, "train.yaml"),
                   TRUTH_TRAIN % ("purchase_in_session", "") + "  event_types: [purchase]\n")
    result = train(config, events, truth, os.path.join(work, "pack"))
    check(result.code == 2, str(result))
    check("is a row" in result.errors or "one class only" in result.errors, str(result))


def test_a_pack_that_cannot_be_written_fails_with_its_name(work):
    events, truth = history(work, 1)
    config = write(os.path.join(work, "train.yaml"), TRUTH_TRAIN % ("truth", ""))
    write(os.path.join(work, "file"), "in the way")
    result = train(config, events, truth, os.path.join(work, "file", "pack"))
    check(result.code == 1 and "file/pack" in result.errors, str(result))


def test_the_real_night_is_trained_before_half_past_one_and_measured_after(work):
    data = os.environ.get("NUDGE_DATA", os.path.join(HERE, "../../../shared/data"))
    night = os.path.join(data, "rees46", "2019-10-01_until_0230.csv.gz")
    if not os.path.exists(night):
        if os.environ.get("CI"):
            raise AssertionError(f"no {night}")
        raise Skip(f"no {night}")
    config = os.path.join(EXAMPLES, "rees46_train.yaml")
    pack = os.path.join(work, "pack")
    result = nudge("train", config, "--input", night, "--output", pack)
    check(result.code == 0, f"train: {result}")
    check(b'trained_to: "2019-10-01T01:2' in read(os.path.join(pack, "manifest.yaml")),
          "trained on events after 01:30")
    figures = os.path.join(work, "figures.json")
    result = nudge("eval", config, "--input", night, "--pack", pack, "--json", figures)
    check(result.code == 0, f"eval: {result}")
    slices = {part["name"]: part for part in json.loads(read(figures))["slices"]}
    for name in ("1 event", "3 events", "5 events", "10 events", "first cart"):
        check(name in slices and "best_feature_by_pr_auc" in slices[name], f"no {name}")
    equal(slices["first cart"]["rows"], 36, "sessions with a cart")
    check(slices["all rows"]["pr_auc"]["value"] > 2 * slices["all rows"]["base_rate"],
          f"no better than chance: {slices['all rows']['pr_auc']}")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
