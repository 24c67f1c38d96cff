#!/usr/bin/env python3
"""What stands in the records of topics, on a real broker: bare Avro, Confluent's frames with
writers of several versions, a schema registry that is away, and schemas of outputs. Outputs are
compared with those of the same events from a file."""
import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_harness import Application, file_outputs, same, wait_for  # noqa: E402
from kafka_ports import free_port  # noqa: E402

broker = None
TYPES = ["search", "product_view", "add_to_cart", "remove_from_cart", "checkout_step", "order",
         "login", "page_view"]
NUMBERS = ("price", "quantity", "stock", "order_line")
OPTIONAL = ("event_id", "user_id", "device_id", "session_hint", "item", "category", "price",
            "currency", "quantity", "order_id")


# ---- writing Avro ----

def number(value):
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def datum(kind, value):
    if isinstance(kind, list):
        branch = kind.index("null") if value is None else next(
            i for i, one in enumerate(kind) if one != "null")
        return number(branch) + (b"" if value is None else datum(kind[branch], value))
    if isinstance(kind, dict) and kind["type"] == "record":
        return b"".join(datum(field["type"], value.get(field.get("from", field["name"]),
                                                   field.get("default")))
                        for field in kind["fields"])
    if isinstance(kind, dict) and kind["type"] == "enum":
        return number(kind["symbols"].index(value))
    name = kind["type"] if isinstance(kind, dict) else kind
    if name in ("int", "long"):
        return number(value)
    if name == "boolean":
        return bytes([bool(value)])
    text = value.encode()
    return number(len(text)) + text


def text_of(schema):
    """As JSON, less what is for the test."""
    fields = [{key: value for key, value in field.items() if key != "from"}
              for field in schema["fields"]]
    return json.dumps({**schema, "fields": fields})


def record(*fields):
    return {"type": "record", "name": "click", "fields": list(fields)}


def optional(name, kind=None):
    kind = kind or ("long" if name in NUMBERS else "string")
    return {"name": name, "type": ["null", kind], "default": None}


TIME = {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}}
TYPE = {"name": "type", "type": "string"}
FIRST = record(TIME, TYPE, *map(optional, OPTIONAL))


def versions(types):
    """Schemas of writers as they come and go in one topic, and the fields that each leaves out."""
    kinds = {"type": "enum", "name": "kind", "symbols": types}
    return [
        (FIRST, ()),
        (record(TIME, {"name": "campaign", "type": "string", "default": "none"}, TYPE,
                {"name": "depth", "type": ["null", "int"], "default": None},
                *map(optional, OPTIONAL)), ()),
        (record(TIME, TYPE, *[optional(name) for name in OPTIONAL if name != "category"]),
         ("category",)),
        (record(*map(optional, reversed(OPTIONAL)), TYPE, TIME), ()),
        (record(TIME, TYPE, *[optional(name, "int" if name in ("quantity", "stock") else
                                       "bytes" if name == "item" else None)
                              for name in OPTIONAL]), ()),
        (record(TIME, TYPE, *[dict(optional(name), name="who", aliases=["user_id"],
                                   **{"from": "user_id"}) if name == "user_id"
                              else optional(name) for name in OPTIONAL]), ()),
        (record(TIME, dict(TYPE, type=kinds), *map(optional, OPTIONAL)), ()),
    ]


UNRESOLVED = record(TIME, TYPE, dict(optional("price"), type="boolean"),
                    *[optional(name) for name in OPTIONAL if name != "price"])


class Registry:
    """Our small server by the registry's published interface."""

    def __init__(self, *options, port=None):
        # One that nobody has while the registry is away.
        port = port or free_port()
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(kafka_harness.ROOT, "test/wire/registry_server.py"),
             "--port", str(port), *options], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.kill()
        self.process.wait()


def some_events(work, count):
    file = kafka_harness.generate(work, count)[0]
    wanted = set(OPTIONAL) | {"event_time", "type"}
    return [{key: value for key, value in json.loads(line).items() if key in wanted}
            for line in harness.read(file).splitlines()]


def frame(number_of_schema, bytes_):
    return struct.pack(">bI", 0, number_of_schema) + bytes_


def section(registry, *more):
    lines = "".join(f"  {line}\n" for line in more)
    return (f"schema_registry:\n  url: [{registry.url}]\n  backoff_min: 20ms\n"
            f"  backoff_max: 200ms\n{lines}")


# ---- the tests ----

def test_bare_avro_by_a_schema_that_is_given(work):
    events = some_events(work, 1500)
    schema = harness.write(os.path.join(work, "click.avsc"), text_of(FIRST))
    topic = broker.make("raw" + os.path.basename(work))
    application = Application(broker, work, topic, format="avro", kafka=f"  input_schema: {schema}")
    application.create()
    broker.send(topic, [datum(FIRST, event) for event in events])
    application.run()
    lines = harness.write(os.path.join(work, "events.jsonl"), harness.lines(events))
    same(application.outputs(), file_outputs(work, application, [lines]), "bare Avro")


def test_writers_of_all_versions_in_one_topic_give_what_the_file_gives(work):
    events = some_events(work, 2100)
    writers = versions(sorted({event["type"] for event in events}))
    registry = Registry()
    try:
        for place, (schema, _) in enumerate(writers):
            registry.tell("add", 10 + place, text_of(schema))
        registry.tell("add", 99, text_of(UNRESOLVED))
        topic = broker.make("versions" + os.path.basename(work))
        application = Application(broker, work, topic, format="avro", more=section(registry))
        application.create()
        values, lines = [], []
        for place, event in enumerate(events):
            if place % 100 == 50:
                values.append(frame(99, datum(UNRESOLVED, event)))
                lines.append(b"broken\n")
                continue
            schema, left_out = writers[place // 3 % len(writers)]
            values.append(frame(10 + place // 3 % len(writers), datum(schema, event)))
            lines.append(harness.lines([{key: value for key, value in event.items()
                                         if key not in left_out}]))
        broker.send(topic, values)
        application.run()
        found = application.outputs()
        expected = file_outputs(work, application, [
            harness.write(os.path.join(work, "events.jsonl"), b"".join(lines))])
        letters = [json.loads(value) for value in found.pop(("dead_letters", 0))]
        del expected[("dead_letters", 0)]
        same(found, expected, "versions")
        equal(len(letters), 21, "dead letters")
        for letter in letters:
            check("schema 99" in letter["detail"] and "price" in letter["detail"],
                  f"a dead letter that names schema and field expected: {letter}")
            check(letter["source"] == topic and letter["ordinal"] % 100 == 50, f"place: {letter}")
    finally:
        registry.close()


def test_a_registry_that_is_away_at_the_start_is_waited_for_and_named(work):
    registry = Registry()
    registry.close()
    topic = broker.make("away" + os.path.basename(work))
    application = Application(broker, work, topic, format="avro",
                              more=section(registry, "start_timeout: 500ms")).create()
    events = some_events(work, 100)
    broker.send(topic, [frame(7, datum(FIRST, event)) for event in events])
    said = application.run(code=1).errors
    check(registry.url in said and "schema registry" in said, f"the address is named: {said}")
    application.write(more=section(registry, "start_timeout: 60s"))
    running = application.start()
    try:
        running.wait_for("schema_registry attempt=2")
        back = Registry(port=registry.port)
        back.tell("add", 7, text_of(FIRST))
        equal(running.wait(), 0, "exit")
        back.close()
    finally:
        running.kill()
    lines = harness.write(os.path.join(work, "events.jsonl"), harness.lines(events))
    same(application.outputs(), file_outputs(work, application, [lines]), "registry away at first")


def test_a_registry_that_goes_away_leaves_known_ids_working(work):
    events = some_events(work, 900)
    registry = Registry()
    registry.tell("add", 7, text_of(FIRST))
    topic = broker.make("later" + os.path.basename(work))
    application = Application(broker, work, topic, format="avro", more=section(registry),
                              ends=False).create()
    running = application.start()

    def is_committed(count):
        return broker.offsets(application.name).get((topic, 0), (0, ""))[0] >= count

    try:
        broker.send(topic, [frame(7, datum(FIRST, event)) for event in events[:300]])
        wait_for(lambda: is_committed(300), "the first third")
        registry.close()
        broker.send(topic, [frame(7, datum(FIRST, event)) for event in events[300:600]])
        wait_for(lambda: is_committed(600), "known ids")
        # An id that is not known yet: its record waits, and so do those behind it.
        broker.send(topic, [frame(8, datum(FIRST, event)) for event in events[600:]])
        check(not is_committed(601), "records of an unknown schema wait")
        back = Registry(port=registry.port)
        back.tell("add", 8, text_of(FIRST))
        wait_for(lambda: is_committed(900), "the last third")
        back.close()
        running.stop()
    finally:
        running.kill()
    back = Registry(port=registry.port)
    application.write(ends=True)
    application.run()
    back.close()
    lines = harness.write(os.path.join(work, "events.jsonl"), harness.lines(events))
    same(application.outputs(), file_outputs(work, application, [lines]), "registry away later")


def test_schemas_of_outputs_are_registered_or_only_checked(work):
    events = some_events(work, 400)
    registry = Registry()
    registry.tell("add", 7, text_of(FIRST))
    topic = broker.make("out" + os.path.basename(work))
    application = Application(broker, work, topic, format="avro", output="avro",
                              more=section(registry, "output_schemas: check")).create()
    broker.send(topic, [frame(7, datum(FIRST, event)) for event in events])
    try:
        said = application.run(code=2).errors
        check(f"{application.name}.alerts-value" in said, f"the subject is named: {said}")
        application.write(more=section(registry, "output_schemas: register"))
        application.run()
        found = application.outputs()
        # Once they are registered, checking is content; another application can be run by it.
        application.write(more=section(registry, "output_schemas: check"))
        application.run()
        ids = {topic_: {value[:5] for value in values} for (topic_, _), values in found.items()}
        check(len(found[("sessions", 0)]) > 5, "sessions are there")
        for topic_, heads in ids.items():
            equal(len(heads), 1, f"{topic_}: one schema id")
            check(next(iter(heads))[0] == 0, f"{topic_}: a zero byte first")
        equal(len({next(iter(heads)) for heads in ids.values()}), len(ids), "an id a topic")
        check(b"click" not in next(iter(ids["sessions"])), "framed")
    finally:
        registry.close()


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
