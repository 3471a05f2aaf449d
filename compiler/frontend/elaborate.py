"""Expressions get meaning: syntax in, typed expressions out.

The rules of language.md section 4 live here, each in one place: products contract (:meth:`Elaborator._product`), no
silent sums (:meth:`Elaborator._read`), broadcasting is by name, a bare name means all its axes, an index position may
hold an integer expression (gather).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..diagnostics import Findings, Note, Span
from . import model as typed
from . import nodes as syntax
from .calls import Calls
from .externs import Binder, Extern
from .model import NO_INDICES, Expr
from .operations import CONSTANTS
from .reads import Reads
from .scope import Scope, Unresolvable
from .shown import Shown, operation_of
from .typed_walk import promote, union
from .walk import piped

MAX_DEPTH = 200  # three calls a level: well within Python's 1,000
_SWAPPED = {">": "<", ">=": "<="}
_COMPARISONS = {"<": "lt", "<=": "le", "==": "eq", "!=": "ne"}


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds an expression.

    ``open`` are the indices that need no sum; ``explicit`` those of them whose label may be read as a number (left side
    and enclosing reductions, not indices summed by a product).  ``bare`` says what a bare axis name means: ``label``
    or ``size``.  ``free`` lets indices stay open that nothing sums (densities repeat over them).
    """

    open: frozenset[str] = NO_INDICES
    explicit: frozenset[str] = NO_INDICES
    bare: str = "label"
    free: bool = False
    position: bool = False  # inside an index position
    scalars: frozenset[str] = frozenset({"training"})
    left: tuple[str, ...] = ()  # the axes of an equation's left side, in order

    def binding(self, indices: frozenset[str]) -> Context:
        return replace(self, open=self.open | indices, explicit=self.explicit | indices)


class Functions(Protocol):
    """What may be called beside operations (see :mod:`.time_functions`)."""

    @property
    def known(self) -> Mapping[str, object]: ...
    def __contains__(self, name: object) -> bool: ...
    def expand(self, call: syntax.Call, arguments: Elaborator, context: Context) -> Expr: ...


class Elaborator:
    """Turns syntax expressions of one model into typed ones, reporting what is wrong on the way.

    Every method raises :class:`Unresolvable` after reporting, so that a broken expression stops only its statement.
    """

    def __init__(self, scope: Scope, findings: Findings, functions: Functions | None = None) -> None:
        self.scope = scope
        self.findings = findings
        self.functions = functions
        self.shown = Shown(scope)
        self.reads = Reads(self)
        self.calls = Calls(self)
        self._path: list[syntax.Expr] = []
        self._silent: dict[str, list[tuple[syntax.Expr, ...]]] = {}

    def declare(self, externs: dict[str, Extern]) -> None:
        """Operations that Python computes may be called from now on."""
        self.shown.externs = Binder(externs, self.scope, self.shown)

    # ------------------------------------------------------------ entry

    def expression(self, e: syntax.Expr, context: Context) -> Expr:
        """The typed form of ``e``.

        Raises:
            Unresolvable: after every finding inside ``e`` has been reported.
        """
        self._path, self._silent = [], {}
        self.shown.left = context.left
        result = self.visit(e, context)
        if self._silent:
            self._report_silent_sums(context)
            raise Unresolvable
        return result

    def visit(self, e: syntax.Expr, context: Context) -> Expr:
        """One level of :meth:`expression`, keeping the path from the root."""
        if len(self._path) > MAX_DEPTH:
            self.findings.error(
                "E0106",
                f"expressions may nest at most {MAX_DEPTH} deep",
                e.span,
                help="name an inner part in an equation of its own",
            )
            raise Unresolvable
        self._path.append(e)
        try:
            return self._reader(e)(e, context)
        finally:
            self._path.pop()

    def all(self, items: list[syntax.Expr], context: Context) -> list[Expr]:
        """Visit several parts; all are tried before the first failure is passed on."""
        results: list[Expr] = []
        failed = False
        for item in items:
            try:
                results.append(self.visit(item, context))
            except Unresolvable:
                failed = True
        if failed:
            raise Unresolvable
        return results

    def _reader(self, e: syntax.Expr) -> Callable[[Any, Context], Expr]:
        """The method that reads this kind of expression (returned, not called: the stack stays shallow)."""
        match e:
            case syntax.Number():
                return self._number
            case syntax.Name():
                return self._name
            case syntax.Index():
                return self.reads.index
            case syntax.Binary() if e.op in "+-":
                return self._sum
            case syntax.Binary() if e.op in "*/":
                return self._product
            case syntax.Unary():
                return self._product
            case syntax.Binary():
                return self._arithmetic
            case syntax.Compare():
                return self._compare
            case syntax.Call():
                return self.calls.call
            case syntax.Pipe():
                return self._pipe
            case _:
                fix = "texts name data, lists are tables: let T[i] = [1, 2]"
                self.findings.error("E0215", "this cannot stand in an expression", e.span, help=fix)
                raise Unresolvable

    def _number(self, e: syntax.Number, context: Context) -> Expr:
        return typed.Const(NO_INDICES, "int" if isinstance(e.value, int) else "real", e.span, e.value)

    # ------------------------------------------------------------ names

    def _name(self, e: syntax.Name, context: Context) -> Expr:
        scope = self.scope
        if e.name in scope.tensors and not e.primes:
            return self.reads.bare(e, scope.tensors[e.name], context)
        if e.name in context.scalars:  # before axes: in a rule, `t` is the step even where the model has an axis `t`
            return typed.Scalar(NO_INDICES, "real" if e.name == "N" else "int", e.span, e.name)
        if scope.is_axis(e.name):
            return self._axis_number(e, context)
        if e.name in scope.let_items:
            value = scope.let(e.name) if not scope.let_items[e.name].target.axes else scope.number(e)
            return typed.Const(NO_INDICES, "int" if isinstance(value, int) else "real", e.span, value)
        if e.name in CONSTANTS:
            return typed.Const(NO_INDICES, "real", e.span, CONSTANTS[e.name])
        head, _, part = e.name.partition(".")
        if head in scope.tensors:
            self._part_of_tensor(e, scope.tensors[head], part)
            raise Unresolvable
        scope.unknown(e.name, e.span)
        raise Unresolvable

    def _part_of_tensor(self, e: syntax.Name, tensor: typed.Tensor, part: str) -> None:
        """``x.shape``, ``x.T``: habits of other languages."""
        habits = {
            "shape": "the size of an axis is written size(axis)",
            "T": "write its axes in the other order: x[j, i]",
        }
        self.findings.error(
            "E0215",
            f"`{tensor.name}` is a tensor: it has no part `{part}`",
            e.span,
            notes=[Note(f"`{tensor.name}` is declared here", tensor.span)],
            help=habits.get(part, f"it is declared {tensor.written()}"),
        )

    def _axis_number(self, e: syntax.Name, context: Context) -> Expr:
        return self.size(e) if context.bare == "size" else self.label(e, context)

    def size(self, e: syntax.Name) -> Expr:
        """The size of an axis: a constant, or a symbol where the data decides."""
        self.scope.indices(e)
        if e.name in self.scope.aliases:
            leaves = [self.scope.axis(leaf.rstrip("'")) for leaf in self.scope.aliases[e.name]]
        else:
            leaves = [self.scope.axis(leaf) for leaf in self.scope.axis(e.name).leaves]
        known, unknown = 1, [a.name for a in leaves if a.size is None]
        for axis in leaves:
            known *= axis.size or 1
        constant = typed.Const(NO_INDICES, "int", e.span, known)
        if not unknown:
            return constant
        sizes = tuple(typed.SizeOf(self.scope.per_example([name]), "int", e.span, name) for name in unknown)
        return typed.Product(union([*sizes]), "int", e.span, (constant, *sizes), (), NO_INDICES, False)

    def label(self, e: syntax.Name, context: Context) -> Expr:
        """The label of an open index as a number; of a product axis, its row-major position."""
        leaves = self.scope.indices(e)
        closed = [leaf for leaf in leaves if leaf not in (context.open if context.position else context.explicit)]
        if closed and not (context.position and context.free):
            summed = any(leaf in context.open for leaf in closed)
            self.findings.error(
                "E0211",
                f"`{e.name}` as a number is the label of an index that is {'summed by a product' if summed else 'not open'} here",
                e.span,
                help=f"write size({e.name}) for its size" if not summed else f"bind it: sum[{e.name}](..)",
            )
            raise Unresolvable
        return self.combine_labels(leaves, e.span)

    def labelled(self, position: Expr, over: tuple[str, ...]) -> Expr:
        """A position along an axis as its label: a range axis does not begin with 0."""
        low = self.scope.axis(over[0].rstrip("'")).low if len(over) == 1 and over[0] != "batch" else 0
        if not low:
            return position
        first = typed.Const(NO_INDICES, "int", position.span, low)
        return typed.Sum(position.axes, "int", position.span, ((False, position), (False, first)))

    def combine_labels(self, leaves: tuple[str, ...], span: Span) -> Expr:
        """Row-major position of leaf indices (one leaf: its label)."""
        result: Expr | None = None
        for leaf in leaves:
            axis = self.scope.axis(leaf.rstrip("'"))
            label = typed.Label(frozenset({leaf}), "int", span, leaf, axis.low)
            if result is None:
                result = label
                continue
            size = self.size(syntax.Name(span, axis.name))
            scaled = typed.Product(result.axes | size.axes, "int", span, (result, size), (), NO_INDICES, False)
            result = typed.Sum(scaled.axes | label.axes, "int", span, ((False, scaled), (False, label)))
        assert result is not None
        return result

    # ------------------------------------------------------------ arithmetic

    def _sum(self, e: syntax.Binary, context: Context) -> Expr:
        """A whole sum at once: nested ``+`` and ``-`` are one list of signed terms."""
        signed: list[tuple[bool, syntax.Expr]] = []
        stack: list[tuple[bool, syntax.Expr]] = [(False, e)]
        while stack:
            negative, part = stack.pop()
            if isinstance(part, syntax.Binary) and part.op in "+-":
                stack.append((negative ^ (part.op == "-"), part.right))
                stack.append((negative, part.left))
            else:
                signed.append((negative, part))
        terms = self.all([part for _, part in signed], context)
        pairs = tuple((negative, term) for (negative, _), term in zip(signed, terms, strict=True))
        return typed.Sum(union(terms), promote(*(t.dtype for t in terms)), e.span, pairs)

    def _product(self, e: syntax.Expr, context: Context) -> Expr:
        """A maximal chain of ``*``, ``/`` and unary minus: sums every index that is not open and stands in two factors."""
        over, under, negative = factors(e)
        count = Counter(index for part in [*over, *under] for index in self.shown(part))
        sums = frozenset(i for i, k in count.items() if k >= 2 and i not in context.open)
        inner = replace(context, open=context.open | sums)
        parts = self.all([*over, *under], inner)
        dtype = "real" if under else promote(*(p.dtype for p in parts))
        axes = union(parts) - sums | self.scope.per_example(sums)
        split = len(over)
        return typed.Product(axes, dtype, e.span, tuple(parts[:split]), tuple(parts[split:]), sums, negative)

    def _arithmetic(self, e: syntax.Binary, context: Context) -> Expr:
        left, right = self.all([e.left, e.right], context)
        name = {"^": "pow", "//": "floordiv", "%": "mod"}[e.op]
        dtype = promote(left.dtype, right.dtype)
        if name == "pow" and not (isinstance(right, typed.Const) and dtype == "int" and right.value >= 0):
            dtype = "real"
        return typed.Apply(left.axes | right.axes, dtype, e.span, name, (left, right))

    def _compare(self, e: syntax.Compare, context: Context) -> Expr:
        """``a < b <= c`` is ``(a < b) * (b <= c)``; bools are 0 and 1."""
        operands = self.all(list(e.operands), context)
        links: list[Expr] = []
        for op, a, b in zip(e.ops, operands, operands[1:], strict=False):
            x, y = (b, a) if op in _SWAPPED else (a, b)
            name = _COMPARISONS[_SWAPPED.get(op, op)]
            links.append(typed.Apply(a.axes | b.axes, "bool", e.span, name, (x, y)))
        if len(links) == 1:
            return links[0]
        return typed.Product(union(links), "int", e.span, tuple(links), (), NO_INDICES, False)

    # ------------------------------------------------------------ calls

    def _pipe(self, e: syntax.Pipe, context: Context) -> Expr:
        if not isinstance(e.stage, syntax.Name | syntax.Call):
            message = "a pipe `|>` leads to an operation or a circuit"
            self.findings.error("E0215", message, e.stage.span, help="write x |> relu, say")
            raise Unresolvable
        return self.calls.call(piped(e), context)

    # ------------------------------------------------------------ no silent sums

    def check_open(self, indices: frozenset[str], e: syntax.Expr, context: Context) -> None:
        """Note indices that nothing sums and the left side does not list."""
        if context.free:
            return
        for index in sorted(indices - context.open - {"batch"}):
            self._silent.setdefault(index, []).append(
                (*self._path, e) if self._path[-1] is not e else tuple(self._path)
            )

    def _report_silent_sums(self, context: Context) -> None:
        """One error per index (parts of one product axis together), its fix the smallest part that holds all uses."""
        grouped: dict[tuple[int, ...], list[str]] = {}
        for index, paths in self._silent.items():
            grouped.setdefault(tuple(id(p[-1]) for p in paths), []).append(index)
        for indices in grouped.values():
            paths = self._silent[indices[0]]
            common = paths[0]
            for path in paths[1:]:
                size = next(
                    (k for k, (a, b) in enumerate(zip(common, path, strict=False)) if a is not b),
                    min(len(common), len(path)),
                )
                common = common[:size]
            whole = common[-1] if common else paths[0][-1]
            name = self._written_index(indices)
            text = self.text(whole.span)
            where = "is not open here" if context.bare == "size" else "is not on the left"
            help = f"or list `{name}` on the left, if the value should keep it"
            row = operation_of(whole) if isinstance(whole, syntax.Call) and whole.axes is None else None
            if row is not None and row.over and isinstance(whole, syntax.Call):  # nothing inside is summed
                help = f"or say what `{whole.name}` runs over: {whole.name}[..](..) sums the products inside"
            self.findings.error(
                "E0210",
                f"index `{name}` {where}: write sum[{name}]({text})",
                paths[0][-1].span,
                label=f"`{name}` stands in one factor only, so no product sums it",
                help=help,
            )

    def _written_index(self, indices: list[str]) -> str:
        """Leaf indices in the user's words: the product axis they make up, else a list."""
        primes = len(indices[0]) - len(indices[0].rstrip("'"))
        for axis in self.scope.axes.values():
            if len(axis.leaves) > 1 and {leaf + "'" * primes for leaf in axis.leaves} == set(indices):
                return axis.name + "'" * primes
        return ", ".join(indices)

    def text(self, span: Span) -> str:
        """The source text of a span on one line."""
        source = self.findings.sources.get(span.file)
        return " ".join(source.text[span.start : span.end].split()) if source else ".."


def factors(e: syntax.Expr) -> tuple[list[syntax.Expr], list[syntax.Expr], bool]:
    """The factors of a maximal product: above, below the line, and its sign.  Parentheses are transparent."""
    over: list[syntax.Expr] = []
    under: list[syntax.Expr] = []
    negative = False
    stack: list[tuple[syntax.Expr, bool]] = [(e, False)]
    while stack:
        part, inverted = stack.pop()
        if isinstance(part, syntax.Unary):
            negative = not negative
            stack.append((part.operand, inverted))
        elif isinstance(part, syntax.Binary) and part.op in "*/":
            stack.append((part.right, inverted ^ (part.op == "/")))
            stack.append((part.left, inverted))
        else:
            (under if inverted else over).append(part)
    return over, under, negative
