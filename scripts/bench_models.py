#!/usr/bin/env python3
"""Nanoseconds a row of models as nudge scores them, beside what a user would take: one thread each, in one run.

    bench_models.py [--avx2] [BUILD]    BUILD: the folder of the release build, build/release by default

A GRU of 64 units on 64 inputs with one output and an MLP 48-64-32-1, beside sgemm of OpenBLAS with the C library's
functions, and beside PyTorch on the CPU: the same parameters and rows, checked to give the same. Of PyTorch the best
of three ways counts at each batch: modules as they are (inference_mode), TorchScript frozen and optimised for
inference, and a TorchScript loop over the batches, in which Python does not come up at all. Then 200 trees of depth 6
on 48 features beside node by node, and beside libxgboost's C interface on trees that it fitted.

--avx2 holds PyTorch to AVX2 and leaves out our AVX-512 kernels, as on a machine that has no more.

Everything is measured in turns, each the best of its rounds, so that a change of the machine's speed meets all alike.
Prints tables in Markdown. Wants python3-torch; nothing else should run.
"""
import collections
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List

import numpy

ROOT = Path(__file__).resolve().parent.parent
IS_AVX2 = sys.argv[1:2] == ["--avx2"]
BUILD = Path(sys.argv[-1]) if len(sys.argv) > 1 + IS_AVX2 else ROOT / "build/release"
SETS = ("avx2",) if IS_AVX2 else ("avx2", "avx512")
if IS_AVX2: # Both are read when PyTorch is loaded.
    os.environ.update(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", DNNL_MAX_CPU_ISA="AVX2")
import torch # pylint: disable=wrong-import-position
BATCHES = [1, 8, 32, 128, 512]
ROUNDS = 5
ROWS, INPUTS, HIDDEN = 2048, 64, 64


class Gru(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.nn.GRUCell(INPUTS, HIDDEN)
        self.head = torch.nn.Linear(HIDDEN, 1)

    def forward(self, x: torch.Tensor, h: torch.Tensor):
        h = self.cell(x, h)
        return self.head(h), h


class Mlp(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(48, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32),
                                          torch.nn.ReLU(), torch.nn.Linear(32, 1))

    def forward(self, x: torch.Tensor, h: torch.Tensor):
        return self.layers(x), h


class Loop(torch.nn.Module):
    """All batches without a step of Python."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, rows: torch.Tensor, states: torch.Tensor):
        outs: List[torch.Tensor] = [] # All are kept, else the loop is unrolled and what nobody reads is left out.
        for i in range(rows.size(0)):
            out, h = self.model(rows[i], states[i])
            outs.append(out)
            outs.append(h)
        return outs


def output(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout


def load(kind, work):
    """The module with the benchmark's parameters, its rows, and how far apart the two are."""
    model = Gru() if kind == "gru" else Mlp()
    path = work / kind
    output(BUILD / "network_bench", "write", kind, path)
    numbers = torch.from_numpy(numpy.fromfile(path, dtype=numpy.float32))
    with torch.inference_mode():
        for parameter in model.parameters():
            parameter.copy_(numbers[:parameter.numel()].view(parameter.shape))
            numbers = numbers[parameter.numel():]
        rows = numbers[:ROWS * INPUTS].view(ROWS, INPUTS)[:, :INPUTS if kind == "gru" else 48].contiguous()
        theirs = model(rows, torch.zeros(ROWS, HIDDEN))[0].flatten()
    worst = (theirs - numbers[ROWS * INPUTS:]).abs().max().item()
    if numbers.numel() != ROWS * INPUTS + ROWS or worst > 1e-5:
        sys.exit(f"{kind}: PyTorch gives something else, {worst}")
    return model.eval(), rows, worst


class Ways:
    """PyTorch's ways of scoring the rows in batches of one size."""

    def __init__(self, model, rows, batch):
        self.batches = [part.contiguous() for part in rows.split(batch)]
        self.states = [torch.zeros(batch, HIDDEN) for _ in self.batches]
        self.rows = rows.view(-1, batch, rows.size(1)).contiguous()
        self.model = model
        with torch.inference_mode():
            scripted = torch.jit.freeze(torch.jit.script(model))
            self.frozen = torch.jit.optimize_for_inference(scripted)
            self.loop = torch.jit.freeze(torch.jit.script(Loop(model).eval()))
        self.all_states = torch.zeros(len(self.batches), batch, HIDDEN)

    def one_by_one(self, model):
        for i, part in enumerate(self.batches):
            _, self.states[i] = model(part, self.states[i])

    def times(self):
        for name, way in (("modules", lambda: self.one_by_one(self.model)),
                          ("frozen", lambda: self.one_by_one(self.frozen)),
                          ("loop", lambda: self.loop(self.rows, self.all_states))):
            best = float("inf")
            for _ in range(4): # The first ones warm up, and TorchScript compiles.
                begin = time.perf_counter_ns()
                way()
                best = min(best, time.perf_counter_ns() - begin)
            yield name, best / ROWS


def measure_networks(work):
    loaded = {kind: load(kind, work) for kind in ("gru", "mlp")}
    times = collections.defaultdict(lambda: float("inf"))
    with torch.inference_mode():
        ways = {(kind, batch): Ways(model, rows, batch) for kind, (model, rows, _) in loaded.items()
                for batch in BATCHES}
        for _ in range(ROUNDS):
            for kind in loaded:
                for line in output(BUILD / "network_bench", "time", kind).splitlines():
                    name, batch, spent = line.split()
                    key = (kind, name, int(batch))
                    times[key] = min(times[key], float(spent))
                for batch in BATCHES:
                    for name, spent in ways[kind, batch].times():
                        key = (kind, name, batch)
                        times[key] = min(times[key], spent)
    return times, {kind: worst for kind, (_, _, worst) in loaded.items()}


def line(name, values, form="{:,.0f}"):
    print(f"| {name} |", " | ".join(form.format(value) for value in values), "|")


def heading(name):
    print(f"\n| {name}, rows in the batch |", " | ".join(map(str, BATCHES)), "|")
    print("|---|" + "---|" * len(BATCHES))


def print_network(title, kind, times, prefix=""):
    def of(name):
        return [times[kind, prefix + name, batch] for batch in BATCHES]
    sets = [name for name in SETS if (kind, prefix + name, 1) in times]
    heading(title)
    line("sgemm and the C library (ns)", of("sgemm"))
    for name in sets:
        line(f"ours, {name} (ns)", of(name))
        line("share of sgemm", [a / b for a, b in zip(of(name), of("sgemm"))], "{:.2f}")
    if prefix:
        return
    ways = {name: of(name) for name in ("modules", "frozen", "loop")}
    for name, title in (("modules", "PyTorch, modules (ns)"), ("frozen", "PyTorch, TorchScript frozen (ns)"),
                        ("loop", "PyTorch, a loop in TorchScript (ns)")):
        line(title, ways[name])
    best = [min(values) for values in zip(*ways.values())]
    for name in sets:
        line(f"times as fast as the best of PyTorch, {name}", [a / b for a, b in zip(best, of(name))], "{:.1f}")


def print_trees():
    found = collections.defaultdict(list)
    for _ in range(ROUNDS):
        text = output(BUILD / "tree_bench")
        by_node = float(re.search(r"by node +(\d+)", text)[1])
        found["node", 0].append(by_node)
        for name, batch, spent in re.findall(r"(avx\w+) +(\d+) rows a call +(\d+)", text):
            found[name, int(batch)].append(float(spent) / by_node)
    heading(f"200 trees of depth 6 ({min(found['node', 0]):,.0f} ns node by node)")
    for name in SETS:
        if (name, 1) in found:
            line(f"{name}, share of node by node", [statistics.median(found[name, batch]) for batch in BATCHES], "{:.2f}")
    runs = [output(BUILD / "xgboost_bench") for _ in range(3)]
    if runs[0].startswith("skipped"):
        print(runs[0])
        return
    rows = [re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+) +[\d.]+$", run, re.M) for run in runs]
    best = [[min(int(run[i][column]) for run in rows) for i in range(len(BATCHES))] for column in (1, 2, 3)]
    theirs = [min(pair) for pair in zip(best[0], best[1])]
    heading(runs[0].splitlines()[0].split(",")[0] + ", trees of its own")
    line("libxgboost, the faster of its two ways (ns)", theirs)
    line("ours (ns)", best[2])
    line("times as fast", [a / b for a, b in zip(theirs, best[2])], "{:.1f}")


def main():
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        times, worst = measure_networks(Path(folder))
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="ascii"))[1]
    print(f"{cpu}; PyTorch {torch.__version__}{' held to AVX2' if IS_AVX2 else ''}; outputs agree to",
          ", ".join(f"{value:.1g} ({kind})" for kind, value in worst.items()))
    print_network("GRU 64", "gru", times)
    print_network("GRU 64 as a worker sees it", "gru", times, "worker-")
    print_network("MLP 48-64-32-1", "mlp", times)
    if not IS_AVX2:
        print_trees()


if __name__ == "__main__":
    main()
