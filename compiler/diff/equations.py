"""Changes of equations, densities and returned values."""

from __future__ import annotations

from collections.abc import Iterator

from ..frontend.model import Term, Value
from ..frontend.typed_walk import written
from .match import Match, leftover
from .report import Change
from .side import Side, resolved


def equations(m: Match) -> Iterator[Change]:
    """Equations, densities and what is returned.

    Where densities, returned values and measures agree as a whole, it does not matter how the equations are cut into
    statements; else each statement is compared by itself, and those that differ only by what they read are left out.
    """
    if m.agree:
        yield from _names(m)
        yield from _helpers(m)
        return
    yield from _values(m)
    yield from _terms(m)
    yield from _returned(m)


# ---------------------------------------------------------------- the same as a whole


def _names(m: Match) -> Iterator[Change]:
    """Returned values that are called otherwise."""
    a, b = m.outputs(0), m.outputs(1)
    old = [name for name in a if b.get(name) != a[name]]
    new = [name for name in b if a.get(name) != b[name]]
    for name in old:
        other = next(n for n in new if b[n] == a[name])
        new.remove(other)
        places = m.places(m.a.model.values[name].tensor.span, m.b.model.values[other].tensor.span)
        yield Change("rename", "output", other, *places, name, other, "callers read it by the new name")


def _helpers(m: Match) -> Iterator[Change]:
    """Names of parts that only one side gives, or that stand for another part."""
    pairs = {old: new for new, old in m.values.items()}
    note = "the same expressions are computed"
    for name, value in m.a.model.values.items():
        new = pairs.get(name)
        if new is None:
            yield Change("cosmetic", "name", name, m.a.place(value.span), None, m.a.text(value.span), None, note)
        elif m.whole[0].values[name] != m.whole[1].values[new]:
            other = m.b.model.values[new]
            texts = m.a.text(value.span), m.b.text(other.span)
            yield Change("cosmetic", "name", new, *m.places(value.span, other.span), *texts, note)
    for name, value in m.b.model.values.items():
        if name not in m.values:
            yield Change("cosmetic", "name", name, None, m.b.place(value.span), None, m.b.text(value.span), note)


# ---------------------------------------------------------------- statement by statement


def _values(m: Match) -> Iterator[Change]:
    pairs = {a: b for b, a in m.values.items()}
    for name, value in m.a.model.values.items():
        other = pairs.get(name)
        if other is None:
            text = m.a.text(value.span)
            yield Change("semantic", "equation", name, m.a.place(value.span), None, text, None)
        elif m.whole[0].values[name] != m.whole[1].values[other] and m.cut[0].values[name] != m.cut[1].values[other]:
            yield from _equation(m, value, m.b.model.values[other])
    for name, value in m.b.model.values.items():
        if name not in m.values:
            yield Change("semantic", "equation", name, None, m.b.place(value.span), None, m.b.text(value.span))


def _equation(m: Match, a: Value, b: Value) -> Iterator[Change]:
    texts = m.a.text(a.span), m.b.text(b.span)
    numbers = f"{a.tensor.written()} = {written(a.expr)}", f"{b.tensor.written()} = {written(b.expr)}"
    shown = m.shown(texts, numbers)
    if shown is not None:
        yield Change("semantic", "equation", b.tensor.name, *m.places(a.span, b.span), *shown)


def _terms(m: Match) -> Iterator[Change]:
    """Densities that no equal one answers, first as a whole, then by themselves; the rest by what they describe."""
    a, b = m.a.model.terms, m.b.model.terms
    left = leftover(m.whole[0].terms, m.whole[1].terms)
    if left[0] or left[1]:
        left = leftover(m.cut[0].terms, m.cut[1].terms, left)
    told = [_target(t) for t in a], [_called(m, t) for t in b]
    for k in left[0]:
        hit = next((j for j in left[1] if told[0][k] == told[1][j]), None)
        if hit is None:
            yield Change("semantic", "density", _target(a[k]), m.a.place(a[k].span), None, m.a.text(a[k].span), None)
            continue
        left[1].remove(hit)
        texts = m.a.text(a[k].span), m.b.text(b[hit].span)
        numbers = _density(a[k]), _density(b[hit])
        shown = m.shown(texts, numbers)
        if shown is not None:
            yield Change("semantic", "density", _target(b[hit]), *m.places(a[k].span, b[hit].span), *shown)
    for j in left[1]:
        yield Change("semantic", "density", _target(b[j]), None, m.b.place(b[j].span), None, m.b.text(b[j].span))


def _target(term: Term) -> str:
    plain = all(isinstance(position, str) for position in term.target.at)
    return term.target.tensor.name if plain else written(term.target)


def _called(m: Match, term: Term) -> str:
    """The target in a's words."""
    name = _target(term)
    return {**m.pairing.inputs, **m.values}.get(name, "")


def _density(term: Term) -> str:
    power = f"^{written(term.power)}" if term.power is not None else ""
    return f"{written(term.target)} ~ {resolved(term.dist)}{power}"


def _returned(m: Match) -> Iterator[Change]:
    """Values that only one side returns."""
    a, b = m.a.model, m.b.model
    pairs = {old: new for new, old in m.values.items()}
    for name in [n for n in a.outputs if n in a.values]:
        new = pairs.get(name)
        if new not in b.outputs:
            yield _output(m, name, new, ("returned", "not returned"))
        elif new != name:
            places = m.places(a.values[name].tensor.span, b.values[new].tensor.span)
            yield Change("rename", "output", new, *places, name, new, "callers read it by the new name")
    for name in [n for n in b.outputs if n in b.values]:
        if m.values.get(name) not in a.outputs:
            yield _output(m, m.values.get(name), name, ("not returned", "returned"))


def _output(m: Match, old: str | None, new: str | None, words: tuple[str, str]) -> Change:
    place_a, place_b = _declaration(m.a, old), _declaration(m.b, new)
    before, after = words[0] if old is not None else None, words[1] if new is not None else None
    return Change("semantic", "output", new or old or "", place_a, place_b, before, after)


def _declaration(side: Side, name: str | None) -> str | None:
    return side.place(side.model.values[name].tensor.span) if name is not None else None
