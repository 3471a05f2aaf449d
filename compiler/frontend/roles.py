"""Which of a parameter's axes a rule's `on real[o, i]` names: found in the one product in which the parameter stands."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Findings, Note
from . import nodes as syntax
from .model import Expr, Model, Param, Product, Read
from .scope import Unresolvable
from .typed_walk import children


def roles(
    model: Model, param: Param, rule: syntax.RuleDecl, call: syntax.Call, findings: Findings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The leaves of (o, i): i are summed in the product, o are the others that no other factor carries.

    Axes that the parameter shares with another factor of the product and with its result (a depth, a head) are in
    neither: the rule is mapped over them.

    Raises:
        Unresolvable: the parameter is in no product, or in several; reported.
    """
    name = param.tensor.name
    found = [pair for root in _expressions(model) for pair in _products(root, name)]
    bare = sum(1 for root in _expressions(model) for x in _everything(root) if _is(x, name)) - len(found)
    notes = [Note(f"the rule {rule.name} names its axes here", rule.name_span)]
    if len(rule.domain.axes) != 2 or len(found) != 1 or bare:
        places = "no product" if not found else "several products" if len(found) > 1 else "more than a product"
        problem = f"{call.name} needs the product that `{name}` stands in; it is in {places}"
        if len(rule.domain.axes) != 2:
            problem = f"{call.name} is a rule on real[..] with {len(rule.domain.axes)} axes; there are two, [o, i]"
        findings.error("E0410", problem, call.span, notes=notes, help="use a rule on real without axes")
        raise Unresolvable
    product, read = found[0]
    others = [f for f in (*product.over, *product.under) if f is not read]
    carried = frozenset[str]().union(*(f.axes for f in others))
    at = dict(zip(read.tensor.leaves, read.at, strict=True))
    summed = tuple(leaf for leaf in param.tensor.leaves if at[leaf] in product.sums)
    kept = tuple(leaf for leaf in param.tensor.leaves if at[leaf] not in product.sums and at[leaf] not in carried)
    if not summed or not kept:
        lacking = "sums none of its axes" if not summed else "keeps none of its axes"
        findings.error(
            "E0410",
            f"{call.name} needs rows and columns; the product of `{name}` {lacking}",
            call.span,
            notes=[*notes, Note(f"`{name}` is read here", read.span)],
            help="use a rule on real without axes",
        )
        raise Unresolvable
    return kept, summed


def _expressions(model: Model) -> Iterator[Expr]:
    """Where a parameter is used: equations and densities (priors are no use)."""
    for value in model.values.values():
        if not value.probe:
            yield value.expr
    for term in model.terms:
        yield from (term.target, *term.dist.args.values(), *([term.power] if term.power is not None else []))


def _everything(root: Expr) -> Iterator[Expr]:
    stack = [root]
    while stack:
        x = stack.pop()
        yield x
        stack += children(x)


def _is(x: Expr, name: str) -> bool:
    return isinstance(x, Read) and x.tensor.name == name


def _products(root: Expr, name: str) -> Iterator[tuple[Product, Read]]:
    """Products that sum something, with a plain read of the parameter as a factor above the line."""
    for x in _everything(root):
        if isinstance(x, Product):
            for factor in x.over:
                if (
                    isinstance(factor, Read)
                    and factor.tensor.name == name
                    and all(isinstance(p, str) for p in factor.at)
                ):
                    yield x, factor
