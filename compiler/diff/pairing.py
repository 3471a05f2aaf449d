"""Which thing of one spec is which thing of the other: pairings of parameters, inputs, draws and axes.

A parameter or input that keeps its name and its declaration is the same one: callers and checkpoints know it by that
name.  Everything else may have been renamed.  Pairings that could show the two specs to be the same come from colours,
best first; where the specs differ, a pairing for the report comes from names, then from likeness.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..graph.node import base
from .canon import Names
from .colours import Colours, Palette, Skeleton, axis_colour, declarations, refined, skeleton, stable, start
from .side import Side

KINDS = ("param", "input", "draw", "axis")

WORK = 1_000_000
"""Visits of terms after which the search for a renaming gives up (and says so)."""


@dataclass(frozen=True)
class Pairing:
    """For each kind of thing: the name in b -> the name in a."""

    axes: Mapping[str, str]
    params: Mapping[str, str]
    inputs: Mapping[str, str]
    draws: Mapping[str, str]

    @classmethod
    def of(cls, pairs: Mapping[str, str]) -> Pairing:
        """From pairs of entities (``param W``)."""
        kinds: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        for b, a in pairs.items():
            kind, _, name = b.partition(" ")
            kinds[kind][name] = a.partition(" ")[2]
        return cls(kinds["axis"], kinds["param"], kinds["input"], kinds["draw"])

    def names(self, values: Mapping[str, str] | None = None) -> Names:
        """How b's things are called in a's words; ``values`` are leaves of the cut graph."""
        inputs = {**self.inputs, **values} if values is not None else self.inputs
        return Names(self.axes, self.params, inputs, self.draws)


@dataclass
class Search:
    """Proposes pairings of two specs."""

    a: Side
    b: Side
    exhausted: bool = False
    _work: int = 0
    palette: Palette = field(default_factory=Palette)

    def __post_init__(self) -> None:
        self.sides = skeleton(self.a, self.palette), skeleton(self.b, self.palette)

    # ------------------------------------------------------------ could be the same

    def pairings(self) -> Iterator[Pairing]:
        """Pairings under which the specs could be the same; the caller verifies them and stops at the first that is."""
        first = start(self.sides[0], self.palette), start(self.sides[1], self.palette)
        own = declarations(self.sides[0], self.palette), declarations(self.sides[1], self.palette)
        for entity in own[0]:
            if entity.partition(" ")[0] in ("param", "input") and own[0][entity] == own[1].get(entity):
                kept = self.palette("kept", entity)
                first[0][entity] = first[1][entity] = kept
        yield from self._descend(first)

    def _descend(self, colours: tuple[Colours, Colours]) -> Iterator[Pairing]:
        """Refine; propose; where classes have several members, fix one of them in every way and go on."""
        stack: list[Iterator[tuple[Colours, Colours]]] = [iter([colours])]
        while stack:
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                continue
            if self._work > WORK:
                self.exhausted = True
                return
            self._work += 4 * (len(self.sides[0].lines) + len(self.sides[1].lines))
            found = stable(self.sides, following, self.palette)
            if found is not None:
                yield self._proposal(found)
                stack.append(self._fixed(found))

    def _members(self, colours: Colours) -> dict[int, list[str]]:
        classes: dict[int, list[str]] = defaultdict(list)
        for entity, colour in colours.items():
            classes[colour].append(entity)
        return classes

    def _proposal(self, colours: tuple[Colours, Colours]) -> Pairing:
        """Within a class: equal names first, the others in the order of the text."""
        a, b = map(self._members, colours)
        pairs: dict[str, str] = {}
        for colour, members in a.items():
            others = b[colour]
            pairs |= {entity: entity for entity in members if entity in others}
            rest = [entity for entity in members if entity not in others]
            pairs |= dict(zip([entity for entity in others if entity not in members], rest, strict=True))
        return Pairing.of(pairs)

    def _fixed(self, colours: tuple[Colours, Colours]) -> Iterator[tuple[Colours, Colours]]:
        """One member of the smallest class paired with each candidate, those of equal name first."""
        a, b = map(self._members, colours)
        several = [colour for colour, members in a.items() if len(members) > 1]
        if not several:
            return
        colour = min(several, key=lambda c: len(a[c]))
        chosen = a[colour][0]
        fresh = self.palette("fixed", colour, len(several))
        for other in sorted(b[colour], key=lambda entity: entity != chosen):
            yield {**colours[0], chosen: fresh}, {**colours[1], other: fresh}

    # ------------------------------------------------------------ differ: the likeliest

    def likeliest(self) -> Pairing:
        """Equal names first, then what is most alike; axes by the positions they share in what is paired already."""
        pairs: dict[str, str] = {}
        for kind in KINDS:
            a, b = (skel.kind(kind) for skel in self.sides)
            pairs |= {entity: entity for entity in b if entity in a}
        named = frozenset(pairs)
        likenesses = self._likenesses(named)
        while self._open(pairs):
            likeness = next(likenesses, None)
            if likeness is None:
                break
            self._pair_rest(pairs, likeness)
        self._vote(pairs)
        return Pairing.of(pairs)

    def _open(self, pairs: Mapping[str, str]) -> bool:
        """Whether both sides have something left of a kind that is paired by likeness."""
        taken = set(pairs.values())
        kinds = KINDS[:-1]
        left = [{x.partition(" ")[0] for x in self.sides[0].declared if x not in taken}]
        left.append({x.partition(" ")[0] for x in self.sides[1].declared if x not in pairs})
        return any(kind in left[0] and kind in left[1] for kind in kinds)

    def _likenesses(self, named: frozenset[str]) -> Iterator[tuple[Colours, Colours]]:
        """Colours from most to least telling.  What both sides call by one name is known by it, all else by its kind."""
        a, b = self.sides
        first = self._soft(a, named), self._soft(b, named)
        once = refined(a, first[0], self.palette), refined(b, first[1], self.palette)
        yield refined(a, once[0], self.palette), refined(b, once[1], self.palette)
        yield once
        yield self._paths(a, first[0]), self._paths(b, first[1])
        yield declarations(a, self.palette), declarations(b, self.palette)
        yield self._shapes(a, first[0]), self._shapes(b, first[1])

    def _soft(self, skel: Skeleton, named: frozenset[str]) -> Colours:
        return {x: self.palette("soft", x if x in named else x.partition(" ")[0]) for x in skel.declared}

    def _paths(self, skel: Skeleton, first: Colours) -> Colours:
        """By the operations between a thing and the roots: a change beside the path does not matter."""
        above: dict[int, set[int]] = defaultdict(set)
        for root in skel.roots:
            above[root.number].add(self.palette("root", root.tag))
        marks: dict[str, set[int]] = defaultdict(set)
        for line in reversed(skel.lines):
            here = self.palette("path", skel.terms[line.number].op, tuple(sorted(above[line.number])))
            for _, x in line.operands:
                above[x].add(here)
            if line.entity is not None:
                marks[line.entity].add(here)
        shapes = self._shapes(skel, first)
        return {x: self.palette("paths", shapes[x], tuple(sorted(marks[x]))) for x in first}

    def _shapes(self, skel: Skeleton, first: Colours) -> Colours:
        """By the axes alone."""
        found = dict(first)
        for x, leaves in skel.shapes.items():
            found[x] = self.palette("axes", x.partition(" ")[0], *(axis_colour(first, leaf) for leaf in leaves))
        return found

    def _pair_rest(self, pairs: dict[str, str], likeness: tuple[Colours, Colours]) -> None:
        """Pair what is left and alike, in the order of the text; axes wait for :meth:`_vote`."""
        taken = set(pairs.values())
        waiting: dict[int, list[str]] = defaultdict(list)
        for entity, colour in likeness[0].items():
            if entity not in taken and not entity.startswith("axis "):
                waiting[colour].append(entity)
        for entity, colour in likeness[1].items():
            if entity not in pairs and waiting.get(colour) and not entity.startswith("axis "):
                pairs[entity] = waiting[colour].pop(0)

    def _vote(self, pairs: dict[str, str]) -> None:
        """Pair the remaining axes by how often they stand in the same position of paired things."""
        votes: dict[tuple[str, str], int] = defaultdict(int)
        shapes_a = {**self.sides[0].shapes, **_shapes_of_values(self.a)}
        shapes_b = {**self.sides[1].shapes, **_shapes_of_values(self.b)}
        for entity, leaves in shapes_b.items():
            other = shapes_a.get(pairs.get(entity, entity), ())
            if len(other) == len(leaves):
                for leaf_a, leaf_b in zip(other, leaves, strict=True):
                    votes[(base(leaf_b), base(leaf_a))] += 1
        taken = set(pairs.values())
        for (b, a), _ in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
            if f"axis {b}" not in pairs and f"axis {a}" not in taken:
                pairs[f"axis {b}"] = f"axis {a}"
                taken.add(f"axis {a}")


def _shapes_of_values(side: Side) -> dict[str, tuple[str, ...]]:
    return {f"value {name}": value.tensor.leaves for name, value in side.model.values.items()}
