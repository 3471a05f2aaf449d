"""What generated specs exercise, counted on the typed models and the graphs, beside what the compiler's tables ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from dltc.compiler.diagnostics import Findings
from dltc.compiler.frontend import model as typed
from dltc.compiler.frontend.distributions import DISTRIBUTIONS, ON_DOMAIN
from dltc.compiler.frontend.domains import DOMAINS
from dltc.compiler.frontend.metrics import METRICS
from dltc.compiler.frontend.operations import MIN_MAX, OPERATIONS
from dltc.compiler.frontend.typed_walk import children
from dltc.compiler.graph.node import everywhere
from dltc.compiler.graph.ops import OPS
from dltc.compiler.pipeline import Artefact, check, standard_library

UNREACHABLE = frozenset({"trigamma", "extern", "extern_vjp"})
"""Graph ops that no generated spec reaches: trigamma stands in second derivatives only; functions in Python lie in files, which
these specs have none of (``tests/conformance/test_extern.py``)."""

INFIX = ("pow", "floordiv", "mod", "lt", "le", "eq", "ne")
CONSTRUCTS = (
    *("contraction", "division", "broadcast", "computed index", "index twice", "primed index", "batch reduction"),
    *("product axis", "range axis", "data-bound axis", "table", "label", "size", "training", "hierarchy", "frozen"),
    *(
        "init expression",
        "init distribution",
        "power of a density",
        "repeated density",
        "probe",
        "bool value",
        "int value",
        "state",
        "assert",
        "probe of an expression",
    ),
)
INPUT_KINDS = ("real", "bool", "int", "label", "length")
NOTHING = "-"


def standard() -> tuple[set[tuple[str, str]], set[str]]:
    """(rule, domain) of the standard rules that compile, and the names of those that are said not to yet."""
    ready: set[tuple[str, str]] = set()
    waiting: set[str] = set()
    for name, overloads in standard_library(Findings()).rules.items():
        for rule in overloads:
            domain = rule.domain.name
            written = f" in {domain}{'[k]' if domain in ('simplex', 'unit_norm') else ''}"
            given = ", ".join(f"{p.name} = 0.1" for p in rule.params if p.default is None)
            text = (
                f"dlt 1\nmodel M {{\n axis k = 2, j = 3\n input x[k]\n param w[j, k]{written} ~ Flat() init 1/k\n"
                f" h[j] = w[j, k] * x[k]\n learn {{ w : {name}({given}) }}\n}}"
            )
            codes = {d.code for d in check(text, "probe.dlt").findings.items}
            if codes == {"E0901"}:
                waiting.add(name)
            else:
                ready.add((name, domain))
    return ready, waiting


@dataclass
class Coverage:
    """Counts of specs by what they exercise.  ``cells`` holds (op, domain) for every op and parameter of one spec."""

    equations: list[int] = field(default_factory=list[int])
    texts: set[str] = field(default_factory=set[str])
    ops: Counter[str] = field(default_factory=Counter[str])
    nodes: Counter[str] = field(default_factory=Counter[str])
    constructs: Counter[str] = field(default_factory=Counter[str])
    densities: Counter[str] = field(default_factory=Counter[str])
    inputs: Counter[str] = field(default_factory=Counter[str])
    metrics: Counter[str] = field(default_factory=Counter[str])
    cells: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    parameters: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    priors: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    # ------------------------------------------------------------ counting

    def add(self, artefact: Artefact, equations: int) -> None:
        """Count one spec."""
        model = artefact.model
        self.equations.append(equations)
        self.texts.add(artefact.text)
        ops = {op for e in _expressions(model) for op in _ops(e)}
        self.ops.update(ops)
        self.constructs.update(set(_constructs(model)))
        self.densities.update({_variant(t.dist) for t in model.terms})
        self.inputs.update({i.kind for i in model.inputs.values()})
        self.metrics.update({m.key.partition("(")[0] for m in model.train.metrics} if model.train else ())
        domains = {p.domain for p in model.params.values()}
        self.cells.update({(op, domain) for op in ops for domain in domains})
        for path, param in model.params.items():
            rule = model.rules[path].rule if path in model.rules else NOTHING
            self.parameters[param.domain, param.prior.name, rule] += 1
            self.priors[param.domain, _variant(param.prior)] += 1
        graphs = [artefact.functions, artefact.step]
        if not OPS.keys() - UNREACHABLE <= self.nodes.keys():
            graphs += artefact.optimized
        self.nodes.update({node.op for graph in graphs for node in everywhere(graph)})

    # ------------------------------------------------------------ what is missing

    def missing(self) -> list[str]:
        """Everything of the compiler's tables that no spec exercised."""
        ready, _ = standard()
        moved = {(rule, domain) for domain, _, rule in self.parameters}
        wanted: dict[str, set[object]] = {
            "operation": {*OPERATIONS, *(f"{m}/{k}" for m, rows in MIN_MAX.items() for k in rows), *INFIX}
            - self.ops.keys(),
            "graph op": OPS.keys() - UNREACHABLE - self.nodes.keys(),
            "construct": set(CONSTRUCTS) - self.constructs.keys(),
            "domain": set(DOMAINS) - {d for d, _, _ in self.parameters},
            "density": {v for name in DISTRIBUTIONS if name != "Flat" for v in _variants(name)} - self.densities.keys(),
            "prior": {(d, v) for d, names in ON_DOMAIN.items() for n in names for v in _variants(n)}
            - self.priors.keys(),
            "rule": ready - moved,
            "input": set(INPUT_KINDS) - self.inputs.keys(),
            "metric": {*METRICS, "nll"} - self.metrics.keys(),
            "op on a domain": {(op, d) for op in OPERATIONS for d in DOMAINS} - self.cells.keys(),
        }
        return [f"{what} {item}" for what, items in wanted.items() for item in sorted(items, key=str)]

    # ------------------------------------------------------------ printing

    def lines(self) -> list[str]:
        """The table as text."""
        middle = sorted(self.equations)[len(self.equations) // 2]
        head = f"{len(self.equations)} specs ({len(self.texts)} different), equations: median {middle}, "
        lines = [head + f"{min(self.equations)} .. {max(self.equations)}"]
        for name in ("constructs", "densities", "inputs", "metrics"):
            counts: Counter[str] = getattr(self, name)
            lines += _wrapped(name, [f"{key} {n}" for key, n in sorted(counts.items())])
        lines += _wrapped("graph ops", [f"{key} {n}" for key, n in sorted(self.nodes.items())])
        lines += ["", "specs by operation and domain of their parameters:", *self._operations()]
        lines += ["", "parameters by domain and prior (rows) and rule (columns):", *self._parameters()]
        _, waiting = standard()
        return [*lines, "", f"rules said to be not compiled yet: {', '.join(sorted(waiting)) or 'none'}"]

    def _operations(self) -> list[str]:
        lines = [f"  {'':14}{'all':>6}" + "".join(f"{d:>10}" for d in DOMAINS)]
        for op, n in sorted(self.ops.items()):
            lines.append(f"  {op:14}{n:6}" + "".join(f"{self.cells[op, d]:10}" for d in DOMAINS))
        return lines

    def _parameters(self) -> list[str]:
        rules = sorted({rule for _, _, rule in self.parameters})
        width = max(len(r) for r in rules) + 2
        lines = [" " * 24 + "".join(f"{r:>{width}}" for r in rules)]
        for domain, prior in sorted({(d, p) for d, p, _ in self.parameters}):
            row = "".join(f"{self.parameters[domain, prior, r] or '':>{width}}" for r in rules)
            lines.append(f"  {domain:10} {prior:11}{row}")
        return lines


def _wrapped(name: str, items: list[str], width: int = 116) -> list[str]:
    lines, line = list[str](), f"{name}:"
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return [*lines, line.rstrip(",")]


def _variants(name: str) -> tuple[str, ...]:
    """``Normal std``, ``Normal var``, ..: a distribution with each of its exclusive arguments."""
    one_of = DISTRIBUTIONS[name].one_of
    return tuple(f"{name} {choice}" for choice in one_of) or (name,)


def _variant(dist: typed.Dist) -> str:
    chosen = [a for a in DISTRIBUTIONS[dist.name].one_of if a in dist.args]
    return f"{dist.name} {chosen[0]}" if chosen else dist.name


def _expressions(model: typed.Model) -> Iterator[typed.Expr]:
    """Every expression of a model and everything inside it."""
    stack: list[typed.Expr] = [v.expr for v in model.values.values()]
    for term in model.terms:
        stack += [*term.dist.args.values(), *([term.power] if term.power else [])]
    while stack:
        e = stack.pop()
        yield e
        stack += children(e)


def _ops(e: typed.Expr) -> Iterator[str]:
    if isinstance(e, (typed.Apply, typed.Over)):
        both = e.op in MIN_MAX
        yield f"{e.op}/{len(e.args)}" if both else e.op


def _constructs(model: typed.Model) -> Iterator[str]:
    """Which constructs beside operations a model uses."""
    for e in _expressions(model):
        match e:
            case typed.Product():
                yield from ["contraction"] * bool(e.sums) + ["division"] * bool(e.under)
            case typed.Read():
                plain = [p for p in e.at if isinstance(p, str)]
                yield from ["primed index"] * any("'" in p for p in plain)
                yield from ["computed index"] * any(isinstance(p, typed.Expr) and p.axes for p in e.at)
                twice = any(isinstance(p, typed.Label) and p.index in plain for p in e.at)
                yield from ["index twice"] * twice + ["table"] * (e.tensor.kind == "let")
            case typed.Label():
                yield "label"
            case typed.Sum():
                yield from ["broadcast"] * any(t.axes != e.axes for _, t in e.terms)
            case typed.Scalar():
                yield e.name
            case typed.Over():
                yield from ["batch reduction"] * ("batch" in e.over)
            case typed.SizeOf():
                yield "size"
            case _:
                pass
    for axis in model.axes.values():
        yield from ["product axis"] * (len(axis.leaves) > 1) + ["range axis"] * bool(axis.low)
        yield from ["data-bound axis"] * (axis.size is None)
    for param in model.params.values():
        read = [x for a in param.prior.args.values() for x in (a, *children(a)) if isinstance(x, typed.Read)]
        yield from ["hierarchy"] * bool(read) + ["frozen"] * param.frozen
        yield from ["init expression"] * isinstance(param.init, typed.Expr)
        yield from ["init distribution"] * isinstance(param.init, typed.Dist)
    for term in model.terms:
        extra = term.repeated - term.target.axes - set(term.dist.classes)
        yield from ["power of a density"] * (term.power is not None) + ["repeated density"] * bool(extra)
    yield from ["state"] * bool(model.buffers) + ["assert"] * bool(model.asserts)
    yield from ["probe of an expression"] * any(key not in model.values for key in model.probes)
    for value in model.values.values():
        yield from ["probe"] * value.probe + [f"{value.tensor.dtype} value"] * (value.tensor.dtype != "real")
