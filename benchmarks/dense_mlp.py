"""Dense MLP 784-1024-1024-10, batch 128: one training step, ours beside what people write by hand.

    python benchmarks/dense_mlp.py [--no-compile]

Peers in the same run: eager torch with the default, fused and foreach optimizers, torch.compile of the model and of
model and optimizer, and JAX when it is installed.  Before any time is printed, one step of every torch variant from the
same start is compared with ours.  SGD is to be within 10 % of the best peer; Adam's ratio is recorded.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from timing import compare, machine, table
from torch import nn

import dltc

SIZES = (784, 1024, 1024, 10)
BATCH = 128
RATE = {"SGD": 1e-3, "Adam": 1e-4}

SPEC = """dlt 1
model Mlp {{
  axis pix = 784, one = 1024, two = 1024, cls = 10
  input x[pix]
  input y: cls
  param W[one, pix] ~ Flat() init Normal(0, var = 1/pix)
  param a[one]      ~ Flat() init 0
  param U[two, one] ~ Flat() init Normal(0, var = 1/one)
  param b[two]      ~ Flat() init 0
  param V[cls, two] ~ Flat() init Normal(0, var = 1/two)
  param c[cls]      ~ Flat() init 0
  g[one] = relu(W * x + a)
  h[two] = relu(U * g + b)
  s[cls] = V * h + c
  y ~ Categorical(logits = s)
  learn {{ * : {rule}(lr = {rate}) }}
}}
"""


def ours(rule: str, x: torch.Tensor, y: torch.Tensor) -> tuple[Callable[[], object], list[torch.Tensor]]:
    """Our generated step, and the live parameters."""
    program = dltc.compile(text=SPEC.format(rule=rule, rate=RATE[rule]))
    model = program.load(seed=0, dtype=torch.float32, examples=60000)
    return (lambda: model.step(x=x, y=y)), [p.data for _, p in model.named_parameters()]


def peer(
    rule: str, start: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor, *, compiled: str = "", **options: bool
) -> tuple[Callable[[], object], list[torch.Tensor]]:
    """A hand-written torch step from the same start."""
    model = nn.Sequential(*(m for i, o in pairwise(SIZES) for m in (nn.Linear(i, o), nn.ReLU())))[:-1]
    for parameter, value in zip(model.parameters(), start, strict=True):
        parameter.data.copy_(value)
    optimizer = getattr(torch.optim, rule)(model.parameters(), lr=RATE[rule], **options)
    forward = torch.compile(model) if compiled else model
    update = torch.compile(optimizer.step) if compiled == "all" else optimizer.step

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward(x), y)
        loss.backward()
        update()
        return loss

    return step, [p.data for p in model.parameters()]


def jax_step(rule: str, start: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> Callable[[], object] | None:
    """The same step in JAX (jit, donated buffers), if JAX is installed."""
    if importlib.util.find_spec("jax") is None:
        return None
    import jax
    import jax.numpy as jnp

    data, labels = jnp.asarray(x.numpy()), jnp.asarray(y.numpy())
    params = [jnp.asarray(p.numpy().T if p.dim() == 2 else p.numpy()) for p in start]

    def loss(p: list[jax.Array]) -> jax.Array:
        z = data
        for k in range(0, 6, 2):
            z = z @ p[k] + p[k + 1]
            z = jax.nn.relu(z) if k < 4 else z
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), labels[:, None], 1))

    def update(state: tuple) -> tuple:
        p, m, v, t = state
        g = jax.grad(loss)(p)
        if rule == "SGD":
            return [a - RATE[rule] * b for a, b in zip(p, g, strict=True)], m, v, t
        t = t + 1
        m = [0.9 * a + 0.1 * b for a, b in zip(m, g, strict=True)]
        v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g, strict=True)]
        new = [
            a - RATE[rule] * (b / (1 - 0.9**t)) / (jnp.sqrt(c / (1 - 0.999**t)) + 1e-8)
            for a, b, c in zip(p, m, v, strict=True)
        ]
        return new, m, v, t

    jitted = jax.jit(update, donate_argnums=0)
    holder = {
        "state": (params, [jnp.zeros_like(p) for p in params], [jnp.zeros_like(p) for p in params], jnp.zeros(()))
    }

    def step() -> None:
        holder["state"] = jitted(holder["state"])
        jax.block_until_ready(holder["state"])

    return step


def _difference(a: torch.Tensor, b: torch.Tensor, start: torch.Tensor) -> float:
    """Relative difference of two updates from the same start, in the Frobenius norm (Adam's first step is a sign, so
    single entries whose gradient is rounding may differ)."""
    return float((a - b).norm() / (b - start).norm().clamp_min(1e-30))


def run(rule: str, compile_too: bool) -> None:
    """Compare outputs after one step, then times."""
    torch.manual_seed(0)
    x, y = torch.randn(BATCH, SIZES[0]), torch.randint(0, SIZES[-1], (BATCH,))
    step, parameters = ours(rule, x, y)
    start = [p.clone() for p in parameters]
    step()
    after = [p.clone() for p in parameters]
    peers = {
        "eager": peer(rule, start, x, y, foreach=False),
        "eager foreach": peer(rule, start, x, y, foreach=True),
        "eager fused": peer(rule, start, x, y, fused=True),
    }
    if compile_too:
        peers["torch.compile model"] = peer(rule, start, x, y, compiled="model", fused=True)
        peers["torch.compile all"] = peer(rule, start, x, y, compiled="all", foreach=True)
    for name, (other, values) in peers.items():
        other()
        worst = max(_difference(a, b, s) for a, b, s in zip(values, after, start, strict=True))
        print(f"{rule}: {name}: first update differs from ours by {worst:.1e} of its size")
        assert worst < 2e-3, (name, worst)  # float32: an update is a thousandth of the weight it is added to
    variants = {"dltc": step, **{name: fn for name, (fn, _) in peers.items()}}
    jax = jax_step(rule, start, x, y)
    if jax is not None:
        variants["JAX jit"] = jax
    else:
        print("JAX is not installed: not measured")
    print(table(f"{rule}, dense MLP {'-'.join(map(str, SIZES))}, batch {BATCH}", compare(variants), "dltc"))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "--no-compile", action="store_true", help="leave torch.compile out (it takes a minute to compile)"
    )
    options = arguments.parse_args()
    torch.set_num_threads(2)
    print(f"{machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in ("SGD", "Adam"):
        run(name, not options.no_compile)
