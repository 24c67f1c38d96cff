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


def topics(directory):
    """Content of every output file by its path below the directory; state and locks left out."""
    found = {}
    for folder in sorted(os.listdir(directory)):
        if folder.startswith("."):
            continue
        for name in sorted(os.listdir(os.path.join(directory, folder))):
            with open(os.path.join(directory, folder, name), "rb") as file:
                found[f"{folder}/{name}"] = file.read()
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
