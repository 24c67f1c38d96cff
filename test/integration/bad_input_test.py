#!/usr/bin/env python3
"""Wrong configurations and command lines are refused in words that help; bad records become dead
letters, and everything beside them is as if they were not there.

    bad_input_test.py NUDGE [TEST...]
"""
import base64
import gzip
import hashlib
import json
import os
import struct
import sys

import harness
from harness import check, equal, event, lines, nudge, read, records, run_ok, write


def rule(text):
    return "emit_interventions:\n  rules:\n    - {" + text + "}\n"


ALERT = "alert: {severity: low, reason: x}"

# Configuration (CONFIG is its path), what the message must hold, and options of the check.
CONFIGURATIONS = [
    ("unknown section", "inptu: {format: csv}\n", ["CONFIG:1", "inptu", 'did you mean "input"']),
    ("unknown key", "name: x\ninput:\n  formta: csv\n", ["CONFIG:3", "formta", '"format"']),
    ("unknown key of a rule", rule(f"name: a, on: any, coldown: 1h, {ALERT}"),
     ["CONFIG:3", "coldown", '"cooldown"']),
    ("unknown key of an action", rule("name: a, on: any, alert: {severty: low, reason: x}"),
     ["CONFIG:3", "severty", '"severity"']),
    ("unknown choice", "input:\n  format: csvv\n",
     ["CONFIG:2", "format", '"csvv"', "avro, jsonl, csv, combined_log", 'did you mean "csv"']),
    ("bool", "input:\n  follow: 3\n", ["CONFIG:2", "follow", '"3"', "true or false"]),
    ("duration without unit", "input:\n  allowed_lateness: 10\n",
     ["CONFIG:2", "allowed_lateness", '"10"', "duration"]),
    ("duration out of range", "input:\n  allowed_lateness: 8d\n", ["CONFIG:2", '"8d"', "to 7d"]),
    ("size out of range", "state:\n  memory: 1MiB\n", ["CONFIG:2", "memory", '"1MiB"', "128MiB"]),
    ("whole number", "run:\n  workers: 1.5\n", ["CONFIG:2", "workers", '"1.5"', "whole number"]),
    ("no workers", "run:\n  workers: 0\n", ["CONFIG:2", "workers", '"0"', "1 to 256"]),
    ("number out of range", "output:\n  scored_events_share: 1.5\n",
     ["CONFIG:2", "scored_events_share", '"1.5"', "0 to 1"]),
    ("not a number", "output:\n  scored_events_share: nan\n", ["CONFIG:2", '"nan"', "a number"]),
    ("section that is a list", "input: [a]\n", ["CONFIG:1", "input", "mapping"]),
    ("section that is a word", "input: csv\n", ["CONFIG:1", "input", "mapping"]),
    ("list instead of a file", "- a\n- b\n", ["CONFIG:1", "sections"]),
    ("name that is a list", "name: [x]\n", ["CONFIG:1", "name", "expected a name"]),
    ("name that is empty", 'name: ""\n', ["CONFIG:1", "name", "expected a name"]),
    ("delimiter", "input:\n  csv_delimiter: ab\n", ["CONFIG:2", "csv_delimiter", '"ab"']),
    ("delimiter that is a quote", "input:\n  csv_delimiter: '\"'\n",
     ["CONFIG:2", "csv_delimiter", "no quote"]),
    ("mapping that is not there", "input:\n  mapping: nowhere.yaml\n",
     ["CONFIG:2", "mapping", '"nowhere.yaml"', "No such file", "expected a file"]),
    ("mapping that is a folder", "input:\n  mapping: .\n",
     ["CONFIG:2", "mapping", '"."', "expected a file"]),
    ("rules file that is not there", "emit_interventions:\n  rules_file: nowhere.yaml\n",
     ["CONFIG:2", "rules_file", '"nowhere.yaml"', "No such file"]),
    ("rules file that is a folder", "emit_interventions:\n  rules_file: .\n",
     ["CONFIG:2", "rules_file", "expected a file"]),
    ("pack that is not there", "predict_intent:\n  purchase_pack: nowhere\n",
     ["CONFIG:2", "purchase_pack", '"nowhere"', "No such file", "expected a folder"]),
    ("pack that is a file", "score_fraud:\n  pack: config.yaml\n",
     ["CONFIG:2", "pack", '"config.yaml"', "expected a folder"]),
    ("pack without a manifest", "score_fraud:\n  pack: .\n", ["manifest.yaml", "No such file"]),
    ("key file that is not there", "privacy:\n  key_file: nowhere\n",
     ["CONFIG:2", "key_file", '"nowhere"', "No such file"]),
    ("key file that is a folder", "privacy:\n  key_file: .\n",
     ["CONFIG:2", "key_file", "expected a file"]),
    ("secret too short", "privacy:\n  key_file: short.key\n",
     ["CONFIG:2", "key_file", "16 to 4096 bytes", "has 5"]),
    ("secret too long", "privacy:\n  key_file: long.key\n", ["CONFIG:2", "16 to 4096 bytes"]),
    ("environment without the secret", "privacy:\n  key_env: NUDGE_TEST_UNSET\n",
     ["CONFIG:2", "key_env", '"NUDGE_TEST_UNSET"', "environment"]),
    ("secret of the environment too short", "privacy:\n  key_env: NUDGE_TEST_SHORT\n",
     ["CONFIG:2", "key_env", "16 to 4096 bytes", "has 9"]),
    ("unknown name in a condition", rule(f"name: a, on: any, if: cart_valeu > 3, {ALERT}"),
     ["CONFIG:3", "if", '"cart_valeu"', 'did you mean "cart_value"']),
    ("condition of wrong types", rule(f"name: a, on: any, if: \"cart_value > 'x'\", {ALERT}"),
     ["CONFIG:3", "if", "numbers"]),
    ("condition that is a number", rule(f"name: a, on: any, if: cart_value, {ALERT}"),
     ["CONFIG:3", "if", "expected a condition"]),
    ("condition that breaks off", rule(f"name: a, on: any, if: cart_value >, {ALERT}"),
     ["CONFIG:3", "if", "expected a value"]),
    ("unknown event type", rule(f"name: a, on: product_veiw, {ALERT}"),
     ["CONFIG:3", "on", '"product_veiw"', '"product_view"']),
    ("unknown word in a reason", rule("name: a, on: any, alert: {severity: low, "
                                      'reason: "{cart_valeu}"}'),
     ["CONFIG:3", "reason", "cart_valeu", '"cart_value"']),
    ("identity in a reason", rule('name: a, on: any, alert: {severity: low, reason: "{user_id}"}'),
     ["CONFIG:3", "reason", "user_id", "identity"]),
    ("rule without a name", rule(f"on: any, {ALERT}"), ["CONFIG:3", '"name" is missing']),
    ("rule without an action", rule("name: a, on: any"), ["CONFIG:3", "alert or promotion"]),
    ("two rules of a name", rule(f"name: a, on: any, {ALERT}")
     + f"    - {{name: a, on: purchase, {ALERT}}}\n", ["CONFIG:4", "name", '"a"', "CONFIG:3"]),
    ("promotion without an end", rule("name: a, on: any, promotion: {kind: reminder}"),
     ["CONFIG:3", '"valid_for" is missing']),
    ("value below zero", rule("name: a, on: any, promotion: {kind: coupon, value: -5, "
                              "currency: EUR, valid_for: 1d}"), ["CONFIG:3", "value", '"-5"']),
    ("unknown entity", "state:\n  entities: [devcie]\n",
     ["CONFIG:2", "entities", '"devcie"', "device"]),
    ("entity over partitions", "state:\n  entities: [device]\n",
     ["CONFIG:2", "entities", "device", "2 partitions"], "--partitions", "2"),
    ("entity beside the state's", "extract_features:\n  entities: [device]\n",
     ["CONFIG:2", "entities", "unknown key"]),
    ("unknown field to carry along",
     "emit_interventions:\n  fields:\n    - url\n    - usr_id\n",
     ["CONFIG:4", "fields", '"usr_id"', 'did you mean "user_id"?']),
    ("field to carry along that is no text", "emit_interventions:\n  fields: price\n",
     ["CONFIG:2", "fields", '"price"', "a text field"]),
    ("unknown feature of a term",
     "score_fraud:\n  rules:\n    - {feature: cart_valeu, above: 3, adds: 1}\n",
     ["CONFIG:3", "feature", '"cart_valeu"', 'did you mean "cart_value"?']),
    ("feature like no other", "score_fraud:\n  deviations:\n    - {feature: zzz}\n",
     ["CONFIG:3", "feature", '"zzz"', "nudge describe features"]),
    ("key twice", "input:\n  format: csv\n  format: avro\n", ["CONFIG:3", "format", "line 2"]),
    ("section twice", "input: {}\nname: a\ninput: {}\n", ["CONFIG:3", "input", "line 1"]),
    ("tab as indentation", "input:\n\tformat: csv\n", ["CONFIG:2", "not valid YAML"]),
    ("bracket left open", "input: [\n", ["CONFIG:", "not valid YAML"]),
    ("empty", "", ["CONFIG", "empty", "sections"]),
    ("comments only", "# input: {}\n", ["CONFIG", "empty", "sections"]),
    ("binary", b"\x7fELF\x02\x01\x01\x00" * 40, ["CONFIG:1", "NUL"]),
    ("not UTF-8", b"name: \xff\xfe\n", ["CONFIG", "UTF-8"]),
]

MAPPINGS = [
    ("unknown field", "fields: {event_time: t, type: k, user_id: u, prize: p}\n",
     ["MAPPING:1", "prize", "price"]),
    ("unknown section", "feilds: {event_time: t}\n", ["MAPPING:1", "feilds", '"fields"']),
    ("unknown key", "fields:\n  event_time: {form: t}\n  type: k\n  user_id: u\n",
     ["MAPPING:2", "form", '"from"']),
    ("no time", "fields: {type: k, user_id: u}\n", ["MAPPING:1", "event_time"]),
    ("no type", "fields: {event_time: t, user_id: u}\n", ["MAPPING:1", "type"]),
    ("no identity", "fields: {event_time: t, type: k}\n", ["MAPPING:1", "user_id"]),
    ("unknown type", "fields:\n  event_time: t\n  type: {from: k, map: {v: product_veiw}}\n"
     "  user_id: u\n", ["MAPPING:3", "product_veiw", "product_view"]),
    ("unknown format of time", "fields:\n  event_time: {from: t, format: epoc_ms}\n  type: k\n"
     "  user_id: u\n", ["MAPPING:2", "format", '"epoc_ms"', "epoch_ms"]),
    ("unknown route", "route_by: usr_id\nfields: {event_time: t, type: k, user_id: u}\n",
     ["MAPPING:1", "route_by", '"usr_id"', 'did you mean "user_id"?']),
    ("pattern that is wrong", "rules:\n  - when: {path: '/p/{'}\n    type: page_view\n"
     "fields: {event_time: t, user_id: u}\n", ["MAPPING:2", "path"]),
    ("empty", "", ["MAPPING", "event_time"]),
]

MANIFESTS = [
    ("newer format", "format: 2\nkind: logistic\nname: a\nversion: '1'\n",
     ["manifest.yaml:1", "format", '"2"']),
    ("unknown kind", "format: 1\nkind: logisitc\nname: a\nversion: '1'\nfeatures:\n"
     "  - {name: session_events, transform: log1p, mean: 1, scale: 1, limit: 6}\n",
     ["manifest.yaml:2", "kind", '"logisitc"', "logistic"]),
    ("unknown key", "format: 1\nkind: logistic\nname: a\nversoin: '1'\n",
     ["manifest.yaml:4", "versoin", '"version"']),
    ("scale of zero", "format: 1\nkind: logistic\nname: a\nversion: '1'\nfeatures:\n"
     "  - {name: session_events, transform: log1p, mean: 1, scale: 0, limit: 6}\n",
     ["manifest.yaml:6", "scale", "above 0"]),
]

# Arguments (CONFIG: a good configuration; OUT: a folder that is not there) and the message's words.
COMMAND_LINES = [
    ("", ["nudge COMMAND"]),
    ("rnu", ["rnu", "did you mean run"]),
    ("--halp", ["--halp"]),
    ("run", ["configuration file expected"]),
    ("run CONFIG", ["no input", "--input", "input.files", "CONFIG"]),
    ("run CONFIG --input", ["--input", "value expected"]),
    ("run CONFIG --inptu x", ["--inptu", "did you mean --input"]),
    ("run CONFIG --inptu=x", ["--inptu:", "did you mean --input"]),
    ("run CONFIG -i x", ["-i", "no such option"]),
    ("run CONFIG other.yaml", ["other.yaml", "not expected"]),
    ("run CONFIG --input EVENTS --workers 0", ["--workers", '"0"', "1 to 256"]),
    ("run CONFIG --input EVENTS --workers 257", ["--workers", '"257"', "1 to 256"]),
    ("run CONFIG --input EVENTS --workers two", ["--workers", '"two"', "1 to 256"]),
    ("run CONFIG --input EVENTS --workers 2x", ["--workers", '"2x"']),
    ("run CONFIG --output OUT --output b --input EVENTS", ["--output", '"b"', "before"]),
    ("run CONFIG --input OUT.jsonl --output OUT", ["OUT.jsonl", "No such file"]),
    ("run CONFIG --input - - --output OUT", ["standard input", "2 times"]),
    ("run CONFIG --input EVENTS --output OUT --summary .", ["--summary", '"."', "folder"]),
    ("run CONFIG --input / --output OUT", ["/", "directory"]),
    ("run nowhere.yaml --input EVENTS", ["nowhere.yaml", "No such file"]),
    ("run / --input EVENTS", ["/", "directory"]),
    ("check", ["configuration file expected"]),
    ("check nowhere.yaml", ["nowhere.yaml", "No such file"]),
    ("check CONFIG --partitions 0", ["--partitions", '"0"']),
    ("check CONFIG --partitions -1", ["--partitions", '"-1"']),
    ("check CONFIG --partitions many", ["--partitions", '"many"', "a number"]),
    ("check CONFIG --partitons 2", ["--partitons", "--partitions"]),
    ("describe", ["features, stages, settings, rules, metrics, events"]),
    ("describe featurs", ["featurs", "did you mean features"]),
    ("describe features stages", ["stages", "not expected"]),
    ("describe features --markdwn", ["--markdwn", "--markdown"]),
    ("describe features --markdown=no", ["--markdown", '"no"', "no value"]),
    ("generate", ["--output"]),
    ("generate --output", ["--output", "value expected"]),
    ("generate --output OUT --evnts 3", ["--evnts", "--events"]),
    ("generate --output OUT --events 0", ["--events", '"0"', "1 to"]),
    ("generate --output OUT --events -3", ["--events", '"-3"']),
    ("generate --output OUT --events x", ["--events", '"x"']),
    ("generate --output OUT --late 2", ["--late", '"2"', "0 to 1"]),
    ("generate --output OUT --late nan", ["--late", '"nan"', "0 to 1"]),
    ("generate --output OUT --format xml", ["--format", '"xml"', "avro"]),
    ("generate --output OUT --partitions 0", ["--partitions", '"0"']),
    ("generate --output OUT more", ["more", "not expected"]),
]
# Of commands that a build may be without.
OPTIONAL_COMMAND_LINES = [
    ("explain", ["expected"]),
    ("explain zz --output OUT", ["zz"]),
    ("explain 012345 --output OUT", ["OUT"]),
    ("explain 012345 --outptu OUT", ["--outptu", "--output"]),
    ("train", ["expected"]),
    ("train CONFIG --inptu x", ["--inptu", "--input"]),
    ("eval", ["expected"]),
    ("eval CONFIG --inptu x", ["--inptu", "--input"]),
]


def refused(result, words, name):
    """None, or what is wrong with the refusal."""
    if result.code != 2:
        return f"{name}: exit {result.code}, 2 expected; {result.errors.strip()}"
    missing = [word for word in words if word not in result.errors]
    if missing:
        return f"{name}: {missing} missing in: {result.errors.strip()}"
    if "Traceback" in result.errors or result.errors.count("\n") > 25:
        return f"{name}: not a message but: {result.errors.strip()}"
    return None


def all_right(problems):
    problems = [problem for problem in problems if problem]
    check(not problems, f"{len(problems)} cases:\n    " + "\n    ".join(problems))


def test_wrong_configurations_are_refused_with_place_value_and_what_was_expected(work):
    write(f"{work}/short.key", "short")
    write(f"{work}/long.key", "x" * 5000)
    config = f"{work}/config.yaml"
    problems = []
    for name, content, words, *options in CONFIGURATIONS:
        write(config, content)
        words = [word.replace("CONFIG", config) for word in words]
        result = nudge("check", config, *options, env={"NUDGE_TEST_SHORT": "nine_byte"})
        problems.append(refused(result, words, name))
        if result.out:
            problems.append(f"{name}: printed {result.out[:80]} all the same")
        # A run refuses in the same words, before it makes anything.
        write(f"{work}/events.jsonl", lines([event(0)]))
        inputs = [f"{work}/events.jsonl"] * (2 if options else 1)
        ran = nudge("run", config, "--input", *inputs, "--output", f"{work}/out",
                    env={"NUDGE_TEST_SHORT": "nine_byte"})
        problems.append(refused(ran, words, name + " (run)"))
        if os.path.exists(f"{work}/out"):
            problems.append(f"{name}: an output folder was made")
    all_right(problems)


def test_wrong_mappings_are_refused(work):
    config = write(f"{work}/config.yaml", "input: {mapping: mapping.yaml}\n")
    problems = []
    for name, content, words in MAPPINGS:
        write(f"{work}/mapping.yaml", content)
        words = [word.replace("MAPPING", f"{work}/mapping.yaml") for word in words]
        problems.append(refused(nudge("check", config), words, name))
    all_right(problems)


def test_wrong_packs_are_refused(work):
    config = write(f"{work}/config.yaml", "predict_intent: {purchase_pack: pack}\n")
    write(f"{work}/pack/weights.safetensors", b"")
    problems = []
    for name, content, words in MANIFESTS:
        write(f"{work}/pack/manifest.yaml", content)
        problems.append(refused(nudge("check", config), words, name))
    all_right(problems)


def test_wrong_rules_files_are_refused_with_their_own_place(work):
    config = write(f"{work}/config.yaml", "emit_interventions: {rules_file: rules.yaml}\n")
    rules = write(f"{work}/rules.yaml", f"- {{name: a, on: any, {ALERT}}}\n"
                  f"- {{name: b, on: any, if: cart_valeu > 1, {ALERT}}}\n")
    all_right([refused(nudge("check", config), [f"{rules}:2", "cart_valeu", "cart_value"], "name")])
    # The same name in both files.
    write(f"{work}/rules.yaml", f"- {{name: a, on: any, {ALERT}}}\n")
    write(config, rule(f"name: a, on: any, {ALERT}") + "  rules_file: rules.yaml\n")
    all_right([refused(nudge("check", config), [f"{rules}:1", '"a"', f"{config}:3"], "twice")])


def test_wrong_command_lines_are_refused(work):
    config = write(f"{work}/config.yaml", "name: good\n")
    events = write(f"{work}/events.jsonl", lines([event(0)]))
    places = {"CONFIG": config, "OUT": f"{work}/out", "EVENTS": events}

    def fill(text):
        for word, path in places.items():
            text = text.replace(word, path)
        return text

    known = nudge("--help").out
    cases = COMMAND_LINES + [case for case in OPTIONAL_COMMAND_LINES
                             if f"  {case[0].split()[0]} " in known]
    problems = []
    for arguments, words in cases:
        result = nudge(*fill(arguments).split(), cwd=work)
        problems.append(refused(result, [fill(word) for word in words], arguments))
        if os.path.exists(places["OUT"]):
            problems.append(f"{arguments}: {places['OUT']} was made")
    all_right(problems)


def test_each_command_has_help(work):
    del work
    usage = nudge("--help")
    equal(usage.code, 0, "nudge --help")
    commands = [line.split()[0] for line in usage.out.splitlines() if line.startswith("  ")]
    check({"run", "check", "generate", "describe"} <= set(commands), f"commands: {commands}")
    for command in commands:
        for option in ("--help", "-h"):
            result = nudge(command, option)
            check(result.code == 0 and result.out.startswith(f"nudge {command}"),
                  f"{command} {option}: {result}")



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
