#!/usr/bin/env python3
"""Prints rule and decision id of the first alert of each rule.

    quickstart_alerts.py OUTPUT
"""
import glob
import json
import os
import sys

seen = set()
for path in sorted(glob.glob(os.path.join(sys.argv[1], "alerts", "*.jsonl"))):
    with open(path) as file:
        for line in file:
            alert = json.loads(line)
            if alert["rule"] not in seen:
                seen.add(alert["rule"])
                print(alert["rule"], alert["decision_id"])
