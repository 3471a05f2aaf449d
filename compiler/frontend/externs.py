"""`extern op`: operations that Python computes, as typed holes (language, section 5).

A declaration says over which axes the function takes and gives arrays; a call binds those axes to the caller's, and what
the arguments have beyond them is mapped over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from ..diagnostics import Findings, Note, did_you_mean
from . import nodes as syntax
from .distributions import DISTRIBUTIONS
from .model import Expr, ExternCall
from .operations import OPERATION_NAMES
from .scope import Scope, Unresolvable, named

if TYPE_CHECKING:
    from .elaborate import Context, Elaborator
    from .shown import Shown

Group = tuple[str, ...]
"""The leaves that one axis of a declaration is bound to."""

SHORT = 16
"""Letters of a file's SHA-256 that stand for it in emitted code."""

STATIC = ("axis", "int", "real")
"""Kinds of inputs that are fixed when the spec is compiled."""


@dataclass(frozen=True)
class Extern:
    """A declared operation.

    Attributes:
        digest: the start of the SHA-256 of the Python file beside the spec; empty where the module is installed elsewhere.
    """

    decl: syntax.ExternDecl
    digest: str

    @property
    def tensors(self) -> list[syntax.Target]:
        """The inputs that are arrays, in order."""
        return [target for target, kind in self.decl.inputs if kind is None]

    @property
    def static(self) -> dict[str, str]:
        """Name and kind of every other input."""
        return {target.name: kind for target, kind in self.decl.inputs if kind is not None}

    @property
    def signature(self) -> str:
        """``gate(x[d], n: axis) -> y[n]``."""
        parts = [f"{t.name}: {kind}" if kind else _written(t) for t, kind in self.decl.inputs]
        return f"{self.decl.name}({', '.join(parts)}) -> {_written(self.decl.output)}"


@dataclass
class Externs:
    """The operations that a file declares; reads the Python files that they live in."""

    findings: Findings
    allowed: bool
    read: Callable[[str], str] | None
    known: dict[str, Extern] = field(default_factory=dict[str, Extern])
    failed: set[str] = field(default_factory=set[str])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    """Of the Python files beside the spec, by path."""

    def declare(self, s: syntax.ExternDecl) -> None:
        """Enter a declaration; what is wrong with it is reported."""
        try:
            self._check(s)
            self.known[s.name] = Extern(s, self._digest(s))
        except Unresolvable:
            self.failed.add(s.name)

    def _check(self, s: syntax.ExternDecl) -> None:
        before = len(self.findings.errors)
        if not self.allowed:
            message = f"`{s.name}` runs Python code, which nobody has allowed"
            self.findings.error("E0250", message, s.span, help="if you trust the file, pass --allow-extern")
        self._check_name(s)
        module, colon, function = s.entry.partition(":")
        if not (colon and function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
            fix = f'write python "module:function", such as "my_ops:{s.name}"'
            self.findings.error("E0251", f'"{s.entry}" names no Python function', s.span, help=fix)
        bound: set[str] = set()
        for target, kind in s.inputs:
            self._check_kind(target, kind)
            bound |= {target.name} if kind == "axis" else {*_axes(target)} if kind is None else set[str]()
        for target in [t for t, kind in s.inputs if kind is None] + [s.output]:
            axes = _axes(target)
            if len(axes) != len(target.axes or ()) or len(set(axes)) != len(axes):
                message = f"`{target.name}` is declared with names of axes, each once"
                self.findings.error("E0251", message, target.span, help="prime the second one: x[d, d']")
        free = [axis for axis in _axes(s.output) if axis not in bound]
        if free:
            message = f"no input of `{s.name}` says what `{free[0]}` is"
            self.findings.error("E0251", message, s.output.span, help=f"give it an input `{free[0]}: axis`")
        if len(self.findings.errors) > before:
            raise Unresolvable

    def _check_name(self, s: syntax.ExternDecl) -> None:
        notes: list[Note] = []
        if s.name in self.known:
            notes.append(Note(f"`{s.name}` is first declared here", self.known[s.name].decl.span))
        elif s.name not in (*OPERATION_NAMES, *DISTRIBUTIONS, "size", "label", "posterior"):
            return
        message = f"`{s.name}` is {'declared twice' if notes else 'a name of the language already'}"
        self.findings.error("E0205", message, s.span, notes=notes, help="choose another name")

    def _check_kind(self, target: syntax.Target, kind: str | None) -> None:
        if kind == "circuit":
            self.findings.error("E0901", "a circuit that Python calls back is not compiled yet", target.span)
        elif kind is not None and kind not in STATIC:
            fix = did_you_mean(kind, STATIC) or f"write {target.name}: {', '.join(STATIC[:-1])} or {STATIC[-1]}"
            message = f"`{kind}` is no kind of input for an `extern` operation"
            self.findings.error("E0243", message, target.span, help=fix)

    def _digest(self, s: syntax.ExternDecl) -> str:
        """The hash of the Python file, if it lies beside the spec."""
        path = s.entry.partition(":")[0].replace(".", "/") + ".py"
        if path not in self.texts and self.read is not None:
            try:
                self.texts[path] = self.read(path)
            except (OSError, UnicodeDecodeError):
                return ""
        return hashlib.sha256(self.texts[path].encode()).hexdigest()[:SHORT] if path in self.texts else ""


@dataclass(frozen=True)
class Bound:
    """What a call binds: each array input's argument with the leaves of its own axes, the result's, and what is fixed."""

    args: tuple[syntax.Expr, ...]
    own: tuple[tuple[Group, ...], ...]
    out: tuple[Group, ...]
    static: tuple[tuple[str, int | float], ...]

    @property
    def inside(self) -> frozenset[str]:
        """The leaves that the function sees."""
        return frozenset(leaf for groups in self.own for group in groups for leaf in group)


class Binder:
    """Binds calls of `extern` operations within one model."""

    def __init__(self, known: dict[str, Extern], scope: Scope, shown: Shown) -> None:
        self.known = known
        self.scope = scope
        self.shown = shown

    def __contains__(self, call: syntax.Call) -> bool:
        return call.name in self.known

    def shows(self, call: syntax.Call) -> frozenset[str]:
        """The indices that a call shows; those of its arguments where it cannot be bound (reported when elaborated)."""
        inner = frozenset[str]().union(*(self.shown(a.value) for a in call.args))
        quiet = Findings(self.scope.findings.sources)
        try:
            bound = self.bind(call, quiet)
        except Unresolvable:
            return inner
        args = frozenset[str]().union(*map(self.shown, bound.args))
        return args - bound.inside | frozenset(leaf for group in bound.out for leaf in group)

    def bind(self, call: syntax.Call, findings: Findings) -> Bound:
        """What the call's arguments are to the operation.

        Raises:
            Unresolvable: they do not fit; reported.
        """
        op = self.known[call.name]
        given = self._given(call, op, findings)
        axes: dict[str, Group] = {}
        static: list[tuple[str, int | float]] = []
        for name, kind in op.static.items():
            if kind == "axis":
                axes[name] = self._axis(op, name, given[name], findings)
            static.append((name, self._fixed(op, name, kind, given[name], axes, findings)))
        own = tuple(self._own(op, target, given[target.name], axes, findings) for target in op.tensors)
        args = tuple(given[target.name] for target in op.tensors)
        return Bound(args, own, tuple(axes[axis] for axis in _axes(op.decl.output)), tuple(static))

    def _given(self, call: syntax.Call, op: Extern, findings: Findings) -> dict[str, syntax.Expr]:
        """The arguments by the names of the inputs."""
        names = [target.name for target, _ in op.decl.inputs]
        given: dict[str, syntax.Expr] = {}
        notes = [Note(f"`{call.name}` is declared here", op.decl.span)]
        for position, arg in enumerate(call.args):
            name = arg.name if arg.name is not None else names[position] if position < len(names) else None
            if name is None or name not in names or name in given:
                message = (
                    f"`{call.name}` has no further input" if name is None else f"`{call.name}` has no input `{name}`"
                )
                message = f"`{name}` of `{call.name}` is given twice" if name in given else message
                fix = (did_you_mean(name, names) if name else None) or f"it is {op.signature}"
                findings.error("E0230", message, arg.span, notes=notes, help=fix)
                raise Unresolvable
            given[name] = arg.value
        missing = [name for name in names if name not in given]
        if missing or call.axes is not None or call.alias is not None:
            message = (
                f"`{call.name}` needs `{missing[0]}`" if missing else f"`{call.name}` takes neither brackets nor `as`"
            )
            findings.error("E0230", message, call.span, notes=notes, help=f"it is {op.signature}")
            raise Unresolvable
        return given

    def _axis(self, op: Extern, name: str, e: syntax.Expr, findings: Findings) -> Group:
        if not isinstance(e, syntax.Name) or not self.scope.is_axis(e.name):
            message = f"`{name}` of `{op.decl.name}` is an axis"
            findings.error("E0230", message, e.span, help=f"name one: {name} = hid")
            raise Unresolvable
        return self.scope.indices(e)

    def _fixed(
        self, op: Extern, name: str, kind: str, e: syntax.Expr, axes: dict[str, Group], findings: Findings
    ) -> int | float:
        """The number that an input fixed at compile time is; of an axis its size."""
        if kind != "axis":
            return self.scope.whole(e) if kind == "int" else float(self.scope.number(e))
        size = self._size(axes[name])
        if size is None:
            message = f"the size of `{name}` of `{op.decl.name}` is only known from the data"
            findings.error("E0207", message, e.span, help="give the axis a size")
            raise Unresolvable
        return size

    def _own(
        self, op: Extern, target: syntax.Target, e: syntax.Expr, axes: dict[str, Group], findings: Findings
    ) -> tuple[Group, ...]:
        """The leaves of an input's own axes: by name, else the argument's last ones."""
        wanted = _axes(target)
        groups = self._groups(e)
        names = [name for name, _ in groups] if groups is not None else []
        notes = [Note(f"`{op.decl.name}` is declared here", op.decl.span)]
        if groups is not None and all(axis in names for axis in wanted):
            found = [dict(groups)[axis] for axis in wanted]
        elif groups is not None and len(groups) >= len(wanted):
            found = [group for _, group in groups[len(groups) - len(wanted) :]]
        elif groups is None and len(wanted) == 1 and len(self.shown(e)) == 1:
            found = [tuple(self.shown(e))]
        elif groups is None and all(self.scope.is_axis(axis) for axis in wanted):
            found = [self.scope.indices(syntax.Name(e.span, axis)) for axis in wanted]
        else:
            has = (
                f"it has {', '.join(names) or 'no axes'}"
                if groups is not None
                else "which of its axes they are is not said"
            )
            message = f"`{target.name}` of `{op.decl.name}` is over {', '.join(wanted)}; {has}"
            help = "give the argument a name in an equation of its own" if groups is None else f"it is {op.signature}"
            findings.error("E0232", message, e.span, notes=notes, help=help)
            raise Unresolvable
        for axis, group in zip(wanted, found, strict=True):
            first = axes.setdefault(axis, group)
            if self._size(first) != self._size(group):
                sizes = f"{self._size(first) or 'from data'} and {self._size(group) or 'from data'}"
                message = (
                    f"`{axis}` of `{op.decl.name}` is `{', '.join(first)}` and `{', '.join(group)}` at once ({sizes})"
                )
                findings.error("E0232", message, e.span, notes=notes, help="arguments share the axes of one name")
                raise Unresolvable
        return tuple(found)

    def _groups(self, e: syntax.Expr) -> list[tuple[str, Group]] | None:
        """The argument's axes in order, by the names that it writes.  Those of an expression stand in the order of the
        equation's left side; None where it has others only."""
        tensor = self.scope.tensors.get(e.name) if isinstance(e, (syntax.Name, syntax.Index)) else None
        if tensor is None or not isinstance(e, (syntax.Name, syntax.Index)):
            shown = self.shown(e)
            left = [(name, self.scope.indices(named(name, e.span))) for name in self.shown.left]
            found = [(name, group) for name, group in left if shown.issuperset(group)]
            return found if found or not shown else None
        declared = [named(name, e.span) for name in tensor.declared]
        if isinstance(e, syntax.Name):
            written = declared
        else:
            written = [arg for arg in e.args if isinstance(arg, syntax.Name) and self.scope.is_axis(arg.name)]
            written += declared[len(e.args) :]
        return [(name.name + "'" * name.primes, self.scope.indices(name)) for name in written]

    def _size(self, group: Group) -> int | None:
        sizes = [self.scope.axis(leaf.rstrip("'")).size for leaf in group]
        known = [size for size in sizes if size is not None]
        return prod(known) if len(known) == len(sizes) else None


def call(binder: Binder, e: syntax.Call, elaborator: Elaborator, context: Context) -> Expr:
    """The typed form of a call.

    Raises:
        Unresolvable: it does not fit the declaration; reported.
    """
    bound = binder.bind(e, elaborator.findings)
    op = binder.known[e.name]
    args: list[Expr] = []
    for arg, groups in zip(bound.args, bound.own, strict=True):
        leaves = frozenset(leaf for group in groups for leaf in group)
        made = elaborator.visit(arg, context.binding(leaves))
        if not leaves <= made.axes:
            lacking = ", ".join(sorted(leaves - made.axes))
            message = f"an argument of `{e.name}` does not have the index `{lacking}`"
            elaborator.findings.error("E0232", message, arg.span, help=f"it is {op.signature}")
            raise Unresolvable
        args.append(made)
    mapped = frozenset[str]().union(
        *(arg.axes - {leaf for group in groups for leaf in group} for arg, groups in zip(args, bound.own, strict=True))
    )
    out = frozenset(leaf for group in bound.out for leaf in group)
    clash = mapped & (out | bound.inside)
    if clash:
        message = f"`{e.name}` is mapped over `{min(clash)}`, which is an index of its own here"
        elaborator.findings.error("E0232", message, e.span, help=f"prime one of them: {min(clash)}'")
        raise Unresolvable
    elaborator.check_open(out, e, context)
    return ExternCall(
        mapped | out, "real", e.span, e.name, op.decl.entry, op.digest, tuple(args), bound.own, bound.out, bound.static
    )


def _axes(target: syntax.Target) -> list[str]:
    """The axes that a declaration writes, primes included."""
    return [a.name + "'" * a.primes for a in target.axes or () if isinstance(a, syntax.Name)]


def _written(target: syntax.Target) -> str:
    axes = _axes(target)
    return f"{target.name}[{', '.join(axes)}]" if axes else target.name
