"""Product axes that nothing takes apart become one axis again.

    x[row, col] * W[hid, row, col] summed over row and col   ->   x[pix] * W[hid, pix] summed over pix

The front end replaces a product axis by its parts, so that `[pix]` and `[row, col]` mean the same.  Where a model never
uses a part alone, memory and emitted code are simpler with the whole.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..graph.node import Graph, Node, Pool, base, copied, everywhere

_ALONE = ("axis", "index", "rows", "cols")
"""Attributes that name one index: an op that has a part there takes the product apart."""

_GROUPED = ("own", "out")
"""Attributes that hold tuples of indices."""


@dataclass(frozen=True)
class Fusion:
    """Product axes kept whole: name -> leaf axes.  Applies to leaf lists and graphs."""

    products: Mapping[str, tuple[str, ...]]

    def leaves(self, indices: Sequence[str]) -> tuple[str, ...]:
        """Indices with every whole product (with its primes) as one."""
        result: list[str] = []
        k = 0
        while k < len(indices):
            primes = indices[k][len(base(indices[k])) :]
            hit = next(
                (n for n, p in self.products.items() if tuple(indices[k : k + len(p)]) == _primed(p, primes)), None
            )
            result.append(indices[k] if hit is None else hit + primes)
            k += 1 if hit is None else len(self.products[hit])
        return tuple(result)

    def graph(self, graph: Graph) -> Graph:
        """The graph over whole products, in a pool of its own."""
        if not self.products:
            return graph
        sizes = {a: s for a, s in graph.pool.axes.items() if a != "batch"}
        for name, parts in self.products.items():
            sizes[name] = _size(graph.pool, parts)
        pool = Pool(sizes)
        return copied(graph, pool, lambda node, key, value: self._attribute(graph.pool, node, key, value))

    def _attribute(self, pool: Pool, node: Node, key: str, value: Any) -> Hashable:
        if key in ("sum", "keep") or (key == "axes" and isinstance(value, frozenset)):
            return self._set(cast("frozenset[str]", value))
        if key == "axes":
            return self.leaves(value)
        if key in _GROUPED:
            return self._groups(value)
        if key == "map":
            pairs = dict(value)
            wholes = {w: self.leaves([pairs[i] for i in parts])[0] for w, parts in self._wholes(pairs).items()}
            inside = {i for parts in self._wholes(pairs).values() for i in parts}
            return tuple(sorted({**{a: b for a, b in pairs.items() if a not in inside}, **wholes}.items()))
        if key == "shape":
            return tuple(_size(pool, self.products.get(base(a), (a,))) for a in self.leaves(node.attr("axes")))
        return value

    def _groups(self, value: Any) -> tuple[Hashable, ...]:
        """Tuples of leaves, however deep."""
        if all(isinstance(x, str) for x in value):
            return self.leaves(value)
        return tuple(self._groups(x) for x in value)

    def _wholes(self, indices: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Whole products among some indices: fused index -> its parts."""
        present = set(indices)
        found: dict[str, tuple[str, ...]] = {}
        for name, parts in self.products.items():
            for index in sorted(present):
                primes = index[len(base(index)) :]
                if base(index) == parts[0] and set(_primed(parts, primes)) <= present:
                    found[name + primes] = _primed(parts, primes)
        return found

    def _set(self, indices: frozenset[str]) -> frozenset[str]:
        wholes = self._wholes(indices)
        inside = {i for parts in wholes.values() for i in parts}
        return (indices - inside) | frozenset(wholes)


def fusion(products: Mapping[str, tuple[str, ...]], graphs: Sequence[Graph]) -> Fusion:
    """The products that no node of the graphs takes apart, larger ones first; a leaf is part of one at most."""
    kept: dict[str, tuple[str, ...]] = {}
    used: set[str] = set()
    nodes = [node for graph in graphs for node in everywhere(graph)]
    for name, parts in sorted(products.items(), key=lambda item: (-len(item[1]), item[0])):
        if used.isdisjoint(parts) and all(_whole(node, parts) for node in nodes):
            kept[name] = parts
            used.update(parts)
    return Fusion(kept)


def _whole(node: Node, parts: tuple[str, ...]) -> bool:
    """Does a node treat the parts as one?"""
    if not all(_together(result.axes, parts) for result in node.results):
        return False
    items: tuple[tuple[str, Any], ...] = node.attrs
    for key, value in items:
        if key in _ALONE and base(value) in parts:
            return False
        if isinstance(value, frozenset) and not _together(cast("frozenset[str]", value), parts):
            return False
        if key == "axes" and isinstance(value, tuple) and not _contiguous(cast("tuple[str, ...]", value), parts):
            return False
        if key in _GROUPED and not all(_contiguous(group, parts) for group in _leaf_groups(value)):
            return False
        if key == "map" and not _moved_together(_pairs(value), parts):
            return False
    return True


def _leaf_groups(value: Any) -> Iterator[tuple[str, ...]]:
    if all(isinstance(x, str) for x in value):
        yield value
    else:
        for x in value:
            yield from _leaf_groups(x)


def _primed(parts: Sequence[str], primes: str) -> tuple[str, ...]:
    return tuple(p + primes for p in parts)


def _primes(indices: Iterable[str], parts: tuple[str, ...]) -> set[str]:
    return {i[len(base(i)) :] for i in indices if base(i) in parts}


def _together(indices: Iterable[str], parts: tuple[str, ...]) -> bool:
    """Every prime level has all parts or none."""
    present = set(indices)
    return all(set(_primed(parts, p)) <= present for p in _primes(present, parts))


def _contiguous(indices: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    for primes in _primes(indices, parts):
        wanted = _primed(parts, primes)
        starts = [k for k in range(len(indices)) if indices[k : k + len(wanted)] == wanted]
        if len(starts) != 1:
            return False
    return True


def _pairs(value: Any) -> dict[str, str]:
    return dict(value)


def _moved_together(pairs: dict[str, str], parts: tuple[str, ...]) -> bool:
    if not _together(pairs, parts):
        return False
    for primes in _primes(pairs, parts):
        targets = tuple(pairs[i] for i in _primed(parts, primes))
        if targets != _primed(parts, targets[0][len(base(targets[0])) :]):
            return False
    return True


def _size(pool: Pool, parts: Sequence[str]) -> int | str:
    """Size of a product of known sizes (products with a data-bound part are not fused)."""
    total = 1
    for part in parts:
        size = pool.size(part)
        if not isinstance(size, int):
            return size
        total *= size
    return total
