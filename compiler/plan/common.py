"""What every routine of a module is planned with: names, layouts, stored tensors as leaves, results in their declared shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from keyword import iskeyword
from math import inf, prod

from ..diagnostics import Span
from ..frontend.model import Model, Tensor
from ..graph.ends import padded_input
from ..graph.node import BATCH, REPLICA, Graph, Node, Pool, below
from .axes import Fusion
from .indices import unproven
from .layout import Layout, layout
from .lower import finite
from .routine import RESERVED, RoutineBuilder, local_name, read_by, variables
from .sizes import count, size, size_name
from .taken import TAKEN
from .tree import Bin, Call, Code, Item, Lit, Method, Routine, Row, Statement, Var, Whole
from .value import Val, reorder

PLACES = 8
"""Places in the spec that one line of code is traced to; a constant may come from thousands."""

_DTYPES = {"real": "self.dtype", "int": "torch.int64", "bool": "torch.bool"}


@dataclass(frozen=True)
class Common:
    """What the routines of one module share.

    ``functions`` has the roots ``value NAME``, ``log_prob``, ``log_joint``, ``log_prior``, ``measure KEY`` and
    ``init PATH``; ``step`` has ``next PATH`` and ``report NAME``.
    """

    model: Model
    functions: Graph
    step: Graph
    places: Callable[[Span], str]
    fusion: Fusion
    traced: bool = False

    @cached_property
    def _locals(self) -> dict[str, str]:
        """A local name for every input, parameter and value: its own where that is possible, never one for two."""
        taken = {*RESERVED, *(size_name(axis) for axis in self.model.axes)}
        names: dict[str, str] = {}
        for tensor in [*self.model.inputs, *self.model.params, *self.model.buffers, *self.model.values]:
            name = local_name(tensor)
            while name in taken:
                name += "_"
            taken.add(name)
            names[tensor] = name
        return names

    def _lead(self, batched: bool) -> tuple[str, ...]:
        """The axes in front of a tensor's declared ones: replicas of everything stored or returned, then the batch."""
        return ((REPLICA,) if self.model.replicas else ()) + ((BATCH,) if batched else ())

    @cached_property
    def layout(self) -> Layout:
        """Memory order from the declarations: parameters first, they are the largest."""
        model = self.model
        tensors = [p.tensor for p in model.params.values()] + [i.tensor for i in model.inputs.values()]
        tensors += [s.tensor for s in model.buffers.values()]
        tensors += [v.tensor for v in model.values.values()]
        return layout([self.fusion.leaves(t.leaves) for t in tensors])

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        found = {p.tensor.name: p.tensor for p in self.model.params.values()}
        found |= {i.tensor.name: i.tensor for i in self.model.inputs.values()}
        return found

    def _leaf(
        self, code: Code, pool: Pool, tensor_axes: Sequence[str], declared: int, batched: bool, dtype: str
    ) -> Val:
        """A stored tensor read with its leaf indices; a product axis is taken apart by a view."""
        leaves = self.fusion.leaves(tensor_axes)
        axes = self._lead(batched) + leaves
        if declared != len(leaves):
            code = Method(code, "view", tuple(size(pool, a) for a in axes))
        return reorder(Val(code, axes, dtype), self.layout.order(axes))

    def _parameter(self, path: str) -> Code:
        plain = path.isidentifier() and not iskeyword(path) and path not in TAKEN and not path.startswith("_")
        return Var(f"self.{path}") if plain else Call("self.state", (Lit(path),))

    def _builder(
        self,
        graph: Graph,
        targets: Sequence[Node],
        leaves: dict[Node, Val],
        names: Mapping[Node, str],
        *,
        draws: bool = False,
    ) -> RoutineBuilder:
        return RoutineBuilder(
            graph.pool,
            self.layout,
            leaves,
            self._finite if graph is self.functions else finite(graph.topological()),
            names,
            lambda n: self._lines(graph, n),
            targets,
            draws,
            self._checked if graph is self.functions else self._unproven(graph),
            None if not self.traced else (lambda n: "") if graph is self.functions else self._phase,
        )

    def _phase(self, node: Node) -> str:
        """The part of a step that a node belongs to: ``forward`` is what the reports read, ``backward`` what else is over
        the batch (gradients and other statistics), ``update`` what a rule makes of it."""
        if node in self._forward:
            return "forward"
        if BATCH in node.axes.union(*(i.axes for i in node.inputs)):
            return "backward"
        return "update" if self.step.pool.origins(node) & self._uses else "backward"

    @cached_property
    def _forward(self) -> frozenset[Node]:
        return frozenset(below(n for k, n in self.step.roots.items() if k.startswith("report ")))

    @cached_property
    def _uses(self) -> frozenset[Span]:
        return frozenset(use.span for use in self.model.rules.values())

    def _unproven(self, graph: Graph) -> frozenset[Node]:
        """Gathers to be checked at run time: labels and lengths are known to lie on their axes."""
        ranges: dict[str, tuple[float, float]] = {}
        for name, item in self.model.inputs.items():
            axis = self.model.axes[item.tensor.label] if item.tensor.label is not None else None
            if axis is not None and axis.size is not None:
                ranges[name] = (float(axis.low), float(axis.low + axis.size - 1))
            elif item.kind == "length":
                ranges[name] = (1.0, inf)
        return unproven(graph.pool, graph.topological(), ranges)

    @cached_property
    def _checked(self) -> frozenset[Node]:
        return self._unproven(self.functions)

    @cached_property
    def _finite(self) -> Mapping[Node, bool]:
        return finite(self.functions.topological())

    def _lines(self, graph: Graph, node: Node) -> tuple[tuple[str, ...], str]:
        """Places in the spec, in order of the text (a library file's last), and the first one's text."""
        own = self.model.span.file
        spans = nsmallest(PLACES, graph.pool.origins(node), key=lambda s: (s.file != own, s.file, s.start, s.end))
        places = tuple(dict.fromkeys(self.places(s) for s in spans))
        return places, self._source(spans[0]) if spans else ""

    def _function_leaves(
        self, targets: Sequence[Node], *, own: bool = False, values: bool = True
    ) -> tuple[dict[Node, Val], dict[str, Code]]:
        """Leaves of a lazily evaluated routine: parameters as attributes, inputs and values through ``v``.

        Only what the targets read down to their nearest leaves is looked at.  With ``own`` the targets are no leaves
        themselves; without ``values`` no computed value is (there may be no batch to take it from).
        """
        leaves: dict[Node, Val] = {}
        binds: dict[str, Code] = {}
        seen: set[Node] = set()
        todo = list(targets)
        while todo:
            node = todo.pop()
            if node in seen:
                continue
            seen.add(node)
            leaf = self._kept(node, binds, value=values and not (own and node in targets))
            if leaf is None:
                todo += node.inputs
            else:
                leaves[node] = leaf
        return leaves, binds

    def _kept(self, node: Node, binds: dict[str, Code], *, value: bool) -> Val | None:
        """A node that is kept somewhere: a parameter, an input or (if asked for) a value; else None."""
        pool = self.functions.pool
        if node.op == "param":
            tensor = self._tensors[node.attr("path")]
            return self._leaf(
                self._parameter(tensor.name), pool, tensor.leaves, len(tensor.declared), False, tensor.dtype
            )
        if node.op == "state":
            tensor = self._persistent(node.attr("path"))
            code = Call("self.state", (Lit(node.attr("path")),))
            return self._leaf(code, pool, tensor.leaves, len(tensor.declared), False, "real")
        if (read := input_of(node)) is not None:
            return self._bound(pool, self._tensors[read.attr("name")], node, binds)
        tensor = self._value_of.get(node) if value else None
        return self._bound(pool, tensor, node, binds) if tensor is not None else None

    @cached_property
    def _value_of(self) -> dict[Node, Tensor]:
        """The value that holds a node: the first declared, where several do."""
        found: dict[Node, Tensor] = {}
        for name, value in self.model.values.items():
            node = self.functions.roots[f"value {name}"]
            if node.op not in ("const", "size", "training") and not value.probe:
                found.setdefault(node, value.tensor)
        return found

    def _bound(self, pool: Pool, tensor: Tensor, node: Node, binds: dict[str, Code]) -> Val:
        """A leaf read from ``v`` into a local of the same name (emitted only where used).

        The tensor has its declared shape; the node may be constant along some of its axes, where one entry will do.
        """
        name = self._locals[tensor.name]
        binds[name] = Item(Var("v"), (Lit(tensor.name),))
        whole = self._leaf(Var(name), pool, tensor.leaves, len(tensor.declared), tensor.batched, node.dtype)
        kept = tuple(a for a in whole.axes if a in node.axes)
        if kept == whole.axes:
            return whole
        entry = Item(whole.code, tuple(Whole() if a in kept else Lit(0) for a in whole.axes))
        return Val(entry, kept, node.dtype)

    def _finish(
        self,
        name: str,
        params: tuple[str, ...],
        result: str,
        doc: str,
        builder: RoutineBuilder,
        returns: Code | None,
        binds: Mapping[str, Code],
        extra: Sequence[Statement] = (),
    ) -> Routine:
        """Put the statements that fetch what the body reads in front of it."""
        used: set[str] = set()
        for statement in [*builder.statements, *extra]:
            used |= read_by(statement)
        used |= variables(returns) if returns is not None else set()
        first: list[Statement] = []
        first += [Statement(local, code) for local, code in self._sizes(used, params) if local in used]
        if "draw" in used and "draw" not in params:
            key = (Var("self.seed"), Bin("+", Var("self.t"), Lit(1)), Var("self.device"))
            many = (Lit(self.model.replicas),) if self.model.replicas else ()
            first.append(Statement("draw", Call("rt.Draw", (*key, *many))))
        if "t" in used:
            first.append(Statement("t", Bin("+", Var("self.t"), Lit(1))))
        first += [Statement(local, binds[local]) for local in sorted(used & binds.keys(), key=self._rank)]
        return Routine(name, params, result, doc, (*first, *builder.statements, *extra), returns, builder.parts())

    @cached_property
    def _ranks(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self._locals.values())}

    def _rank(self, local: str) -> tuple[int, str]:
        """Declared order for what is fetched: inputs, parameters with their states (``W_m``), values."""
        owners = [local, *(local[:k] for k, c in enumerate(local) if c == "_")]
        return min((self._ranks[o] for o in owners if o in self._ranks), default=len(self._ranks)), local

    def _sizes(self, used: set[str], params: tuple[str, ...]) -> list[tuple[str, Code]]:
        """``n`` and data-bound sizes, read off an input."""
        lazy = "v" in params
        found: list[tuple[str, Code]] = []
        inputs = [i.tensor for i in self.model.inputs.values()]
        if lazy:
            found.append(("n", Var("v.batch")))
        elif inputs:
            place = Lit(self._lead(True).index(BATCH))
            found.append(("n", Item(Var(f"{self._locals[inputs[0].name]}.shape"), (place,))))
        for axis in self.model.axes.values():
            if axis.size is not None or axis.leaves != (axis.name,):
                continue
            holder = self._holder(axis.name)
            if holder is not None:
                tensor, dim, others = holder
                whole = Item(Var("v"), (Lit(tensor.name),)) if lazy else Var(self._locals[tensor.name])
                code: Code = Item(Method(whole, "size"), (Lit(len(self._lead(True)) + dim),))
                found.append((size_name(axis.name), code if others == 1 else Bin("//", code, Lit(others))))
        return found

    def _holder(self, axis: str) -> tuple[Tensor, int, int] | None:
        """An input that shows the size of an axis bound by the data: the dimension, and the entries of that dimension per
        label (more than one, where it is a product)."""
        shown: list[tuple[int, Tensor, int]] = []
        for item in self.model.inputs.values():
            for dim, name in enumerate(item.tensor.declared):
                leaves = self.model.axes[name.rstrip("'")].leaves
                sizes = [self.model.axes[leaf].size for leaf in leaves if leaf != axis]
                if axis in leaves and None not in sizes:
                    shown.append((prod(s or 1 for s in sizes), item.tensor, dim))
        if not shown:
            return None
        others, tensor, dim = min(shown, key=lambda s: s[0])
        return tensor, dim, others

    def _declared(self, pool: Pool, value: Val, tensor: Tensor, dtype: str, *, batched: bool | None = None) -> Code:
        """A value in its declared shape: batch first, axes in declared order, product axes merged."""
        batched = tensor.batched if batched is None else batched
        leaves, lead = self.fusion.leaves(tensor.leaves), self._lead(batched)
        wanted = lead + leaves
        present = tuple(a for a in wanted if a in value.axes)
        value = reorder(value, present)
        code = value.code
        if present != wanted or value.host:
            shape = Row(tuple(size(pool, a) for a in wanted))
            places = Lit(tuple(wanted.index(a) for a in present))
            code = Call("rt.expand", (code, shape, places, Var("self.device"), Var(f"{_DTYPES[dtype]}")))
        elif value.dtype != dtype:
            code = Method(code, "to", (Var(_DTYPES[dtype]),))
        if len(tensor.declared) != len(leaves):
            groups: list[Code] = [size(pool, axis) for axis in lead]
            for name in tensor.declared:
                primes = name[len(name.rstrip("'")) :]
                groups.append(count(pool, [leaf + primes for leaf in self.model.axes[name.rstrip("'")].leaves]))
            code = Method(code, "reshape", tuple(groups))
        return code

    def _source(self, span: Span) -> str:
        """A statement's text on one line, with its place."""
        text = " ".join(self.model.sources[span.file].text[span.start : span.end].split())
        return f"{text if len(text) <= 80 else text[:77] + '...'}   ({self.places(span)})"

    def _persistent(self, path: str) -> Tensor:
        """The tensor of a slot: a parameter or a state."""
        param = self.model.params.get(path)
        return param.tensor if param is not None else self._states[path]

    @cached_property
    def _states(self) -> dict[str, Tensor]:
        return self.model.states()

    def _stored(self, pool: Pool, path: str, code: Code, tensor: Tensor, binds: dict[str, Code]) -> Val:
        name = self._locals.get(path) or local_name(path.replace("@", "_"))
        while name in binds or name in RESERVED or ("@" in path and name in self._locals.values()):
            name += "_"
        binds[name] = code
        return self._leaf(Var(name), pool, tensor.leaves, len(tensor.declared), False, tensor.dtype)


def input_of(node: Node) -> Node | None:
    """The input that a node is; the module gets inputs with zeros beyond the ends of an example, so that is one too."""
    return node if node.op == "input" else padded_input(node)
