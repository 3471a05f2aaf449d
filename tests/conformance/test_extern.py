"""`extern op`: values and gradients of Python functions against the same by hand, who may run them, and how they fail."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tolerances import EMITTED
from torch import Tensor

import dltc
from dltc.cli.compiled import offer_python, program
from dltc.cli.specs import Choices, SpecText, compile_spec
from dltc.cli.verify import verify
from dltc.compiler.diagnostics import SpecError
from dltc.runtime.errors import ExternFailed
from dltc.runtime.module import Module

OPS = """
import torch

def gate(x, *, sharp):
    return torch.sigmoid(sharp * x) * x

def outer(a, b, *, k):
    return (torch.einsum("ni,nj->nij", a, b) ** 2).sum(1)[:, :k]

def pick(rows, label):
    return rows[torch.arange(len(rows)), label]

def seen(x):
    return x * x.shape[0]

def short(x):
    return x[:, 1:]

def nan(x):
    return torch.log(x - 100)

def raises(x):
    raise RuntimeError("out of luck")

def number(x):
    return 3.0

"""
NET = """dlt 1
extern op gate(x[d], sharp: real) -> y[d] = python "my_ops:gate"
extern op outer(a[i], b[j], k: axis) -> y[k] = python "my_ops:outer"
model Net {
  axis pix = 6, hid = 5, cls = 3, t = 4
  input x[t, pix]
  input y: cls
  param W[hid, pix] ~ Flat() init Normal(0, var = 1)
  param u[hid] ~ Flat() init Normal(0, var = 1)
  param V[cls, hid] ~ Flat() init Normal(0, var = 1)
  h[t, hid] = gate(W * x, sharp = 2)
  o[t, cls] = outer(h, u, k = cls)
  m[hid] = gate(mean[t](h[t, hid]) + u[hid], 0.5)
  s[cls] = V * m + sum[t](o[t, cls])
  y ~ Categorical(logits = s)
  learn { * : SGD(lr = 1) }
}
"""


def spec(text: str, folder: Path, ops: str = OPS) -> SpecText:
    """A spec with Python beside it."""
    (folder / "my_ops.py").write_text(ops)
    (folder / "net.dlt").write_text(text)
    return SpecText("net.dlt", text, folder)


def built(text: str, folder: Path, ops: str = OPS) -> Module:
    spec(text, folder, ops)
    return dltc.compile(folder / "net.dlt", allow_extern=True).load(seed=3, dtype=torch.float64, examples=50)


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one(line: str, op: str = "f(x[d]) -> y[d]", entry: str = "gate") -> str:
    """A model of one equation that calls one operation."""
    return f"""dlt 1
extern op {op} = python "my_ops:{entry}"
model Net {{
  axis t = 2, row = 2, col = 3, pix = (row, col), k = 4, cls = 3
  input x[t, pix]
  input l: k
  param w[pix] ~ Flat() init Normal(0, var = 1)
  param E[k, pix] ~ Flat() init Normal(0, var = 1)
  {line}
}}
"""


def test_values_and_gradients_are_those_by_hand(tmp_path: Path) -> None:
    """A step of plain gradient descent: mapped over batch and time, a parameter among the arguments, calls of calls."""
    module = built(NET, tmp_path)
    x, y = rows(7, 4, 6), torch.randint(0, 3, (7,), generator=torch.Generator().manual_seed(1))
    W, u, V = (module.state(p).detach().clone().requires_grad_() for p in ("W", "u", "V"))
    z = torch.einsum("hp,ntp->nth", W, x)
    h = torch.sigmoid(2 * z) * z
    o = (torch.einsum("nti,j->ntij", h, u) ** 2).sum(2)[..., :3]
    m = h.mean(1) + u
    s = (torch.sigmoid(0.5 * m) * m) @ V.T + o.sum(1)
    loss = torch.nn.functional.cross_entropy(s, y)
    loss.backward()
    torch.testing.assert_close(module(x=x)["s"], s.detach(), rtol=EMITTED, atol=EMITTED)
    report = module.step(x=x, y=y)
    torch.testing.assert_close(report["nll"], loss.detach(), rtol=EMITTED, atol=EMITTED)
    for path, w in (("W", W), ("u", u), ("V", V)):
        assert w.grad is not None
        expected = w.detach() - w.grad
        torch.testing.assert_close(module.state(path).detach(), expected, rtol=EMITTED, atol=EMITTED)


def test_the_emitted_forward_is_differentiable(tmp_path: Path) -> None:
    """By autograd, for people who bring their own loop."""
    module = built(NET, tmp_path)
    x, y = rows(7, 4, 6), torch.zeros(7, dtype=torch.long)
    loss = -module.log_prob(x=x, y=y).mean()
    loss.backward()
    before = module.get_parameter("W").detach().clone()
    slope = module.get_parameter("W").grad
    assert slope is not None
    module.step(x=x, y=y)
    torch.testing.assert_close(before - module.state("W").detach(), slope, rtol=1e-9, atol=1e-9)


def test_interpreter_and_module_agree(tmp_path: Path) -> None:
    """Every pass and the emitted module, on random data."""
    text = spec(NET, tmp_path)
    choices = Choices(allow_extern=True)
    offer_python(text, program(text, choices, "build").used)
    done = verify(compile_spec(text, choices, "build"))
    assert all(checked.outputs > 0 and checked.largest < EMITTED for checked in done)


@pytest.mark.parametrize(
    ("line", "op", "entry"),
    [
        ("s[t, pix] = f(x, 1.5)", "f(x[d], sharp: real) -> y[d]", "gate"),  # a product axis is one axis of the function
        ("s[pix] = f(E, l)", "f(rows[k, d], label) -> y[d]", "pick"),  # whole numbers arrive as such
        ("s[t, row] = sum[col](f(x[t, row, col], sharp = 2))", "f(x[col], sharp: real) -> y[col]", "gate"),
        ("s[t, pix] = w[pix] * f(x[t, pix], 1) + f(w, 1)", "f(x[d], sharp: real) -> y[d]", "gate"),
    ],
)
def test_axes(tmp_path: Path, line: str, op: str, entry: str) -> None:
    """Ways to bind axes, against the same by hand."""
    module = built(one(line, op, entry), tmp_path)
    x, label = rows(5, 2, 2, 3), torch.tensor([0, 3, 1, 2, 2])
    w, E = module.state("w").detach(), module.state("E").detach()

    def gate(v: Tensor, sharp: float) -> Tensor:
        return torch.sigmoid(sharp * v) * v

    expected = {
        "s[t, pix] = f": lambda: gate(x.reshape(5, 2, 6), 1.5),
        "s[pix] = f(E,": lambda: E[label],
        "s[t, row] = s": lambda: gate(x, 2).sum(3),
        "s[t, pix] = w": lambda: w * gate(x.reshape(5, 2, 6), 1) + gate(w, 1),
    }[line[:13]]()
    made = module(**({"l": label} if entry == "pick" else {"x": x.reshape(5, 2, 6)}))["s"]
    torch.testing.assert_close(made.reshape(expected.shape), expected, rtol=EMITTED, atol=EMITTED)


def test_within_recurrences_and_circuits(tmp_path: Path) -> None:
    """A hole in a loop over time, and one in a family of circuits."""
    text = """dlt 1
extern op gate(x[d], sharp: real) -> y[d] = python "my_ops:gate"
circuit Layer(n: axis) {
  input v[i]
  param W[n, i] ~ Flat() init Normal(0, var = 1)
  output y[n] = gate(W[n, i] * v[i], sharp = 3)
}
model Net {
  axis t = 4, pix = 6, hid = 5, member = 2
  input x[t, pix]
  param A[hid, hid'] ~ Flat() init Normal(0, var = 0.2)
  z[member, t, hid] = Layer[member](x, n = hid) as layer
  h[t, hid] = gate(A[hid, hid'] * h[t-1, hid'] + mean[member](z[member, t, hid]), 1)   start 0
  o[hid] = h[last, hid]
  o ~ Normal(0, var = 1)
  learn { * : SGD(lr = 1) }
}
"""
    module, x = built(text, tmp_path), rows(3, 4, 6)
    W, A = (module.state(p).detach().clone().requires_grad_() for p in ("layer.W", "A"))
    z = torch.einsum("mhp,ntp->mnth", W, x)
    z = (torch.sigmoid(3 * z) * z).mean(0)
    h = torch.zeros(3, 5, dtype=torch.float64)
    for t in range(4):
        inner = h @ A.T + z[:, t]
        h = torch.sigmoid(inner) * inner
    torch.testing.assert_close(module(x=x)["o"], h.detach(), rtol=EMITTED, atol=EMITTED)
    (0.5 * (h**2).sum(1).mean()).backward()
    module.step(x=x)
    for path, w in (("layer.W", W), ("A", A)):
        assert w.grad is not None
        expected = w.detach() - w.grad
        torch.testing.assert_close(module.state(path).detach(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("short", r"net\.dlt:9: `short` gave \[10, 5\], declared is \[10, 6\]"),
        ("nan", r"net\.dlt:9: `nan` gave nan at \[0, 0\]"),
        ("raises", r"net\.dlt:9: `raises` failed: RuntimeError: out of luck"),
        ("number", r"net\.dlt:9: `number` gave a float: it must give a tensor"),
        ("nothing", r"net\.dlt:9: the Python module `my_ops` has no function `nothing`"),
    ],
)
def test_failures_name_the_line(tmp_path: Path, entry: str, message: str) -> None:
    module = built(one("s[t, pix] = f(x)", entry=entry), tmp_path)
    with pytest.raises(ExternFailed, match=message):
        module(x=rows(5, 2, 6))


def test_a_module_that_does_not_load(tmp_path: Path) -> None:
    module = built(one("s[t, pix] = f(x)"), tmp_path, "import no_such_package\n")
    with pytest.raises(ExternFailed, match=r"`my_ops` cannot be loaded: ModuleNotFoundError"):
        module(x=rows(5, 2, 6))


def test_a_function_that_torch_cannot_differentiate(tmp_path: Path) -> None:
    """Its value is fine; a step says what is wrong."""
    text = NET.replace("my_ops:gate", "my_ops:frozen")
    ops = f"{OPS}\ndef frozen(x, *, sharp):\n    return torch.from_numpy(x.detach().numpy() * sharp)\n"
    module = built(text, tmp_path, ops)
    assert module(x=rows(7, 4, 6))["s"].shape == (7, 3)
    with pytest.raises(ExternFailed, match=r"net\.dlt:1\d: `frozen` (cannot be differentiated|failed)"):
        module.step(x=rows(7, 4, 6), y=torch.zeros(7, dtype=torch.long))


def test_nobody_runs_python_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking and compiling run nothing; without leave not even that is done."""
    spec(NET, tmp_path, "open('ran', 'w')\n" + OPS)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match="E0250"):
        dltc.compile("net.dlt")
    dltc.compile("net.dlt", allow_extern=True)
    assert not Path("ran").exists()


def test_changed_python_is_another_program(tmp_path: Path) -> None:
    """The compile cache tells files apart by their content, and a program keeps the file that it was compiled with."""
    x = rows(5, 2, 6)
    old = built(one("s[t, pix] = f(x)", entry="seen"), tmp_path)
    new = built(one("s[t, pix] = f(x)", entry="seen"), tmp_path, "def seen(x):\n    return x + 1\n")
    torch.testing.assert_close(new(x=x)["s"].flatten(), (x + 1).flatten())
    torch.testing.assert_close(old(x=x)["s"].flatten(), (x * 10).flatten())
