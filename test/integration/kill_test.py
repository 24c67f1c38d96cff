#!/usr/bin/env python3
"""Kills a run again and again and compares its outputs with those of a run that nobody disturbed.

A kill comes after a random time, or at one of the named steps of commit and recovery (environment
variable NUDGE_CRASH_AT=STEP:COUNT, which only a build with crash points knows).
"""
import argparse
import os
import random
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


def run(arguments, output, kill_after=None):
    """Runs to the end, or kills after so many seconds. Returns whether it ended by itself."""
    command = [arguments.nudge, "run", arguments.config, "--output", output, "--input",
               *arguments.input]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, errors = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    if process.returncode != 0:
        sys.exit(f"exit {process.returncode}: {errors.decode()[-2000:]}")
    return True


def compare(expected, found):
    for path in sorted(set(expected) | set(found)):
        if expected.get(path) != found.get(path):
            sys.exit(f"{path} differs: {len(expected.get(path, b''))} bytes undisturbed, "
                     f"{len(found.get(path, b''))} after the kills")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nudge")
    parser.add_argument("config")
    parser.add_argument("--input", nargs="+", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
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
