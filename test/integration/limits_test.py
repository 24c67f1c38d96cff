#!/usr/bin/env python3
"""Disks that are full, output that does not arrive, and memory that ends: a clear end, nothing lost, and the cap kept.

    limits_test.py NUDGE [TEST...]
"""
import contextlib
import ctypes
import glob
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

import harness
from harness import (Skip, check, equal, event, finish, lines, nudge, outputs, read, run_ok,
                     same_outputs, start, write)
from live_runs import PLAIN, RULES, SLOW, generate


@contextlib.contextmanager
def small_disk(work, kilobytes):
    """A file system of that size, if this user may mount one."""
    folder = f"{work}/disk"
    os.makedirs(folder)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={kilobytes}k".encode()
    if libc.mount(b"none", folder.encode(), b"tmpfs", 0, options) != 0:
        raise Skip(f"cannot mount a small disk: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        libc.umount2(folder.encode(), 2)


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(work):
    config = write(f"{work}/config.yaml", SLOW)
    inputs = generate(work, 30000)
    run_ok(config, inputs, f"{work}/whole")
    whole = outputs(f"{work}/whole")
    for name in ("output", "state", "both"):
        with small_disk(f"{work}/{name}", 2500) as disk:
            output = f"{disk}/out" if name != "state" else f"{work}/{name}/out"
            state = f"{disk}/state" if name != "output" else f"{work}/{name}/state"
            result = nudge("run", config, "--input", *inputs, "--output", output, "--state", state)
            check(result.code == 1 and "No space left" in result.errors, f"{name}: {result}")
            for path, content in outputs(output).items():
                check(whole[path].startswith(content) or content.startswith(whole[path]),
                      f"{name}: {path} is not the beginning of what it should be")
            # There is room again: the same command goes on, as if nothing had been.
            libc = ctypes.CDLL(None, use_errno=True)
            equal(libc.mount(b"none", disk.encode(), b"tmpfs", 32, b"size=200m"), 0, "more room")
            result = nudge("run", config, "--input", *inputs, "--output", output, "--state", state)
            check(result.code == 0, f"{name}, with room: {result}")
            same_outputs(output, f"{work}/whole", f"{name}: after the full disk")


def test_output_that_does_not_arrive_is_an_error(work):
    config = write(f"{work}/config.yaml", PLAIN)
    path = write(f"{work}/events.jsonl", lines([event(0)]))
    run = ("run", config, "--input", path, "--output", f"{work}/out", "--summary", f"{work}/s.json")
    commands = [("describe", "features"), ("check", config), ("--help",), ("run", "--help"), run]
    for command in commands:
        name = " ".join(command[:2])
        with open("/dev/full", "wb") as full:
            result = finish(start(*command, stdout=full))
        check(result.code == 1 and "No space left" in result.errors, f"{name} > full: {result}")
        reader, writer = os.pipe()
        os.close(reader)
        process = start(*command, stdout=writer)
        os.close(writer)
        result = finish(process)
        check(result.code == 1 and "Broken pipe" in result.errors, f"{name} | nobody: {result}")
        script = 'exec "$0" "$@" >&-'
        result = finish(subprocess.Popen(["sh", "-c", script, harness.NUDGE, *command],
                                         stderr=subprocess.PIPE))
        check(result.code == 1 and "standard output" in result.errors, f"{name} >&-: {result}")
    # The work was done and committed all the same, and nothing was printed into its files.
    equal(json.loads(read(f"{work}/s.json"))["events_read"], 1, "events")
    for path, content in outputs(f"{work}/out").items():
        check(content.startswith(b'{"'), f"{path}: {content[:60]}")


def run_measured(config, inputs, output):
    """Runs with all workers; the system's own account of the largest resident memory, in bytes."""
    process = start("run", config, "--input", *inputs, "--output", output, "--summary",
                    f"{output}.json", "--workers", 2, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, ProcessLookupError):
            with open(f"/proc/{process.pid}/status") as file:
                found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
                peak = int(found.group(1)) * 1024 if found else peak
        time.sleep(0.05)
    result = finish(process)
    check(result.code == 0, f"{result}")
    return peak


def check_cap(work, cap_mib, users, events, partitions):
    """A run over so many users that only a part of them is held stays below the memory given."""
    folder, output = f"{work}/in{users}-{partitions}", f"{work}/out{users}-{partitions}"
    config = write(f"{work}/{cap_mib}.yaml", "input: {format: avro}\ncommit: {sync: false}\n"
                   f"state: {{memory: {cap_mib}MiB}}\n" + RULES)
    result = nudge("generate", "--output", folder, "--events", events, "--users", users,
                   "--zipf", 0, "--days", 3, "--seed", 2, "--partitions", partitions)
    check(result.code == 0, f"generate: {result}")
    peak = run_measured(config, sorted(glob.glob(f"{folder}/*.avro")), output) / (1 << 20)
    summary = json.loads(read(f"{output}.json"))
    again = summary["cache_misses"] - summary["cache_new_records"]
    print(f"  memory: {peak:.0f} MiB of {cap_mib}, {users} users, {partitions} partitions, "
          f"{summary['cache_new_records']} records, {again} read again from the store, "
          f"{summary['elapsed_seconds']:.1f} s", flush=True)
    shutil.rmtree(folder)
    shutil.rmtree(output)
    check(0 < peak <= cap_mib, f"{peak:.0f} MiB, at most {cap_mib} expected")
    said = summary["peak_memory_bytes"] / (1 << 20)
    check(abs(said - peak) < 16, f"the summary says {said:.0f} MiB, not {peak:.0f}")
    check(again > 10000, "the cache held everything: the cap was not tried")


def test_memory_stays_below_the_cap(work):
    if b"__asan_init" in read(harness.NUDGE):
        raise Skip("the address sanitizer has its own idea of memory")
    for partitions in (1, 4):
        check_cap(work, 160, 400000, 1000000, partitions)


def test_five_million_users_stay_below_512_mib(work):
    if b"__asan_init" in read(harness.NUDGE):
        raise Skip("the address sanitizer has its own idea of memory")
    check_cap(work, 512, 5000000, 4000000, 1)


def write_garbage(path, line_bytes, total_bytes):
    """Lines of random bytes, none of them an event."""
    random_bytes = random.Random(line_bytes)
    with open(path, "wb") as file:
        for _ in range(total_bytes // line_bytes):
            file.write(random_bytes.randbytes(line_bytes - 1).replace(b"\n", b"x") + b"\n")
    return total_bytes // line_bytes


def test_dead_letters_stay_below_the_cap(work):
    """Outputs of a transaction are bounded by the memory given, with all of the cache's in use."""
    if b"__asan_init" in read(harness.NUDGE):
        raise Skip("the address sanitizer has its own idea of memory")
    config = write(f"{work}/config.yaml", "input: {format: jsonl}\ncommit: {sync: false}\n"
                   "state: {memory: 128MiB, preallocate: true}\n")
    for line_bytes in (100, 200000):
        paths = [f"{work}/garbage-{i}.jsonl" for i in range(2)]
        count = sum(write_garbage(path, line_bytes, 30 << 20) for path in paths)
        output = f"{work}/out-{line_bytes}"
        peak = run_measured(config, paths, output) / (1 << 20)
        summary = json.loads(read(f"{output}.json"))
        print(f"  memory: {peak:.0f} MiB of 128, {count} dead letters of {line_bytes} bytes")
        equal(summary["dead_letters"]["total"], count, "dead letters")
        check(0 < peak <= 128, f"{peak:.0f} MiB, at most 128 expected")
        shutil.rmtree(output)


if __name__ == "__main__":
    harness.main(sys.modules["__main__"])
