"""Axes that end per example: beyond an example's end values do not exist (language, 2).

The circuit graph is built as if every axis were full; this rewrite then makes whatever works *over* an ending axis skip
what lies beyond the end, and nothing else.  With ``valid = label(t) < length``:

    sum[t](u)            ->   sum[t](where(valid, u, 0))     one factor of a product is enough
    size(t)              ->   length
    max[t](u)            ->   max[t](where(valid, u, -inf))  softmax, logsumexp, rank and argmax alike
    logdet[t, t'](A)     ->   logdet[t, t'](where(valid, A, unit matrix))
    u[i] over t          ->   the index i, if it is below the length; -1, which is refused, if it is not

A reduction over the batch skips the examples that have no such label.  Inputs are 0 beyond the end, so that a product
with one needs no mask of its own.  Gradients follow, since all of this is part of the graph before it is derived.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import inf

from . import expr as e
from .guard import Singular
from .node import BATCH, Graph, Node, Pool, base
from .recurrence import Readers, closed, opened

_LOWEST, _HIGHEST = -(2**62), 2**62


def padded_input(node: Node) -> Node | None:
    """The input that a node reads with zeros beyond its ends, if it is such a read (the runtime puts the zeros there)."""
    if node.op != "where" or node.inputs[1].op != "input" or e.constant(node.inputs[2]) != 0:
        return None
    return node.inputs[1] if all(_is_valid(c) for c in _conjuncts(node.inputs[0])) else None


def _conjuncts(condition: Node) -> list[Node]:
    if condition.op == "minimum":
        return [part for x in condition.inputs for part in _conjuncts(x)]
    return [condition]


def _is_valid(condition: Node) -> bool:
    """Is it ``label(t) < length of t``?"""
    if condition.op != "lt":
        return False
    label, length = condition.inputs
    return label.op == "label" and length.op == "input" and length.attr("name") == base(label.attr("index"))


class Ends:
    """The ends of one circuit: of each of ``axes``, the input of the same name holds the lengths, [batch], int."""

    def __init__(self, pool: Pool, axes: Collection[str]) -> None:
        self.pool = pool
        self.lengths = {axis: e.input(pool, axis, (), "int") for axis in axes}
        self._singular = Singular(pool, self._tame)
        self._rules: dict[str, Callable[[Node, tuple[Node, ...]], Node]] = {
            "input": self._input,
            "size": self._size,
            "contract": self._contract,
            "cumsum": self._cumsum,
            "gather": self._gather,
            "window": self._window,
            "scatter": self._gather,
            **dict.fromkeys(_NEUTRAL, self._over),
            "log_softmax": self._log_softmax,
            **dict.fromkeys(("matpow", "logdet", "inverse", "cholesky", "solve_triangular"), self._matrix),
            "polar": self._polar,
            "eigvals": self._eigvals,
            "scan": self._scan,
        }

    def close(self, graph: Graph, alone: Collection[str] = ()) -> Graph:
        """The graph with every root rewritten but those that are to be left alone."""
        part = Graph(graph.pool, {name: node for name, node in graph.roots.items() if name not in alone})
        done = part.rewrite(self._visit)
        return Graph(graph.pool, {name: done.roots.get(name, node) for name, node in graph.roots.items()})

    def _visit(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        rule = self._rules.get(node.op)
        return rule(node, inputs) if rule is not None else e.remake(self.pool, node, inputs)

    # ------------------------------------------------------------ what exists

    def ending(self, indices: Collection[str]) -> list[str]:
        """Those indices whose axis ends, in declared order."""
        return e.in_order(self.pool, [i for i in indices if base(i) in self.lengths])

    def valid(self, indices: Collection[str]) -> Node | None:
        """Where an entry over these indices exists; None: everywhere."""
        condition: Node | None = None
        for index in self.ending(indices):
            here = e.lt(self.pool, e.label(self.pool, index), self.lengths[base(index)])
            condition = here if condition is None else e.minimum(self.pool, condition, here)
        return condition

    def mean(self, x: Node, over: Collection[str]) -> Node:
        """The mean over indices of what exists; 0 where nothing does (no example of the batch is that long).

        Only a mean over the batch has to count: any other divides by the length.
        """
        valid = self.valid(x.axes)
        if valid is None or BATCH not in over:
            return e.mean(self.pool, x, over)
        others = [i for i in e.in_order(self.pool, set(over) & x.axes) if i not in valid.axes]
        count = e.maximum(self.pool, e.reduce_sum(self.pool, valid, set(over) & valid.axes), 1)
        count = e.mul(self.pool, count, e.size(self.pool, *others))
        return e.div(self.pool, self._sum([x], frozenset(over) & x.axes), count)

    def var(self, x: Node, over: Collection[str]) -> Node:
        """The variance of what exists (see :meth:`mean`)."""
        centred = e.sub(self.pool, x, self.mean(x, over))
        return self.mean(e.mul(self.pool, centred, centred), over)

    def _tame(self, x: Node) -> bool:
        """Is a value certainly finite beyond the ends: because it has no such entries, or because they are masked?"""
        ending = {i for i in x.axes if base(i) in self.lengths}
        if x.op == "where" and ending:
            return ending <= {_index(c) for c in _conjuncts(x.inputs[0]) if _is_valid(c)}
        return not ending

    def _input(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """An input is 0 beyond the end, so that what is computed there from it stays tame."""
        valid = self.valid(node.attr("axes"))
        zero = {"real": 0.0, "int": 0, "bool": False}[node.dtype]
        return node if valid is None else e.select(self.pool, valid, node, zero)

    def _size(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        return self.lengths.get(node.attr("axis"), node)

    # ------------------------------------------------------------ sums

    def _contract(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        return self._sum(inputs, node.attr("sum"))

    def _sum(self, factors: Sequence[Node], over: frozenset[str]) -> Node:
        """The sum of a product, over what exists."""
        carried = frozenset[str]().union(*(f.axes for f in factors))
        factors = [*factors, *(self.lengths[base(i)] for i in self.ending(over - carried))]
        over = over - frozenset(self.ending(over - carried))
        open_ = self.ending(carried if BATCH in over else over & carried)
        if not open_:
            return e.contract(self.pool, factors, over)
        singular = {f: self._singular(f) for f in factors}
        covered = {i for f in factors if not singular[f] for i in open_ if self._vanishes(f, i)}
        masked: dict[Node, list[str]] = {}
        for f in factors:  # what may be infinite beyond the end is no longer so times 0
            if singular[f] and f.axes & set(open_):
                masked[f] = [i for i in open_ if i in f.axes]
                covered.update(masked[f])
        for index in open_:
            if index not in covered:
                carrying = [f for f in factors if index in f.axes]
                smallest = min(carrying, key=lambda f: (BATCH not in f.axes, len(f.axes), f.digest))
                masked.setdefault(smallest, []).append(index)
        return e.contract(self.pool, [self._masked(f, masked.get(f, []), 0) for f in factors], over)

    def _masked(self, x: Node, indices: Collection[str], neutral: float) -> Node:
        """x where it exists, else a neutral element."""
        valid = self.valid(indices)
        if valid is None:
            return x
        return e.where(self.pool, valid, x, float(neutral) if x.dtype == "real" else neutral)

    def _vanishes(self, x: Node, index: str) -> bool:
        """Is the value certainly 0 beyond the end of an index (and finite elsewhere, or it would not have been asked)?"""
        if index not in x.axes:  # an index of the same name inside, renamed or summed, is another one
            return False
        match x.op:
            case "where":
                zero = e.constant(x.inputs[2]) == 0
                return zero and any(_is_valid(c) and _index(c) == index for c in _conjuncts(x.inputs[0]))
            case "lt":
                return _is_valid(x) and _index(x) == index
            case "minimum" if x.dtype == "bool":
                return any(self._vanishes(y, index) for y in x.inputs)
            case "rename":
                old = {new: old for old, new in x.attr("map")}.get(index, index)
                return self._vanishes(x.inputs[0], old)
            case "real" | "stop" | "relu" | "abs" | "sign":
                return self._vanishes(x.inputs[0], index)
            case "softmax":
                return index in x.attr("axes")
            case "contract":
                return any(self._vanishes(f, index) for f in x.inputs)
            case _:
                return False

    # ------------------------------------------------------------ other reductions

    def _over(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """Entries that do not exist are replaced by one that cannot win, or changes nothing."""
        x = inputs[0]
        over = frozenset([node.attr("axis")] if "axis" in dict(node.attrs) else node.attr("axes"))
        neutral = _NEUTRAL[node.op]
        if x.dtype == "bool" and node.op in ("argmax", "rank"):
            x = e.add(self.pool, e.mul(self.pool, 1, x), 0)
        if x.dtype != "real" and abs(neutral) == inf:
            neutral = _whole(neutral, x.dtype) if node.op in ("max", "min", "argmax", "rank") else neutral
        indices = self.ending(x.axes if BATCH in over else over & x.axes)
        absent = self.ending(over - x.axes)
        if absent:
            x = e.add(self.pool, x, *(e.mul(self.pool, 0, e.label(self.pool, i)) for i in absent))
        return e.remake(self.pool, node, [self._masked(x, [*indices, *absent], neutral)])

    def _log_softmax(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """0 beyond the end, where -inf would spoil a product."""
        made = self._over(node, inputs)
        return self._masked(made, node.attr("axes") & made.axes, 0)

    def _cumsum(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """A running sum never sees beyond the end; its gradient does, where it meets an infinite derivative."""
        x = inputs[0]
        over = [node.attr("axis")]
        return e.remake(self.pool, node, [self._masked(x, over, 0) if self._singular(x) else x])

    # ------------------------------------------------------------ matrices

    def _matrix(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """The unit matrix goes on beyond the end: a block that mixes with nothing."""
        rows, cols = node.attr("rows"), node.attr("cols")
        unit = e.real(self.pool, e.eq(self.pool, e.label(self.pool, rows), e.label(self.pool, cols)))
        return self._blocks(node, inputs, unit)

    def _polar(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """As the other matrices where both indices end; with one that does, rows of zeros change no other row."""
        if len(self.ending([node.attr("rows"), node.attr("cols")])) == 2:
            return self._matrix(node, inputs)
        return self._blocks(node, inputs, e.zeros(self.pool))

    def _eigvals(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """Eigenvalues come in ascending order: the block beyond the end has larger ones than any (Gershgorin)."""
        rows, cols = node.attr("rows"), node.attr("cols")
        inside = self._masked(inputs[0], [rows, cols], 0)
        radius = e.max(self.pool, e.reduce_sum(self.pool, e.abs_(self.pool, inside), [cols]), [rows])
        across = e.max(self.pool, e.reduce_sum(self.pool, e.abs_(self.pool, inside), [rows]), [cols])
        beyond = e.stop(self.pool, e.add(self.pool, 1.0, radius, across))
        same = e.eq(self.pool, e.label(self.pool, rows), e.label(self.pool, cols))
        return self._blocks(node, inputs, e.mul(self.pool, same, beyond))

    def _blocks(self, node: Node, inputs: tuple[Node, ...], other: Node) -> Node:
        valid = self.valid([node.attr("rows"), node.attr("cols")])
        if valid is None:
            return e.remake(self.pool, node, inputs)
        return e.remake(self.pool, node, [e.where(self.pool, valid, inputs[0], other), *inputs[1:]])

    # ------------------------------------------------------------ recurrences

    def _scan(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """The body skips what does not exist like any other equation.  A backward recurrence begins at the example's own
        last label: beyond it everything is the start; a forward one runs on, where nothing reads it."""
        form = opened(self.pool, node, inputs, self._visit)
        valid = self.valid([form.axis])
        if valid is not None:
            starts = {link.k: link.start for link in form.past.values() if not isinstance(link, Readers)}
            for k, (name, root) in enumerate(form.roots.items()):
                if form.reverse or self._singular(root):
                    zero = e.const(self.pool, {"real": 0.0, "int": 0, "bool": False}[root.dtype])
                    form.roots[name] = e.where(self.pool, valid, root, starts.get(k, zero))
        made = closed(self.pool, form)
        return next(iter(made.values())).inputs[0]

    # ------------------------------------------------------------ indices

    def _gather(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """Computed indices: 0 where the reader does not exist, -1 (refused) where what is read does not exist."""
        x, index = inputs
        valid = self.valid(index.axes)
        if valid is not None and BATCH in index.axes and padded_input(index) is None:
            index = e.select(self.pool, valid, index, 0)
        axis = base(node.attr("axis"))
        if axis in self.lengths and node.op == "gather" and self._singular(x):
            x = self._masked(x, [node.attr("axis")], 0)
        if axis in self.lengths and node.op == "gather" and not self._inside(index, self.lengths[axis]):
            index = e.select(self.pool, e.lt(self.pool, index, self.lengths[axis]), index, -1)
        return e.remake(self.pool, node, [x, index])

    def _window(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """A window reads 0 beyond the example's own end too."""
        x, axis = inputs[0], node.attr("axis")
        if self.ending([axis]) and not (self._vanishes(x, axis) and not self._singular(x)):
            x = self._masked(e.carrying(self.pool, x, [axis]), [axis], 0)
        return e.remake(self.pool, node, [x])

    def _inside(self, index: Node, length: Node) -> bool:
        """Is the index certainly below the length?  ``last`` is, and what a remainder brought there."""
        match index.op:
            case "const":
                return index.attr("value") == 0
            case "label":
                return self.lengths.get(base(index.attr("index"))) is length  # its reader exists
            case "add":
                rest = [x for x in index.inputs if x is not length]
                return len(rest) == 1 and (e.constant(rest[0]) or 0) < 0 and len(index.inputs) == 2
            case "mod":
                return index.inputs[1] is length
            case "where":
                return all(self._inside(x, length) for x in index.inputs[1:])
            case _:
                return False


_NEUTRAL: dict[str, float] = {
    "max": -inf, "min": inf, "prod": 1, "logsumexp": -inf, "softmax": -inf, "log_softmax": -inf, "argmax": -inf,
    "rank": -inf,
}  # fmt: skip


def _whole(neutral: float, dtype: str) -> int | bool:
    """What cannot win among whole numbers or truth values."""
    if dtype == "bool":
        return neutral > 0
    return _HIGHEST if neutral > 0 else _LOWEST


def _index(condition: Node) -> str:
    return condition.inputs[0].attr("index")
