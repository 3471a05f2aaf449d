"""Syntax nodes: what the grammar says, nothing more.  Frozen; every node carries its span.

Names are not resolved here and nothing is evaluated.  ``frontend/transform.py`` is the only file that builds these
from Lark's trees, ``frontend/check/`` the only reader that gives them meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..diagnostics import Span

# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Expr:
    """Any expression.  Spans do not take part in equality: two equal texts at two places are equal nodes."""

    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Number(Expr):
    """``3``, ``0.5``, ``2e-3``; whole literals stay int."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Text(Expr):
    """A string literal (file and data-set names only)."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(Expr):
    """A name, a primed index (``hid'`` has primes 1) or a dotted path (``enc.std``, ``prior.mean``)."""

    name: str
    primes: int = 0


@dataclass(frozen=True, slots=True)
class Index(Expr):
    """``W[hid, pix]``: a name with index positions; a position is any expression."""

    name: str
    args: tuple[Expr, ...]
    name_span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """``-a`` (op ``-``)."""

    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """``a op b`` with op one of ``+ - * / // % ^``.

    Long sums are long chains of ``left``: walk them in a loop.  Otherwise trees are at most 600 nodes deep.
    """

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Compare(Expr):
    """A chain ``a < b <= c``: operands one longer than ops (``< <= > >= == !=``)."""

    ops: tuple[str, ...]
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Arg:
    """A call argument, positional (name None) or named."""

    name: str | None
    value: Expr
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """``name[axes](args) as alias``: an op, a distribution, a rule, a circuit, a data source or a metric.

    ``axes`` is None without brackets.  ``alias`` is the instance name of a circuit call.
    """

    name: str
    axes: tuple[Expr, ...] | None
    args: tuple[Arg, ...]
    name_span: Span = field(compare=False)
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Pipe(Expr):
    """``value |> Call |> name``: the value is the stage's first argument."""

    value: Expr
    stage: Expr


@dataclass(frozen=True, slots=True)
class ListOf(Expr):
    """``[[1, 0], [0, 1]]``."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Range(Expr):
    """``low..high``, both ends included (axis labels, column slices)."""

    low: Expr
    high: Expr


@dataclass(frozen=True, slots=True)
class ProductOf(Expr):
    """``(row, col)`` on the right of an axis declaration."""

    parts: tuple[Name, ...]


# ---------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class Stmt:
    """Any statement; ``doc`` is the text of the ``##`` comment lines right above it."""

    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Target:
    """The left side of an equation or update, or a declared tensor: ``h[hid]``; axes None when not written."""

    name: str
    axes: tuple[Expr, ...] | None
    span: Span = field(compare=False)
    name_span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class AxisItem:
    """One of ``axis a = .., b``: value None (size from data), an expression, a Range or a ProductOf."""

    name: str
    value: Expr | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class AxisDecl(Stmt):
    items: tuple[AxisItem, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Divided(Stmt):
    """An axis of the caller that a circuit declares as a product: made by writing calls out, not by the grammar.

    ``parts`` with the size that the circuit gives each; one that it leaves open (None) is solved for.
    """

    name: str
    parts: tuple[tuple[str, Expr | None], ...]


def label_axis(kind: Name | None) -> str | None:
    """The axis whose labels something of this kind holds; None of numbers and bools."""
    return kind.name if kind is not None and kind.name not in ("bool", "int", "real") else None


@dataclass(frozen=True, slots=True)
class InputDecl(Stmt):
    """``input x[pix]``, ``input y: cls``; kind None (real), "bool", "int" or the name of an axis."""

    target: Target
    kind: Name | None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """``D(args) ^ power`` as written after ``~``."""

    call: Call
    power: Expr | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Domain:
    """``in simplex[k]``: axes empty when no brackets."""

    name: str
    axes: tuple[Name, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Sparse:
    """``sparse fan_in(2)`` (call) or ``sparse where COND`` (condition).  The first ``each`` axes of the parameter are those
    of a family: entries are chosen for every one of its members."""

    call: Call | None
    condition: Expr | None
    span: Span = field(compare=False)
    each: int = 0


@dataclass(frozen=True, slots=True)
class ParamDecl(Stmt):
    target: Target
    kind: Name | None  # the axis of an integer parameter
    domain: Domain | None
    prior: Distribution | None
    init: Expr | None
    sparse: Sparse | None
    frozen: bool
    doc: str = ""


@dataclass(frozen=True, slots=True)
class LatentDecl(Stmt):
    target: Target
    kind: Name | None
    domain: Domain | None
    prior: Distribution | None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class LetItem:
    target: Target
    value: Expr
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class LetDecl(Stmt):
    items: tuple[LetItem, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class StateDecl(Stmt):
    """``state m = 0, v[d] = 0`` in a model, circuit or rule."""

    items: tuple[LetItem, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Update(Stmt):
    """``m[d] <- EXPR`` (also ``prior.mean <- EXPR`` in a rule)."""

    target: Target
    value: Expr


@dataclass(frozen=True, slots=True)
class Equation(Stmt):
    """``name[axes] = value start S``; role is "", "probe" or "output" (``output y[n] = ..`` declares both)."""

    target: Target
    value: Expr
    start: Expr | None
    role: str = ""
    doc: str = ""


@dataclass(frozen=True, slots=True)
class OutputDecl(Stmt):
    """``output s, h``: names only."""

    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class ProbeDecl(Stmt):
    """``probe h, s[cls], norm(W)``: reads and calls, no new names (``probe Z[..] = ..`` is an Equation with role "probe")."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class AssertStmt(Stmt):
    condition: Expr


@dataclass(frozen=True, slots=True)
class Density(Stmt):
    """``y[t+1] ~ D(..)^w``; in an `infer` block a guide, with ``default`` a circuit's own."""

    target: Expr  # Name or Index
    distribution: Distribution
    default: bool = False


@dataclass(frozen=True, slots=True)
class RuleLine(Stmt):
    """``SELECTOR, ... : Rule(args), Rule2``; a selector is a path with ``*``, a rule without parentheses has no arguments.

    ``default``: a circuit's own line, stronger only than a selector with ``*`` of the model.
    """

    selectors: tuple[Name, ...]
    rules: tuple[Call, ...]
    default: bool = False


@dataclass(frozen=True, slots=True)
class LearnBlock(Stmt):
    lines: tuple[Stmt, ...]  # RuleLine


@dataclass(frozen=True, slots=True)
class InferBlock(Stmt):
    lines: tuple[Stmt, ...]  # RuleLine or Density


@dataclass(frozen=True, slots=True)
class VarianceLine(Stmt):
    """``variance EXPR`` in a rule."""

    value: Expr


@dataclass(frozen=True, slots=True)
class ForwardLine(Stmt):
    """``forward EXPR`` in a rule."""

    value: Expr


@dataclass(frozen=True, slots=True)
class KeepLine(Stmt):
    """``keep COND`` in a rule."""

    condition: Expr


@dataclass(frozen=True, slots=True)
class StaticParam:
    """A rule's or circuit's parameter: ``lr``, ``b1 = 0.9``, ``n: axis``, ``act: op = identity``."""

    name: str
    kind: str | None
    default: Expr | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class RuleDecl(Stmt):
    name: str
    params: tuple[StaticParam, ...]
    domain: Domain  # `on real`, `on simplex[k]`, `on topology`
    body: tuple[Stmt, ...]
    name_span: Span = field(compare=False)
    doc: str = ""


@dataclass(frozen=True, slots=True)
class CircuitDecl(Stmt):
    name: str
    params: tuple[StaticParam, ...]
    body: tuple[Stmt, ...]
    name_span: Span = field(compare=False)
    doc: str = ""


@dataclass(frozen=True, slots=True)
class ModelDecl(Stmt):
    name: str
    body: tuple[Stmt, ...]
    name_span: Span = field(compare=False)
    doc: str = ""


@dataclass(frozen=True, slots=True)
class UseDecl(Stmt):
    """``use std.layers (A, B)`` (module) or ``use "mine.dlt" (A)`` (path)."""

    module: str | None
    path: str | None
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class ExternDecl(Stmt):
    """``extern op gate(x[d], v: circuit) -> y[d] = python "module:function"``."""

    name: str
    inputs: tuple[tuple[Target, str | None], ...]
    output: Target
    entry: str
    doc: str = ""


@dataclass(frozen=True, slots=True)
class MovedDecl(Stmt):
    """``moved A from B`` / ``extend A from B`` / ``dropped A`` (verb; source None for dropped)."""

    verb: str
    target: Name
    source: Name | None


@dataclass(frozen=True, slots=True)
class DataColumn(Stmt):
    """``x = data / 16`` in a data block."""

    name: str
    value: Expr
    name_span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class DataPart(Stmt):
    """``valid 0.1`` / ``test 0.2``."""

    part: str
    fraction: Expr


@dataclass(frozen=True, slots=True)
class DataBlock(Stmt):
    source: Call
    lines: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Setting(Stmt):
    """``batch 32``, ``batch all``, ``keep best``, ``stop after 5 without nll``, ``from start``, ``redraw``.

    ``words`` holds the literal words after the setting's name (``best``; ``after``, ``without``), ``values`` the
    expressions among them in order (numbers, names); a bare name that is a value (``float32``, ``all``, ``nll``) is a Name.
    """

    name: str
    words: tuple[str, ...]
    values: tuple[Expr, ...]
    name_span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class ReportLine(Stmt):
    """``report accuracy(y, s), nll every 50``; texts holds each metric exactly as written."""

    metrics: tuple[Expr, ...]
    texts: tuple[str, ...]
    every: Expr | None


@dataclass(frozen=True, slots=True)
class TrainBlock(Stmt):
    over: Name | None
    lines: tuple[Stmt, ...]  # Setting, ReportLine, LearnBlock, InferBlock


@dataclass(frozen=True, slots=True)
class Broken(Stmt):
    """A statement that did not parse; its diagnostic is already recorded.  Later stages skip it silently."""

    names: tuple[str, ...] = ()  # names it would have declared, so that reads of them raise no second error
    words: frozenset[str] = frozenset()  # all names in it, a `*` among them: what it may have been about
    block: bool = False  # whether it has braces, as a misspelt `learn` has


@dataclass(frozen=True, slots=True)
class File:
    """One parsed source: edition and top-level statements in order."""

    name: str
    edition: int
    body: tuple[Stmt, ...]
    span: Span = field(compare=False)
