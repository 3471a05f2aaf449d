"""One rule on one parameter as nodes: its lines become single-assignment here, later lines see the newest binding."""

from __future__ import annotations

from dataclasses import dataclass

from ..frontend.model import Expr, RuleUse
from . import expr as e
from .build import Expressions
from .node import Node


@dataclass(frozen=True, slots=True)
class Applied:
    """The parameter after the step; of every state its initial value and its value after the step."""

    w: Node
    initial: dict[str, Node]
    states: dict[str, Node]


def apply(expressions: Expressions, use: RuleUse, bindings: dict[str, Node], states: dict[str, Node]) -> Applied:
    """Run the rule's lines on ``bindings`` (w, statistics), which the expressions read and this function extends."""
    pool = expressions.pool
    old = {"w": bindings["w"], **states}
    for name, arg in use.args.items():
        with pool.origin([arg.span, use.span]):
            bindings[name] = expressions.build(arg)
    _run(expressions, use, use.enter, bindings)
    initial: dict[str, Node] = {}
    for state in use.states:
        with pool.origin([state.init.span, use.span]):
            initial[state.name] = bindings[state.name] = expressions.build(state.init)
    bindings.update(states)
    _run(expressions, use, use.lines, bindings)
    if use.when is not None:
        with pool.origin([use.when.span, use.span]):
            condition = expressions.build(use.when)
            bindings.update({name: e.select(pool, condition, bindings[name], was) for name, was in old.items()})
    return Applied(bindings["w"], initial, {name: bindings[name] for name in states})


def _run(
    expressions: Expressions, use: RuleUse, lines: tuple[tuple[str, Expr], ...], bindings: dict[str, Node]
) -> None:
    for name, line in lines:
        with expressions.pool.origin([line.span, use.span]):
            bindings[name] = expressions.build(line)
