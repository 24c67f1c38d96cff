#!/usr/bin/env python3
"""Merges the handbook's months of card payments with what became known of them later.

    fraud_handbook_labels.py 2018-*.csv.gz > stream.csv

Of each fraudulent payment the stream says so 7 days after it, in a record of its own; the payments
themselves no longer say what they are. In order of time.
"""
import csv
import gzip
import heapq
import sys
from datetime import datetime, timedelta

DELAY = timedelta(days=7)
FORMAT = "%Y-%m-%d %H:%M:%S"


def payments(paths):
    for path in sorted(paths):
        with gzip.open(path, "rt", newline="") as file:
            yield from csv.DictReader(file)


def main():
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["kind", "time", "id", "customer", "terminal", "amount", "label_for", "label"])
    waiting = []
    for row in payments(sys.argv[1:]):
        time = row["TX_DATETIME"]
        while waiting and waiting[0][0] <= time:
            known, payment, customer, terminal = heapq.heappop(waiting)
            out.writerow(["label", known, f"label-{payment}", customer, terminal, "", payment, "fraud"])
        payment, customer, terminal = row["TRANSACTION_ID"], row["CUSTOMER_ID"], row["TERMINAL_ID"]
        out.writerow(["purchase", time, payment, customer, terminal, row["TX_AMOUNT"], "", ""])
        if row["TX_FRAUD"] == "1":
            known = (datetime.strptime(time, FORMAT) + DELAY).strftime(FORMAT)
            heapq.heappush(waiting, (known, payment, customer, terminal))


main()
