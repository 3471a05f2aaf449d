"""Syntax trees made anew: every name of an expression or statement goes through one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .. import nodes as syntax

Visit = Callable[[syntax.Expr], syntax.Expr | None]
"""What becomes of an expression: a replacement (not gone into), or None to go on with its parts."""


def expression(e: syntax.Expr, visit: Visit) -> syntax.Expr:
    """The expression with every part replaced that ``visit`` replaces, outermost first."""
    made = visit(e)
    if made is not None:
        return made

    def go(part: syntax.Expr) -> syntax.Expr:
        return expression(part, visit)

    match e:
        case syntax.Index():
            return replace(e, args=tuple(map(go, e.args)))
        case syntax.Unary():
            return replace(e, operand=go(e.operand))
        case syntax.Binary():
            return _binary(e, visit)
        case syntax.Compare():
            return replace(e, operands=tuple(map(go, e.operands)))
        case syntax.Call():
            return call(e, visit)
        case syntax.Pipe():
            return replace(e, value=go(e.value), stage=go(e.stage))
        case syntax.ListOf():
            return replace(e, items=tuple(map(go, e.items)))
        case syntax.Range():
            return replace(e, low=go(e.low), high=go(e.high))
        case _:
            return e


def _binary(e: syntax.Binary, visit: Visit) -> syntax.Expr:
    """A chain from its left end, in a loop: sums may have thousands of terms."""
    chain: list[syntax.Binary] = [e]
    left: syntax.Expr | None = None
    while left is None:
        inner = chain[-1].left
        left = visit(inner)
        if left is None and isinstance(inner, syntax.Binary):
            chain.append(inner)
        elif left is None:
            left = expression(inner, visit)
    for step in reversed(chain):
        left = replace(step, left=left, right=expression(step.right, visit))
    return left


def call(e: syntax.Call, visit: Visit) -> syntax.Call:
    """The call with its brackets and arguments made anew."""
    axes = None if e.axes is None else tuple(expression(a, visit) for a in e.axes)
    return replace(e, axes=axes, args=tuple(replace(a, value=expression(a.value, visit)) for a in e.args))


def target(t: syntax.Target, visit: Visit) -> syntax.Target:
    """A left side with its indices made anew; its name stays."""
    return t if t.axes is None else replace(t, axes=tuple(expression(a, visit) for a in t.axes))


def distribution(d: syntax.Distribution, visit: Visit) -> syntax.Distribution:
    """The distribution with its arguments made anew."""
    power = None if d.power is None else expression(d.power, visit)
    return replace(d, call=call(d.call, visit), power=power)


def statement(s: syntax.Stmt, visit: Visit) -> syntax.Stmt:
    """The statement with all its expressions made anew; names that it declares stay."""

    def go(part: syntax.Expr) -> syntax.Expr:
        return expression(part, visit)

    def name(part: syntax.Name) -> syntax.Name:
        made = go(part)
        return made if isinstance(made, syntax.Name) else part

    match s:
        case syntax.Equation():
            start = None if s.start is None else go(s.start)
            return replace(s, target=target(s.target, visit), value=go(s.value), start=start)
        case syntax.Update():
            return replace(s, target=target(s.target, visit), value=go(s.value))
        case syntax.Density():
            return replace(s, target=go(s.target), distribution=distribution(s.distribution, visit))
        case syntax.ParamDecl() | syntax.LatentDecl():
            made = replace(
                s,
                target=target(s.target, visit),
                kind=None if s.kind is None else name(s.kind),
                domain=None if s.domain is None else replace(s.domain, axes=tuple(map(name, s.domain.axes))),
                prior=None if s.prior is None else distribution(s.prior, visit),
            )
            if isinstance(made, syntax.ParamDecl):
                made = replace(made, init=None if made.init is None else go(made.init), sparse=_sparse(made, visit))
            return made
        case syntax.InputDecl():
            return replace(s, target=target(s.target, visit), kind=None if s.kind is None else name(s.kind))
        case syntax.LetDecl() | syntax.StateDecl():
            return replace(
                s, items=tuple(replace(i, target=target(i.target, visit), value=go(i.value)) for i in s.items)
            )
        case syntax.AxisDecl():
            return replace(s, items=tuple(_axis(i, visit) for i in s.items))
        case syntax.ProbeDecl():
            return replace(s, items=tuple(map(go, s.items)))
        case syntax.AssertStmt():
            return replace(s, condition=go(s.condition))
        case _:
            return s


def _sparse(s: syntax.ParamDecl, visit: Visit) -> syntax.Sparse | None:
    if s.sparse is None:
        return None
    condition = None if s.sparse.condition is None else expression(s.sparse.condition, visit)
    return replace(s.sparse, call=None if s.sparse.call is None else call(s.sparse.call, visit), condition=condition)


def _axis(item: syntax.AxisItem, visit: Visit) -> syntax.AxisItem:
    if isinstance(item.value, syntax.ProductOf):
        parts = tuple(made for p in item.value.parts if isinstance(made := expression(p, visit), syntax.Name))
        return replace(item, value=replace(item.value, parts=parts))
    return item if item.value is None else replace(item, value=expression(item.value, visit))
