#!/usr/bin/env python3
"""Reads Prometheus' text format 0.0.4 strictly and prints each sample as one line, NAME{LABELS} VALUE.

  prometheus_oracle.py FILE | URL

Written from the format's description ("Exposition formats", prometheus.io), apart from the program. Complains, with
exit code 1, of what a scraper would refuse or misread: samples without or before their TYPE, families in pieces,
series twice, bad names, escapes or numbers, counters below zero or without _total, buckets that fall, lack +Inf, or do
not agree with their count. Of a URL the media type is checked too. Labels are printed in order of their names, in JSON.
"""
import json
import math
import re
import sys

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
ESCAPES = {"\\": "\\", '"': '"', "n": "\n"}


class Bad(Exception):
    pass


def read_labels(text):
    """From behind the brace; returns labels and what is behind the closing brace."""
    labels = {}
    while not text.startswith("}"):
        match = LABEL.match(text)
        if not match or not text[match.end():].startswith('="'):
            raise Bad(f"label expected: {text}")
        name = match.group()
        value = []
        text = text[match.end() + 2:]
        while not text.startswith('"'):
            if not text:
                raise Bad("a label's value is not closed")
            if text[0] == "\\":
                if text[1] not in ESCAPES:
                    raise Bad(f"escape \\{text[1]}")
                value.append(ESCAPES[text[1]])
                text = text[2:]
            else:
                value.append(text[0])
                text = text[1:]
        if name in labels:
            raise Bad(f"label {name} twice")
        labels[name] = "".join(value)
        text = text[1:]
        if text.startswith(","):
            text = text[1:]
        elif not text.startswith("}"):
            raise Bad(f"comma or brace expected: {text}")
    return labels, text[1:]


def family_of(name, types):
    for suffix in ("_bucket", "_sum", "_count"):
        base = name[:-len(suffix)]
        if name.endswith(suffix) and types.get(base) == "histogram":
            return base
    return name


def read_samples(text):
    if not text.endswith("\n"):
        raise Bad("the last line is not ended")
    types, helps, closed, samples = {}, set(), set(), {}
    family = None
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            keyword, name, rest = (line[2:].split(" ", 2) + [""])[:3]
            if keyword not in ("HELP", "TYPE") or not NAME.fullmatch(name):
                raise Bad(line)
            if name != family:
                if name in closed:
                    raise Bad(f"{name} in pieces")
                closed.add(family)
                family = name
            if keyword == "HELP":
                if name in helps or not rest:
                    raise Bad(line)
                helps.add(name)
            else:
                if name in types or rest not in ("counter", "gauge", "histogram"):
                    raise Bad(line)
                types[name] = rest
            continue
        match = NAME.match(line)
        if not match:
            raise Bad(f"no sample: {line!r}")
        name, rest = match.group(), line[match.end():]
        labels = {}
        if rest.startswith("{"):
            labels, rest = read_labels(rest[1:])
        if family_of(name, types) != family or family not in types or family not in helps:
            raise Bad(f"{name} without its HELP and TYPE before it")
        if not re.fullmatch(r" (-?\d+(\.\d+)?(e[+-]?\d+)?|NaN|[+-]Inf)", rest):
            raise Bad(f"number: {line}")
        key = (name, tuple(sorted(labels.items())))
        if key in samples:
            raise Bad(f"{line} twice")
        samples[key] = float(rest.replace("Inf", "inf"))
        if types[family] == "counter" and (samples[key] < 0 or not name.endswith("_total")):
            raise Bad(f"counter: {line}")
    check_histograms(samples, types)
    return samples


def check_histograms(samples, types):
    series = {}
    for (name, labels), value in samples.items():
        base = family_of(name, types)
        if types[base] == "histogram":
            bare = tuple(label for label in labels if label[0] != "le")
            parts = series.setdefault((base, bare), {"buckets": []})
            if name.endswith("_bucket"):
                parts["buckets"].append((float(dict(labels)["le"].replace("Inf", "inf")), value))
            else:
                parts[name[len(base):]] = value
    for key, parts in series.items():
        bounds = [bound for bound, _ in parts["buckets"]]
        counts = [count for _, count in parts["buckets"]]
        if bounds != sorted(set(bounds)) or counts != sorted(counts) or not math.isinf(bounds[-1]):
            raise Bad(f"{key}: buckets {parts['buckets']}")
        if counts[-1] != parts["_count"] or "_sum" not in parts:
            raise Bad(f"{key}: count")


def main():
    place = sys.argv[1]
    if place.startswith("http"):
        import urllib.request  # Slow to load, and of no use for files.
        with urllib.request.urlopen(place, timeout=10) as answer:
            if answer.headers["Content-Type"] != "text/plain; version=0.0.4; charset=utf-8":
                raise Bad(f"media type {answer.headers['Content-Type']}")
            text = answer.read().decode()
    else:
        with open(place, encoding="utf-8", newline="") as file:
            text = file.read()
    for (name, labels), value in read_samples(text).items():
        rendered = int(value) if value == math.floor(value) and abs(value) < 2**53 else value
        print(name + json.dumps(dict(labels), separators=(",", ":")), rendered)


if __name__ == "__main__":
    try:
        main()
    except Bad as bad:
        print(f"bad: {bad}")
        sys.exit(1)
