"""Indices put in order: the left side of a statement gets the fewest primes, in the order in which it is written."""

from __future__ import annotations

from collections.abc import Iterable

from ...diagnostics import Span
from .. import nodes as syntax
from . import rewrite
from .shapes import Index, Names, indices


def written(found: Iterable[Index], span: Span) -> tuple[syntax.Name, ...]:
    """Indices as a text would name them."""
    return tuple(syntax.Name(span, name, primes) for name, primes in found)


def canonical(s: syntax.Stmt, names: Names) -> syntax.Stmt:
    """The statement with its indices renamed: as few primes as keep them apart, the left side's first.

    ``h[t'', hid'''] = W[hid''', pix] * x[t'', pix]   ->   h[t, hid] = W[hid, pix] * x[t, pix]``
    """
    order: dict[Index, None] = dict.fromkeys(_left(s))
    seen: set[Index] = set()

    def note(e: syntax.Expr) -> None:
        if isinstance(e, syntax.Name) and e.name in names.axes:
            seen.add((e.name, e.primes))

    rewrite.statement(s, note)
    order.update(dict.fromkeys(sorted(seen)))
    taken: set[Index] = set()
    new: dict[Index, int] = {}
    for axis, primes in order:
        leaves = names.leaves(axis)
        few = 0
        while any((leaf, few) in taken for leaf in leaves):
            few += 1
        taken.update((leaf, few) for leaf in leaves)
        new[axis, primes] = few

    def rename(e: syntax.Expr) -> syntax.Expr | None:
        if isinstance(e, syntax.Name) and (e.name, e.primes) in new and e.name in names.axes:
            return syntax.Name(e.span, e.name, new[e.name, e.primes])
        return None

    return rewrite.statement(s, rename)


def _left(s: syntax.Stmt) -> tuple[Index, ...]:
    match s:
        case syntax.Equation() | syntax.Update() | syntax.ParamDecl() | syntax.LatentDecl():
            return indices(s.target.axes or ())
        case syntax.LetDecl() | syntax.StateDecl():
            return indices(s.items[0].target.axes or ())
        case syntax.Density() if isinstance(s.target, syntax.Index):
            return indices(s.target.args)
        case _:
            return ()
