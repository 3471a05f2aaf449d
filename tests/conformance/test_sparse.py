"""`sparse`: which entries exist, that nothing else moves, and that training is that of a network with a mask by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tolerances import TRAINING
from torch import Tensor

import dltc
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.loader import load_class
from dltc.runtime.module import Module

NET = """dlt 1
model Net {
  axis pix = 10, hid = 12, cls = 3
  input x[pix]
  input y: cls
  param W[hid, pix] ~ Normal(0, var = 1/2) LAYOUT
  param V[cls, hid] ~ Normal(0, var = 1/hid)
  h[hid] = tanh(W[hid, pix] * x[pix])
  s[cls] = V[cls, hid] * h[hid]
  y ~ Categorical(logits = s)
  learn { W, V : Adam(lr = 0.01) }
}
"""


def built(text: str, seed: int = 3) -> Module:
    return load_class(compile_spec(text, "sparse.dlt").source, "Net")(seed=seed, examples=50).double()


def net(layout: str) -> Module:
    return built(NET.replace("LAYOUT", f"sparse {layout}"))


def mask(module: Module, path: str = "W") -> NDArray[np.bool_]:
    """The support, after a check that it is where the parameter is not 0."""
    held = module.state(f"{path}@mask").numpy()
    assert set(np.unique(held)) <= {0.0, 1.0}
    assert ((module.state(path).detach().numpy() != 0) == (held == 1)).all()
    return held == 1


def rows(seed: int = 0, n: int = 7) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 10, generator=g, dtype=torch.float64)
    return {"x": x, "y": torch.randint(0, 3, (n,), generator=g)}


def normal(x: Tensor, variance: float) -> Tensor:
    """Log density of each entry."""
    return -x * x / (2 * variance) - 0.5 * np.log(2 * np.pi * variance)


def test_fan_in_is_the_same_for_every_unit() -> None:
    """Any set of inputs is as likely as any other: over 400 draws each input is chosen about as often."""
    found = mask(net("fan_in(2)"))
    assert (found.sum(1) == 2).all() and len({tuple(row) for row in found}) > 4
    assert (mask(net("fan_in(3, over = hid)")).sum(0) == 3).all()
    often = sum(mask(built(NET.replace("LAYOUT", "sparse fan_in(2)"), seed=s)).sum(0) for s in range(34))
    assert (abs(often - 34 * 12 / 5) < 4 * np.sqrt(34 * 12 * 0.2 * 0.8)).all()  # four standard deviations


@pytest.mark.parametrize(("layout", "count"), [("density(0.05)", 6), ("density(1)", 120), ("density(1e-9)", 1)])
def test_density_is_exact(layout: str, count: int) -> None:
    """Of 120 entries; at least one is left."""
    assert mask(net(layout)).sum() == count


def test_blocks_are_whole() -> None:
    """Every block exists or does not; the last ones are cut by the ends of the axes."""
    found = mask(net("block(5, 4, density = 0.5)"))
    tiles = [found[i : i + 5, j : j + 4] for i in range(0, 12, 5) for j in range(0, 10, 4)]
    assert all(tile.all() or not tile.any() for tile in tiles)
    assert sum(tile.all() for tile in tiles) == 4  # half of 3 x 3, rounded to even
    square = mask(net("block(3, density = 0.25)"))
    assert square.sum() <= 4 * 9 and square[:3, :3].all() in (True, False)


def test_a_condition_reads_labels_and_random_choices() -> None:
    """Bands, and wiring drawn elsewhere."""
    i, j = np.indices((12, 10))
    assert (mask(net("where abs(hid - pix) < 2")) == (abs(i - j) < 2)).all()
    wired = NET.replace("LAYOUT", "sparse where T[hid] == pix").replace(
        "  h[hid]", "  param T[hid]: pix ~ Categorical(p = 1/pix) frozen\n  h[hid]"
    )
    module = built(wired)
    assert (mask(module) == (module.state("T").numpy()[:, None] == j)).all()


@pytest.mark.parametrize("layout", ["fan_in(2)", "density(0.2)", "block(4, density = 0.3)", "where abs(hid - pix) < 2"])
def test_training_is_that_of_a_mask_by_hand(layout: str) -> None:
    """Forty steps of Adam on ``W * mask``, the prior of present entries alone; absent ones stay 0."""
    module = net(layout)
    held = torch.from_numpy(mask(module)).double()
    w, v = (module.state(p).detach().clone().requires_grad_() for p in "WV")
    theirs = torch.optim.Adam([w, v], lr=0.01)
    for k in range(40):
        batch = rows(k)
        logits = torch.tanh(batch["x"] @ (w * held).T) @ v.T
        nll = torch.nn.functional.cross_entropy(logits, batch["y"])
        loss = nll - ((normal(w, 1 / 2) * held).sum() + normal(v, 1 / 12).sum()) / 50
        theirs.zero_grad()
        loss.backward()
        theirs.step()
        report = module.step(**batch)
        torch.testing.assert_close(report["objective"], loss.detach(), rtol=TRAINING, atol=TRAINING)
    torch.testing.assert_close(module.state("W").detach(), (w * held).detach(), rtol=TRAINING, atol=TRAINING)
    torch.testing.assert_close(module.state("V").detach(), v.detach(), rtol=TRAINING, atol=TRAINING)
    assert (torch.from_numpy(mask(module)) == (held == 1)).all()


def test_other_optimizers_cannot_revive_absent_entries() -> None:
    """The module reads its parameter through the mask: autograd sees no slope outside, values there have no effect."""
    module, batch = net("fan_in(2)"), rows()
    outside = torch.from_numpy(~mask(module))
    (-module.log_prob(**batch).mean()).backward()
    weight = module.get_parameter("W")
    assert weight.grad is not None and (weight.grad[outside] == 0).all() and (weight.grad[~outside] != 0).any()
    before = module(**batch)["s"]
    with torch.no_grad():
        weight[outside] = 7.0
    assert torch.equal(module(**batch)["s"], before)


def test_exponentiated_updates_of_sparse_weights() -> None:
    """A positive parameter: 0 is outside its domain, and absent entries are 0; present ones stay positive."""
    text = NET.replace("W[hid, pix] ~ Normal(0, var = 1/2)", "W[hid, pix] in positive ~ LogNormal(-1, std = 0.5)")
    text = text.replace("learn { W, V : Adam(lr = 0.01) }", "learn { V : Adam(lr = 0.01); W : EG(lr = 0.1) }")
    module = built(text.replace("LAYOUT", "sparse fan_in(3)"))
    start = module.state("W").detach().clone()
    for k in range(20):
        assert np.isfinite(float(module.step(**rows(k))["objective"]))
    found = mask(module)
    assert (found.sum(1) == 3).all() and (module.state("W").detach().numpy()[found] > 0).all()
    assert not torch.equal(module.state("W"), start)


def test_members_of_a_family_choose_by_themselves() -> None:
    """`fan_in` counts inputs of a unit, not labels of the family."""
    text = """dlt 1
circuit Layer(n: axis) {
  input x[i]
  param W[n, i] ~ Normal(0, var = 1/3) sparse fan_in(3)
  output y[n] = tanh(W * x)
}
model Net {
  axis pix = 10, hid = 12, member = 4
  input x[pix]
  s[member, hid] = Layer[member](x, n = hid) as layer
  learn { * : Adam() }
}
"""
    found = mask(built(text), "layer.W")
    assert found.shape == (4, 12, 10) and (found.sum(2) == 3).all()
    assert len({member.tobytes() for member in found}) == 4


def test_replicas_have_supports_of_their_own(tmp_path: Path) -> None:
    """Replica r's is that of the run with seed S + r; a run's support does not change in training."""
    data = "  data from mixture(n = 60, dim = 10, k = 3) { x = x; y = component }\n"
    text = NET.replace("LAYOUT", "sparse density(0.3)").rstrip().removesuffix("}") + data
    masks: list[NDArray[np.bool_]] = []
    for setting in ("seed 5; seeds 2", "seed 5", "seed 6"):
        spec = tmp_path / f"{len(masks)}.dlt"
        spec.write_text(f"{text}  train {{ batch 20; epochs 1; dtype float64; {setting} }}\n}}\n")
        masks.append(mask(dltc.train(spec, tmp_path / f"run{len(masks)}").model))
    assert (masks[0] == np.stack(masks[1:])).all() and (masks[1] != masks[2]).any()
