#!/usr/bin/env python3
"""Identities and what people wrote go in, and come out nowhere: not in topics, state, log, standard
output or error, unless the configuration lists them.

    privacy_test.py NUDGE [TEST...]
"""
import hashlib
import json
import os
import random
import sys

import harness
from harness import check, equal, lines, nudge, outputs, read, records, run_ok, write

SECRET = "Zq7Pw-geheim-4711-0815-xyz"
# What stands in the events and must not come out, by field. Long enough not to occur by chance.
MARKERS = {
    "user_id": "MarkUser",
    "device_id": "MarkDevice",
    "ip": "203.0.113.",
    "payment_instrument": "MarkCard",
    "text": "MarkText",
    "attributes": "MarkAttribute",
}
# Of class quasi: these come out only where they are listed, too.
QUASI = {
    "session_hint": "MarkHint",
    "order_id": "MarkOrder",
    "url": "MarkUrl",
    "referrer": "MarkReferrer",
    "user_agent": "MarkAgent",
}
RULES = """
output: {scored_events_share: 1, dead_letter_content: false}
sessions: {by_hint: true}
commit: {interval: 20ms, segment: 64KiB}
emit_interventions:
  rules:
    - {name: seen, on: any, if: price > 1, alert: {severity: low, reason: "{price} {type}"}}
    - {name: cart, on: {idle_cart: 1m}, promotion: {kind: reminder, valid_for: 1d}}
    - {name: asked, on: [search, message], alert: {severity: info, reason: asked}}
"""
KINDS = ("product_view", "search", "message", "add_to_cart", "login_failed", "checkout", "purchase",
         "refund", "review", "identity_link", "erase", "gift_wrap")


def make_event(number, random_numbers):
    user = random_numbers.randrange(200)
    item = {"event_id": f"e{number}", "event_time": harness.START_MS + 3000 * number,
            "type": KINDS[number % len(KINDS)], "item": f"i{number % 50}", "price": 5000000,
            "quantity": 1, "merchant": f"terminal{number % 9}",
            "url": f"https://shop.example/MarkUrl{number}?q=MarkUrl",
            "attributes": {"note": f"MarkAttribute{number}"}}
    for field, marker in {**MARKERS, **QUASI}.items():
        if field == "ip":
            item[field] = f"{marker}{user}"
        elif field == "text":
            item[field] = f"{marker}{number} wants a red shoe"
        else:
            item.setdefault(field, f"{marker}{user}")
    if number % 7 == 0:
        del item["user_id"]  # Then another identity is what the state is kept by.
    return item


def make_events():
    random_numbers = random.Random(3)
    events = [make_event(number, random_numbers) for number in range(3000)]
    for number in range(500, 3000, 250):
        events[number]["event_time"] -= 600000  # Late.
        events[number + 1] = dict(events[number - 1])  # Twice.
        events[number + 2]["price"] = -1
        events[number + 3]["text"] = "MarkText" * 9000
        events[number + 4]["event_time"] = "MarkUser"
        events[number + 5]["currency"] = "MarkCard"
        events[number + 6]["quantity"] = "MarkText"
    return events


def make_input(work):
    content = lines(make_events()).splitlines(keepends=True)
    content[100:100] = [b'{"user_id": "MarkUser1", "text": "MarkText\n', b"MarkCard1 no json\n",
                        b'{"user_id": "MarkUser\xff"}\n']
    return write(f"{work}/events.jsonl", b"".join(content))


def configure(work, name="config.yaml", more="", rules=RULES):
    write(f"{work}/secret.key", SECRET + "\n")
    return write(f"{work}/{name}", f"privacy: {{key_file: secret.key}}\n{more}{rules}")


def every_file(folder):
    for path, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(path, name)


def find(folder, needles):
    """The places where one of the byte strings stands in a file below the folder."""
    return [f"{needle.decode(errors='replace')} in {path}" for path in every_file(folder)
            for content in [read(path)] for needle in needles if needle in content]


def bytes_of(markers):
    return [marker.encode() for marker in markers]


def test_identities_and_content_come_out_nowhere(work):
    path = make_input(work)
    for format in ("jsonl", "avro"):
        rules = RULES.replace("output: {", f"output: {{format: {format}, ")
        config = configure(work, rules=rules)
        output = f"{work}/out-{format}"
        result = nudge("run", config, "--input", path, "--output", output, "--summary",
                       f"{work}/summary.json")
        check(result.code == 0, f"{result}")
        summary = json.loads(read(f"{work}/summary.json"))
        for key in ("alerts", "promotions", "sessions", "decisions", "late_events", "duplicates",
                    "scored_events"):
            check(summary[key] > 0, f"no {key}: little was tried")
        check(summary["dead_letters"]["total"] >= 53, f"{summary['dead_letters']}")
        needles = bytes_of([*MARKERS.values(), *QUASI.values(), SECRET])
        found = find(output, needles) + find(f"{work}/summary.json", needles)
        check(not found, f"{len(found)} places: {found[:5]}")
        check(any(".sst" in name for name in every_file(output)), "no state was looked at")
        check(any("/log/" in name and os.path.getsize(name) for name in every_file(output)),
              "no log was looked at")
        for name, text in (("standard output", result.out), ("standard error", result.errors)):
            for needle in (*MARKERS.values(), *QUASI.values(), SECRET):
                check(needle not in text, f"{needle} in {name}: {text[:300]}")


def test_a_log_with_uncommitted_ends_holds_no_identity_either(work):
    """Killed in the middle, the files are as they are: they hold none."""
    config = configure(work, more="run: {batch: 8}\n")
    path = make_input(work)
    process = harness.start("run", config, "--input", path, "--output", f"{work}/out")
    harness.wait_for(lambda: os.path.exists(f"{work}/out/alerts/0.jsonl") or
                     process.poll() is not None, 30, "the first output")
    process.kill()
    harness.finish(process)
    found = find(f"{work}/out", bytes_of([*MARKERS.values(), *QUASI.values(), SECRET]))
    check(not found, f"{len(found)} places: {found[:5]}")


def test_dead_letters_hold_what_came_only_where_they_may(work):
    path = make_input(work)
    config = configure(work, rules=RULES.replace("false", "true"))
    run_ok(config, [path], f"{work}/out")
    found = find(f"{work}/out", bytes_of(MARKERS.values()))
    check(not [place for place in found if "/dead_letters/" not in place and "/log/" not in place
               and "/.state/" not in place], f"{found[:5]}")
    details = json.dumps([letter["detail"] for letter in records(f"{work}/out", "dead_letters")])
    check("MarkCard" in details, "the details quote nothing")


def pseudonyms(output):
    return [record["user"] for topic in ("sessions", "decisions", "alerts", "late_events")
            for record in records(output, topic)]


def test_pseudonyms_depend_on_the_secret_alone(work):
    path = make_input(work)
    run_ok(configure(work), [path], f"{work}/a")
    write(f"{work}/without_line_end.key", SECRET)
    same = {"another name of the file": "privacy: {key_file: without_line_end.key}\n",
            "the environment": "privacy: {key_env: NUDGE_TEST_SECRET}\n"}
    for name, privacy in same.items():
        config = write(f"{work}/config.yaml", privacy + RULES)
        output = f"{work}/{name}".replace(" ", "-")
        run_ok(config, [path], output, env={"NUDGE_TEST_SECRET": SECRET})
        harness.same_outputs(output, f"{work}/a", name)
        check(not find(output, [SECRET.encode()]), f"{name}: the secret is in the files")
    expected = pseudonyms(f"{work}/a")
    check(len(expected) > 1000 and len(set(expected)) > 150, f"{len(set(expected))} pseudonyms")
    others = {"another secret": "privacy: {key_env: NUDGE_TEST_SECRET}\n", "no secret": ""}
    for name, privacy in others.items():
        config = write(f"{work}/config.yaml", privacy + RULES)
        output = f"{work}/{name}".replace(" ", "-")
        run_ok(config, [path], output, env={"NUDGE_TEST_SECRET": SECRET + "!"})
        found = pseudonyms(output)
        equal(len(found), len(expected), f"{name}: records")
        equal(len(set(found)), len(set(expected)), f"{name}: number of pseudonyms")
        check(not set(found) & set(expected), f"{name}: a pseudonym is the same")


def test_who_has_secret_and_identities_finds_the_shoppers_in_the_outputs(work):
    config = configure(work)
    events = [{"event_id": f"e{n}", "event_time": harness.START_MS + n, "type": "product_view",
               "item": "i", "price": 5000000, **identity} for n, identity in enumerate([
                   {"user_id": " Ann\u0065\u0301e ", "device_id": "d1"},
                   {"device_id": "d2", "ip": "203.0.113.7"}, {"ip": "203.0.113.8"}])]
    run_ok(config, [write(f"{work}/three.jsonl", lines(events))], f"{work}/out")
    seen = {record["event_id"]: record["user"] for record in records(f"{work}/out", "alerts")}
    equal(len(seen), 3, "alerts")
    asked = nudge("pseudonym", config, "Ann\u00e9e", "  ")
    equal(asked.out, f"Ann\u00e9e\t{seen['e0']}\n", "by user id, composed and trimmed")
    many = nudge("pseudonym", config, stdin="Bob\n\nAnn\u0065\u0301e \r\n".encode())
    equal(many.out.splitlines()[1:], [f"Ann\u00e9e\t{seen['e0']}"], "lines of standard input")
    by_device = nudge("pseudonym", config, "--by", "device_id", "d2", "d1")
    equal(by_device.out.splitlines()[0], f"d2\t{seen['e1']}", "by device")
    check(seen["e0"] not in by_device.out, "a device of a known user is not the user")
    by_ip = nudge("pseudonym", config, "203.0.113.8", "--by=ip")
    equal(by_ip.out, f"203.0.113.8\t{seen['e2']}\n", "by address")
    refused = nudge("pseudonym", config, "--by", "device", "d2")
    check(refused.code == 2 and "did you mean device_id?" in refused.errors, f"{refused}")
    check(nudge("pseudonym", config, stdin=b"a\n" + b"b" * 70000).code == 2, "a line that is no id")
    check("built-in key" in nudge("pseudonym", write(f"{work}/open.yaml", RULES), "a").errors,
          "nothing is said of the built-in key")


def test_without_a_secret_a_run_warns(work):
    path = make_input(work)
    config = write(f"{work}/config.yaml", RULES)
    result = nudge("run", config, "--input", path, "--output", f"{work}/out")
    check(result.code == 0 and "built-in key" in result.errors, f"{result}")
    check("built-in key" in nudge("check", config).out, "check does not say it")
    config = configure(work)
    result = nudge("run", config, "--input", path, "--output", f"{work}/own")
    check("built-in key" not in result.errors, f"{result}")


def test_the_secret_is_printed_nowhere(work):
    config = configure(work, name="long.yaml")
    digest = hashlib.blake2b(SECRET.encode(), digest_size=16).digest()
    path = make_input(work)
    texts = [nudge("check", config), nudge("run", config, "--input", path, "--output",
                                           f"{work}/out")]
    # Refused as well: too long, and of a configuration that is wrong for another reason.
    write(f"{work}/secret.key", SECRET * 300)
    texts.append(nudge("check", config))
    write(f"{work}/secret.key", SECRET)
    write(config, read(config).decode() + "\nnonsense: 1\n")
    texts.append(nudge("check", config))
    short = write(f"{work}/short.yaml", "privacy: {key_env: NUDGE_TEST_SECRET}\n")
    texts.append(nudge("check", short, env={"NUDGE_TEST_SECRET": SECRET[:8]}))
    equal([text.code for text in texts], [0, 0, 2, 2, 2], "exit codes")
    for text in texts:
        check(SECRET[:8] not in text.out + text.errors, f"{text} {text.out}")
    os.remove(f"{work}/secret.key")
    found = find(f"{work}/out", [SECRET.encode(), digest, digest.hex().encode()])
    check(not found, f"{found}")


def test_listed_fields_come_out_and_no_others(work):
    path = make_input(work)
    listed = ["user_id", "text", "order_id"]
    rules = RULES.replace("  rules:", f"  fields: [{', '.join(listed)}]\n  rules:")
    rules = rules.replace("reason: asked", 'reason: "{text}"')
    config = configure(work, rules=rules)
    run_ok(config, [path], f"{work}/out")
    events = {item["event_id"]: item for item in make_events()}
    seen = set()
    alerts = records(f"{work}/out", "alerts")
    for alert in alerts:
        cause = events[alert["event_id"]]
        expected = {field: cause[field] for field in listed if field in cause}
        equal(alert["fields"], expected, f"fields of the alert of {alert['event_id']}")
        seen |= set(alert["fields"])
        if alert["rule"] == "asked":
            check(cause["text"][:20] in alert["reason"], f"reason: {alert['reason']}")
    equal(seen, set(listed), "fields that came out")
    # Elsewhere, and of the others, there is still nothing.
    left = [marker for field, marker in {**MARKERS, **QUASI}.items() if field not in listed]
    found = find(f"{work}/out", bytes_of(left))
    check(not found, f"{found[:5]}")
    topics = [name for name, content in outputs(f"{work}/out").items()
              if any(MARKERS[field].encode() in content for field in ("user_id", "text"))]
    check(set(topics) <= {"alerts/0.jsonl", "promotions/0.jsonl"}, f"in {topics}")
    check("alerts/0.jsonl" in topics, "the listed fields did not come out")


def test_a_page_about_a_decision_names_nobody(work):
    if "  explain " not in nudge("--help").out:
        raise harness.Skip("this build has no command explain")
    path = make_input(work)
    run_ok(configure(work), [path], f"{work}/out")
    alerts = records(f"{work}/out", "alerts")
    for alert in alerts[::len(alerts) // 5]:
        page = nudge("explain", alert["decision_id"], "--output", f"{work}/out")
        check(page.code == 0 and alert["rule"] in page.out, f"{page}")
        for needle in (*MARKERS.values(), *QUASI.values()):
            check(needle not in page.out, f"{needle}: {page.out}")


if __name__ == "__main__":
    harness.main(sys.modules["__main__"])
