#!/usr/bin/python3
"""Models made elsewhere, the way a data scientist brings them: features that nudge wrote of each event, a model that
XGBoost, scikit-learn or PyTorch fits to them here, its file in a folder with a manifest, and its predictions back.

    brought_models_test.py NUDGE [TEST...]

Needs python3-xgboost, python3-sklearn and python3-torch, of the system's Python. SEED names another draw of the models.
"""
import functools
import glob
import json
import math
import os
import re
import struct
import sys
import warnings

import harness
from harness import Skip, check, equal, nudge, records, run_ok, write

SEED = int(os.environ.get("SEED", "1"))
LIMIT = 5.0  # How many spreads from the mean a network's input is cut off at.
SERVE = """
input: {format: avro}
output: {scored_events_share: 1}
"""


def library(name):
    try:
        return __import__(name)
    except ImportError as problem:
        raise Skip(f"{problem}: python3-{name} is not installed") from None


@functools.lru_cache(maxsize=None)
def history(work):
    """What a run without models wrote: names, features [event][feature], types and sessions of events."""
    numpy = library("numpy")
    result = nudge("generate", "--output", f"{work}/history", "--events", 6000, "--users", 800, "--days", 1,
                   "--seed", SEED, "--late", 0, "--duplicates", 0)
    check(result.code == 0, f"generate: {result}")
    names = re.findall(r"^\| `(\w+)` \|", nudge("describe", "features", "--markdown").out, re.M)
    run_ok(write(f"{work}/plain.yaml", SERVE), glob.glob(f"{work}/history/*.avro"), f"{work}/plain")
    rows = records(f"{work}/plain", "scored_events")
    features = numpy.array([[math.nan if value is None else value for value in row["features"]]
                            for row in rows], dtype=numpy.float32)
    equal(features.shape, (len(rows), len(names)), "features")
    check(len(rows) > 5000 and numpy.isnan(features).any(), "events with features, some of them missing")
    return names, features, rows


def served(work, pack):
    """The score of each event by the pack, through the whole pipeline."""
    config = write(f"{pack}.serve.yaml", SERVE + f"predict_intent: {{purchase_pack: {pack}}}\n")
    run_ok(config, glob.glob(f"{work}/history/*.avro"), f"{pack}.out")
    rows = records(f"{pack}.out", "scored_events")
    equal([row["ordinal"] for row in rows], [row["ordinal"] for row in history(work)[2]], "events")
    return [row["scores"]["purchase"] for row in rows]


def same_margins(scores, margins, what):
    """A score is a chance of seven digits, so that a margin far from 0 is not known well."""
    worst = 0.0
    for score, margin in zip(scores, margins):
        check(score is not None, f"{what}: an event has no score")
        if abs(margin) > 4:
            check(abs(score - 1 / (1 + math.exp(-margin))) < 1e-6, f"{what}: {score}, margin {margin}")
        else:
            worst = max(worst, abs(math.log(score / (1 - score)) - margin))
    check(worst < 1e-5, f"{what}: {worst} off on the margin")
    check(max(margins) - min(margins) > 0.5, f"{what}: the model says the same of all")


def same_values(scores, values, what):
    worst = max(abs(score - value) / max(1.0, abs(value)) for score, value in zip(scores, values))
    check(worst < 1e-5, f"{what}: {worst} off")
    check(max(values) - min(values) > 0.1, f"{what}: the model says the same of all")


# ---- XGBoost ----

OBJECTIVES = {
    "binary:logistic": "",
    "multi:softprob": "class: 2\n",
    "multi:softmax": "class: 1\n",
    "reg:squarederror": "output: value\n",
    "count:poisson": "output: value\n",
    "rank:pairwise": "output: value\n",
}


def labels_of(numpy, generator, objective, column):
    """Something that can be learnt: the rank of one feature, with noise."""
    order = numpy.argsort(numpy.argsort(numpy.nan_to_num(column, nan=-1.0))) / len(column)
    noisy = numpy.clip(order + generator.normal(0, 0.4, size=len(column)), 0, 1)
    return (noisy > 0.6).astype(int) if objective.startswith("binary") else (noisy * 2.99).astype(int)


def test_trees_of_xgboost_predict_what_they_predict_there(work):
    xgboost, numpy = library("xgboost"), library("numpy")
    names, features, _ = history(work)
    types = ["c" if name == "event_type" else "q" for name in names]
    generator = numpy.random.default_rng(SEED)
    for objective, manifest in OBJECTIVES.items():
        for ending in ("json", "ubj"):
            column = features[:, names.index("session_events" if ending == "json" else "gap_last_s")]
            matrix = xgboost.DMatrix(features, labels_of(numpy, generator, objective, column),
                                     feature_names=names, feature_types=types, enable_categorical=True)
            if objective.startswith("rank"):
                matrix.set_group([100] * (len(features) // 100) + [len(features) % 100] * (len(features) % 100 > 0))
            settings = {"objective": objective, "tree_method": "hist", "max_depth": int(generator.integers(2, 7)),
                        "eta": 0.3, "base_score": float(generator.uniform(0.2, 0.8)), "seed": SEED,
                        "subsample": 0.8, "nthread": 1}
            if objective.startswith("multi"):
                settings["num_class"] = 3
            booster = xgboost.train(settings, matrix, num_boost_round=int(generator.integers(5, 30)))
            pack = f"{work}/{objective.replace(':', '_')}_{ending}"
            os.makedirs(pack)
            booster.save_model(f"{pack}/model.{ending}")
            write(f"{pack}/manifest.yaml", f"format: 1\nkind: trees\nname: brought\nversion: 1\n"
                  f"model: model.{ending}\n{manifest}")
            scores, what = served(work, pack), f"{objective}, {ending}, seed {SEED}"
            if "value" in manifest:
                same_values(scores, booster.predict(matrix).tolist(), what)
            elif objective.startswith("multi"):
                margins = booster.predict(matrix, output_margin=True)
                chosen = int(manifest.split()[1])
                others = numpy.delete(margins, chosen, axis=1).astype(float)
                same_margins(scores, margins[:, chosen] - numpy.log(numpy.exp(others).sum(axis=1)), what)
            else:
                same_margins(scores, booster.predict(matrix, output_margin=True).tolist(), what)


# ---- Networks ----

def write_tensors(path, tensors):
    """As the safetensors library does, which Debian does not have."""
    header, data = {}, b""
    for name, value in tensors.items():
        raw = value.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    write(path, struct.pack("<Q", len(text)) + text + data)


class Numbers:
    """Some features as inputs of a network: less the mean, by the spread, cut off; 0 where they are missing."""

    def __init__(self, work, left_out=()):
        numpy = library("numpy")
        names, features, _ = history(work)
        with numpy.errstate(invalid="ignore"):
            spread = numpy.nanmax(features, axis=0, initial=-1e30) - numpy.nanmin(features, axis=0, initial=1e30)
        self.columns = [i for i, name in enumerate(names) if spread[i] > 0 and name not in left_out]
        self.names = [names[i] for i in self.columns]
        chosen = features[:, self.columns]
        self.mean = numpy.nanmean(chosen, axis=0, dtype=float).astype(numpy.float32)
        self.scale = numpy.nanstd(chosen, axis=0, dtype=float).astype(numpy.float32) + numpy.float32(0.01)
        inputs = (chosen - self.mean) * (numpy.float32(1) / self.scale)
        self.inputs = numpy.nan_to_num(numpy.clip(inputs, -LIMIT, LIMIT)).astype(numpy.float32)

    def listed(self):
        return "".join(f"  - {{name: {name}, mean: {mean:.9g}, scale: {scale:.9g}, limit: {LIMIT}}}\n"
                       for name, mean, scale in zip(self.names, self.mean, self.scale))


def write_pack(pack, kind, features, network, tensors):
    write(f"{pack}/manifest.yaml", f"format: 1\nkind: {kind}\nname: brought\nversion: 1\n"
          f"features:\n{features}network:\n{network}")
    write_tensors(f"{pack}/weights.safetensors", tensors)


def test_networks_of_scikit_learn_predict_what_they_predict_there(work):
    library("sklearn")
    warnings.simplefilter("ignore") # It says that it could learn more.
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    numpy = library("numpy")
    numbers = Numbers(work)
    column = numbers.inputs[:, numbers.names.index("session_events")]
    labels = labels_of(numpy, numpy.random.default_rng(SEED), "binary", column)
    models = [("regression", "none", LogisticRegression(C=0.1, max_iter=300))]
    for activation, ours in (("relu", "relu"), ("tanh", "tanh"), ("logistic", "sigmoid")):
        models.append((activation, ours, MLPClassifier((24, 9), activation=activation, max_iter=8,
                                                       random_state=SEED)))
    for name, activation, model in models:
        model.fit(numbers.inputs.astype(float), labels)
        is_regression = name == "regression"
        weights = [model.coef_.T] if is_regression else model.coefs_
        biases = [model.intercept_] if is_regression else model.intercepts_
        tensors, layers = {}, ""
        for i, (weight, bias) in enumerate(zip(weights, biases)):
            tensors[f"net.{i}.weight"], tensors[f"net.{i}.bias"] = weight.T, bias
            shape = "" if i == len(weights) - 1 else f", activation: {activation}"
            layers += f"    - {{size: {len(bias)}, tensor: net.{i}{shape}}}\n"
        pack = f"{work}/sklearn_{name}"
        write_pack(pack, "mlp", numbers.listed(), f"  layers:\n{layers}", tensors)
        chances = model.predict_proba(numbers.inputs.astype(float))
        margins = numpy.log(chances[:, 1]) - numpy.log(chances[:, 0])
        same_margins(served(work, pack), margins.tolist(), f"{name}, seed {SEED}")


def sessions_of(rows):
    """For each session the places of its events in `rows`."""
    found = {}
    for i, row in enumerate(rows):
        found.setdefault(row["session_id"], []).append(i)
    return list(found.values())


def fitted(torch, model, forward, labels):
    """A few steps of descent, so that the weights are some that training makes."""
    descent = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(8):
        descent.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(forward(), labels)
        loss.backward()
        descent.step()
    with torch.no_grad():
        return forward().tolist(), {name: value.numpy() for name, value in model.state_dict().items()}


def test_networks_of_pytorch_predict_what_they_predict_there(work):
    torch, numpy = library("torch"), library("numpy")
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    names, features, rows = history(work)
    numbers = Numbers(work, left_out=("event_type",))
    x = torch.tensor(numbers.inputs)
    width = x.shape[1]
    types = torch.tensor(features[:, names.index("event_type")].astype(int) + 2)
    labels = torch.tensor(labels_of(numpy, numpy.random.default_rng(SEED), "binary",
                                    features[:, names.index("session_events")])).float()

    class Wide(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = torch.nn.Linear(width, 33), torch.nn.LayerNorm(33)
            self.last = torch.nn.Linear(33, 1)

        def forward(self):
            return self.last(torch.nn.functional.gelu(self.norm(self.first(x))))[:, 0]

    model = Wide()
    margins, tensors = fitted(torch, model, model.forward, labels)
    write_pack(f"{work}/torch_mlp", "mlp", numbers.listed(),
               "  layers:\n    - {size: 33, activation: gelu, norm: true, tensor: first, norm_tensor: norm}\n"
               "    - {size: 1, tensor: last}\n", tensors)
    same_margins(served(work, f"{work}/torch_mlp"), margins, f"mlp, seed {SEED}")

    steps = torch.nn.utils.rnn.pack_sequence([torch.tensor(places) for places in sessions_of(rows)],
                                             enforce_sorted=False)

    class Stepped(torch.nn.Module):
        def __init__(self, cell):
            super().__init__()
            self.types = torch.nn.Embedding(40, 5)
            self.cell = cell(width + 5, 19, batch_first=True)
            self.last = torch.nn.Linear(19, 1)

        def forward(self):
            inputs = torch.cat([x, self.types(types)], dim=1)
            output, _ = self.cell(steps._replace(data=inputs[steps.data]))
            return self.last(output.data)[:, 0][torch.argsort(steps.data)]

    for kind, cell in (("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM)):
        model = Stepped(cell)
        margins, tensors = fitted(torch, model, model.forward, labels)
        write_pack(f"{work}/torch_{kind}", kind, numbers.listed() + "  - {name: event_type}\n",
                   "  hidden: 19\n  tensor: cell\n  embeddings:\n"
                   "    - {feature: event_type, rows: 40, width: 5, first: 2, missing: 0, unknown: 1,"
                   " tensor: types.weight}\n  layers:\n    - {size: 1, tensor: last}\n", tensors)
        same_margins(served(work, f"{work}/torch_{kind}"), margins, f"{kind}, seed {SEED}")


if __name__ == "__main__":
    harness.main(sys.modules["__main__"])
