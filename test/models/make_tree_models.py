#!/usr/bin/env python3
"""Trains the small models of test/models/trees and writes what their makers predict.

Needs numpy, scipy, xgboost and lightgbm, and is run by hand: the files it writes are committed, so
that the tests need none of them. Written with XGBoost 1.7.4 (Debian 12) and LightGBM 4.7.0.

    python3 test/models/make_tree_models.py test/models/trees [NAME...]

With names only those are made, and the library that none of them needs may be missing.

NAME.rows: a line "features outputs contributions", then a line a row: features, margins,
predictions and, where contributions is 1, for each output the SHAP value of each feature and the
expected margin.
"""
import sys
from pathlib import Path

import numpy

try:
    import lightgbm
except ImportError:
    lightgbm = None
try:
    import xgboost
except ImportError:
    xgboost = None

FOLDER = Path(sys.argv[1])
CHOSEN = set(sys.argv[2:])
ROWS = 48
NAN = float("nan")


def write_rows(name, rows, margins, predictions, contributions=None):
    count = len(rows)
    margins = numpy.asarray(margins, dtype=numpy.float64).reshape(count, -1)
    predictions = numpy.asarray(predictions, dtype=numpy.float64).reshape(count, -1)
    columns = [rows, margins, predictions]
    if contributions is not None:
        columns.append(numpy.asarray(contributions, dtype=numpy.float64).reshape(count, -1))
    with open(FOLDER / f"{name}.rows", "w", encoding="ascii") as file:
        print(rows.shape[1], margins.shape[1], int(contributions is not None), file=file)
        for row in numpy.hstack(columns):
            print(*(f"{value:.9g}" for value in row), file=file)


def table(generator, count, categories=0):
    """Two zero-heavy columns, three others, with missing values; then two of categories."""
    x = generator.normal(size=(count, 5)).astype(numpy.float32)
    x[:, 0] = numpy.where(generator.random(count) < 0.5, 0, x[:, 0])
    x[:, 1] = numpy.where(generator.random(count) < 0.3, 0, numpy.round(x[:, 1]))
    if categories:
        codes = generator.integers(0, categories, size=(count, 2)).astype(numpy.float32)
        codes[:, 1] %= 5
        x = numpy.hstack([x, codes])
    truth = (
        x[:, 0] - x[:, 2] * x[:, 3] + numpy.where(x[:, 1] == 0, 1.5, 0) + 0.3 * x[:, 4]
        + (numpy.sin(x[:, 5] * 7) + (x[:, 6] == 2) if categories else 0)
    )
    holes = generator.random((count, 5)) < 0.15
    x[:, :5][holes] = NAN
    if categories:
        x[:, 5:][generator.random((count, 2)) < 0.05] = NAN
    return x, truth


def odd_rows(x, categories):
    """Values at the edges of what the makers define."""
    rows = x[:ROWS].copy()
    rows[0, :5] = NAN
    rows[1, :5] = 0
    rows[2, :5] = -0.0
    rows[3, :5] = 1e-36
    rows[4, :5] = -1e-34
    rows[5, :5] = 3e38
    rows[6, :5] = -3e38
    if categories:
        for i, value in enumerate([NAN, 1.9, categories, categories + 31, 70, 1000]):
            rows[7 + i, 5:] = value
    return rows


def write_xgboost(name, parameters, rounds, target, categories=0, suffixes=("json",), **more):
    if CHOSEN and name not in CHOSEN:
        return
    generator = numpy.random.default_rng(len(name) + sum(map(ord, name)))
    x, truth = table(generator, 600, categories)
    types = ["q"] * 5 + ["c"] * (x.shape[1] - 5)
    y = target(truth)
    if parameters["objective"] == "survival:aft":
        more = {"label_lower_bound": y, "label_upper_bound": numpy.where(y > 3, numpy.inf, y)}
    data = xgboost.DMatrix(x, y, feature_types=types, enable_categorical=True, **more)
    if "rank" in parameters["objective"]:
        data.set_group([10] * 60)
    booster = xgboost.train({"seed": 1, "tree_method": "hist", **parameters}, data, rounds)
    rows = odd_rows(x, categories)
    wanted = xgboost.DMatrix(rows, feature_types=types, enable_categorical=True)
    for suffix in suffixes:
        booster.save_model(FOLDER / f"{name}.{suffix}")
    predicted = booster.predict(wanted)
    if parameters["objective"] == "multi:softmax":
        predicted = numpy.zeros((ROWS, 0))
    contributions = None
    if parameters.get("booster") != "dart":
        contributions = booster.predict(wanted, pred_contribs=True)
    write_rows(name, rows, booster.predict(wanted, output_margin=True), predicted, contributions)


def write_lightgbm(name, parameters, rounds, target, categories=0):
    if CHOSEN and name not in CHOSEN:
        return
    generator = numpy.random.default_rng(len(name) + sum(map(ord, name)))
    x, truth = table(generator, 600, categories)
    codes = list(range(5, x.shape[1]))
    data = lightgbm.Dataset(x, target(truth), categorical_feature=codes, free_raw_data=False)
    if parameters["objective"] in ("lambdarank", "rank_xendcg"):
        data.set_group([10] * 60)
    fixed = {"seed": 1, "verbose": -1, "num_threads": 1, "deterministic": True,
             "min_data_in_leaf": 5, "min_data_per_group": 5, "cat_smooth": 1}
    booster = lightgbm.train({**fixed, **parameters}, data, rounds)
    rows = odd_rows(x, categories)
    rows[20, :5] = numpy.inf
    rows[21, :5] = -numpy.inf
    if categories:
        rows[13, 5:] = -0.5
        rows[14, 5:] = -1
    booster.save_model(FOLDER / f"{name}.txt")
    # A forest's raw scores are sums; what the link then sees is their average.
    trees = booster.num_trees() if parameters.get("boosting") == "rf" else 1
    write_rows(name, rows, booster.predict(rows, raw_score=True) / trees, booster.predict(rows),
               booster.predict(rows, pred_contrib=True) / trees)


def binary(truth):
    return (truth > numpy.nanmedian(truth)).astype(int)


def classes(truth):
    return numpy.digitize(truth, numpy.nanquantile(truth, [0.3, 0.6]))


def many(truth):
    return numpy.digitize(truth, numpy.nanquantile(truth, [0.1, 0.2, 0.4, 0.5, 0.7, 0.95]))


def counts(truth):
    return numpy.round(numpy.exp(numpy.clip(truth, -3, 2)))


def grades(truth):
    return numpy.digitize(truth, numpy.nanquantile(truth, [0.5, 0.8, 0.95]))


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_xgboost("xgb_binary", {"objective": "binary:logistic", "max_depth": 4}, 12, binary,
                  suffixes=("json", "ubj"))
    write_xgboost("xgb_categories", {"objective": "binary:logistic", "max_depth": 4,
                                     "max_cat_to_onehot": 8}, 10, binary, 40,
                  suffixes=("json", "ubj"))
    write_xgboost("xgb_deep", {"objective": "reg:squarederror", "max_depth": 11,
                               "base_score": 100}, 3, lambda truth: truth + 100)
    write_xgboost("xgb_classes", {"objective": "multi:softprob", "num_class": 3,
                                  "max_depth": 3}, 5, classes)
    write_xgboost("xgb_softmax", {"objective": "multi:softmax", "num_class": 3,
                                  "max_depth": 2}, 3, classes)
    write_xgboost("xgb_forest", {"objective": "binary:logistic", "num_parallel_tree": 5,
                                 "subsample": 0.6, "max_depth": 4, "base_score": 0.25}, 2, binary)
    write_xgboost("xgb_dart", {"objective": "reg:squarederror", "booster": "dart",
                               "rate_drop": 0.5, "max_depth": 3}, 8, lambda truth: truth)
    write_xgboost("xgb_poisson", {"objective": "count:poisson", "max_depth": 3,
                                  "base_score": 2}, 6, counts)
    write_xgboost("xgb_gamma", {"objective": "reg:gamma", "max_depth": 2}, 4,
                  lambda truth: counts(truth) + 1)
    write_xgboost("xgb_raw", {"objective": "binary:logitraw", "max_depth": 3,
                              "base_score": 0.3}, 4, binary)
    write_xgboost("xgb_hinge", {"objective": "binary:hinge", "max_depth": 3}, 4, binary)
    write_xgboost("xgb_rank", {"objective": "rank:ndcg", "max_depth": 3}, 4, grades)
    write_xgboost("xgb_targets", {"objective": "reg:squarederror", "max_depth": 3}, 3,
                  lambda truth: numpy.stack([truth, -truth, truth ** 2], axis=1))
    small = {"max_depth": 2, "base_score": 0.7}
    write_xgboost("xgb_tweedie", {"objective": "reg:tweedie", **small}, 3, counts)
    write_xgboost("xgb_cox", {"objective": "survival:cox", **small}, 3,
                  lambda truth: counts(truth) + 1)
    write_xgboost("xgb_aft", {"objective": "survival:aft", **small}, 3,
                  lambda truth: counts(truth) + 1)
    write_xgboost("xgb_logistic", {"objective": "reg:logistic", **small}, 3, binary)
    write_xgboost("xgb_pairwise", {"objective": "rank:pairwise", **small}, 3, grades)
    write_xgboost("xgb_absolute", {"objective": "reg:absoluteerror", **small}, 3,
                  lambda truth: truth)
    write_xgboost("xgb_logarithm", {"objective": "reg:squaredlogerror", **small}, 3, counts)
    write_xgboost("xgb_huber", {"objective": "reg:pseudohubererror", **small}, 3,
                  lambda truth: truth)
    write_xgboost("xgb_two_classes", {"objective": "multi:softprob", "num_class": 2, **small}, 3,
                  binary)
    write_xgboost("xgb_many_classes", {"objective": "multi:softprob", "num_class": 7, "eta": 2,
                                       "max_depth": 2}, 3, many, 40)
    write_lightgbm("lgb_binary", {"objective": "binary", "num_leaves": 9}, 12, binary)
    write_lightgbm("lgb_zero_missing", {"objective": "binary", "num_leaves": 9,
                                        "zero_as_missing": True}, 12, binary)
    write_lightgbm("lgb_no_missing", {"objective": "binary", "num_leaves": 9,
                                      "use_missing": False}, 12, binary)
    write_lightgbm("lgb_categories", {"objective": "binary", "num_leaves": 9, "sigmoid": 2.0},
                   12, binary, 40)
    write_lightgbm("lgb_deep", {"objective": "regression", "num_leaves": 60}, 4,
                   lambda truth: truth + 1000)
    write_lightgbm("lgb_classes", {"objective": "multiclass", "num_class": 3, "num_leaves": 6},
                   5, classes)
    write_lightgbm("lgb_one_each", {"objective": "multiclassova", "num_class": 3,
                                    "num_leaves": 6}, 5, classes)
    write_lightgbm("lgb_forest", {"objective": "binary", "boosting": "rf", "bagging_freq": 1,
                                  "bagging_fraction": 0.6, "num_leaves": 9}, 9, binary)
    write_lightgbm("lgb_forest_regression", {"objective": "regression", "boosting": "rf",
                                             "bagging_freq": 1, "bagging_fraction": 0.6,
                                             "num_leaves": 9}, 9, lambda truth: truth)
    write_lightgbm("lgb_dart", {"objective": "binary", "boosting": "dart", "drop_rate": 0.5,
                                "num_leaves": 7}, 8, binary)
    write_lightgbm("lgb_poisson", {"objective": "poisson", "num_leaves": 6}, 6, counts)
    write_lightgbm("lgb_root", {"objective": "regression", "reg_sqrt": True, "num_leaves": 6},
                   6, lambda truth: truth * 3)
    write_lightgbm("lgb_rank", {"objective": "lambdarank", "num_leaves": 6}, 6, grades)
    write_lightgbm("lgb_entropy_lambda", {"objective": "cross_entropy_lambda", "num_leaves": 6},
                   6, binary)
    write_lightgbm("lgb_tweedie", {"objective": "tweedie", "num_leaves": 4}, 3, counts)
    write_lightgbm("lgb_gamma", {"objective": "gamma", "num_leaves": 4}, 3,
                   lambda truth: counts(truth) + 1)
    write_lightgbm("lgb_entropy", {"objective": "cross_entropy", "num_leaves": 4}, 3, binary)
    write_lightgbm("lgb_xendcg", {"objective": "rank_xendcg", "num_leaves": 4}, 3, grades)
    write_lightgbm("lgb_category_classes", {"objective": "multiclass", "num_class": 4,
                                            "num_leaves": 4}, 3,
                   lambda truth: grades(truth), 40)
    write_lightgbm("lgb_constant", {"objective": "binary", "num_leaves": 6,
                                    "min_data_in_leaf": 1000}, 2, binary)


main()
