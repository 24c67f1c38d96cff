"""What the tests of the real program share: running it, its outputs, and checks that go on.

A test is a function whose name says what it promises; main() runs all that a module has, prints a
line for each failure, and fails if there was one.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

NUDGE = ""
START_MS = 1780272000000  # Of the events that the tests write: 1 June 2026.

TOPICS = ("alerts", "promotions", "sessions", "decisions", "dead_letters", "late_events",
          "scored_events")


class Skip(Exception):
    """The test cannot be done on this machine; says why."""


class Result:
    """What a finished process left."""

    def __init__(self, code, out, errors):
        self.code = code
        self.out = out.decode(errors="replace")
        self.errors = errors.decode(errors="replace")

    def __str__(self):
        return f"exit {self.code}, stderr: {self.errors.strip()[-600:]}"


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def equal(found, expected, what):
    check(found == expected, f"{what}: {shorten(found)}, {shorten(expected)} expected")


def all_right(problems):
    """Of several cases: each None, or what is wrong with it."""
    problems = [problem for problem in problems if problem]
    check(not problems, f"{len(problems)} cases:\n    " + "\n    ".join(problems))


def shorten(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 300 else text[:300] + "..."


def write(path, content):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def nudge(*arguments, stdin=b"", env=None, timeout=120, cwd=None):
    """Runs the program to its end."""
    process = subprocess.run([NUDGE, *map(str, arguments)], input=stdin, capture_output=True,
                             env={**os.environ, **(env or {})}, timeout=timeout, cwd=cwd,
                             check=False)
    return Result(process.returncode, process.stdout, process.stderr)


def run_ok(config, inputs, output, *more, **options):
    """Runs a configuration that must succeed; returns its summary."""
    summary = output + ".summary.json"
    result = nudge("run", config, "--input", *inputs, "--output", output, "--summary", summary,
                   *more, **options)
    check(result.code == 0, f"run: {result}")
    return json.loads(read(summary))


def start(*arguments, **options):
    """Starts the program; the caller ends it with finish()."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.Popen([NUDGE, *map(str, arguments)], **options)


def finish(process, timeout=60):
    try:
        out, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"still running after {timeout} s") from None
    return Result(process.returncode, out or b"", errors or b"")


def wait_for(condition, seconds, what):
    """Polls until the condition holds; returns what it gave."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def records(output, topic, partition=0):
    """The records of a topic that was written as JSON lines."""
    path = os.path.join(output, topic, f"{partition}.jsonl")
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        return [json.loads(line) for line in file]


def outputs(output):
    """The bytes of each file that is not empty, by its path; state and locks left out."""
    found = {}
    for folder in sorted(os.listdir(output)):
        if folder.startswith("."):
            continue
        for name in sorted(os.listdir(os.path.join(output, folder))):
            content = read(os.path.join(output, folder, name))
            if content:
                found[f"{folder}/{name}"] = content
    return found


def same_outputs(found, expected, what):
    found, expected = outputs(found), outputs(expected)
    check(expected, f"{what}: there is nothing to compare with")
    equal(sorted(found), sorted(expected), f"{what}: files")
    for path, content in expected.items():
        check(found[path] == content,
              f"{what}: {path} differs: {len(found[path])} bytes, {len(content)} expected")


def event(number, user="u1", kind="product_view", seconds=None, **fields):
    """A canonical event as a dictionary, the number-th second unless told."""
    return {"event_time": START_MS + 1000 * (number if seconds is None else seconds),
            "event_id": f"e{number}", "user_id": user, "type": kind, **fields}


def lines(events):
    return b"".join(json.dumps(item).encode() + b"\n" for item in events)


def main(module):
    """Runs every function test_* of the module in a fresh folder of its own, by name if named."""
    global NUDGE
    if len(sys.argv) < 2:
        sys.exit(f"{sys.argv[0]} NUDGE [TEST...]")
    NUDGE = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    tests = [(name, function) for name, function in vars(module).items()
             if name.startswith("test_") and (not wanted or name in wanted)]
    passed = skipped = 0
    failures = []
    for name, function in tests:
        work = tempfile.mkdtemp(prefix="nudge-test-")
        begin = time.monotonic()
        try:
            function(work)
            passed += 1
        except Skip as reason:
            skipped += 1
            print(f"  skipped: {name}: {reason}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as error:
            failures.append(name)
            print(f"  FAILED: {name}: {type(error).__name__}: {error}", flush=True)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        seconds = time.monotonic() - begin
        if seconds > 5:
            print(f"  {name}: {seconds:.0f} s", flush=True)
    label = os.path.basename(sys.argv[0]).replace("_test.py", "")
    print(f"{label}: {passed} passed, {skipped} skipped, {len(failures)} failed")
    if failures or passed == 0:
        sys.exit(1)
