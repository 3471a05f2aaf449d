"""`dltc explain SPEC`: its text, its JSON, what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from dltc.cli.main import main

HERE = Path(__file__).parent
SPECS = sorted((HERE.parents[1] / "specs").glob("*.dlt"))

SMALL = """dlt 1

## Words to classes.
model Words {
  axis t, word = 50, d = 8, cls = 4
  input tok[t]: word
  input y: cls
  ## what a word means
  param E[word, d] ~ Normal(0, var = 1)
  param V[cls, d] ~ Normal(0, var = 1/d) init 0
  z[d] = mean[t](E[tok[t], d])
  s[cls] = V * z
  y ~ Categorical(logits = s)
  learn { E : Adam(lr = 0.01); V : SGD(lr = 0.1) }
  train { batch 16; steps 3; report accuracy(y, s) }
}
"""

LINEAR = """dlt 1
## One layer.
model Linear {
  axis f = 30, out = 20
  input x[f]
  input y[out]
  ## slopes
  param W[out, f] ~ Normal(0, var = 1)
  m[out] = W * x
  y ~ Normal(m, std = 1)
  learn { W : Momentum(lr = 0.1) }
}
"""

EXPECTED = """linear.dlt: Linear, float32; numbers at batch 64 (given)
  One layer.

parameters: 600 numbers, 2.3 KiB; states of rules: 2.3 KiB, 4 bytes a number
  W[out 20, f 30]  2.3 KiB  real  ~ Normal(0, var = 1)    Momentum(lr = 0.1)  m: 4 B  # slopes

cost of         FLOPs in products             other FLOPs  bytes moved  FLOP/byte
  forward             1,200 batch   = 76,800            0     14.8 KiB       5.05
  log_prob            1,200 batch   = 76,800        3,968     51.1 KiB       1.54
  step        2,440 batch + 1,200  = 157,360        4,287     75.8 KiB       2.08
    forward   1,240 batch + 1,200   = 80,560        1,287     44.6 KiB       1.79
    backward          1,200 batch   = 76,800          600     17.2 KiB       4.40
    update                      0        = 0        2,400     14.1 KiB       0.17
  torch's own counter sees 76,800 FLOPs of the step: 80,560 are in products by a vector or in place

the step by line                                        products   other   moved  at the peak
  linear.dlt:9      m[out] = W * x                          97.6 %  14.0 %  42.2 %      5.0 KiB
  linear.dlt:10     y ~ Normal(m, std = 1)                   1.6 %  30.0 %  33.0 %      5.0 KiB
  linear.dlt:11     learn { W : Momentum(lr = 0.1) }         0.0 %  56.0 %  18.5 %          0 B
  linear.dlt:8      param W[out, f] ~ Normal(0, var = 1)     0.8 %   0.0 %   6.2 %          0 B

memory of one step: 27.2 KiB at the peak (in linear.dlt:10)
  parameters 2.3 KiB, states 2.3 KiB, inputs 12.5 KiB, activations 5.0 KiB, workspace 5.0 KiB
  = 360 batch + 4,800 bytes; 27.2 KiB if each value went after its last reader

sharing         nodes  edges  depth  written out  factor
  model              18     20      8           32    1.78
  step               46     57     12          129    2.80
  step optimized     35     46      9          109    3.11

passes over the step graph (nodes)
  sums         46 -> 48  +1 const, +1 contract
  share        48 -> 32  -1 add, -3 const, -12 contract, multiplications in products 76,800 -> 157,360
  contraction  32 -> 35  +3 contract, multiplications in products 157,360 -> 78,680
  nothing to do for constants, stable, constants, dead

layout: memory order batch, out, f; every parameter is stored dense
"""

POLY = {"formula", "terms", "value"}
TALLY = {"flops", "torch_counter", "bytes_moved"}
KEYS = {
    "schema", "spec", "model", "doc", "dtype", "replicas", "sizes", "axes", "parameters", "totals", "main", "cost",
    "lines", "memory", "sharing", "passes", "layout",
}  # fmt: skip


@pytest.fixture
def words(folder: Path) -> Path:
    path = folder / "words.dlt"
    path.write_text(SMALL)
    return path


def test_the_text(dltc, folder):
    Path("linear.dlt").write_text(LINEAR)
    done = dltc("explain", "linear.dlt", "--at", "batch=64")
    assert (done.code, done.err) == (0, "")
    assert done.out == EXPECTED


def test_json_is_complete(dltc, words):
    data = dltc("explain", "words.dlt", "--json", "--at", "t=9").json
    assert set(data) == KEYS
    assert data["sizes"] == {"batch": {"value": 16, "source": "train"}, "t": {"value": 9, "source": "given"}}
    assert data["schema"] == 1
    first = data["parameters"][0]
    wanted = {"path": "E", "shape": [50, 8], "entries": 400, "bytes": 1600, "rule": "Adam(lr = 0.01)"}
    assert {key: first[key] for key in wanted} == wanted
    assert first["states"] == [{"path": "E@m", "bytes": 1600}, {"path": "E@v", "bytes": 1600}]
    assert (first["state_bytes_per_parameter"], data["parameters"][1]["state_bytes_per_parameter"]) == (8, 0)
    assert set(data["cost"]) == {"forward", "log_prob", "log_joint", "measure", "step"}
    step = data["cost"]["step"]
    assert set(step) == TALLY | {"phases"}
    for kind in ("contraction", "elementwise", "reduction", "linalg", "total"):
        assert set(step["flops"][kind]) == POLY
        assert step["flops"][kind]["value"] == sum(p["flops"][kind]["value"] for p in step["phases"].values())
        assert step["flops"][kind]["value"] == sum(row["flops"][kind]["value"] for row in data["lines"])
    moved = step["bytes_moved"]
    assert moved["value"] == sum(
        t["coefficient"] * 16 ** t["powers"].get("batch", 0) * 9 ** t["powers"].get("t", 0) for t in moved["terms"]
    )
    memory = data["memory"]
    parts = ("parameters", "states", "inputs", "activations", "gradients", "updates", "workspace")
    assert memory["peak"]["value"] == sum(memory[part]["value"] for part in parts)
    assert data["sharing"]["model"]["nodes"] < int(data["sharing"]["model"]["tree"])
    steps = [row for row in data["passes"] if row["graph"] == "step"]
    assert all(a["nodes_after"] == b["nodes_before"] for a, b in pairwise(steps))
    assert steps[-1]["nodes_after"] == data["sharing"]["step optimized"]["nodes"]


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_every_shipped_spec_explains_itself(path, dltc):
    """In both forms; no line is longer than a wide terminal."""
    done = dltc("explain", str(path))
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 140
    for row in dltc("explain", str(path), "--json").json["parameters"]:
        assert f"  {row['path']}{'[' if row['axes'] else ' '}" in done.out


def test_nothing_is_run_and_the_bytes_are_the_same(words):
    """Torch is not imported; two hash seeds print the same."""
    code = """import sys; from dltc.cli.main import main
main(["explain", "words.dlt"]); main(["explain", "words.dlt", "--json"]); print("torch" in sys.modules)"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "4242")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].splitlines()[-1] == "False"


def test_sizes_and_overrides_change_the_numbers_not_the_formulas(dltc, words):
    small = dltc("explain", "words.dlt", "--json", "--at", "batch=1", "--at", "t=1").json["cost"]["step"]["flops"]
    large = dltc("explain", "words.dlt", "--json", "--at", "batch=64", "--at", "t=99").json["cost"]["step"]["flops"]
    assert small["contraction"]["formula"] == large["contraction"]["formula"]
    assert small["contraction"]["value"] == 192 + 864
    assert large["contraction"]["value"] == 192 * 64 + 864
    wide = dltc("explain", "words.dlt", "--json", "--set", "d=16", "--dtype", "float64").json
    assert wide["parameters"][0]["bytes"] == 50 * 16 * 8
    assert wide["dtype"] == "float64"


def test_a_model_that_does_not_learn(dltc, folder):
    Path("m.dlt").write_text("dlt 1\nmodel M {\n  axis d = 4\n  input x[d]\n  h = sum[d](x[d])\n}\n")
    done = dltc("explain", "m.dlt")
    assert done.code == 0
    assert "no parameters" in done.out
    assert "the forward by line" in done.out
    assert set(dltc("explain", "m.dlt", "--json").json["cost"]) == {"forward", "log_prob", "log_joint", "measure"}


def test_matrix_factorizations_are_counted_apart(dltc, folder):
    body = "axis d = 30\n  input x[d]\n  param S[d, d'] ~ Normal(0, var = 1)\n  v = logdet[d, d'](S) + sum(x)\n  v ~ Gibbs()"
    Path("m.dlt").write_text(f"dlt 1\nmodel M {{\n  {body}\n}}\n")
    assert dltc("explain", "m.dlt", "--json").json["cost"]["forward"]["flops"]["linalg"]["value"] == 30**3 * 2 // 3
    assert "matrix factorizations: about 18,000 FLOPs more" in dltc("explain", "m.dlt").out


@pytest.mark.parametrize("equations", [200])
def test_expressions_that_double_are_written_as_a_power(dltc, folder, equations):
    lines = ["x0 = u"] + [f"x{k} = x{k - 1} ^ x{k - 1}" for k in range(1, equations + 1)]
    body = "\n  ".join(lines)
    Path("deep.dlt").write_text(f"dlt 1\nmodel Deep {{\n  input u\n  {body}\n}}\n")
    row = dltc("explain", "deep.dlt", "--json").json["sharing"]["model"]
    assert int(row["tree_leaves"]) >= 2**equations
    assert re.search(r"^  model .*e\+", dltc("explain", "deep.dlt").out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.dlt"], 2, "missing.dlt cannot be read: no such file or directory"),
        (["words.dlt", "words.dlt"], 2, "give one spec, or diagnostic codes"),
        (["words.dlt", "E0203"], 2, "give one spec, or diagnostic codes"),
        (["words.dlt", "--at", "tt=3"], 2, "`tt` is no size that the data decides: there are batch, t"),
        (["words.dlt", "--at", "d=3"], 2, "`d` is no size that the data decides"),
        (["words.dlt", "--at", "t=0"], 2, "t=0: a size is at least 1"),
        (["words.dlt", "--at", "t=x"], 2, "'t=x': write name=size, for instance batch=64"),
        (["words.dlt", "--at", "t"], 2, "write name=size"),
        (["words.dlt", "--set", "q=3"], 2, "error[E0219]"),
        (["wrong.dlt"], 1, "error[E0203]"),
        (["E9999"], 2, "E9999 is not a diagnostic code"),
    ],
)
def test_what_is_refused(dltc, words, arguments, code, message):
    Path("wrong.dlt").write_text(SMALL.replace("E[tok[t], d]", "E[tok[t], cls]"))
    done = dltc("explain", *arguments)
    assert done.code == code
    assert message in done.err


def test_a_file_may_be_named_like_a_code(dltc, words):
    words.rename("E0203")
    assert dltc("explain", "E0203").out.startswith("E0203: Words, float32")
    assert main(["explain", "E0204"]) == 0
    assert json.loads(dltc("explain", "./E0203", "--json").out)["model"] == "Words"
