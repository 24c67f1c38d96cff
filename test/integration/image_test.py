#!/usr/bin/env python3
"""Builds the images of scripts/Dockerfile without a container engine: runs each stage's steps in a bare
root of its own, and then what the images must do. By hand, as root.

    image_test.py BARE_ROOT

BARE_ROOT is what stands for the base image:  debootstrap --variant=minbase bookworm BARE_ROOT
It knows the instructions that the Dockerfile uses and no others, and no layers or mounts.
"""
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DOCKERFILE = os.path.join(ROOT, "scripts", "Dockerfile")
NO_EFFECT = ("VOLUME", "ENTRYPOINT", "CMD")


class Stage:
    def __init__(self, path):
        self.path, self.directory, self.user, self.entry = path, "/", "root", []

    def shell(self, command):
        """Runs a command in the root as the stage's user; returns what it printed."""
        script = f"cd {shlex.quote(self.directory)} && {command}"
        return self.execute(["sh", "-ec", script])

    def execute(self, words):
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        run = subprocess.run(["chroot", f"--userspec={self.user}", self.path, *words], env=environment,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, check=False)
        if run.returncode != 0:
            sys.exit(f"{' '.join(words)}: exit {run.returncode}\n{run.stdout[-3000:]}")
        return run.stdout


def instructions():
    with open(DOCKERFILE) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                word, _, rest = line.strip().partition(" ")
                yield word, rest


def ignored_names():
    with open(DOCKERFILE + ".dockerignore") as file:
        return [line.strip().removeprefix("**/") for line in file]


def place(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns(*ignored_names()))
    else:
        shutil.copy2(source, target)


def copy(stage, stages, rest):
    words = rest.split()
    origin = ROOT
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).removeprefix("--from=")].path
    *sources, target = words
    target = os.path.normpath(os.path.join(stage.directory, target)) + ("/" if target.endswith("/") else "")
    for source in sources:
        to = stage.path + (target + os.path.basename(source) if target.endswith("/") else target)
        place(os.path.normpath(f"{origin}/{source}"), to)


def enter(base, stages, work, number):
    """A root for a new stage: the bare one, or a copy of an earlier stage's."""
    path = os.path.join(work, f"stage{number}")
    earlier = stages.get(base)
    subprocess.run(["cp", "-a", earlier.path if earlier else sys.argv[1], path], check=True)
    stage = Stage(path)
    if earlier:
        stage.directory, stage.user, stage.entry = earlier.directory, earlier.user, earlier.entry
    return stage


def build(work):
    stages, stage = {}, None
    for number, (word, rest) in enumerate(instructions()):
        print(f"  {word} {rest[:100]}", flush=True)
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = enter(base, stages, work, number)
            stages[name] = stage
        elif word == "RUN":
            stage.shell(rest)
        elif word == "COPY":
            copy(stage, stages, rest)
        elif word == "USER":
            stage.user = rest
        elif word == "WORKDIR":
            stage.directory = rest
            os.makedirs(stage.path + rest, exist_ok=True)
        elif word not in NO_EFFECT:
            sys.exit(f"{DOCKERFILE}: {word}: not known to this test")
    return stages


def check(image):
    """What the image promises: a small root, where nobody's rights are enough to run the examples."""
    assert image.user != "root"
    home = image.directory
    image.shell("nudge generate --output day --events 20000 --users 2000 --seed 3")
    said = image.shell("nudge run /usr/share/nudge/pipeline/examples/shop.yaml --input day/events.avro "
                       "--output out")
    assert "20000 events" in said, said
    assert image.shell("ls out/sessions").strip(), said
    image.shell("NUDGE_PRIVACY_KEY=0123456789abcdef nudge check /usr/share/nudge/pipeline/examples/docker.yaml")
    owner = os.stat(image.path + home).st_uid
    assert owner != 0, f"{home} belongs to root"
    for program in ("gcc", "cmake", "git"):
        assert not shutil.which(program, path=image.path + "/usr/bin"), f"{program} is in the image"


def check_generator(image):
    image.shell("kcat -V")
    image.shell("feed.sh 2>&1 | grep -q BROKERS")
    paced = image.shell("""echo '{"event_time":1,"user_id":"u"}' | pace.py""")
    assert paced == 'u\t{"event_time":1,"user_id":"u"}\n', paced


def size_mb(path):
    said = subprocess.run(["du", "-smx", path], capture_output=True, text=True, check=True).stdout
    return int(said.split()[0])


def main():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__)
    if os.geteuid() != 0:
        sys.exit("image: only root may make roots")
    with tempfile.TemporaryDirectory(prefix="nudge-image-") as work:
        os.chmod(work, 0o755)
        stages = build(work)
        check(stages["nudge"])
        check_generator(stages["generator"])
        base = size_mb(sys.argv[1])
        print(f"image: nudge is {size_mb(stages['nudge'].path)} MB, generator "
              f"{size_mb(stages['generator'].path)} MB, on a bare root of {base} MB")


if __name__ == "__main__":
    main()
