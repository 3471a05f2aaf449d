"""One routine: which nodes become statements, in what order, under what names.

A node becomes a statement when it is read more than once, when it is a result, or when its expression has grown long;
everything else is nested into its reader.  Statements run in graph order; updates in place wait for the last reader of
the old value (:meth:`RoutineBuilder.order`).
"""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..graph.node import Graph, Node, Pool
from .elementwise import HOST
from .layout import Layout
from .loop import emit_loop
from .lower import Lowering, finite
from .sizes import size_name
from .tree import Bin, Call, Choice, Code, Field, Item, Line, Method, Neg, Part, Row, Statement, Table, Var
from .value import Val

MAX_NESTED = 9
"""Operations nested into one statement; longer ones are cut for the reader's sake."""

LONGEST_CHAIN = 200
"""Operands of one sum or product; Python cannot compile statements of many thousands."""

_CHEAP = frozenset({"const", "size", "step", "examples", "training", "rename", "window"})
_HOST_LEAVES = frozenset({"const", "size", "step", "examples", "training"})
_HOST_OPS = frozenset({*HOST, "contract", "add"})
RESERVED = frozenset(
    [
        *("self", "v", "t", "n", "draw", "torch", "F", "rt", "math", "inputs", "int", "float", "abs", "min", "max"),
        *("range", "zip", "reversed", "list"),
    ]
)
"""Names that emitted routines use themselves."""


@dataclass(frozen=True, slots=True)
class Block:
    """A node that becomes a statement, with the nodes nested into it and what they read."""

    node: Node
    nested: tuple[Node, ...]  # in graph order, the node itself last
    reads: frozenset[Node]  # other statements' nodes and leaves


class RoutineBuilder:
    """Collects the statements of one routine."""

    def __init__(
        self,
        pool: Pool,
        layout: Layout,
        leaves: Mapping[Node, Val],
        finite: Mapping[Node, bool],
        names: Mapping[Node, str],
        places: Callable[[Node], tuple[tuple[str, ...], str]],
        targets: Sequence[Node],
        draws: bool = False,
        unproven: frozenset[Node] = frozenset(),
        phase: Callable[[Node], str] | None = None,
    ) -> None:
        """``phase``, for a traced plan, names the part of a step that a node belongs to."""
        self.pool = pool
        self._phase = phase
        self._trace: list[tuple[Code, Node]] = []
        self.lowering = Lowering(
            pool,
            layout,
            leaves,
            finite,
            unproven=unproven,
            place=lambda n: ", ".join(places(n)[0][:1]),
            initial=draws,
            trace=self._trace if phase is not None else None,
        )
        self.names = names
        self.places = places
        self.targets = targets
        self.values: dict[Node, Val] = dict(leaves)
        self.statements: list[Line] = []
        self._draws, self._finite, self._unproven = draws, finite, unproven
        self._last: dict[str, int] = {}  # the number that a name was last made unique by
        self._taken: set[str] = set[str]().union(*(variables(v.code) for v in leaves.values()))
        self._taken |= {size_name(axis) for axis, known in pool.axes.items() if isinstance(known, str)}
        self.order = self._reachable(targets)
        self._hosts = self._find_hosts()
        self.blocks = self._blocks()

    # ------------------------------------------------------------ what becomes a statement

    def _reachable(self, targets: Iterable[Node]) -> list[Node]:
        """Nodes to compute, inputs first, stopping at leaves."""
        order: list[Node] = []
        seen: set[Node] = set(self.values)
        for root in targets:
            stack = [(root, False)]
            while stack:
                node, done = stack.pop()
                if done:
                    order.append(node)
                elif node not in seen:
                    seen.add(node)
                    stack.append((node, True))
                    stack.extend((i, False) for i in reversed(node.inputs) if i not in seen)
        return order

    def _blocks(self) -> dict[Node, Block]:
        """Partition the order into statements with what is nested into each."""
        uses: Counter[Node] = Counter(self.targets)
        for node in self.order:
            uses.update(node.inputs)
        targets = set(self.targets)
        terms = {i for t in targets if t.op in ("add", "contract") for i in t.inputs}
        blocks: dict[Node, Block] = {}
        nested: dict[Node, list[Node]] = {}
        weight: dict[Node, int] = {}
        for node in self.order:
            if node.op == "result" and node not in targets:
                continue
            inside: dict[Node, None] = {}  # in graph order
            total = 1
            for source in dict.fromkeys(node.inputs):
                if source in nested:
                    inside.update(dict.fromkeys(nested[source]))
                    total += weight[source]
            inside[node] = None
            inner = [*inside]
            long = total > MAX_NESTED and node not in terms  # an update is written term by term anyway
            keep = node in targets or node.op == "scan" or (uses[node] > 1 and node.op not in _CHEAP) or long
            if keep:
                reads = frozenset([_made_by(i) for n in inner for i in n.inputs if i not in inside])
                blocks[node] = Block(node, tuple(inner), reads)
            else:
                nested[node] = inner
                weight[node] = 0 if node.op in _CHEAP else total
        return blocks

    def _find_hosts(self) -> set[Node]:
        """Nodes that are Python numbers at run time: computed from sizes, t, N and constants alone."""
        hosts: set[Node] = set()
        for node in self.order:
            if node.op in _HOST_LEAVES or (node.op in _HOST_OPS and all(i in hosts for i in node.inputs)):
                hosts.add(node)
        return hosts

    def host(self, node: Node) -> bool:
        """Is the node a Python number at run time?"""
        return node in self._hosts

    # ------------------------------------------------------------ emitting

    def compute(self, block: Block) -> Val:
        """The value of a block's node; nested nodes are lowered into it."""
        local: dict[Node, Val] = {}
        for node in block.nested:
            if node.op == "result":
                local[node] = self.values[node]
            else:
                local[node] = self.lowering.node(node, [local.get(i) or self.values[i] for i in node.inputs])
        return local[block.node]

    def assign(self, block: Block) -> Val:
        """Emit ``name = value`` for a block and remember the name (a scan has several: see :mod:`.loop`)."""
        if block.node.op == "scan":
            return self._scan(block)
        return self.bind(block.node, self.compute(block))

    def _scan(self, block: Block) -> Val:
        scan = block.node
        local: dict[Node, Val] = {}
        for node in block.nested[:-1]:
            local[node] = self.lowering.node(node, [local.get(i) or self.values[i] for i in node.inputs])
        read = {n.attr("k"): n for n in self.order if n.op == "result" and n.inputs[0] is scan}
        made = emit_loop(self, block, [local.get(x) or self.values[x] for x in scan.inputs], sorted(read))
        for k, result in read.items():
            self.values[result] = made[k]
        self.values[scan] = next(iter(made.values()))
        return self.values[scan]

    def inner(self, scan: Node, leaves: Mapping[Node, Val], targets: Sequence[Node]) -> RoutineBuilder:
        """A builder for the body of a loop within this routine: names stay unique in the whole routine."""
        body: Graph = scan.attr("body")
        phase = self._phase(scan) if self._phase is not None else None
        order = body.topological()
        unproven = frozenset(n for n in order if n.op == "gather")
        made = RoutineBuilder(
            self.pool,
            self.lowering.layout,
            leaves,
            finite(order),
            self.pool.hints,
            self.places,
            targets,
            self._draws,
            unproven,
            None if phase is None else lambda _: phase,  # that of the loop
        )
        made._taken, made._last = self._taken, self._last
        return made

    def bind(self, node: Node, value: Val) -> Val:
        """Emit ``name = value`` for a node computed in whatever way."""
        name = self.fresh(self.names.get(node) or _hint(node))
        self.emit(name, self._cut(value.code, node), node)
        bound = Val(Var(name), value.axes, value.dtype, value.host)
        self.values[node] = bound
        return bound

    def _cut(self, code: Code, node: Node) -> Code:
        """The code with its chain of operators cut into statements of :data:`LONGEST_CHAIN` operands."""
        chain: list[Bin] = []
        part = code
        while isinstance(part, Bin):
            chain.append(part)
            part = part.left
        for count, step in enumerate(reversed(chain), 1):
            part = Bin(step.op, part, step.right)
            if count % LONGEST_CHAIN == 0 and count < len(chain):
                name = self.fresh("part")
                self.statements.append(Statement(name, part, *self.places(node), self._parts(part, node)))
                part = Var(name)
        return part if len(chain) > LONGEST_CHAIN else code

    def do(self, code: Code, node: Node) -> None:
        """Emit a statement for its effect."""
        self.emit(None, code, node)

    def emit(self, target: str | None, code: Code, node: Node) -> None:
        """Emit a statement."""
        self.statements.append(Statement(target, code, *self.places(node), self._parts(code, node)))
        self._trace.clear()

    def mark(self, code: Code, node: Node) -> None:
        """Note for a traced plan that code which no lowering made stands for a node."""
        if self._phase is not None:
            self._trace.append((code, node))

    def parts(self) -> tuple[Part, ...]:
        """Where the code comes from that was made since the last statement."""
        return tuple(part for code, node in self._trace for part in self.part(code, node))

    def part(self, code: Code, node: Node) -> tuple[Part, ...]:
        """Where a whole line comes from that no lowering made."""
        if self._phase is None:
            return ()
        return (Part(code, next(iter(self.places(node)[0]), ""), self._phase(node)),)

    def _parts(self, code: Code, node: Node) -> tuple[Part, ...]:
        self.mark(code, node)
        return self.parts()

    def fresh(self, hint: str) -> str:
        """A local name not yet taken in this routine."""
        base = local_name(hint)
        k = self._last.get(base, 1)
        name = base if k == 1 else f"{base}_{k}"
        while name in self._taken or name in RESERVED:
            k += 1
            name = f"{base}_{k}"
        self._last[base] = k
        self._taken.add(name)
        return name

    def run(self) -> list[Val]:
        """Emit everything in graph order; the targets' values."""
        alone = self.targets[0] if len(set(self.targets)) == 1 else None
        for node in self.order:
            if node in self.blocks:
                if node is alone:
                    return [self.compute(self.blocks[node])] * len(self.targets)
                self.assign(self.blocks[node])
        return [self.value(t) for t in self.targets]

    def value(self, node: Node) -> Val:
        """The value of a node that has been emitted, or of a cheap leaf."""
        if node not in self.values:
            self.values[node] = self.lowering.node(node, [self.value(i) for i in node.inputs])
        return self.values[node]


def _made_by(node: Node) -> Node:
    """The node whose statement makes a value: a scan makes its results."""
    return node.inputs[0] if node.op == "result" else node


def local_name(hint: str) -> str:
    """A Python identifier for a path or an index name."""
    name = "".join(c if c.isalnum() or c == "_" else "_" for c in hint).strip("_") or "x"
    if name[0].isdigit():
        name = "x" + name
    return name + "_" if keyword.iskeyword(name) else name


def _hint(node: Node) -> str:
    return {"contract": "product", "add": "total", "lt": "mask", "le": "mask", "eq": "mask", "ne": "mask"}.get(
        node.op, node.op
    )


def variables(code: Code) -> set[str]:
    """All names that code reads."""
    found: set[str] = set()
    todo = [code]
    while todo:  # not recursive: a sum may have thousands of terms
        part = todo.pop()
        if isinstance(part, Var):
            found.add(part.name)
        todo += _parts(part)
    return found


def read_by(line: Line) -> set[str]:
    """All names that a line reads, the lines of a loop's body among them."""
    if isinstance(line, Statement):
        return variables(line.value)
    return variables(line.over).union(*(read_by(inner) for inner in line.body))


def _parts(code: Code) -> list[Code]:
    match code:
        case Call():
            return [*code.args, *(a for _, a in code.named)]
        case Method():
            return [code.obj, *code.args, *(a for _, a in code.named)]
        case Bin():
            return [code.left, code.right]
        case Neg():
            return [code.operand]
        case Field():
            return [code.obj]
        case Item():
            return [code.obj, *(i for i in code.items if i is not None)]
        case Row():
            return [*code.items]
        case Table():
            return [v for _, v in code.items]
        case Choice():
            return [code.condition, code.yes, code.no]
        case _:
            return []
