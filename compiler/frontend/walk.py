"""Walking syntax expressions without recursion: which names an expression mentions."""

from __future__ import annotations

from collections.abc import Iterator

from . import nodes as syntax


def children(e: syntax.Expr) -> tuple[syntax.Expr, ...]:
    """The direct sub-expressions."""
    match e:
        case syntax.Index():
            return e.args
        case syntax.Unary():
            return (e.operand,)
        case syntax.Binary():
            return (e.left, e.right)
        case syntax.Compare():
            return e.operands
        case syntax.Call():
            return (*(e.axes or ()), *(a.value for a in e.args))
        case syntax.Pipe():
            return (e.value, e.stage)
        case syntax.ListOf():
            return e.items
        case syntax.Range():
            return (e.low, e.high)
        case _:
            return ()


def walk(e: syntax.Expr) -> Iterator[syntax.Expr]:
    """Every sub-expression, outermost first."""
    stack = [e]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def piped(e: syntax.Pipe) -> syntax.Call:
    """``x |> f(a)`` as ``f(x, a)``; of what is no call, one without a name."""
    given = syntax.Arg(None, e.value, e.value.span)
    stage = e.stage
    match stage:
        case syntax.Call():
            return syntax.Call(e.span, stage.name, stage.axes, (given, *stage.args), stage.name_span, stage.alias)
        case syntax.Index():
            return syntax.Call(e.span, stage.name, stage.args, (given,), stage.name_span)
        case syntax.Name():
            return syntax.Call(e.span, stage.name, None, (given,), stage.span)
        case _:
            return syntax.Call(e.span, "", None, (given,), stage.span)


def depth(e: syntax.Expr) -> int:
    """Levels of an expression, the left sides of its operators among them."""
    deepest, stack = 0, [(e, 1)]
    while stack:
        node, level = stack.pop()
        deepest = max(deepest, level)
        stack.extend((child, level + 1) for child in children(node))
    return deepest


def names(e: syntax.Expr) -> set[str]:
    """The names that ``e`` reads (tensors, axes and constants alike)."""
    return {n.name for n in walk(e) if isinstance(n, (syntax.Name, syntax.Index))}
