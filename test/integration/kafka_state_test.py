#!/usr/bin/env python3
"""State on disk that does not belong to its changelog, or is broken, on a real broker: that of one
partition is made anew, and the outputs are what they would have been."""
import glob
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_harness import (Application, file_outputs, generate, run_to, same,  # noqa: E402
                           without_places)

broker = None


def lines_of(path):
    return harness.read(path).splitlines()


# ---- state that does not belong to its changelog ----

def state_case(work, letter):
    """An application of two partitions that has processed the first half of its input."""
    topic = broker.make(letter + os.path.basename(work), 2)
    application = Application(broker, work, topic, ends=False).create()
    files = generate(work, 3000, 2)
    halves = [[], []]
    for partition, path in enumerate(files):
        content = lines_of(path)
        for half, values in enumerate((content[:len(content) // 2], content[len(content) // 2:])):
            halves[half] += [{"value": value, "partition": partition} for value in values]
    broker.send(topic, halves[0])
    return topic, application, files, halves


def go_on(topic, application, halves):
    """Processes half of what each partition has left."""
    parts = [[event for event in halves[1] if event["partition"] == i] for i in range(2)]
    portion = [event for part in parts for event in part[:len(part) // 2]]
    halves[1] = [event for part in parts for event in part[len(part) // 2:]]
    halves[0] += portion
    broker.send(topic, portion)
    run_to(application, topic, len(halves[0]))


def finish(application, topic, files, halves, what):
    broker.send(topic, halves[1])
    application.write(ends=True)
    said = application.run().errors
    same(without_places(application.outputs()),
         without_places(file_outputs(application.work, application, files)), what)
    return said


def rebuilt(said):
    """Partitions that were made anew, with the reasons."""
    return sorted((line.split("partition=")[1].split()[0], line.split('message="')[1].rstrip('"\n'))
                  for line in said.splitlines() if "state_rebuilt" in line)


def test_state_ahead_of_its_changelog_is_rebuilt_alone(work):
    topic, application, files, halves = state_case(work, "u")
    run_to(application, topic, len(halves[0]))
    # A second commit supersedes records of the first, however few commits the events need.
    go_on(topic, application, halves)
    # The changelog of partition 1 is made again from what it held, without the superseded records
    # and markers: it is shorter than the state's position.
    changelog = f"{application.name}-changelog"
    newest = {}
    for record in broker.records(changelog):
        newest[(record["partition"], record["key"])] = record
    kept = [record for record in newest.values() if record["partition"] == 1]
    others = [record for record in broker.records(changelog) if record["partition"] == 0]
    check(20 < len(kept) < max(record["offset"] for record in kept), "fewer, but enough")
    broker.ask("delete", changelog)
    broker.make(changelog, 2, "cleanup.policy=compact")
    # Partition 0 gets as many as it had, so that its state is neither ahead nor behind.
    filler = others + others[:1] * (max(r["offset"] for r in others) + 2 - len(others))
    broker.send(changelog, kept + sorted(filler, key=lambda r: r is others[0], reverse=True))
    said = finish(application, topic, files, halves, "state ahead")
    equal(rebuilt(said), [("1", "it is ahead of the changelog")], "rebuilt")


def test_state_that_the_changelog_no_longer_reaches_back_to_is_rebuilt_alone(work):
    topic, application, files, halves = state_case(work, "v")
    run_to(application, topic, len(halves[0]))
    old = os.path.join(work, "old")
    shutil.copytree(application.state, old)
    # The instance goes on, its state is lost, and what is put back in its place is an old copy,
    # whose position the changelog of partition 0 has forgotten.
    go_on(topic, application, halves)
    shutil.rmtree(application.state)
    shutil.copytree(old, application.state)
    changelog = f"{application.name}-changelog"
    newest = {}
    for record in broker.records(changelog):
        if record["partition"] == 0:
            newest[record["key"]] = record
    end = max(record["offset"] for record in newest.values()) + 2
    broker.send(changelog, list(newest.values()))
    broker.ask("set", changelog, "cleanup.policy=delete")
    broker.ask("trim", changelog, 0, end)
    broker.ask("set", changelog, "cleanup.policy=compact")
    said = finish(application, topic, files, halves, "changelog trimmed")
    equal(rebuilt(said), [("0", "the changelog does not reach back to it")], "rebuilt")


def test_state_of_another_cluster_is_rebuilt_however_often_the_start_fails(work):
    """That it is another's is not forgotten by a start that ends before the state is made anew."""
    topic, application, files, halves = state_case(work, "z")
    run_to(application, topic, len(halves[0]))
    folder = os.path.join(application.state, "1")
    harness.write(os.path.join(folder, "origin"), "elsewhere " + application.name + "-changelog\n")
    current = os.path.join(folder, "store", "CURRENT")
    os.rename(current, current + ".kept")
    os.mkdir(current)  # The store cannot be opened.
    running = application.start()
    running.wait_for("partition_failed partition=1 doing=open")
    running.kill()
    os.rmdir(current)
    os.rename(current + ".kept", current)
    said = finish(application, topic, files, halves, "another cluster's state")
    equal(rebuilt(said), [("1", "it belongs to another cluster or changelog")], "rebuilt")
    said = application.run().errors
    equal(rebuilt(said), [], "rebuilt again")


# ---- state that is broken ----

def files_of(application, partition, ending):
    pattern = os.path.join(application.state, str(partition), "store", "*" + ending)
    found = sorted(glob.glob(pattern), key=os.path.getsize)
    check(found, f"{pattern}: there is none")
    return found


def turn_bits(path):
    """One in each block of the file."""
    content = bytearray(harness.read(path))
    for at in range(40, len(content), 3000):
        content[at] ^= 0x20
    harness.write(path, bytes(content))


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def spoil_data(application):
    turn_bits(files_of(application, 1, ".sst")[-1])


def spoil_manifest(application):
    path = next(path for path in files_of(application, 1, "") if "MANIFEST" in path)
    content = bytearray(harness.read(path))
    content[len(content) // 2] ^= 1
    harness.write(path, bytes(content))


def cut_data(application):
    cut(files_of(application, 1, ".sst")[-1])


def lose_manifest(application):
    os.remove(next(path for path in files_of(application, 1, "") if "MANIFEST" in path))


def lose_current(application):
    os.remove(os.path.join(application.state, "1", "store", "CURRENT"))


def forget_origin(application):
    os.truncate(os.path.join(application.state, "1", "origin"), 0)


def test_a_broken_store_is_rebuilt_alone(work):
    topic, application, files, halves = state_case(work, "c")
    run_to(application, topic, len(halves[0]))
    for spoil in (spoil_data, spoil_manifest, cut_data, lose_manifest, lose_current, forget_origin):
        spoil(application)
        parts = [[event for event in halves[1] if event["partition"] == i] for i in range(2)]
        portion = [event for part in parts for event in part[:len(part) // 3]]
        halves[1] = [event for part in parts for event in part[len(part) // 3:]]
        halves[0] += portion
        broker.send(topic, portion)
        said = run_to(application, topic, len(halves[0]))
        (partition, why), = rebuilt(said)
        equal(partition, "1", spoil.__name__)
        words = "does not say of which" if spoil is forget_origin else "it is corrupt: state in"
        check(words in why, f"{spoil.__name__}: {why}")
    said = finish(application, topic, files, halves, "broken stores")
    equal(rebuilt(said), [], "once each")


def test_a_store_that_is_broken_again_after_its_rebuild_ends_the_run(work):
    topic, application, files, halves = state_case(work, "k")
    run_to(application, topic, len(halves[0]))
    # It is no file of RocksDB's, which leaves it where it is, but makes the folder look broken.
    lose_current(application)
    harness.write(os.path.join(application.state, "1", "store", "copy.sst"), "")
    result = application.run(code=1)
    equal([partition for partition, _ in rebuilt(result.errors)], ["1"], "rebuilt once")
    check("corrupt again right after it was made anew" in result.errors.splitlines()[-1],
          result.errors[-600:])
    os.remove(os.path.join(application.state, "1", "store", "copy.sst"))
    said = finish(application, topic, files, halves, "after it was mended")
    equal(rebuilt(said), [], "it is empty now, and restored")


def test_a_store_that_cannot_be_written_is_not_taken_for_a_broken_one(work):
    topic, application, files, halves = state_case(work, "q")
    run_to(application, topic, len(halves[0]))
    store = os.path.join(application.state, "1", "store")
    os.rename(store, store + ".kept")
    harness.write(store, "a file where the folder is to be")
    running = application.start()
    running.wait_for("partition_failed partition=1 doing=open failures=1")
    running.kill()
    check("state_rebuilt" not in running.said(), running.said()[-2000:])
    os.remove(store)
    os.rename(store + ".kept", store)
    equal(rebuilt(finish(application, topic, files, halves, "another disk")), [], "rebuilt")


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__])
