"""The table of assertions: how the operands are compared, and what their places are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..diagnostics import Span
from ..frontend.model import Assertion, Metric, Model
from ..graph.node import BATCH, REPLICA, Node, base
from .layout import Layout
from .tree import Attribute, Call, Code, Lit, Row


def shared_axes(roots: Mapping[str, Node], key: str) -> frozenset[str]:
    """The axes of everything that is compared with an operand ``K/J``, or that a metric's ``K/J/S`` is made of."""
    group = key.rpartition("/")[0]
    return frozenset[str]().union(*(node.axes for other, node in roots.items() if other.rpartition("/")[0] == group))


def asserted(
    model: Model, roots: Mapping[str, Node], layout: Layout, places: Callable[[Span], str]
) -> tuple[Attribute, ...]:
    """The class attribute ``ASSERTS``; none when nothing is asserted."""
    rows = [_row(model, k, assertion, roots, layout, places) for k, assertion in enumerate(model.asserts)]
    return (Attribute("ASSERTS", Row(tuple(rows))),) if rows else ()


def _row(
    model: Model,
    k: int,
    assertion: Assertion,
    roots: Mapping[str, Node],
    layout: Layout,
    places: Callable[[Span], str],
) -> Code:
    operands: list[Code] = []
    for j, operand in enumerate(assertion.operands):
        stats = tuple(f"{k}/{name}" for name, _ in assertion.stats(j)) or (f"{k}/{j}/0",)  # nll has one of its own
        if isinstance(operand, Metric):
            operands.append(Call("rt.Metric", (Lit(operand.key), Lit(operand.kind), Lit(stats))))
        else:
            operands.append(Lit(stats[0]))
    shared = shared_axes(roots, f"{k}/0")
    axes = [Lit((name, model.axes[base(name)].low)) for name in layout.order(shared - {BATCH, REPLICA})]
    named: list[tuple[str, Code]] = [("batched", Lit(True))] if BATCH in shared else []
    named += [("whole", Lit(True))] if assertion.whole else []
    head = (Lit(assertion.text), Lit(places(assertion.span)), Lit(assertion.ops))
    return Call("rt.Assert", (*head, Row(tuple(operands)), Lit(assertion.texts), Row(tuple(axes))), tuple(named))
