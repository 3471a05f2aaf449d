"""The `data` block: its source, column expressions and parts, checked before anything is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..diagnostics import Findings, Note, Span, did_you_mean, suggest
from . import nodes as syntax
from .model import Data, Model
from .scope import Scope, Unresolvable
from .sources import Source, SourceReader
from .walk import depth, walk

DEEPEST_COLUMN = 100
"""Levels of a column expression, operators one after the other among them; the manifest holds it as nested lists."""

_BINARY = {"+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod", "^": "pow"}
_COMPARE = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
_FUNCTIONS = ("standardize", "log1p", "exp", "log", "sqrt", "abs")


class DataReader:
    """One data block."""

    def __init__(
        self, model: Model, scope: Scope, findings: Findings, models: Mapping[str, Callable[[], Model | None]]
    ) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.models = models
        self.source = Source({}, None)
        self.tasks: str | None = None  # the axis whose labels the columns read
        self.unclear: set[str] = set()  # inputs that a misspelt column was most likely meant for

    def read(self, block: syntax.DataBlock) -> None:
        """Fill ``model.data``; columns of bundled data sets are checked by name, size and range."""
        try:
            self.source = SourceReader(self.scope, self.findings, self.models).read(block.source)
        except Unresolvable:
            return
        parts = {"valid": 0.0, "test": 0.0}
        columns: dict[str, Any] = {}
        spans: dict[str, Span] = {}
        for line in block.lines:
            if isinstance(line, syntax.DataPart):
                parts[line.part] = self._fraction(line)
            elif isinstance(line, syntax.DataColumn):
                self._column(line, columns, spans)
        if parts["valid"] + parts["test"] >= 1:
            self.findings.error(
                "E0609", "nothing is left to train on", block.span, help="valid and test together must stay below 1"
            )
        unclear = self.unclear.union(*(line.words for line in block.lines if isinstance(line, syntax.Broken)))
        for name, item in self.model.inputs.items():
            if name not in columns and name not in spans and name not in unclear:
                self.findings.error(
                    "E0603",
                    f"the input `{name}` has no column",
                    block.source.span,
                    notes=[Note(f"`{name}` is declared here", item.tensor.span)],
                    help=f"add a line: {name} = ..",
                )
        source, teacher = self.source.facts, self.source.teacher
        places = spans, block.span, block.source.span
        self.model.data = Data(source, columns, parts["valid"], parts["test"], *places, teacher, self.tasks)

    def _fraction(self, line: syntax.DataPart) -> float:
        try:
            value = float(self.scope.number(line.fraction))
        except Unresolvable:
            return 0.0
        if not 0 <= value < 1:
            self.findings.error(
                "E0609",
                f"`{line.part} {value:g}` is not a part of the data",
                line.fraction.span,
                help=f"write a fraction, for instance {line.part} 0.2",
            )
            return 0.0
        return value

    def _column(self, line: syntax.DataColumn, columns: dict[str, Any], spans: dict[str, Span]) -> None:
        if line.name not in self.model.inputs:
            if line.name not in self.scope.broken | self.scope.broken_lengths:
                close = suggest(line.name, self.model.inputs)
                self.unclear.add(close or "")
                fix = f"did you mean `{close}`?" if close is not None else f"inputs: {', '.join(self.model.inputs)}"
                fix = f"write `{line.name} 0.2`, without a sign" if line.name in ("valid", "test") else fix
                self.findings.error("E0603", f"`{line.name}` is not an input", line.name_span, help=fix)
            return
        if line.name in spans:
            self.findings.error(
                "E0603",
                f"the input `{line.name}` has two columns",
                line.name_span,
                notes=[Note("the first one is here", spans[line.name])],
                help="keep one of them",
            )
            return
        spans[line.name] = line.value.span
        if depth(line.value) > DEEPEST_COLUMN:
            message = f"a column expression may be {DEEPEST_COLUMN} levels deep"
            self.findings.error("E0106", message, line.value.span, help="prepare the data before, in the file itself")
            return
        try:
            columns[line.name] = self._tree(line.value)
            self._check_shape(line)
        except Unresolvable:
            return

    def _tree(self, e: syntax.Expr) -> list[Any]:
        """A column expression as the tree that the manifest holds."""
        match e:
            case syntax.Number():
                return ["num", e.value]
            case syntax.Name() if e.name in self.scope.let_items:
                return ["num", self.scope.let(e.name)]
            case syntax.Name():
                return ["column", self._known(e.name, e.span)]
            case syntax.Index() if len(e.args) == 1 and isinstance(e.args[0], syntax.Range):
                low, high = self.scope.whole(e.args[0].low), self.scope.whole(e.args[0].high)
                return ["slice", self._known(e.name, e.name_span), low, high]
            case syntax.Index() if len(e.args) == 1 and isinstance(e.args[0], syntax.Number):
                place = self.scope.whole(e.args[0])
                return ["slice", self._known(e.name, e.name_span), place, place]
            case syntax.Unary():
                return ["call", "neg", self._tree(e.operand)]
            case syntax.Binary():
                return ["call", _BINARY[e.op], self._tree(e.left), self._tree(e.right)]
            case syntax.Compare():
                parts = [self._tree(x) for x in e.operands]
                links = [["call", _COMPARE[op], a, b] for op, a, b in zip(e.ops, parts, parts[1:], strict=False)]
                return _all_of(links)
            case syntax.Call() if e.name in _FUNCTIONS and len(e.args) == 1:
                return ["call", e.name, self._tree(e.args[0].value)]
            case syntax.Call() if e.name == "label" and len(e.args) == 1 and isinstance(e.args[0].value, syntax.Name):
                return self._label(e.args[0].value)
            case syntax.Call() if e.name == "permute":
                return self._permute(e)
            case syntax.Call():
                self.findings.error(
                    "E0212",
                    f"unknown column operation `{e.name}`",
                    e.name_span,
                    help=did_you_mean(e.name, [*_FUNCTIONS, "permute"])
                    or f"there are {', '.join(_FUNCTIONS)}, permute",
                )
            case _:
                self.findings.error("E0215", "this cannot stand in a column expression", e.span)
        raise Unresolvable

    def _permute(self, e: syntax.Call) -> list[Any]:
        """``permute(c, seed = 3)``: the numbers of each row in another order, the same in every row."""
        values = [a.value for a in e.args if a.name is None]
        seeds = [a.value for a in e.args if a.name == "seed"]
        if len(values) != 1 or len(seeds) != 1 or len(e.args) != 2 or e.axes is not None:
            self.findings.error(
                "E0213", "`permute` takes a column and a seed", e.span, help="write permute(c, seed = 1)"
            )
            raise Unresolvable
        if any(isinstance(n, syntax.Name) and n.name in self.scope.axis_items for n in walk(seeds[0])):
            return ["permute", self._tree(values[0]), self._of_labels(seeds[0])]
        seed = self.scope.whole(seeds[0])
        if not 0 <= seed < 2**63:
            self.findings.error("E0702", "`seed` must be a whole number from 0", seeds[0].span, help="write seed = 1")
            raise Unresolvable
        return ["permute", self._tree(values[0]), seed]

    def _of_labels(self, e: syntax.Expr) -> list[Any]:
        """A whole number for each label of the axis of `train over`: ``task``, ``10 * task + 1``."""
        match e:
            case syntax.Number():
                return ["num", self.scope.whole(e)]
            case syntax.Name() if e.name in self.scope.axis_items:
                return self._label(e)
            case syntax.Binary() if e.op in ("+", "*"):
                return ["call", _BINARY[e.op], self._of_labels(e.left), self._of_labels(e.right)]
            case _:
                self.findings.error("E0215", "a seed is made of whole numbers and labels, by + and *", e.span)
                raise Unresolvable

    def _label(self, axis: syntax.Name) -> list[Any]:
        """The label of an axis: all rows stand in the data once for each."""
        self.scope.size(axis)
        if self.tasks not in (None, axis.name):
            message = f"the columns read the labels of two axes, `{self.tasks}` and `{axis.name}`"
            self.findings.error("E0215", message, axis.span, help="one axis holds the tasks")
            raise Unresolvable
        self.tasks = axis.name
        return ["label", axis.name]

    def _known(self, column: str, span: Span) -> str:
        known = self.source.columns
        if known is not None and column not in known:
            self.findings.error(
                "E0602",
                f"{self.source.called} has no column `{column}`",
                span,
                help=did_you_mean(column, known) or f"it has {', '.join(known)}",
            )
            raise Unresolvable
        return column

    def _check_shape(self, line: syntax.DataColumn) -> None:
        """Entries per example and number of labels of columns that are known before any data are read, against the input."""
        known = self.source.columns
        if known is None or line.name in self.scope.suspect:
            return
        item = self.model.inputs[line.name]
        names = {n.name for n in walk(line.value) if isinstance(n, syntax.Name) and n.name in known}
        if not names or any(isinstance(n, syntax.Index) for n in walk(line.value)):
            return
        found = max((known[n][0] for n in names), key=len)
        sizes = [self.scope.axis(d).size for d in item.tensor.declared]
        wanted, entries = _count(sizes), _count(list(found))
        if wanted is not None and wanted != entries:
            self.findings.error(
                "E0604",
                f"`{line.name}` has {wanted} {'entry' if wanted == 1 else 'entries'} per example, the column has {entries}",
                line.value.span,
                label=f"{'one number' if not found else f'shape {list(found)}'} per example",
                notes=[Note(f"`{line.name}` is declared {item.tensor.written()}", item.tensor.span)],
                help=f"read another column: {', '.join(known)}; or declare `{line.name}` with axes of this size",
            )
        labels = self.source.labels.get(line.value.name) if isinstance(line.value, syntax.Name) else None
        size = self.scope.axis(item.tensor.label).size if item.tensor.label else None
        if labels is not None and size is not None and labels > size:
            self.findings.error(
                "E0605",
                f"`{line.name}` has labels 0..{size - 1}, the column has labels up to {labels - 1}",
                line.value.span,
                notes=[Note(f"`{line.name}` is declared here", item.tensor.span)],
                help=f"axis {item.tensor.label} = {labels}",
            )


def _all_of(links: list[list[Any]]) -> list[Any]:
    """The product of comparisons, as flat a tree as it can be: a chain may have hundreds."""
    while len(links) > 1:
        pairs = [["call", "mul", *links[k : k + 2]] for k in range(0, len(links) - 1, 2)]
        links = pairs + links[2 * len(pairs) :]
    return links[0]


def _count(sizes: list[int] | list[int | None]) -> int | None:
    total = 1
    for size in sizes:
        if size is None:
            return None
        total *= size
    return total
