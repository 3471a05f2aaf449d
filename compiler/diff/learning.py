"""Changes of rules: which parameter learns how."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from ..diagnostics import Span
from ..frontend.model import Param, RuleUse
from ..frontend.typed_walk import written
from .declared import moved
from .match import Match
from .report import Change
from .side import Side


def learning(m: Match) -> Iterator[Change]:
    """The rules of parameters that both sides have."""
    for new, old in m.pairing.params.items():
        a, b = m.a.model.params[old], m.b.model.params[new]
        rule_a, rule_b = m.a.model.rules.get(old), m.b.model.rules.get(new)
        if rule_a is not None and rule_b is not None:
            yield from _rule(m, a, b, rule_a, rule_b)
        elif (rule_a, a.frozen) != (rule_b, b.frozen):
            places = m.places(_span(a, rule_a), _span(b, rule_b))
            yield Change("learning", "rule", new, *places, _text(a, rule_a), _text(b, rule_b))


def inference(m: Match) -> Iterator[Change]:
    """Latents, which keep their names, and how they are found."""
    a, b = m.whole[0].latents, m.whole[1].latents
    for name in dict.fromkeys([*a, *b]):
        mine, theirs = m.a.model.latents.get(name), m.b.model.latents.get(name)
        if mine is None or theirs is None:
            side, latent = (m.a, mine) if mine is not None else (m.b, theirs)
            assert latent is not None
            place, text = side.place(latent.tensor.span), latent.tensor.written()
            gone = mine is not None
            yield Change(
                "semantic",
                "latent",
                name,
                *((place, None) if gone else (None, place)),
                *((text, None) if gone else (None, text)),
            )
        elif a[name] != b[name]:
            ways = mine.found_at, theirs.found_at
            yield Change("learning", "infer", name, *m.places(*ways), m.a.text(ways[0]), m.b.text(ways[1]))


def _span(param: Param, use: RuleUse | None) -> Span:
    return use.span if use is not None else param.tensor.span


def _text(param: Param, use: RuleUse | None) -> str:
    return use.written if use is not None else "frozen" if param.frozen else "no rule"


def _rule(m: Match, a: Param, b: Param, use_a: RuleUse, use_b: RuleUse) -> Iterator[Change]:
    old, new = a.tensor.name, b.tensor.name
    states = m.rules(old, new, cut=False)
    if states is None:
        states = m.rules(old, new, cut=True)
    if states is None:
        follows = moved(m, a, b) and _source(m.a, use_a) == _source(m.b, use_b)
        if not follows:
            yield _changed(m, new, use_a, use_b)
        return
    for mine, theirs in states.items():
        if mine != theirs:
            note = "a checkpoint holds the state under the old name"
            places = m.places(use_a.span, use_b.span)
            yield Change("rename", "state", f"{new}@{mine}", *places, theirs, mine, note)


def _source(side: Side, use: RuleUse) -> list[str]:
    """The call and the lines of the rule as written."""
    return [use.written, *(text for text, _ in _lines(side, use))]


def _lines(side: Side, use: RuleUse) -> list[tuple[str, Span]]:
    """The lines of a rule with their places."""
    states = [(f"state {s.name} = {side.text(s.init.span)}", s.init.span) for s in use.states]
    lines = [(f"{name} <- {side.text(line.span)}", line.span) for name, line in use.lines]
    return [*states, *lines, *((f"keep {side.text(k.span)}", k.span) for k in use.keeps)]


def _changed(m: Match, path: str, a: RuleUse, b: RuleUse) -> Change:
    """The calls; where they read the same, the first line of the rule that does not."""
    if a.written != b.written:
        return Change("learning", "rule", path, *m.places(a.span, b.span), a.written, b.written)
    for old, new in zip_longest(_lines(m.a, a), _lines(m.b, b), fillvalue=None):
        if old is None or new is None or old[0] != new[0]:
            texts = old[0] if old else None, new[0] if new else None
            places = m.places(old[1] if old else a.span, new[1] if new else b.span)
            return Change("learning", "rule", path, *places, *texts, f"in {b.rule}")
    shown = m.shown((a.written, b.written), (_arguments(a), _arguments(b))) or (_arguments(a), _arguments(b), "")
    return Change("learning", "rule", path, *m.places(a.span, b.span), *shown)


def _arguments(use: RuleUse) -> str:
    return f"{use.rule}({', '.join(f'{name} = {written(arg)}' for name, arg in use.args.items())})"
