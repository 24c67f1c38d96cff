#!/usr/bin/env python3
"""Sessions of the UCI data set "Online Shoppers Purchasing Intention" as a table for `nudge train`.

    uci_shoppers.py online_shoppers.csv > shoppers.csv      the table
    uci_shoppers.py --sklearn shoppers.csv scores.csv [FEATURE...]
        scikit-learn's gradient boosting on the same split, without the FEATUREs, beside the scores
        of `nudge eval --scores`, and how far apart the two are over drawn sets of test sessions

The data have months and no times: the sessions of a month are spread over its first
28 days in the order of the file. Training is divided by these times, the test months are whole.
"""
import collections
import csv
import sys
from datetime import datetime, timedelta

MONTHS = {"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "June": 6, "Jul": 7, "Aug": 8, "Sep": 9,
          "Oct": 10, "Nov": 11, "Dec": 12}
NUMBERS = ["Administrative", "Administrative_Duration", "Informational", "Informational_Duration",
           "ProductRelated", "ProductRelated_Duration", "BounceRates", "ExitRates", "PageValues",
           "SpecialDay", "OperatingSystems", "Browser", "Region", "TrafficType"]
TEST_FROM = "2017-09"


def write_table(path):
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["time", "label", *NUMBERS, "is_new_visitor", "is_weekend"])
    with open(path, newline="", encoding="ascii") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: MONTHS[row["Month"]])
    counts = collections.Counter(row["Month"] for row in rows)
    seen = collections.Counter()
    for row in rows:
        month = row["Month"]
        minute = 28 * 1440 * seen[month] // counts[month]
        seen[month] += 1
        time = datetime(2017, MONTHS[month], 1) + timedelta(minutes=minute)
        out.writerow([f"{time:%Y-%m-%dT%H:%M:%SZ}", int(row["Revenue"] == "TRUE"),
                      *(row[name] for name in NUMBERS),
                      int(row["VisitorType"] == "New_Visitor"), int(row["Weekend"] == "TRUE")])


def read_table(path, left_out):
    """Names of the features in use, times, features and labels of the table's rows."""
    import numpy

    with open(path, newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("time", "label", *left_out)]
    return (names, numpy.array([row["time"] for row in rows]),
            numpy.array([[float(row[name]) for name in names] for row in rows]),
            numpy.array([int(row["label"]) for row in rows]))


def sklearn_chances(x, y, is_fitted, is_tested):
    """Of scikit-learn's histogram gradient boosting, as it comes."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=0).fit(x[is_fitted], y[is_fitted])
    return model.predict_proba(x[is_tested])[:, 1]


def read_chances(path, labels):
    """The chances of `nudge eval --scores`, which must be of rows with these labels."""
    import numpy

    with open(path, newline="", encoding="ascii") as file:
        scored = list(csv.DictReader(file))
    if [int(row["label"]) for row in scored] != list(labels):
        sys.exit(f"{path}: the scores of the table's {len(labels)} rows of these months expected")
    return numpy.array([float(row["chance"]) for row in scored])


def compare(labels, ours, theirs, out=sys.stdout):
    """Both areas of both, and how far apart they are over drawn sets of test sessions."""
    import numpy
    from sklearn.metrics import average_precision_score, roc_auc_score

    for name, chances in (("scikit-learn", theirs), ("nudge", ours)):
        print(f"{name}: ROC-AUC {roc_auc_score(labels, chances):.4f}, "
              f"average precision {average_precision_score(labels, chances):.4f}", file=out)
    draw = numpy.random.default_rng(1)
    apart = []
    for _ in range(1000):
        picked = draw.integers(0, len(labels), len(labels))
        apart.append(roc_auc_score(labels[picked], ours[picked])
                     - roc_auc_score(labels[picked], theirs[picked]))
    low, high = numpy.quantile(apart, [0.025, 0.975])
    print(f"ROC-AUC of nudge less scikit-learn's, 95%: {low:+.4f} to {high:+.4f}", file=out)


def run_sklearn(path, scores_path, left_out):
    _, times, x, y = read_table(path, left_out)
    is_test = times >= TEST_FROM
    ours = read_chances(scores_path, y[is_test])
    compare(y[is_test], ours, sklearn_chances(x, y, ~is_test, is_test))


if __name__ == "__main__":
    if sys.argv[1] == "--sklearn":
        run_sklearn(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        write_table(sys.argv[1])
