"""Sparse parameters in the graph: stored dense, 0 where nothing exists, with a mask beside them that is drawn once.

Everything reads the parameter through its mask, so its gradient lives on the support; an absent entry is a prior of
infinite precision at 0 (language, section 8): it has no density and no step moves it.
"""

from __future__ import annotations

from ..frontend.model import Model, Param, Support
from . import expr as e
from .construct import select
from .node import Node, Pool

INSIDE = 0.5
"""A number in every domain of single entries: what a density is asked at where its answer is thrown away."""


def block_axes(model: Model) -> dict[str, int]:
    """Axes whose labels are the blocks of a sparse parameter."""
    return {
        _block_axis(path, k): block.count
        for path, param in model.params.items()
        if param.support is not None
        for k, block in enumerate(param.support.blocks)
    }


def _block_axis(path: str, k: int) -> str:
    return f"{path}@block{k}"


def present(pool: Pool, param: Param) -> Node:
    """Whether each entry exists."""
    return e.ne(pool, e.state(pool, f"{param.tensor.name}@mask", param.tensor.leaves), 0)


def held(pool: Pool, param: Param, x: Node, outside: float = 0.0) -> Node:
    """x where entries exist, else ``outside``; x itself if all do."""
    return x if param.support is None else select(pool, present(pool, param), x, outside)


def read_through_mask(node: Node) -> Node | None:
    """The stored parameter that a node reads through its mask, as :func:`held` makes it; None for any other node."""
    if node.op != "where" or node.inputs[1].op != "param" or node.inputs[2].op != "const":
        return None
    condition, stored, outside = node.inputs
    states = {x.attr("path") for x in condition.inputs if x.op == "state"} if condition.op == "ne" else set[str]()
    return stored if states == {f"{stored.attr('path')}@mask"} and outside.attr("value") == 0 else None


def mask(pool: Pool, param: Param, support: Support, condition: Node | None) -> Node:
    """The mask as it starts: 1 where the condition holds, or at the chosen ones of keyed draws."""
    if condition is None:
        condition = _chosen(pool, param, support)
    leaves = param.tensor.leaves
    whole = e.contract(pool, [e.add(pool, 1, e.mul(pool, 0, e.label(pool, leaf))) for leaf in leaves], ())
    return e.real(pool, e.where(pool, condition, whole, 0))


def _chosen(pool: Pool, param: Param, support: Support) -> Node:
    """The first ``count`` in the order of uniform draws, which makes every choice equally likely."""
    path = param.tensor.name
    cut = {leaf for block in support.blocks for leaf in block.leaves}
    grid = [_block_axis(path, k) for k in range(len(support.blocks))]
    axes = [leaf for leaf in param.tensor.leaves if leaf not in cut] + grid
    draws = e.sample(pool, "uniform", f"{path}@mask", axes)
    chosen = e.lt(pool, e.rank(pool, draws, (*support.among, *grid)), support.count)
    for axis, block in zip(grid, support.blocks, strict=True):
        chosen = e.gather(pool, chosen, e.floordiv(pool, e.position(pool, block.leaves), block.side), axis)
    return chosen
