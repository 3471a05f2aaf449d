"""The meaning of a graph: a float64 interpreter in NumPy, to which every pass, target and derived rule is held.

It imports nothing from the other stages.  Values are held by name of axis, batch first and then in alphabetical order;
inf and NaN are legal values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .labeled import DTYPES, Array, Labeled, canonical
from .meanings import ELEMENTWISE, LEAVES, Context, Env, Meaning, Numbers, example_axes
from .meanings_axes import OVER_AXES
from .node import Graph, Node, base

__all__ = ["MEANINGS", "Env", "Labeled", "evaluate", "interpret"]

Results = tuple[Labeled, ...]
"""All results of a node: one, but for scans."""

MEANINGS: dict[str, Meaning] = {**LEAVES, **ELEMENTWISE, **OVER_AXES}
"""Every op but ``scan`` and ``result``, which are evaluated here."""


def _total(arrays: Sequence[Array]) -> Array:
    return np.sum(arrays, axis=0)


def _position(entry: Array, among: Sequence[int]) -> int:
    return int(entry)


FLOATS = Numbers(MEANINGS, DTYPES, _total, _position)


def interpret(graph: Graph, env: Env) -> dict[str, Labeled]:
    """The values of the roots.

    Raises:
        ValueError: a leaf has no value or another shape than declared, a size is not known, an index leaves its axis.
    """
    values = evaluate(graph, env)
    return {name: values[node][0] for name, node in graph.roots.items()}


def evaluate(
    graph: Graph,
    env: Env,
    numbers: Numbers = FLOATS,
    *,
    known: Mapping[bytes, Results] | None = None,
    holes: Mapping[str, Labeled] | None = None,
) -> dict[Node, Results]:
    """The values of all nodes.

    Args:
        graph: what to evaluate.
        env: on what.
        numbers: in which numbers.
        known: values by digest, found in the same environment before.
        holes: values of the holes, where the graph is the body of a scan.

    Raises:
        ValueError: see :func:`interpret`.
    """
    order = graph.topological()
    ctx = Context(graph.pool, env, _sizes(order, env), holes or {}, numbers)
    with np.errstate(all="ignore"):
        return _evaluate(order, ctx, known or {})


def _sizes(order: Sequence[Node], env: Env) -> dict[str, int]:
    """Sizes of the axes bound from data: those given, and those that the arrays given for leaves show.

    Raises:
        ValueError: two of them disagree.
    """
    sizes: dict[str, int] = dict(env.sizes)
    sources: dict[str, tuple[str, Mapping[str, Any]]] = {
        "input": ("name", env.inputs),
        "param": ("path", env.params),
        "state": ("path", env.states),
        "sample": ("path", env.samples),
    }
    for node in order:
        if node.op not in sources:
            continue
        key, values = sources[node.op]
        axes: tuple[str, ...] = example_axes(node) if node.op == "input" else node.attr("axes")
        shape = np.shape(values[node.attr(key)]) if node.attr(key) in values else ()
        for axis, n in zip(axes, shape, strict=False):
            if sizes.setdefault(base(axis), n) != n:
                raise ValueError(f"`{node.attr(key)}`: `{axis}` has size {n}, elsewhere {sizes[base(axis)]}")
    return sizes


def _evaluate(order: Sequence[Node], ctx: Context, known: Mapping[bytes, Results]) -> dict[Node, Results]:
    """All results of every node, each with exactly the axes and the dtype of its type."""
    values: dict[Node, Results] = {}
    for node in order:
        if node.digest in known:
            values[node] = known[node.digest]
        elif node.op == "scan":
            values[node] = _scan(node, [values[x][0] for x in node.inputs], ctx)
        elif node.op == "result":
            values[node] = (values[node.inputs[0]][node.attr("k")],)
        else:
            value = ctx.numbers.meanings[node.op](ctx, node, [values[x][0] for x in node.inputs])
            values[node] = (_settled(value, node.axes, node.dtype, ctx),)
    return values


def _settled(value: Labeled, axes: frozenset[str], dtype: str, ctx: Context) -> Labeled:
    order = canonical(axes)
    return Labeled(order, np.array(value.expand(order, ctx.shape(order)), dtype=ctx.numbers.dtypes[dtype]))


def _scan(node: Node, inputs: list[Labeled], ctx: Context) -> Results:
    """The body once per label; see the row in :mod:`.ops` for the bindings."""
    body: Graph = node.attr("body")
    axis, order, roots = node.attr("axis"), body.topological(), list(body.roots.values())
    length = ctx.size(axis)
    direction = -1 if node.attr("reverse") else 1
    done: list[dict[int, Labeled]] = [{} for _ in roots]

    def bound(position: int, kind: str, rest: Sequence[int]) -> Labeled:
        if kind == "const":
            return inputs[rest[0]]
        if kind == "each":
            return inputs[rest[0]].take(axis, position)
        if kind == "past":
            k, lag, start = rest
            return done[k].get(position - direction * lag, inputs[start].take(axis, position))
        labels = list(range(length))
        earlier = {p: labels[:p] if (direction > 0) == (kind == "at") else labels[p + 1 :] for p in labels}
        at = [ctx.numbers.position(inputs[rest[1]].take(axis, p).data, earlier[p]) for p in labels]
        if kind == "at":
            return done[rest[0]][at[position]] if at[position] >= 0 else inputs[rest[2]].take(axis, position)
        axes = canonical(frozenset(roots[rest[0]].axes))
        made = [v.expand(axes, ctx.shape(axes)) for p, v in done[rest[0]].items() if at[p] == position]
        return Labeled(axes, ctx.numbers.total([np.zeros(ctx.shape(axes), ctx.numbers.dtypes["real"]), *made]))

    for position in range(length)[::direction]:
        holes: dict[str, Labeled] = {}
        for kind, name, *rest in node.attr("bind"):
            holes[name] = bound(position, kind, rest)
        values = _evaluate(order, replace(ctx, holes=holes), {})
        for k, root in enumerate(roots):
            done[k][position] = values[root][0]
    return tuple(
        _settled(_stacked([row[p] for p in range(length)], axis, ctx), t.axes, t.dtype, ctx)
        for row, t in zip(done, node.results, strict=True)
    )


def _stacked(values: Sequence[Labeled], axis: str, ctx: Context) -> Labeled:
    """Values of single labels, put along a last axis."""
    axes = canonical({a for v in values for a in v.axes})
    return Labeled((*axes, axis), np.stack([v.expand(axes, ctx.shape(axes)) for v in values], axis=-1))
