#!/usr/bin/env python3
"""The features once more, plain and slow, from the definitions in operators/feature_table.h and .c.

    features_oracle.py make STREAM EVENTS.tsv    writes a stream of events: random:SEED, or
                                                 shop:CSV.GZ, a clickstream with columns
                                                 event_time, event_type, product_id ...
    features_oracle.py compare ROWS.tsv          computes each row's features anew from all that
                                                 came before it and compares

Nothing is kept from row to row but the list of what happened: every value is computed from the
whole history. Counts must be equal; all else within 1e-6 relative.
"""
import csv
import gzip
import math
import random
import sys
from datetime import datetime, timezone

import struct

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
QUIET = {"label", "identity_link", "price_change", "stock", "erase", ""}
NAN = math.nan


# ---- making streams ----------------------------------------------------------------------------

COLUMNS = ("user time type id item category price quantity device card terminal address "
           "referrer text").split()


def make_random(seed):
    rng = random.Random(seed)
    types = ["page_view", "product_view", "product_view", "product_view", "impression", "search",
             "add_to_cart", "add_to_cart", "remove_from_cart", "checkout", "purchase", "purchase",
             "payment_failed", "refund", "login", "login_failed", "review", "promotion_shown",
             "promotion_accepted", "label", "price_change", "other"]
    now = 1_700_000_000_000 + rng.randrange(DAY)
    rows = []
    for _ in range(1100):
        now += rng.choice([0, 1, 250, 900, 1000, 5000, 5000, 30_000, 70_000, 400_000, 2_000_000,
                           9_000_000]) + rng.randrange(3)
        if rng.random() < 0.01:
            now += rng.randrange(9 * DAY)
        time = now
        if rng.random() < 0.12:
            time -= rng.choice([1000, 20_000, 200_000, HOUR, 7 * HOUR, 2 * DAY, 9 * DAY, 40 * DAY])
        event = {
            "user": f"u{min(rng.randrange(9), rng.randrange(9))}",
            "time": time,
            "type": rng.choice(types),
            "item": f"i{rng.randrange(200)}" if rng.random() < 0.8 else "",
            "category": f"c{rng.randrange(20)}" if rng.random() < 0.7 else "",
            "price": rng.choice(["", 0, 990_000, 19_990_000, rng.randrange(1, 10**9)]),
            "quantity": rng.choice(["", "", 1, 2, 3, 12]),
            "device": f"d{rng.randrange(12)}" if rng.random() < 0.8 else "",
            "card": f"k{rng.randrange(15)}" if rng.random() < 0.5 else "",
            "terminal": f"t{rng.randrange(4)}" if rng.random() < 0.4 else "",
            "address": f"a{rng.randrange(20)}" if rng.random() < 0.8 else "",
            "text": rng.choice(["chargeback", "fraud", "genuine", ""]),
            "referrer": f"/{rng.randrange(9)}" if rng.random() < 0.4 else "",
            "id": f"e{len(rows)}",
        }
        rows.append(event)
        if rng.random() < 0.05:
            rows.append(dict(event, id=f"dup{len(rows)}"))
    return rows


def make_shop(path):
    words = {"view": "product_view", "cart": "add_to_cart", "purchase": "purchase"}
    rows = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            time = datetime.strptime(line["event_time"], "%Y-%m-%d %H:%M:%S UTC")
            seconds = int(time.replace(tzinfo=timezone.utc).timestamp())
            rows.append({
                "user": line["user_id"], "time": seconds * 1000, "type": words[line["event_type"]],
                "id": f"e{len(rows)}", "item": line["product_id"],
                "category": line["category_id"],
                "price": round(float(line["price"]) * 1_000_000) if line["price"] else ""})
    return rows


def make(stream, path):
    kind, _, rest = stream.partition(":")
    rows = make_random(int(rest)) if kind == "random" else make_shop(rest)
    with open(path, "w", encoding="utf-8") as out:
        for row in rows:
            out.write("\t".join(str(row.get(name, "")) for name in COLUMNS) + "\n")


# ---- small sums --------------------------------------------------------------------------------

def single(value):
    """Rounded to single precision."""
    return struct.unpack("f", struct.pack("f", value))[0]


def single_sum(values):
    total = 0.0
    for value in values:
        total = single(total + single(value))
    return total


def seconds(time):
    return max(1, time // 1000)


def since(now, times):
    return max(0, seconds(now) - seconds(max(times))) if times else NAN


def ratio(a, b):
    return a / b if b else NAN


def spread_of(values):
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def bit_of(value, bits):
    return ((value * 0x9E3779B97F4A7C15) & (2**64 - 1)) >> (64 - bits)


def estimate(values, log2_bits):
    """Linear counting."""
    size = 2**log2_bits
    zero = size - len({bit_of(value, log2_bits) for value in values if value})
    return -size * math.log(max(zero, 0.5) / size) + 0.0


def window(events, now, width, what=lambda event: True):
    bucket = width // 4
    return [event for event in events
            if event["time"] // bucket > now // bucket - 4 and what(event)]


def bucket_sum(events, width):
    """Each bucket in single precision, in the order of arrival."""
    buckets = {}
    for event in events:
        buckets.setdefault(event["time"] // (width // 4), []).append(event["amount"])
    return sum(single_sum(values) for values in buckets.values())


def rate(events, now, scale):
    return sum(math.exp(-(now - event["time"]) / scale) for event in events)


def by_epoch(events, now, epoch, field):
    """Values of the epoch of now and the one before. An event that came in when its epoch had
    gone already cannot be in them, since now only grows."""
    return [event[field] for event in events if event["time"] // epoch >= now // epoch - 1]


def of(events, *types):
    return [event for event in events if event["type"] in types]


def deviation(amount, before):
    if len(before) < 2:
        return NAN
    mean = sum(before) / len(before)
    if mean <= 0:
        return NAN
    return (amount - mean) / max(spread_of(before), mean * 0.01)


# ---- the Markov table --------------------------------------------------------------------------

class Markov:
    """The table as the program printed it; the chance to buy by plain iteration."""

    def __init__(self, lines):
        self.step, self.leave = {}, {}
        for name, leave, *steps in lines:
            context = tuple(name.split(">"))
            self.leave[context] = float(leave)
            self.step[context] = [float(step) for step in steps]
        names = [context[0] for context in self.step if len(context) == 1]
        self.index = {name: i for i, name in enumerate(names)}
        after = {context: [self.longest(context + (to,)) for to in names] for context in self.step}
        buy = dict.fromkeys(self.step, 0.0)
        for _ in range(300):
            buy = {context: sum(p * (1.0 if to == "purchase" else buy[next_])
                                for p, to, next_ in zip(steps, names, after[context]))
                   for context, steps in self.step.items()}
        self.buy = buy

    def longest(self, events):
        """The longest context of the table that the events, the newest last, end with."""
        return next(events[-length:] for length in (3, 2, 1) if events[-length:] in self.step)

    def of(self, steps):
        types = tuple(step["type"] for step in steps[-3:])
        return self.longest(types if len(steps) > 2 else ("start",) + types)

    def surprise(self, steps, after):
        return min(20.0, -math.log(self.step[self.of(steps)][self.index[after["type"]]]))


# ---- one row -----------------------------------------------------------------------------------

class User:
    def __init__(self):
        self.events = []    # Activity, in order of arrival.
        self.bad_labels = 0


def forward_of(events):
    """(event, newest before it or None) for each forward event."""
    result, newest = [], None
    for event in events:
        if newest is None or event["time"] >= newest:
            result.append((event, newest))
            newest = event["time"]
    return result


def in_session(event):
    return event["session"] != 0 and not event["flags"] & 2


def session_of(events):
    """(index of the event that began the newest session, its events)"""
    start, members, current = None, [], None
    for i, event in enumerate(events):
        if not in_session(event):
            continue
        if current is None or (event["session"] != current and not event["flags"] & 8):
            start, members = i, []
        current = event["session"]
        members.append(event)
    return start, members


def session_features(events, out):
    start, members = session_of(events)
    if start is None:
        return
    last = members[-1]
    newest = max(event["time"] for event in events)
    count = last["session_events"]
    out["session_events"] = count
    begin = seconds(last["session_start"])
    out["session_duration_s"] = max(0, seconds(newest) - begin)
    for name, types in (("product_views", ["product_view"]), ("searches", ["search"]),
                        ("cart_adds", ["add_to_cart"]), ("cart_removes", ["remove_from_cart"]),
                        ("checkouts", ["checkout"]), ("purchases", ["purchase"]),
                        ("failures", ["payment_failed", "login_failed"])):
        out["session_" + name] = len(of(members, *types))
    out["session_distinct_items"] = estimate([e["item"] for e in members], 6)
    out["session_distinct_categories"] = estimate([e["category"] for e in members], 5)
    out["session_seconds_per_event"] = ratio(out["session_duration_s"], count - 1)
    categories = [event["category"] for event in members if event["category"]]
    if len(categories) > 1:
        same = sum(a == b for a, b in zip(categories, categories[1:]))
        out["session_category_repeat_share"] = same / (len(categories) - 1)
    views = [event for event in of(members, "product_view") if event["price"] is not None]
    out["session_view_price_mean"] = ratio(single_sum(e["price"] for e in views), len(views))
    bought = of(members, "purchase")
    out["session_spend"] = single_sum(e["amount"] for e in bought) if bought else NAN
    request_features(members, out)


def request_features(members, out):
    requests = pages = direct = referred = run = 0
    for event in members:
        if requests == 255:
            requests, pages, direct, referred = 127, pages // 2, direct // 2, referred // 2
        is_page = event["type"] in ("page_view", "product_view", "search")
        requests += 1
        pages += is_page
        direct += is_page and not event["referred"]
        referred += event["referred"]
        run = min(255, run + 1) if is_page else 0
    out.update(session_page_share=pages / requests, session_direct_page_share=direct / requests,
               session_referrer_share=referred / requests, session_page_run=run)


def user_features(user, out):
    events = user.events
    views, adds = len(of(events, "product_view")), len(of(events, "add_to_cart"))
    purchases, shown = len(of(events, "purchase")), len(of(events, "promotion_shown"))
    sessions = 0
    for event in events:
        sessions += bool(event["flags"] & 1)
        sessions -= bool(event["flags"] & 8) and sessions > 1
    out.update(user_events=len(events), user_sessions=sessions, user_product_views=views,
               user_cart_adds=adds, user_purchases=purchases,
               user_refunds=len(of(events, "refund")), user_bad_labels=user.bad_labels,
               user_promotions_shown=shown)
    accepted = ratio(len(of(events, "promotion_accepted")), shown)
    out["user_promotion_accept_share"] = min(1.0, accepted) if shown else NAN
    out["user_events_per_session"] = ratio(len(events), sessions)
    out["user_purchases_per_session"] = ratio(purchases, sessions)
    out["user_purchases_per_cart_add"] = ratio(purchases, adds)


FAILURES = ("payment_failed", "login_failed")


def rate_features(events, now, out):
    out["rate_events_1m"] = rate(events, now, MINUTE)
    out["rate_events_1h"] = rate(events, now, HOUR)
    out["rate_events_1d"] = rate(events, now, DAY)
    out["rate_events_7d"] = rate(events, now, 7 * DAY)
    out["rate_cart_adds_1d"] = rate(of(events, "add_to_cart"), now, DAY)
    out["rate_failures_1h"] = rate(of(events, *FAILURES), now, HOUR)
    week = out["rate_events_7d"]
    out["rate_burst"] = out["rate_events_1h"] / week if week >= 1e-6 else NAN


def window_features(events, now, out):
    widths = {"1m": MINUTE, "10m": 10 * MINUTE, "1h": HOUR, "1d": DAY, "7d": 7 * DAY,
              "30d": 30 * DAY}
    for name, types, names in (
            ("events", None, ["1m", "10m", "1h", "1d", "30d"]),
            ("product_views", ["product_view"], ["7d"]),
            ("payments_failed", ["payment_failed"], ["10m", "1h"]),
            ("logins_failed", ["login_failed"], ["10m", "1h"]),
            ("failures", FAILURES, ["1d"]),
            ("purchases", ["purchase"], ["1d", "7d", "30d"]),
            ("refunds", ["refund"], ["30d"])):
        chosen = of(events, *types) if types else events
        for width in names:
            out[f"window_{name}_{width}"] = len(window(chosen, now, widths[width]))
    for width in ("1d", "30d"):
        inside = window(of(events, "purchase"), now, widths[width])
        out["window_spend_" + width] = bucket_sum(inside, widths[width]) if inside else NAN
    out["window_sessions_7d"] = len(window([e for e in events if e["flags"] & 1], now, 7 * DAY))


def gap_features(events, row, before, out):
    forward = forward_of(events)
    gaps = [(e["time"] - newest, e) for e, newest in forward if newest is not None]
    logs = [math.log1p(gap / 1000) for gap, _ in gaps]
    newest_before = max((e["time"] for e in before), default=None)
    is_forward = not row["activity"] or newest_before is None or row["time"] >= newest_before
    if newest_before is not None and is_forward:
        gap = max(0, row["time"] - newest_before) / 1000
        out["gap_last_s"] = gap
        earlier = logs[:-1] if row["activity"] else logs
        if len(earlier) >= 2:
            mean = sum(earlier) / len(earlier)
            out["gap_deviation"] = (math.log1p(gap) - mean) / max(spread_of(earlier), 0.1)
    if logs:
        out["gap_log_mean"] = sum(logs) / len(logs)
    if len(logs) >= 2:
        out["gap_log_spread"] = spread_of(logs)
    start, members = session_of(events)
    if start is not None:
        inside = {id(event) for event in members[1:]}
        own = [gap for gap, event in gaps if id(event) in inside]
        if len(own) >= 2:
            even = sum(abs(b - a) * 10 <= a for a, b in zip(own, own[1:]))
            out["gap_regular_share"] = even / (len(own) - 1)
        out["gap_fast_share"] = ratio(sum(gap < 1000 for gap in own), len(own))


def amount_features(events, row, before, out):
    def payments(list_of):
        return [e["amount"] for e in of(list_of, "purchase") if e["price"] is not None]

    paid = payments(events)
    if is_money(row):
        earlier = payments(before)
        out["amount_event"] = row["amount"]
        out["amount_deviation"] = deviation(row["amount"], earlier)
        out["amount_to_max"] = ratio(row["amount"], single(max(earlier, default=0)))
    if paid:
        out["amount_mean"] = sum(paid) / len(paid)
        out["amount_max"] = max(paid)
    if len(paid) >= 2:
        out["amount_spread"] = spread_of(paid)
    spend = sum(e["micros"] for e in of(events, "purchase")) / 1e6
    out["rfm_spend"] = spend if paid else NAN
    refunds = [e["amount"] for e in of(events, "refund") if e["price"] is not None]
    out["amount_refund_share"] = ratio(single_sum(refunds), spend) if sum(refunds) else NAN


def is_money(row):
    return (row["type"] in ("purchase", "payment_failed", "checkout", "refund")
            and row["price"] is not None)


def distinct_features(events, now, row, before, out):
    epoch = 30 * DAY
    out["distinct_items"] = estimate([e["item"] for e in events], 7)
    out["distinct_categories"] = estimate([e["category"] for e in events], 6)
    for field, plural in (("device", "devices"), ("address", "addresses"), ("card", "cards")):
        out["distinct_" + plural] = estimate(by_epoch(events, now, epoch, field), 5)
        if row["activity"] and row[field]:
            seen = {bit_of(v, 5) for v in by_epoch(before, now, epoch, field) if v}
            out["distinct_new_" + field] = float(bit_of(row[field], 5) not in seen)


def cart_features(events, now, lifetime, out):
    pieces = value = started = touched = top = newest = 0
    items, categories = [], []
    for event in events:
        newest = max(newest, event["time"])
        if pieces and seconds(newest) - touched > lifetime // 1000:
            pieces = 0
        if not pieces:
            value = started = touched = top = 0
            items, categories = [], []
        second = seconds(event["time"])
        if event["type"] == "add_to_cart":
            started = started if pieces else second
            touched = max(touched, second)
            pieces += event["pieces"]
            value += event["micros"]
            top = max(top, single(event["price"] or 0))
            items.append(event["item"])
            categories.append(event["category"])
        elif event["type"] in ("remove_from_cart", "purchase"):
            touched = max(touched, second)
            pieces = max(0, pieces - event["pieces"])
            value = max(0, value - event["micros"])
    if pieces and seconds(now) - touched > lifetime // 1000:
        pieces = 0
    if not pieces:
        out["cart_value"] = 0
        return
    value /= 1e6
    out.update(cart_value=value, cart_pieces=pieces, cart_age_s=max(0, seconds(now) - started),
               cart_idle_s=max(0, seconds(now) - touched), cart_mean_price=value / pieces,
               cart_top_share=min(1.0, top / value) if value else NAN,
               cart_distinct_items=estimate(items, 5),
               cart_distinct_categories=estimate(categories, 5),
               cart_value_to_payment=ratio(value, out.get("amount_mean", 0)))


def rfm_features(events, now, out):
    times = [event["time"] for event in events]
    if times:
        out["rfm_age_s"] = max(0, seconds(now) - seconds(min(times)))
    for name, types in (("purchase", ["purchase"]), ("cart_add", ["add_to_cart"]),
                        ("failure", FAILURES)):
        out[f"rfm_since_{name}_s"] = since(now, [e["time"] for e in of(events, *types)])
    start, members = session_of(events)
    if start:
        earlier = seconds(max(event["time"] for event in events[:start]))
        out["rfm_return_s"] = max(0, seconds(members[-1]["session_start"]) - earlier)
    days = 0
    latest = -1
    for event, _ in forward_of(events):
        if event["time"] // DAY > latest:
            days, latest = days + 1, event["time"] // DAY
    out["rfm_active_days"] = days
    if times:
        out["rfm_active_day_share"] = days / (now // DAY - min(times) // DAY + 1)


def calendar_features(events, time, offset, out):
    def eighth(when):
        return (when // MINUTE + offset) % 1440 // 180

    minute = (time // MINUTE + offset) % 1440
    hour = ((time // MINUTE + offset) // 60 + 3 * 24) % 168
    out["calendar_day_sin"] = math.sin(2 * math.pi * minute / 1440)
    out["calendar_day_cos"] = math.cos(2 * math.pi * minute / 1440)
    out["calendar_week_sin"] = math.sin(2 * math.pi * hour / 168)
    out["calendar_week_cos"] = math.cos(2 * math.pi * hour / 168)
    counts = [0] * 8
    for event in events:
        if counts[eighth(event["time"])] == 255:
            counts = [count // 2 for count in counts]
        counts[eighth(event["time"])] += 1
    out["calendar_usual_share"] = ratio(counts[eighth(time)], sum(counts))


def funnel_features(events, row, markov, out):
    start, members = session_of(events)
    if start is None:
        return
    stages = {"purchase": 4, "checkout": 3, "add_to_cart": 2, "product_view": 1, "impression": 1,
              "search": 1}
    out["funnel_stage"] = max(stages.get(event["type"], 0) for event in members)
    forward = {id(event) for event, _ in forward_of(events)}
    steps = [event for event in members if id(event) in forward]
    if steps:
        out["funnel_buy_chance"] = markov.buy[markov.of(steps)]
        out["funnel_leave_chance"] = markov.leave[markov.of(steps)]
    surprises = [markov.surprise(steps[:i], steps[i])
                 for i in range(1, len(steps))]
    out["funnel_surprise_mean"] = ratio(single_sum(surprises), len(surprises))
    if surprises and steps[-1] is row:
        out["funnel_surprise"] = surprises[-1]


def event_features(row, markov, out):
    if not row["type"]:
        return
    out["event_type"] = markov.index[row["type"]]
    if row["category"]:
        out["event_category_bucket"] = bit_of(row["category"], 6)
    if row["price"] is not None:
        out["event_price"] = row["price"]


def entity_features(kind, heard, row, before, out):
    """`heard`: activity and bad labels of the entity, this row's included where it is either."""
    now = max([row["time"]] + [event["time"] for event in heard])
    events = [event for event in heard if event["activity"]]
    purchases = of(events, "purchase")
    today = window(purchases, now, DAY)
    payments_before = [e["amount"] for e in of(before, "purchase") if e["price"] is not None]
    values = {
        "events_10m": len(window(events, now, 10 * MINUTE)),
        "events_1h": len(window(events, now, HOUR)),
        "payments_failed_10m": len(window(of(events, "payment_failed"), now, 10 * MINUTE)),
        "payments_failed_1h": len(window(of(events, "payment_failed"), now, HOUR)),
        "logins_failed_10m": len(window(of(events, "login_failed"), now, 10 * MINUTE)),
        "logins_failed_1h": len(window(of(events, "login_failed"), now, HOUR)),
        "purchases_1d": len(today),
        "spend_1d": bucket_sum(today, DAY) if today else NAN,
        "distinct_users": estimate(by_epoch(events, now, 7 * DAY, "user_hash"), 5),
        "distinct_cards": estimate(by_epoch(events, now, 7 * DAY, "card"), 5),
        "distinct_addresses": estimate(by_epoch(events, now, 7 * DAY, "address"), 5),
        "age_s": max(0, seconds(now) - seconds(min(e["time"] for e in events))) if events else NAN,
    }
    labels = [e for e in heard if not e["activity"]]
    values["bad_labels_1d"] = len(window(labels, now, DAY))
    values["bad_labels_7d"] = len(window(labels, now, 7 * DAY))
    bad = len(window(labels, now, 28 * DAY))
    values["bad_labels_28d"] = bad
    sold = len(window(purchases, now, 28 * DAY))
    values["bad_share_28d"] = min(1.0, bad / sold) if sold else NAN
    if is_money(row):
        values["amount_deviation"] = deviation(row["amount"], payments_before)
    if before:
        newest = max(event["time"] for event in before)
        values["idle_s"] = max(0, row["time"] - newest) / 1000
    for name, value in values.items():
        out[f"{kind}_{name}"] = value


# ---- comparing ---------------------------------------------------------------------------------

def read_row(fields):
    number = {name: int(fields[name]) for name in
              ("kind time flags session session_start session_events item category device address "
               "card terminal user_hash bad_label live pieces referred").split()}
    price = None if fields["price"] == "" else int(fields["price"])
    row = dict(number, user=fields["user"], type=fields["type"],
               price=None if price is None else price / 1e6)
    row["micros"] = (price or 0) * number["pieces"]
    row["amount"] = row["micros"] / 1e6
    row["activity"] = number["kind"] == 0 and fields["type"] not in QUIET
    return row


def is_close(have, want, exact):
    if math.isnan(want) or math.isnan(have):
        return math.isnan(want) and math.isnan(have)
    if exact:
        return have == want
    return abs(have - want) <= 1e-6 * abs(want) + 1e-12


def is_count(name, unit):
    return unit in ("events", "sessions", "pieces", "days") and not name.startswith("rate_") \
        and not name.endswith("_per_session")


def expected_of(row, users, entities, options):
    user = users.setdefault(row["user"], User())
    before = list(user.events)
    if row["bad_label"]:
        user.bad_labels += 1
    if row["activity"]:
        user.events.append(row)
    now = max([row["time"]] + [event["time"] for event in user.events])
    out = {}
    session_features(user.events, out)
    user_features(user, out)
    rate_features(user.events, now, out)
    window_features(user.events, now, out)
    gap_features(user.events, row, before, out)
    amount_features(user.events, row, before, out)
    distinct_features(user.events, now, row, before, out)
    cart_features(user.events, now, options["cart_lifetime_ms"], out)
    rfm_features(user.events, now, out)
    calendar_features(user.events, row["time"], options["utc_offset_minutes"], out)
    funnel_features(user.events, row, options["markov"], out)
    event_features(row, options["markov"], out)
    for kind in ("device", "address", "card", "terminal"):
        if row[kind] and kind in options["entities"]:
            heard = entities.setdefault((kind, row[kind]), [])
            earlier = list(heard)
            if row["activity"] or row["bad_label"]:
                heard.append(row)
            entity_features(kind, heard, row, earlier, out)
    return out


def check_sketches(row, users, have, errors):
    """That the estimates are near the truth, not only what the definition says."""
    events = users[row["user"]].events
    for name, field in (("distinct_items", "item"), ("distinct_categories", "category")):
        truth = len({event[field] for event in events if event[field]})
        if abs(have[name] - truth) > 4 * 0.1 * truth + 3:
            errors.append(f"{name}: {have[name]} where {truth} are right")


def compare(path):
    users, entities, options, markov_lines = {}, {}, {}, []
    compared = 0
    seen = set()
    with open(path, encoding="utf-8") as file:
        names = units = header = None
        for line_number, line in enumerate(file, 1):
            parts = line.rstrip("\n").split("\t")
            if parts[0] == "option":
                options[parts[1]] = int(parts[2]) if parts[2].lstrip("-").isdigit() else parts[2]
            elif parts[0] == "markov":
                markov_lines.append(parts[1:])
            elif parts[0] == "units":
                units = parts[1:]
            elif parts[0] == "columns":
                header = parts[1:]
                names = [name[2:] for name in header if name.startswith("f:")]
                options["markov"] = Markov(markov_lines)
            else:
                fields = dict(zip(header, parts[1:]))
                row = read_row(fields)
                if not row["live"]:
                    continue
                want = expected_of(row, users, entities, options)
                have = {name: float(fields["f:" + name]) for name in names}
                unknown = set(want) - set(have)
                errors = [f"no such feature: {name}" for name in unknown
                          if not name.split("_")[0] in ("device", "address", "card", "terminal")]
                for name, unit in zip(names, units):
                    compared += 1
                    value = want.get(name, NAN)
                    if not math.isnan(value):
                        seen.add(name)
                    if not is_close(have[name], value, is_count(name, unit)):
                        errors.append(f"{name}: {have[name]!r}, expected {value!r}")
                check_sketches(row, users, have, errors)
                if errors:
                    print(f"{path}:{line_number}: {fields['type'] or 'timer'} of {row['user']} at "
                          f"{row['time']}")
                    print("\n".join("  " + error for error in errors[:20]))
                    return 1
    print(f"{compared} values agree; {len(seen)} of {len(names)} features had a value")
    missing = sorted(set(names) - seen)
    if missing:
        print("never a value: " + " ".join(missing))
    return 0 if compared else 1


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3])
        return 0
    if len(sys.argv) == 3 and sys.argv[1] == "compare":
        return compare(sys.argv[2])
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main())
