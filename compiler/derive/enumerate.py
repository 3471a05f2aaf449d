"""Discrete latents summed out exactly, in log space.

Where a latent stands, its label along an index of its own is put: a factor that reads it then carries that index.  The
factors of one latent (or of several that meet in a factor) are added and summed out by one log-sum-exp; a latent that reads
itself at an earlier label, along time or up a tree, by passing messages along the axis (the forward algorithm; upward
messages on a tree).  Posteriors are the derivatives of the log partition function by the factors (Darwiche 2003).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod

from ..frontend.model import Latent, Model
from ..graph import expr as e
from ..graph.ends import Ends
from ..graph.latents import TRUTH, NotEnumerable, elsewhere_hole, latent_hole, posterior_hole
from ..graph.node import BATCH, Node, Pool, base, below
from ..graph.recurrence import Open, Past, Readers, closed
from .gradient import pullback
from .substitute import substituted

Over = Callable[[Pool, Node, Sequence[str]], Node]
"""How the labels of an index are taken together."""

LARGEST = 2**24
"""Joint labels that are summed at once."""


@dataclass(frozen=True, slots=True)
class _Index:
    """A latent with the index of its own label, and that of its label elsewhere."""

    latent: Latent
    here: str
    there: str

    @property
    def name(self) -> str:
        return self.latent.tensor.name

    @property
    def plates(self) -> tuple[str, ...]:
        """What it has one label for each of, beside the examples."""
        return self.latent.tensor.leaves


def enumerated(pool: Pool, model: Model, roots: Mapping[str, Node]) -> dict[str, Node]:
    """The roots without latents that are summed out or chosen; these get a root ``latent NAME/value``.

    Raises:
        NotEnumerable: the labels cannot be summed out one after the other.
    """
    return _Enumeration(pool, model, dict(roots)).run()


class _Enumeration:
    def __init__(self, pool: Pool, model: Model, roots: dict[str, Node]) -> None:
        self.pool, self.model, self.roots = pool, model, roots
        self.indices: dict[str, _Index] = {}
        used = {a for n in below(roots.values()) for a in n.axes}
        for name, latent in model.latents.items():
            if latent.labelled:
                here, there = (self._fresh(latent, used) for _ in range(2))
                self.indices[name] = _Index(latent, here, there)
        self.holes = {latent_hole(pool, x.latent): n for n, x in self.indices.items()}
        self.links: dict[Node, tuple[str, str, Node]] = {}  # hole elsewhere -> latent, axis, position
        for key, node in roots.items():
            name, _, place = key.removeprefix("latent ").partition("/elsewhere ")
            if place and name in self.indices:
                axis, _, digest = place.partition(" ")
                self.links[elsewhere_hole(pool, self.indices[name].latent, digest)] = name, axis, node
        self.marginals: dict[str, Node] = {}
        self.ends = Ends(pool, model.ragged())

    def _fresh(self, latent: Latent, used: set[str]) -> str:
        axes = (TRUTH,) if latent.tensor.label is None else self.model.axes[latent.tensor.label].leaves
        if len(axes) != 1:
            raise NotEnumerable(latent, "its labels are those of a product of axes")
        index = e.fresh(axes[0] + "'", used)
        used.add(index)
        return index

    def run(self) -> dict[str, Node]:
        reads = {k: self._latents_of(f"factor {k}") for k in range(len(self.model.terms))}
        for group in _components([*self.indices], [sorted(found) for found in reads.values() if found]):
            factors = [k for k, found in reads.items() if found & {*group}]
            with self.pool.origin(self.indices[n].latent.found_at for n in group):
                self._sum_out([self.indices[n] for n in group], factors)
        kept = {name: node for name, node in self.roots.items() if not _internal(name)}
        values = {name: node for name, node in kept.items() if name.startswith("value ")}
        with self.pool.origin([self.model.span]):
            expected = {name: self._expected(name, node) for name, node in values.items()}
            read = {node: expected[name] for name, node in values.items() if expected[name] is not node}
            others = {name: node for name, node in kept.items() if name not in values}
            others = substituted(self.pool, others, read) if read else others  # a metric reads a value's expectation
            return expected | {name: self._expected(name, node) for name, node in others.items()}

    def _latents_of(self, root: str) -> set[str]:
        found = {self.holes[n] for n in below([self.roots[root]]) if n in self.holes}
        return found | {self.links[n][0] for n in below([self.roots[root]]) if n in self.links}

    # ------------------------------------------------------------ one group of latents

    def _sum_out(self, group: Sequence[_Index], factors: Sequence[int]) -> None:
        """Sum a group of latents out, or with `Hard` choose their labels: the same messages with maxima for sums
        (Viterbi 1967), whose derivative by the factors is 1 at the best labels and 0 at all others."""
        first, pool = group[0], self.pool
        hard = first.latent.hard
        if any(g.latent.hard != hard for g in group):
            raise NotEnumerable(first.latent, "it meets a latent that is found in another way in one density")
        over = _best if hard else e.logsumexp
        for k in factors:
            self._check_plates(self.roots[f"factor {k}"])
        made = {k: self._reduced(self.roots[f"factor {k}"], group) for k in factors}
        links = {link for k in factors for n in below([self.roots[f"factor {k}"]]) if (link := self.links.get(n))}
        if links:
            if len(group) > 1 or len(links) > 1:
                raise NotEnumerable(first.latent, "several links between its labels make a loop")
            (_, axis, position) = next(iter(links))
            local = e.add(pool, 0.0, *(n for n in made.values() if first.there not in n.axes))
            pair = e.add(pool, 0.0, *(n for n in made.values() if first.there in n.axes))
            local = self._marked(local, [first])
            total = self._messages(first, axis, position, local, pair, over)
        else:
            plates = {g.plates for g in group}
            if len(plates) > 1:
                raise NotEnumerable(first.latent, "it meets a latent over other axes in one density")
            sizes = [pool.size(g.here) for g in group]
            number = prod(n for n in sizes if isinstance(n, int))
            if number > LARGEST or any(not isinstance(n, int) for n in sizes):
                raise NotEnumerable(first.latent, f"there are {number:,} joint labels; at most 2^24 are summed")
            local = self._marked(e.add(pool, 0.0, *made.values()), group)
            total = self._over_plates(over(pool, local, [g.here for g in group]), first.plates)
        if not hard:
            self._put(total, factors)
        whole = e.reduce_sum(pool, e.real(pool, total), [BATCH])
        joint = pullback(pool, {whole: e.const(pool, 1.0)}, [local])[local]
        for g in group:
            others = [x.here for x in group if x is not g]
            kept = e.reduce_sum(pool, joint, others) if others else joint
            kept = e.carrying(pool, kept, (*g.plates, g.here))
            if hard:
                self._choose(g, kept)
            else:
                self.marginals[g.name] = kept

    def _marked(self, local: Node, group: Sequence[_Index]) -> Node:
        """The factors' sum as a node of its own, over everything that it is a function of."""
        return e.carrying(self.pool, e.real(self.pool, local), [*group[0].plates, *(g.here for g in group)])

    def _reduced(self, factor: Node, group: Sequence[_Index]) -> Node:
        """A factor over the examples, the plates and the labels: summed over everything else."""
        made = self._with_labels(factor)
        kept = {BATCH, *(p for g in group for p in g.plates), *(i for g in group for i in (g.here, g.there))}
        return e.reduce_sum(self.pool, made, made.axes - kept)

    def _with_labels(self, node: Node) -> Node:
        new = {hole: self._label(self.indices[n], self.indices[n].here) for hole, n in self.holes.items()}
        new |= {hole: self._label(self.indices[n], self.indices[n].there) for hole, (n, _, _) in self.links.items()}
        return substituted(self.pool, {"": node}, new)[""]

    def _label(self, index: _Index, name: str) -> Node:
        if index.latent.tensor.label is None:
            return e.eq(self.pool, e.label(self.pool, name), 1)
        return e.label(self.pool, name, self.model.axes[index.latent.tensor.label].low)

    def _check_plates(self, factor: Node) -> None:
        """Between a latent and a factor nothing may put its labels at several places together."""
        for hole, name in [*self.holes.items(), *((h, n) for h, (n, _, _) in self.links.items())]:
            index = self.indices[name]
            depends: set[Node] = set()
            for node in below([factor]):
                if node is hole or any(x in depends for x in node.inputs):
                    depends.add(node)
                    if not {*index.plates} <= node.axes:
                        where = ", ".join(index.plates)
                        reason = f"a density depends on its labels at several places of `{where}` together"
                        raise NotEnumerable(index.latent, reason)

    def _put(self, total: Node, factors: Sequence[int]) -> None:
        """The log partition function in the place of the first likelihood, nothing in the place of the other factors."""
        kinds = [self.model.terms[k].kind for k in factors]
        first = factors[kinds.index("likelihood") if "likelihood" in kinds else 0]
        for k in factors:
            self.roots[f"term {k}"] = total if k == first else e.const(self.pool, 0.0)

    def _choose(self, g: _Index, best: Node) -> None:
        """`Hard`: the label at which ``best`` is 1, wherever the latent is read; outside its axis that is label 0."""
        pool, truth = self.pool, g.latent.tensor.label is None
        low = 0 if truth else self.model.axes[g.latent.tensor.label or ""].low
        chosen = e.argmax(pool, best, g.here)
        value = e.eq(pool, chosen, 1) if truth else e.add(pool, chosen, low)
        new = {latent_hole(pool, g.latent): value}
        for hole, (name, axis, position) in self.links.items():
            if name == g.name:
                moved = e.gather(pool, value, e.maximum(pool, position, 0), axis)
                new[hole] = e.select(pool, e.lt(pool, position, 0), e.eq(pool, 0, 1) if truth else low, moved)
        self.roots = substituted(pool, self.roots, new)
        self.roots[f"latent {g.name}/value"] = value

    def _over_plates(self, total: Node, plates: Sequence[str]) -> Node:
        """The sum over places, of those that an example has."""
        exists = self.ends.valid(plates)
        return e.reduce_sum(self.pool, total if exists is None else e.select(self.pool, exists, total, 0.0), plates)

    # ------------------------------------------------------------ messages

    def _messages(self, g: _Index, axis: str, position: Node, local: Node, pair: Node, over: Over) -> Node:
        """The log partition function of a chain or tree along an axis, or with ``over`` the maximum the best labelling:
        ``pair`` reads the label at ``position``, label 0 where that is outside."""
        pool = self.pool
        length = self.ends.lengths.get(base(axis)) or e.size(pool, axis)
        others = [BATCH, *(p for p in g.plates if p != axis), g.here]
        if position is e.sub(pool, e.label(pool, axis), 1):
            before = e.hole(pool, f"{g.name}@forward", others)
            arrived = e.add(pool, e.rename(pool, before, {g.here: g.there}), pair)
            forward = e.add(pool, local, over(pool, arrived, [g.there]))
            start = e.select(pool, e.eq(pool, e.label(pool, g.here), 0), 0.0, -inf)
            ends = closed(pool, Open(axis, False, {"forward": forward}, {before: Past(0, 1, start)}))
            last = e.gather(pool, ends["forward"], e.sub(pool, length, 1), axis)
            total = over(pool, last, [g.here])
        else:
            below_it = e.hole(pool, f"{g.name}@children", others)
            up = over(pool, e.add(pool, local, pair, below_it), [g.here])
            up = e.rename(pool, e.carrying(pool, up, [g.there]), {g.there: g.here})
            exists = self.ends.valid([axis])
            up = up if exists is None else e.select(pool, exists, up, 0.0)
            ends = closed(pool, Open(axis, True, {"up": up}, {below_it: Readers(0, position)}))
            tops = e.gather(pool, ends["up"], e.const(pool, 0), g.here)
            total = self._over_plates(e.select(pool, e.lt(pool, position, 0), tops, 0.0), [axis])
        return self._over_plates(total, [p for p in g.plates if p != axis])

    # ------------------------------------------------------------ what reads them

    def _expected(self, root: str, node: Node) -> Node:
        """A root without latents: posteriors in place, and the expectation of what reads a label."""
        pool = self.pool
        posteriors = {
            posterior_hole(pool, self.model, x.latent): e.rename(pool, self.marginals[n], {x.here: base(x.here)})
            for n, x in self.indices.items()
            if n in self.marginals
        }
        node = substituted(pool, {"": node}, posteriors)[""]
        found = {self.holes[n] for n in below([node]) if n in self.holes}
        if not found and not any(n in self.links for n in below([node])):
            return node
        (name, *more) = sorted(found) or [next(self.links[n][0] for n in below([node]) if n in self.links)]
        index = self.indices[name]
        if more or any(n in self.links for n in below([node])) or node.dtype != "real":
            what = root.partition(" ")[2]
            raise NotEnumerable(
                index.latent, f"`{what}` reads its label, and has no expectation: read posterior({name})"
            )
        self._check_plates(node)
        made = self._with_labels(node)
        return e.contract(pool, [self.marginals[name], made], [index.here])


def _best(pool: Pool, x: Node, indices: Sequence[str]) -> Node:
    """The maximum over some indices, written as the entry at the best labels, so that its derivative is 1 there."""
    for index in indices:
        here = e.eq(pool, e.label(pool, index), e.argmax(pool, x, index))
        x = e.reduce_sum(pool, e.select(pool, here, x, 0.0), [index])
    return x


def _internal(name: str) -> bool:
    return name.startswith("factor ") or (name.startswith("latent ") and "/elsewhere " in name)


def _components(names: Sequence[str], links: Sequence[Sequence[str]]) -> list[list[str]]:
    """Names that are linked, directly or not, in the order of the names."""
    group = {name: name for name in names}

    def top(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for first, *others in links:
        for other in others:
            group[top(other)] = top(first)
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(top(name), []).append(name)
    return [*found.values()]
