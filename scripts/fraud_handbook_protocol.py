#!/usr/bin/env python3
"""Measures scores by the handbook's own protocol.

    fraud_handbook_protocol.py SCORES.csv FIRST_TRAINING_DAY 2018-*.csv.gz

SCORES.csv is what `nudge eval --scores` wrote for the seven days that begin a fortnight after
FIRST_TRAINING_DAY. As in the handbook (chapter 5, get_train_test_set and card_precision_top_k):
cards that are known by the day to have been defrauded, since their fraud lay in the training week or
after it and at least 7 days back, are left out of the test; each day the 100 cards with the highest
score are looked at, and those found to be defrauded are left out of the days after.
"""
import csv
import gzip
import sys
from datetime import date, timedelta

DAYS = 7
TOP = 100


def payments(paths, first, last):
    """(day, time, card, is_fraud) of the payments of these days, in order."""
    for path in sorted(paths):
        with gzip.open(path, "rt", newline="") as file:
            for row in csv.DictReader(file):
                day = row["TX_DATETIME"][:10]
                if first <= day <= last:
                    yield day, row["TX_DATETIME"], row["CUSTOMER_ID"], row["TX_FRAUD"] == "1"


def roc_auc(rows):
    """rows: (score, is_fraud). The chance that a fraud scores above another, ties by half."""
    ordered = sorted(rows)
    rank_sum = 0.0
    begin = 0
    while begin < len(ordered):
        end = begin
        while end < len(ordered) and ordered[end][0] == ordered[begin][0]:
            end += 1
        rank_sum += sum(is_fraud for _, is_fraud in ordered[begin:end]) * (begin + end + 1) / 2
        begin = end
    positive = sum(is_fraud for _, is_fraud in ordered)
    negative = len(ordered) - positive
    return (rank_sum - positive * (positive + 1) / 2) / (positive * negative)


def by_threshold(rows):
    """(true positives, false positives) at each score, from the highest."""
    ordered = sorted(rows, reverse=True)
    found = wrong = 0
    for i, (score, is_fraud) in enumerate(ordered):
        found += is_fraud
        wrong += not is_fraud
        if i + 1 == len(ordered) or ordered[i + 1][0] != score:
            yield found, wrong


def average_precision(rows):
    positive = sum(is_fraud for _, is_fraud in rows)
    total, before = 0.0, 0
    for found, wrong in by_threshold(rows):
        total += (found - before) / positive * found / (found + wrong)
        before = found
    return total


def recall_at(rows, rate):
    positive = sum(is_fraud for _, is_fraud in rows)
    negative = len(rows) - positive
    return max((found for found, wrong in by_threshold(rows) if wrong <= rate * negative),
               default=0) / positive


def card_precision(days):
    caught, precisions = set(), []
    for rows in days:
        cards = {}
        for card, score, is_fraud in rows:
            if card not in caught:
                best, fraud = cards.get(card, (-1.0, False))
                cards[card] = (max(best, score), fraud or is_fraud)
        top = sorted(cards, key=lambda card: cards[card][0], reverse=True)[:TOP]
        found = [card for card in top if cards[card][1]]
        precisions.append(len(found) / TOP)
        caught.update(found)
    return sum(precisions) / len(precisions)


def main():
    scores_path, first_text, *paths = sys.argv[1:]
    first = date.fromisoformat(first_text)
    day_of = [str(first + timedelta(days=i)) for i in range(3 * DAYS)]
    with open(scores_path, newline="") as file:
        scores = [(row["time"], float(row["chance"])) for row in csv.DictReader(file)]
    frauds = {day: set() for day in day_of}
    test = []
    for day, time, card, is_fraud in payments(paths, day_of[0], day_of[-1]):
        if is_fraud:
            frauds[day].add(card)
        if day >= day_of[2 * DAYS]:
            test.append((day, time, card, is_fraud))
    known = set().union(*(frauds[day] for day in day_of[:DAYS]))
    days, whole = [], []
    by_day = {day: [] for day in day_of[2 * DAYS:]}
    missing = 0
    place = 0
    for day, time, card, is_fraud in test:
        if place == len(scores) or scores[place][0][:19].replace("T", " ") != time:
            missing += 1  # Its session began before the week.
            continue
        by_day[day].append((card, scores[place][1], is_fraud))
        whole.append((scores[place][1], is_fraud))
        place += 1
    if place < len(scores) or missing > 10:
        sys.exit(f"{len(scores)} scores do not belong to the {len(test)} payments of the week")
    for i, day in enumerate(day_of[2 * DAYS:]):
        known |= frauds[day_of[DAYS + i - 1]]
        days.append([row for row in by_day[day] if row[0] not in known])
    rows = [(score, is_fraud) for day in days for _, score, is_fraud in day]
    print(f"all payments of the week: {len(whole)}, {sum(f for _, f in whole)} fraudulent; "
          f"ROC-AUC {roc_auc(whole):.4f}, average precision {average_precision(whole):.4f}, "
          f"recall at 0.1% false positives {recall_at(whole, 0.001):.4f}")
    print(f"by the protocol: {len(rows)}, {sum(f for _, f in rows)} fraudulent; "
          f"ROC-AUC {roc_auc(rows):.4f}, average precision {average_precision(rows):.4f}, "
          f"card precision at {TOP} {card_precision(days):.4f}, "
          f"recall at 0.1% false positives {recall_at(rows, 0.001):.4f}")


main()
