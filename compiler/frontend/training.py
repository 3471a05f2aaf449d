"""`train` and `report`: settings and metrics, all checked before anything is compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..diagnostics import Findings, Note, Span, did_you_mean
from . import nodes as syntax
from .elaborate import Elaborator
from .metrics import Metrics
from .model import Metric, Model, Train, Watch
from .scope import Scope, Unresolvable, shortened, written_whole

SETTINGS = ("batch", "epochs", "steps", "seed", "seeds", "dtype", "clip", "stop", "keep", "from", "redraw", "replay")
SETTINGS_NOT_YET = ("target",)
FLAGS = ("keep", "from", "redraw")
"""Settings that take no value: the words say it all."""
DTYPES = ("float32", "float64")


@dataclass(slots=True)
class _Settings:
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    spans: dict[str, Span] = field(default_factory=dict[str, Span])
    unclear: bool = False  # a setting that could not be read may be the missing one


class TrainReader:
    """One train block with command-line overrides."""

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
                    self._add(self.metrics.read(line), metrics)
                    every = self._interval(line, settings, every)
                case _:
                    pass
        self._override(overrides, settings, block)
        tasks = self._tasks(block, settings)
        metrics = [m for m in metrics if m.kind != "probe"]  # of several numbers: measured as the probe that it is
        for metric in metrics:  # a reported number is not logged a second time
            self.model.probes.pop(metric.key, None)
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
            clip=v.get("clip"),
            clip_span=settings.spans.get("clip"),
            watch=self._watch(settings, metrics),
            seeds=v.get("seeds", 1),
            begin=self._begin(settings),
            over=tasks,
            replay=v.get("replay", 0.0),
        )

    def _tasks(self, block: syntax.TrainBlock | None, settings: _Settings) -> str | None:
        """The axis of `train over`, whose labels are trained on one after another; what goes with it only is checked."""
        over = block.over if block is not None else None
        if over is None:
            if "replay" in settings.spans:
                message = "`replay` mixes earlier tasks into a batch, and this block has no tasks"
                self.findings.error("E0705", message, settings.spans["replay"], help="write train over AXIS { .. }")
            return None
        for name in ("stop", "keep"):
            if name in settings.values:
                message = f"`{name}` watches one report, and `train over` has one for every task"
                help = "remove it; each task is trained for as long as the block says"
                self.findings.error("E0705", message, settings.spans[name], help=help)
                settings.values.pop(name)
        try:
            self.scope.size(over)
        except Unresolvable:
            return None
        self._check_told(over)
        return over.name

    def _check_told(self, over: syntax.Name) -> None:
        """Something must tell the tasks apart: an input of that kind, or a column that reads the axis."""
        data = self.model.data
        inputs = [name for name, item in self.model.inputs.items() if item.tensor.label == over.name]
        if data is None or data.tasks == over.name:
            return
        if len(inputs) != 1 or self.model.inputs[inputs[0]].tensor.declared:
            message = f"nothing tells which example belongs to which label of `{over.name}`"
            help = f"declare an input of that kind (input which: {over.name}), or read the axis in a column: permute(c, seed = {over.name})"
            self.findings.error("E0708", message, over.span, help=help)

    def _begin(self, settings: _Settings) -> str:
        """What the parameters are when the block begins: ``on`` as they are, ``start`` or ``redraw`` (see :class:`Train`)."""
        given = {name: settings.spans[name] for name in ("from", "redraw") if name in settings.values}
        if len(given) == 2:
            notes = [Note("`from start` is given here", given["from"])]
            message = "`from start` and `redraw` both say how the block begins"
            self.findings.error("E0705", message, given["redraw"], notes=notes, help="keep one of them")
        return "start" if "from" in given else "redraw" if given else "on"

    def _add(self, found: list[Metric], metrics: list[Metric]) -> None:
        """Join the metrics of one report line to those of the lines above; each is reported once."""
        for metric in found:
            first = next((m for m in metrics if m.key == metric.key), None)
            if first is None:
                metrics.append(metric)
                continue
            notes = [Note("it is first reported here", first.span)] if first.span is not None else []
            message = f"`{metric.key}` is reported twice"
            self.findings.error("E0705", message, metric.span, notes=notes, help="remove one of them")

    def _interval(self, line: syntax.ReportLine, settings: _Settings, every: int | None) -> int | None:
        """The steps between reports; all report lines share them."""
        if line.every is None:
            return every
        if "every" in settings.spans:
            notes = [Note("the first one is here", settings.spans["every"])]
            message = "`every` is given twice: all metrics are reported at the same steps"
            self.findings.error("E0705", message, line.every.span, notes=notes, help="keep one of them")
            return every
        settings.spans["every"] = line.every.span
        return self._every(line.every)

    def _watch(self, settings: _Settings, metrics: list[Metric]) -> Watch | None:
        """What `stop` and `keep best` look at: the metric of `stop`, else the first of `report`, else nll.

        A metric that is not reported is measured all the same: it joins ``metrics``.
        """
        given = {name: settings.spans[name] for name in ("stop", "keep") if name in settings.values}
        if not given:
            return None
        span = next(iter(given.values()))
        data = self.model.data
        if data is not None and not data.valid:
            self.findings.error(
                "E0706",
                f"`{next(iter(given))}` looks at the valid part of the data, and there is none",
                span,
                notes=[Note("the data are declared here", data.span)],
                help="add to the data block: valid 0.1",
            )
        patience, metric = settings.values.get("stop", (None, None))
        metric = metric or metrics[0]
        if all(m.key != metric.key for m in metrics):
            metrics.append(metric)
        return Watch(metric.key, metric.higher, patience, "keep" in given, span)

    def _stop(self, line: syntax.Setting) -> tuple[int, Metric]:
        """``stop after 5 without nll``: how many reports may pass without a better value, and of which metric."""
        reports, wanted = line.values
        number = self._positive(reports, "stop")
        metric = self.metrics.one(wanted)
        if metric.kind == "probe":
            self._wrong(wanted.span, "stop", "about one number", "stop after 5 without nll")
        return number, metric

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
                help="keep one of them",
            )
            return
        settings.spans[name] = line.span
        value = line.values[0] if len(line.values) == 1 and not line.words else None
        try:
            settings.values[name] = (
                True if name in FLAGS else self._stop(line) if name == "stop" else self._value(name, value, line)
            )
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
        if name == "replay":
            share = float(self.scope.number(value))
            if not 0 <= share < 1:
                self._wrong(value.span, name, "a share from 0 to below 1", "replay 0.5")
            return share
        if name == "clip":
            norm = float(self.scope.number(value))
            if not 0 < norm < math.inf:
                self._wrong(value.span, name, "a positive number", "clip 1.0")
            return norm
        return self._positive(value, name)

    def _every(self, value: syntax.Expr) -> int | None:
        try:
            return self._positive(value, "every")
        except Unresolvable:
            return None

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
        kinds: dict[str, Callable[[str], bool]] = {
            "seed": lambda t: written_whole(t) is not None,
            "dtype": DTYPES.__contains__,
            "clip": _positive_number,
            "replay": _share,
        }
        written: dict[str, Callable[[str], Any]] = {"dtype": str, "clip": float, "replay": float}
        for key, text in overrides.items():
            if not key.startswith("train."):
                continue
            name = key.removeprefix("train.")
            ok = kinds.get(name, lambda t: bool(written_whole(t)))
            if name not in _EXAMPLES or name in _NOT_ON_THE_LINE:
                fix = did_you_mean(name, _EXAMPLES) or f"settings: {', '.join(_EXAMPLES)}"
                self.findings.error("E0701", f"`--set {key}`: unknown setting `{name}`", None, help=fix)
            elif not ok(text) and not (name == "batch" and text == "all"):
                self.findings.error(
                    "E0702",
                    f"`--set {key}={shortened(text)}` is not a value of `{name}`",
                    None,
                    help=f"--set {key}={_EXAMPLES[name]}",
                )
            else:
                other = {"epochs": "steps", "steps": "epochs"}.get(name, "")
                settings.values.pop(other, None)
                settings.values[name] = None if text == "all" else written.get(name, int)(text)
                settings.spans[name] = settings.spans.get(name) or (block.span if block else Span("", 0, 0))


def _positive_number(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _share(text: str) -> bool:
    try:
        return 0 <= float(text) < 1
    except ValueError:
        return False


_EXAMPLES = {
    "batch": "32",
    "epochs": "20",
    "steps": "5000",
    "seed": "0",
    "seeds": "8",
    "dtype": "float32",
    "clip": "1.0",
    "replay": "0.5",
    "stop": "after 5 without nll",
    "every": "50",
}
_NOT_ON_THE_LINE = frozenset({"stop", "every"})  # `--set` takes one number or word
