"""Recurrences opened and closed: a scan's body written over the whole axis, and back.

A scan runs a small graph once per label of its axis (see its row in :mod:`.ops`).  Rewrites do not want to know: they
see the *open form*, in which everything that does not depend on an earlier label stands over the whole axis, as if the
recurrence were an equation like any other, and what was computed at earlier labels is a hole without the axis.

    h[t] = tanh(A h[t-1] + B x[t])      open:    tanh(contract(A, hole) + contract(B, x))        axes {t, hid}
                                        closed:  the body reads ``contract(B, x)`` at t: computed once for all labels

:func:`closed` cuts an open form where it first meets a hole: whatever lies below is computed outside, for all labels at
once, and fed in.  So loop-invariant code is outside by construction, in gradients too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..diagnostics import InternalError
from . import expr as e
from .node import Graph, Node, Pool, below

Visit = Callable[[Node, tuple[Node, ...]], Node]


@dataclass(frozen=True, slots=True)
class Past:
    """What a hole stands for: result ``k``, ``lag`` labels before (after, in a backward recurrence), ``start`` outside."""

    k: int
    lag: int
    start: Node


@dataclass(frozen=True, slots=True)
class At:
    """What a hole stands for: result ``k`` at an earlier label, position ``index`` (over the axis); ``start`` below 0."""

    k: int
    index: Node
    start: Node


@dataclass(frozen=True, slots=True)
class Readers:
    """What a hole of a backward recurrence stands for: the sum of result ``k`` over the labels whose ``index`` is this
    one.  It is what :class:`At` becomes in reverse mode."""

    k: int
    index: Node


Link = Past | At | Readers


@dataclass(frozen=True, slots=True)
class Open:
    """A recurrence over ``axis`` in open form: its results by name, and the holes among what they read."""

    axis: str
    reverse: bool
    roots: dict[str, Node]
    past: dict[Node, Link]


_INSIDE = frozenset({"const", "size"})
"""Leaves that cost nothing: they stay in the body instead of being fed to it."""


def bindings(scan: Node) -> list[tuple[str, str, tuple[int, ...]]]:
    """What each hole of a scan is bound to: kind, hole and numbers (see the op's row)."""
    return [(row[0], row[1], tuple(row[2:])) for row in scan.attr("bind")]


def opened(pool: Pool, scan: Node, inputs: Sequence[Node] | None = None, visit: Visit | None = None) -> Open:
    """The open form of a scan, over other inputs if given; ``visit`` makes each node of the body anew."""
    inputs = scan.inputs if inputs is None else inputs
    visit = visit or (lambda node, new: remake(pool, node, new))
    body: Graph = scan.attr("body")
    names = list(body.roots)
    held: dict[str, Node] = {n.attr("name"): n for n in body.topological() if n.op == "hole"}
    replaced: dict[Node, Node] = {}
    past: dict[Node, Link] = {}
    for kind, name, rest in bindings(scan):
        if name not in held:
            continue
        if kind in ("const", "each"):
            replaced[held[name]] = inputs[rest[0]]
        elif kind == "past":
            past[held[name]] = Past(rest[0], rest[1], inputs[rest[2]])
        elif kind == "at":
            past[held[name]] = At(rest[0], inputs[rest[1]], inputs[rest[2]])
        elif kind == "readers":
            past[held[name]] = Readers(rest[0], inputs[rest[1]])
        else:
            raise InternalError(f"a scan's `{kind}` has no open form")
    made = body.rewrite(lambda node, new: replaced.get(node) or (node if node.op == "hole" else visit(node, new)))
    return Open(scan.attr("axis"), scan.attr("reverse"), {name: made.roots[name] for name in names}, past)


def closed(pool: Pool, form: Open) -> dict[str, Node]:
    """The results of a recurrence by name, each over its root's indices and the axis.

    Raises:
        InternalError: something in the loop works over the axis itself.
    """
    return _Close(pool, _widened(pool, form)).run()


def remake(pool: Pool, node: Node, inputs: Sequence[Node]) -> Node:
    """Like :func:`.expr.remake`, but for a scan too whose inputs have got axes that they did not have."""
    if node.op != "scan" or tuple(inputs) == node.inputs:
        return e.remake(pool, node, inputs)
    return next(iter(closed(pool, opened(pool, node, inputs)).values())).inputs[0]


def _widened(pool: Pool, form: Open) -> Open:
    """The form with every hole over all that it is bound to: what is fed back may have axes, once its start or anything
    else that it reads does, so the holes grow until none has to."""
    while True:
        roots = list(form.roots.values())
        wider: dict[Node, Node] = {}
        for hole, link in form.past.items():
            needed = roots[link.k].axes | (frozenset[str]() if isinstance(link, Readers) else link.start.axes)
            if not needed - {form.axis} <= hole.axes:
                axes = e.in_order(pool, (needed | hole.axes) - {form.axis})
                wider[hole] = e.hole(pool, hole.attr("name"), axes, hole.dtype)
        if not wider:
            return form
        form = _renamed(pool, form, wider)


def _renamed(pool: Pool, form: Open, new: Mapping[Node, Node]) -> Open:
    """The form over other holes."""
    for hole, other in new.items():
        pool.inherit(other, hole)
    made = Graph(pool, form.roots).rewrite(lambda n, inputs: new.get(n) or remake(pool, n, inputs))
    return Open(form.axis, form.reverse, made.roots, {new.get(h, h): link for h, link in form.past.items()})


class _Close:
    """Cuts one open form into inputs and body."""

    def __init__(self, pool: Pool, form: Open) -> None:
        self.pool = pool
        self.form = form
        self.inputs: list[Node] = []
        self.bind: list[tuple[str | int, ...]] = []
        self.new: dict[Node, Node] = {}

    def run(self) -> dict[str, Node]:
        """Make the scan."""
        form, pool = self.form, self.pool
        order = below(form.roots.values())
        inside = set(form.past)
        inside.update(self._dependent(order))
        for node in order:
            if node in form.past:
                self.new[node] = node
            elif node in inside:
                with pool.origin(pool.origins(node)):
                    made = self._inside(node, tuple(self._operand(x) for x in node.inputs))
                self.new[node] = pool.inherit(made, node)
        roots = {name: self._operand(node) for name, node in form.roots.items()}
        for hole, past in form.past.items():
            self.bind.append(self._link(hole.attr("name"), past))
        results = e.scan(pool, self.inputs, roots, self.bind, form.axis, reverse=form.reverse)
        made = dict(zip(roots, results, strict=True))
        for name, result in made.items():
            pool.inherit(result, form.roots[name])
            pool.inherit(result.inputs[0], form.roots[name])
        return made

    def _link(self, name: str, link: Link) -> tuple[str | int, ...]:
        match link:
            case Past():
                return ("past", name, link.k, link.lag, self._input(link.start))
            case At():
                return ("at", name, link.k, self._input(link.index), self._input(link.start))
            case Readers():
                return ("readers", name, link.k, self._input(link.index))

    def _dependent(self, order: Sequence[Node]) -> list[Node]:
        """What depends on an earlier label."""
        found: set[Node] = set(self.form.past)
        for node in order:
            if any(x in found for x in node.inputs):
                found.add(node)
        return [n for n in order if n in found]

    def _operand(self, x: Node) -> Node:
        """What stands for an operand in the body: its own new form, or a hole that is fed from outside."""
        if x in self.new:
            return self.new[x]
        if x.op in _INSIDE:
            return x
        kind = "each" if self.form.axis in x.axes else "const"
        name = f"{kind}{len(self.inputs)}"
        self.bind.append((kind, name, self._input(x)))
        axes = e.in_order(self.pool, x.axes - {self.form.axis})
        with self.pool.origin(self.pool.origins(x)):
            self.new[x] = e.hole(self.pool, name, axes, x.dtype)
        if x in self.pool.hints:
            self.pool.hints.setdefault(self.new[x], self.pool.hints[x])
        return self.new[x]

    def _input(self, x: Node) -> int:
        self.inputs.append(x)
        return len(self.inputs) - 1

    def _inside(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """A node of the loop, at one label."""
        axis = self.form.axis
        if node.op == "scan":
            return _narrowed(self.pool, node, inputs, axis)
        if axis in _named(dict(node.attrs)):
            raise InternalError(f"`{node.op}` works over `{axis}`, along which the recurrence runs")
        return e.remake(self.pool, node, inputs)


def _named(attrs: Mapping[str, Any]) -> set[str]:
    """The indices that a node's attributes name."""
    found: set[str] = set()
    for value in attrs.values():
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, (frozenset, tuple)):
            found.update(x for x in value if isinstance(x, str))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return found


def _narrowed(pool: Pool, scan: Node, inputs: tuple[Node, ...], axis: str) -> Node:
    """A recurrence within a recurrence, at one label of the outer axis: its holes lose that axis."""
    form = opened(pool, scan, inputs)
    holes = {h: e.hole(pool, h.attr("name"), [a for a in h.attr("axes") if a != axis], h.dtype) for h in form.past}
    results = closed(pool, _renamed(pool, form, holes))
    return next(iter(results.values())).inputs[0]


def shifted(pool: Pool, result: Node, link: Past | At, axis: str, *, reverse: bool) -> Node:
    """What a hole holds at every label: the result at the label that it reads, the start where there is no such label."""
    other = e.fresh(axis, result.axes | {axis})
    size = e.size(pool, axis)
    source = _source(pool, link, axis, reverse=reverse)
    position = e.minimum(pool, source, e.sub(pool, size, 1)) if reverse else e.maximum(pool, source, 0)
    read = e.gather(pool, e.rename(pool, result, {axis: other}), position, other)
    return e.select(pool, outside(pool, link, axis, reverse=reverse), link.start, read)


def outside(pool: Pool, link: Past | At, axis: str, *, reverse: bool) -> Node:
    """The labels at which a hole holds its start."""
    source = _source(pool, link, axis, reverse=reverse)
    return e.ge(pool, source, e.size(pool, axis)) if reverse else e.lt(pool, source, 0)


def _source(pool: Pool, link: Past | At, axis: str, *, reverse: bool) -> Node:
    """The position that a hole reads at every label."""
    if isinstance(link, At):
        return link.index
    label = e.label(pool, axis)
    return e.add(pool, label, link.lag) if reverse else e.sub(pool, label, link.lag)
