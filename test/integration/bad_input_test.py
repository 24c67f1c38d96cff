#!/usr/bin/env python3
"""Bad records become dead letters, and everything beside them is as if they were not there.

    bad_input_test.py NUDGE [TEST...]
"""
import base64
import bz2
import codecs
import gzip
import hashlib
import io
import json
import lzma
import struct
import sys
import zipfile

import harness
from harness import all_right, check, equal, event, lines, nudge, records, run_ok, write

# Records. Every format has the same good events, and bad records put between them.

RULES = """
output: {scored_events_share: 1}
emit_interventions:
  rules:
    - {name: cart, on: {idle_cart: 1m}, promotion: {kind: reminder, valid_for: 1d}, cooldown: 1s}
    - {name: bought, on: purchase, if: price > 1, alert: {severity: low, reason: "{price}"}}
"""
MAPPING = """
fields:
  event_time: {from: when, format: epoch_ms}
  type: what
  user_id: who
  item: sku
  price: paid
  quantity: pieces
  text: said
"""
CSV_HEADER = b"when,what,who,sku,paid,pieces,said\n"
KINDS = ("product_view", "product_view", "add_to_cart", "purchase", "search")


def plain(number):
    return {"when": harness.START_MS + 7000 * number, "what": KINDS[number % 5],
            "who": f"u{number % 4}", "sku": f"i{number % 3}", "paid": "12.50", "pieces": 1,
            "said": "red shoe"}


GOOD = [plain(number) for number in range(60)]


def json_line(**change):
    return json.dumps({**plain(30), **change}).encode()


def csv_line(**change):
    return ",".join(str(value) for value in {**plain(30), **change}.values()).encode()


LONG = 10 * 1024 * 1024
JSON_BAD = [
    ("text that is no JSON", b"not json", "not_parsed"),
    ("JSON that breaks off", b'{"when": 17802', "not_parsed"),
    ("JSON that goes on", json_line() + b"}", "not_parsed"),
    ("a list", b"[1, 2]", "not_parsed"),
    ("a word", b"true", "not_parsed"),
    ("deep brackets", b"[" * 5000, "not_parsed"),
    ("NaN", json_line().replace(b'"12.50"', b"NaN"), "not_parsed"),
    ("Infinity", json_line().replace(b'"12.50"', b"-Infinity"), "not_parsed"),
    ("NaN as text", json_line(paid="nan"), "bad_number"),
    ("infinity as text", json_line(paid="inf"), "bad_number"),
    ("number too large", json_line().replace(b'"12.50"', b"1e999"), ("bad_number", "out_of_range")),
    ("price below zero", json_line(paid=-0.01), "negative_price"),
    ("price that is a word", json_line(paid="cheap"), "bad_number"),
    ("quantity below zero", json_line(pieces=-1), "out_of_range"),
    ("invalid UTF-8", json_line().replace(b"red", b"r\xe9d"), "bad_utf8"),
    ("half a surrogate", json_line().replace(b"red", b"\\ud800"), ("bad_utf8", "not_parsed")),
    ("NUL byte in a text", json_line().replace(b"red", b"r\0d"), "not_parsed"),
    ("NUL bytes", b"\0" * 100, "not_parsed"),
    ("no time", json_line(when=None), "no_time"),
    ("time that is a word", json_line(when="yesterday"), "no_time"),
    ("time before the bounds", json_line(when=1), "time_out_of_range"),
    ("time behind the bounds", json_line(when=9999999999999), "time_out_of_range"),
    ("time that no int64 holds", json_line().replace(str(plain(30)["when"]).encode(), b"1" * 30),
     ("no_time", "time_out_of_range", "bad_number")),
    ("time far ahead", json_line(when=harness.START_MS + 40 * 86400000), "time_ahead"),
    ("no type", json_line(what=None), "no_type"),
    ("no identity", json_line(who=None), "no_identity"),
    ("text too long", json_line(said="x" * 70000), "text_too_long"),
    ("line of 10 MB", json_line(said="x" * LONG), "too_long"),
    ("10 MB of nothing", b"\0" * LONG, "too_long"),
]
CSV_BAD = [
    ("fields missing", b"1,2", "not_parsed"),
    ("a field too many", csv_line() + b",more", "not_parsed"),
    ("text after a quote", b'"a"b,' + csv_line(), "not_parsed"),
    ("NaN", csv_line(paid="NaN"), "bad_number"),
    ("infinity", csv_line(paid="Infinity"), "bad_number"),
    ("price below zero", csv_line(paid="-3"), "negative_price"),
    ("invalid UTF-8", csv_line().replace(b"red", b"r\xe9d"), "bad_utf8"),
    ("NUL bytes", b"\0" * 50, "not_parsed"),
    ("no time", csv_line(when=""), "no_time"),
    ("time beyond the bounds", csv_line(when="99999999999999"), "time_out_of_range"),
    ("time far ahead", csv_line(when=harness.START_MS + 40 * 86400000), "time_ahead"),
    ("no identity", csv_line(who=""), "no_identity"),
    ("line of 10 MB", csv_line(said="x" * LONG), "too_long"),
]
LOG_MAPPING = """
fields:
  event_time: {from: time, format: log}
  type: {constant: page_view}
  user_id: remote_address
  url: path
"""


def log_line(number=30, target="/p/1", time=None):
    second = 7 * number
    time = time or f"01/Jun/2026:00:{second // 60:02d}:{second % 60:02d} +0000"
    return f'10.0.0.{number % 4} - - [{time}] "GET {target} HTTP/1.1" 200 5 "-" "agent"'.encode()


LOG_BAD = [
    ("no log line", b"hello", "not_parsed"),
    ("line that breaks off", log_line()[:40], "not_parsed"),
    ("time that is none", log_line(time="01/Foo/2026:00:00:00 +0000"), ("no_time", "not_parsed")),
    ("time before the bounds", log_line(time="01/Jun/1970:00:00:00 +0000"), "time_out_of_range"),
    ("time far ahead", log_line(time="01/Dec/2026:00:00:00 +0000"), "time_ahead"),
    ("invalid UTF-8", log_line(target="/p/\xff").replace(b"\xc3\xbf", b"\xff"), "bad_utf8"),
    ("NUL bytes", b"\0" * 50, ("not_parsed", "bad_utf8")),
    ("line of 10 MB", log_line(target="/" + "x" * LONG), "too_long"),
]

FORMATS = {
    "jsonl": ("input: {format: jsonl, mapping: mapping.yaml}", MAPPING, b"",
              [json.dumps(item).encode() for item in GOOD], JSON_BAD),
    "csv": ("input: {format: csv, mapping: mapping.yaml}", MAPPING, CSV_HEADER,
            [",".join(str(value) for value in item.values()).encode() for item in GOOD], CSV_BAD),
    "combined_log": ("input: {format: combined_log, mapping: mapping.yaml}", LOG_MAPPING, b"",
                     [log_line(number) for number in range(60)], LOG_BAD),
}


def configure(work, format):
    settings, mapping, *rest = FORMATS[format]
    write(f"{work}/mapping.yaml", mapping)
    return write(f"{work}/config.yaml", settings + RULES), *rest


def without_places(output):
    """The records of all topics but dead letters, less what says where in the input they are."""
    places = {"ordinal", "decision_id", "cause_ordinal"}
    return {topic: [{key: value for key, value in record.items() if key not in places}
                    for record in records(output, topic)]
            for topic in harness.TOPICS if topic != "dead_letters"}


def compare_rest(found, expected, what):
    check(expected["sessions"] and expected["scored_events"], "the clean run has no outputs")
    for topic, content in expected.items():
        check(found[topic] == content, f"{what}: {topic} is not as in the clean run: "
              f"{len(found[topic])} records, {len(content)} expected")


def first_difference(found, expected):
    for a, b in zip(found, expected):
        if a != b:
            return {key: (a.get(key), b[key]) for key in b if a.get(key) != b[key]}
    return "one has more"


def read_content(letter):
    return base64.b64decode(letter["content"])


def problem_of_letter(letter, ordinal, at, content, reasons):
    """None, or what is wrong with the dead letter of a record of these bytes at this place."""
    kept = read_content(letter)
    length = letter["length"]
    reasons = (reasons,) if isinstance(reasons, str) else reasons
    if letter["reason"] not in reasons:
        return f"reason {letter['reason']} ({letter['detail']}), {' or '.join(reasons)} expected"
    if (letter["ordinal"], letter["byte_position"]) != (ordinal, at):
        return f"at {letter['ordinal']}, {letter['byte_position']}, {ordinal}, {at} expected"
    if length != len(content):
        return f"length {length} of {len(content)}"
    if kept != content[:min(length, 262144)]:
        return f"holds {len(kept)} bytes: {kept[:60]}"
    if letter["sha256"] != hashlib.sha256(content).hexdigest():
        return f"sha256 is not that of its {length} bytes"
    if not letter["detail"]:
        return "has no detail"
    return None


def run_format(work, format):
    config, header, good, bad = configure(work, format)
    clean = write(f"{work}/clean", header + b"\n".join(good) + b"\n")
    summary = run_ok(config, [clean], f"{work}/clean-out")
    equal(summary["dead_letters"]["total"], 0, f"{format}: dead letters of the clean run")
    equal(summary["events_accepted"], len(good), f"{format}: events of the clean run")
    # All bad records at once, one behind each good one.
    mixed, places = header, []
    ordinal = 0
    for index, line in enumerate(good):
        mixed += line + b"\n"
        ordinal += 1
        if index >= 10 and index - 10 < len(bad):
            places.append((ordinal, len(mixed)))
            mixed += bad[index - 10][1] + b"\n"
            ordinal += 1
    equal(len(places), len(bad), "bad records in the input")
    summary = run_ok(config, [write(f"{work}/mixed", mixed)], f"{work}/mixed-out")
    letters = records(f"{work}/mixed-out", "dead_letters")
    equal(len(letters), len(bad), f"{format}: dead letters {[(l['ordinal'], l['reason']) for l in letters]}")
    problems = []
    counts = {}
    for letter, (name, content, reasons), (ordinal, at) in zip(letters, bad, places):
        problem = problem_of_letter(letter, ordinal, at, content, reasons)
        problems.append(problem and f"{name}: {problem}")
        counts[letter["reason"]] = counts.get(letter["reason"], 0) + 1
    all_right(problems)
    found = {key: value for key, value in summary["dead_letters"]["by_reason"].items() if value}
    equal(found, counts, f"{format}: dead letters by reason in the summary")
    equal(summary["dead_letters"]["total"], len(bad), f"{format}: dead letters in the summary")
    equal(summary["events_read"], len(good) + len(bad), f"{format}: events read")
    equal(summary["events_accepted"], len(good), f"{format}: events accepted")
    compare_rest(without_places(f"{work}/mixed-out"), without_places(f"{work}/clean-out"), format)


def test_bad_json_lines_become_dead_letters_and_touch_nothing_else(work):
    run_format(work, "jsonl")


def test_bad_csv_records_become_dead_letters_and_touch_nothing_else(work):
    run_format(work, "csv")


def test_bad_log_lines_become_dead_letters_and_touch_nothing_else(work):
    run_format(work, "combined_log")


def test_files_of_odd_shape_are_read_as_they_are_meant(work):
    problems = []
    for format in FORMATS:
        config, header, good, _ = configure(work, format)
        whole = header + b"\n".join(good) + b"\n"
        shapes = [
            ("plain", whole, len(good), 0),
            ("empty", b"", 0, 0),
            ("header only", header, 0, 0),
            ("header without end of line", header.rstrip(b"\n"), 0, 0),
            ("blank lines only", header + b"\n\n\n", 0, 0),
            ("CRLF", whole.replace(b"\n", b"\r\n"), len(good), 0),
            ("byte order mark", b"\xef\xbb\xbf" + whole, len(good), 0),
            ("no end of the last line", whole[:-1], len(good), 0),
            ("half a last line", whole[:-20], len(good) - 1, 1),
            ("gzip", gzip.compress(whole), len(good), 0),
            ("gzip in two members", gzip.compress(whole[:2000]) + gzip.compress(whole[2000:]),
             len(good), 0),
            ("gzip of nothing", gzip.compress(b""), 0, 0),
        ]
        for name, content, accepted, dead in shapes:
            output = f"{work}/{format}-{name}".replace(" ", "-")
            try:
                summary = run_ok(config, [write(f"{work}/input", content)], output)
            except AssertionError as error:
                problems.append(f"{format}, {name}: {error}")
                continue
            found = (summary["events_accepted"], summary["dead_letters"]["total"])
            if found != (accepted, dead):
                problems.append(f"{format}, {name}: {found} events and dead letters, "
                                f"{(accepted, dead)} expected: "
                                f"{[l['detail'] for l in records(output, 'dead_letters')]}")
            elif accepted == len(good):
                compare_rest(without_places(output), without_places(f"{work}/{format}-plain"),
                             f"{format}, {name}")
    all_right(problems)


def test_damaged_gzip_keeps_what_was_whole_and_says_the_rest(work):
    config, header, _, _ = configure(work, "csv")
    many = [",".join(str(value) for value in plain(number).values()).encode()
            for number in range(20000)]
    whole = header + b"\n".join(many) + b"\n"
    packed = gzip.compress(whole, mtime=0)
    half = len(packed) // 2
    shapes = [
        ("cut in the middle", packed[:half], ("truncated", "bad_compression"), 1000),
        ("cut in its last bytes", packed[:-3], ("truncated", "bad_compression"), 19990),
        ("byte in the middle", packed[:half] + bytes([packed[half] ^ 255]) + packed[half + 1:],
         ("bad_compression", "truncated"), 1000),
        ("wrong checksum", packed[:-8] + b"\0\0\0\0" + packed[-4:], ("bad_compression",), 19990),
        ("garbage behind it", packed + b"garbage" * 5, ("bad_compression",), 19990),
    ]
    problems = []
    for name, content, reasons, least in shapes:
        output = f"{work}/{name}".replace(" ", "-")
        summary = run_ok(config, [write(f"{work}/input", content)], output)
        found = {key: value for key, value in summary["dead_letters"]["by_reason"].items() if value}
        if not set(reasons) & set(found) or summary["events_accepted"] < least:
            problems.append(f"{name}: {found}, {summary['events_accepted']} events")
        letters = records(output, "dead_letters")
        for letter in letters:
            kept = read_content(letter)
            if hashlib.sha256(kept).hexdigest() != letter["sha256"] and letter["length"] <= 262144:
                problems.append(f"{name}: sha256 of a dead letter is not that of its bytes")
    all_right(problems)


def test_a_file_damaged_before_its_header_leaves_the_others_alone(work):
    config, header, good, _ = configure(work, "csv")
    whole = write(f"{work}/whole", header + b"\n".join(good) + b"\n")
    cut = write(f"{work}/cut", gzip.compress(header + b"\n".join(good), mtime=0)[:14])
    for inputs, output in (([whole, cut], "one"), ([cut, cut, whole], "two")):
        summary = run_ok(config, inputs, f"{work}/{output}")
        equal(summary["events_accepted"], 60, "events of the whole file")
        equal(summary["dead_letters"]["by_reason"]["truncated"], len(inputs) - 1, "dead letters")
        letter = records(f"{work}/{output}", "dead_letters", inputs.index(cut))[0]
        equal((letter["source"], letter["ordinal"]), (cut, 0), "its place")


# Avro containers, written by hand.

AVRO_FIELDS = [("when", "long"), ("what", "string"), ("who", "string"), ("sku", "string"),
               ("paid", "double"), ("pieces", "int"), ("said", "string")]
SYNC = bytes(range(16))


def avro_long(value):
    value = (value << 1) ^ (value >> 63)
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def avro_bytes(value):
    value = value if isinstance(value, bytes) else value.encode()
    return avro_long(len(value)) + value


def avro_record(item):
    out = b""
    for name, kind in AVRO_FIELDS:
        value = item[name]
        out += (struct.pack("<d", float(value)) if kind == "double"
                else avro_bytes(value) if kind == "string" else avro_long(value))
    return out


def avro_header(codec="null"):
    schema = {"type": "record", "name": "click",
              "fields": [{"name": name, "type": kind} for name, kind in AVRO_FIELDS]}
    entries = {"avro.schema": json.dumps(schema), "avro.codec": codec}
    body = avro_long(len(entries))
    for key, value in entries.items():
        body += avro_bytes(key) + avro_bytes(value)
    return b"Obj\x01" + body + avro_long(0) + SYNC


def avro_block(encoded, sync=SYNC, count=None):
    body = b"".join(encoded)
    return avro_long(len(encoded) if count is None else count) + avro_long(len(body)) + body + sync


def test_damaged_avro_keeps_the_other_blocks(work):
    write(f"{work}/mapping.yaml", MAPPING)
    config = write(f"{work}/config.yaml", "input: {format: avro, mapping: mapping.yaml}" + RULES)
    encoded = [avro_record(item) for item in GOOD]
    blocks = [encoded[:20], encoded[20:40], encoded[40:]]
    good = avro_header() + b"".join(avro_block(block) for block in blocks)
    summary = run_ok(config, [write(f"{work}/input", good)], f"{work}/clean")
    equal((summary["events_accepted"], summary["dead_letters"]["total"]), (60, 0), "clean")
    first, second, third = (avro_block(block) for block in blocks)
    nan = avro_record({**plain(30), "paid": "nan"})
    negative = avro_record({**plain(30), "paid": -1})
    invalid = avro_record({**plain(30), "said": b"\xff\xfe"})
    early = avro_record({**plain(30), "when": 5})
    shapes = [
        ("empty container", avro_header(), 0, set()),
        ("half a header", avro_header()[:30], 0, {"truncated"}),
        ("empty block", avro_header() + first + avro_block([]) + second + third, 60, set()),
        ("NaN", avro_header() + first + avro_block([nan]) + second + third, 60, {"bad_number"}),
        ("price below zero", avro_header() + first + avro_block([negative]) + second + third, 60,
         {"negative_price"}),
        ("invalid UTF-8", avro_header() + avro_block(blocks[0] + [invalid]) + second + third, 60,
         {"bad_utf8"}),
        ("time beyond the bounds", avro_header() + first + avro_block([early]) + second + third, 60,
         {"time_out_of_range"}),
        ("wrong marker behind a block", avro_header() + first
         + avro_block(blocks[1], b"x" * 16) + third + avro_block(encoded[:1]), 21, {"bad_block"}),
        ("count that is too large", avro_header() + first + avro_block(blocks[1], count=25) + third,
         60, {"bad_block", "truncated", "not_parsed"}),
        ("count that is too small", avro_header() + first + avro_block(blocks[1], count=15) + third,
         55, {"bad_block", "truncated", "not_parsed"}),
        ("garbage in a block", avro_header() + first + avro_block([b"\xff" * 300], count=3) + third,
         40, {"bad_block", "not_parsed", "truncated"}),
        ("file that ends in a block", avro_header() + first + second + third[:-200], 40,
         {"truncated"}),
        ("file that ends in a marker", avro_header() + first + second + third[:-4], 40,
         {"truncated"}),
        ("block of nothing but a length", avro_header() + first + second + third + avro_long(9)
         + avro_long(1 << 40), 60, {"bad_block", "truncated"}),
    ]
    problems = []
    for name, content, accepted, reasons in shapes:
        output = f"{work}/{name}".replace(" ", "-")
        try:
            summary = run_ok(config, [write(f"{work}/input", content)], output)
        except AssertionError as error:
            problems.append(f"{name}: {error}")
            continue
        found = {key for key, value in summary["dead_letters"]["by_reason"].items() if value}
        if summary["events_accepted"] < accepted or bool(found) != bool(reasons) or found - reasons:
            problems.append(f"{name}: {summary['events_accepted']} events, {found}; "
                            f"{accepted} and {reasons} expected")
        if accepted == 60:
            compare_rest(without_places(output), without_places(f"{work}/clean"), name)
    all_right(problems)


def test_a_file_that_is_no_container_at_all_is_refused(work):
    config = write(f"{work}/config.yaml", "input: {format: avro}\n")
    for name, content in (("text", b"hello\n" * 100), ("unknown codec", avro_header("lzma"))):
        path = write(f"{work}/input", content)
        result = nudge("run", config, "--input", path, "--output", f"{work}/out")
        check(result.code != 0 and path in result.errors, f"{name}: {result}")


def archive(content):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        file.writestr("events.csv", content)
    return memory.getvalue()


def test_what_is_no_text_is_refused_where_text_is_read(work):
    text = lines([event(0), event(1)]).decode()
    foreign = [("an Avro container", "input.format avro", avro_header()),
               ("text in UTF-16", "iconv", codecs.BOM_UTF16_LE + text.encode("utf-16-le")),
               ("text in UTF-16", "iconv", codecs.BOM_UTF16_BE + text.encode("utf-16-be")),
               ("a zip archive", "unzip", archive(text)),
               ("compressed by zstd", "zstd -dc", bytes.fromhex("28b52ffd04000100")),
               ("compressed by xz", "xz -dc", lzma.compress(text.encode())),
               ("compressed by bzip2", "bzip2 -dc", bz2.compress(text.encode())),
               ("a Parquet file", "Avro container", b"PAR1\x15\x04\x15\x20")]
    for format, packed in (("jsonl", bytes), ("csv", gzip.compress)):
        config = write(f"{work}/config.yaml", f"input: {{format: {format}}}\n")
        for what, expected, content in foreign:
            path = write(f"{work}/input", packed(content))
            result = nudge("run", config, "--input", path, "--output", f"{work}/out")
            check(result.code == 2 and f"nudge: {path}: is {what}" in result.errors
                  and expected in result.errors, f"{format}, {what}: {result}")
    # What only begins alike is text.
    for content in ("P", "PK", "BZh91", "PAR1"):
        path = write(f"{work}/input", content)
        summary = run_ok(write(f"{work}/config.yaml", "input: {format: jsonl}\n"), [path],
                         f"{work}/{content}")
        equal(summary["dead_letters"]["total"], 1, content)


def test_a_dead_letter_says_no_more_than_the_configuration_allows(work):
    config = write(f"{work}/config.yaml", "output: {dead_letter_content: false}\n")
    marker = "Marker4711"
    bad = [event(1, user=marker, price=-5), event(2, user=marker, text=marker * 10000),
           event(3, user=marker, event_time=marker), event(4, user=marker, currency=marker)]
    run_ok(config, [write(f"{work}/input", lines([event(0)] + bad))], f"{work}/out")
    letters = records(f"{work}/out", "dead_letters")
    equal(len(letters), len(bad), "dead letters")
    for letter in letters:
        check(letter["content"] is None and marker not in json.dumps(letter), f"{letter}")
        check(letter["detail"] and "expected" in letter["detail"], f"no detail: {letter}")


if __name__ == "__main__":
    harness.main(sys.modules["__main__"])
