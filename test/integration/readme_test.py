#!/usr/bin/env python3
"""Does what the README says, word by word: its YAML blocks become files, its commands run.

    readme_test.py NUDGE
"""
import os
import re
import subprocess
import sys
import tempfile

CLICKS = """when,what,sku,who,paid
1780272000000,view,a,u1,40
1780272010000,cart,a,u1,40
1780279010000,view,b,u2,not a price
1780279020000,view,b,u2,1
"""


def main():
    nudge = os.path.abspath(sys.argv[1])
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    with open(os.path.join(root, "README.md")) as file:
        blocks = re.findall(r"```(yaml|sh)\n(.*?)```", file.read(), re.DOTALL)
    with tempfile.TemporaryDirectory() as work:
        os.makedirs(os.path.join(work, "build/release"))
        os.symlink(nudge, os.path.join(work, "build/release/nudge"))
        with open(os.path.join(work, "clicks.csv"), "w") as file:
            file.write(CLICKS)
        commands = 0
        for kind, text in blocks:
            name = re.match(r"# (\S+\.yaml)\n", text)
            if kind == "yaml" and name:
                with open(os.path.join(work, name.group(1)), "w") as file:
                    file.write(text)
            if kind == "sh" and "scripts/quickstart.sh" not in text:
                run = subprocess.run(["bash", "-euc", text], cwd=work, capture_output=True, text=True,
                                     check=False)
                if run.returncode != 0:
                    sys.exit(f"README: {text}\n{run.stdout}{run.stderr}")
                commands += 1
        with open(os.path.join(work, "out/promotions/0.jsonl")) as file:
            promotions = file.readlines()
        with open(os.path.join(work, "out/dead_letters/0.jsonl")) as file:
            dead = file.readlines()
        if commands == 0 or len(promotions) != 1 or len(dead) != 1:
            sys.exit(f"README: {commands} blocks run, {len(promotions)} promotions and {len(dead)} "
                     "dead letters; at least 1, 1 and 1 expected")
    print(f"README: {commands} block of commands does what it says")


if __name__ == "__main__":
    main()
