"""`sparse`: which entries of a parameter exist (language, section 8); the others are 0 and stay it."""

from __future__ import annotations

from math import prod

from ..diagnostics import Findings, Note, did_you_mean
from . import nodes as syntax
from .elaborate import Context, Elaborator
from .model import Axis, Block, Dist, Expr, Support, Tensor
from .scope import Scope, Unresolvable, named

LAYOUTS = {
    "fan_in": "fan_in(2), or fan_in(2, over = AXIS)",
    "density": "density(0.05)",
    "block": "block(16, density = 0.1), or block(16, 8, density = 0.1)",
}
"""Every layout that is drawn, with an example."""

_TOGETHER = frozenset({"simplex", "unit_norm", "orthogonal"})
"""Domains in which an entry cannot be left out without changing others."""


class Supports:
    """Reads the ``sparse`` clause of a parameter."""

    def __init__(self, scope: Scope, findings: Findings, elaborator: Elaborator) -> None:
        self.scope = scope
        self.findings = findings
        self.elaborator = elaborator

    def read(self, sparse: syntax.Sparse, tensor: Tensor, domain: str, prior: Dist) -> Support:
        """Which entries exist.

        Raises:
            Unresolvable: an unknown layout, a wrong argument, or a parameter whose entries do not stand alone; reported.
        """
        self._check_alone(sparse, tensor, domain, prior)
        written = self.elaborator.text(sparse.span)
        if sparse.call is None:
            assert sparse.condition is not None
            return Support((), 0, (), self._condition(sparse.condition, tensor), sparse.span, written)
        own = tensor.declared[sparse.each :]
        among, count, blocks = self._drawn(sparse.call, tensor, own)
        return Support(among, count, blocks, None, sparse.span, written)

    def _check_alone(self, sparse: syntax.Sparse, tensor: Tensor, domain: str, prior: Dist) -> None:
        what = (
            "it has no axes"
            if not tensor.leaves
            else "it holds whole numbers"
            if tensor.dtype != "real"
            else f"its domain `{domain}` ties entries together"
            if domain in _TOGETHER
            else f"its prior {prior.name} is of several entries together"
            if prior.over
            else None
        )
        if what is not None:
            self.findings.error(
                "E0313",
                f"`{tensor.name}` cannot be sparse: {what}",
                sparse.span,
                notes=[Note(f"`{tensor.name}` is declared {tensor.written()}", tensor.span)],
                help="remove `sparse`, or give every entry a prior of its own",
            )
            raise Unresolvable

    def _condition(self, e: syntax.Expr, tensor: Tensor) -> Expr:
        indices = frozenset(tensor.leaves)
        made = self.elaborator.expression(e, Context(open=indices, explicit=indices, scalars=frozenset()))
        if made.dtype != "bool":
            raise self._wrong(
                f"`sparse where` needs a condition; this is {made.dtype}", e, "compare: sparse where abs(row - col) < 8"
            )
        return made

    # ------------------------------------------------------------ layouts that are drawn

    def _drawn(
        self, call: syntax.Call, tensor: Tensor, own: tuple[str, ...]
    ) -> tuple[tuple[str, ...], int, tuple[Block, ...]]:
        """Among which leaves entries are chosen, how many, and the sides of blocks by axis."""
        named = {a.name: a.value for a in call.args if a.name is not None}
        plain = [a.value for a in call.args if a.name is None]
        match call.name:
            case "fan_in":
                self._check_arguments(call, plain, named, (1,), {"over"})
                inputs = self._inputs(call, tensor, own, named.get("over"))
                return inputs, self._fan_in(plain[0], tensor, inputs), ()
            case "density":
                self._check_arguments(call, plain, named, (1,), set[str]())
                leaves = self._leaves(own)
                return leaves, self._share(plain[0], self._places(own)), ()
            case "block":
                self._check_arguments(call, plain, named, (1, 2), {"density"}, needed={"density"})
                return self._blocks(call, plain, named["density"], tensor, own)
            case _:
                fix = (
                    did_you_mean(call.name, LAYOUTS) or f"there are {', '.join(LAYOUTS.values())} and `sparse where ..`"
                )
                raise self._wrong(f"unknown layout `{call.name}`", call, fix)

    def _check_arguments(
        self,
        call: syntax.Call,
        plain: list[syntax.Expr],
        named: dict[str, syntax.Expr],
        counts: tuple[int, ...],
        known: set[str],
        needed: set[str] | None = None,
    ) -> None:
        if len(plain) not in counts or not (needed or set()) <= named.keys() <= known or call.axes or call.alias:
            raise self._wrong(f"`{call.name}` is not written so", call, f"write {LAYOUTS[call.name]}")

    def _inputs(
        self, call: syntax.Call, tensor: Tensor, own: tuple[str, ...], over: syntax.Expr | None
    ) -> tuple[str, ...]:
        """The leaves that a unit's entries are chosen among: those of every axis but the first, or the given one's."""
        if over is None:
            if len(own) < 2:
                raise self._wrong(
                    f"`{tensor.name}` has one axis: there is nothing to choose inputs among",
                    call,
                    f"write {LAYOUTS['density']}",
                )
            return self._leaves(own[1:])
        found = over.name + "'" * over.primes if isinstance(over, syntax.Name) else ""
        if found not in own:
            raise self._wrong(f"`over` is no axis of `{tensor.name}`", over, f"name one of its axes: {', '.join(own)}")
        return self._leaves((found,))

    def _fan_in(self, e: syntax.Expr, tensor: Tensor, inputs: tuple[str, ...]) -> int:
        count, places = self.scope.whole(e), self._places(inputs)
        if not 1 <= count <= places:
            raise self._wrong(
                f"`{tensor.name}` has {places} inputs a unit, so {count} cannot be chosen",
                e,
                f"write a number from 1 to {places}",
            )
        return count

    def _share(self, e: syntax.Expr, places: int) -> int:
        """So many of ``places`` as a share says, but one at least."""
        share = float(self.scope.number(e))
        if not 0 < share <= 1:
            raise self._wrong(
                f"a share of the entries is above 0 and at most 1, not {share:g}", e, "write one, such as 0.1"
            )
        return max(1, round(share * places))

    def _blocks(
        self, call: syntax.Call, sides: list[syntax.Expr], density: syntax.Expr, tensor: Tensor, own: tuple[str, ...]
    ) -> tuple[tuple[str, ...], int, tuple[Block, ...]]:
        """Blocks lie in the last two axes; those at the far ends may be cut."""
        if len(own) < 2:
            raise self._wrong(f"`{tensor.name}` has one axis: blocks need two", call, f"write {LAYOUTS['density']}")
        rest, pair = own[:-2], own[-2:]
        blocks: list[Block] = []
        for name, e in zip(pair, sides * 2 if len(sides) == 1 else sides, strict=True):
            side, size = self.scope.whole(e), self._places((name,))
            if not 1 <= side <= size:
                raise self._wrong(
                    f"`{name}` has {size} labels: a side of {side} does not fit", e, f"write a number from 1 to {size}"
                )
            blocks.append(Block(self._leaves((name,)), side, -(-size // side)))
        return (
            self._leaves(rest),
            self._share(density, prod(b.count for b in blocks) * self._places(rest)),
            tuple(blocks),
        )

    # ------------------------------------------------------------ axes

    def _leaves(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            leaf
            for name in names
            for leaf in self.scope.indices(named(name, self.scope.axis_items[name.rstrip("'")].span))
        )

    def _axis(self, name: str) -> Axis:
        return self.scope.axis(name.rstrip("'"))

    def _places(self, names: tuple[str, ...]) -> int:
        return prod(self._axis(name).size or 0 for name in names)

    def _wrong(self, message: str, e: syntax.Expr, help: str) -> Unresolvable:
        self.findings.error("E0312", message, e.span, help=help)
        return Unresolvable()
