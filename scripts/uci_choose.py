#!/usr/bin/env python3
"""Chooses hyper-parameters for the UCI shoppers inside of the training months, and only then tests.

    uci_choose.py NUDGE shoppers.csv WORK [FEATURE...]     the FEATUREs are left out

Forward chaining: the sessions before September in six spans of as many rows, each of the last five
measured by what was fitted to all before it. One configuration is chosen a kind, by its mean
ROC-AUC over the five spans (trees that draw rows: over three seeds, too), and one over all kinds;
what was chosen is then fitted to all training months and measured on September and October, beside
scikit-learn's histogram gradient boosting. After the choice, to show what it could not know: the chosen
trees by seed, the mean of eight seeds, and all trees that were tried. Needs python3-sklearn. WORK is a
folder for the packs, which are made once.
"""
import hashlib
import os
import subprocess
import sys

import numpy
from sklearn.metrics import roc_auc_score

import uci_shoppers

FOLDS = 5
SEEDS = (1, 2, 3)
MORE_SEEDS = range(1, 9)
TEST_FROM, TEST_TO = "2017-09-01T00:00:00Z", "2018-01-01T00:00:00Z"


def trees(**changed):
    made = {"rounds": 200, "patience": 0, "learning_rate": 0.03, "depth": 6, "row_share": 0.7,
            "feature_share": 0.5, **changed}
    return "  kind: trees\n  trees: {%s}\n" % ", ".join(f"{key}: {made[key]}" for key in made)


def as_sklearn(**changed):
    """As scikit-learn's are by default, but for its 20 rows a leaf, which libxgboost cannot count."""
    return trees(rounds=100, learning_rate=0.1, depth=32, leaves=31, l2=0, row_share=1,
                 feature_share=1, **changed)


TREES = {
    "depth 6": trees(),
    "depth 6, leaf weight 5": trees(leaf_weight_min=5),
    "depth 4": trees(depth=4),
    "depth 4, leaf weight 5": trees(depth=4, leaf_weight_min=5),
    "depth 3, 300 trees": trees(depth=3, rounds=300),
    "8 leaves": trees(depth=32, leaves=8, leaf_weight_min=2),
    "8 leaves, 400 trees": trees(depth=32, leaves=8, leaf_weight_min=2, rounds=400),
    "16 leaves": trees(depth=32, leaves=16, leaf_weight_min=2),
    "31 leaves": trees(depth=32, leaves=31),
    "31 leaves, leaf weight 5": trees(depth=32, leaves=31, leaf_weight_min=5),
    "as scikit-learn": as_sklearn(),
    "as scikit-learn, leaf weight 2": as_sklearn(leaf_weight_min=2),
    "as scikit-learn, leaf weight 5": as_sklearn(leaf_weight_min=5),
}
MLP = """  kind: mlp
  network:
    layers: [%s{size: 1}]
  descent: {epochs: 60, patience: 8, learning_rate: 0.003, dropout: 0.1, l2: 0.0001}
"""
MLPS = {
    "8": MLP % "{size: 8, activation: relu}, ",
    "16": MLP % "{size: 16, activation: relu}, ",
    "32-16": MLP % "{size: 32, activation: relu}, {size: 16, activation: relu}, ",
}
LOGISTIC = "  kind: logistic\n"


class Bench:
    """Trains and scores with the program; each pack is made once."""

    def __init__(self, nudge, table, work, left_out):
        self.nudge, self.table, self.work, self.left_out = nudge, table, work, left_out

    def run(self, *arguments):
        done = subprocess.run([self.nudge, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(done.stderr)

    def pack(self, body, seed, until):
        """The configuration and the pack fitted to the sessions before `until`."""
        text = (f"train:\n  target: table\n  name: shoppers\n  seed: {seed}\n  until: {until}\n"
                f"  leave_out_features: [{', '.join(self.left_out)}]\n{body}")
        path = os.path.join(self.work, hashlib.sha256(text.encode()).hexdigest()[:16])
        if not os.path.exists(path):
            with open(path + ".yaml", "w", encoding="ascii") as file:
                file.write(text)
            self.run("train", path + ".yaml", "--input", self.table, "--output", path)
        return path + ".yaml", path

    def mean(self, members, until):
        """A pack that is the mean of packs."""
        packs = [self.pack(body, seed, until) for body, seed in members]
        if len(packs) == 1:
            return packs[0]
        folder = "+".join([packs[0][1], *(os.path.basename(pack) for _, pack in packs[1:])])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "manifest.yaml"), "w", encoding="ascii") as file:
            file.write("format: 1\nkind: mean\nname: shoppers\nversion: 1\npacks: [%s]\n"
                       % ", ".join(f"../{os.path.basename(pack)}" for _, pack in packs))
        return packs[0][0], folder

    def chances(self, members, until, before, labels):
        config, pack = self.mean(members, until)
        scores = os.path.join(self.work, "scores.csv")
        self.run("eval", config, "--input", self.table, "--pack", pack, "--after", until, "--before",
                 before, "--scores", scores)
        return uci_shoppers.read_chances(scores, labels)


def candidates():
    """Of each kind by name: runs, each a list of (configuration, seed) whose mean is the model."""
    kinds = {"trees": {name: [[(body, seed)] for seed in (SEEDS if "row_share: 1," not in body else (1,))]
                       for name, body in TREES.items()},
             "MLP": {name: [[(body, seed)] for seed in SEEDS] for name, body in MLPS.items()},
             "logistic": {"": [[(LOGISTIC, 1)]]}}
    mlp = MLPS["16"]
    means = {}
    for name, body in TREES.items():
        if "row_share: 1," not in body:
            means[f"three seeds of {name}"] = [[(body, seed) for seed in SEEDS]]
        means[f"{name}, MLP 16, logistic"] = [[(body, 1), (mlp, 1), (LOGISTIC, 1)]]
        means[f"{name}, MLP 16"] = [[(body, 1), (mlp, 1)]]
    return {**kinds, "mean": means}


def show_seeds(bench, body, labels, theirs):
    members = [(body, seed) for seed in MORE_SEEDS]
    areas = [roc_auc_score(labels, bench.chances([one], TEST_FROM, TEST_TO, labels)) for one in members]
    print("\nthe trees that were chosen, September and October, by seed: "
          + " ".join(f"{area:.4f}" for area in areas) + f", mean {numpy.mean(areas):.4f}; of their mean:")
    uci_shoppers.compare(labels, bench.chances(members, TEST_FROM, TEST_TO, labels), theirs)


def show_what_choice_could_not_know(bench, x, y, is_test):
    draw = numpy.random.default_rng(1)
    found = []
    for _ in range(20):
        kept = ~is_test & (draw.random(len(y)) > 0.01)
        found.append(roc_auc_score(y[is_test], uci_shoppers.sklearn_chances(x, y, kept, is_test)))
    print(f"\nscikit-learn's ROC-AUC with one in a hundred training sessions left out, 20 times: "
          f"{min(found):.4f} to {max(found):.4f}, mean {numpy.mean(found):.4f}")
    print("\nROC-AUC of all trees on September and October, by which nothing was chosen")
    for name, body in TREES.items():
        ours = bench.chances([(body, 1)], TEST_FROM, TEST_TO, y[is_test])
        print(f"{name:52s} {roc_auc_score(y[is_test], ours):.4f}", flush=True)


def main(nudge, table, work, *left_out):
    os.makedirs(work, exist_ok=True)
    bench = Bench(nudge, table, work, left_out)
    _, times, x, y = uci_shoppers.read_table(table, left_out)
    training = numpy.sort(times[times < TEST_FROM])
    cuts = [*(str(training[len(training) * i // (FOLDS + 1)]) for i in range(1, FOLDS + 1)), TEST_FROM]
    spans = [(cuts[i], cuts[i + 1], (times >= cuts[i]) & (times < cuts[i + 1])) for i in range(FOLDS)]
    theirs = [roc_auc_score(y[tested], uci_shoppers.sklearn_chances(x, y, times < begin, tested))
              for begin, _, tested in spans]
    show = lambda name, values: print(f"{name:52s} {numpy.mean(values):.4f}   "
                                      + " ".join(f"{value:.3f}" for value in values), flush=True)
    print("mean ROC-AUC over the spans, and each")
    show("scikit-learn, as it comes", theirs)
    chosen = []
    for kind, named in candidates().items():
        found = []
        for name, runs in named.items():
            areas = [[roc_auc_score(y[tested], bench.chances(members, begin, end, y[tested]))
                      for begin, end, tested in spans] for members in runs]
            found.append((numpy.mean(areas), f"{kind}: {name}", runs[0], numpy.mean(areas, axis=0)))
            show(found[-1][1], found[-1][3])
        chosen.append(max(found))
    best = max(chosen)
    is_test = times >= TEST_FROM
    theirs = uci_shoppers.sklearn_chances(x, y, ~is_test, is_test)
    for one in chosen:
        print(f"\n{one[1]}, chosen of its kind{' and of all' if one is best else ''}, September and October:")
        ours = bench.chances(one[2], TEST_FROM, TEST_TO, y[is_test])
        uci_shoppers.compare(y[is_test], ours, theirs)
    show_seeds(bench, chosen[0][2][0][0], y[is_test], theirs)
    show_what_choice_could_not_know(bench, x, y, is_test)


if __name__ == "__main__":
    main(*sys.argv[1:])
