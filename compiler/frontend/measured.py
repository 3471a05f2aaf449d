"""What is measured beside the report: probes of existing values and of expressions, and assertions."""

from __future__ import annotations

from ..diagnostics import Findings, Note
from . import nodes as syntax
from .elaborate import Context, Elaborator
from .metrics import METRICS, Metrics
from .model import Assertion, Expr, Metric, Model, Over, Probe, Read, Tensor
from .scope import Scope, Unresolvable
from .typed_walk import children


class Measured:
    """Reads `probe` and `assert` statements."""

    def __init__(self, model: Model, scope: Scope, findings: Findings, elaborator: Elaborator) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.elaborator = elaborator
        self.metrics = Metrics(model, scope, findings, elaborator)

    # ------------------------------------------------------------ probes

    def probes(self, body: tuple[syntax.Stmt, ...]) -> None:
        """Fill ``model.probes``, keyed by what is written, in the order of the text."""
        for stmt in body:
            match stmt:
                case syntax.Equation() if stmt.role == "probe" and stmt.target.name in self.model.values:
                    tensor = self.model.values[stmt.target.name].tensor
                    axes = frozenset(tensor.leaves) | ({"batch"} if tensor.batched else frozenset[str]())
                    read = Read(axes, tensor.dtype, stmt.span, tensor, tensor.leaves)
                    self.model.probes[tensor.name] = Probe(tensor, read, stmt.span)
                case syntax.ProbeDecl():
                    for item in stmt.items:
                        try:
                            self._probe(item)
                        except Unresolvable:
                            continue
                case _:
                    pass

    def _probe(self, e: syntax.Expr) -> None:
        """A probe of an expression: over all indices that it shows, those of a plain read in their order."""
        key = self.elaborator.text(e.span)
        if key in self.model.probes:
            self.findings.error(
                "E0205",
                f"`{key}` is probed twice",
                e.span,
                notes=[Note("it is first probed here", self.model.probes[key].span)],
                help="remove one of them",
            )
            raise Unresolvable
        expr = self.elaborator.expression(e, _everywhere(self.elaborator, e))
        leaves = self.scope.in_order(expr.axes - {"batch"})
        declared = leaves
        if isinstance(expr, Read) and all(isinstance(p, str) for p in expr.at):
            leaves = tuple(p for p in expr.at if isinstance(p, str))
            declared = expr.tensor.declared if leaves == expr.tensor.leaves else leaves
        tensor = Tensor(key, "value", declared, leaves, expr.dtype, None, "batch" in expr.axes, e.span)
        self.model.probes[key] = Probe(tensor, expr, e.span)

    # ------------------------------------------------------------ assertions

    def asserts(self, body: tuple[syntax.Stmt, ...]) -> None:
        """Fill ``model.asserts``."""
        for stmt in body:
            if isinstance(stmt, syntax.AssertStmt):
                try:
                    self.model.asserts.append(self._assertion(stmt))
                except Unresolvable:
                    continue

    def _assertion(self, stmt: syntax.AssertStmt) -> Assertion:
        """A comparison of values, each a metric or an expression; or an expression that is not 0."""
        condition = stmt.condition
        compared = isinstance(condition, syntax.Compare)
        parts = condition.operands if isinstance(condition, syntax.Compare) else (condition,)
        texts = tuple(self.elaborator.text(part.span) for part in parts)
        operands = tuple(self._operand(part, text, condition) for part, text in zip(parts, texts, strict=True))
        self._check_numbers(parts, operands)
        if not compared and isinstance(operands[0], Metric):
            problem = f"`{texts[0]}` is a number, not a condition"
            self.findings.error("E0707", problem, condition.span, help=f"compare it: assert {texts[0]} < ..")
            raise Unresolvable
        whole = any(_reduces_batch(x, self.model) for x in operands if isinstance(x, Expr))
        ops = condition.ops if isinstance(condition, syntax.Compare) else ()
        return Assertion(self.elaborator.text(condition.span), ops, operands, texts, stmt.span, whole)

    def _operand(self, e: syntax.Expr, text: str, condition: syntax.Expr) -> Expr | Metric:
        metric = (isinstance(e, syntax.Name) and e.name == "nll" and e.name not in self.scope.tensors) or (
            isinstance(e, syntax.Call) and e.name in METRICS and e.axes is None
        )
        return self.metrics.one(e) if metric else self.elaborator.expression(e, _everywhere(self.elaborator, condition))

    def _check_numbers(self, parts: tuple[syntax.Expr, ...], operands: tuple[Expr | Metric, ...]) -> None:
        """A metric is one number, and is compared with numbers."""
        metric = next((x for x in operands if isinstance(x, Metric)), None)
        for part, x in zip(parts, operands, strict=True):
            if metric is not None and isinstance(x, Expr) and x.axes:
                varies = ", ".join(f"`{i}`" for i in sorted(x.axes - {"batch"})) or "the examples"
                self.findings.error(
                    "E0707",
                    f"`{metric.key}` is one number; this has one for each of {varies}",
                    part.span,
                    help="reduce it: mean(..), max(..), mean[batch](..)",
                )
                raise Unresolvable


def _everywhere(elaborator: Elaborator, whole: syntax.Expr) -> Context:
    """An expression may keep every index that no product sums; their labels may be read."""
    return Context(explicit=elaborator.shown(whole), free=True)


def _reduces_batch(e: Expr, model: Model) -> bool:
    """Does the expression reduce over the examples, itself or in a value that it reads?"""
    seen: set[str] = set()
    stack = [e]
    while stack:
        x = stack.pop()
        if isinstance(x, Over) and "batch" in x.over:
            return True
        if isinstance(x, Read) and x.tensor.name in model.values and x.tensor.name not in seen:
            seen.add(x.tensor.name)
            stack.append(model.values[x.tensor.name].expr)
        stack += children(x)
    return False
