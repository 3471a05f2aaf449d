"""Latents in the circuit graph: a hole for each, and what the ways to find them need of its densities.

How a hole is filled is derived (``derive/latents.py``).  Roots ``latent NAME/PART``::

    draw     a draw from the prior (`Sample`), or from the guide
    log q    the guide's log density at the draw        kl      its divergence from the prior, where that has a form
    start    where a search begins                      m, rate the centre and the rate of a Laplace or Exponential prior
    elsewhere AXIS DIGEST   the position along an axis at which a discrete latent is read
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from ..diagnostics import Span
from ..frontend.model import Dist, Inference, Latent, Model, Term
from . import expr as e
from .densities import Shape, log_density
from .draws import draw
from .node import BATCH, Node, Pool

STEPS = "infer"
"""The axis that a search runs along: a reserved word, so no axis of a model."""

TRUTH = "bool"
"""The axis of the two truth values, where a bool is summed out."""

Parts = dict[str, tuple[Span, Callable[[], Node]]]
Args = Callable[[Dist], Mapping[str, Node]]


class NotEnumerable(Exception):
    """A latent cannot be summed out: why, in the words of the language."""

    def __init__(self, latent: Latent, reason: str) -> None:
        super().__init__(reason)
        self.latent, self.reason = latent, reason


def flat_axis(latent: Latent) -> str:
    """The axis of all entries of a latent, where several of its axes are one."""
    return f"{latent.tensor.name}@flat"


def own_axes(model: Model) -> dict[str, int]:
    """Axes that only inference has."""
    flat: dict[str, int] = {}
    for latent in model.latents.values():
        sizes = [model.axes[leaf.rstrip("'")].size for leaf in latent.tensor.leaves]
        if len(sizes) > 1 and not latent.discrete:
            flat[flat_axis(latent)] = prod(size or 0 for size in sizes)
    steps = [x.inference.steps for x in model.latents.values() if x.inference is not None and x.inference.steps]
    bools = any(x.tensor.dtype == "bool" for x in model.latents.values())
    own = ({STEPS: max(steps)} if steps else {}) | ({TRUTH: 2} if bools else {})
    return own | {name: size for name, size in flat.items() if size}


def latent_hole(pool: Pool, latent: Latent) -> Node:
    """What stands for a latent until it is known how it is found."""
    return e.hole(pool, f"latent {latent.tensor.name}", (BATCH, *latent.tensor.leaves), latent.tensor.dtype)


def elsewhere_hole(pool: Pool, latent: Latent, digest: str) -> Node:
    """What stands for a discrete latent read at another label of one of its axes; ``digest`` is that of the position."""
    axes = (BATCH, *latent.tensor.leaves)
    return e.hole(pool, f"latent {latent.tensor.name}@{digest}", axes, latent.tensor.dtype)


def posterior_hole(pool: Pool, model: Model, latent: Latent) -> Node:
    """What stands for the posterior of a discrete latent, over its axes and its labels."""
    labels = (TRUTH,) if latent.tensor.label is None else model.axes[latent.tensor.label].leaves
    return e.hole(pool, f"posterior {latent.tensor.name}", (BATCH, *latent.tensor.leaves, *labels))


def latent_parts(
    pool: Pool, latent: Latent, how: Inference, prior: Term, args: Args, weight: Node | None, hole: Node
) -> Parts:
    """The parts that this way to find a latent needs, by name.

    Args:
        args: builds a distribution's arguments.
        weight: the power of the prior's density.
        hole: what stands for the latent.
    """
    name, axes = latent.tensor.name, (BATCH, *latent.tensor.leaves)
    dist, path = prior.dist, f"latent/{name}"
    shape = Shape(dist.classes, dist.over)
    if how.how == "guide" and how.guide is not None:
        guide = how.guide
        over = Shape(guide.classes, guide.over)
        parts: Parts = {
            "draw": (how.span, lambda: draw(pool, guide.name, path, axes, args(guide), over, latent.domain)),
            "log q": (how.span, lambda: _summed(pool, log_density(pool, guide.name, hole, args(guide), over))),
        }
        if (guide.name, dist.name) in DIVERGENCE and weight is None:
            kl = DIVERGENCE[guide.name, dist.name]
            parts["kl"] = (how.span, lambda: _everywhere(pool, kl(pool, args(guide), args(dist)), latent))
        return parts
    if how.how == "sample":
        return {"draw": (how.span, lambda: draw(pool, dist.name, path, axes, args(dist), shape, latent.domain))}
    if not how.steps:
        return {}
    parts = {"start": (how.span, lambda: _start(pool, latent, how, args(dist)))}
    if how.how in ("ista", "fista"):
        parts["m"] = (how.span, lambda: args(dist).get("m") or e.const(pool, 0.0))
        parts["rate"] = (how.span, lambda: _rate(pool, args(dist), weight))
    return parts


def _summed(pool: Pool, node: Node) -> Node:
    return e.reduce_sum(pool, node, node.axes - {BATCH})


def _everywhere(pool: Pool, node: Node, latent: Latent) -> Node:
    """Summed over the latent's entries, those along which it is constant too."""
    return e.reduce_sum(pool, node, frozenset(latent.tensor.leaves) | (node.axes - {BATCH}))


def _rate(pool: Pool, args: Mapping[str, Node], weight: Node | None) -> Node:
    rate = args["rate"] if "rate" in args else e.recip(pool, args["scale"])
    return rate if weight is None else e.mul(pool, weight, rate)


def _start(pool: Pool, latent: Latent, how: Inference, args: Mapping[str, Node]) -> Node:
    """Where a search begins: the prior's centre on the real line, else a plain point of the domain."""
    over = [leaf for leaves in latent.domain_axes for leaf in leaves]
    match latent.domain:
        case "positive":
            return e.const(pool, 0.0 if how.how in ("ista", "fista") else 1.0)
        case "unit":
            return e.const(pool, 0.5)
        case "simplex":
            return e.recip(pool, e.real(pool, e.size(pool, *over)))
        case "real":
            return args.get("mean") or args.get("m") or e.const(pool, 0.0)
        case _:
            return e.const(pool, 1.0)


# ---------------------------------------------------------------- divergences of guides from priors, in closed form


def _variance(pool: Pool, a: Mapping[str, Node]) -> Node:
    if "precision" in a:
        return e.recip(pool, a["precision"])
    return e.pow(pool, a["std"], 2) if "std" in a else a["var"]


def _normal_normal(pool: Pool, q: Mapping[str, Node], p: Mapping[str, Node]) -> Node:
    """(v + (m - mean)^2) / (2 var) - 1/2 - log(v / var) / 2 (Kingma and Welling 2014, appendix B, for any prior)."""
    v, var = _variance(pool, q), _variance(pool, p)
    square = e.pow(pool, e.sub(pool, q["mean"], p["mean"]), 2)
    ratio = e.div(pool, e.add(pool, v, square), e.mul(pool, 2.0, var))
    logs = e.mul(pool, 0.5, e.sub(pool, e.log(pool, v), e.log(pool, var)))
    return e.sub(pool, e.sub(pool, ratio, 0.5), logs)


def _log_normal(pool: Pool, q: Mapping[str, Node], p: Mapping[str, Node]) -> Node:
    """That of the logarithms."""
    return _normal_normal(pool, {"mean": q["m"], "std": q["std"]}, {"mean": p["m"], "std": p["std"]})


DIVERGENCE: dict[tuple[str, str], Callable[[Pool, Mapping[str, Node], Mapping[str, Node]], Node]] = {
    ("Normal", "Normal"): _normal_normal,
    ("LogNormal", "LogNormal"): _log_normal,
}
"""KL(guide || prior) per entry."""
