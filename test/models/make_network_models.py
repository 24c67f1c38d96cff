#!/usr/bin/env python3
"""Writes the small networks of test/models/networks as packs, and what PyTorch makes of some rows.

Needs numpy and torch, and is run by hand: the files it writes are committed, so that the tests need
neither. Written with PyTorch 1.13 (python3-torch of Debian 12).

    python3 test/models/make_network_models.py test/models/networks

NAME/rows.txt: a line "features", then a line a row: the sequence it belongs to, its features as the
pipeline has them (nan: missing) and PyTorch's output after the sequence's rows so far.
"""
import json
import math
import struct
import sys
from pathlib import Path

import numpy
import torch
from torch import nn

FOLDER = Path(sys.argv[1])
MEAN, SCALE = 0.25, 1.5
BINS = [-0.5, 0.0, 1.25]
NAN = float("nan")


def write_tensors(path, state):
    header, data = {}, b""
    for name, value in state.items():
        raw = value.detach().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_pack(name, kind, features, network, model, rows):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    (folder / "manifest.yaml").write_text(
        f"format: 1\nkind: {kind}\nname: {name}\nversion: 1\nfeatures:\n"
        + "".join(f"  - {feature}\n" for feature in features) + f"network:\n{network}")
    write_tensors(folder / "weights.safetensors", model.state_dict())
    with open(folder / "rows.txt", "w", encoding="ascii") as file:
        print(len(features), file=file)
        for sequence, values, output in rows:
            print(sequence, *(f"{value:.9g}" for value in values), f"{output:.9g}", file=file)


def randomise(model, size=0.6):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-size, size)


def numbers(generator, count, width, holes):
    x = generator.normal(0, 2, size=(count, width)).astype(numpy.float32)
    x[generator.random((count, width)) < holes] = NAN
    return x


def scaled(x, fill=0.0):
    z = ((torch.tensor(x) - MEAN) / SCALE).clamp(-2, 2)
    return torch.where(torch.isnan(z), torch.full_like(z, fill), z)


def numeric(names):
    return [f"{{name: {name}, mean: {MEAN}, scale: {SCALE}, limit: 2}}" for name in names]


def plain_network(generator, name, sizes, activation, layer):
    """nn.Sequential of linear layers with an activation between."""
    parts, lines = [], []
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        last = i == len(sizes) - 2
        lines.append(f"    - {{size: {outputs}, tensor: net.{2 * i}"
                     + ("" if last else f", activation: {activation}") + "}\n")
        parts += [nn.Linear(inputs, outputs)] + ([] if last else [layer()])

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(*parts)

    model = Network()
    randomise(model)
    x = numbers(generator, 40, sizes[0], 0.1)
    with torch.no_grad():
        y = model.net(scaled(x))[:, 0].numpy()
    write_pack(name, "mlp", numeric(f"x{i}" for i in range(sizes[0])),
               "  layers:\n" + "".join(lines), model,
               [(i, x[i], y[i]) for i in range(len(x))])


class Inputs(nn.Module):
    """Two numbers, one with an indicator and a fill of its own, an id and a number in bins."""
    def __init__(self):
        super().__init__()
        self.kind = nn.Embedding(6, 3)
        self.size = nn.Embedding(5, 2)
        self.width = 2 + 1 + 3 + 2

    def forward(self, x):
        plain = torch.stack([scaled(x[:, 0], -0.5), scaled(x[:, 2])], dim=1)
        missing = torch.tensor(numpy.isnan(x[:, :1]).astype(numpy.float32))
        kinds, sizes = [], []
        for row in x:
            kind = row[1]
            kinds.append(1 if math.isnan(kind) else int(kind) + 2 if 0 <= kind < 4 else 0)
            sizes.append(0 if math.isnan(row[3]) else 1 + sum(b <= row[3] for b in BINS))
        return torch.cat([plain, missing, self.kind(torch.tensor(kinds)),
                          self.size(torch.tensor(sizes))], dim=1)


INPUTS = """  indicators: [price]
  fill: {price: -0.5}
  embeddings:
    - {feature: kind, rows: 6, width: 3, first: 2, missing: 1, unknown: 0, tensor: inputs.kind.weight}
    - {feature: gap, rows: 5, width: 2, first: 1, bins: [-0.5, 0, 1.25], tensor: inputs.size.weight}
"""
FEATURES = numeric(["price"]) + ["{name: kind}"] + numeric(["pieces"]) + ["{name: gap}"]


def mixed_rows(generator, count):
    x = numbers(generator, count, 4, 0.15)
    x[:, 1] = generator.integers(-2, 7, size=count)
    x[generator.random(count) < 0.1, 1] = NAN
    x[:5, 3] = [-0.5, 0, 1.25, 100, -100]
    return x


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inputs = Inputs()
        self.first = nn.Linear(self.inputs.width, 20)
        self.norm = nn.LayerNorm(20)
        self.second = nn.Linear(20, 17)
        self.last = nn.Linear(17, 1)

    def forward(self, x):
        y = nn.functional.gelu(self.norm(self.first(self.inputs(x))))
        return self.last(torch.sigmoid(self.second(y)))[:, 0]


class Recurrent(nn.Module):
    def __init__(self, cell, hidden):
        super().__init__()
        self.inputs = Inputs()
        self.cell = cell(self.inputs.width, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, x):
        output, _ = self.cell(self.inputs(x)[None])
        return self.head(output[0])[:, 0]


HEAD = """  layers:
    - {size: 8, activation: relu, tensor: head.0}
    - {size: 1, tensor: head.2}
"""


def recurrent_network(generator, name, kind, cell, hidden):
    model = Recurrent(cell, hidden)
    randomise(model)
    rows = []
    for sequence, steps in enumerate([1, 2, 5, 9, 20]):
        x = mixed_rows(generator, steps + 5)[5:]
        with torch.no_grad():
            y = model(x).numpy()
        rows += [(sequence, x[i], y[i]) for i in range(steps)]
    write_pack(name, kind, FEATURES, f"  hidden: {hidden}\n  tensor: cell\n{INPUTS}{HEAD}", model,
               rows)


def main():
    torch.manual_seed(5)
    generator = numpy.random.default_rng(5)
    plain_network(generator, "literature", [3, 10, 1], "tanh", nn.Tanh)
    plain_network(generator, "deep", [48, 64, 32, 1], "relu", nn.ReLU)
    model = Normed()
    randomise(model)
    x = mixed_rows(generator, 40)
    with torch.no_grad():
        y = model(x).numpy()
    write_pack("normed", "mlp", FEATURES, INPUTS + """  layers:
    - {size: 20, activation: gelu, norm: true, tensor: first, norm_tensor: norm}
    - {size: 17, activation: sigmoid, tensor: second}
    - {size: 1, tensor: last}
""", model, [(i, x[i], y[i]) for i in range(len(x))])
    recurrent_network(generator, "gru", "gru", nn.GRU, 13)
    recurrent_network(generator, "lstm", "lstm", nn.LSTM, 16)


main()
