"""From what the grammar matched to the syntax nodes: the only file that knows the shapes of Lark's trees.

A :class:`Builder` is handed to Lark, which calls the method named after a rule (or its alias) whenever it reduces that
rule.  Nodes are thus built from the leaves up, without a tree in between and without recursion, so that the length of
a sum is no limit.  Positions are copied into our own spans at once: ``base`` is where the parsed text starts in its
file.  A text that the grammar accepts but the language does not is refused with :class:`Refused`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NoReturn, cast

from lark import Token

from ..diagnostics import Span
from . import nodes as n

Kids = list[Any]  # what Lark hands to a method: tokens and the results of other methods

LARGEST_WHOLE = 2**63 - 1


class Refused(Exception):
    """The text follows the grammar but not the language; carries what the diagnostic needs."""

    def __init__(self, code: str, message: str, span: Span, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.help = code, message, span, help


@dataclass(frozen=True, slots=True)
class _Declared:
    """``name[axes]: kind`` before the clauses of a declaration."""

    target: n.Target
    kind: n.Name | None
    span: Span


@dataclass(frozen=True, slots=True)
class _Clause:
    """One clause of a declaration: ``in``, ``~``, ``init``, ``sparse`` or ``frozen``."""

    word: str
    value: Any
    span: Span


class Builder:
    """One method per rule of the grammar; call :meth:`at` before each parse."""

    def __init__(self) -> None:
        self.at("", 0, "")

    def at(self, file: str, base: int, text: str) -> None:
        """Say which text comes next and where it stands."""
        self._file, self._base, self._text = file, base, text

    # ------------------------------------------------------------ positions and small helpers

    def _from_to(self, first: Any, last: Any) -> Span:
        start: int = first.span.start if not isinstance(first, Token) else self._base + (first.start_pos or 0)
        end: int = last.span.end if not isinstance(last, Token) else self._base + (last.end_pos or 0)
        return Span(self._file, start, end)

    def _over(self, kids: Kids) -> Span:
        return self._from_to(kids[0], kids[-1])

    def _at(self, token: Token) -> Span:
        return self._from_to(token, token)

    def _name(self, token: Token) -> n.Name:
        return n.Name(self._at(token), token.value.rstrip("'"), token.value.count("'"))

    def _refuse(self, message: str, span: Span, help: str | None = None, code: str = "E0110") -> NoReturn:
        raise Refused(code, message, span, help)

    # ------------------------------------------------------------ expressions

    def number(self, kids: Kids) -> n.Number:
        span, text = self._over(kids), kids[0].value
        if text.isdigit():
            if len(text.lstrip("0")) > 19 or int(text[-20:]) > LARGEST_WHOLE:
                fix = f"a real number may be written with an exponent, as in {text[0]}e{len(text) - 1}"
                self._refuse("a whole number this large cannot be represented", span, fix, "E0114")
            return n.Number(span, int(text[-20:]))
        value = float(text)
        if math.isinf(value):
            self._refuse("a number this large cannot be represented", span, "write `inf` for infinity", "E0114")
        if value == 0 and any(c in "123456789" for c in text.lower().split("e")[0]):
            self._refuse("a number this small cannot be told from 0", span, "write `0`", "E0114")
        return n.Number(span, value)

    def text(self, kids: Kids) -> n.Text:
        return n.Text(self._over(kids), kids[0].value[1:-1])

    def primed(self, kids: Kids) -> n.Name:
        return self._name(kids[0])

    index_name = primed
    ref = primed

    def binary(self, kids: Kids) -> n.Binary:
        left, op, right = kids
        return n.Binary(self._from_to(left, right), op.value, left, right)

    def negate(self, kids: Kids) -> n.Unary:
        return n.Unary(self._over(kids), "-", kids[1])

    def compare(self, kids: Kids) -> n.Compare:
        return n.Compare(self._over(kids), tuple(op.value for op in kids[1::2]), tuple(kids[::2]))

    def pipe(self, kids: Kids) -> n.Pipe:
        return n.Pipe(self._over(kids), kids[0], kids[2])

    def parens(self, kids: Kids) -> n.Expr:
        return replace(kids[1], span=self._over(kids))

    def list_of(self, kids: Kids) -> n.ListOf:
        return n.ListOf(self._over(kids), tuple(kids[1:-1:2]))

    def range(self, kids: Kids) -> n.Range:
        return n.Range(self._over(kids), kids[0], kids[2])

    def product_axis(self, kids: Kids) -> n.ProductOf:
        for part in kids[1:-1:2]:
            if "." in part.name:
                self._refuse(f"`{part.name}` is not the name of an axis", part.span)
        return n.ProductOf(self._over(kids), tuple(kids[1:-1:2]))

    def indexed(self, kids: Kids) -> n.Index:
        return n.Index(self._over(kids), kids[0].name, tuple(kids[2:-1:2]), kids[0].span)

    def call(self, kids: Kids) -> n.Call:
        head, args = kids[0], tuple(kids[2:-1:2])
        axes = head.args if isinstance(head, n.Index) else None
        name_span = head.name_span if isinstance(head, n.Index) else head.span
        return n.Call(self._over(kids), head.name, axes, args, name_span)

    def aliased(self, kids: Kids) -> n.Call:
        return replace(kids[0], alias=kids[2].value, span=self._over(kids))

    def arg(self, kids: Kids) -> n.Arg:
        if len(kids) == 1:
            return n.Arg(None, kids[0], kids[0].span)
        return n.Arg(kids[0].value, kids[2], self._over(kids))

    # ------------------------------------------------------------ parts of declarations

    def target(self, kids: Kids) -> n.Target:
        axes = tuple(kids[2:-1:2]) if len(kids) > 1 else None
        return n.Target(kids[0].value, axes, self._over(kids), self._at(kids[0]))

    def _plain(self, target: n.Target) -> n.Target:
        if "." in target.name:
            self._refuse("a name that is declared here has no dot", target.name_span, "write a plain name")
        return target

    def declared(self, kids: Kids) -> _Declared:
        self._plain(kids[0])
        return _Declared(kids[0], self._name(kids[2]) if len(kids) > 1 else None, self._over(kids))

    def domain(self, kids: Kids) -> n.Domain:
        return n.Domain(kids[0].value, tuple(kids[2:-1:2]), self._over(kids))

    def distribution(self, kids: Kids) -> n.Distribution:
        return n.Distribution(kids[0], kids[2] if len(kids) > 1 else None, self._over(kids))

    def in_clause(self, kids: Kids) -> _Clause:
        return _Clause(kids[0].value, kids[-1], self._over(kids))

    prior_clause = in_clause
    init_clause = in_clause
    frozen_clause = in_clause

    def sparse_clause(self, kids: Kids) -> _Clause:
        span = self._over(kids)
        return _Clause("sparse", n.Sparse(kids[1], None, span), span)

    def sparse_where(self, kids: Kids) -> _Clause:
        span = self._over(kids)
        return _Clause("sparse", n.Sparse(None, kids[2], span), span)

    def static(self, kids: Kids) -> n.StaticParam:
        kind = kids[2].value if len(kids) > 1 and kids[1].type == "COLON" else None
        default = kids[-1] if isinstance(kids[-1], n.Expr) else None
        return n.StaticParam(kids[0].value, kind, default, self._over(kids))

    def extern_input(self, kids: Kids) -> tuple[n.Target, str | None]:
        return self._plain(kids[0]), kids[2].value if len(kids) > 1 else None

    # ------------------------------------------------------------ declarations

    def axis_item(self, kids: Kids) -> n.AxisItem:
        return n.AxisItem(kids[0].value, kids[2] if len(kids) > 1 else None, self._over(kids))

    def axis_decl(self, kids: Kids) -> n.AxisDecl:
        return n.AxisDecl(self._over(kids), tuple(kids[1::2]))

    def input_decl(self, kids: Kids) -> n.InputDecl:
        return n.InputDecl(self._over(kids), kids[1].target, kids[1].kind)

    def param_decl(self, kids: Kids) -> n.ParamDecl:
        found = self._clauses(kids, ("in", "~", "init", "sparse", "frozen"))
        declared: _Declared = kids[1]
        return n.ParamDecl(
            self._over(kids),
            declared.target,
            declared.kind,
            found.get("in"),
            found.get("~"),
            found.get("init"),
            found.get("sparse"),
            "frozen" in found,
        )

    def latent_decl(self, kids: Kids) -> n.LatentDecl:
        found = self._clauses(kids, ("in", "~"))
        return n.LatentDecl(self._over(kids), kids[1].target, kids[1].kind, found.get("in"), found.get("~"))

    def _clauses(self, kids: Kids, allowed: Sequence[str]) -> dict[str, Any]:
        """The clauses by their word: each at most once, the domain before the prior, both before the rest."""
        found: dict[str, Any] = {}
        for clause in kids[2:]:
            if clause.word not in allowed:
                self._refuse(f"a latent has no `{clause.word}`", clause.span, "a latent is found by `infer`")
            if clause.word in found:
                self._refuse(f"`{clause.word}` is written twice", clause.span, "keep one of them")
            if clause.word == "in" and found:
                self._refuse(
                    "the domain stands before the prior", clause.span, f"write it after `{kids[1].target.name}`"
                )
            if clause.word == "~" and found.keys() - {"in"}:
                fix = "write the prior right after the name and its domain"
                self._refuse(f"the prior stands before `{next(w for w in found if w != 'in')}`", clause.span, fix)
            found[clause.word] = clause.value
        return found

    def let_item(self, kids: Kids) -> n.LetItem:
        return n.LetItem(self._plain(kids[0]), kids[2], self._over(kids))

    def let_decl(self, kids: Kids) -> n.LetDecl:
        return n.LetDecl(self._over(kids), tuple(kids[1::2]))

    def scalar_state(self, kids: Kids) -> n.LetItem:
        target = n.Target(kids[0].value, (), self._from_to(kids[0], kids[2]), self._at(kids[0]))
        return n.LetItem(self._plain(target), kids[4], self._over(kids))

    def state_decl(self, kids: Kids) -> n.StateDecl:
        return n.StateDecl(self._over(kids), tuple(kids[1::2]))

    def definition(self, kids: Kids) -> n.Equation:
        return n.Equation(self._over(kids), self._plain(kids[0]), kids[2], kids[4] if len(kids) > 3 else None)

    equation = definition

    def probe_decl(self, kids: Kids) -> n.Stmt:
        if isinstance(kids[1], n.Equation):
            return replace(kids[1], role="probe", span=self._over(kids))
        return n.ProbeDecl(self._over(kids), tuple(kids[1::2]))

    def probed(self, kids: Kids) -> n.Expr:
        """A name, a read or a call (each begins like the left side of an equation, which may stand there too)."""
        left: n.Target = kids[0]
        name = n.Name(left.span, left.name)
        read = n.Index(left.span, left.name, left.axes, left.name_span) if left.axes is not None else name
        return read if len(kids) == 1 else self.call([read, *kids[1:]])

    def output_decl(self, kids: Kids) -> n.Stmt:
        if isinstance(kids[1], n.Equation):
            return replace(kids[1], role="output", span=self._over(kids))
        return n.OutputDecl(self._over(kids), tuple(kids[1::2]))

    def assert_decl(self, kids: Kids) -> n.AssertStmt:
        return n.AssertStmt(self._over(kids), kids[1])

    def density(self, kids: Kids) -> n.Density:
        left: n.Target = kids[0]
        target: n.Expr = n.Name(left.span, left.name)
        if left.axes is not None:
            target = n.Index(left.span, left.name, left.axes, left.name_span)
        return n.Density(self._over(kids), target, kids[2])

    def update(self, kids: Kids) -> n.Update:
        return n.Update(self._over(kids), kids[0], kids[2])

    # ------------------------------------------------------------ lines of blocks

    def rule_fact(self, kids: Kids) -> n.Stmt:
        kinds = {"variance": n.VarianceLine, "forward": n.ForwardLine, "keep": n.KeepLine}
        return kinds[kids[0].value](self._over(kids), kids[1])

    def selector(self, kids: Kids) -> n.Name:
        return n.Name(self._over(kids), kids[0].value)

    def bare_rule(self, kids: Kids) -> n.Call:
        span = self._over(kids)
        return n.Call(span, kids[0].value, None, (), span)

    def rule_line(self, kids: Kids) -> n.RuleLine:
        selectors = tuple(k for k in kids if isinstance(k, n.Name))
        return n.RuleLine(self._over(kids), selectors, tuple(k for k in kids if isinstance(k, n.Call)))

    def column(self, kids: Kids) -> n.DataColumn:
        return n.DataColumn(self._over(kids), kids[0].value, kids[2], self._at(kids[0]))

    def part(self, kids: Kids) -> n.DataPart:
        return n.DataPart(self._over(kids), kids[0].value, kids[1])

    def plain_setting(self, kids: Kids) -> n.Setting:
        words = tuple(k.value for k in kids[1:] if isinstance(k, Token))
        values = tuple(k for k in kids[1:] if isinstance(k, n.Expr))
        return n.Setting(self._over(kids), kids[0].value, words, values, self._at(kids[0]))

    worded_setting = plain_setting

    def report_line(self, kids: Kids) -> n.ReportLine:
        every = kids[-1] if isinstance(kids[-2], Token) and kids[-2].type == "EVERY" else None
        metrics = tuple(k for k in kids if isinstance(k, n.Expr) and k is not every)
        texts = tuple(self._text[m.span.start - self._base : m.span.end - self._base] for m in metrics)
        return n.ReportLine(self._over(kids), metrics, texts, every)

    # ------------------------------------------------------------ statements of a file

    def use_decl(self, kids: Kids) -> n.UseDecl:
        names = tuple(k for k in kids if isinstance(k, n.Name))
        for name in names:
            if "." in name.name:
                self._refuse("a plain name is imported here", name.span, "write the module before the parenthesis")
        if kids[1].type == "STRING":
            return n.UseDecl(self._over(kids), None, kids[1].value[1:-1], names)
        return n.UseDecl(self._over(kids), kids[1].value, None, names)

    def extern_decl(self, kids: Kids) -> n.ExternDecl:
        inputs = tuple(cast("tuple[n.Target, str | None]", k) for k in kids if isinstance(k, tuple))
        output = next(k for k in kids if isinstance(k, n.Target))
        return n.ExternDecl(self._over(kids), kids[2].value, inputs, output, kids[-1].value[1:-1])

    def moved_decl(self, kids: Kids) -> n.MovedDecl:
        return n.MovedDecl(self._over(kids), kids[0].value, kids[1], kids[3] if len(kids) > 2 else None)

    # ------------------------------------------------------------ headers (blocks without their content) and blocks

    def model_head(self, kids: Kids) -> n.ModelDecl:
        return n.ModelDecl(self._over(kids), kids[1].value, (), self._at(kids[1]))

    def circuit_head(self, kids: Kids) -> n.CircuitDecl:
        params = tuple(k for k in kids if isinstance(k, n.StaticParam))
        return n.CircuitDecl(self._over(kids), kids[1].value, params, (), self._at(kids[1]))

    def rule_head(self, kids: Kids) -> n.RuleDecl:
        params = tuple(k for k in kids if isinstance(k, n.StaticParam))
        return n.RuleDecl(self._over(kids), kids[1].value, params, kids[-1], (), self._at(kids[1]))

    def learn_head(self, kids: Kids) -> n.LearnBlock:
        return n.LearnBlock(self._over(kids), ())

    def infer_head(self, kids: Kids) -> n.InferBlock:
        return n.InferBlock(self._over(kids), ())

    def data_head(self, kids: Kids) -> n.DataBlock:
        return n.DataBlock(self._over(kids), kids[2], ())

    def train_head(self, kids: Kids) -> n.TrainBlock:
        return n.TrainBlock(self._over(kids), self._name(kids[2]) if len(kids) > 1 else None, ())

    def model(self, kids: Kids) -> n.Stmt:
        content = tuple(k for k in kids[1:] if isinstance(k, n.Stmt))
        return filled(kids[0], content, self._over(kids).end)

    circuit = model
    rule = model
    learn = model
    infer = model
    data = model
    train = model

    def edition(self, kids: Kids) -> int:
        return int(kids[1].value)

    def file(self, kids: Kids) -> n.File:
        whole = Span(self._file, self._base, self._base + len(self._text))
        edition = next(k for k in kids if isinstance(k, int))
        return n.File(self._file, edition, tuple(k for k in kids if isinstance(k, n.Stmt)), whole)


def filled(head: n.Stmt, content: tuple[n.Stmt, ...], end: int) -> n.Stmt:
    """The block that a header opens, with its content, reaching to ``end``."""
    whole = Span(head.span.file, head.span.start, end)
    if isinstance(head, n.ModelDecl | n.CircuitDecl | n.RuleDecl):
        return replace(head, body=content, span=whole)
    if isinstance(head, n.LearnBlock | n.InferBlock | n.DataBlock | n.TrainBlock):
        return replace(head, lines=content, span=whole)
    return head


def documented(node: n.Stmt, doc: str) -> n.Stmt:
    """The declaration with its documentation; statements that carry none stay as they are."""
    if doc and any(f.name == "doc" for f in fields(node)):
        settable: Any = node
        return replace(settable, doc=doc)
    return node
