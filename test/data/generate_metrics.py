#!/usr/bin/env python3
"""Writes metrics.tsv: random rows and what scikit-learn measures on them (python3-sklearn).

    generate_metrics.py > metrics.tsv
"""
import random

from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

random.seed(20260601)
print("# rows (chance:label:weight ...), ROC-AUC, average precision, log loss, Brier")
for case in range(12):
    count = [5, 17, 60, 200][case % 4]
    steps = [0, 4, 20][case % 3]  # 0: no ties; else so many values
    rows = []
    for i in range(count):
        chance = random.random()
        if steps:
            chance = (1 + int(chance * steps)) / (steps + 2)
        chance = float(f"{chance:.6f}")
        label = int(random.random() < 0.2 + 0.5 * chance) if i > 1 else i
        weight = 1 if case < 6 else random.randint(0, 3) if i > 1 else 1
        rows.append((chance, label, weight))
    p, y, w = zip(*rows)
    values = [
        roc_auc_score(y, p, sample_weight=w),
        average_precision_score(y, p, sample_weight=w),
        log_loss(y, p, sample_weight=w),
        brier_score_loss(y, p, sample_weight=w),
    ]
    print(" ".join(f"{a}:{b}:{c}" for a, b, c in rows), *(f"{v:.12f}" for v in values), sep="\t")
