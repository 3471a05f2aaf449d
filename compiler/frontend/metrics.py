"""Metrics as a table: what each needs, what it measures at every place of every example, how the runtime finishes it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..diagnostics import Findings, Span, did_you_mean
from . import habits
from . import nodes as syntax
from .elaborate import Context, Elaborator
from .model import NO_INDICES, Apply, Const, Expr, Label, Metric, Model, Over, Product, Read, SizeOf, Sum
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
    "auc": _Row("auc", "auc(y, s)", True),
}


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

    def _metric(self, e: syntax.Expr, text: str) -> Metric:
        if isinstance(e, syntax.Name) and e.name == "nll":
            return Metric("nll", "mean", (), e.span)
        if isinstance(e, syntax.Name) and e.name in self.model.values:
            return self._value(e, text)
        if isinstance(e, syntax.Call) and e.name in METRICS and e.axes is None:
            return self._call(e, text)
        name = e.name if isinstance(e, (syntax.Name, syntax.Call, syntax.Index)) else ""
        if name in self.scope.broken:
            raise Unresolvable
        if isinstance(e, syntax.Name) and name in METRICS:
            fix = f"write {METRICS[name].example}"
            self.findings.error("E0703", f"`{name}` compares a truth with a guess: say which", e.span, help=fix)
            raise Unresolvable
        scalars = [v.tensor.name for v in self.model.values.values()]
        self.findings.error(
            "E0703",
            f"`{text}` is no metric and no value",
            e.span,
            help=habits.METRICS.get(name.lower())
            or did_you_mean(name, ["nll", *METRICS, *scalars])
            or f"metrics: nll, {', '.join(METRICS)}, any value, any probe",
        )
        raise Unresolvable

    def _value(self, e: syntax.Name, text: str) -> Metric:
        tensor = self.model.values[e.name].tensor
        axes = frozenset(tensor.leaves) | ({"batch"} if tensor.batched else NO_INDICES)
        stats = ((text, Read(axes, tensor.dtype, e.span, tensor, tensor.leaves)),)
        if not tensor.leaves:
            return Metric(text, "mean", stats, e.span)
        if e.name not in self.model.probes:
            self.findings.error(
                "E0703",
                f"`{e.name}` is not a scalar: it is {tensor.written()}",
                e.span,
                help=f"declare it a probe, or reduce it: sum({e.name})",
            )
            raise Unresolvable
        return Metric(text, "probe", stats, e.span)

    def _call(self, e: syntax.Call, text: str) -> Metric:
        if len(e.args) != 2 or any(a.name for a in e.args):
            self.findings.error(
                "E0703", f"`{e.name}` takes two arguments", e.span, help=f"write {METRICS[e.name].example}"
            )
            raise Unresolvable
        truth = self.elaborator.expression(e.args[0].value, Context(free=True))
        guess = self.elaborator.expression(e.args[1].value, Context(free=True))
        kind = METRICS[e.name].finish
        if e.name == "accuracy":
            stats = ((text, self._accuracy(truth, guess, e)),)
        elif e.name == "auc":
            stats = ((f"{text}.truth", self._binary(truth, guess, e)), (f"{text}.score", guess))
        else:
            stats = self._distance(truth, guess, e, text)
        return self._over_places(Metric(text, kind, stats, e.span, METRICS[e.name].higher))

    def _distance(self, truth: Expr, guess: Expr, e: syntax.Call, text: str) -> tuple[tuple[str, Expr], ...]:
        """The statistics of rmse, mae and r2: a distance at every place, and for r2 the truth."""
        if isinstance(truth, Read) and truth.tensor.label is not None:
            self.findings.error(
                "E0703",
                f"`{e.name}` compares numbers; `{truth.tensor.name}` holds labels",
                e.args[0].span,
                help="write accuracy(y, s)",
            )
            raise Unresolvable
        difference = Sum(truth.axes | guess.axes, "real", e.span, ((False, truth), (True, guess)))
        if e.name == "mae":
            return ((text, Apply(difference.axes, "real", e.span, "abs", (difference,))),)
        square = _square(difference)
        return ((f"{text}.error", square), (f"{text}.truth", truth)) if e.name == "r2" else ((text, square),)

    def _binary(self, truth: Expr, score: Expr, e: syntax.Call) -> Expr:
        """1 for a positive place: a bool, or the later label of an axis of two; the score must not vary beyond it."""
        label = truth.tensor.label if isinstance(truth, Read) else None
        two = label is not None and self.scope.axis(label).size == 2
        if not (isinstance(truth, Read) and (two or truth.dtype == "bool")):
            self.findings.error(
                "E0703",
                "auc compares a bool, or a label of two, with a score",
                e.args[0].span,
                help=f"write {METRICS['auc'].example}",
            )
            raise Unresolvable
        extra = sorted(score.axes - truth.axes - {"batch"})
        if extra:
            self.findings.error(
                "E0703",
                f"auc needs one score per `{truth.tensor.name}`; this one also has the axis `{extra[0]}`",
                e.args[1].span,
                help=self._one_score(extra[0], label),
            )
            raise Unresolvable
        if label is None:
            return truth
        low = Const(NO_INDICES, "int", e.span, self.scope.axis(label).low)
        return Apply(truth.axes, "bool", e.span, "lt", (low, truth))

    def _one_score(self, axis: str, label: str | None) -> str:
        if label is None or axis != label:
            return f"reduce it: mean[{axis}](..)"
        low = self.scope.axis(label).low
        return f"the later class against the other: s[{low + 1}] - s[{low}]"

    def _over_places(self, metric: Metric) -> Metric:
        """Where examples end at different labels, a last statistic says which places exist: each counts once."""
        shown = NO_INDICES.union(*(e.axes for _, e in metric.stats))
        ending = tuple(i for i in sorted(shown) if i.rstrip("'") in self.scope.ragged)
        if not ending or metric.span is None:
            return metric
        exists = tuple(_inside(i, metric.span) for i in ending)
        axes = NO_INDICES.union(*(e.axes for e in exists))
        mask = Product(axes, "int", metric.span, exists, (), NO_INDICES, False)
        return replace(metric, stats=(*metric.stats, (f"{metric.key}.places", mask)))

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
            best: Expr = Over(guess.axes - frozenset(classes), "int", e.span, "argmax", classes, (guess,))
            best = self.elaborator.labelled(best, classes)
            return Apply(best.axes | truth.axes, "bool", e.span, "eq", (truth, best))
        if isinstance(truth, Read) and truth.dtype == "bool":
            side = Const(NO_INDICES, "real", e.span, self._threshold(truth, guess))
            above = Apply(guess.axes, "bool", e.span, "lt", (side, guess))
            return Apply(above.axes | truth.axes, "bool", e.span, "eq", (truth, above))
        if isinstance(truth, Read) and truth.tensor.name in self.scope.suspect:
            raise Unresolvable
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
            if term.target.tensor == truth.tensor and term.dist.args.get("p") == guess:
                return 0.5
        return 0.0


def _inside(index: str, span: Span) -> Expr:
    """Whether a label of an axis that ends per example stands before its end."""
    label = Label(frozenset({index}), "int", span, index, 0)
    length = SizeOf(frozenset({"batch"}), "int", span, index.rstrip("'"))
    return Apply(frozenset({index, "batch"}), "bool", span, "lt", (label, length))


def _square(e: Expr) -> Expr:
    return Product(e.axes, "real", e.span, (e, e), (), NO_INDICES, False)
