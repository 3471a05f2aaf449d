"""Colour refinement: what a parameter, input, draw or axis is by its declaration and by where it stands, without names.

Two things with different colours cannot correspond; things with equal colours may.  The reverse is not promised (no
refinement can tell every two structures apart), so a pairing found by colours is always verified by comparing terms.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field

from ..graph.node import base
from .canon import BOUND_SETS, KEPT_SETS, Names, undeclared
from .columns import column
from .meaning import meaning, rule_meaning
from .side import Side
from .terms import Term, Terms

Colours = dict[str, int]

_OWN_DRAW = "draw of "
_SETS = frozenset({(op, name) for table in (KEPT_SETS, BOUND_SETS) for op, names in table.items() for name in names})


class Palette:
    """Numbers for contents, shared by the two sides so that their colours compare."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def __call__(self, *content: Hashable) -> int:
        return self._numbers.setdefault(content, len(self._numbers))


@dataclass(frozen=True, slots=True)
class Root:
    """A fact's term: what kind of fact, and whose it is."""

    tag: Hashable
    owner: str | None
    number: int


@dataclass(frozen=True, slots=True)
class Index:
    """A label in a term: its axis (None: the batch), the mark of how the term itself uses it, and where it comes from:
    places and operands."""

    label: str
    axis: str | None
    mark: int
    free: bool
    operands: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A term, prepared for sweeps: ``own`` is what needs no colours, ``places`` are -1 where order has no meaning."""

    number: int
    own: int
    entity: str | None
    operands: tuple[tuple[int, int], ...]
    indices: tuple[Index, ...]


@dataclass
class Skeleton:
    """A side as colours see it: its terms (operands first), its roots, and each entity with its declaration."""

    terms: Terms
    roots: list[Root]
    declared: dict[str, Hashable] = field(default_factory=dict[str, Hashable])
    shapes: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    lines: list[Line] = field(default_factory=list[Line])

    def kind(self, kind: str) -> list[str]:
        """The entities of a kind, in the order of the text."""
        return [entity for entity in self.declared if entity.startswith(kind + " ")]


def skeleton(side: Side, palette: Palette) -> Skeleton:
    """The terms of a side under its own names, with roots for everything that has a meaning."""
    terms, names, model = Terms(), Names(), side.model
    facts = meaning(side, terms, names)
    skel = Skeleton(terms, [Root(("term", fact.kind), None, fact.term) for fact in facts.terms])
    for fact in facts.metrics:
        skel.roots += [Root(("metric", fact.kind, k), None, n) for k, n in enumerate(fact.stats)]
    skel.roots += [Root("output", None, facts.values[name].term) for name in model.outputs if name in model.values]
    skel.roots += [Root("end", None, facts.values[name].term) for name in side.ends]
    for path in model.params:
        skel.roots.append(Root("prior", f"param {path}", facts.priors[path]))
        skel.roots.append(Root("init", f"param {path}", facts.inits[path]))
        if path in facts.masks:
            skel.roots.append(Root("mask", f"param {path}", facts.masks[path]))
    for fact in facts.asserts:
        skel.roots += [Root(("assert", k), None, n) for k, n in enumerate(fact) if isinstance(n, int)]
    for name, fact in facts.states.items():
        skel.roots += [Root(("state", name, k), None, n) for k, n in enumerate(fact[1:]) if isinstance(n, int)]
    rules: dict[tuple[object, ...], int] = {}
    for path, use in model.rules.items():
        key = side.rule_key(path)
        if key not in rules:
            rules[key] = rule_meaning(side, path, terms, names, {s.name: "*" for s in use.states}).next
        skel.roots.append(Root("rule", f"param {path}", rules[key]))
    _declare(side, skel)
    skel.lines = [_line(skel, number, palette) for number in _reachable(skel)]
    return skel


def _declare(side: Side, skel: Skeleton) -> None:
    """Entities in the order of the text, with what their declarations say beside names."""
    model = side.model
    columns = model.data.columns if model.data else {}
    for path, param in model.params.items():
        over = tuple(param.tensor.leaves.index(leaf) for leaf in param.over)
        widths = tuple(map(len, side.shape(param.tensor)))
        skel.declared[f"param {path}"] = (param.domain, over, param.frozen, widths, path in model.rules)
        skel.shapes[f"param {path}"] = param.tensor.leaves
    for name, item in model.inputs.items():
        widths = tuple(map(len, side.shape(item.tensor)))
        skel.declared[f"input {name}"] = (item.kind, item.tensor.dtype, widths, column(columns.get(name)))
        skel.shapes[f"input {name}"] = (*item.tensor.leaves, *side.labels(item.tensor))
    for path in side.draws:
        skel.declared[f"draw {path}"] = ()
    for name, axis in side.axes.items():
        skel.declared[f"axis {name}"] = (axis.size, axis.low)


def _reachable(skel: Skeleton) -> list[int]:
    """The terms below the roots, operands first."""
    seen: set[int] = set()
    stack = [root.number for root in skel.roots]
    while stack:
        number = stack.pop()
        if number not in seen:
            seen.add(number)
            stack.extend(skel.terms[number].operands)
    return sorted(seen)


def start(skel: Skeleton, palette: Palette) -> Colours:
    """Colours by declaration alone."""
    return {entity: palette("declared", entity.split(" ")[0], fact) for entity, fact in skel.declared.items()}


# ------------------------------------------------------------------ one round


def _line(skel: Skeleton, number: int, palette: Palette) -> Line:
    item = skel.terms[number]
    operands = tuple((k if item.ordered else -1, x) for k, x in enumerate(item.operands))
    uses: dict[str, list[int]] = {label: [] for label in sorted(item.free | item.bound)}
    for role, labels in item.roles:
        unordered = (item.op, role) in _SETS or _drawn(item)
        for k, label in enumerate(labels):
            uses.setdefault(label, []).append(palette("role", role, -1 if unordered else k))
    indices: list[Index] = []
    for label, marks in uses.items():
        sources = tuple((place, x) for place, x in operands if label in skel.terms[x].free)
        axis = None if undeclared(base(label)) else f"axis {base(label)}"
        mark = palette("mark", label in item.bound, tuple(sorted(marks)))
        indices.append(Index(label, axis, mark, label in item.free, sources))
    own = palette("own", item.op, item.facts, item.dtype, _of_parameter(item))
    return Line(number, own, _entity(item), operands, tuple(indices))


@dataclass
class Sweep:
    """One pass over the terms: ``up`` is what a term is, ``ports`` what each of its labels is in it, ``down`` where a
    term stands."""

    up: dict[int, int] = field(default_factory=dict[int, int])
    ports: dict[int, dict[str, int]] = field(default_factory=dict[int, dict[str, int]])
    down: dict[int, int] = field(default_factory=dict[int, int])


def sweep(skel: Skeleton, colours: Colours, palette: Palette) -> Sweep:
    """Colours of all terms: operands to users, then back down."""
    found = Sweep()
    for line in skel.lines:
        _rise(line, colours, palette, found)
    above: defaultdict[int, list[int]] = defaultdict(list)
    for root in skel.roots:
        owner = colours[root.owner] if root.owner is not None else -1
        above[root.number].append(palette("root", root.tag, owner))
    for line in reversed(skel.lines):
        here = found.down[line.number] = palette("down", tuple(sorted(above.pop(line.number))))
        inside = palette("inside", here, found.up[line.number])
        for place, x in line.operands:
            above[x].append(palette("in", inside, place) if place >= 0 else inside)
    return found


def _rise(line: Line, colours: Colours, palette: Palette, found: Sweep) -> None:
    """The colours of a term and of its labels, from those of its operands."""
    up, ports = found.up, found.ports
    signs: dict[str, int] = {}
    for index in line.indices:
        axis = colours[index.axis] if index.axis is not None else -1
        sources = sorted([(place, ports[x][index.label]) for place, x in index.operands])
        signs[index.label] = palette("label", axis, index.mark, tuple(sources))
    operands = sorted([(place, up[x]) for place, x in line.operands])
    entity = colours[line.entity] if line.entity is not None else -1
    here = up[line.number] = palette("up", line.own, entity, tuple(operands), tuple(sorted(signs.values())))
    ports[line.number] = {i.label: palette("at", here, signs[i.label]) for i in line.indices if i.free}


def axis_colour(colours: Colours, label: str) -> int:
    """The colour of a label's axis; -1 is the batch, or an axis that no spec declares."""
    return -1 if undeclared(base(label)) else colours[f"axis {base(label)}"]


def _entity(item: Term) -> str | None:
    """The entity of a leaf; a parameter's own draw belongs to the parameter."""
    name = item.entity
    return f"param {name.removeprefix(_OWN_DRAW)}" if name is not None and _of_parameter(item) else name


def _of_parameter(item: Term) -> bool:
    return item.entity is not None and item.entity.startswith(_OWN_DRAW)


def _drawn(item: Term) -> bool:
    """The indices of a draw of no parameter stand in the order of names."""
    return item.entity is not None and item.entity.startswith("draw ") and not _of_parameter(item)


def refined(skel: Skeleton, colours: Colours, palette: Palette) -> Colours:
    """The next colours: each entity's own, and everywhere it stands."""
    found = sweep(skel, colours, palette)
    seen: dict[str, list[int]] = {entity: [] for entity in colours}
    for line in skel.lines:
        down, ports = found.down[line.number], found.ports[line.number]
        if line.entity is not None:
            seen[line.entity].append(palette("use", down, found.up[line.number]))
        for index in line.indices:
            if index.axis is not None and index.free:
                seen[index.axis].append(palette("along", down, ports[index.label]))
    for entity, leaves in skel.shapes.items():
        seen[entity].append(palette("shape", *(axis_colour(colours, leaf) for leaf in leaves)))
        for k, leaf in enumerate(leaves):
            seen[f"axis {base(leaf)}"].append(palette("shapes", colours[entity], k))
    return {entity: palette("next", colours[entity], tuple(sorted(marks))) for entity, marks in seen.items()}


Both = tuple[Colours, Colours]


def stable(sides: tuple[Skeleton, Skeleton], colours: Both, palette: Palette) -> Both | None:
    """Refine both sides until nothing is told apart any more; None when their colours differ: they are not the same."""
    a, b = colours
    while True:
        if Counter(a.values()) != Counter(b.values()):
            return None
        classes = len(set(a.values()))
        if classes == len(a):
            return a, b
        finer = refined(sides[0], a, palette), refined(sides[1], b, palette)
        if len(set(finer[0].values())) == classes and Counter(finer[0].values()) == Counter(finer[1].values()):
            return a, b
        a, b = finer


def declarations(skel: Skeleton, palette: Palette) -> dict[str, int]:
    """What each parameter and input is by its declaration, prior, initial value and rule included."""
    first = start(skel, palette)
    found = sweep(skel, first, palette)
    own: dict[str, list[int]] = {entity: [] for entity in first}
    for root in skel.roots:
        if root.owner is not None:
            own[root.owner].append(palette("own", root.tag, found.up[root.number]))
    for entity, leaves in skel.shapes.items():
        own[entity].append(palette("shape", *(axis_colour(first, leaf) for leaf in leaves)))
    return {entity: palette("declaration", first[entity], tuple(sorted(marks))) for entity, marks in own.items()}
