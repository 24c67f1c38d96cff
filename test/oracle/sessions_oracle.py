#!/usr/bin/env python3
"""Sessions from their definitions (operators/sessionize.h), slowly.

A file of events has one JSON object a line, in order of arrival: user, time (ms), type, and item
(a 64-bit hash), hint, price (millionths), quantity, currency where there are any. Its first line is
{"options": {...}} with by_hint, gap_ms, hint_gap_ms, max_length_ms, max_events, late_reach_ms and
lateness_ms.

    sessions_oracle.py EVENTS                    prints the final sessions, one JSON object a line
    sessions_oracle.py --compare EVENTS RECORDS [EVENTS RECORDS ...]
                                                 compares them with files of the sessions topic

A session is a list of events and nothing else; all that is said of it is computed from that list
each time. Where no limit was met, sessions are checked a second time against an order-free
definition: the classes of events that are linked by steps of at most the gap.
"""
import collections
import datetime
import json
import math
import sys

UNCOUNTED = {"label", "price_change", "stock", "erase", "identity_link"}
RARE = {"remove_from_cart", "checkout", "purchase", "payment_failed", "refund", "login",
        "login_failed", "review", "message", "promotion_shown", "promotion_accepted"}
KEPT = 3


class Limits(Exception):
    """Raised where the order-free definition does not apply to a user."""


def span(events):
    times = [event["time"] for event in events]
    return min(times), max(times)


def fits(events, options):
    first, last = span(events)
    types = collections.Counter(event["type"] for event in events)
    return (last - first <= options["max_length_ms"] and len(events) <= options["max_events"]
            and all(types[name] <= 255 for name in RARE))


def group_of(event, options):
    return event.get("hint") if options["by_hint"] else None


def gap_of(group, options):
    return options["gap_ms"] if group is None else options["hint_gap_ms"]


class User:
    def __init__(self):
        self.kept = []  # Lists of events, newest last event first.
        self.final = []  # Those that were pushed out.
        self.was_limited = False

    def put_first(self, session):
        """Sorts a touched session before those with the same last event."""
        rest = [other for other in self.kept if other is not session]
        index = 0
        while index < len(rest) and span(rest[index])[1] > span(session)[1]:
            index += 1
        self.kept = rest[:index] + [session] + rest[index:]

    def join(self, event, options):
        group = group_of(event, options)
        gap = gap_of(group, options)
        best = None
        for session in self.final:
            first, last = span(session)
            if group_of(session[0], options) == group and (
                    first - gap <= event["time"] <= last + gap):
                self.was_limited = True  # It would have joined a session that was pushed out.
        for session in self.kept:
            if group_of(session[0], options) != group:
                continue
            first, last = span(session)
            distance = max(0, first - event["time"], event["time"] - last)
            if distance > gap:
                continue
            if not fits(session + [event], options):
                self.was_limited = True
                continue
            if best is None or (distance, -first) < best[:2]:
                best = (distance, -first, session)
        if best is None:
            self.put_first([event])
            if len(self.kept) > KEPT:
                self.final.append(self.kept.pop())
            return
        session = best[2]
        session.append(event)
        self.put_first(session)
        while self.bridge(session, gap, options):
            pass

    def bridge(self, session, gap, options):
        for other in self.kept:
            if other is session or group_of(other[0], options) != group_of(session[0], options):
                continue
            (a_first, a_last), (b_first, b_last) = span(session), span(other)
            if a_last + gap < b_first or b_last + gap < a_first:
                continue
            if not fits(session + other, options):
                self.was_limited = True
                continue
            session.extend(other)
            self.kept = [kept for kept in self.kept if kept is not other]
            self.put_first(session)
            return True
        return False


def components(events, options):
    """Sessions where nothing is limited, whatever the order of arrival."""
    groups = collections.defaultdict(list)
    for event in events:
        groups[group_of(event, options)].append(event)
    for group, members in groups.items():
        members.sort(key=lambda event: event["time"])
        session = [members[0]]
        for event in members[1:]:
            if event["time"] - session[-1]["time"] > gap_of(group, options):
                yield session
                session = []
            session.append(event)
        yield session


def describe(user, events):
    first, last = span(events)
    counts = collections.Counter(event["type"] for event in events)
    bits = {event["item"] >> 58 for event in events if event.get("item")}
    free = 64 - len(bits)
    distinct = round(-64 * math.log(free / 64)) if free else 304
    priced = [event for event in events if event["type"] == "purchase" and "price" in event]
    currencies = {event.get("currency") for event in priced}
    is_mixed = len(currencies) > 1
    spend = sum(event["price"] * event.get("quantity", 1) for event in priced)
    has_cart = counts["add_to_cart"] > counts["remove_from_cart"] + counts["purchase"]
    entry = min(events, key=lambda event: (event["time"], event["ordinal"]))
    leave = max(events, key=lambda event: (event["time"], event["ordinal"]))
    return {
        "user": user, "start": first, "end": last, "duration_ms": last - first,
        "events": len(events), "events_by_type": dict(sorted(counts.items())),
        "distinct_items": distinct, "purchases": counts["purchase"],
        "spend": None if is_mixed else spend,
        "currency": None if is_mixed or not currencies else currencies.pop(),
        "entry_type": entry["type"], "exit_type": leave["type"],
        "outcome": "purchased" if counts["purchase"] else "abandoned_cart" if has_cart
        else "bounced" if len(events) == 1 else "browsed",
        "has_cart": has_cart, "cause_topic": None, "cause_partition": "p0",
        "cause_ordinal": max(event["ordinal"] for event in events),
    }


def read_events(path):
    with open(path, encoding="utf-8") as lines:
        options = json.loads(next(lines))["options"]
        events = [json.loads(line) for line in lines]
    for ordinal, event in enumerate(events):
        event["ordinal"] = ordinal
    return options, events


def final_sessions(options, events, tally):
    users = collections.defaultdict(User)
    joined = collections.defaultdict(list)
    watermark = None
    for event in events:
        reached = event["time"] - options["lateness_ms"]
        watermark = reached if watermark is None else max(watermark, reached)
        if event["type"] in UNCOUNTED:
            continue
        if event["time"] < watermark - options["late_reach_ms"]:
            tally["too late"] += 1
            continue
        joined[event["user"]].append(event)
        users[event["user"]].join(event, options)
    result = []
    for name, user in users.items():
        sessions = [describe(name, session) for session in user.final + user.kept]
        result += sessions
        if user.was_limited:
            tally["limited users"] += 1
            continue
        tally["order-free users"] += 1
        free = [describe(name, session) for session in components(joined[name], options)]
        assert canonical(free) == canonical(sessions), (name, free, sessions)
    return canonical(result)


def canonical(sessions):
    return sorted(json.dumps(session, sort_keys=True) for session in sessions)


def milliseconds(text):
    time = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return round((time - datetime.datetime(1970, 1, 1)) / datetime.timedelta(milliseconds=1))


def read_records(path):
    """What the records say in the end: the last revision of each session that was not retracted."""
    last = {}
    gone = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            name = record["session_id"]
            before = last.get(name)
            assert record["revision"] == (before["revision"] + 1 if before else 1), line
            assert name not in gone, "a retracted session came back: " + line
            assert before is None or before["user"] == record["user"], "two users, one id: " + line
            assert record["is_retracted"] == (record["merged_into"] is not None), line
            last[name] = record
            if record["is_retracted"]:
                gone[name] = record["merged_into"]
    for survivor in gone.values():
        assert survivor in last, "merged into a session that was never written"
    result = []
    for record in last.values():
        if record["is_retracted"]:
            continue
        kept = {key: value for key, value in record.items() if key not in
                ("session_id", "revision", "is_retracted", "cause", "merged_into")}
        kept["start"] = milliseconds(kept["start"])
        kept["end"] = milliseconds(kept["end"])
        kept["events_by_type"] = dict(sorted(kept["events_by_type"].items()))
        result.append(kept)
    return canonical(result)


def compare(events_path, records_path, tally):
    options, events = read_events(events_path)
    expected = collections.Counter(final_sessions(options, events, tally))
    actual = collections.Counter(read_records(records_path))
    tally["sessions"] += sum(expected.values())
    if expected == actual:
        return True
    print(f"{events_path}: {options}: sessions differ")
    for line in list((expected - actual).elements())[:5]:
        print("  expected", line)
    for line in list((actual - expected).elements())[:5]:
        print("  written ", line)
    return False


def main(arguments):
    tally = collections.Counter()
    if arguments[0] != "--compare":
        print("\n".join(final_sessions(*read_events(arguments[0]), tally)))
        return 0
    paths = arguments[1:]
    is_equal = [compare(paths[i], paths[i + 1], tally) for i in range(0, len(paths), 2)]
    print(", ".join(f"{count} {name}" for name, count in sorted(tally.items())))
    # A comparison that met no case of a kind would prove nothing of it.
    return 0 if all(is_equal) and tally["sessions"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
