"""Reverse mode through a recurrence: a recurrence in the other direction (Werbos 1990, backpropagation through time).

    r_k[t] = f_k(r[t-lag], x[t])        with the cotangent g_k[t] of each result from outside:

    lam_k[t]  = g_k[t] + sum over the holes h of result k: c_h[t+lag]
    c_h[t]    = (d f / d hole_h)^T lam[t]

Only ``lam`` and ``c`` run through the loop.  All of f is written in open form, over all labels at once, with what the
holes held read off the stacked results; so its derivatives are computed outside, vectorised, and the cotangents of
parameters are one contraction over all labels instead of a sum that grows in the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..graph import expr as e
from ..graph.node import Graph, Node, Pool
from ..graph.recurrence import At, Link, Open, Past, Readers, closed, opened, outside, remake, shifted

Pullback = Callable[[Pool, Mapping[Node, Node], Sequence[Node], Collection[Node]], dict[Node, Node]]


def through_time(
    pool: Pool, scan: Node, cotangents: Mapping[int, Node], active: Collection[Node], pullback: Pullback
) -> Iterator[tuple[Node, Node]]:
    """What each active input of a scan gets, given the cotangents of its results by number."""
    work = _ThroughTime(pool, scan, pullback)
    return work.run(cotangents, [x for x in dict.fromkeys(scan.inputs) if x in active])


@dataclass(frozen=True, slots=True)
class _Link:
    """One hole of the forward recurrence: what it held at every label, and the hole for its cotangent."""

    past: Link
    held: Node
    cotangent: Node


class _ThroughTime:
    def __init__(self, pool: Pool, scan: Node, pullback: Pullback) -> None:
        self.pool = pool
        self.pullback = pullback
        self.axis: str = scan.attr("axis")
        self.reverse: bool = scan.attr("reverse")
        form = opened(pool, scan)
        results = [pool.node("result", scan, k=k) for k in range(len(form.roots))]
        self.links = [self._link(scan, past, j) for j, past in enumerate(form.past.values())]
        held = {hole: link.held for hole, link in zip(form.past, self.links, strict=True)}
        graph = Graph(pool, form.roots).rewrite(lambda n, new: held.get(n) or remake(pool, n, new))
        self.roots = list(graph.roots.values())
        self.real = [k for k, root in enumerate(self.roots) if root.dtype == "real"]
        self.known = {root: result for root, result in zip(self.roots, results, strict=True) if root.inputs}

    def _link(self, scan: Node, past: Link, number: int) -> _Link:
        result = self.pool.node("result", scan, k=past.k)
        if isinstance(past, Readers):
            axes = e.in_order(self.pool, result.axes - {self.axis})
            return _Link(past, self._gathered(result, past.index), e.hole(self.pool, f"cotangent{number}", axes))
        axes = e.in_order(self.pool, (result.axes | past.start.axes) - {self.axis})
        held = shifted(self.pool, result, past, self.axis, reverse=self.reverse)
        return _Link(past, held, e.hole(self.pool, f"cotangent{number}", axes))

    def _gathered(self, result: Node, index: Node) -> Node:
        """At every label the sum of a result over the labels that read it."""
        other = e.fresh(self.axis, result.axes | index.axes)
        names = {self.axis: other}
        here = e.eq(self.pool, e.rename(self.pool, index, names), e.label(self.pool, self.axis))
        return e.contract(self.pool, [e.rename(self.pool, result, names), here], [other])

    def run(self, cotangents: Mapping[int, Node], wanted: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
        """Pairs of an input and what it gets."""
        through, started = self._loop(cotangents)
        held = [link.held for link in self.links]
        fed = [x for x in wanted if x not in held]
        found = self._known(self.pullback(self.pool, through, fed, [*held, *fed]))
        yield from ((x, found[x]) for x in fed if not _is_zero(found[x]))
        for link, total in started:
            if not isinstance(link.past, Readers) and link.past.start in wanted:
                yield link.past.start, total

    def _loop(self, cotangents: Mapping[int, Node]) -> tuple[dict[Node, Node], list[tuple[_Link, Node]]]:
        """The cotangent of every root at every label; and what each hole's start gets."""
        pool = self.pool
        totals = {k: self._cotangent(k, cotangents) for k in self.real}
        links = [link for link in self.links if link.held.dtype == "real" and link.past.k in totals]
        held = [link.held for link in links]
        seeds: dict[Node, Node] = {}
        for k in self.real:  # two results may be one value
            root = self.roots[k]
            seeds[root] = e.add(pool, seeds[root], totals[k]) if root in seeds else totals[k]
        back = self._known(self.pullback(pool, seeds, held, [link.held for link in self.links]))
        roots = {f"total{j}": node for j, node in enumerate(seeds.values())}
        roots |= {f"cotangent{j}": back[link.held] for j, link in enumerate(links)}
        past = {link.cotangent: self._back(len(seeds) + j, link.past) for j, link in enumerate(links)}
        results = closed(pool, Open(self.axis, not self.reverse, roots, past))
        through = {root: results[f"total{j}"] for j, root in enumerate(seeds)}
        started = [(j, link) for j, link in enumerate(links) if not isinstance(link.past, Readers)]
        return through, [(link, self._of_start(link, results[f"cotangent{j}"])) for j, link in started]

    def _back(self, k: int, past: Link) -> Link:
        """What the cotangent of a read is to the label that was read."""
        match past:
            case At():
                return Readers(k, past.index)
            case Readers():
                return At(k, past.index, e.zeros(self.pool))
            case Past():
                return Past(k, past.lag, e.zeros(self.pool))

    def _cotangent(self, k: int, cotangents: Mapping[int, Node]) -> Node:
        """From outside, and from the labels that read this one."""
        inner = [link.cotangent for link in self.links if link.past.k == k and link.held.dtype == "real"]
        outer = [cotangents[k]] if k in cotangents else []
        return e.add(self.pool, *outer, *inner) if outer or inner else e.zeros(self.pool)

    def _of_start(self, link: _Link, stacked: Node) -> Node:
        """The start was read at the first labels: the sum of the hole's cotangents there, over what the start lacks."""
        assert not isinstance(link.past, Readers)
        start = link.past.start
        first = outside(self.pool, link.past, self.axis, reverse=self.reverse)
        return e.contract(self.pool, [stacked, first], (link.held.axes | {self.axis}) - start.axes)

    def _known(self, found: Mapping[Node, Node]) -> dict[Node, Node]:
        """The recurrence's own values where its derivatives read them: they need not be computed once more."""
        graph = Graph(self.pool, {str(k): node for k, node in enumerate(found.values())})
        made = graph.rewrite(lambda n, new: self.known.get(n) or remake(self.pool, n, new))
        return dict(zip(found, made.roots.values(), strict=True))


def _is_zero(node: Node) -> bool:
    return e.constant(node) == 0
