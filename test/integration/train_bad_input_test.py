#!/usr/bin/env python3
"""What a data scientist gets wrong with nudge train, nudge eval and a pack: each ends with a line that names it, or with
a warning that does, and leaves no pack behind that is not whole.

    train_bad_input_test.py NUDGE
"""
import json
import os
import random
import resource
import shutil
import sys

import harness
from harness import check, nudge, read, write

KINDS = {"logistic": "", "trees": "", "mlp": "  network: {layers: [{size: 4, activation: relu}, {size: 1}]}\n"}
LINES = "train:\n  target: table\n  name: t\n  kind: %s\n%s"


def table(work, name, rows, columns=2, label=None, first=None, replaced=None):
    """A table of rows over 20 days; `first`: the value of the first feature; `replaced`: label of the eighth row."""
    draw = random.Random(1)
    lines = ["time,label,group," + ",".join(f"f{k}" for k in range(columns))]
    for i in range(rows):
        target = draw.randrange(2) if label is None else label
        values = [f"{draw.random() + target / 2:.3f}" for _ in range(columns)]
        values[0] = values[0] if first is None else first
        shown = replaced if replaced is not None and i == 7 else target
        lines.append(f"2026-01-{1 + i * 20 // max(rows, 20):02}T{i % 24:02}:00:00Z,{shown},{i}," + ",".join(values))
    return write(os.path.join(work, name), "\n".join(lines) + "\n")


def config(work, kind, more="", name=None):
    return write(os.path.join(work, f"{name or kind}.yaml"), LINES % (kind, KINDS[kind] + more))


def fails(work, name, arguments, words):
    """The problem, or None: it exits with 2 and one line that has these words, and leaves no pack."""
    output = os.path.join(work, "refused")
    result = nudge(*arguments, "--output", output)
    left = [entry for entry in os.listdir(work) if entry.startswith("refused")]
    if "libxgboost" in result.errors:
        return None
    line = result.errors.strip().split("\n")[-1]
    return None if result.code == 2 and words in line and not left else f"{name}: {result}, {words} expected, left {left}"


def none_of(problems):
    problems = [problem for problem in problems if problem]
    check(not problems, "\n".join(problems))


def test_rows_that_nothing_can_be_learnt_from_are_refused_by_every_kind(work):
    tables = (
        ("one class", table(work, "one.csv", 300, label=1), "one class only: all 225 rows are positive"),
        ("a NaN target", table(work, "nan.csv", 300, replaced="nan"), 'nan.csv:9: label: "nan": 0 or 1 expected'),
        ("no target", table(work, "without.csv", 300, replaced=""), 'without.csv:9: label: "": 0 or 1 expected'),
        ("no rows", table(work, "none.csv", 0), "none of 0 events is a row"),
        ("an empty file", write(os.path.join(work, "empty.csv"), ""), "empty.csv:1: columns time and label"),
        ("a folder", os.path.join(work, "."), "Is a directory"),
        ("no file", os.path.join(work, "nowhere.csv"), "nowhere.csv: No such file"),
    )
    none_of(fails(work, f"{kind}, {name}", ("train", config(work, kind), "--input", path), words)
            for kind in KINDS for name, path, words in tables)


def test_fewer_rows_than_features_are_refused_or_warned_of(work):
    few = table(work, "few.csv", 20, columns=40)
    words = "15 rows for 40 features"
    none_of(fails(work, kind, ("train", config(work, kind), "--input", few), words) for kind in ("logistic", "mlp"))
    result = nudge("train", config(work, "trees"), "--input", few, "--output", os.path.join(work, "pack"))
    check("libxgboost" in result.errors or (result.code == 0 and "warning: " + words in result.errors), str(result))


def test_a_feature_that_says_nothing_is_named_and_the_rest_is_learnt_from(work):
    for kind in KINDS:
        for first, words in (("3", "it is the same in all rows"), ("", "it is missing in all rows")):
            pack = os.path.join(work, "pack")
            result = nudge("train", config(work, kind), "--input", table(work, "same.csv", 300, first=first),
                           "--output", pack)
            if "libxgboost" in result.errors:
                continue
            check(result.code == 0 and "warning: feature f0 " in result.errors and words in result.errors,
                  f"{kind}: {result}")
            check(os.path.exists(os.path.join(pack, "manifest.yaml")), f"{kind}: no pack")


def test_times_that_overlap_or_are_turned_round_are_refused_or_warned_of(work):
    rows = table(work, "rows.csv", 300)
    pack = os.path.join(work, "pack")
    plain = config(work, "logistic")
    turned = "  from: 2026-01-15T00:00:00Z\n  until: 2026-01-10T00:00:00Z\n"
    for arguments, words in (
            (("train", config(work, "logistic", turned, "turned"), "--input", rows), "until: a time after from expected"),
            (("train", plain, "--input", rows, "--from", "2026-01-15T00:00:00Z", "--until", "2026-01-10T00:00:00Z"),
             '--until: "2026-01-10T00:00:00Z": a time after from expected'),
            (("train", config(work, "logistic", "  until: 2026-01-10T00:00:00Z\n", "until"), "--input", rows, "--from",
              "2026-01-15T00:00:00Z"), '--from: "2026-01-15T00:00:00Z": a time before until expected'),
            (("train", config(work, "logistic", "  gap: 30d\n", "gap"), "--input", rows),
             "no rows before the held-out time; see gap, held_share")):
        none_of([fails(work, words, arguments, words)])
    result = nudge("train", config(work, "logistic"), "--input", rows, "--output", pack)
    check(result.code == 0, f"train: {result}")
    result = nudge("eval", plain, "--input", rows, "--pack", pack, "--after", "2026-01-09T00:00:00Z", "--before",
                   "2026-01-05T00:00:00Z")
    check(result.code == 2 and "--before: " in result.errors and "a time after 2026-01-09" in result.errors, str(result))
    result = nudge("eval", plain, "--input", rows, "--pack", pack)
    check(result.code == 0 and "Warning: 300 of the 300 rows lie in the time that the pack was trained on" in result.out,
          f"eval: {result}")


def events(work):
    lines = []
    for i in range(300):
        event = {"event_time": harness.START_MS + i * 60000, "event_id": f"e{i}", "user_id": f"u{i % 20}",
                 "type": "purchase", "item": "p", "price": 1000000, "quantity": 1, "currency": "EUR"}
        lines.append(event)
        if i % 10 == 9:
            lines.append({**event, "event_time": event["event_time"] + 1000, "event_id": f"l{i}", "type": "label",
                          "user_id": f"x{i}", "label_for": f"none{i}", "label_value": "chargeback"})
    write(os.path.join(work, "shop.yaml"), "input: {format: jsonl}\n")
    return write(os.path.join(work, "events.jsonl"), harness.lines(lines))


def test_labels_that_join_nothing_are_refused(work):
    path = events(work)
    head = "train:\n  pipeline: shop.yaml\n  name: t\n"
    problems = []
    for by in ("event_id", "user_id"):
        labels = write(os.path.join(work, "label.yaml"), head + f"  target: label\n  label_by: {by}\n  within: 1h\n")
        problems.append(fails(work, by, ("train", labels, "--input", path),
                              "30 label events of the values asked for, and none speaks of a row"))
    truth = write(os.path.join(work, "truth.yaml"), head + "  target: truth\n")
    other = write(os.path.join(work, "truth.jsonl"), json.dumps(
        {"visit": "v1", "kind": "human", "bot": False, "fraud": False, "shopper": 1, "start": harness.START_MS}) + "\n")
    for name, file, words in (("of others", other, "none of"), ("a folder", work, "Is a directory"),
                              ("a table", table(work, "rows.csv", 9), "rows.csv:1: "),
                              ("missing", os.path.join(work, "nowhere"), "nowhere: No such file")):
        problems.append(fails(work, f"truth {name}", ("train", truth, "--input", path, "--truth", file), words))
    none_of(problems)


def serves(work, words):
    """The problem, or None: a configuration that names the pack `work`/pack is refused with these words."""
    path = write(os.path.join(work, "serve.yaml"), "predict_intent: {purchase_pack: pack}\n")
    result = nudge("check", path)
    return None if result.code == 2 and words in result.errors else f"{words} expected: {result}"


def trees_manifest(model):
    return f"format: 1\nkind: trees\nname: x\nversion: 1\nmodel: {model}\nfeatures: [{{name: cart_value}}]\n"


def test_a_pack_of_another_version_is_refused_by_name(work):
    rows = table(work, "rows.csv", 300)
    pack = os.path.join(work, "pack")
    result = nudge("train", config(work, "logistic"), "--input", rows, "--output", pack)
    check(result.code == 0, f"train: {result}")
    manifest = os.path.join(pack, "manifest.yaml")
    write(manifest, read(manifest).replace(b"format: 1", b"format: 2", 1))
    none_of([serves(work, 'pack/manifest.yaml:1: format: "2": 1 expected')])


def test_a_model_of_two_gigabytes_is_refused_unread(work):
    pack = os.path.join(work, "pack")
    problems = []
    cases = [(model, trees_manifest(model), f"{model}: 2147483648 bytes; 1 to 268435456 expected")
             for model in ("model.ubj", "model.json", "model.txt")]
    cases.append(("weights.safetensors", "format: 1\nkind: logistic\nname: x\nversion: 1\n"
                  "features: [{name: cart_value}]\n",
                  "weights.safetensors: 2147483648 bytes; a safetensors file of 8 to 268435456 expected"))
    cases.append(("manifest.yaml", None, "manifest.yaml: larger than 16 MiB"))
    for name, manifest, words in cases:
        shutil.rmtree(pack, ignore_errors=True)
        os.makedirs(pack)
        if manifest:
            write(os.path.join(pack, "manifest.yaml"), manifest)
        with open(os.path.join(pack, name), "wb") as file:
            file.truncate(2 << 30)
        problems.append(serves(work, words))
    none_of(problems)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    check(largest < 1 << 20, f"{largest} KiB at the most")


def test_a_folder_where_a_file_should_be_and_the_other_way_round_are_named(work):
    pack = os.path.join(work, "pack")
    problems = []
    for name, manifest, words in (
            ("manifest.yaml", None, "pack/manifest.yaml: cannot be read: Is a directory"),
            ("model.json", trees_manifest("model.json"), "pack/model.json: a file expected"),
            ("weights.safetensors", "format: 1\nkind: logistic\nname: x\nversion: 1\nfeatures: [{name: cart_value}]\n",
             "pack/weights.safetensors: a file expected")):
        shutil.rmtree(pack, ignore_errors=True)
        os.makedirs(os.path.join(pack, name))
        if manifest:
            write(os.path.join(pack, "manifest.yaml"), manifest)
        problems.append(serves(work, words))
    shutil.rmtree(pack)
    write(pack, "")
    problems.append(serves(work, "pack is not a folder"))
    none_of(problems)
    rows = table(work, "rows.csv", 300)
    result = nudge("train", config(work, "logistic"), "--input", rows, "--output", pack)
    check(result.code == 2 and "pack: a file stands there; a folder for the pack, or nothing, expected" in result.errors,
          f"train: {result}")
    check(read(pack) == b"", "the file in the way is as it was")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
