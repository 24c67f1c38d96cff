#!/usr/bin/env python3
"""Wrong configurations, mappings, packs, rules and command lines are refused in words that help, before anything
is made.

    bad_config_test.py NUDGE [TEST...]
"""
import os
import sys

import harness
from harness import all_right, check, equal, event, lines, nudge, write


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
    ("describe", ["features, stages, settings, rules, training, metrics, events"]),
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


if __name__ == "__main__":
    harness.main(sys.modules["__main__"])
