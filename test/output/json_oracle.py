"""Checks JSON lines against what they were written from.

Usage: json_oracle.py LINES EXPECTED. Line i of EXPECTED holds, tab separated, what record i was
made of: texts and bytes as hexadecimal, floating-point numbers as their bits, "-" for null. This
reads both with Python's own json, UTF-8 and float code, which know nothing of the writer's.
"""
import base64
import datetime
import json
import math
import re
import struct
import sys


def text(hexadecimal):
    return bytes.fromhex(hexadecimal).decode("utf-8", "replace")


def double(bits):
    value = struct.unpack("<d", struct.pack("<Q", int(bits, 16)))[0]
    return value if math.isfinite(value) else None


def single(bits):
    value = struct.unpack("<f", struct.pack("<I", int(bits, 16)))[0]
    return value if math.isfinite(value) else None


def pairs(field, of):
    return [(text(n), of(v)) for n, v in (entry.split("=") for entry in field.split(",") if entry)]


def time(ms):
    """None for years that Python does not have."""
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)
    except OverflowError:
        return None
    return moment.isoformat(timespec="milliseconds") + "Z"


class Number(str):
    """A number's own text."""


def as_double(number):
    return None if number is None else float(number)


def as_single(number):
    return None if number is None else struct.unpack("<f", struct.pack("<f", float(number)))[0]


def same(a, b):
    """Equal, the sign of zero included."""
    return a is b if a is None or b is None else struct.pack("<d", a) == struct.pack("<d", b)


def shortest_double(value):
    return re.sub(r"(?<!^-0)\.0$", "", repr(value)) if value != 0 or str(value)[0] == "-" else "0"


def digit_count(number):
    return len(re.sub(r"e.*|[-.]", "", number).strip("0")) or 1


def shortest_single_digits(value):
    for precision in range(0, 9):
        if as_single("%.*e" % (precision, value)) == value:
            return digit_count("%.*e" % (precision, value))
    return 9


def check(record, fields):
    expected = dict(field.split(":", 1) for field in fields)
    assert record["text"] == text(expected["text"]), "text"
    assert record["long"] == expected["long"], "long"
    value = double(expected["double"])
    assert same(as_double(record["double"]), value) and record["double"] == shortest_double(value), "double"
    value = single(expected["float"])
    assert same(as_single(record["float"]), value), "float"
    assert digit_count(record["float"]) <= shortest_single_digits(value), "shortest float"
    assert record["bool"] == (expected["bool"] == "1"), "bool"
    moment = time(int(expected["time"]))
    assert moment is None or record["time"] == moment, "time"
    assert base64.b64decode(record["bytes"], validate=True) == bytes.fromhex(expected["bytes"]), "bytes"
    ((name, value),) = pairs(expected["record"], single)
    assert record["record"]["name"] == name and same(as_single(record["record"]["value"]), value), "record"
    terms = [(t["name"], as_single(t["value"])) for t in record["records"]]
    wanted = pairs(expected["records"], single)
    assert len(terms) == len(wanted), "records"
    assert all(a[0] == b[0] and same(a[1], b[1]) for a, b in zip(terms, wanted)), "records"
    floats = [single(bits) for bits in expected["floats"].split(",") if bits]
    assert len(floats) == len(record["floats"]), "floats"
    assert all(same(as_single(a), b) for a, b in zip(record["floats"], floats)), "floats"
    assert list(record["longs"].items()) == pairs(expected["longs"], str), "longs"
    assert list(record["texts"].items()) == pairs(expected["texts"], text), "texts"
    maybe = expected["maybe_text"]
    assert record["maybe_text"] == (None if maybe == "-" else text(maybe)), "maybe_text"
    assert record["maybe_record"] == (record["record"] if expected["maybe_record"] == "1" else None), "maybe_record"
    assert record["key"] == expected["key"] and record["id"] == expected["id"], "key and id"


def main():
    with open(sys.argv[1], "rb") as lines, open(sys.argv[2], encoding="ascii") as expected:
        lines = lines.read().split(b"\n")
        assert lines.pop() == b"", "last line without an end"
        expected = expected.read().splitlines()
        assert len(lines) == len(expected) > 0, "number of records"
        for number, (line, wanted) in enumerate(zip(lines, expected), 1):
            record = json.loads(line.decode("utf-8"), parse_int=Number, parse_float=Number)
            try:
                check(record, wanted.split("\t"))
            except AssertionError as error:
                sys.exit("record %d: %s differs: %r, expected %r" % (number, error, line, wanted))


if __name__ == "__main__":
    main()
