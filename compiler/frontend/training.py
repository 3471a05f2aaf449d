"""`data`, `train` and `report`: settings, columns and metrics, all checked before anything is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..diagnostics import Findings, Note, Span, did_you_mean
from . import nodes as syntax
from .datasets import LABELS, SKLEARN
from .elaborate import Elaborator
from .metrics import Metrics
from .model import Data, Metric, Model, Train
from .scope import Scope, Unresolvable
from .walk import walk

_BINARY = {"+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod", "^": "pow"}
_COMPARE = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
_FUNCTIONS = ("standardize", "log1p", "exp", "log", "sqrt", "abs")
_SOURCES = ("sklearn", "npz", "csv")
_SOURCES_NOT_YET = ("parquet", "Teacher", "grid")
SETTINGS = ("batch", "epochs", "steps", "seed", "dtype")
SETTINGS_NOT_YET = ("seeds", "clip", "stop", "keep", "from", "redraw", "replay", "target")
DTYPES = ("float32", "float64")


class DataReader:
    """One data block."""

    def __init__(self, model: Model, scope: Scope, findings: Findings) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.columns: Mapping[str, tuple[tuple[int, ...], str]] | None = None
        self.source: dict[str, Any] = {}

    def read(self, block: syntax.DataBlock) -> None:
        """Fill ``model.data``; columns of bundled data sets are checked by name, size and range."""
        try:
            self.source = self._source(block.source)
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
        for name, item in self.model.inputs.items():
            if name not in columns and name not in spans:
                self.findings.error(
                    "E0603",
                    f"the input `{name}` has no column",
                    block.source.span,
                    notes=[Note(f"`{name}` is declared here", item.tensor.span)],
                    help=f"add a line: {name} = ..",
                )
        self.model.data = Data(self.source, columns, parts["valid"], parts["test"], spans, block.span)

    def _source(self, call: syntax.Call) -> dict[str, Any]:
        if call.name in _SOURCES_NOT_YET:
            self.findings.error("E0901", f"data from {call.name} is not compiled yet", call.span)
            raise Unresolvable
        if call.name not in _SOURCES:
            self.findings.error(
                "E0601",
                f"unknown data source `{call.name}`",
                call.name_span,
                help=did_you_mean(call.name, [*_SOURCES, *_SOURCES_NOT_YET]) or f"there are {', '.join(_SOURCES)}",
            )
            raise Unresolvable
        value = call.args[0].value if len(call.args) == 1 else None
        if not isinstance(value, syntax.Text):
            example = 'sklearn("digits")' if call.name == "sklearn" else f'{call.name}("file.{call.name}")'
            self.findings.error("E0601", f"`{call.name}` takes one name in quotes", call.span, help=f"write {example}")
            raise Unresolvable
        if call.name != "sklearn":
            return {"kind": call.name, "path": value.value}
        if value.value not in SKLEARN:
            self.findings.error(
                "E0601",
                f'unknown data set "{value.value}"',
                value.span,
                help=did_you_mean(value.value, SKLEARN) or f"there are {', '.join(SKLEARN)}",
            )
            raise Unresolvable
        self.columns = SKLEARN[value.value]
        return {"kind": "sklearn", "name": value.value}

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
            if line.name not in self.scope.broken:
                self.findings.error(
                    "E0603",
                    f"`{line.name}` is not an input",
                    line.name_span,
                    help=did_you_mean(line.name, self.model.inputs) or f"inputs: {', '.join(self.model.inputs)}",
                )
            return
        if line.name in spans:
            self.findings.error(
                "E0603",
                f"the input `{line.name}` has two columns",
                line.name_span,
                notes=[Note("the first one is here", spans[line.name])],
            )
            return
        spans[line.name] = line.value.span
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
            case syntax.Unary():
                return ["call", "neg", self._tree(e.operand)]
            case syntax.Binary():
                return ["call", _BINARY[e.op], self._tree(e.left), self._tree(e.right)]
            case syntax.Compare() if len(e.ops) == 1:
                return ["call", _COMPARE[e.ops[0]], *map(self._tree, e.operands)]
            case syntax.Call() if e.name in _FUNCTIONS and len(e.args) == 1:
                return ["call", e.name, self._tree(e.args[0].value)]
            case syntax.Call() if e.name == "permute":
                self.findings.error("E0901", "`permute` of a column is not compiled yet", e.span)
            case syntax.Call():
                self.findings.error(
                    "E0212",
                    f"unknown column operation `{e.name}`",
                    e.name_span,
                    help=did_you_mean(e.name, _FUNCTIONS) or f"there are {', '.join(_FUNCTIONS)}",
                )
            case _:
                self.findings.error("E0215", "this cannot stand in a column expression", e.span)
        raise Unresolvable

    def _known(self, column: str, span: Span) -> str:
        if self.columns is not None and column not in self.columns:
            self.findings.error(
                "E0602",
                f'the data set "{self.source["name"]}" has no column `{column}`',
                span,
                help=did_you_mean(column, self.columns) or f"it has {', '.join(self.columns)}",
            )
            raise Unresolvable
        return column

    def _check_shape(self, line: syntax.DataColumn) -> None:
        """Entries per example and number of labels of a bundled data set's columns against the input."""
        if self.columns is None:
            return
        item = self.model.inputs[line.name]
        names = {n.name for n in walk(line.value) if isinstance(n, syntax.Name) and n.name in self.columns}
        if not names or any(isinstance(n, syntax.Index) for n in walk(line.value)):
            return
        found = max((self.columns[n][0] for n in names), key=len)
        sizes = [self.scope.axis(d).size for d in item.tensor.declared]
        wanted, entries = _count(sizes), _count(list(found))
        if wanted is not None and wanted != entries:
            self.findings.error(
                "E0604",
                f"`{line.name}` has {wanted} entries per example, the column has {entries}",
                line.value.span,
                notes=[Note(f"`{line.name}` is declared {item.tensor.written()}", item.tensor.span)],
                help=f"the column's shape is {list(found)} per example",
            )
        labels = (
            LABELS.get(self.source["name"])
            if isinstance(line.value, syntax.Name) and line.value.name == "target"
            else None
        )
        size = self.scope.axis(item.tensor.label).size if item.tensor.label else None
        if labels is not None and size is not None and labels > size:
            self.findings.error(
                "E0605",
                f"`{line.name}` has labels 0..{size - 1}, the column has labels up to {labels - 1}",
                line.value.span,
                notes=[Note(f"`{line.name}` is declared here", item.tensor.span)],
                help=f"axis {item.tensor.label} = {labels}",
            )


def _count(sizes: list[int] | list[int | None]) -> int | None:
    total = 1
    for size in sizes:
        if size is None:
            return None
        total *= size
    return total


@dataclass(slots=True)
class _Settings:
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    spans: dict[str, Span] = field(default_factory=dict[str, Span])
    unclear: bool = False  # a setting that could not be read may be the missing one


class TrainReader:
    """The train block (one so far) with command-line overrides."""

    def __init__(self, model: Model, scope: Scope, findings: Findings, elaborator: Elaborator) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.metrics = Metrics(model, scope, findings, elaborator)

    def read(self, block: syntax.TrainBlock | None, overrides: Mapping[str, str]) -> None:
        """Fill ``model.train``; without a block there are no settings, only the metric nll."""
        settings = _Settings()
        metrics: list[Metric] = []
        every: int | None = None
        for line in block.lines if block else ():
            match line:
                case syntax.Setting():
                    self._setting(line, settings)
                case syntax.ReportLine():
                    metrics += self.metrics.read(line)
                    every = self._positive(line.every, "every") if line.every is not None else every
                case syntax.LearnBlock() | syntax.InferBlock():
                    self.findings.error("E0901", "`learn` inside `train` is not compiled yet", line.span)
                case _:
                    pass
        if block is not None and block.over is not None:
            self.findings.error("E0901", "`train over` is not compiled yet", block.over.span)
        self._override(overrides, settings, block)
        for probe in self.metrics.probes():
            if all(m.key != probe.key for m in metrics):
                metrics.append(probe)
        if all(m.key != "nll" for m in metrics):
            metrics.append(Metric("nll", "mean", (), None))
        v = settings.values
        if "epochs" in v and "steps" in v and block is not None:
            self.findings.error(
                "E0705",
                "`epochs` and `steps` both say how long to train",
                settings.spans["steps"],
                notes=[Note("`epochs` is given here", settings.spans["epochs"])],
                help="keep one of them",
            )
        unclear = settings.unclear or any(isinstance(line, syntax.Broken) for line in (block.lines if block else ()))
        if block is not None and "epochs" not in v and "steps" not in v and not unclear:
            self.findings.error(
                "E0702", "the train block does not say how long", block.span, help="add epochs 20, or steps 5000"
            )
        self.model.train = Train(
            v.get("batch", 32),
            v.get("epochs"),
            v.get("steps"),
            v.get("seed", 0),
            v.get("dtype", "float32"),
            every,
            tuple(metrics),
            block.span if block else None,
        )

    def _setting(self, line: syntax.Setting, settings: _Settings) -> None:
        name = line.name
        settings.unclear = settings.unclear or name not in SETTINGS
        if name in SETTINGS_NOT_YET:
            self.findings.error("E0901", f"the setting `{name}` is not compiled yet", line.span)
            return
        if name not in SETTINGS:
            self.findings.error(
                "E0701",
                f"unknown setting `{name}`",
                line.name_span,
                help=did_you_mean(name, [*SETTINGS, *SETTINGS_NOT_YET, "report"]) or f"there are {', '.join(SETTINGS)}",
            )
            return
        if name in settings.spans:
            self.findings.error(
                "E0705",
                f"`{name}` is given twice",
                line.span,
                notes=[Note("the first one is here", settings.spans[name])],
            )
            return
        settings.spans[name] = line.span
        value = line.values[0] if len(line.values) == 1 and not line.words else None
        try:
            settings.values[name] = self._value(name, value, line)
        except Unresolvable:
            settings.unclear = True

    def _value(self, name: str, value: syntax.Expr | None, line: syntax.Setting) -> Any:
        word = (
            value.name if isinstance(value, syntax.Name) else (line.words[0] if line.words and not line.values else "")
        )
        if name == "dtype":
            if word not in DTYPES:
                self._wrong(line.span, name, f"one of {', '.join(DTYPES)}", did_you_mean(word, DTYPES))
            return word
        if name == "batch" and word == "all":
            return None
        if value is None:
            self._wrong(line.span, name, "one number", f"write {name} {_EXAMPLES[name]}")
            raise Unresolvable
        if name == "seed":
            number = self.scope.whole(value)
            if not 0 <= number < 2**63:
                self._wrong(value.span, name, "a whole number from 0", "seed 0")
            return number
        return self._positive(value, name)

    def _positive(self, value: syntax.Expr, name: str) -> int:
        number = self.scope.whole(value)
        if number < 1:
            self._wrong(value.span, name, "at least 1", f"{name} {_EXAMPLES[name]}")
        return number

    def _wrong(self, span: Span | None, name: str, wanted: str, fix: str | None) -> None:
        self.findings.error("E0702", f"`{name}` must be {wanted}", span, help=fix)
        raise Unresolvable

    def _override(self, overrides: Mapping[str, str], settings: _Settings, block: syntax.TrainBlock | None) -> None:
        """``--set train.steps=9`` and friends: the same checks as in the text, blaming the option."""
        kinds: dict[str, Callable[[str], bool]] = {"seed": str.isdecimal, "dtype": DTYPES.__contains__}
        for key, text in overrides.items():
            if not key.startswith("train."):
                continue
            name = key.removeprefix("train.")
            ok = kinds.get(name, lambda t: t.isdecimal() and int(t) > 0)
            if name not in SETTINGS:
                self.findings.error(
                    "E0701", f"`--set {key}`: unknown setting `{name}`", None, help=did_you_mean(name, SETTINGS)
                )
            elif not ok(text) and not (name == "batch" and text == "all"):
                self.findings.error(
                    "E0702",
                    f"`--set {key}={text}` is not a value of `{name}`",
                    None,
                    help=f"--set {key}={_EXAMPLES[name]}",
                )
            else:
                other = {"epochs": "steps", "steps": "epochs"}.get(name, "")
                settings.values.pop(other, None)
                settings.values[name] = None if text == "all" else text if name == "dtype" else int(text)
                settings.spans[name] = settings.spans.get(name) or (block.span if block else Span("", 0, 0))


_EXAMPLES = {"batch": "32", "epochs": "20", "steps": "5000", "seed": "0", "dtype": "float32", "every": "50"}
