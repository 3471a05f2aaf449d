"""What `dltc explain SPEC` says, as JSON-able data: parameters, cost, memory, sharing, passes, layout.

Costs are polynomials in the sizes that the data decides (``{"formula", "terms", "value"}``), evaluated at one point:
``sizes`` says which, and where each number of it comes from.  Text is made of this in :mod:`.explain_text`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from .cost.account import ROLES, Account, Accountant, symbols
from .cost.machine import KINDS, Tally
from .cost.poly import Number, Poly, total
from .cost.sharing import exact, log2_of, sharing
from .diagnostics import Span
from .frontend.model import Model
from .graph.node import BATCH, REPLICA, Graph, Node
from .plan.module import Planner
from .plan.tables import shape

if TYPE_CHECKING:
    from .pipeline import Artefact

ASSUMED = 128
"""What a size counts as that neither the spec nor the caller says."""

ROUTINES = {"forward": "forward", "log_prob": "_log_prob", "log_joint": "_log_joint", "measure": "_measure"}


@dataclass(frozen=True, slots=True)
class Sizes:
    """A size of every symbol, and whether it is ``given``, from the ``train`` block or ``assumed``."""

    values: dict[str, int]
    source: dict[str, str]

    @classmethod
    def of(cls, model: Model, at: Mapping[str, int]) -> Sizes:
        """Those of ``at``, then the batch of training, then :data:`ASSUMED`."""
        values = dict.fromkeys(symbols(model), ASSUMED)
        source = dict.fromkeys(values, "assumed")
        if model.train is not None and model.train.span is not None and model.train.batch is not None:
            values[BATCH], source[BATCH] = model.train.batch, "train"
        values.update(at)
        source.update(dict.fromkeys(at, "given"))
        return cls(values, source)

    def data(self) -> dict[str, dict[str, Any]]:
        """As JSON."""
        return {name: {"value": n, "source": self.source[name]} for name, n in self.values.items()}


def explain(artefact: Artefact, at: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Everything there is to say about a compiled spec.

    Args:
        artefact: the compiled spec.
        at: sizes of the batch and of axes bound by the data.

    Raises:
        ValueError: ``at`` names something else, or a size below 1.
        SpecError: the step cannot be derived.
    """
    model, at = artefact.model, at or {}
    for name, size in at.items():
        if name not in symbols(model):
            raise ValueError(f"`{name}` is no size that the data decides: there are {', '.join(symbols(model))}")
        if size < 1:
            raise ValueError(f"{name}={size}: a size is at least 1")
    sizes = Sizes.of(model, at)
    dtype = model.train.dtype if model.train is not None else "float32"
    planner = Planner.of(artefact.planned, *artefact.optimized, artefact.place, traced=True)
    accountant = Accountant(model, planner.plan(), sizes.values, dtype)
    return {
        "spec": artefact.file_name,
        "model": model.name,
        "doc": model.doc,
        "dtype": dtype,
        "replicas": model.replicas,
        "sizes": sizes.data(),
        "axes": {a.name: a.size for a in model.axes.values()},
        **_parameters(artefact, accountant),
        **_costs(artefact, accountant),
        "sharing": _sharing(artefact),
        "passes": _passes(artefact, sizes.values),
        "layout": _layout(planner),
    }


# ---------------------------------------------------------------- parameters


def _parameters(artefact: Artefact, accountant: Accountant) -> dict[str, Any]:
    """Every parameter with what is declared of it and what its rule keeps."""
    model, width = artefact.model, accountant.widths["real"]
    bytes_of = {path: accountant.entries(path).at(accountant.sizes) * width for path in accountant.tensors}
    rows: list[dict[str, Any]] = []
    for path, param in model.params.items():
        kept = [p for p in bytes_of if p.startswith(f"{path}@")]
        use = model.rules.get(path)
        rows.append(
            {
                "path": path,
                "axes": list(param.tensor.declared),
                "shape": shape(model, param.tensor),
                "entries": bytes_of[path] // width,
                "bytes": bytes_of[path],
                "domain": param.domain_text,
                "prior": param.prior.written,
                "init": _written(artefact, param.init.span) if param.init is not None else None,
                "rule": use.written if use is not None else None,
                "frozen": param.frozen,
                "states": [{"path": p, "bytes": bytes_of[p]} for p in kept],
                "state_bytes_per_parameter": sum(bytes_of[p] for p in kept) * width / bytes_of[path],
                "support": param.support.written if param.support is not None else "dense",
                "doc": param.doc,
            }
        )
    weights, states = sum(r["bytes"] for r in rows), sum(s["bytes"] for r in rows for s in r["states"])
    totals = {"entries": weights // width, "bytes": weights, "state_bytes": states}
    return {"parameters": rows, "totals": {**totals, "state_bytes_per_parameter": states * width / max(weights, 1)}}


def _written(artefact: Artefact, span: Span) -> str:
    return " ".join(artefact.sources[span.file].text[span.start : span.end].split())


# ---------------------------------------------------------------- cost


def _costs(artefact: Artefact, accountant: Accountant) -> dict[str, Any]:
    """Cost of every routine; of the step (of the forward pass, without rules) by phase and line, and its memory."""
    value = _evaluator(accountant.sizes)
    accounts = {name: accountant.run(routine) for name, routine in ROUTINES.items()}
    main = "step" if artefact.model.rules else "forward"
    if main == "step":
        accounts["step"] = accountant.run("_step")
    cost: dict[str, Any] = {name: _tally(a.total, value) for name, a in accounts.items()}
    if main == "step":
        cost["step"]["phases"] = {name: _tally(t, value) for name, t in accounts["step"].by_phase().items()}
    tidy = accountant.run("_step" if main == "step" else "forward", tidy=True)
    return {
        "main": main,
        "cost": cost,
        "lines": _lines(artefact, accounts[main], value),
        "memory": _memory(accounts[main], tidy, value),
    }


def _evaluator(sizes: Mapping[str, int]) -> Callable[[Poly], dict[str, Any]]:
    def value(poly: Poly) -> dict[str, Any]:
        terms = [{"coefficient": _number(c), "powers": dict(m)} for m, c in sorted(poly.terms.items())]
        return {"formula": str(poly), "terms": terms, "value": poly.at(sizes)}

    return value


def _number(value: Number) -> int | float:
    return int(value) if value == int(value) else float(value)


def _tally(tally: Tally, value: Callable[[Poly], dict[str, Any]]) -> dict[str, Any]:
    flops = {kind: value(tally.flops[kind]) for kind in KINDS}
    return {
        "flops": {**flops, "total": value(total(tally.flops.values()))},
        "torch_counter": value(tally.counted),
        "bytes_moved": value(tally.moved),
    }


def _lines(artefact: Artefact, account: Account, value: Callable[[Poly], dict[str, Any]]) -> list[dict[str, Any]]:
    """The main routine by line of the spec, the most arithmetic first."""
    texts = {s.name: s.text.split("\n") for s in artefact.sources.values()}
    rows: list[dict[str, Any]] = []
    for place, tally in account.by_place().items():
        name, _, line = place.rpartition(":")
        text = " ".join(texts[name][int(line) - 1].partition("#")[0].split()) if place else "(results put into shape)"
        held = value(account.held.get(place, Poly({})))
        rows.append({"place": place, "text": text, **_tally(tally, value), "bytes_at_peak": held})
    order = {place: k for k, place in enumerate(sorted(account.by_place(), key=_numbered))}
    return sorted(rows, key=lambda r: (-r["flops"]["total"]["value"], -r["bytes_moved"]["value"], order[r["place"]]))


def _numbered(place: str) -> tuple[str, int]:
    """``digits.dlt:16`` in the order of the text."""
    name, _, line = place.rpartition(":")
    return name, int(line or 0)


def _memory(account: Account, tidy: Account, value: Callable[[Poly], dict[str, Any]]) -> dict[str, Any]:
    return {
        **{role: value(account.memory[role]) for role in ROLES},
        "peak": value(total(account.memory.values())),
        "peak_place": account.peak_place,
        "peak_if_freed_after_last_reader": value(total(tidy.memory.values())),
    }


# ---------------------------------------------------------------- graphs


def _sharing(artefact: Artefact) -> dict[str, Any]:
    """Sizes of the graphs and of the trees that they stand for; integers of any size as text, with their logarithms."""
    graphs = {"model": artefact.circuit}
    if artefact.model.rules:
        graphs |= {"step": artefact.step, "step optimized": artefact.optimized[1]}
    found: dict[str, Any] = {}
    for name, graph in graphs.items():
        s = sharing(graph)
        factor = exact(s.factor.numerator) + (f"/{exact(s.factor.denominator)}" if s.factor.denominator != 1 else "")
        counts = {"nodes": s.nodes, "edges": s.edges, "depth": s.depth}
        tree = {"tree": exact(s.tree), "tree_leaves": exact(s.leaves), "tree_log2": log2_of(s.tree)}
        ratio = {"factor": factor, "factor_log2": log2_of(s.tree) - log2_of(max(s.nodes, 1))}
        found[name] = {**counts, **tree, **ratio}
    return found


def _passes(artefact: Artefact, sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    """What each pass did to each graph: nodes, operations gone and new, multiplications in products."""
    from .optimize.bodies import everywhere
    from .pipeline import load_passes

    rows: list[dict[str, Any]] = []
    graphs = {"functions": artefact.functions} | ({"step": artefact.step} if artefact.model.rules else {})
    for name, graph in graphs.items():
        before = _Summary.of(graph, sizes)
        for p in load_passes(without=artefact.options.without):
            graph = everywhere(p, graph)
            after = _Summary.of(graph, sizes)
            rows.append({"pass": p.name, "graph": name, **before.effect(after)})
            before = after
    return rows


@dataclass(frozen=True, slots=True)
class _Summary:
    """What is compared of a graph before and after a pass."""

    operations: Counter[str]
    digests: frozenset[bytes]
    multiplications: int

    @classmethod
    def of(cls, graph: Graph, sizes: Mapping[str, int]) -> _Summary:
        order = graph.topological()
        operations, digests = Counter(n.op for n in order), frozenset(n.digest for n in order)
        return cls(operations, digests, sum(_multiplications(graph, n, sizes) for n in order))

    def effect(self, after: _Summary) -> dict[str, Any]:
        """The row of a pass."""
        change = Counter(after.operations)
        change.subtract(self.operations)
        return {
            "nodes_before": len(self.digests),
            "nodes_after": len(after.digests),
            "nodes_new": len(after.digests - self.digests),
            "operations": {op: k for op, k in sorted(change.items()) if k},
            "multiplications_before": self.multiplications,
            "multiplications_after": after.multiplications,
        }


def _multiplications(graph: Graph, node: Node, sizes: Mapping[str, int]) -> int:
    """Multiplications of a product that sums, done as its factors stand, at the sizes given."""
    if node.op != "contract" or not node.attr("sum"):
        return 0
    known = [graph.pool.size(a) for a in frozenset[str]().union(*(i.axes for i in node.inputs))]
    return prod(sizes.get(n, ASSUMED) if isinstance(n, str) else n for n in known) * (len(node.inputs) - 1)


def _layout(planner: Planner) -> dict[str, Any]:
    """The one order of axes in memory, products kept whole, and tensors that are declared in another order."""
    turned: dict[str, list[str]] = {}
    model = planner.model
    rank = {a: k for a, k in planner.layout.rank.items() if a != REPLICA or model.replicas}
    tensors = [p.tensor for p in model.params.values()] + [i.tensor for i in model.inputs.values()]
    for tensor in tensors:
        leaves = planner.fusion.leaves(tensor.leaves)
        if planner.layout.order(leaves) != leaves:
            turned[tensor.name] = list(planner.layout.order(leaves))
    return {
        "order": sorted(rank, key=lambda a: rank[a]),
        "whole_products": {name: list(parts) for name, parts in planner.fusion.products.items()},
        "read_transposed": turned,
    }
