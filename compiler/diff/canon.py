"""From the nodes of a graph to canonical terms, under given names for parameters, inputs, draws and axes.

Indices are labels: the axis and a number of primes.  Relabelling nodes disappear (their map is pushed down to the
leaves), a tensor's positions count and not the primes of its declaration, and an index that is summed inside gets the
fewest primes that are free there.  So neither names nor primes of a text survive, only what is connected to what.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product

from ..diagnostics import InternalError
from ..graph.build import LEARNED
from ..graph.node import BATCH, Node, base
from ..graph.ops import OPS
from ..graph.supports import read_through_mask
from .loops import PastHole, Ranked, ranked
from .terms import JUNCTIONS, NONE, Role, Terms, typed

Labels = tuple[str, ...]
Scope = Mapping[str, str]
Request = tuple[Node, Labels]
Visit = Generator[Request, int, int]

_MOST_ORDERS = 24  # of bound indices over one axis; beyond that they keep the order of the text

KEPT_SETS: Mapping[str, tuple[str, ...]] = {"softmax": ("axes",), "log_softmax": ("axes",)}
KEPT: Mapping[str, tuple[str, ...]] = {
    "rank": ("axes",), "cumsum": ("axis",), "revcumsum": ("axis",), "scatter": ("axis",), "eigvals": ("rows",),
    "matpow": ("rows", "cols"), "matpow_vjp": ("rows", "cols"), "inverse": ("rows", "cols"),
    "cholesky": ("rows", "cols"), "solve_triangular": ("cols",),
    "eigvecs": ("rows", "cols"), "polar": ("rows", "cols"), "polar_vjp": ("rows", "cols"),
}  # fmt: skip
BOUND_SETS: Mapping[str, tuple[str, ...]] = {
    "contract": ("sum",), "max": ("axes",), "min": ("axes",), "prod": ("axes",), "logsumexp": ("axes",),
}  # fmt: skip
BOUND: Mapping[str, tuple[str, ...]] = {
    "argmax": ("axis",), "gather": ("axis",), "eigvals": ("cols",), "logdet": ("rows", "cols"),
    "solve_triangular": ("rows",),
}  # fmt: skip
"""Which attributes of an op hold indices, whether they end there, and whether their order has a meaning."""

OWN = frozenset(
    {"rename", "scan", "result", "window", "fold", "extern", "extern_vjp"}
)  # ops with code of their own below
FACTS: Mapping[str, tuple[str, ...]] = {"solve_triangular": ("upper",)}
"""Attributes that are no indices and change the meaning."""
_PLAIN = ("keep",)  # attributes that follow from others


def classified(op: str) -> bool:
    """Whether the canonical form knows what the attributes of an op mean."""
    row = OPS[op]
    known = {a for table in (KEPT_SETS, KEPT, BOUND_SETS, BOUND, FACTS) for a in table.get(op, ())} | set(_PLAIN)
    return row.kind in ("leaf", "sample") or op in OWN or known.issuperset(row.attrs)


KNOWN = frozenset(op for op in OPS if classified(op))


def undeclared(axis: str) -> bool:
    """Whether an axis is none of the spec's own: the batch, or one that a compiler made for itself (`W@block0`)."""
    return axis == BATCH or "@" in axis


@dataclass(frozen=True)
class Names:
    """What things are called.  None: by their own name; else by the given one, and what has none is foreign."""

    axes: Mapping[str, str] | None = None
    params: Mapping[str, str] | None = None
    inputs: Mapping[str, str] | None = None
    draws: Mapping[str, str] | None = None
    locals: Mapping[str, str] = field(default_factory=dict[str, str])

    def axis(self, index: str) -> str:
        """The axis of an index."""
        name = base(index)
        if undeclared(name):
            return name if name == BATCH else f"@{name.rpartition('@')[2]}"
        return _given(self.axes, name)

    def label(self, index: str) -> str:
        """The index itself."""
        return self.axis(index) + "'" * (len(index) - len(base(index)))

    def positions(self, indices: Iterable[str]) -> Labels:
        """Labels of a tensor's positions: the first over an axis has no prime, the second has one."""
        seen: dict[str, int] = {}
        labels: list[str] = []
        for index in indices:
            axis = self.axis(index)
            labels.append(axis + "'" * seen.get(axis, 0))
            seen[axis] = seen.get(axis, 0) + 1
        return tuple(labels)

    def param(self, path: str) -> str:
        return _given(self.params, path)

    def input(self, name: str) -> str:
        return _given(self.inputs, name)

    def draw(self, path: str) -> str:
        return _given(self.draws, path)


def _given(names: Mapping[str, str] | None, name: str) -> str:
    return name if names is None else names.get(name, f"+{name}")


class Canon:
    """Terms of nodes.  ``owners`` are the paths of parameters: a draw at such a path is the parameter's."""

    def __init__(self, terms: Terms, names: Names, owners: Iterable[str] = ()) -> None:
        self.terms = terms
        self.names = names
        self.owners = frozenset(owners)
        self._memo: dict[Request, int] = {}
        self._axes: dict[Node, tuple[str, ...]] = {}
        self._loops: dict[Node, Ranked] = {}
        self._holes: dict[Node, PastHole] = {}

    def root(self, node: Node, scope: Scope | None = None) -> int:
        """The term of a node; its indices are called as ``scope`` says, else by their names.

        A graph may be deeper than Python's stack: visits are generators on a stack of our own.
        """
        given = scope or {}
        first = (node, tuple(given.get(i) or self.names.label(i) for i in self.axes(node)))
        if first in self._memo:
            return self._memo[first]
        stack: list[tuple[Request, Visit]] = [(first, self._visit(*first))]
        answer: int | None = None
        while stack:
            request, visit = stack[-1]
            try:
                wanted = visit.send(answer) if answer is not None else next(visit)
            except StopIteration as done:
                stack.pop()
                answer = self._memo[request] = done.value
                continue
            answer = self._memo.get(wanted)
            if answer is None:
                stack.append((wanted, self._visit(*wanted)))
        assert answer is not None
        return answer

    def axes(self, node: Node) -> tuple[str, ...]:
        """All indices of a node's results, in a fixed order."""
        found = self._axes.get(node)
        if found is None:
            indices = node.axes if len(node.results) == 1 else NONE.union(*(r.axes for r in node.results))
            found = self._axes[node] = tuple(sorted(indices))
        return found

    # ------------------------------------------------------------ one node

    def _visit(self, node: Node, labels: Labels) -> Visit:
        if node.op not in KNOWN:
            raise InternalError(f"the canonical form does not know the op `{node.op}`")
        scope = dict(zip(self.axes(node), labels, strict=True))
        if node.op == "rename":
            new = dict(node.attr("map"))
            x = node.inputs[0]
            return (yield (x, tuple(scope[new.get(i, i)] for i in self.axes(x))))
        stored = read_through_mask(node)
        if stored is not None:  # which entries exist is a fact of the parameter, not of everything that reads it
            return (yield (stored, tuple(scope[i] for i in self.axes(stored))))
        if node.op == "scan":
            return (yield from self._scan(node, scope))
        if node.op in ("window", "fold"):
            return (yield from self._window(node, scope))
        if node.op == "extern":
            return (yield from self._extern(node, scope))
        if node.op == "result":
            return (yield from self._result(node, scope))
        if OPS[node.op].kind in ("leaf", "sample"):
            return (yield from self._leaf(node, scope))
        bound = self._bound(node)
        if not bound:
            return (yield from self._operation(node, scope, scope, NONE))
        answers: list[int] = []
        for inside in self._scopes(bound, scope):
            labels_inside = frozenset(inside[i] for i in bound)
            answers.append((yield from self._operation(node, scope, inside, labels_inside)))
        return min(answers)

    def _bound(self, node: Node) -> list[str]:
        """The indices that end at a node."""
        if node.op == "contract":
            return sorted(node.attr("sum"))
        found: list[str] = []
        for name in BOUND_SETS.get(node.op, ()):
            found += sorted(node.attr(name))
        for name in BOUND.get(node.op, ()):
            found.append(node.attr(name))
        if node.op == "scatter":
            found += sorted(node.inputs[1].axes - node.attr("keep"))
        return found

    def _scopes(self, bound: Sequence[str], scope: Scope) -> list[dict[str, str]]:
        """Labels for everything inside a node: bound indices get the fewest primes that are free.

        Several over one axis could get them in any order: all are tried, and the caller keeps the least result.
        """
        taken = set(scope.values())
        if len(bound) == 1:
            label = self.names.axis(bound[0])
            while label in taken:
                label += "'"
            return [{**scope, bound[0]: label}]
        groups: dict[str, list[str]] = {}
        for index in bound:
            groups.setdefault(self.names.axis(index), []).append(index)
        choices: list[list[tuple[tuple[str, str], ...]]] = []
        for axis, indices in groups.items():
            spare = [axis + "'" * k for k in range(len(indices) + len(taken)) if axis + "'" * k not in taken]
            orders = permutations(indices) if len(indices) <= 4 else [tuple(indices)]
            choices.append([tuple(zip(order, spare, strict=False)) for order in orders])
        total = 1
        for choice in choices:
            total *= len(choice)
        if total > _MOST_ORDERS:
            choices = [choice[:1] for choice in choices]
        return [{**scope, **dict(pair for part in parts for pair in part)} for parts in product(*choices)]

    def _operation(self, node: Node, scope: Scope, inside: Scope, bound: frozenset[str]) -> Visit:
        """An op with operands, its indices labelled as in ``inside``, of which ``bound`` end here."""
        operands: list[int] = []
        for k, x in enumerate(node.inputs):
            value = self._promoted(node, k)
            if value is None:
                at = scope if node.op == "gather" and k == 1 else inside
                operands.append((yield (x, tuple([at[i] for i in self.axes(x)]))))
            else:
                operands.append(self.terms.constant(value))
        if node.op == "contract":
            return self.terms.product(operands, bound)
        if node.op == "add":
            return self.terms.add(operands)
        if node.op in JUNCTIONS and node.dtype == "bool":
            return self.terms.junction(node.op, operands)
        if OPS[node.op].commutative:
            operands.sort()
        facts = tuple(node.attr(name) for name in FACTS.get(node.op, ()))
        return self.terms.make(
            node.op,
            operands,
            facts=facts,
            roles=tuple(self._roles(node, scope, inside)),
            bound=bound,
            free=frozenset(scope.values()),
            dtype=node.dtype,
        )

    def _promoted(self, node: Node, k: int) -> float | None:
        """The k-th operand as a real number, if it is a whole constant among reals: ``x > 0`` is ``x > 0.0``."""
        x = node.inputs[k]
        if x.op != "const" or x.dtype == "real" or OPS[node.op].kind not in ("elementwise", "sample"):
            return None
        if node.op == "where" and k == 0:
            return None
        value = x.attr("value")
        real = node.dtype == "real" or any(y.dtype == "real" for y in node.inputs)
        return float(value) if real and float(value) == value else None

    def _roles(self, node: Node, scope: Scope, inside: Scope) -> Iterable[Role]:
        """The indices among a node's attributes."""
        for table, names in ((KEPT_SETS, scope), (BOUND_SETS, inside)):
            for name in table.get(node.op, ()):
                yield name, tuple(sorted(names[i] for i in node.attr(name)))
        for table, names in ((KEPT, scope), (BOUND, inside)):
            for name in table.get(node.op, ()):
                value = node.attr(name)
                yield name, tuple(names[i] for i in ([value] if isinstance(value, str) else value))

    def _window(self, node: Node, scope: Scope) -> Visit:
        """A window ends its axis and carries its indices, a fold the other way round."""
        indices = [index for index, _ in node.attr("terms")]
        bound = [node.attr("axis")] if node.op == "window" else indices
        answers: list[int] = []
        for inside in self._scopes(bound, scope):
            x = node.inputs[0]
            operand = yield (x, tuple([inside[i] for i in self.axes(x)]))
            terms = tuple(sorted((inside[index], factor) for index, factor in node.attr("terms")))
            roles = (("axis", (inside[node.attr("axis")],)), ("terms", tuple(index for index, _ in terms)))
            facts = (node.attr("offset"), *(factor for _, factor in terms))
            ends = frozenset(inside[i] for i in bound)
            free = frozenset(scope.values())
            made = self.terms.make(
                node.op, [operand], facts=facts, roles=roles, bound=ends, free=free, dtype=node.dtype
            )
            answers.append(made)
        return min(answers)

    def _extern(self, node: Node, scope: Scope) -> Visit:
        """A call of Python: what the function sees of an argument has no name, only a place."""
        operands: list[int] = []
        for k, (x, groups) in enumerate(zip(node.inputs, node.attr("own"), strict=True)):
            inside = {leaf: f"@{k}.{g}.{j}" for g, group in enumerate(groups) for j, leaf in enumerate(group)}
            operands.append((yield (x, tuple([inside.get(i) or scope[i] for i in self.axes(x)]))))
        out = node.attr("out")
        given = tuple(tuple(len(group) for group in groups) for groups in (*node.attr("own"), out))
        return self.terms.make(
            "extern",
            operands,
            facts=(node.attr("entry"), node.attr("static"), given),
            roles=(("out", tuple(scope[leaf] for group in out for leaf in group)),),
            free=frozenset(scope.values()),
            dtype=node.dtype,
        )

    # ------------------------------------------------------------ leaves

    def _leaf(self, node: Node, scope: Scope) -> Visit:
        free = frozenset(scope.values())
        match node.op:
            case "const":
                return self.terms.constant(node.attr("value"))
            case "label":
                roles: tuple[Role, ...] = (("at", (scope[node.attr("index")],)),)
                return self.terms.make("label", facts=(node.attr("low"),), roles=roles, free=free, dtype="int")
            case "size":
                axis = self.names.axis(node.attr("axis"))
                whose = None if axis == BATCH else f"axis {axis}"
                return self.terms.make("size", entity=whose, dtype="int")
            case "hole" if node in self._holes:
                what = self._holes[node]
                facts = (what.rank, what.kind, what.lag)
                along: Role = ("along", (self.names.label(what.axis),))
                places: Role = ("at", tuple(sorted(scope.values())))
                return self.terms.make("hole", facts=facts, roles=(along, places), free=free, dtype=node.dtype)
            case "step" | "examples" | "training":
                return self.terms.make(node.op, dtype=node.dtype)
            case _:
                pass
        operands: list[int] = []
        for k, x in enumerate(node.inputs):
            value = self._promoted(node, k)
            known = self.terms.constant(value) if value is not None else None
            operands.append(known if known is not None else (yield (x, tuple([scope[i] for i in self.axes(x)]))))
        entity, facts, order = self._what(node)
        at: tuple[Role, ...] = (("at", tuple(scope[i] for i in order)),)
        return self.terms.make(node.op, operands, facts=facts, entity=entity, roles=at, free=free, dtype=node.dtype)

    def _what(self, node: Node) -> tuple[str | None, tuple[object, ...], tuple[str, ...]]:
        """Which entity a tensor leaf is, what else identifies it, and its indices in their order."""
        order: tuple[str, ...] = node.attr("axes")
        match node.op:
            case "param":
                return f"param {self.names.param(node.attr('path'))}", (), order
            case "input":
                return f"input {self.names.input(node.attr('name'))}", (), order
            case "table":
                values = tuple(typed(v) for v in node.attr("values"))
                return None, (values, node.attr("shape")), order
            case "state":
                owner, _, part = node.attr("path").partition("@")
                if part == "mask" and owner in self.owners:
                    return f"param {self.names.param(owner)}", (part,), order
                return None, (self._local(f"state {node.attr('path')}"),), order
            case "hole" if node.attr("name").startswith(LEARNED):
                path = node.attr("name").removeprefix(LEARNED)
                return f"param {self.names.param(path)}", (LEARNED,), order
            case "hole":
                return None, (self._local(node.attr("name")),), order
            case "sample":
                facts: tuple[object, ...] = (node.attr("kind"),)
            case _:
                facts = ()
        path: str = node.attr("path")
        if path.endswith("@mask") and path.removesuffix("@mask") in self.owners:
            return f"draw of {self.names.param(path.removesuffix('@mask'))}", (*facts, "mask"), order
        owner, _, part = path.partition("~")  # a second draw of the same parameter
        if owner in self.owners:
            return f"draw of {self.names.param(owner)}", (*facts, part) if part else facts, order
        return f"draw {self.names.draw(path)}", facts, tuple(sorted(order, key=self.names.label))

    def _local(self, name: str) -> str:
        return self.names.locals.get(name, name)

    # ------------------------------------------------------------ scans

    def _scan(self, node: Node, scope: Scope) -> Visit:
        """A scan in open form: its results in an order of their own, what its holes read, and where they begin."""
        loop = self._loop(node)
        operands: list[int] = []
        for root in loop.roots:
            operands.append((yield (root, tuple([scope[i] for i in self.axes(root)]))))
        rows: list[tuple[str, int, int, list[int]]] = []
        for hole, link in loop.form.past.items():
            what = loop.holes[hole]
            read: list[int] = []
            for x in (getattr(link, "index", None), getattr(link, "start", None)):
                if x is not None:
                    read.append((yield (x, tuple([scope[i] for i in self.axes(x)]))))
            rows.append((what.kind, what.rank, what.lag, read))
        rows.sort()
        for *_, read in rows:
            operands += read
        return self.terms.make(
            "scan",
            operands,
            facts=(node.attr("reverse"), *(row[:3] for row in rows)),
            roles=(("axis", (scope[node.attr("axis")],)),),
            free=frozenset(scope.values()),
            dtype=node.dtype,
        )

    def _result(self, node: Node, scope: Scope) -> Visit:
        """One result of a scan, by its rank."""
        scan = node.inputs[0]
        whole: int = yield (scan, tuple([scope.get(i) or self.names.label(i) for i in self.axes(scan)]))
        number: int = node.attr("k")
        rank = self._loop(scan).rank[number]
        return self.terms.make("result", [whole], facts=(rank,), free=frozenset(scope.values()), dtype=node.dtype)

    def _loop(self, scan: Node) -> Ranked:
        """The scan in open form, remembered: its holes are leaves from now on."""
        if scan not in self._loops:
            loop = self._loops[scan] = ranked(scan)
            self._holes.update(loop.holes)
        return self._loops[scan]
