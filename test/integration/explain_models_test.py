#!/usr/bin/env python3
"""Why a model said what it said, as an analyst reads it: the reasons in the outputs and the page of
nudge explain, on packs that nudge train made and on models that XGBoost and LightGBM made.

    explain_models_test.py NUDGE

What trees say is compared with libxgboost's own contributions (SHAP values), through its C interface.
"""
import ctypes
import math
import os
import re
import sys

import harness
from harness import Skip, check, equal, nudge, read, write

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
MODELS = os.path.join(ROOT, "test", "models", "trees")
TRAIN = """
train:
  pipeline: %s/pipeline/examples/shop_history.yaml
  name: explained
  kind: %s
  target: purchase_in_session
  gap: 30m
  prefixes: [1, 2, 3, 5, 8, 13, 20]
  rows_max: 20000
  calibration: platt
%s"""
KINDS = {
    "trees": "  trees: {rounds: 40, depth: 4, learning_rate: 0.2}\n",
    "mlp": "  network: {layers: [{size: 8, activation: gelu}, {size: 1}]}\n"
           "  descent: {epochs: 2, batch: 256, learning_rate: 0.005}\n",
    "gru": "  network:\n    hidden: 8\n    embeddings:\n"
           "      - {feature: event_type, rows: 40, width: 3, first: 2, unknown: 1}\n"
           "    layers: [{size: 1}]\n  descent: {epochs: 2, batch: 64, learning_rate: 0.005}\n",
}
SERVE = """
input: {format: avro}
predict_intent: {purchase_pack: %s}
output: {scored_events_share: 1}
emit_interventions:
  rules:
    - {name: warm, on: [add_to_cart, product_view], if: %s, alert: {severity: low, reason: warm}}
"""


def history(work):
    folder = os.path.join(work, "history")
    if not os.path.exists(folder):
        result = nudge("generate", "--output", folder, "--events", 20000, "--days", 1, "--seed", 5)
        check(result.code == 0, f"generate: {result}")
    return os.path.join(folder, "events.avro")


def serve(work, name, pack, condition):
    config = write(os.path.join(work, f"{name}.yaml"), SERVE % (pack, condition))
    out = os.path.join(work, f"out-{name}")
    result = nudge("run", config, "--input", history(work), "--output", out)
    check(result.code == 0, f"run: {result}")
    return out


def trained(work, kind):
    """A pack of the kind, and the alerts of a run with it by decision id."""
    config = write(os.path.join(work, f"train-{kind}.yaml"), TRAIN % (ROOT, kind, KINDS[kind]))
    pack = os.path.join(work, f"pack-{kind}")
    result = nudge("train", config, "--input", history(work), "--output", pack)
    if kind == "trees" and "libxgboost" in result.errors:
        raise Skip("libxgboost is missing")
    check(result.code == 0, f"train: {result}")
    out = serve(work, kind, pack, "purchase_score > 0.25")
    alerts = {alert["decision_id"]: alert for alert in harness.records(out, "alerts")}
    check(len(alerts) > 50, f"{len(alerts)} alerts")
    return pack, out, alerts


def feature_names():
    text = nudge("describe", "features", "--markdown").out
    return re.findall(r"^\| `(\w+)` \|", text, re.M)


def predicted(model, rows, mask, width_of):
    """What libxgboost's XGBoosterPredict gives with this option mask, a list for each row."""
    library = ctypes.CDLL("libxgboost.so.0")
    count, width = len(rows), len(rows[0])
    values = (ctypes.c_float * (count * width))(*[value for row in rows for value in row])
    matrix, booster = ctypes.c_void_p(), ctypes.c_void_p()
    length, made = ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)()
    for code in (
            library.XGDMatrixCreateFromMat(values, ctypes.c_uint64(count), ctypes.c_uint64(width),
                                           ctypes.c_float(math.nan), ctypes.byref(matrix)),
            library.XGBoosterCreate(None, ctypes.c_uint64(0), ctypes.byref(booster)),
            library.XGBoosterLoadModel(booster, model.encode()),
            library.XGBoosterPredict(booster, matrix, mask, 0, 0, ctypes.byref(length),
                                     ctypes.byref(made))):
        check(code == 0, "libxgboost failed")
    equal(length.value, count * width_of, "numbers of libxgboost")
    return [made[i * width_of:(i + 1) * width_of] for i in range(count)]


def contributions(model, rows):
    """libxgboost's SHAP values: for each row those of the features, then the expected margin."""
    return predicted(model, rows, 4, len(rows[0]) + 1)


def test_the_reasons_of_trees_are_those_of_their_maker(work):
    pack, out, alerts = trained(work, "trees")
    manifest = read(os.path.join(pack, "manifest.yaml")).decode()
    slope, offset = (float(number) for number in
                     re.search(r"calibration: \{slope: ([^,]+), offset: ([^}]+)\}", manifest).groups())
    used = re.findall(r"- \{name: (\w+)", manifest)
    names = feature_names()
    chosen = [decision for decision in harness.records(out, "decisions")
              if decision["decision_id"] in alerts][:200]
    rows = []
    for decision in chosen:
        equal(len(decision["features"]), len(names), "features of a decision")
        values = dict(zip(names, decision["features"]))
        rows.append([math.nan if values[name] is None else values[name] for name in used])
    made = contributions(os.path.join(pack, "model.ubj"), rows)
    for decision, numbers in zip(chosen, made):
        alert = alerts[decision["decision_id"]]
        wanted = {name: slope * value for name, value in zip(used, numbers)}
        shown = 0.0
        for term in alert["terms"]:
            shown += wanted[term["name"]]
            check(abs(term["logit"] - wanted[term["name"]]) < 1e-4,
                  f"{term}, {wanted[term['name']]} by libxgboost")
        check(abs(alert["intercept"] - (slope * numbers[-1] + offset)) < 1e-4,
              f"starts at {alert['intercept']}, {slope * numbers[-1] + offset} by libxgboost")
        check(abs(alert["others"] - (sum(wanted.values()) - shown)) < 1e-4,
              f"all others: {alert['others']}, {sum(wanted.values()) - shown} by libxgboost")
        check(abs(alert["intercept"] + sum(wanted.values()) - alert["logit"]) < 1e-4,
              f"the sum: {alert['logit']}")


def page_of(out, decision_id):
    result = nudge("explain", decision_id, "--output", out)
    check(result.code == 0, f"explain: {result}")
    return result.out


def check_page(page, alert, score):
    """The numbers on the page are the alert's, and those that are shown sum to the sum."""
    lines = page.split("What moved the purchase score most")[1].split("\n\n")[0].splitlines()
    shown = [float(found.group(1)) for line in lines
             for found in [re.search(r" ([+-]\d+\.\d{3}) +[<|]", line)] if found]
    total = float(re.search(r"^  sum +([+-]\d+\.\d{3})$", page, re.M).group(1))
    equal(len(shown), len(alert["terms"]) + 2, f"terms on the page\n{page}")
    check(abs(sum(shown) - total) < 0.0005 * (len(shown) + 1), f"{shown} do not sum to {total}")
    check(abs(total - alert["logit"]) < 0.0006, f"{total} is not {alert['logit']}")
    check(re.search(rf"^  purchase  .* {score:.2f}%$", page, re.M), f"{score:.2f}% expected\n{page}")


def test_the_page_of_each_kind_adds_up(work):
    for kind in KINDS:
        pack, out, alerts = trained(work, kind)
        for decision_id in list(alerts)[:8]:
            alert = alerts[decision_id]
            chance = 1 / (1 + math.exp(-alert["logit"]))
            page = page_of(out, decision_id)
            check_page(page, alert, 100 * chance)
            check("explained 1 " in page, "the pack is named")
        starts = {alert["intercept"] for alert in alerts.values()}
        check(kind == "mlp" or len(starts) == 1, f"{kind}: starts {starts}")
        before = sum(term["name"] == "session_before" for alert in alerts.values()
                     for term in alert["terms"])
        check((before > 0) == (kind == "gru"), f"{kind}: session_before in {before} alerts")


BROUGHT = ("session_events", "cart_pieces", "gap_log_mean", "rate_burst", "cart_value")


def brought(work, name, model, keys):
    """A pack of a model of the tests, whose five features are some of nudge's."""
    pack = os.path.join(work, name)
    features = ", ".join("{name: %s}" % feature for feature in BROUGHT)
    write(os.path.join(pack, "manifest.yaml"),
          f"format: 1\nkind: trees\nname: {name}\nversion: 1\nmodel: {os.path.join(MODELS, model)}\n"
          f"features: [{features}]\n{keys}")
    return pack


def test_the_chances_of_all_classes_sum_to_one(work):
    for model, classes in (("xgb_classes.json", 3), ("lgb_classes.txt", 3), ("xgb_two_classes.json", 2)):
        sums = {}
        for number in range(classes):
            name = f"{model.split('.')[0]}{number}"
            pack = brought(work, name, model, f"class: {number}\n")
            out = serve(work, name, pack, "purchase_score > 0 and session_events == 3")
            for event in harness.records(out, "scored_events"):
                sums[event["ordinal"]] = sums.get(event["ordinal"], 0) + event["scores"]["purchase"]
            alert = harness.records(out, "alerts")[0]
            check_page(page_of(out, alert["decision_id"]), alert, 100 / (1 + math.exp(-alert["logit"])))
        check(len(sums) > 15000, f"{len(sums)} scored events")
        worst = max(abs(total - 1) for total in sums.values())
        check(worst < 1e-5, f"{model}: the chances sum to 1 +- {worst}")


CLASS_RULES = """
input: {format: avro}
predict_intent: {purchase_pack: %s, abandon_pack: %s}
score_fraud: {pack: %s}
emit_interventions:
  rules:
    - name: classes
      on: any
      if: abandon_score["leave"] + purchase_score["buy"] + fraud_score["browse"] > %s
      alert:
        severity: low
        reason: '{abandon_score["browse"]:.6} {abandon_score["buy"]:.6} {abandon_score["leave"]:.6}
          {purchase_score["browse"]:.6} {purchase_score["buy"]:.6} {purchase_score["leave"]:.6}
          {fraud_score["browse"]:.6} {fraud_score["buy"]:.6} {fraud_score["leave"]:.6}'
"""


def test_rules_see_every_class_as_libxgboost_predicts_it(work):
    try:
        ctypes.CDLL("libxgboost.so.0")
    except OSError:
        raise Skip("libxgboost is missing")
    model = os.path.join(MODELS, "xgb_classes.json")
    packs = [brought(work, f"own-{own}", "xgb_classes.json",
                     f"class: {own}\nclasses: [browse, buy, leave]\n")
             for own in ("buy", "leave", "browse")]
    config = write(os.path.join(work, "classes.yaml"), CLASS_RULES % (*packs, 0.9))
    result = nudge("check", config)
    check(result.code == 0 and 'classes of the abandon model: abandon_score["browse"], '
          'abandon_score["buy"], abandon_score["leave"]\n' in result.out, f"check: {result}")
    out = os.path.join(work, "out-classes")
    result = nudge("run", config, "--input", history(work), "--output", out)
    check(result.code == 0, f"run: {result}")
    reasons = {alert["decision_id"]: alert["reason"] for alert in harness.records(out, "alerts")}
    names = feature_names()
    shown, rows = [], []
    for decision in harness.records(out, "decisions"):
        values = dict(zip(names, decision["features"]))
        rows.append([math.nan if values[name] is None else values[name] for name in BROUGHT])
        shown.append([float(number) for number in reasons[decision["decision_id"]].split()])
    check(200 < len(rows) < 15000, f"{len(rows)} rows matched: some and not all")
    for numbers, wanted in zip(shown, predicted(model, rows, 0, 3)):
        check(len(numbers) == 9 and max(abs(a - b) for a, b in zip(numbers, wanted * 3)) < 1e-5,
              f"{numbers}, {wanted} by libxgboost")
    wrong = write(os.path.join(work, "wrong.yaml"),
                  read(config).decode().replace('if: abandon_score["leave"]', 'if: abandon_score["leaf"]'))
    result = nudge("check", wrong)
    check(result.code != 0 and "wrong.yaml:" in result.errors and
          'abandon_score["leaf"]: no class of its pack; did you mean "leave"?' in result.errors,
          f"check: {result}")
    alone = write(os.path.join(work, "alone.yaml"),
                  read(config).decode().replace(f", abandon_pack: {packs[1]}", ""))
    result = nudge("check", alone)
    check(result.code != 0 and "its pack has no classes" in result.errors, f"check: {result}")


def test_a_value_is_shown_as_it_is(work):
    pack = brought(work, "counts", "xgb_poisson.json", "output: value\n")
    out = serve(work, "counts", pack, "purchase_score > 0.5")
    alerts = harness.records(out, "alerts")
    check(len(alerts) > 50, f"{len(alerts)} alerts")
    for alert in alerts[:5]:
        page = page_of(out, alert["decision_id"])
        value = float(re.search(r"^  purchase +([0-9.]+)$", page, re.M).group(1))
        check(abs(value - math.exp(alert["logit"])) < 1e-4 * value, f"{value} of {alert['logit']}")
        check("(the model's margin;" in page, "it is no log-odds")
    config = write(os.path.join(work, "eval.yaml"), TRAIN % (ROOT, "logistic", ""))
    result = nudge("eval", config, "--input", history(work), "--pack", pack)
    check(result.code != 0 and "counts: it predicts a value" in result.errors, f"eval: {result}")
    fraud = write(os.path.join(work, "fraud.yaml"),
                  f"input: {{format: avro}}\nscore_fraud: {{pack: {pack}}}\n")
    result = nudge("check", fraud)
    check(result.code != 0 and "counts: it predicts a value" in result.errors, f"check: {result}")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
