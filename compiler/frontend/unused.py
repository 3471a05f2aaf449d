"""Warnings about a model without errors: what is declared and not used, and priors that no rule reads.

Use is seen in the text: a name mentioned anywhere but in its own declaration, in a selector of `learn`, or as the column
of the same name in `data`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast

from ..diagnostics import Findings, Span
from . import nodes as syntax
from .model import Model


def warn(written: tuple[syntax.Stmt, ...], body: tuple[syntax.Stmt, ...], model: Model, findings: Findings) -> None:
    """Record the warnings of a model that has no errors.

    Args:
        written: its statements as they stand in the text: what is declared.
        body: the same with circuits written out: what is read.
    """
    mentions = _mentions(body)
    for stmt in written:
        for code, what, name, span, fix in _declared(stmt):
            if not mentions[name]:
                findings.warning(code, f"nothing {what} `{name}`", span, help=fix)
    _equations(body, model, mentions, findings)
    _priors(model, findings)


def _mentions(body: tuple[syntax.Stmt, ...]) -> Counter[str]:
    """How often each name is read."""
    counts: Counter[str] = Counter()
    lets = {item.target.name for s in body if isinstance(s, syntax.LetDecl) for item in s.items}
    for stmt in body:
        in_data = isinstance(stmt, syntax.DataBlock)
        for node in _nodes(stmt):
            name = node.name if isinstance(node, (syntax.Name, syntax.Index, syntax.Call)) else None
            if name is not None and (not in_data or name in lets):  # in `data`, other names are columns
                counts[name] += 1
    return counts


def _nodes(root: object) -> Iterator[object]:
    """All syntax nodes at and below one; selectors are no reads."""
    todo: list[Any] = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, tuple):
            todo += cast("tuple[Any, ...]", node)
            continue
        names = _parts(type(node))
        if names:
            yield node
            todo += [getattr(node, name) for name in names]


@cache
def _parts(kind: type[Any]) -> tuple[str, ...]:
    """The fields of a kind of node that are looked into; none of what is no node."""
    if not is_dataclass(kind) or kind is Span:
        return ()
    skipped = "selectors" if kind is syntax.RuleLine else ""
    return tuple(f.name for f in fields(kind) if f.name != skipped)


def _declared(stmt: syntax.Stmt) -> list[tuple[str, str, str, Span, str]]:
    """Code, verb, name, place and fix for everything that a statement declares and something should use."""
    match stmt:
        case syntax.AxisDecl():
            return [("W0201", "uses the axis", i.name, i.span, "remove it") for i in stmt.items]
        case syntax.LetDecl():
            return [("W0202", "reads the constant", i.target.name, i.span, "remove it") for i in stmt.items]
        case syntax.InputDecl():
            fix = "use it in an equation, give it a density, or remove it and its column"
            return [("W0204", "reads the input", stmt.target.name, stmt.target.name_span, fix)]
        case syntax.ParamDecl():
            fix = "use it in an equation, or remove it and its rule"
            return [("W0301", "reads the parameter", stmt.target.name, stmt.target.name_span, fix)]
        case _:
            return []


def _equations(body: tuple[syntax.Stmt, ...], model: Model, mentions: Counter[str], findings: Findings) -> None:
    """An equation that nothing reads is an output, unless the outputs are declared and it is none of them."""
    declared = any(
        isinstance(s, syntax.OutputDecl) or (isinstance(s, syntax.Equation) and s.role == "output") for s in body
    )
    if not declared:
        return
    for name, value in model.values.items():
        if not (mentions[name] or value.probe or name in model.outputs):
            findings.warning(
                "W0203",
                f"nothing reads `{name}`",
                value.tensor.span,
                help=f"add it to the outputs, or remove it: output {name}",
            )


def _priors(model: Model, findings: Findings) -> None:
    """`grad` is the gradient of the objective, prior included; a rule that reads neither it nor `prior.*` ignores the prior."""
    for path, use in model.rules.items():
        param = model.params[path]
        reads = any(s == "grad" or s.startswith("prior.") for s in use.statistics)
        if reads or param.prior.name == "Flat":
            continue
        findings.warning(
            "W0401",
            f"the rule {use.rule} never reads the prior of `{path}`: {param.prior.written} has no effect on learning",
            use.span,
            help=f"say so: `~ Flat() init {param.prior.written}`, or use a rule that reads `grad`",
        )
