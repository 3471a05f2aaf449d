"""Where the data of a `data` block come from: files, bundled sets, grids, generators, another model of the file.

What a source holds is known here where it does not take a file to know it; the manifest gets the facts that the runtime
needs to make or read the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..diagnostics import Findings, Note, did_you_mean
from . import nodes as syntax
from .datasets import GENERATORS, LABELS, LARGEST_DATA, SEED, SKLEARN, TEXT_COLUMNS, Argument, Columns
from .generative import generative
from .model import Model, Tensor
from .scope import Scope, Unresolvable

FILES = ("npz", "csv", "parquet", "text")
SOURCES = ("sklearn", *FILES, "grid", *GENERATORS)
LARGEST_GRID = 2**27
"""Rows of a `grid`."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source: what the manifest says of it, and its columns (shape per example, kind) where they are known.

    ``labels`` is the number of labels of a column that holds some; ``called`` is the source in messages; ``teacher`` is the
    model that the data are drawn from, read forward.
    """

    facts: dict[str, Any]
    columns: Columns | None
    labels: Mapping[str, int] = field(default_factory=dict[str, int])
    called: str = "the data"
    teacher: Model | None = None


class SourceReader:
    """Reads the call after `data from`; ``models`` makes the typed models of the file, by name."""

    def __init__(self, scope: Scope, findings: Findings, models: Mapping[str, Callable[[], Model | None]]) -> None:
        self.scope = scope
        self.findings = findings
        self.models = models

    def read(self, call: syntax.Call) -> Source:
        """The source.

        Raises:
            Unresolvable: it is none; reported.
        """
        if call.name in self.models:
            return self._drawn(call)
        if call.name == "grid":
            return self._grid(call)
        if call.name == "sklearn":
            return self._bundled(call)
        if call.name == "text":
            return self._text(call)
        if call.name in FILES:
            path = self._quoted(call, f'{call.name}("file.{call.name}")')
            return Source({"kind": call.name, "path": path.value}, None)
        if call.name in GENERATORS:
            return self._generated(call)
        self._refuse(
            f"unknown data source `{call.name}`",
            call.name_span,
            did_you_mean(call.name, [*self.models, *SOURCES])
            or f"there are {', '.join(SOURCES)}, and the models of the file",
        )
        raise Unresolvable

    def _refuse(self, message: str, span: Any, help: str | None) -> None:
        self.findings.error("E0601", message, span, help=help)

    def _quoted(self, call: syntax.Call, example: str, *, alone: bool = True) -> syntax.Text:
        """The one argument without a name: a text."""
        plain = [arg.value for arg in call.args if arg.name is None]
        if len(plain) == 1 and isinstance(plain[0], syntax.Text) and (len(call.args) == 1 or not alone):
            return plain[0]
        self._refuse(f"`{call.name}` takes one name in quotes", call.span, f"write {example}")
        raise Unresolvable

    def _bundled(self, call: syntax.Call) -> Source:
        name = self._quoted(call, 'sklearn("digits")')
        if name.value not in SKLEARN:
            help = did_you_mean(name.value, SKLEARN) or f"there are {', '.join(SKLEARN)}"
            self._refuse(f'unknown data set "{name.value}"', name.span, help)
            raise Unresolvable
        labels = {"target": LABELS[name.value]} if name.value in LABELS else {}
        facts = {"kind": "sklearn", "name": name.value}
        return Source(facts, SKLEARN[name.value], labels, f'the data set "{name.value}"')

    def _text(self, call: syntax.Call) -> Source:
        """``text("play.txt", length = 64, stride = 64)``: windows of a text's characters, as labels."""
        path = self._quoted(call, 'text("play.txt", length = 64)', alone=False)
        given = self._numbers(call, {"length": Argument(64), "stride": Argument(None)})
        length = int(given["length"])
        facts = {"kind": "text", "path": path.value, "length": length, "stride": int(given["stride"] or length)}
        return Source(facts, dict.fromkeys(TEXT_COLUMNS, ((length,), "int")), called="the text")

    def _grid(self, call: syntax.Call) -> Source:
        """``grid(a, b)``: a column of labels for each axis."""
        axes: list[dict[str, Any]] = []
        rows = 1
        for arg in call.args:
            name = arg.value
            if arg.name is not None or not isinstance(name, syntax.Name) or name.primes:
                self._refuse("`grid` takes axes", arg.span, "write grid(a, b)")
                raise Unresolvable
            size = self.scope.size(name)
            rows *= size
            axes.append({"name": name.name, "low": self.scope.axis(name.name).low, "size": size})
        names = [axis["name"] for axis in axes]
        problem = (
            "`grid` needs at least one axis"
            if not names
            else "`grid` names an axis twice"
            if len(set(names)) != len(names)
            else f"this grid has {rows:,} rows, more than {LARGEST_GRID:,}"
            if rows > LARGEST_GRID
            else None
        )
        if problem is not None:
            self._refuse(problem, call.span, "write grid(a, b)" if rows <= LARGEST_GRID else None)
            raise Unresolvable
        return Source({"kind": "grid", "axes": axes}, dict.fromkeys(names, ((), "int")), called="the grid")

    # ------------------------------------------------------------ generators

    def _generated(self, call: syntax.Call) -> Source:
        """``moons(n = 500)``: a data set made by formula."""
        made = GENERATORS[call.name]
        given = self._numbers(call, {**made.arguments, "seed": SEED})
        rows, columns, problem = made.rows(given), made.columns(given), made.problem(given)
        if problem is not None:
            self._refuse(problem, call.span, None)
            raise Unresolvable
        facts = {"kind": "generator", "name": call.name, "arguments": given, **self._table(call, rows, columns)}
        return Source(facts, columns, made.labels(given), f"`{call.name}`")

    def _table(self, call: syntax.Call, rows: int, columns: Columns) -> dict[str, Any]:
        """Rows and columns of data that are made, as facts; too many numbers are refused."""
        entries = rows * sum(math.prod(shape) for shape, _ in columns.values())
        if entries > LARGEST_DATA:
            self._refuse(f"these data have {entries:,} numbers, more than {LARGEST_DATA:,}", call.span, None)
            raise Unresolvable
        return {"rows": rows, "columns": {name: [list(shape), kind] for name, (shape, kind) in columns.items()}}

    # ------------------------------------------------------------ models

    def _drawn(self, call: syntax.Call) -> Source:
        """``Teacher(n = 1000)``: a sample of a model of the file: its inputs, latents and equations as columns."""
        given = self._numbers(call, {"n": Argument(1000), "seed": SEED})
        found = self.models[call.name]()
        if found is None:
            raise Unresolvable
        teacher = generative(found)
        tensors = [x.tensor for x in teacher.inputs.values()]
        tensors += [x.tensor for x in teacher.values.values() if not x.probe and "." not in x.tensor.name]
        columns = {t.name: (self._sizes(call, teacher, t), t.dtype) for t in tensors}
        labels = {t.name: axis.size for t in tensors if (axis := teacher.axes.get(t.label or "")) and not axis.low}
        table = self._table(call, int(given["n"]), columns)
        made = f"{call.name}Data"
        while made in self.models:
            made += "_"
        facts = {"kind": "model", "name": call.name, "class": made, "seed": given["seed"], **table}
        teacher = replace(teacher, outputs=tuple(name for name in columns if name not in teacher.inputs))
        known = {name: size for name, size in labels.items() if size is not None}
        return Source(facts, columns, known, f"the model `{call.name}`", teacher)

    def _sizes(self, call: syntax.Call, teacher: Model, tensor: Tensor) -> tuple[int, ...]:
        sizes: list[int] = []
        for name in tensor.declared:
            axis = teacher.axes[name.rstrip("'")]
            if axis.size is None:
                message = f"the axis `{axis.name}` of `{call.name}` has no size, so its `{tensor.name}` cannot be drawn"
                note = Note(f"`{axis.name}` is declared here", axis.span)
                self.findings.error("E0601", message, call.span, notes=[note], help=f"write axis {axis.name} = 10, say")
                raise Unresolvable
            sizes.append(axis.size)
        return tuple(sizes)

    def _numbers(self, call: syntax.Call, wanted: Mapping[str, Argument]) -> dict[str, Any]:
        """The named arguments, with defaults for those that are not given."""
        found: dict[str, Any] = {name: argument.default for name, argument in wanted.items()}
        seen: set[str] = set()
        for arg in call.args:
            if arg.name is None and isinstance(arg.value, syntax.Text):
                continue
            if arg.name is None or arg.name not in wanted or arg.name in seen:
                self._wrong_argument(call, arg, wanted)
                raise Unresolvable
            seen.add(arg.name)
            found[arg.name] = self._number(arg.name, wanted[arg.name], arg.value)
        return found

    def _wrong_argument(self, call: syntax.Call, arg: syntax.Arg, wanted: Mapping[str, Argument]) -> None:
        shown = ", ".join(f"{n} = {a.default}" if a.default is not None else n for n, a in wanted.items())
        fix = (did_you_mean(arg.name, wanted) if arg.name is not None else None) or f"its arguments are {shown}"
        if arg.name is None:
            message = f"the arguments of `{call.name}` have names"
        elif arg.name in wanted:
            message = f"`{arg.name}` is given twice"
        else:
            message = f"`{call.name}` has no argument `{arg.name}`"
        self.findings.error("E0213", message, arg.span, help=fix)

    def _number(self, name: str, wanted: Argument, value: syntax.Expr) -> int | float:
        number = self.scope.whole(value) if wanted.whole else float(self.scope.number(value))
        if number < wanted.least or (wanted.most is not None and number > wanted.most):
            span = f"from {wanted.least}" + ("" if wanted.most is None else f" to {wanted.most}")
            kind = "whole numbers" if wanted.whole else "numbers"
            self.findings.error(
                "E0702",
                f"`{name}` takes {kind} {span}, not {number:g}",
                value.span,
                help=f"write {name} = {wanted.default if wanted.default is not None else wanted.least}",
            )
            raise Unresolvable
        return number
