#!/usr/bin/env python3
"""State and outputs that are damaged, in use, or of something else: refused and left alone, or told from a torn tail.

    state_refused_test.py NUDGE [TEST...]
"""
import glob
import gzip
import os
import shutil
import sys

import harness
from harness import (check, equal, event, lines, nudge, outputs, read, run_ok,
                     same_outputs, wait_for, write)
from live_runs import FOLLOW, PLAIN, SLOW, followed, generate, scored, size, stop_in_the_middle


def fingerprint(output):
    """Outputs and log; RocksDB's own files only where it keeps data."""
    found = outputs(output)
    for path in glob.glob(f"{output}/.state/*/log/*.log"):
        found[path[len(output):]] = read(path)
    return found


def refuses(config, inputs, output, words, what, code=1):
    """The run must fail so, and leave outputs and log as they are."""
    before = fingerprint(output) if os.path.isdir(output) else {}
    result = nudge("run", config, "--input", *inputs, "--output", output)
    check(result.code == code, f"{what}: {result}")
    missing = [word for word in words if word not in result.errors]
    check(not missing, f"{what}: {missing} missing in: {result.errors.strip()}")
    after = fingerprint(output) if os.path.isdir(output) else {}
    for path, content in before.items():
        check(after.get(path) == content, f"{what}: {path} was changed by the refused run")


def make_stopped(work, segment="64KiB"):
    """A run that was stopped in its middle, after some commits."""
    config = write(f"{work}/config.yaml", SLOW.replace("64KiB", segment))
    inputs = generate(work, 100000)
    stop_in_the_middle(config, inputs, f"{work}/stopped", least=1000000)
    return config, inputs, f"{work}/stopped"


def flip(path, at, count=16):
    content = bytearray(read(path))
    at = at if at >= 0 else len(content) + at
    check(at + count <= len(content), f"{path} is too short to be damaged at {at}")
    content[at:at + count] = bytes(byte ^ 255 for byte in content[at:at + count])
    write(path, bytes(content))


def last_log(output):
    return sorted(glob.glob(f"{output}/.state/0/log/*.log"))[-1]


def test_a_state_directory_in_use_is_refused(work):
    config = write(f"{work}/config.yaml", FOLLOW)
    path = write(f"{work}/events.jsonl", lines([event(0)]))
    with followed(config, [path], f"{work}/out", "--follow"):
        wait_for(lambda: scored(f"{work}/out") == 1, 20, "the event")
        before = outputs(f"{work}/out")
        # The same outputs with another state directory are in use as well.
        for state in (f"{work}/out/.state", f"{work}/other"):
            result = nudge("run", config, "--input", path, "--output", f"{work}/out", "--state",
                           state)
            check(result.code == 1 and "another process" in result.errors, f"{state}: {result}")
        check(outputs(f"{work}/out") == before, "the refused run changed the outputs")
    run_ok(config, [path], f"{work}/out")


def test_damaged_state_and_outputs_are_refused_and_left_alone(work):
    config, inputs, stopped = make_stopped(work)

    def newer_log(output):
        content = bytearray(read(last_log(output)))
        content[8:12] = (77).to_bytes(4, "little")
        write(last_log(output), bytes(content))

    def log_header(output):
        flip(last_log(output), 0, 8)

    def no_log(output):
        shutil.rmtree(f"{output}/.state/0/log")

    def no_store(output):
        shutil.rmtree(f"{output}/.state/0/store")

    def no_current(output):
        os.remove(f"{output}/.state/0/store/CURRENT")

    def damage_manifest(output):
        flip(glob.glob(f"{output}/.state/0/store/MANIFEST-*")[0], 40)

    def cut_output(output):
        os.truncate(f"{output}/alerts/0.jsonl", 100)

    def no_output(output):
        os.remove(f"{output}/sessions/0.jsonl")

    def no_outputs(output):
        for folder in harness.TOPICS:
            shutil.rmtree(f"{output}/{folder}", ignore_errors=True)

    def no_state(output):
        shutil.rmtree(f"{output}/.state")

    cases = [
        (newer_log, ["/log/", "newer version", "77"]),
        (log_header, ["/log/", "corrupt"]),
        (no_log, ["/log", "no log"]),
        (no_store, ["/log", "do not belong together"]),
        (no_current, ["/store", "orrupt"]),
        (damage_manifest, ["/store", "orrupt"]),
        (cut_output, ["alerts/0.jsonl", "committed output is missing", "100 there"]),
        (no_output, ["sessions/0.jsonl", "committed output is missing", "no file"]),
        (no_outputs, ["committed output is missing"]),
        (no_state, ["of another run", "state"]),
    ]
    problems = []
    for damage, words in cases:
        output = f"{work}/{damage.__name__}"
        shutil.copytree(stopped, output)
        damage(output)
        try:
            refuses(config, inputs, output, words, damage.__name__)
            # Again the same: the refusal itself repaired or broke nothing.
            refuses(config, inputs, output, [], damage.__name__ + " again")
        except AssertionError as error:
            problems.append(str(error))
        shutil.rmtree(output)
    check(not problems, f"{len(problems)} cases:\n    " + "\n    ".join(problems))
    # What was copied was good: it still goes on.
    run_ok(config, inputs, stopped)
    run_ok(config, inputs, f"{work}/whole")
    same_outputs(stopped, f"{work}/whole", "the copied state")


def test_damage_in_the_middle_of_the_log_is_no_torn_tail(work):
    config, inputs, stopped = make_stopped(work, "64MiB")
    length = len(read(last_log(stopped)).rstrip(b"\0"))
    for at in (length // 4, length // 2):
        output = f"{work}/damaged"
        shutil.copytree(stopped, output)
        flip(last_log(output), at)
        refuses(config, inputs, output, ["/log/", "corrupt at offset"], f"damage at {at}")
        shutil.rmtree(output)


def test_damaged_state_files_end_the_run_before_anything_wrong_is_written(work):
    config, inputs, stopped = make_stopped(work)
    run_ok(config, inputs, f"{work}/whole")
    whole = outputs(f"{work}/whole")
    tables = sorted(glob.glob(f"{stopped}/.state/0/store/*.sst"), key=os.path.getsize)
    check(tables, "no state files")
    detected = 0
    for table in (tables[-1], tables[0]):
        for at in (size(table) // 3, -20):
            output = f"{work}/damaged"
            shutil.copytree(stopped, output)
            flip(table.replace(stopped, output), at)
            before = outputs(output)
            result = nudge("run", config, "--input", *inputs, "--output", output)
            if result.code == 0:
                same_outputs(output, f"{work}/whole", "damage that was not in the way")
            else:
                detected += 1
                check(result.code == 1 and "/store" in result.errors
                      and "orrupt" in result.errors, f"{table}: {result}")
                for path, content in outputs(output).items():
                    check(whole[path].startswith(content), f"{path} is not as it should be")
                    check(content.startswith(before.get(path, b"")), f"{path} lost records")
            shutil.rmtree(output)
    check(detected >= 2, f"{detected} of 4 damages were found")


def test_a_torn_tail_of_log_and_outputs_is_dropped(work):
    config, inputs, stopped = make_stopped(work)
    run_ok(config, inputs, f"{work}/whole")
    with open(last_log(stopped), "rb") as file:
        frames = file.read().rstrip(b"\0")
    # Half of a next frame, and records that no commit stands for.
    with open(last_log(stopped), "r+b") as file:
        file.seek(len(frames) + 8)
        file.write(frames[200:230])
    with open(f"{stopped}/sessions/0.jsonl", "ab") as file:
        file.write(b'{"session_id":"never committed"')
    run_ok(config, inputs, stopped)
    same_outputs(stopped, f"{work}/whole", "after a torn tail")


def test_another_input_than_before_is_refused(work):
    config = write(f"{work}/config.yaml", PLAIN)
    path = write(f"{work}/events.jsonl", lines([event(number) for number in range(100)]))
    run_ok(config, [path], f"{work}/out")
    write(path, lines([event(number) for number in range(50)]))
    refuses(config, [path], f"{work}/out", [path, "expected"], "a shorter file", code=2)


def test_files_in_another_order_than_before_are_refused(work):
    config = write(f"{work}/config.yaml", PLAIN)
    content = [lines([event(number, user=f"{name}{number}") for number in range(100)])
               for name in "ab"]
    paths = [write(f"{work}/{name}.jsonl", text) for name, text in zip("ab", content)]
    packed = write(f"{work}/a.jsonl.gz", gzip.compress(content[0], mtime=0))
    run_ok(config, paths, f"{work}/out")
    refuses(config, paths[::-1], f"{work}/out", [paths[1], "record 100", "order"], "swapped", code=2)
    # One that is another, be it longer, packed, or the same but for its first byte.
    write(f"{work}/other.jsonl", content[1] * 2)
    write(f"{work}/first.jsonl", b" " + content[0][1:])
    for name in ("other.jsonl", "first.jsonl"):
        refuses(config, [f"{work}/{name}", paths[1]], f"{work}/out", [name, "record 100"], name,
                code=2)
    # The same bytes under another name, or packed, are the same input.
    os.rename(paths[0], f"{work}/moved.jsonl")
    for name in (f"{work}/moved.jsonl", packed):
        equal(run_ok(config, [name, paths[1]], f"{work}/out")["events_this_run"], 0, name)


def test_fewer_files_than_the_state_has_partitions_are_refused(work):
    """What the left-out files still have would be missing from the outputs, and nobody would know."""
    config = write(f"{work}/config.yaml", PLAIN)
    paths = [write(f"{work}/{name}.jsonl", lines([event(number, user=f"{name}{number}")
                                                  for number in range(100)])) for name in "abc"]
    run_ok(config, paths, f"{work}/out")
    refuses(config, paths[:1], f"{work}/out",
            [f"{work}/out/.state", "partitions 1 to 2", "1 given", "expected the same input files"],
            "one of three", code=2)
    refuses(config, paths[:2], f"{work}/out", ["of partition 2,", "2 given"], "two of three", code=2)
    equal(run_ok(config, paths, f"{work}/out")["events_this_run"], 0, "events of all three again")
    # A file more is a partition more.
    paths.append(write(f"{work}/d.jsonl", lines([event(number, user="d") for number in range(10)])))
    equal(run_ok(config, paths, f"{work}/out")["events_this_run"], 10, "events of the fourth")
    # A partition that never committed anything is none, nor is what else lies in the folder.
    os.makedirs(f"{work}/out/.state/4/log")
    os.makedirs(f"{work}/out/.state/notes")
    write(f"{work}/out/.state/4/log/lock", "")
    equal(run_ok(config, paths, f"{work}/out")["events_this_run"], 0, "events of all four again")


def test_another_output_format_than_before_is_refused(work):
    path = write(f"{work}/events.jsonl", lines([event(number) for number in range(100)]))
    config = write(f"{work}/config.yaml", "name: x\n")
    run_ok(config, [path], f"{work}/out")
    write(config, "name: x\noutput: {format: avro}\n")
    refuses(config, [path], f"{work}/out", ["jsonl", "avro"], "another format", code=2)


def test_folders_that_cannot_be_written_are_refused(work):
    config = write(f"{work}/config.yaml", PLAIN)
    path = write(f"{work}/events.jsonl", lines([event(0)]))
    in_the_way = write(f"{work}/file", "")
    for name, more in (("output", ["--output", in_the_way]),
                       ("below a file", ["--output", f"{in_the_way}/out"]),
                       ("state", ["--output", f"{work}/out", "--state", f"{in_the_way}/state"]),
                       ("no such place", ["--output", "/proc/nudge"]),
                       ("topic", ["--output", f"{work}/topic"])):
        if name == "topic":
            write(f"{work}/topic/sessions", "")
        result = nudge("run", config, "--input", path, *more)
        where = more[-1] if name != "topic" else f"{work}/topic/sessions"
        check(result.code == 1 and where in result.errors, f"{name}: {result}")
    # The summary that cannot be written is said, after a run that counts.
    result = nudge("run", config, "--input", path, "--output", f"{work}/good", "--summary",
                   f"{in_the_way}/summary.json")
    check(result.code == 1 and f"{in_the_way}/summary.json" in result.errors, f"summary: {result}")
    summary = run_ok(config, [path], f"{work}/good")
    equal((summary["events_read"], summary["events_this_run"]), (1, 0), "events after it")
    if os.geteuid() == 0:
        return
    os.makedirs(f"{work}/locked", mode=0o500)
    result = nudge("run", config, "--input", path, "--output", f"{work}/locked/out")
    check(result.code == 1 and "Permission denied" in result.errors, f"no permission: {result}")


if __name__ == "__main__":
    harness.main(sys.modules["__main__"])
