"""Recurrences for the canonical form: open, with their results in an order that does not depend on names or text.

The results of a scan are numbered; equations of a text stand in any order.  So the numbers are given anew: results are
sorted by what they are made of, without names, refined until the classes no longer split (Weisfeiler and Leman, 1968).
Results that are alike in every respect keep the order of the text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

from ..graph.node import Graph, Node, below
from ..graph.ops import OPS
from ..graph.recurrence import Link, Open, Past, opened, remake

LEAF_FACTS = ("value", "low", "kind")
"""Attributes of leaves that are no names."""


@dataclass(frozen=True, slots=True)
class PastHole:
    """What a hole is, without names: which axis, which result (by rank), how it is read."""

    axis: str
    rank: int
    kind: str
    lag: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """An open recurrence: roots by rank, the rank of every result, and what each hole is."""

    form: Open
    roots: tuple[Node, ...]
    rank: tuple[int, ...]
    holes: dict[Node, PastHole]


def ranked(scan: Node) -> Ranked:
    """The open form of a scan with ranks; its holes are named by them."""
    body: Graph = scan.attr("body")
    pool = body.pool
    form = opened(pool, scan)
    rank = _ranks(form)
    named: dict[Node, Node] = {}
    holes: dict[Node, PastHole] = {}
    for hole, link in form.past.items():
        what = PastHole(form.axis, rank[link.k], type(link).__name__, link.lag if isinstance(link, Past) else 0)
        name = f"{what.kind} {what.axis} {what.rank} {what.lag} {hole.attr('name') if what.kind != 'Past' else ''}"
        named[hole] = pool.node("hole", name=name, axes=hole.attr("axes"), dtype=hole.dtype)
        holes[named[hole]] = what
    made = Graph(pool, form.roots).rewrite(lambda n, new: named.get(n) or remake(pool, n, new))
    past = {named[hole]: link for hole, link in form.past.items()}
    roots = list(made.roots.values())
    ordered = tuple(roots[rank.index(r)] for r in range(len(roots)))
    return Ranked(replace(form, roots=made.roots, past=past), ordered, rank, holes)


def _ranks(form: Open) -> tuple[int, ...]:
    """The rank of every result."""
    roots = list(form.roots.values())
    colours = [b"" for _ in roots]
    order = below(roots)
    while True:
        new = _colours(form, order, roots, colours)
        if len(set(new)) == len(set(colours)) and colours[0]:
            break
        colours = new
    places = sorted(range(len(roots)), key=lambda k: (new[k], k))
    return tuple(places.index(k) for k in range(len(roots)))


def _colours(form: Open, order: list[Node], roots: list[Node], known: list[bytes]) -> list[bytes]:
    """A hash of each root without names, in which holes have the colours known so far."""
    found: dict[Node, bytes] = {}
    for node in order:
        link = form.past.get(node)
        inside = [known[link.k], _how(link)] if link is not None else [found[x] for x in node.inputs]
        if OPS[node.op].commutative:
            inside.sort()
        facts = [f"{key}={value!r}" for key, value in node.attrs if key in LEAF_FACTS]
        head = f"{node.op} {node.dtype} {len(node.axes)} {facts}"
        found[node] = blake2b(b"|".join([head.encode(), *inside]), digest_size=16).digest()
    return [found[root] for root in roots]


def _how(link: Link) -> bytes:
    return f"{type(link).__name__} {link.lag if isinstance(link, Past) else 0}".encode()
