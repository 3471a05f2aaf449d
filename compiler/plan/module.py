"""The whole emitted module as a plan: tables, one method per named value, densities, the step, the measures.

Everything that is printed is decided here; ``render/`` only writes it down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from ..diagnostics import Span
from ..frontend.model import Model, Tensor
from ..graph.joint import joint
from ..graph.node import BATCH, REPLICA, Graph, Node
from .asserts import asserted, shared_axes
from .axes import fusion
from .common import Common, input_of
from .routine import local_name
from .split import split
from .tables import tables
from .tree import Call, Code, Lit, Method, ModulePlan, Routine, Table, Var
from .update import VIEWS, Updates
from .value import Val


@dataclass(frozen=True)
class Planner(Common):
    """Plans one module from its two optimized graphs."""

    @classmethod
    def of(
        cls, model: Model, functions: Graph, step: Graph, places: Callable[[Span], str], *, traced: bool = False
    ) -> Planner:
        """A planner over the graphs with their product axes made whole where nothing takes them apart; ``traced``: the
        plan says of every sub-expression where it comes from."""
        products = {a.name: a.leaves for a in model.axes.values() if len(a.leaves) > 1 and a.size is not None}
        whole = fusion(products, [functions, step])
        return cls(model, split(whole.graph(functions)), split(whole.graph(step)), places, whole, traced)

    def plan(self) -> ModulePlan:
        """The module."""
        model = self.model
        routines = [self._initial()]
        routines += [self._value(name) for name in model.values]
        routines += [self._density("_log_prob", "Likelihood terms per example [batch].", "log_prob", (BATCH,))]
        routines += [
            self._density(
                "_log_joint", "All terms of the objective per example [batch], priors excluded.", "log_joint", (BATCH,)
            )
        ]
        routines += [self._density("_log_prior", "Log density of the parameters.", "log_prior", ())]
        routines += [self._measure()]
        routines += [self._check()] if model.asserts else []
        routines += [self._sample(name) for name in joint(model).order] if model.sampling else []
        if model.learns:
            routines += [self._terms(), self._step()]
        attributes = (*tables(model), *asserted(model, self._checked_roots, self.layout, self.places))
        return ModulePlan(model.name, tuple(model.doc.splitlines()), attributes, tuple(routines))

    def _value(self, name: str) -> Routine:
        value = self.model.values[name]
        graph = self.functions
        node = graph.roots[f"value {name}"]
        leaves, binds = self._function_leaves([node], own=True)
        builder = self._builder(graph, [node], leaves, {node: name})
        result = builder.run()[0]
        code = self._declared(graph.pool, result, value.tensor, value.tensor.dtype)
        doc = f"{self._source(value.span)}"
        return self._finish("value_" + name.replace(".", "__"), ("v",), "Tensor", doc, builder, code, binds)

    def _sample(self, name: str) -> Routine:
        """A draw of an input, given what its density reads."""
        tensor, graph = self.model.inputs[name].tensor, self.functions
        node = graph.roots[f"sample {name}"]
        leaves, binds = self._function_leaves([node])
        builder = self._builder(graph, [node], leaves, {node: name})
        result = builder.run()[0]
        code = self._declared(graph.pool, result, tensor, tensor.dtype)
        doc = self._source(joint(self.model).terms[name].span)
        return self._finish(f"_sample_{local_name(name)}", ("v", "draw"), "Tensor", doc, builder, code, binds)

    def _density(self, name: str, doc: str, root: str, axes: tuple[str, ...]) -> Routine:
        graph = self.functions
        node = graph.roots[root]
        leaves, binds = self._function_leaves([node], values=bool(axes))
        builder = self._builder(graph, [node], leaves, {})
        tensor = Tensor(root, "value", (), (), "real", None, bool(axes), self.model.span)
        code = self._declared(graph.pool, builder.run()[0], tensor, "real")
        params = ("v",) if axes else ()
        return self._finish(name, params, "Tensor", doc, builder, code, binds)

    def _measure(self) -> Routine:
        """Statistics with the batch first, those of one metric over the same axes; probes as batch means."""
        graph = self.functions
        roots = {k.removeprefix("measure "): n for k, n in graph.roots.items() if k.startswith("measure ")}
        leaves, binds = self._function_leaves(list(roots.values()))
        builder = self._builder(graph, list(roots.values()), leaves, {n: k for k, n in roots.items()})
        builder.run()
        shared: dict[str, frozenset[str]] = {}
        for metric in self.model.train.metrics if self.model.train else ():
            axes = frozenset[str]().union(*(roots[stat].axes for stat, _ in metric.stats)) - {BATCH, REPLICA}
            shared |= dict.fromkeys((stat for stat, _ in metric.stats), axes)
        items: list[tuple[str, Code]] = []
        for key, node in roots.items():
            probe = self.model.probes.get(key.removesuffix(".places"))
            if probe is not None:
                code = self._declared(graph.pool, builder.value(node), probe.tensor, "real", batched=False)
            else:
                places = self.layout.order(shared.get(key, frozenset()))
                tensor = Tensor(key, "value", places, places, "real", None, True, self.model.span)
                code = self._declared(graph.pool, builder.value(node), tensor, "real")
            items.append((key, Method(code, "clone") if _views_parameter(node) else code))
        doc = "The metrics' statistics, batch first; the probes' batch means."
        return self._finish("_measure", ("v",), "dict[str, Tensor]", doc, builder, Table(tuple(items)), binds)

    @cached_property
    def _checked_roots(self) -> dict[str, Node]:
        return {k.removeprefix("check "): n for k, n in self.functions.roots.items() if k.startswith("check ")}

    def _check(self) -> Routine:
        """What every assertion compares: its operands over the same axes, the batch first where one has it."""
        graph, roots = self.functions, self._checked_roots
        leaves, binds = self._function_leaves(list(roots.values()))
        builder = self._builder(graph, list(roots.values()), leaves, {n: f"a{k}" for k, n in roots.items()})
        builder.run()
        items: list[tuple[str, Code]] = []
        for key, node in roots.items():
            shared = shared_axes(roots, key)
            places = self.layout.order(shared - {BATCH, REPLICA})
            tensor = Tensor(key, "value", places, places, "real", None, BATCH in shared, self.model.span)
            code = self._declared(graph.pool, builder.value(node), tensor, "real")
            items.append((key, Method(code, "clone") if _views_parameter(node) else code))
        doc = "What the assertions compare."
        return self._finish("_check", ("v",), "dict[str, Tensor]", doc, builder, Table(tuple(items)), binds)

    def _terms(self) -> Routine:
        """Every density statement and every prior by itself, keyed by its text: what a diverged step is searched by."""
        graph, model = self.functions, self.model
        texts = {f"term {k}": self._source(term.span) for k, term in enumerate(model.terms)}
        texts |= {f"prior {path}": f"{path} ~ {self._source(p.prior.span)}" for path, p in model.params.items()}
        roots = {name: graph.roots[name] for name in texts}
        leaves, binds = self._function_leaves(list(roots.values()))
        builder = self._builder(graph, list(roots.values()), leaves, {n: k for k, n in roots.items()})
        builder.run()
        items: list[tuple[str, Code]] = []
        for name, node in roots.items():
            term = Tensor(name, "value", (), (), "real", None, BATCH in node.axes, model.span)
            items.append((texts[name], self._declared(graph.pool, builder.value(node), term, "real")))
        doc = "Log density of every statement, per example where it depends on one, and of every prior."
        return self._finish("_terms", ("v",), "dict[str, Tensor]", doc, builder, Table(tuple(items)), binds)

    def _initial(self) -> Routine:
        """Initial values of every slot, in float64."""
        graph = self.functions
        roots = {k.removeprefix("init "): n for k, n in graph.roots.items() if k.startswith("init ")}
        builder = self._builder(graph, list(roots.values()), {}, {n: k for k, n in roots.items()}, draws=True)
        builder.run()
        items: list[tuple[str, Code]] = []
        for path, node in roots.items():
            tensor = self._persistent(path)
            code = self._declared(graph.pool, builder.value(node), tensor, "real", batched=False)
            items.append((path, _on_host(code)))
        doc = "Initial values, float64: drawn with the seed, or as `init` says."
        return self._finish("initial", ("draw",), "dict[str, Tensor]", doc, builder, Table(tuple(items)), {})

    def _step(self) -> Routine:
        graph, model = self.step, self.model
        leaves: dict[Node, Val] = {}
        binds: dict[str, Code] = {}
        tensors = self._tensors
        stored: dict[Node, Node] = {}
        copies: list[tuple[Node, Node]] = []
        for node in graph.topological():
            if node.op == "param":
                tensor = tensors[node.attr("path")]
                leaves[node] = self._stored(graph.pool, tensor.name, self._parameter(tensor.name), tensor, binds)
            elif node.op == "state":
                path: str = node.attr("path")
                code = Call("self.state", (Lit(path),))
                leaves[node] = self._stored(graph.pool, path, code, self._persistent(path), binds)
            elif (read := input_of(node)) is not None:
                tensor = tensors[read.attr("name")]
                leaves[node] = self._leaf(
                    Var(self._locals[tensor.name]), graph.pool, tensor.leaves, len(tensor.declared), True, node.dtype
                )
        for leaf in list(leaves):
            if leaf.op in ("param", "state"):
                root = graph.roots.get(f"next {leaf.attr('path')}")
                if root is not None and root is not leaf:
                    self._store(root, leaf, leaves, stored, copies)
        read = {leaf.attr("path") for leaf in leaves if leaf.op in ("param", "state")}
        for path, root in ((k.removeprefix("next "), n) for k, n in graph.roots.items() if k.startswith("next ")):
            if path not in read:
                leaf = self._unread(path, graph, leaves, binds)
                self._store(root, leaf, leaves, stored, copies)
        reports = {k.removeprefix("report "): n for k, n in graph.roots.items() if k.startswith("report ")}
        guards = {reports["objective"]: "objective"}
        if "guard gradients" in graph.roots:
            guards.setdefault(graph.roots["guard gradients"], "gradients")
        targets = [*stored, *reports.values(), *(guard for guard in guards if guard not in reports.values())]
        names = self._names(graph) | {n: k for k, n in [*reports.items(), *((v, k) for k, v in guards.items())]}
        builder = self._builder(graph, targets, leaves, names)
        Updates(builder, stored, copies, guards).run()
        items: list[tuple[str, Code]] = []
        for key, node in reports.items():
            scalar = Tensor(key, "value", (), (), "real", None, False, self.model.span)
            items.append((key, self._declared(graph.pool, builder.value(node), scalar, "real")))
        params = tuple(self._locals[name] for name in model.inputs)
        doc = "One learn step, in place; the report is of before the step."
        return self._finish("_step", params, "dict[str, Tensor]", doc, builder, Table(tuple(items)), binds)

    def _store(
        self,
        root: Node,
        leaf: Node,
        leaves: Mapping[Node, Val],
        stored: dict[Node, Node],
        copies: list[tuple[Node, Node]],
    ) -> None:
        """Note that a leaf becomes the value of a root; one root may go to several leaves, and may itself be a leaf."""
        if root in leaves or root in stored:
            copies.append((root, leaf))
        else:
            stored[root] = leaf

    def _unread(self, path: str, graph: Graph, leaves: dict[Node, Val], binds: dict[str, Code]) -> Node:
        """A parameter or state that its own update never reads still has to be written: its leaf."""
        tensor = self._persistent(path)
        kind = "param" if path in self.model.params else "state"
        code = Call("self.state", (Lit(path),)) if kind == "state" else self._parameter(path)
        leaf = graph.pool.node(kind, path=path, axes=self._lead(False) + self.fusion.leaves(tensor.leaves))
        leaves[leaf] = self._stored(graph.pool, path, code, tensor, binds)
        return leaf

    def _names(self, graph: Graph) -> dict[Node, str]:
        """Local names: values as in the spec, ``grad_W`` and ``grad_h`` for what is derived from them."""
        return dict(graph.pool.hints)


def _views_parameter(node: Node) -> bool:
    """Might the value lie in a parameter's memory?"""
    while node.op in VIEWS:
        node = node.inputs[0]
    return node.op in ("param", "state")


def _on_host(code: Code) -> Code:
    """Initial values are made before the module has a dtype or device: float64 on the host."""
    match code:
        case Var("self.dtype"):
            return Var("torch.float64")
        case Var("self.device"):
            return Lit("cpu")
        case Call():
            return Call(code.fn, tuple(_on_host(a) for a in code.args), tuple((k, _on_host(a)) for k, a in code.named))
        case Method():
            named = tuple((k, _on_host(a)) for k, a in code.named)
            return Method(_on_host(code.obj), code.name, tuple(_on_host(a) for a in code.args), named)
        case _:
            return code
