#!/usr/bin/env python3
"""Writes time_text.tsv and decimal_text.tsv: texts and what they mean, by Python's own libraries.

Run it in this folder after a change; the tables are committed so that the tests need no Python.
"""
import datetime as dt
import random
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from zoneinfo import ZoneInfo

rng = random.Random(20190126)
UTC = dt.timezone.utc
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
ZONES = ["Asia/Tehran", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
         "Africa/Casablanca", "America/Sao_Paulo", "Asia/Kathmandu", "UTC"]


def ms(moment):
    return (moment - EPOCH) // dt.timedelta(milliseconds=1)


def transitions(zone, first, last):
    """Local times close to the changes of a zone's offset."""
    at = dt.datetime(first, 1, 1, tzinfo=UTC)
    while at.year < last:
        after = at + dt.timedelta(days=7)
        if at.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            low, high = at, after
            while high - low > dt.timedelta(seconds=1):
                middle = low + (high - low) / 2
                if middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            for offset in (at.astimezone(zone).utcoffset(), after.astimezone(zone).utcoffset()):
                for minutes in (-61, -31, -1, 0, 1, 29, 31, 59, 61):
                    local = high.replace(microsecond=0, tzinfo=None) + offset
                    yield local + dt.timedelta(minutes=minutes)
        at = after


def random_local(first=2000, last=2024):
    return dt.datetime(first, 1, 1) + dt.timedelta(
        milliseconds=rng.randrange((last - first) * 365 * 86400000))


def time_rows():
    for name in ZONES:
        zone = ZoneInfo(name)
        moments = [random_local() for _ in range(40)]
        moments += list(transitions(zone, 2000, 2024))
        if name == "Europe/Berlin":  # The rule at the end of the zone's file.
            moments += list(transitions(zone, 2036, 2042)) + list(transitions(zone, 2096, 2099))
        for moment in moments:
            moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
            # fold=0: the earlier of two, and the offset before a gap.
            yield "iso", name, moment.isoformat(), ms(moment.replace(tzinfo=zone).astimezone(UTC))
    patterns = ["%Y-%m-%d %H:%M:%S", "%d/%b/%Y:%H:%M:%S %z", "%m/%d/%Y %I:%M:%S %p", "%Y%j %H%M%S",
                "%a, %d %B %Y %H:%M:%S", "%d.%m.%y %H:%M", "%Y-%m-%dT%H:%M:%S.%f%z"]
    for pattern in patterns:
        for _ in range(60):
            zone = dt.timezone(dt.timedelta(minutes=rng.choice([0, 210, -300, 345, 60])))
            moment = random_local().replace(tzinfo=zone)
            text = moment.strftime(pattern)
            read = dt.datetime.strptime(text, pattern)
            read = read if read.tzinfo else read.replace(tzinfo=UTC)
            yield pattern, "UTC", text, ms(read)
    for unit, divisor in (("epoch_s", 1000), ("epoch_ms", 1), ("epoch_us", 0.001)):
        for _ in range(20):
            value = ms(random_local().replace(tzinfo=UTC))
            if unit == "epoch_s":
                yield unit, "UTC", str(value // 1000), value // 1000 * 1000
                yield unit, "UTC", f"{value // 1000}.{value % 1000:03d}", value
            else:
                yield unit, "UTC", str(value if divisor == 1 else value * 1000 + 999), value


def decimal_rows():
    with localcontext() as context:
        context.prec = 100
        context.rounding = ROUND_HALF_EVEN
        for _ in range(1500):
            digits = str(rng.randrange(10 ** rng.randrange(1, 14)))
            fraction = "".join(rng.choice("0005599123") for _ in range(rng.randrange(0, 12)))
            point, group = rng.choice([(".", ""), (".", ","), (",", "."), (",", " "), (",", "'")])
            factor = rng.choice(["1", "1", "1", "0.01", "10", "0.000001", "1.0936", "2.5e-3"])
            sign = rng.choice(["", "", "", "-", "+"])
            exponent = rng.choice(["", "", "", "", "e2", "E-3", "e+1"])
            value = Decimal(sign + digits + ("." + fraction if fraction else "") + exponent)
            value = (value * Decimal(factor) * 1000000).quantize(Decimal(1))
            if abs(value) >= 2 ** 63:
                continue
            if group and rng.random() < 0.7:
                digits = f"{int(digits):,}".replace(",", group)
            text = sign + digits + (point + fraction if fraction else "") + exponent
            yield text, point, group.replace(" ", "_") or "-", factor, int(value)


with open("time_text.tsv", "w") as out:
    for row in time_rows():
        out.write("\t".join(map(str, row)) + "\n")
with open("decimal_text.tsv", "w") as out:
    for row in decimal_rows():
        out.write("\t".join(map(str, row)) + "\n")
