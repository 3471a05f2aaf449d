"""Metrics as a table: what each needs, what it measures per example, how the runtime finishes the means."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..diagnostics import Findings, Span, did_you_mean
from . import nodes as syntax
from .elaborate import Context, Elaborator
from .model import NO_INDICES, Apply, Const, Expr, Metric, Model, Over, Product, Read, SizeOf, Sum
from .scope import Scope, Unresolvable


@dataclass(frozen=True, slots=True)
class _Row:
    finish: str
    example: str
    higher: bool  # more is better


METRICS: dict[str, _Row] = {
    "accuracy": _Row("mean", "accuracy(y, s)", True),
    "rmse": _Row("root_mean", "rmse(y, m)", False),
    "mae": _Row("mean", "mae(y, m)", False),
    "r2": _Row("r2", "r2(y, m)", True),
}
METRICS_NOT_YET = ("auc",)


class Metrics:
    """Reads report lines."""

    def __init__(self, model: Model, scope: Scope, findings: Findings, elaborator: Elaborator) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.elaborator = elaborator

    def read(self, line: syntax.ReportLine) -> list[Metric]:
        """The metrics of one report line; broken ones are reported and left out."""
        found: list[Metric] = []
        for e, text in zip(line.metrics, line.texts, strict=True):
            try:
                found.append(self._metric(e, text))
            except Unresolvable:
                continue
        return found

    def one(self, e: syntax.Expr) -> Metric:
        """The metric of an expression outside of `report`, keyed by its text.

        Raises:
            Unresolvable: it is none; reported.
        """
        return self._metric(e, self.elaborator.text(e.span))

    def probes(self) -> list[Metric]:
        """Every probe, measured as its batch mean."""
        return [self._probe(v.tensor.name, v.tensor.name, v.span) for v in self.model.values.values() if v.probe]

    def _probe(self, name: str, key: str, span: Span) -> Metric:
        tensor = self.model.values[name].tensor
        axes = frozenset(tensor.leaves) | ({"batch"} if tensor.batched else NO_INDICES)
        return Metric(key, "probe", ((key, Read(axes, tensor.dtype, span, tensor, tensor.leaves)),), span)

    def _metric(self, e: syntax.Expr, text: str) -> Metric:
        if isinstance(e, syntax.Name) and e.name == "nll":
            return Metric("nll", "mean", (), e.span)
        if isinstance(e, syntax.Name) and e.name in self.model.values:
            return self._value(e, text)
        if isinstance(e, syntax.Call) and e.name in METRICS and e.axes is None:
            return replace(self._call(e, text), higher=METRICS[e.name].higher)
        if isinstance(e, syntax.Call) and e.name in METRICS_NOT_YET:
            self.findings.error("E0901", f"the metric {e.name} is not compiled yet", e.span)
            raise Unresolvable
        name = e.name if isinstance(e, (syntax.Name, syntax.Call, syntax.Index)) else ""
        if name in self.scope.broken:
            raise Unresolvable
        scalars = [v.tensor.name for v in self.model.values.values()]
        self.findings.error(
            "E0703",
            f"`{text}` is no metric and no value",
            e.span,
            help=did_you_mean(name, ["nll", *METRICS, *scalars])
            or f"metrics: nll, {', '.join(METRICS)}, any value, any probe",
        )
        raise Unresolvable

    def _value(self, e: syntax.Name, text: str) -> Metric:
        value = self.model.values[e.name]
        if value.tensor.leaves and not value.probe:
            self.findings.error(
                "E0703",
                f"`{e.name}` is not a scalar: it is {value.tensor.written()}",
                e.span,
                help=f"declare it a probe, or reduce it: sum({e.name})",
            )
            raise Unresolvable
        return self._probe(e.name, text, e.span)

    def _call(self, e: syntax.Call, text: str) -> Metric:
        if len(e.args) != 2 or any(a.name for a in e.args):
            self.findings.error(
                "E0703", f"`{e.name}` takes two arguments", e.span, help=f"write {METRICS[e.name].example}"
            )
            raise Unresolvable
        truth = self.elaborator.expression(e.args[0].value, Context(free=True))
        guess = self.elaborator.expression(e.args[1].value, Context(free=True))
        if e.name == "accuracy":
            return self._over_places(Metric(text, "mean", ((text, self._accuracy(truth, guess, e)),), e.span))
        difference = Sum(truth.axes | guess.axes, "real", e.span, ((False, truth), (True, guess)))
        if isinstance(truth, Read) and truth.tensor.label is not None:
            self.findings.error(
                "E0703",
                f"`{e.name}` compares numbers; `{truth.tensor.name}` holds labels",
                e.args[0].span,
                help="write accuracy(y, s)",
            )
            raise Unresolvable
        if e.name == "mae":
            distance = Apply(difference.axes, "real", e.span, "abs", (difference,))
            return self._over_places(Metric(text, "mean", ((text, distance),), e.span))
        square = _square(difference)
        if e.name == "rmse":
            return self._over_places(Metric(text, "root_mean", ((text, square),), e.span))
        stats = ((f"{text}.error", square), (f"{text}.mean", truth), (f"{text}.square", _square(truth)))
        return self._over_places(Metric(text, "r2", stats, e.span))

    def _over_places(self, metric: Metric) -> Metric:
        """Where examples end at different labels, every place counts once, not every example: totals, and their number
        as a last statistic."""
        shown = NO_INDICES.union(*(e.axes for _, e in metric.stats))
        ending = tuple(i for i in sorted(shown) if i.rstrip("'") in self.scope.ragged)
        if not ending or metric.span is None:
            return metric
        span = metric.span
        lengths = tuple(SizeOf(frozenset({"batch"}), "int", span, i.rstrip("'")) for i in ending)
        count = Product(frozenset({"batch"}), "int", span, lengths, (), NO_INDICES, False)
        totals = tuple((name, self._total(e, ending, lengths)) for name, e in metric.stats)
        return Metric(metric.key, metric.kind, (*totals, (f"{metric.key}.places", count)), span)

    def _total(self, e: Expr, ending: tuple[str, ...], lengths: tuple[Expr, ...]) -> Expr:
        """The sum over the places of an example (a statistic that is the same at all of them counts at each)."""
        here = tuple(i for i in ending if i in e.axes)
        other = tuple(n for i, n in zip(ending, lengths, strict=True) if i not in e.axes)
        axes = (e.axes - frozenset(here)) | {"batch"}
        total = Over(axes, "real", e.span, "sum", here, (e,)) if here else e
        return Product(axes, "real", e.span, (total, *other), (), NO_INDICES, False)

    def _accuracy(self, truth: Expr, guess: Expr, e: syntax.Call) -> Expr:
        """1 where the label of the largest score (ties: the lowest) is the truth; for a bool, where the score's side is."""
        if isinstance(truth, Read) and truth.tensor.label is not None:
            classes = self.scope.indices(syntax.Name(e.span, truth.tensor.label))
            if any(c not in guess.axes for c in classes):
                self.findings.error(
                    "E0703",
                    f"accuracy needs a score per class of `{truth.tensor.label}`",
                    e.args[1].span,
                    help=f"its second argument must have the axis `{truth.tensor.label}`",
                )
                raise Unresolvable
            best = Over(guess.axes - frozenset(classes), "int", e.span, "argmax", classes, (guess,))
            return Apply(best.axes | truth.axes, "bool", e.span, "eq", (truth, best))
        if isinstance(truth, Read) and truth.dtype == "bool":
            side = Const(NO_INDICES, "real", e.span, self._threshold(truth, guess))
            above = Apply(guess.axes, "bool", e.span, "lt", (side, guess))
            return Apply(above.axes | truth.axes, "bool", e.span, "eq", (truth, above))
        self.findings.error(
            "E0703",
            "accuracy compares a label or a bool with scores",
            e.args[0].span,
            help=f"write {METRICS['accuracy'].example}",
        )
        raise Unresolvable

    def _threshold(self, truth: Read, guess: Expr) -> float:
        """One half for probabilities, zero for logits: as the input's own likelihood reads the score."""
        for term in self.model.terms:
            if (
                isinstance(term.target, Read)
                and term.target.tensor == truth.tensor
                and term.dist.args.get("p") == guess
            ):
                return 0.5
        return 0.0


def _square(e: Expr) -> Expr:
    return Product(e.axes, "real", e.span, (e, e), (), NO_INDICES, False)
