"""Every standard circuit against its torch counterpart with the same weights: outputs, gradients by autograd, and the
gradients that the emitted step derives by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tolerances import LAYERS
from torch import Tensor, nn

from dltc.compiler.pipeline import compile_spec
from dltc.runtime.loader import load_class
from dltc.runtime.module import Module

STD = Path(__file__).resolve().parents[2] / "specs" / "std" / "layers.dlt"
Weights = dict[str, Tensor]


@dataclass
class Case:
    """A call, the axes and the input of its model, the axes of its result, and the same by torch.

    ``like`` gets the weights (by their names in the circuit) and the input.  ``labels``: the input holds labels below it.
    """

    call: str
    axes: str
    given: str
    result: str
    like: Callable[[Weights, Tensor], Tensor]
    uses: str = ""
    rule: str = "* : SGD(lr = 1)"
    labels: int = 0
    positive: bool = False
    fixed: tuple[str, ...] = field(default=())

    def text(self) -> str:
        names = ", ".join([self.call.partition("(")[0], *([self.uses] if self.uses else [])])
        return f"""dlt 1
use std.layers ({names})
model M {{
  axis {self.axes}
  input {self.given}
  input weight[{self.result}]
  y[{self.result}] = {self.call} as it
  e = sum(y * weight)
  e ~ Gibbs()
  {f"learn {{ {self.rule} }}" if self.rule else ""}
}}
"""


def lstm(w: Weights, x: Tensor) -> Tensor:
    layer = nn.LSTM(x.shape[-1], w["b"].shape[1], batch_first=True).double()
    given = {
        "weight_hh_l0": w["A"].flatten(0, 1),
        "weight_ih_l0": w["B"].flatten(0, 1),
        "bias_ih_l0": w["b"].flatten(),
        "bias_hh_l0": torch.zeros(w["b"].numel(), dtype=x.dtype),
    }
    return torch.func.functional_call(layer, given, (x,))[0]


def gru(w: Weights, x: Tensor) -> Tensor:
    n = w["bz"].shape[0]
    layer = nn.GRU(x.shape[-1], n, batch_first=True).double()
    zero = torch.zeros(n, dtype=x.dtype)
    given = {
        "weight_hh_l0": torch.cat([w["Ar"], w["Az"], w["Ah"]]),
        "weight_ih_l0": torch.cat([w["Br"], w["Bz"], w["Bh"]]),
        "bias_ih_l0": torch.cat([w["br"], w["bz"], w["bh"]]),
        "bias_hh_l0": torch.cat([zero, zero, w["ah"]]),
    }
    return torch.func.functional_call(layer, given, (x,))[0]


def rnn(w: Weights, x: Tensor) -> Tensor:
    layer = nn.RNN(x.shape[-1], w["b"].shape[0], batch_first=True).double()
    given = {
        "weight_hh_l0": w["A"],
        "weight_ih_l0": w["B"],
        "bias_ih_l0": w["b"],
        "bias_hh_l0": torch.zeros_like(w["b"]),
    }
    return torch.func.functional_call(layer, given, (x,))[0]


def attention(w: Weights, x: Tensor, heads: int = 2, causal: bool = True) -> Tensor:
    layer = nn.MultiheadAttention(x.shape[-1], heads, batch_first=True).double()
    given = {
        "in_proj_weight": torch.cat([w["Q"], w["K"], w["V"]]),
        "in_proj_bias": torch.cat([w["bq"], w["bk"], w["bv"]]),
        "out_proj.weight": w["O"],
        "out_proj.bias": w["bo"],
    }
    t = x.shape[1]
    mask = torch.triu(torch.ones(t, t, dtype=torch.bool), 1) if causal else None
    return torch.func.functional_call(layer, given, (x, x, x), {"attn_mask": mask, "need_weights": False})[0]


def block(w: Weights, x: Tensor) -> Tensor:
    """`nn.TransformerEncoderLayer` with its norms first."""
    layer = nn.TransformerEncoderLayer(6, 2, 9, 0.0, F.gelu, batch_first=True, norm_first=True).double()
    given = {
        "self_attn.in_proj_weight": torch.cat([w[f"attention.{k}"] for k in "QKV"]),
        "self_attn.in_proj_bias": torch.cat([w[f"attention.b{k}"] for k in "qkv"]),
        "self_attn.out_proj.weight": w["attention.O"],
        "self_attn.out_proj.bias": w["attention.bo"],
        "norm1.weight": w["norm1.scale"],
        "norm1.bias": w["norm1.shift"],
        "norm2.weight": w["norm2.scale"],
        "norm2.bias": w["norm2.shift"],
        "linear1.weight": w["up.W"],
        "linear1.bias": w["up.b"],
        "linear2.weight": w["down.W"],
        "linear2.bias": w["down.b"],
    }
    mask = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), 1)
    return torch.func.functional_call(layer, given, (x,), {"src_mask": mask})


def weight_norm(w: Weights, x: Tensor) -> Tensor:
    """`torch.nn.utils.parametrizations.weight_norm` of a linear layer."""
    return F.linear(x, torch._weight_norm(w["V"], w["g"][:, None], 0), w["b"])


def fast_weights(w: Weights, x: Tensor) -> Tensor:
    written = torch.zeros(x.shape[0], w["V"].shape[0], w["K"].shape[0], dtype=x.dtype)
    out: list[Tensor] = []
    for now in x.unbind(1):
        written = 0.9 * written + torch.einsum("bn,bk->bnk", now @ w["V"].T, now @ w["K"].T)
        out.append(torch.einsum("bnk,bk->bn", written, now @ w["Q"].T))
    return torch.stack(out, 1)


class Feedback(torch.autograd.Function):
    """Feedback alignment as its paper has it: a linear map whose input gets its gradient through other weights."""

    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, b)
        return x @ w.T

    @staticmethod
    def backward(ctx, g):
        x, b = ctx.saved_tensors
        return g @ b, g.T @ x, None


def dropped(w: Weights, x: Tensor) -> Tensor:
    return F.dropout(x, 0.5, training=False)


IMAGE = "ch = 4, row = 5, col = 6"
CASES = {
    "Dense": Case("Dense(x, n = hid, act = tanh)", "pix = 7, hid = 5", "x[pix]", "hid", lambda w, x: F.linear(x, w["W"], w["b"]).tanh()),
    "Dense on one axis": Case("Dense(x, n = d)", "d = 5, t = 3", "x[t, d]", "t, d", lambda w, x: F.linear(x, w["W"], w["b"])),
    "Embedding": Case("Embedding(tok, n = hid)", "t = 4, word = 9, hid = 5", "tok[t]: word", "t, hid", lambda w, x: F.embedding(x, w["E"]), labels=9),
    "LayerNorm": Case("LayerNorm(x)", "t = 3, d = 5", "x[t, d]", "t, d", lambda w, x: F.layer_norm(x, (5,), w["scale"], w["shift"])),
    "RMSNorm": Case("RMSNorm(x)", "t = 3, d = 5", "x[t, d]", "t, d", lambda w, x: F.rms_norm(x, (5,), w["scale"], 1e-5)),
    "BatchNorm": Case("BatchNorm(x, d = ch)", IMAGE, "x[ch, row, col]", "ch, row, col", lambda w, x: F.batch_norm(x, None, None, w["scale"], w["shift"], True)),
    "GroupNorm": Case("GroupNorm(x, groups = 2)", IMAGE, "x[ch, row, col]", "ch, row, col", lambda w, x: F.group_norm(x, 2, w["scale"], w["shift"])),
    "WeightNorm": Case("WeightNorm(x, n = hid)", "pix = 7, hid = 5", "x[pix]", "hid", weight_norm),
    "Conv": Case("Conv(x, n = out, act = relu)", f"out = 3, {IMAGE}", "x[ch, row, col]", "out, row, col", lambda w, x: F.conv2d(x, w["K"], w["b"], padding=1).relu()),
    "Conv of 5": Case("Conv(x, n = out, size = 5)", f"out = 3, {IMAGE}", "x[ch, row, col]", "out, row, col", lambda w, x: F.conv2d(x, w["K"], w["b"], padding=2)),
    "ConvTo": Case("ConvTo(x, n = out, r = r, c = c, stride = 2, pad = 1)", f"out = 3, r = 3, c = 3, {IMAGE}", "x[ch, row, col]", "out, r, c", lambda w, x: F.conv2d(x, w["K"], w["b"], stride=2, padding=1)),
    "Pool": Case("Pool(x, r = r, c = c)", "ch = 4, row = 6, col = 8, r = 3, c = 4", "x[ch, row, col]", "ch, r, c", lambda w, x: F.max_pool2d(x, 2), rule=""),
    "MeanPool": Case("MeanPool(x, r = r, c = c, size = 3)", "ch = 4, row = 6, col = 9, r = 2, c = 3", "x[ch, row, col]", "ch, r, c", lambda w, x: F.avg_pool2d(x, 3), rule=""),
    "RNN": Case("RNN(x, n = hid)", "t = 4, pix = 7, hid = 5", "x[t, pix]", "t, hid", rnn),
    "GRU": Case("GRU(x, n = hid)", "t = 4, pix = 7, hid = 5", "x[t, pix]", "t, hid", gru),
    "LSTM": Case("LSTM(x, n = hid)", "t = 4, pix = 7, hid = 5", "x[t, pix]", "t, hid", lstm),
    "Attention": Case("Attention(x, heads = 2, causal = 1)", "t = 4, d = 6", "x[t, d]", "t, d", attention),
    "Attention both ways": Case("Attention(x, heads = 3)", "t = 4, d = 6", "x[t, d]", "t, d", lambda w, x: attention(w, x, 3, causal=False)),
    "TransformerBlock": Case("TransformerBlock(x, heads = 2, wide = 9, causal = 1)", "t = 4, d = 6", "x[t, d]", "t, d", block),
    "Residual": Case("Residual(x, inner = RMSNorm)", "t = 3, d = 5", "x[t, d]", "t, d", lambda w, x: x + F.rms_norm(x, (5,), w["inner.scale"], 1e-5), uses="RMSNorm"),
    "KWinners": Case("KWinners(x, k = 3)", "t = 3, d = 7", "x[t, d]", "t, d", lambda w, x: torch.where(x >= x.topk(3).values[..., -1:], x, 0.0), rule=""),
    "Dropout": Case("Dropout(x)", "t = 3, d = 7", "x[t, d]", "t, d", dropped, rule=""),
    "LogExp": Case("LogExp(x, n = hid)", "pix = 7, hid = 5", "x[pix]", "hid", lambda w, x: torch.exp(x.log() @ w["W"].T), positive=True),
    "Inhibitory": Case("Inhibitory(x, n = hid)", "pix = 7, hid = 5", "x[pix]", "hid", lambda w, x: F.linear(x, w["W"], w["b"]).relu(), rule="it.b : SGD(lr = 1); it.W : EG(lr = 1e-30)", fixed=("W",)),
    "Maxout": Case("Maxout(x, n = hid, pieces = 3)", "pix = 7, hid = 5", "x[pix]", "hid", lambda w, x: (torch.einsum("npi,bi->bnp", w["W"], x) + w["b"]).max(-1).values),
    "FastWeights": Case("FastWeights(x, n = hid, key = 3, decay = 0.9)", "t = 5, pix = 7, hid = 4", "x[t, pix]", "t, hid", fast_weights),
    "FeedbackDense": Case("FeedbackDense(x, n = hid)", "pix = 7, hid = 5", "x[pix]", "hid", lambda w, x: Feedback.apply(x, w["W"], w["B"]) + w["b"], fixed=("B",)),
}  # fmt: skip
BATCH = 6


def built(case: Case) -> tuple[Module, dict[str, Tensor]]:
    """The module in float64 with random weights, and a batch."""
    module = load_class(compile_spec(case.text(), "layer.dlt").source, "M")(seed=3, examples=10**30).double()
    g = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, p in module.named_parameters():
            p += 0 if name.removeprefix("it.") in case.fixed else 0.3 * torch.randn(p.shape, generator=g, dtype=p.dtype)
    (given,) = [i for i in module.INPUTS if i.name != "weight"]
    (weight,) = [i for i in module.INPUTS if i.name == "weight"]
    x = torch.randn(BATCH, *map(int, given.shape), generator=g, dtype=torch.float64)
    if case.labels:
        x = torch.randint(0, case.labels, x.shape, generator=g)
    r = torch.randn(BATCH, *map(int, weight.shape), generator=g, dtype=torch.float64)
    return module, {given.name: x.abs() + 0.1 if case.positive else x, "weight": r}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_what_torch_has(name: str) -> None:
    case = CASES[name]
    module, batch = built(case)
    module.eval()
    if name == "BatchNorm":
        module.train()
    key = next(k for k in batch if k != "weight")
    x, r = batch[key], batch["weight"]
    x.requires_grad_(x.is_floating_point())
    weights = {n.removeprefix("it."): p for n, p in module.named_parameters()}
    ours, theirs = module(**batch)["y"], case.like(weights, x)
    torch.testing.assert_close(ours, theirs, rtol=LAYERS, atol=LAYERS)
    moving = [p for p in [*weights.values(), x] if p.requires_grad]
    losses = [(out * r).sum((*range(1, out.dim()),)).mean() for out in (ours, theirs)]
    grads = [torch.autograd.grad(loss, moving, allow_unused=True) for loss in losses]
    for a, b in zip(*grads, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=LAYERS, atol=LAYERS)
    if not case.rule or any("dropout" in s for s in [case.call]):
        return
    before = {n: p.detach().clone() for n, p in weights.items()}
    module.step(**{k: v.detach() for k, v in batch.items()})
    found = dict(zip([id(p) for p in moving], grads[1], strict=True))
    for n, p in weights.items():
        if n not in case.fixed:
            torch.testing.assert_close(before[n] - p, found[id(p)], rtol=LAYERS, atol=LAYERS)


def test_every_standard_circuit_has_a_case() -> None:
    circuits = set(re.findall(r"^circuit (\w+)", STD.read_text(), flags=re.MULTILINE))
    assert circuits == {case.call.partition("(")[0] for case in CASES.values()} and len(circuits) > 20


def test_batch_norm_keeps_torch_s_running_statistics() -> None:
    """Two steps, then evaluation with what was kept."""
    case = CASES["BatchNorm"]
    module, batch = built(case)
    layer = nn.BatchNorm2d(4).double()
    x = batch["x"]
    for k in range(2):
        module.step(x=x + k, weight=0 * batch["weight"])
        layer(x + k)
    torch.testing.assert_close(module.state("it.running_mean"), layer.running_mean, rtol=LAYERS, atol=LAYERS)
    torch.testing.assert_close(module.state("it.running_var"), layer.running_var, rtol=LAYERS, atol=LAYERS)
    module.eval()
    scale, shift = module.state("it.scale"), module.state("it.shift")
    want = F.batch_norm(x, layer.running_mean, layer.running_var, scale, shift, False)
    torch.testing.assert_close(module(**batch)["y"], want, rtol=LAYERS, atol=LAYERS)


def test_a_causal_mask_leaks_nothing() -> None:
    """The gradient of a position with respect to every later input is exactly 0."""
    module, batch = built(CASES["TransformerBlock"])
    x = batch["x"].requires_grad_()
    y = module(**{**batch, "x": x})["y"]
    for t in range(y.shape[1]):
        (g,) = torch.autograd.grad(y[:, t].sum(), x, retain_graph=True)
        assert (g[:, t + 1 :] == 0).all() and (g[:, : t + 1] != 0).any()
