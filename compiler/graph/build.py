"""The typed model becomes a circuit graph: values, density terms, priors, initial values and metrics as roots.

Root names are the vocabulary of the later stages::

    value h          a named value             term 0       log density of a statement, per example
    prior W          log prior of a parameter  init W       its initial value
    init W@sign      the signs that its domain freezes
    init W@mask      where its entries exist, of a sparse one
    init m           the start of a state of the model
    update m         the state after a step, of learned parameters where it reads them by name
    prior.mean W     a moment or a draw of the prior, where a rule reads it
    latent z/..      of a latent: its draw, its guide's terms, where its search starts
    factor 0         term 0 at every place, where latents are summed out
    metric K/S       statistic S of metric K, per example
    assert K/S       operand or statistic S of the K-th assertion
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, nextafter

from ..diagnostics import InternalError, Span
from ..frontend import model as typed
from ..frontend.typed_walk import dependency_order, reads
from . import expr as e
from .bounds import ALL
from .construct import select
from .densities import CONFINED, Shape, log_density
from .domains import onto, signs
from .draws import draw
from .ends import Ends
from .joint import joint
from .latents import NotEnumerable, elsewhere_hole, latent_hole, latent_parts, own_axes
from .moments import MOMENTS, tempered
from .node import BATCH, REPLICA, Graph, Node, Pool
from .recurrence import At, Link, Open, Past, closed, shifted
from .supports import INSIDE, block_axes, held, mask
from .windows import read_window, within

_ELEMENTWISE: dict[str, Callable[..., Node]] = {
    "exp": e.exp, "log": e.log, "sqrt": e.sqrt, "relu": e.relu, "gelu": e.gelu, "sigmoid": e.sigmoid, "tanh": e.tanh,
    "softplus": e.softplus, "sin": e.sin, "cos": e.cos, "erf": e.erf, "abs": e.abs_, "sign": e.sign, "stop": e.stop,
    "shrink": e.shrink, "clip": e.clip, "where": e.where, "pow": e.pow, "floordiv": e.floordiv, "mod": e.mod,
    "lt": e.lt, "le": e.le, "eq": e.eq, "ne": e.ne, "min": e.minimum, "max": e.maximum,
}  # fmt: skip

_OVER_SETS: dict[str, Callable[..., Node]] = {
    "sum": e.reduce_sum, "prod": e.prod, "mean": e.mean, "var": e.var, "norm": e.norm, "logsumexp": e.logsumexp,
    "softmax": e.softmax, "log_softmax": e.log_softmax, "normalize": e.normalize, "max": e.max, "min": e.min,
}  # fmt: skip

_MATRIX: dict[str, Callable[..., Node]] = {"logdet": e.logdet, "eigvals": e.eigvals, "polar": e.polar}

_OF_NUMBERS = frozenset({"abs", "sign", "relu"})
"""Operations that no target has for truth values, which are 0 and 1 here."""

SCALARS: dict[str, Callable[[Pool], Node]] = {
    "t": e.step,
    "N": e.examples,
    "n": lambda pool: e.size(pool, BATCH),
    "training": e.training,
}

LEARNED = "learned "
"""Before the path of a parameter: the hole in a state's update that stands for the parameter as `learn` leaves it."""


@dataclass
class Expressions:
    """Builds typed expressions into nodes; ``tensors`` says what each tensor name stands for."""

    pool: Pool
    tensors: Mapping[str, Node]
    path: str = ""
    draws: dict[str, int] = field(default_factory=dict[str, int])
    past: dict[tuple[str, typed.Earlier], Node] = field(default_factory=dict[tuple[str, typed.Earlier], Node])
    """Within a recurrence: what its members were at other labels."""
    starts: dict[str, typed.Expr] = field(default_factory=dict[str, typed.Expr])
    ragged: tuple[str, ...] = ()
    discrete: Mapping[str, typed.Latent] = field(default_factory=dict[str, typed.Latent])
    """Latents that are summed out: read at another label of an axis they are another hole."""
    elsewhere: dict[str, Node] = field(default_factory=dict[str, Node])
    """``NAME/elsewhere AXIS DIGEST`` -> the position."""

    def build(self, x: typed.Expr) -> Node:
        """The node of a typed expression (recursion is bounded by the front end's nesting limit)."""
        match x:
            case typed.Const():
                return e.const(self.pool, x.value)
            case typed.SizeOf():
                return e.size(self.pool, x.axis)
            case typed.Label():
                return e.label(self.pool, x.index, x.low)
            case typed.Scalar():
                return SCALARS[x.name](self.pool)
            case typed.Read():
                return self._read(x)
            case typed.Product():
                return self._product(x)
            case typed.Sum():
                terms = [e.neg(self.pool, self.build(t)) if minus else self.build(t) for minus, t in x.terms]
                return e.add(self.pool, *terms)
            case typed.Apply():
                return self._apply(x)
            case typed.Over():
                return self._over(x)
            case typed.ExternCall():
                args = [self.build(a) for a in x.args]
                entry = (x.entry, x.digest)
                return self.pool.node("extern", *args, entry=entry, own=x.own, out=x.out, static=x.static)
            case typed.Posterior():
                node = e.hole(self.pool, f"posterior {x.latent}", x.held)
                return e.rename(self.pool, node, dict(zip(x.held[1:], x.indices, strict=True)))
            case _:
                raise InternalError(f"no graph form for {type(x).__name__}")

    def _read(self, x: typed.Read) -> Node:
        """Plain positions are renamed at once; computed ones go through fresh indices and are gathered."""
        earlier = next((p for p in x.at if isinstance(p, typed.Earlier)), None)
        if x.tensor.name in self.discrete and any(not isinstance(p, str) for p in x.at):
            return self._label_elsewhere(x)
        if earlier is None:
            node = self.tensors[x.tensor.name]
        elif (x.tensor.name, earlier) in self.past:
            node = self.past[x.tensor.name, earlier]
        else:
            node = self._elsewhere(x.tensor.name, earlier)
        names: dict[str, str] = {}
        gathers: list[tuple[str, typed.Expr]] = []
        used = {p for p in x.at if isinstance(p, str)} | set(x.tensor.leaves)
        for leaf, position in zip(x.tensor.leaves, x.at, strict=True):
            if isinstance(position, str):
                names[leaf] = position
            elif not isinstance(position, typed.Earlier):
                temporary = e.fresh(leaf, used)
                used.add(temporary)
                names[leaf] = temporary
                gathers.append((temporary, position))
        node = e.rename(self.pool, node, {a: b for a, b in names.items() if a in node.axes})
        for axis, position in gathers:
            if isinstance(position, typed.Window):
                node = read_window(self.pool, node, self.build(position.at), axis)
            else:
                node = e.gather(self.pool, node, self.build(position), axis)
        return node

    def _label_elsewhere(self, x: typed.Read) -> Node:
        """``z[t-1]`` of a latent that is summed out; outside the axis it is label 0."""
        latent = self.discrete[x.tensor.name]
        moved = [(leaf, p) for leaf, p in zip(x.tensor.leaves, x.at, strict=True) if not isinstance(p, str)]
        plain = all(p == leaf for leaf, p in zip(x.tensor.leaves, x.at, strict=True) if isinstance(p, str))
        (axis, position), *more = moved
        index = self.build(position.at if isinstance(position, typed.Window) else position)
        if more or not plain or not index.axes <= {axis}:
            raise NotEnumerable(latent, "it is read at labels that do not follow from its own index")
        digest = index.digest.hex()
        self.elsewhere[f"{x.tensor.name}/elsewhere {axis} {digest}"] = index
        return elsewhere_hole(self.pool, latent, digest)

    def _elsewhere(self, name: str, p: typed.Earlier) -> Node:
        """A member of a recurrence at another label, where all its values are known."""
        start = self.build(self.starts[name])
        link = Past(0, abs(p.lag), start) if p.at is None else At(0, self.build(p.at), start)
        return shifted(self.pool, self.tensors[name], link, p.index, reverse=p.lag < 0)

    def _product(self, x: typed.Product) -> Node:
        over = [self.build(f) for f in x.over]
        under = [self.build(f) for f in x.under]
        if x.negative:
            over.insert(0, e.const(self.pool, -1))
        over = _entropies(self.pool, over)
        if not x.sums and len(under) == 1 and not over[1:]:
            return e.div(self.pool, over[0], under[0])
        return e.contract(self.pool, [*over, *(e.recip(self.pool, u) for u in under)], x.sums)

    def _apply(self, x: typed.Apply) -> Node:
        args = [self.build(a) for a in x.args]
        if x.op in _OF_NUMBERS:
            args = [e.maximum(self.pool, a, 0) if a.dtype == "bool" else a for a in args]  # a whole number
        if x.op == "dropout":
            return self._dropout(*args)
        return _ELEMENTWISE[x.op](self.pool, *args)

    def _dropout(self, u: Node, p: Node) -> Node:
        """u * keep / (1 - p) in training, u in evaluation; one keyed draw per entry and step."""
        number = self.draws[self.path] = self.draws.get(self.path, 0) + 1
        axes = tuple(sorted(u.axes, key=lambda a: (a != BATCH, a)))
        draw = e.sample(self.pool, "uniform", f"{self.path}/dropout{number}", axes)
        kept = e.div(self.pool, e.ge(self.pool, draw, p), e.sub(self.pool, 1, p))
        training = e.training(self.pool)
        factor = e.add(self.pool, e.sub(self.pool, 1, training), e.mul(self.pool, training, kept))
        return e.mul(self.pool, u, factor)

    def _over(self, x: typed.Over) -> Node:
        args = [self.build(a) for a in x.args]
        if self.ragged and BATCH in x.over and x.op in ("mean", "var"):
            ends = Ends(self.pool, self.ragged)
            return ends.mean(args[0], x.over) if x.op == "mean" else ends.var(args[0], x.over)
        if x.op in _OVER_SETS:
            return _OVER_SETS[x.op](self.pool, args[0], x.over)
        if x.op in _MATRIX:
            return _MATRIX[x.op](self.pool, args[0], *x.over)
        match x.op:
            case "rank":
                return e.rank(self.pool, args[0], x.over)
            case "kmax":
                return e.kmax(self.pool, args[0], x.over, args[1])
            case "cumsum":
                return e.cumsum(self.pool, args[0], x.over[0])
            case "matpow":
                return self._matpow(args[0], args[1], *x.over)
            case "argmax":
                return self._argmax(args[0], x.over)
            case _:
                raise InternalError(f"no graph form for the operation `{x.op}`")

    def _matpow(self, a: Node, p: Node, rows: str, cols: str) -> Node:
        """Whole powers are repeated products (of the inverse, below 0); others act on the symmetric part."""
        exponent = e.constant(p)
        if exponent is None or float(exponent) != int(exponent):
            return e.matpow(self.pool, a, p, rows, cols)
        base = e.inverse(self.pool, a, rows, cols) if exponent < 0 else a
        result: Node | None = None
        left = abs(int(exponent))
        while left:
            if left & 1:
                result = base if result is None else self._matmul(result, base, rows, cols)
            left >>= 1
            base = self._matmul(base, base, rows, cols) if left else base
        identity = e.real(self.pool, e.eq(self.pool, e.label(self.pool, rows), e.label(self.pool, cols)))
        return e.real(self.pool, result) if result is not None else identity

    def _matmul(self, a: Node, b: Node, rows: str, cols: str) -> Node:
        """The product of two square matrices over (rows, cols), through an index of its own."""
        inner = e.fresh(rows, a.axes | b.axes)
        left, right = e.rename(self.pool, a, {cols: inner}), e.rename(self.pool, b, {rows: inner})
        return e.contract(self.pool, [left, right], [inner])

    def _argmax(self, x: Node, over: tuple[str, ...]) -> Node:
        """Over one axis the op itself; over several the row-major position whose rank is 0."""
        if len(over) == 1:
            return e.argmax(self.pool, x, over[0])
        first = e.eq(self.pool, e.rank(self.pool, x, over), 0)
        return e.contract(self.pool, [first, e.position(self.pool, over)], over)


def _entropies(pool: Pool, factors: list[Node]) -> list[Node]:
    """``u * log u`` is 0 at u = 0 (language, 4.8): every such pair of factors becomes xlogy."""
    left = list(factors)
    pairs: list[Node] = []
    for factor in factors:
        if factor.op == "log" and factor in left and factor.inputs[0] in left:
            left.remove(factor)
            left.remove(factor.inputs[0])
            pairs.append(e.xlogy(pool, factor.inputs[0], factor.inputs[0]))
    return [*pairs, *left]


def _shape(dist: typed.Dist) -> Shape:
    return Shape(dist.classes, dist.over)


def build(model: typed.Model) -> Graph:
    """The circuit graph of a typed model.  Every node's origins are the statements it comes from."""
    return _Build(model).run()


RANGES = {"positive": (nextafter(0, inf), inf), "simplex": (0.0, 1.0)}
"""Where the entries of a parameter lie, by domain."""


class _Build:
    def __init__(self, model: typed.Model) -> None:
        self.model = model
        hidden = ({REPLICA: model.replicas} if model.replicas else {}) | own_axes(model) | block_axes(model)
        self.pool = Pool(model.leaf_sizes() | hidden)
        self.tensors: dict[str, Node] = {}
        self.roots: dict[str, Node] = {}
        summed = {name: latent for name, latent in model.latents.items() if latent.labelled}
        self.expressions = Expressions(self.pool, self.tensors, ragged=model.ragged(), discrete=summed)
        self.stored: dict[str, Node] = {}
        """Sparse parameters without their masks, which do not exist yet where initial values are made."""
        self.starts = Expressions(self.pool, ChainMap(self.stored, self.tensors), ragged=model.ragged())

    def run(self) -> Graph:
        model = self.model
        for item in model.inputs.values():
            with self.pool.origin([item.tensor.span]):
                self.tensors[item.tensor.name] = e.input(
                    self.pool, item.tensor.name, item.tensor.leaves, item.tensor.dtype
                )
        for param in model.params.values():
            with self.pool.origin([param.tensor.span]):
                stored = e.param(self.pool, param.tensor.name, param.tensor.leaves, param.tensor.dtype)
                self.tensors[param.tensor.name] = held(self.pool, param, stored)
                if param.support is not None:
                    self.stored[param.tensor.name] = stored
            low, high = RANGES.get(param.domain, ALL)
            self.pool.ranges[param.tensor.name] = (min(low, 0.0), high) if param.support is not None else (low, high)
        for state in model.buffers.values():
            with self.pool.origin([state.span]):
                self.tensors[state.tensor.name] = e.state(self.pool, state.tensor.name, state.tensor.leaves)
        for tensor, entries in model.tables.values():
            with self.pool.origin([tensor.span]):
                self.tensors[tensor.name] = self._table(tensor, entries)
        for name, formula in model.formulas.items():
            with self.pool.origin([formula.span]):
                self.tensors[name] = self.expressions.build(formula.expr)
        for name, latent in model.latents.items():
            with self.pool.origin([latent.tensor.span]):
                self.tensors[name] = latent_hole(self.pool, latent)
        self._values()
        for k, term in enumerate(model.terms):
            self._root(f"term {k}", term.span, lambda term=term: self._term(term))
        for name, term in joint(model).terms.items() if model.sampling else ():
            self._root(f"sample {name}", term.span, lambda term=term: self._sample(term))
        for param in model.params.values():
            self._param(param)
        self._latents()
        self._states()
        for metric in model.measures():
            for stat, expression in metric.stats:
                span = metric.span or model.span
                self._root(f"metric {metric.key}/{stat}", span, lambda x=expression: self._metric(x))
        self._asserts()
        graph = Graph(self.pool, self.roots)
        alone = tuple(name for name in self.roots if name.startswith(("prior ", "init ")))  # they have no examples
        return Ends(self.pool, model.ragged()).close(graph, alone) if model.ragged() else graph

    def _root(self, name: str, span: Span, make: Callable[[], Node]) -> Node:
        """Build one root with its statement as origin (draws are numbered per root)."""
        self.expressions.path = self.starts.path = name.partition(" ")[2]
        with self.pool.origin([span]):
            self.roots[name] = node = make()
        return node

    def _table(self, tensor: typed.Tensor, entries: tuple[float, ...]) -> Node:
        sizes = [self.pool.size(leaf) for leaf in tensor.leaves]
        shape = [s for s in sizes if isinstance(s, int)]
        return e.table(self.pool, tensor.leaves, entries, shape, "real")

    def _values(self) -> None:
        """Values in dependency order (the model lists them in the order of the text)."""
        together = {r.names()[0]: r for r in self.model.recurrences}
        for recurrence in [inner for r in self.model.recurrences for inner in r.everywhere()]:
            self.expressions.starts.update(recurrence.starts)
        for name in dependency_order(self.model):
            if name in together:
                self._recurrence(together[name])
            else:
                self.tensors[name] = self._value(name)
        for name in self.model.values:
            self.roots[f"value {name}"] = self.tensors[name]

    def _value(self, name: str) -> Node:
        value = self.model.values[name]
        self.expressions.path = name
        with self.pool.origin([value.span]):
            return self.expressions.build(value.expr)

    def _recurrence(self, recurrence: typed.Recurrence) -> None:
        """The members as equations over the whole axis, what lies in the past as holes; then the loop is closed."""
        names = recurrence.names()
        past: dict[Node, Link] = {}
        for read in reads([self.model.values[name].expr for name in names]):
            for p in read.at:
                if isinstance(p, typed.Earlier) and p.index == recurrence.axis and read.tensor.name in names:
                    self._read_past(recurrence, read.tensor.name, p, past)
        for part in recurrence.parts:
            if isinstance(part, str):
                self.tensors[part] = self._value(part)
            else:
                self._recurrence(part)
        roots = {name: self.tensors[name] for name in names}
        self.tensors.update(closed(self.pool, Open(recurrence.axis, recurrence.reverse, roots, past)))

    def _read_past(self, recurrence: typed.Recurrence, name: str, p: typed.Earlier, past: dict[Node, Link]) -> None:
        """The hole for one read of a member at another label."""
        value, k = self.model.values[name], recurrence.names().index(name)
        with self.pool.origin([value.span]):
            start = self.expressions.build(recurrence.starts[name])
            index = self.expressions.build(p.at) if p.at is not None else None
            which = f"-{abs(p.lag)}" if index is None else f"@{index.digest.hex()}"
            tensor, axis = value.tensor, recurrence.axis
            axes = [BATCH] * tensor.batched + [leaf for leaf in tensor.leaves if leaf != axis]
            hole = e.hole(self.pool, f"{name}{which}", axes, tensor.dtype)
        self.pool.hints.setdefault(hole, f"{name}_{abs(p.lag)}_back" if index is None else f"{name}_before")
        past[hole] = Past(k, abs(p.lag), start) if index is None else At(k, index, start)
        self.expressions.past[name, p] = hole

    def _term(self, term: typed.Term) -> Node:
        """The statement's log density: summed over every index but batch."""
        node = self._factor(term)
        return e.reduce_sum(self.pool, node, term.repeated | (node.axes - {BATCH}))

    def _factor(self, term: typed.Term) -> Node:
        """The statement's log density at every place."""
        target = self._counted(term.target.tensor, self.expressions.build(term.target))
        weight = self.expressions.build(term.power) if term.power is not None else None
        dist = term.dist
        node = log_density(self.pool, dist.name, target, self._args(dist), _shape(dist), weight=weight)
        for axis, position in term.windows():
            node = e.where(self.pool, within(self.pool, self.expressions.build(position), axis), node, 0.0)
        return node

    def _latents(self) -> None:
        """What each way to find a latent needs of its densities."""
        for name, latent in self.model.latents.items():
            how = latent.inference
            if how is None or latent.prior is None:
                continue
            prior = self.model.terms[latent.prior]
            parts = latent_parts(self.pool, latent, how, prior, self._args, self._weight(prior), self.tensors[name])
            for part, (span, make) in parts.items():
                self._root(f"latent {name}/{part}", span, make)
        if any(x.labelled for x in self.model.latents.values()):
            for k, term in enumerate(self.model.terms):
                self._root(f"factor {k}", term.span, lambda term=term: e.real(self.pool, self._factor(term)))
        self.roots |= {f"latent {key}": node for key, node in self.expressions.elsewhere.items()}

    def _weight(self, term: typed.Term) -> Node | None:
        return self.expressions.build(term.power) if term.power is not None else None

    def _sample(self, term: typed.Term) -> Node:
        """A draw of an input from its density, per example."""
        tensor, dist = term.target.tensor, term.dist
        axes = (BATCH, *tensor.leaves)
        domain = self.model.inputs[tensor.name].domain
        made = draw(self.pool, dist.name, f"sample/{tensor.name}", axes, self._args(dist), _shape(dist), domain)
        return self._counted(tensor, made, back=True)

    def _counted(self, tensor: typed.Tensor, x: Node, *, back: bool = False) -> Node:
        """Labels counted from 0, as distributions have them (``back``: as the axis has them)."""
        low = self.model.axes[tensor.label].low if tensor.label is not None else 0
        return e.add(self.pool, x, low if back else -low) if low else x

    def _args(self, dist: typed.Dist, expressions: Expressions | None = None) -> dict[str, Node]:
        return {name: (expressions or self.expressions).build(a) for name, a in dist.args.items()}

    def _param(self, param: typed.Param) -> None:
        path, leaves = param.tensor.name, param.tensor.leaves

        def prior() -> Node:
            dist = param.prior
            inside = dist.name in CONFINED.get(param.domain, ())
            weight = self.expressions.build(param.power) if param.power is not None else None
            stored = held(self.pool, param, e.param(self.pool, path, leaves, param.tensor.dtype), INSIDE)
            value, args = self._counted(param.tensor, stored), self._args(dist)
            node = log_density(self.pool, dist.name, value, args, _shape(dist), weight=weight, inside=inside)
            return e.reduce_sum(self.pool, held(self.pool, param, node), frozenset(leaves) - frozenset(dist.over))

        def init() -> Node:
            if isinstance(param.init, typed.Expr):
                return self.starts.build(param.init)
            dist = param.init or param.prior
            made = draw(self.pool, dist.name, path, leaves, self._args(dist, self.starts), _shape(dist), param.domain)
            return self._counted(param.tensor, onto(self.pool, made, param, dist.name), back=True)

        self._root(f"prior {path}", param.prior.span, prior)
        start = self._root(f"init {path}", param.tensor.span, init)
        if param.support is not None:
            with self.pool.origin([param.support.span]):
                condition = self.starts.build(param.support.condition) if param.support.condition is not None else None
                drawn = mask(self.pool, param, param.support, condition)
                self.roots[f"init {path}@mask"] = drawn
                self.roots[f"init {path}"] = select(self.pool, e.ne(self.pool, drawn, 0), start, 0.0)
        if param.signs is not None:
            self._root(f"init {path}@sign", param.tensor.span, lambda: signs(self.pool, start, param))
        for name in sorted(self.model.rules[path].statistics) if path in self.model.rules else ():
            if name in MOMENTS or name == "prior.draw":
                self._root(f"{name} {path}", param.prior.span, lambda name=name: self._of_prior(param, name))

    def _states(self) -> None:
        """The start and the update of every state of the model."""
        after = dict(self.tensors)
        for path, param in self.model.params.items():
            with self.pool.origin([param.tensor.span]):
                after[path] = e.hole(self.pool, LEARNED + path, param.tensor.leaves)
        for name, state in self.model.buffers.items():
            self._root(f"init {name}", state.span, lambda x=state.init: self.starts.build(x))
            with self.pool.origin([state.update_span]):
                updated = Expressions(self.pool, after, f"{name}@update", ragged=self.model.ragged())
                self.roots[f"update {name}"] = e.real(self.pool, updated.build(state.update))

    def _of_prior(self, param: typed.Param, name: str) -> Node:
        """A moment of the prior, or a draw from it at every step."""
        dist, path = param.prior, f"{param.tensor.name}/{name}"
        args, shape = self._args(dist), _shape(dist)
        if name in MOMENTS:
            moment = MOMENTS[name][dist.name](self.pool, args, shape)
            if param.power is None:
                return moment
            return tempered(name, moment, self.expressions.build(param.power), self.pool)
        made = draw(self.pool, dist.name, path, param.tensor.leaves, args, shape, param.domain)
        return onto(self.pool, made, param, dist.name)

    def _asserts(self) -> None:
        """The operands of assertions, at every place."""
        for k, assertion in enumerate(self.model.asserts):
            for j in range(len(assertion.operands)):
                for stat, expression in assertion.stats(j):
                    self._root(f"assert {k}/{stat}", assertion.span, lambda x=expression: self._metric(x))

    def _metric(self, expression: typed.Expr) -> Node:
        """At every place of every example; the runtime takes the means, in float64."""
        return e.real(self.pool, self.expressions.build(expression))
