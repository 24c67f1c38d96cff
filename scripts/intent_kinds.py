#!/usr/bin/env python3
"""Kinds of models beside each other: the chance that a session ends in a purchase.

    intent_kinds.py generated [EVENTS]   trained on one generated history, measured on another
    intent_kinds.py rees46 FILE          trained before 01:30, measured on sessions that begin after
    intent_kinds.py taobao FILE          trained before 02:10, measured on sessions that begin after

KINDS names those to compare, by commas. A Markov chain of order 1 to 3 is counted on the training rows; the chance
to buy that it gives is calibrated by a logistic regression on that feature alone, which keeps its order.

Prints a table in Markdown: PR-AUC with its 95% interval by bootstrap over sessions, and the calibration error,
at 1, 3, 5 and 10 events and at the first filled cart. NUDGE names the program, else build/release/nudge.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NUDGE = os.environ.get("NUDGE", str(ROOT / "build/release/nudge"))
EXAMPLES = ROOT / "pipeline/examples"
PREFIXES = "[1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 60, 100]"

EMBEDDINGS = """    embeddings:
      - {feature: event_type, rows: 40, width: %d, first: 2, unknown: 1}
      - {feature: event_category_bucket, rows: 66, width: %d, first: 2, unknown: 1}
      - {feature: event_price, rows: 12, width: %d, first: 2, unknown: 1,
         bins: [2, 5, 10, 20, 50, 100, 200, 500, 1000]}
      - {feature: gap_last_s, rows: 11, width: %d, first: 2, unknown: 1,
         bins: [1, 3, 10, 30, 60, 180, 600, 1800]}
"""
LARGE, SMALL = EMBEDDINGS % (6, 4, 3, 3), EMBEDDINGS % (3, 2, 2, 2)
# Much data: held-out time says when to stop. Little: a fixed number of epochs and strong penalties.
DATA = {
    "generated": {
        "pipeline": "shop_history.yaml",
        "all": f"gap: 30m\n  prefixes: {PREFIXES}\n  rows_max: 300000\n"
               "  l2: [0.03, 0.01, 0.003, 0.001, 0.0003]",
        "descent": "{epochs: 12, learning_rate: 0.003, batch: 64, dropout: 0.1}",
        "rows_descent": "{epochs: 12, learning_rate: 0.002, batch: 256, dropout: 0.2}",
        "hidden": 32, "layer": "{size: 16, activation: relu}", "embeddings": LARGE,
    },
    "rees46": {
        "pipeline": "rees46.yaml",
        "all": f"until: 2019-10-01T01:30:00Z\n  prefixes: {PREFIXES}\n  leave_out_families: [calendar]\n"
               "  held_share: 0\n  l2: [0.3]\n  trees: {rounds: 30, depth: 3}",
        "descent": "{epochs: 12, batch: 16, l2: 0.01, dropout: 0.2, learning_rate: 0.005}",
        "hidden": 8, "layer": "{size: 8, activation: tanh}", "embeddings": SMALL,
    },
    "taobao": {
        "pipeline": "taobao.yaml",
        "all": f"until: 2017-11-26T02:10:00Z\n  prefixes: {PREFIXES}\n  leave_out_families: [calendar]\n"
               "  held_share: 0.25\n  l2: [0.3, 0.1, 0.03, 0.01]",
        "descent": "{epochs: 12, batch: 64, l2: 0.001, dropout: 0.2, learning_rate: 0.003}",
        "hidden": 16, "layer": "{size: 16, activation: relu}", "embeddings": SMALL,
    },
}
ORDERS = {"markov 1": 1, "markov 2": 2, "markov 3": 3}
KINDS = ["logistic", "trees", "mlp", "gru", "lstm", *ORDERS]


def run(*arguments):
    done = subprocess.run([NUDGE, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def write_config(data, kind, path, pipeline=None):
    made = DATA[data]
    order = ORDERS.get(kind)
    text = (f"train:\n  pipeline: {pipeline or EXAMPLES / made['pipeline']}\n  name: {data}_{kind}\n"
            f"  kind: {'logistic' if order else kind}\n  target: purchase_in_session\n  {made['all']}\n")
    if order:
        text = "\n".join(line for line in text.splitlines() if "leave_out_families" not in line)
        text += f"\n  features: [funnel_buy_chance]\n  markov_order: {order}\n"
    if kind in ("mlp", "gru", "lstm"):
        hidden = "" if kind == "mlp" else f"    hidden: {made['hidden']}\n"
        descent = made.get("rows_descent", made["descent"]) if kind == "mlp" else made["descent"]
        text += (f"  network:\n{hidden}{made['embeddings']}    layers: [{made['layer']}, {{size: 1}}]\n"
                 f"  descent: {descent}\n")
    path.write_text(text)


def count_steps(data, kind, train, work):
    """The pipeline with a table of the training rows."""
    config, table, pipeline = (work / f"{kind}{suffix}" for suffix in (".yaml", "_table.yaml", "_pipeline.yaml"))
    write_config(data, kind, config)
    run("train", config, "--input", train, "--markov", table)
    text = (EXAMPLES / DATA[data]["pipeline"]).read_text().replace("../../schemas", str(ROOT / "schemas"))
    pipeline.write_text(f"{text}\nextract_features: {{markov: '{table}'}}\n")
    return pipeline


def histories(data, arguments, work):
    if data != "generated":
        return arguments[0], arguments[0]
    events = arguments[0] if arguments else "200000"
    for seed in (11, 12):
        run("generate", "--output", work / str(seed), "--events", events, "--days", 2, "--seed", seed)
    return work / "11/events.avro", work / "12/events.avro"


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in DATA:
        print(__doc__)
        return 2
    data = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        train, test = histories(data, sys.argv[2:], work)
        found = {}
        kinds = os.environ["KINDS"].split(",") if "KINDS" in os.environ else KINDS
        for kind in kinds:
            config, pack, report = work / f"{kind}.yaml", work / kind, work / f"{kind}.json"
            try:
                write_config(data, kind, config, count_steps(data, kind, train, work) if kind in ORDERS else None)
                run("train", config, "--input", train, "--output", pack)
                run("eval", config, "--input", test, "--pack", pack, "--json", report)
            except RuntimeError as error:
                print(f"{kind}: {error}", file=sys.stderr)
                continue
            found[kind] = json.loads(report.read_text())["slices"]
    print("| rows at | rows / positive | base rate |", " | ".join(found), "|")
    print("|---|---|---|" + "---|" * len(found))
    for place, slice_ in enumerate(next(iter(found.values()))):
        cells = []
        for slices in found.values():
            made = slices[place]
            value, error = made["pr_auc"], made["calibration_error"]
            cells.append("one class" if value["value"] is None else
                         f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]; {error['value']:.3f}")
        print(f"| {slice_['name']} | {slice_['rows']:,} / {slice_['positives']:,} | {slice_['base_rate']:.3f} |",
              " | ".join(cells), "|")
    return 0


if __name__ == "__main__":
    sys.exit(main())
