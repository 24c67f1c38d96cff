#!/usr/bin/env python3
"""Runs the commands of standard input, a line each, some at a time, and all of them whatever fails.

    scripts/lanes.py LANES < COMMANDS

A lane takes the next line when it is free, so what takes longest belongs first. What a command says
is printed as a whole when it has ended, and of those that failed once more at the very end. Exits with 1
if one did.
"""
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time


class Lanes:
    def __init__(self, commands):
        self.commands = commands
        self.lock = threading.Lock()
        self.running = set()
        self.failed = []  # Header and output of each.
        self.has_ended = False

    def work(self):
        while True:
            with self.lock:
                if not self.commands or self.has_ended:
                    return
                command = self.commands.pop(0)
            self.run(command)

    def run(self, command):
        begin = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            with self.lock:
                self.running.add(process)
            code = process.wait()
            output.seek(0)
            said = output.read().decode(errors="replace")
        seconds = time.monotonic() - begin
        with self.lock:
            self.running.discard(process)
            how = "" if code == 0 else f", FAILED: exit {code}"
            head = f"--- {command}: {seconds:.0f} s{how}"
            print(head, said, sep="\n", end="", flush=True)
            if code != 0:
                self.failed.append((head, said))

    def end(self, *_):
        """As if each had been interrupted by hand, so that it takes away what it has started."""
        self.has_ended = True
        for process in list(self.running):
            os.killpg(process.pid, signal.SIGINT)


def main():
    lanes = Lanes([line.strip() for line in sys.stdin if line.strip()])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lanes.end)
    threads = [threading.Thread(target=lanes.work) for _ in range(int(sys.argv[1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # A join alone would keep signals waiting.
            thread.join(0.5)
    if lanes.failed:
        print("--- and again what failed:")
    for head, said in lanes.failed:
        print(head, said, sep="\n", end="", flush=True)
    if lanes.failed or lanes.has_ended:
        sys.exit(f"lanes: {len(lanes.failed)} failed")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
