"""Every row of the cost tables against torch: the shape of the result, what torch's counter counts, what is allocated."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from emitted import code_of
from measured import flops, peak_bytes
from tolerances import ALLOCATED, ALLOCATED_SMALL

from dltc import runtime as rt
from dltc.compiler.cost.composites import COMPOSITES, DRAWS
from dltc.compiler.cost.convolutions import CONVOLUTIONS
from dltc.compiler.cost.forms import FUNCTIONS, METHODS, OPERATORS
from dltc.compiler.cost.machine import Array, Machine, Tally
from dltc.compiler.cost.poly import number
from dltc.compiler.cost.values import Host
from dltc.compiler.cost.walk import Walker
from dltc.compiler.plan.routine import _parts
from dltc.compiler.plan.tree import Bin, Call, Code, Method

torch.manual_seed(0)
SQUARE = torch.randn(7, 24, 24)
TENSORS = {
    "x": torch.rand(40, 30, 20) + 0.1,
    "y": torch.rand(40, 30, 20) + 0.2,
    "b": torch.rand(20) + 0.3,
    "a": torch.rand(60, 50),
    "c": torch.rand(50, 70),
    "d": torch.rand(60, 70),
    "v": torch.rand(50),
    "p": torch.rand(9, 12, 30),
    "q": torch.rand(9, 30, 11),
    "r": torch.rand(9, 12, 11),
    "k": torch.randint(0, 30, (40,)),
    "k2": torch.randint(0, 20, (40, 30)),
    "mask": torch.rand(40, 30, 20) < 0.5,
    "spd": SQUARE @ SQUARE.mT + torch.eye(24),
    "sq": SQUARE,
    "big": torch.eye(64) + 0.01 * torch.rand(64, 64),
    "g": torch.randn(7, 24, 18),
    "h": torch.randn(7, 24, 18),
    "im": torch.rand(16, 6, 20, 22),
    "out": torch.rand(16, 12, 18, 20),
    "last": torch.rand(16, 20, 22, 6),
    "kg": torch.rand(12, 2, 3, 3),
    "kern": torch.rand(12, 6, 3, 3),
}
WIDTHS = {"real": 4, "double": 8, "int": 8, "bool": 1}
KINDS = {torch.float32: "real", torch.float64: "double", torch.int64: "int", torch.bool: "bool"}

CASES = """
x + y
x - b
2 * x
x / y
1 / x
x ** 3
x // 0.3
x % b
x < y
x <= 0.5
k2 == 3
x != y
-x
x * mask
mask[:, :, 0].to(torch.int64) + k2
a @ c
v @ v
a @ v
v @ c
a.T @ d
torch.addmm(d, a, c)
torch.addmm(torch.relu(d), a, c)
torch.baddbmm(r, p, q)
torch.bmm(p, q)
torch.einsum("ij,jk,ik->k", a, c, d)
d.addmm_(a, c)
r.baddbmm_(p, q, beta=0.5, alpha=2.0)
x.mul_(0.9).add_(y, alpha=0.1)
x.add_(1.0)
x.sub_(y)
x.addcmul_(y, y, value=0.5)
x.addcdiv_(y, 1.0 + torch.sqrt(y), value=0.5)
x.fill_(0)
x.copy_(x + y)
torch.where(mask, x, 0.0)
torch.where(x < 0.4, x, b)
torch.exp(x) * torch.log(x) + torch.log1p(x) - torch.expm1(x)
torch.sqrt(x) + torch.sin(x) * torch.cos(x)
torch.erf(x) + torch.lgamma(x) + torch.digamma(x) + torch.polygamma(1, x)
torch.sigmoid(x) + torch.tanh(x) + F.gelu(x) + torch.relu(x)
torch.abs(k2) + torch.sign(k2)
torch.logical_not(mask)
torch.exp(k2)
x.square()
x.detach()
x.clone()
x.to(torch.float64)
x.to(self.dtype)
x.sum()
x.sum(1)
x.sum((0, 2))
mask.sum(2)
x.argmax(1)
x.cumsum(0)
torch.softmax(x, 1)
torch.log_softmax(x, 2)
torch.softmax(2 * x.mT, 1)
torch.logsumexp(x, (2,))
torch.logsumexp(x, (0, 2))
rt.softmax(x, (1,))
rt.softmax(x, (0, 1))
rt.log_softmax(x, (2,))
rt.log_softmax(x, (1, 2))
rt.logsumexp(x, (0, 2))
rt.max(x, (1,))
rt.min(x, (2,))
rt.prod(x, (0, 1))
rt.rank(x, (1,))
rt.rank(x, (0, 2))
rt.rank(x.mT + 1.0, (1, 2))
rt.rank(x.mT + 1.0, (1,))
(rt.rank(torch.where(mask[:, None, :, 0], b[:, None] + x.mT, -9.0), (1, 2)) == 0).to(torch.int64)
rt.revcumsum(x, 1)
x.reshape(1200, 20)
x.permute(2, 0, 1).reshape(20, 1200)
x.permute(1, 0, 2).reshape(1200, 20)
(x.permute(1, 0, 2) + 1).reshape(1200, 20)
x.view(40, 5, 6, 20)
a.T.reshape(50, 6, 10) * 2
b[None, :].expand((30, 20))
b.expand((40, 20)).reshape(800) + 1
a[:, None, :] * 2
a[3] + v
a[:, 4].unsqueeze(1) + 1
x[:, 3].flatten(0)
x.mT.flatten(1)
a.unflatten(-1, (5, 10)) + 1
x[:, 0][:, :, None].squeeze(2) * 2
x.size()[1] * 2
x[k]
x[:, k]
x.mT[:, :, k]
torch.take_along_dim(x, k2[:, :, None], 2).squeeze(2)
torch.take_along_dim(b[None, None, :], k2[:, :, None], 2).squeeze(2)
torch.take_along_dim(x[:, 0], k2, 1)
torch.take_along_dim(x, k[:, None, None] % 20, 2).squeeze(2)
torch.tensor(0.5, dtype=self.dtype, device=self.device)
torch.tensor((1, 2, 3), dtype=torch.int64, device=self.device).reshape((3,))
torch.arange(20, device=self.device)
torch.arange(-3, 20, device=self.device) * 2
rt.softplus(x)
rt.minimum(x, y)
rt.maximum(x, 0.5)
rt.minimum(x, b)
rt.xlogy(x, y)
rt.place(0.5, k, 30, self.dtype)
rt.scatter_add(x, k2, 20, 1, 1)
rt.scatter_add(x[:, 0, 0][:, None].expand((40, 16)), k, 30, 0, 1)
rt.inside(k, 30, "axis", "x.dlt:3")
F.conv2d(im, kern)
F.conv2d(im, kern, padding=1, stride=2)
F.conv2d(im, kern, padding=(0, 1), dilation=2)
F.conv2d(im.permute(0, 1, 3, 2), kern)
F.conv2d(last.permute(0, 3, 1, 2), kern)
F.conv2d(im, kg, groups=3)
F.conv1d(im[:, :, 0].reshape(16, 6, 22), kern[:, :, 0].reshape(12, 6, 3), padding=2)
F.conv_transpose2d(out, kern)
F.conv_transpose2d(out, kern, dilation=(2, 1), padding=1)
F.conv_transpose2d(out, kg, groups=3)
F.conv_transpose1d(out[:, :, 0].reshape(16, 12, 20), kern[:, :, 0].reshape(12, 6, 3), dilation=2)
F.pad(im, (1, 2, 0, 3))
F.pad(im, (-1, 2))
rt.window(im, 2, ((18, 1), (3, 1)), 0)
rt.window(im, 2, ((9, 2), (3, 1)), -1) * 2
rt.window(im, 3, ((20, 1), (3, -1)), 2)
rt.window(im, 3, ((20, 1),), 2)
rt.fold(x, ((30, 1), (20, 1)), 0, 49)
rt.fold(x.permute(0, 2, 1), ((20, 2), (30, -1)), 0, 60)
torch.stack(torch.unbind(x, 1), 2)
rt.expand(0.5, (40, 30), (), self.device, self.dtype)
rt.expand(b, (40, 30, 20), (2,), self.device, self.dtype)
rt.expand(mask, (40, 30, 20), (0, 1, 2), self.device, self.dtype)
rt.check_finite(x.sum())
rt.matpow(spd, -0.5)
rt.matpow_vjp(spd, -0.5, sq)
rt.polar(g)
rt.polar(g.mT)
rt.polar_vjp(g, h)
rt.polar_vjp(g.mT, h.mT)
rt.logdet(spd)
rt.inverse(spd)
rt.cholesky(spd)
rt.eigvals(spd)
rt.eigvecs(spd)
rt.solve_triangular(spd, g, upper=False)
rt.matpow(big, -0.5)
rt.matpow_vjp(big, -0.5, big)
rt.polar(a)
rt.polar_vjp(a.mT, a.mT)
rt.logdet(big)
rt.eigvals(big)
rt.eigvecs(big)
draw.uniform("w", (40, 30))
draw.normal("w", (40, 30)).to(self.dtype)
draw.gamma("w", a)
draw.poisson("w", a.mul_(100.0))
torch.relu(x) if 1 < 2 else x
math.exp(0.5) * x
int(1) + x
float(1) * x
abs(-2) * x
min(1, 2) * max(1, 2) * x
""".strip().splitlines()  # fmt: skip


class Self:
    """What emitted expressions read of their module."""

    dtype = torch.float32
    device = torch.device("cpu")


def machine_of(tensors: dict[str, torch.Tensor]) -> tuple[Machine, dict[str, Array]]:
    """A machine on which these tensors exist."""
    machine = Machine(WIDTHS, {})
    return machine, {n: machine.new([number(s) for s in t.shape], KINDS[t.dtype]) for n, t in tensors.items()}


def predicted(text: str) -> tuple[object, Tally, int]:
    """The value of an expression to the cost model, its counts, the bytes at the peak."""
    machine, arrays = machine_of(TENSORS)
    before = machine.live
    walker = Walker(machine, {}, arrays, {}, "batch", 0, {"draw": Host()})
    value = walker.value(code_of(text))
    return value, machine.tally, machine.peak - before


def names(code: Code) -> set[str]:
    """The rows that an expression uses."""
    found = {p for part in _parts(code) for p in names(part)}
    match code:
        case Call():
            return found | {code.fn}
        case Method():
            return found | {code.name}
        case Bin():
            return found | {code.op}
        case _:
            return found


PYTHON = {
    "rt.extern('m:f:', 'm.dlt:1', (x, b[None, None, :]), 2, (((20,),), ((20,),)), ((5, 2),))": (40, 30, 5, 2),
    "rt.extern_vjp('m:f:', 'm.dlt:1', (x, b[None, None, :], a[:40, None, :5]), 2, (((20,),), ((20,),)), ((5,),), 1)": (40, 30, 20),
}  # fmt: skip
"""Calls of functions of which nothing is known but what they are given and give."""


@pytest.mark.parametrize("text", PYTHON)
def test_calls_of_python(text: str) -> None:
    value, tally, held = predicted(text)
    assert isinstance(value, Array) and tuple(n.at({}) for n in value.shape) == PYTHON[text]
    assert tally.moved.at({}) > held > 0 and not any(n.at({}) for n in tally.flops.values())


def test_every_row_has_a_case() -> None:
    used = set[str]().union(*(names(code_of(c)) for c in [*CASES, *PYTHON]))
    rows = {*FUNCTIONS, *COMPOSITES, *CONVOLUTIONS, *METHODS, *OPERATORS, *DRAWS}
    assert {r for r in rows if not r.startswith("math.")} - used == set()


@pytest.mark.parametrize("text", CASES)
def test_a_row_is_what_torch_does(text: str) -> None:
    """The result's sizes and dtype, contraction FLOPs exactly, allocated bytes within the tolerance."""
    value, tally, peak = predicted(text)
    given = {n: t.clone() for n, t in TENSORS.items()}
    scope = {"torch": torch, "F": F, "rt": rt, "math": math, "self": Self, "draw": rt.Draw(0, 1), **given}

    def run() -> object:
        return eval(compile(text, "case", "eval"), scope)

    result = run()
    if isinstance(value, Array):
        assert isinstance(result, torch.Tensor)
        assert [n.at({}) for n in value.shape] == list(result.shape)
        assert value.dtype == KINDS[result.dtype]
        steps = [(s.at({}), t) for s, t, n in zip(value.strides, result.stride(), result.shape, strict=True) if n > 1]
        assert [s for s, _ in steps] == [t for _, t in steps]
    assert tally.counted.at({}) == flops(run)
    assert tally.flops["contraction"].at({}) == flops(run, everything=True)
    measured = peak_bytes(run)
    assert abs(peak - measured) <= ALLOCATED * measured + ALLOCATED_SMALL, (peak, measured)
