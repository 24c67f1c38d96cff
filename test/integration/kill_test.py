#!/usr/bin/env python3
"""Kills a run again and again and compares its outputs with those of a run that nobody disturbed.

A kill comes after a random time, or at one of the named steps of commit and recovery (environment
variable NUDGE_CRASH_AT=STEP:COUNT, which only a build with crash points knows).
"""
import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time


def read_long(content, at):
    """A zigzag varint of Avro's binary encoding."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (value >> 1) ^ -(value & 1), at


def records_of_avro(content):
    """The records' bytes one behind the other: where the blocks are cut does not count."""
    at = 4
    while True:
        count, at = read_long(content, at)
        if count == 0:
            break
        for _ in range(2 * count):
            length, at = read_long(content, at)
            at += length
    at += 16
    records = b""
    total = 0
    while at < len(content):
        count, at = read_long(content, at)
        length, at = read_long(content, at)
        records += content[at:at + length]
        total += count
        at += length + 16
    return records + str(total).encode()


def topics(directory):
    """Records of every output file by its path below the directory; state and locks left out."""
    found = {}
    for folder in sorted(os.listdir(directory)):
        if folder.startswith("."):
            continue
        for name in sorted(os.listdir(os.path.join(directory, folder))):
            with open(os.path.join(directory, folder, name), "rb") as file:
                content = file.read()
            if name.endswith(".avro") and content:
                content = records_of_avro(content)
            found[f"{folder}/{name}"] = content
    return {path: content for path, content in found.items() if content}


def run(arguments, output, kill_after=None, crash_at=None):
    """Runs to the end, or kills after so many seconds or at STEP:COUNT. Returns whether it ended by itself."""
    command = [arguments.nudge, "run", arguments.config, "--output", output, "--input",
               *arguments.input]
    environment = dict(os.environ)
    environment.pop("NUDGE_CRASH_AT", None)
    if crash_at:
        environment["NUDGE_CRASH_AT"] = crash_at
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=environment)
    try:
        _, errors = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    if crash_at and process.returncode == -signal.SIGKILL:
        return False
    if process.returncode != 0:
        sys.exit(f"exit {process.returncode}: {errors.decode()[-2000:]}")
    return True


def compare(expected, found):
    for path in sorted(set(expected) | set(found)):
        if expected.get(path) != found.get(path):
            sys.exit(f"{path} differs: {len(expected.get(path, b''))} bytes undisturbed, "
                     f"{len(found.get(path, b''))} after the kills")


def steps_of(header):
    """Names of the steps, from the table in crash_point.h."""
    with open(header, encoding="utf-8") as file:
        return re.findall(r'X\([A-Z_]+, "([a-z]+\.[a-z_]+)"\)', file.read())


def kill_at_steps(arguments, expected, work):
    """Each step at several counts; then, while recovering from that, at each step of recovery."""
    steps = steps_of(arguments.steps)
    recovery = [step for step in steps if step.startswith("recover.")]
    hits = {step: 0 for step in steps}
    kills = 0
    for step in steps:
        for count in (1, 2, 5):
            output = os.path.join(work, f"step-{step}-{count}")
            if step in recovery:
                run(arguments, output, crash_at="commit.frame_synced:4")
                kills += 1
            if not run(arguments, output, crash_at=f"{step}:{count}"):
                hits[step] += 1
                kills += 1
                # Again while recovering from it, and while recovering from that.
                for again in random.sample(recovery, 2):
                    if not run(arguments, output, crash_at=f"{again}:{random.randint(1, 3)}"):
                        hits[again] += 1
                        kills += 1
            run(arguments, output)
            compare(expected, topics(output))
            shutil.rmtree(output)
    for step in steps:
        print(f"{hits[step]:6} {step}")
    never = [step for step in steps if hits[step] == 0]
    if never:
        sys.exit(f"never killed at: {', '.join(never)}")
    print(f"{kills} kills at {len(steps)} steps, outputs the same each time")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nudge")
    parser.add_argument("config")
    parser.add_argument("--input", nargs="+", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", help="crash_point.h: kill at each step it names instead")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    work = tempfile.mkdtemp(prefix="nudge-kill-")
    try:
        undisturbed = os.path.join(work, "undisturbed")
        begin = time.monotonic()
        run(arguments, undisturbed)
        seconds = time.monotonic() - begin
        expected = topics(undisturbed)
        if not expected:
            sys.exit("the undisturbed run has no outputs: nothing would be compared")
        if arguments.steps:
            kill_at_steps(arguments, expected, work)
            return
        kills = rounds = 0
        while kills < arguments.kills:
            output = os.path.join(work, f"killed-{rounds}")
            rounds += 1
            # A few kills a round, then to the end, so that many rounds are compared.
            for _ in range(random.randint(1, 5)):
                if kills >= arguments.kills or run(
                        arguments, output, random.uniform(0.0, 1.1) * seconds):
                    break
                kills += 1
            run(arguments, output)
            compare(expected, topics(output))
            shutil.rmtree(output)
        print(f"{kills} kills in {rounds} runs of {seconds:.1f} s, "
              f"{len(expected)} output files the same each time, seed {arguments.seed}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
