"""Names: axes, constants and tensors of one model, and the evaluation of whole-number and real constants.

Axes and tensors share one namespace.  Order of statements is free, so constants are evaluated on demand; a circle
is an error, not a hang.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..diagnostics import Findings, Note, Span, did_you_mean
from . import habits
from . import nodes as syntax
from .model import Axis, Tensor
from .operations import CONSTANTS
from .walk import names

MAX_SIZE = 2**40

MOST_DIGITS = 4096  # binary ones, of a whole number on the way to a constant
LONGEST_CHAIN = 60  # definitions under evaluation at once; without a circle there are two (see `resolve_axes`)

_FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "exp": (math.exp, 1),
    "log": (math.log, 1),
    "sqrt": (math.sqrt, 1),
    "abs": (abs, 1),
    "sin": (math.sin, 1),
    "cos": (math.cos, 1),
    "tanh": (math.tanh, 1),
    "min": (min, 2),
    "max": (max, 2),
}
"""Operations that constants may use, with their number of arguments."""


def primed(leaf: str, primes: int) -> str:
    """The index name ``hid''`` of leaf axis ``hid`` with two primes."""
    return leaf + "'" * primes


def named(index: str, span: Span) -> syntax.Name:
    """The name that an index such as ``hid'`` is written with."""
    return syntax.Name(span, index.rstrip("'"), index.count("'"))


class Unresolvable(Exception):
    """A constant cannot be had; the diagnostic is already recorded."""


@dataclass
class Scope:
    """All declared names of a model."""

    findings: Findings
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])
    axis_items: dict[str, syntax.AxisItem] = field(default_factory=dict[str, syntax.AxisItem])
    let_items: dict[str, syntax.LetItem] = field(default_factory=dict[str, syntax.LetItem])
    axes: dict[str, Axis] = field(default_factory=dict[str, Axis])
    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    places: dict[str, Span] = field(default_factory=dict[str, Span])
    broken: set[str] = field(default_factory=set[str])
    suspect: set[str] = field(default_factory=set[str])  # declared as something that another statement contradicts
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    ragged: set[str] = field(default_factory=set[str])
    broken_lengths: set[str] = field(default_factory=set[str])
    circuit_help: Callable[[str], str | None] = lambda _: None  # what to do about a call of an unknown circuit
    divided: dict[str, list[syntax.Divided]] = field(default_factory=dict[str, "list[syntax.Divided]"])
    solved: dict[str, str] = field(default_factory=dict[str, str])  # part of a divided axis without a size -> that axis
    _lets: dict[str, float | int] = field(default_factory=dict[str, float | int])
    _open: list[str] = field(default_factory=list[str])

    # ------------------------------------------------------------ declaring

    def declare(self, name: str, span: Span) -> bool:
        """Reserve a name; a second declaration is an error that shows the first."""
        if name == "batch":
            self.findings.error(
                "E0113",
                "`batch` is reserved: it is the index of the examples",
                span,
                help="the batch is implicit; choose another name",
            )
            return False
        if name in self.places:
            self.findings.error(
                "E0205",
                f"`{name}` is declared twice",
                span,
                notes=[Note(f"`{name}` is first declared here", self.places[name])],
                help="rename one of them",
            )
            return False
        self.places[name] = span
        return True

    def candidates(self) -> list[str]:
        """Names a user may have meant in an expression."""
        return [*self.tensors, *self.axes, *self.let_items, *CONSTANTS]

    def unknown(self, name: str, span: Span, what: str = "name") -> None:
        """Report an unknown name once, with a suggestion; silent for names whose declaration is already broken."""
        if name in self.broken:
            return
        hint = self._comment_help(span) or habits.NAMES.get(name.lower()) or did_you_mean(name, self.candidates())
        self.findings.error("E0201", f"unknown {what} `{name}`", span, help=hint or self._list_help(name))

    def _comment_help(self, span: Span) -> str | None:
        """``h = x  // in metres``."""
        source = self.findings.sources.get(span.file)
        divided = source is not None and source.text[max(0, span.start - 80) : span.start].rstrip(" \t").endswith("//")
        return "if this is a comment: it begins with `#`" if divided else None

    def _list_help(self, name: str) -> str:
        names = [*self.tensors][:8]
        return f"declared here: {', '.join(f'`{n}`' for n in names)}" if names else f"declare it: let {name} = 1"

    # ------------------------------------------------------------ axes

    def in_order(self, indices: frozenset[str]) -> tuple[str, ...]:
        """Indices as their axes are declared, a plain one before its primes: the order must survive renaming."""
        place = {name: k for k, name in enumerate(self.axis_items)}
        return tuple(sorted(indices, key=lambda i: (place.get(i.rstrip("'"), -1), i.count("'"), i)))

    def resolve_axes(self) -> None:
        """Turn every axis item into an :class:`Axis`; errors are recorded, broken axes marked.

        Definitions are evaluated after those they read, so that a chain of thousands needs no stack.
        """
        for name in self._evaluation_order():
            try:
                self.axis(name) if name in self.axis_items else self.let(name)
            except Unresolvable:
                continue  # reported; whoever reads it stops too
        for name in self.axis_items:
            try:
                self.axis(name)
            except Unresolvable:
                self.broken.add(name)

    def _evaluation_order(self) -> list[str]:
        """Axes and scalar `let`s, each after the ones it reads; circles are left for the evaluation to find."""
        order: list[str] = []
        seen: set[str] = set()
        for root in (*self.axis_items, *self.let_items):
            stack = [(root, False)]
            while stack:
                name, done = stack.pop()
                if done:
                    order.append(name)
                elif name not in seen and (name in self.axis_items or self._scalar(name)):
                    seen.add(name)
                    stack.append((name, True))
                    stack.extend((needed, False) for needed in self._needs(name) if needed not in seen)
        return order

    def _scalar(self, name: str) -> bool:
        item = self.let_items.get(name)
        return item is not None and not item.target.axes and not isinstance(item.value, syntax.ListOf)

    def _needs(self, name: str) -> set[str]:
        value = self.axis_items[name].value if name in self.axis_items else self.let_items[name].value
        if isinstance(value, syntax.ProductOf):
            return {part.name for part in value.parts}
        return names(value) if value is not None else set()

    def axis(self, name: str) -> Axis:
        """The axis of that name, evaluated on demand.

        Raises:
            Unresolvable: unknown, circular or ill-sized; already reported (unknown names are the caller's to report).
        """
        if name in self.axes:
            return self.axes[name]
        item = self.axis_items.get(name)
        if item is None or name in self.broken:
            raise Unresolvable
        if name in self.solved:
            self.axis(self.solved[name])
            return self.axes[name]
        self._enter(name, item.span)
        try:
            axis = self._evaluate_axis(item)
            for divided in self.divided.get(name, ()):
                axis = self._divided(axis, divided)
        finally:
            self._open.pop()
        self.axes[name] = axis
        return axis

    def _divided(self, axis: Axis, divided: syntax.Divided) -> Axis:
        """The axis as the product of the parts that a circuit takes it apart into; one part's size may be solved for."""
        known = {part: self.whole(size) for part, size in divided.parts if size is not None}
        parts = ", ".join(f"{part} {known.get(part, '?')}" for part, _ in divided.parts)
        whole, rest = axis.size, math.prod(known.values())
        declared = {part: self.axis(part).size for part in known}
        wrong = next((p for p, size in declared.items() if size != known[p]), None)
        if whole is None or rest < 1 or whole % rest or (len(known) == len(divided.parts) and whole != rest) or wrong:
            size = "a size that only the data gives" if whole is None else f"size {whole}"
            message = f"`{axis.name}` of {size} is not the product of ({parts})"
            if wrong:
                message = f"`{wrong}` has size {declared[wrong]}; a circuit takes `{axis.name}` apart into ({parts})"
            place = [Note(f"`{axis.name}` is declared here", axis.span)]
            self.findings.error(
                "E0233", message, divided.span, notes=place, help="give the axis a size that they divide"
            )
            raise Unresolvable
        for part, size in divided.parts:
            if size is None and part not in self.axes:
                self.axes[part] = Axis(part, whole // rest, (part,), 0, self.axis_items[part].span)
        leaves = tuple(leaf for part, _ in divided.parts for leaf in self.axis(part).leaves)
        return Axis(axis.name, whole, leaves, axis.low, axis.span)

    def _evaluate_axis(self, item: syntax.AxisItem) -> Axis:
        override = self.overrides.get(item.name)
        if override is not None:
            return Axis(item.name, self._override_size(item, override), (item.name,), 0, item.span)
        value = item.value
        if value is None:
            return Axis(item.name, None, (item.name,), 0, item.span)
        if isinstance(value, syntax.ProductOf):
            return self._product(item, value)
        if isinstance(value, syntax.Range):
            low, high = self.whole(value.low), self.whole(value.high)
            if high < low:
                self.findings.error(
                    "E0207",
                    f"axis `{item.name}` runs from {low} to {high}: it has no labels",
                    value.span,
                    help=f"write the lower end first: {high}..{low}",
                )
                raise Unresolvable
            return Axis(item.name, self._fitting(item, high - low + 1, value.span), (item.name,), low, item.span)
        return Axis(item.name, self._fitting(item, self.whole(value), value.span), (item.name,), 0, item.span)

    def _fitting(self, item: syntax.AxisItem, size: int, span: Span) -> int:
        """The size of an axis, where it can be one."""
        if not 1 <= size <= MAX_SIZE:
            bound, fix = ("at least 1", "1") if size < 1 else ("at most 2^40", "2^40")
            message, label = f"axis `{item.name}` has size {size}", f"must be {bound}"
            self.findings.error(
                "E0207", message, span, label=label, help=f"give it a size of {bound}: {item.name} = {fix}"
            )
            raise Unresolvable
        return size

    def _override_size(self, item: syntax.AxisItem, text: str) -> int:
        plain = not isinstance(item.value, (syntax.ProductOf, syntax.Range))
        size = (written_whole(text) or 0) if plain else 0
        if not 1 <= size <= MAX_SIZE:
            self.findings.error(
                "E0219",
                f"`--set {item.name}={shortened(text)}`: the size of `{item.name}` cannot be set to that",
                item.span,
                help="give a whole number of at least 1 to an axis with a plain size",
            )
            raise Unresolvable
        return size

    def _product(self, item: syntax.AxisItem, value: syntax.ProductOf) -> Axis:
        leaves: list[str] = []
        size: int | None = 1
        for part in value.parts:
            if part.name not in self.axis_items:
                self.unknown_axis(part)
                raise Unresolvable
            axis = self.axis(part.name)
            leaves += axis.leaves
            size = None if size is None or axis.size is None else size * axis.size
        if len(set(leaves)) != len(leaves):
            self.findings.error(
                "E0209",
                f"axis `{item.name}` has a part twice",
                value.span,
                help="declare a second axis of the same size for the second part",
            )
            raise Unresolvable
        if size is not None:
            self._fitting(item, size, value.span)
        return Axis(item.name, size, tuple(leaves), 0, item.span)

    def unknown_axis(self, name: syntax.Name) -> None:
        """Report an unknown axis (or something else used as one)."""
        if name.name in self.broken:
            return
        if name.name == "batch":
            message = "`batch` is reserved: it is the index of the examples, and never written here"
            fix = "leave it out: every value that depends on an input carries it"
            self.findings.error("E0113", message, name.span, help=fix)
            return
        if name.name in self.places and name.name not in self.axis_items:
            self.findings.error(
                "E0202",
                f"`{name.name}` is not an axis",
                name.span,
                notes=[Note(f"`{name.name}` is declared here", self.places[name.name])],
                help=f"axes: {', '.join(self.axis_items)}" if self.axis_items else "declare an axis: axis i = 3",
            )
            return
        self.findings.error(
            "E0202",
            f"unknown axis `{name.name}`",
            name.span,
            help=did_you_mean(name.name, self.axis_items) or f"declare it: axis {name.name} = ..",
        )

    def indices(self, name: syntax.Name) -> tuple[str, ...]:
        """The leaf indices that an axis name with its primes stands for.

        Raises:
            Unresolvable: it is no axis; reported.
        """
        if name.name in self.aliases:
            return tuple(primed(leaf, name.primes) for leaf in self.aliases[name.name])
        if name.name not in self.axis_items:
            self.unknown_axis(name)
            raise Unresolvable
        return tuple(primed(leaf, name.primes) for leaf in self.axis(name.name).leaves)

    def is_axis(self, name: str) -> bool:
        return name in self.axis_items or name in self.aliases

    def per_example(self, indices: Iterable[str]) -> frozenset[str]:
        """What working over these indices adds to the result: ``batch``, where one of them ends per example."""
        named = frozenset(indices)
        ends = any(i.rstrip("'") in self.ragged for i in named)
        return frozenset({"batch"}) - named if ends else frozenset()

    # ------------------------------------------------------------ constants

    def let(self, name: str) -> float | int:
        """The value of a scalar ``let``.

        Raises:
            Unresolvable: circular or not constant; reported.
        """
        if name in self.broken:
            raise Unresolvable
        if name not in self._lets:
            item = self.let_items[name]
            self._enter(name, item.span)
            try:
                self._lets[name] = self._override_let(name) if name in self.overrides else self.number(item.value)
            finally:
                self._open.pop()
        return self._lets[name]

    def _override_let(self, name: str) -> float | int:
        text = self.overrides[name]
        try:
            whole = written_whole(text.removeprefix("-"))
            if whole is None:
                return _representable(_plain_float(text))
            return -whole if text.startswith("-") else whole
        except (ValueError, OverflowError):
            self.findings.error(
                "E0219",
                f"`--set {name}={shortened(text)}`: not a number",
                self.let_items[name].span,
                help=f"write --set {name}=0.5",
            )
            raise Unresolvable from None

    def _enter(self, name: str, span: Span) -> None:
        if name in self._open:
            members = self._open[self._open.index(name) :]
            circle = " -> ".join([*members, name])
            self.broken.update(members)
            message = f"`{name}` is defined through itself: {circle}"
            self.findings.error("E0206", message, span, help=f"give one of them a value: {name} = 3")
            raise Unresolvable
        if len(self._open) > LONGEST_CHAIN:
            self.findings.error("E0206", f"`{self._open[0]}` is defined through a long circle of definitions", span)
            raise Unresolvable
        self._open.append(name)

    def whole(self, e: syntax.Expr) -> int:
        """A whole-number constant.

        Raises:
            Unresolvable: it is none; reported.
        """
        value = self.number(e)
        if isinstance(value, float) and not value.is_integer():
            divides = isinstance(e, syntax.Binary) or not math.isfinite(value)
            fix = (
                "use `//` for whole-number division" if divides else f"write {math.floor(value)} or {math.ceil(value)}"
            )
            self.findings.error("E0207", f"a whole number is needed here, not {value:g}", e.span, help=fix)
            raise Unresolvable
        return int(value)

    def number(self, e: syntax.Expr) -> float | int:
        """A constant: numbers, sizes, lets and arithmetic over them.

        Raises:
            Unresolvable: not a constant; reported.
        """
        try:
            return _representable(self._number(e))
        except ZeroDivisionError:
            problem = "it divides by zero"
        except OverflowError:
            problem = "the number is too large"
        except ValueError:
            problem = "it is no real number"
        message = f"this constant cannot be computed: {problem}"
        self.findings.error("E0207", message, e.span, help="write one that a double or a 64-bit whole number holds")
        raise Unresolvable

    def _number(self, e: syntax.Expr) -> float | int:
        match e:
            case syntax.Number():
                return e.value
            case syntax.Unary():
                return -self._number(e.operand)
            case syntax.Binary():
                return self._binary(e)
            case syntax.Name():
                return self._named(e)
            case syntax.Call() if e.name == "size" and len(e.args) == 1 and isinstance(e.args[0].value, syntax.Name):
                return self.size(e.args[0].value)
            case syntax.Call() if e.name in _FUNCTIONS and e.axes is None:
                return self._function(e)
            case _:
                message = "a constant is needed here: numbers, sizes, `let`s and arithmetic"
                self.findings.error("E0215", message, e.span, help=_constant_help(e))
                raise Unresolvable

    def _function(self, e: syntax.Call) -> float | int:
        function, wanted = _FUNCTIONS[e.name]
        if len(e.args) != wanted or any(a.name for a in e.args):
            count = "one number" if wanted == 1 else "two numbers"
            self.findings.error("E0213", f"`{e.name}` of a constant takes {count}", e.span)
            raise Unresolvable
        return function(*[self._number(a.value) for a in e.args])

    def _binary(self, e: syntax.Binary) -> float | int:
        spine: list[syntax.Binary] = [e]
        while isinstance(spine[-1].left, syntax.Binary):
            spine.append(spine[-1].left)
        value = self._number(spine[-1].left)
        for step in reversed(spine):
            right = self._number(step.right)
            match step.op:
                case "+":
                    value = value + right
                case "-":
                    value = value - right
                case "*":
                    value = _bounded(value * right)
                case "/":
                    value = value / right
                case "//":
                    value = value // right
                case "%":
                    value = value % right
                case _:
                    value = _power(value, right)
        return value

    def _named(self, e: syntax.Name) -> float | int:
        if e.name in CONSTANTS:
            return CONSTANTS[e.name]
        if e.name in self.axis_items:
            return self.size(e)
        if e.name in self.let_items:
            item = self.let_items[e.name]
            if item.target.axes:
                self.findings.error(
                    "E0215",
                    f"`{e.name}` is a table; a single number is needed here",
                    e.span,
                    notes=[Note(f"`{e.name}` is declared here", item.span)],
                    help="declare a number of its own: let n = 3",
                )
                raise Unresolvable
            return self.let(e.name)
        if e.name in self.places:
            self.findings.error(
                "E0215",
                f"`{e.name}` is not a constant",
                e.span,
                label="sizes and `let`s only",
                notes=[Note(f"`{e.name}` is declared here", self.places[e.name])],
                help="declare a constant: let n = 3",
            )
        else:
            self.unknown(e.name, e.span)
        raise Unresolvable

    def size(self, e: syntax.Name) -> int:
        """The size of an axis as a number.

        Raises:
            Unresolvable: it is no axis, or only the data tell; reported.
        """
        if e.name not in self.axis_items:
            self.unknown_axis(e)
            raise Unresolvable
        size = self.axis(e.name).size
        if size is None:
            self.findings.error(
                "E0207",
                f"the size of `{e.name}` is only known from the data",
                e.span,
                notes=[Note(f"`{e.name}` is declared without a size", self.places[e.name])],
                help=f"give it one: axis {e.name} = ..",
            )
            raise Unresolvable
        return size


def _constant_help(e: syntax.Expr) -> str:
    """What is meant by something else than a constant where one is needed."""
    match e:
        case syntax.Text():
            return "numbers stand without quotes"
        case syntax.ListOf():
            return "a list is a table: let T[i] = [1, 2]; a product of axes is written (row, col)"
        case syntax.Call() if e.name == "range":
            return "write the size alone: labels count from 0; other labels are written -1..1"
        case syntax.Call():
            return f"operations of constants: {', '.join(_FUNCTIONS)}"
        case _:
            return "write the number, or give it a name: let n = 3"


def written_whole(text: str) -> int | None:
    """The whole number that a text of ``--set`` writes, if it is one that 64 bits hold."""
    plain = text.isascii() and text.isdecimal() and len(text.lstrip("0")) < 19
    return int(text.lstrip("0") or "0") if plain else None


def _plain_float(text: str) -> float:
    """A number as a spec writes it; no underscores, no digits of other scripts.

    Raises:
        ValueError: it is none.
    """
    if not text.isascii() or "_" in text or text.removeprefix("-").isdecimal():
        raise ValueError
    return float(text)


def shortened(text: str) -> str:
    """A text of the command line for a message."""
    return text if len(text) <= 40 else text[:37] + "..."


def _representable(value: float | int) -> float | int:
    """The value, if a 64-bit integer or a double holds it (``inf`` is a number of the language, NaN is none)."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise OverflowError
    if value != value:
        raise ValueError
    return value


def _bounded(value: float | int) -> float | int:
    if isinstance(value, int) and value.bit_length() > MOST_DIGITS:
        raise OverflowError
    return value


def _power(a: float | int, b: float | int) -> float | int:
    if isinstance(a, int) and isinstance(b, int) and b >= 0:
        if b * max(1, a.bit_length()) > MOST_DIGITS:
            raise OverflowError
        return a**b
    result = float(a) ** b
    if isinstance(result, complex):
        raise ValueError
    return result
