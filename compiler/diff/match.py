"""Two specs side by side under one pairing of their names: the facts of both in the same words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from functools import cached_property
from itertools import islice, permutations

from ..diagnostics import Span
from ..frontend.model import Value
from ..frontend.typed_walk import reads, written
from ..graph.ops import OPS
from .canon import Names
from .meaning import Meaning, ValueFact, meaning, rule_meaning
from .pairing import Pairing
from .side import CUT, Side
from .terms import Terms

_WORD = re.compile(r"[A-Za-z_]\w*")
_STATE_ORDERS = 120  # ways to pair the states of two rules that are tried
_NEAR = 50  # values that read the same name and are tried as partners of another


class Common:
    """What does not depend on the pairing: both sides, one pool of terms, and the facts of a."""

    def __init__(self, a: Side, b: Side) -> None:
        self.a = a
        self.b = b
        self.terms = Terms()

    @cached_property
    def whole(self) -> Meaning:
        """The facts of a."""
        return meaning(self.a, self.terms, Names())

    @cached_property
    def cut(self) -> Meaning:
        """The facts of a, statement by statement."""
        return meaning(self.a, self.terms, Names(), cut=True)


class Match:
    """The two sides under a pairing (names of b -> names of a)."""

    def __init__(self, common: Common, pairing: Pairing) -> None:
        self.common = common
        self.a, self.b = common.a, common.b
        self.pairing = pairing
        self.names = pairing.names()
        self._rules: dict[tuple[object, ...], dict[str, str] | None] = {}

    # ------------------------------------------------------------ facts

    @cached_property
    def whole(self) -> tuple[Meaning, Meaning]:
        """The facts of both, b's in a's words."""
        return self.common.whole, meaning(self.b, self.common.terms, self.names)

    @cached_property
    def cut(self) -> tuple[Meaning, Meaning]:
        """The facts of both, statement by statement."""
        return self.common.cut, meaning(self.b, self.common.terms, self._cut_names, cut=True)

    @cached_property
    def _cut_names(self) -> Names:
        """Values are leaves there, and draws belong to the statement that makes them."""
        names = self.pairing.names({**self.values, **self.tables})
        paths = [n.attr("path") for n in self.b.cut.topological() if OPS[n.op].kind == "sample"]
        draws: dict[str, str] = {}
        for path in paths:
            owner, slash, rest = path.partition("/")
            value = self.values.get(owner.removeprefix(CUT)) if owner.startswith(CUT) else None
            draws[path] = f"{CUT}{value}{slash}{rest}" if value is not None else path
        return Names(names.axes, names.params, names.inputs, draws)

    @cached_property
    def agree(self) -> bool:
        """Whether densities, measures and final values are the same, wherever they are written."""
        a, b = self.whole
        ends = [Counter(m.values[name] for name in s.ends) for m, s in ((a, self.a), (b, self.b))]
        measured = Counter(a.metrics) == Counter(b.metrics)
        terms = Counter(a.terms) == Counter(b.terms) and a.latents == b.latents
        return terms and measured and self.returned and ends[0] == ends[1]

    @cached_property
    def start(self) -> bool:
        """Whether priors and initial values are the same."""
        a, b = self.whole
        pairs = self.pairing.params.items()
        return all(a.priors[old] == b.priors[new] and a.inits[old] == b.inits[new] for new, old in pairs)

    @cached_property
    def learned(self) -> bool:
        """Whether paired parameters learn by the same rules."""
        rules = self.a.model.rules, self.b.model.rules
        both = [(old, new) for new, old in self.pairing.params.items() if old in rules[0] and new in rules[1]]
        return all(self.rules(old, new, cut=False) is not None for old, new in both)

    @cached_property
    def returned(self) -> bool:
        """Whether the same values are returned."""
        a, b = self.outputs(0), self.outputs(1)
        return Counter(a.values()) == Counter(b.values())

    def outputs(self, side: int) -> dict[str, ValueFact]:
        """The returned values of a side and their facts."""
        model = (self.a, self.b)[side].model
        return {name: self.whole[side].values[name] for name in model.outputs if name in model.values}

    def rules(self, path_a: str, path_b: str, *, cut: bool) -> dict[str, str] | None:
        """Under which names of states (b -> a) the rules of a paired parameter are the same; None when they are not."""
        key = (self.a.rule_key(path_a), self.b.rule_key(path_b), cut)
        if key not in self._rules:
            self._rules[key] = self._states(path_a, path_b, cut)
        return self._rules[key]

    def _states(self, path_a: str, path_b: str, cut: bool) -> dict[str, str] | None:
        a = rule_meaning(self.a, path_a, self.common.terms, Names(), {}, cut=cut)
        own = [s.name for s in self.b.model.rules[path_b].states]
        if len(own) != len(a.states):
            return None
        orders = sorted(islice(permutations(a.states), _STATE_ORDERS), key=lambda order: list(order) != own)
        for order in orders:
            states = dict(zip(own, order, strict=True))
            b = rule_meaning(self.b, path_b, self.common.terms, self.names, states, cut=cut)
            if a.fact() == b.fact():
                return states
        return None

    # ------------------------------------------------------------ values

    @cached_property
    def values(self) -> dict[str, str]:
        """Which value of b is which of a: the same fact, else the same name, else much alike."""
        a, b = self.whole[0].values, self.whole[1].values
        pairs = {name: name for name in b if name in a and a[name] == b[name]}
        taken = set(pairs)
        free: dict[ValueFact, list[str]] = defaultdict(list)
        for name, fact in a.items():
            if name not in taken:
                free[fact].append(name)
        for name, fact in b.items():
            if name not in pairs and free.get(fact):
                pairs[name] = free[fact].pop(0)
        taken = set(pairs.values())
        pairs |= {name: name for name in b if name not in pairs and name in a and name not in taken}
        return self._alike(pairs)

    def _alike(self, pairs: dict[str, str]) -> dict[str, str]:
        """Pair values of other names whose equations read the same things over the same axes.

        What a value reads comes before it (terms of operands have smaller numbers), so that a chain is followed.
        """
        called = {**self.pairing.params, **self.pairing.inputs, **pairs}
        taken = set(pairs.values())
        rest = {name: _reads(value) for name, value in self.a.model.values.items() if name not in taken}
        readers: dict[str, list[str]] = defaultdict(list)
        for name, read in rest.items():
            for other in read or {""}:
                readers[other].append(name)
        facts = self.whole[1].values
        for name in sorted((n for n in facts if n not in pairs), key=lambda n: facts[n].term):
            read = {called.get(other, "+") for other in _reads(self.b.model.values[name])}
            near = [a for other in read or {""} for a in readers[other][:_NEAR] if a in rest]
            scores = {a: self._likeness(a, rest[a], name, read) for a in sorted(set(near))}
            best = max(scores, key=lambda a: scores[a], default="")
            if scores.get(best, 0) >= 1:
                pairs[name] = called[name] = best
                del rest[best]
        return pairs

    def _likeness(self, a: str, read_a: set[str], b: str, read_b: set[str]) -> float:
        """1 for the same axes, and up to 1 for the same reads."""
        leaves_a, leaves_b = self.a.model.values[a].tensor.leaves, self.b.model.values[b].tensor.leaves
        axes = self.names.positions(leaves_b) == Names().positions(leaves_a)
        shared = len(read_a & read_b) / max(1, len(read_a | read_b))
        return shared + (1 if axes and (shared or not read_a) else 0.5 if axes else 0)

    @cached_property
    def tables(self) -> dict[str, str]:
        """Which table of b is which of a: the same entries, else the same name."""
        a = {name: self.table(self.a, Names(), name) for name in self.a.tables}
        b = {name: self.table(self.b, self.names, name) for name in self.b.tables}
        pairs = {name: name for name in b if a.get(name) == b[name]}
        for name in b:
            hit = next((old for old in a if old not in pairs.values() and a[old] == b[name]), None)
            if name not in pairs and hit is not None:
                pairs[name] = hit
        return pairs | {name: name for name in b if name in a and name not in pairs and name not in pairs.values()}

    def table(self, side: Side, names: Names, name: str) -> Hashable:
        """A table's axes and entries, or its formula in a's words."""
        if name in side.model.formulas:
            formula = side.model.formulas[name]
            text = written(formula.expr)
            words = {} if side is self.a else dict(self.pairing.axes)
            text = _WORD.sub(lambda found: words.get(found[0], found[0]), text)
            return names.positions(formula.tensor.leaves), text
        tensor, entries = side.model.tables[name]
        return names.positions(tensor.leaves), tuple(map(float, entries))

    # ------------------------------------------------------------ texts and places

    def places(self, a: Span | None, b: Span | None) -> tuple[str | None, str | None]:
        """Both places as text."""
        return self.a.place(a), self.b.place(b)

    def shown(self, texts: tuple[str, str], resolved: tuple[str, str]) -> tuple[str, str, str] | None:
        """Before, after and a note: as written, or, where that reads the same on both sides, with numbers filled in.

        None where even that is the same: the statement is, and what it reads differs in a way that is reported there.
        """
        if not self.alike(*texts):
            return (*texts, "")
        if not self.alike(*resolved):
            return (*resolved, self._because(texts[1]))
        return None

    @cached_property
    def _words(self) -> dict[str, str]:
        """Names of b in a's words (one name space holds them all)."""
        pairs = self.pairing
        return {**self.values, **self.tables, **pairs.axes, **pairs.params, **pairs.inputs}

    def alike(self, a: str, b: str) -> bool:
        """Whether two texts read the same, b's in a's words."""
        return a == _WORD.sub(lambda found: self._words.get(found[0], found[0]), b)

    def _because(self, text: str) -> str:
        """Which numbers that a text of b mentions have changed."""
        said: list[str] = []
        for word in dict.fromkeys(_WORD.findall(text)):
            old = self._words.get(word) or word
            a, b = self.a.number(old), self.b.number(word)
            if a is not None and b is not None and a != b:
                said.append(f"`{word}` is {b}, was {a}")
        return ", ".join(said)


def _reads(value: Value) -> set[str]:
    return {read.tensor.name for read in reads([value.expr])}


Positions = tuple[list[int], list[int]]


def leftover(a: Sequence[Hashable], b: Sequence[Hashable], over: Positions | None = None) -> Positions:
    """Positions in two lists, after equal entries have been matched one to one (within ``over``, else everywhere)."""
    left_a, left_b = (list(x) for x in over) if over else (list(range(len(a))), list(range(len(b))))
    for k in list(left_a):
        hit = next((j for j in left_b if b[j] == a[k]), None)
        if hit is not None:
            left_a.remove(k)
            left_b.remove(hit)
    return left_a, left_b
