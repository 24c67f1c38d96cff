#!/usr/bin/env python3
"""Models on a GPU in the whole program, by the plug-in that stands in for one, beside the CPU.

    device_test.py NUDGE     with libcuda_stand_in.so beside it
"""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, nudge, read, run_ok, same_outputs, write  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
NETWORKS = os.path.join(ROOT, "test", "models", "networks")
# The packs' own features, and those of the program that take their places.
FEATURES = {"price": "cart_value", "kind": "session_events", "pieces": "session_cart_adds",
            "gap": "gap_log_mean"}
CONFIG = """
name: device
input: {format: avro}
output: {scored_events_share: 0.2}
predict_intent: {purchase_pack: gru, abandon_pack: lstm}
emit_interventions:
  rules:
    - name: likely_buyer
      on: [product_view, add_to_cart]
      if: purchase_score > 0.01
      promotion: {kind: coupon, value: 5, currency: EUR, valid_for: 1d}
      cooldown: 1h
"""


def make_pack(work, name):
    folder = os.path.join(work, name)
    shutil.copytree(os.path.join(NETWORKS, name), folder)
    path = os.path.join(folder, "manifest.yaml")
    text = read(path).decode()
    for old, new in FEATURES.items():
        text = re.sub(rf"(name: |feature: |\[|\{{){old}\b", rf"\g<1>{new}", text)
    write(path, text)


def prepare(work):
    """Packs, a day of events, and the outputs of the CPU."""
    for name in ("gru", "lstm"):
        make_pack(work, name)
    made = nudge("generate", "--output", f"{work}/in", "--events", 30000, "--users", 3000, "--seed", 5)
    check(made.code == 0, f"generate: {made}")
    run_ok(config(work, "cpu", "{device: cpu}"), [f"{work}/in/events.avro"], f"{work}/cpu")


def config(work, name, models):
    return write(f"{work}/{name}.yaml", f"{CONFIG}models: {models}\n")


def plugin():
    return os.path.join(os.path.dirname(harness.NUDGE), "libcuda_stand_in.so")


def run(work, name, models, **options):
    result = nudge("run", config(work, name, models), "--input", f"{work}/in/events.avro", "--output",
                   f"{work}/{name}", **options)
    check(result.code == 0, f"{name}: {result}")
    same_outputs(f"{work}/{name}", f"{work}/cpu", name)
    return result.errors


def test_a_gpu_gives_the_same_outputs_byte_by_byte(work):
    prepare(work)
    said = run(work, "cuda", f"{{device: cuda, cuda_plugin: {plugin()}}}")
    check("cuda: stand-in" in said, said)
    check("device_failed" not in said, said)


def test_a_gpu_that_fails_in_the_middle_leaves_no_trace_but_a_line(work):
    prepare(work)
    said = run(work, "fails", f"{{device: cuda, cuda_plugin: {plugin()}}}", env={"STAND_IN_FAILS_AT": "150"})
    found = re.search(r"device_failed models=1 rows_before=(\d+) .*illegal memory access", said)
    check(found and int(found.group(1)) > 10000, said)


def test_auto_without_a_gpu_says_why_and_goes_on(work):
    prepare(work)
    said = run(work, "auto", "{device: auto, cuda_plugin: cpu.yaml}")
    check(re.search(r'device message="cpu: .*cpu.yaml: file too short|invalid ELF', said), said)


def test_cuda_without_a_gpu_is_refused(work):
    prepare(work)
    result = nudge("check", config(work, "none", "{device: cuda, cuda_plugin: cpu.yaml}"))
    check(result.code == 2 and "models.device: cuda: " in result.errors, str(result))


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
