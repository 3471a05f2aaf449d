"""Latents found: the holes of the circuit graph filled, by what `infer` says.

A search (any rule of `learn`, ISTA, FISTA, Newton) is a recurrence along an axis of its own, whose body is the gradient of
the energy, -log p(everything); what does not change from step to step stands outside of it.  Found values are constants for
`learn` unless the gradient is to go through.  A guide's draw takes the place of its latent, and the objective becomes -ELBO.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..diagnostics import InternalError
from ..frontend.model import NO_INDICES, Const, Inference, Latent, Model, Value
from ..frontend.typed_walk import reads
from ..graph import expr as e
from ..graph.build import Expressions
from ..graph.latents import STEPS, latent_hole
from ..graph.node import BATCH, Graph, Node, Pool, below
from ..graph.recurrence import Link, Open, Past, closed, remake
from ..graph.rule import apply
from .enumerate import enumerated
from .gradient import pullback
from .posterior import with_posteriors
from .second import second
from .substitute import substituted


def found_model(model: Model) -> Model:
    """The model whose found latents are values like any other: what the module computes."""
    found = {n: x for n, x in model.latents.items() if x.found}
    if not model.latents:
        return model
    values = {
        name: Value(replace(x.tensor, kind="value"), Const(NO_INDICES, "real", x.tensor.span, 0), False, x.tensor.span)
        for name, x in found.items()
    }
    return replace(model, values=values | model.values)


def found(graph: Graph, model: Model) -> Graph:
    """The circuit graph with every latent found, and posteriors of inputs in place.

    A metric that compares an input with a guess sees latents found without the densities of that input: no leak.
    """
    if not model.latents:
        return with_posteriors(graph, model)
    roots = dict(_Found(graph, model).run().roots)
    for hidden, names in _blind(model).items():
        gone = {f"{kind} {k}" for k in hidden for kind in ("term", "factor")}
        kept = {
            n: x
            for n, x in graph.roots.items()
            if n in names or n.startswith(("term ", "factor ", "latent ", "value "))
        }
        unseen = {n: e.const(graph.pool, 0.0) if n in gone else x for n, x in kept.items()}
        made = _Found(Graph(graph.pool, unseen), model).run().roots
        roots |= {name: made[name] for name in names}
    return with_posteriors(Graph(graph.pool, roots), model)


def _blind(model: Model) -> dict[frozenset[int], list[str]]:
    """The terms that a metric may not see, and the roots of the metrics for which they are left out."""
    found: dict[frozenset[int], list[str]] = {}
    for metric in model.measures():
        read = {r.tensor.name for r in reads([x for _, x in metric.stats])} & model.inputs.keys()
        hidden = frozenset(
            k for k, t in enumerate(model.terms) if t.kind == "likelihood" and t.target.tensor.name in read
        )
        if hidden:
            found.setdefault(hidden, []).extend(f"metric {metric.key}/{stat}" for stat, _ in metric.stats)
    return found


@dataclass(frozen=True, slots=True)
class _Search:
    """One latent that is searched for: where it is looked at in the loop, and what the loop carries for it."""

    latent: Latent
    how: Inference
    hole: Node
    start: Node


class _Found:
    def __init__(self, graph: Graph, model: Model) -> None:
        self.pool = graph.pool
        self.model = model
        self.roots = dict(graph.roots)
        self.holes = {name: latent_hole(self.pool, x) for name, x in model.latents.items()}

    def run(self) -> Graph:
        """Draws first, then labels are summed out, then searches, which see all that."""
        for name, latent in self.model.latents.items():
            how = latent.inference
            if how is not None and how.how in ("sample", "guide"):
                self._drawn(name, latent, how)
        if any(x.labelled for x in self.model.latents.values()):
            self.roots = enumerated(self.pool, self.model, self.roots)
        searches = [
            _Search(x, x.inference, self.holes[n], self.roots[f"latent {n}/start"])
            for n, x in self.model.latents.items()
            if x.inference is not None and x.inference.steps
        ]
        if searches:
            self._searched(searches)
        roots = {name: node for name, node in self.roots.items() if not name.startswith(("latent ", "factor "))}
        for name, node in self.roots.items():
            if name.startswith("latent ") and name.endswith("/value"):
                roots[f"value {name.removeprefix('latent ').removesuffix('/value')}"] = node
        return Graph(self.pool, roots)

    def _fill(self, values: Mapping[str, Node]) -> None:
        """Put values in place of latents, everywhere."""
        self.roots = substituted(self.pool, self.roots, {self.holes[n]: x for n, x in values.items()})
        for name, node in values.items():
            self.pool.hints.setdefault(node, name)
            self.roots[f"latent {name}/value"] = node

    # ------------------------------------------------------------ draws

    def _drawn(self, name: str, latent: Latent, how: Inference) -> None:
        """A draw takes the latent's place.  Its prior is no term any more: a draw from it weighs itself, and a guide puts
        in the divergence, or the two densities at the draw."""
        term = f"term {latent.prior}"
        with self.pool.origin([how.span]):
            if how.how == "sample":
                self.roots[term] = e.const(self.pool, 0.0)
            elif f"latent {name}/kl" in self.roots:
                self.roots[term] = e.neg(self.pool, self.roots[f"latent {name}/kl"])
            else:
                self.roots[term] = e.sub(self.pool, self.roots[term], self.roots[f"latent {name}/log q"])
        self._fill({name: self.roots[f"latent {name}/draw"]})

    # ------------------------------------------------------------ searches

    def _searched(self, searches: Sequence[_Search]) -> None:
        """One loop for all: each step looks at the energy once, at all latents together."""
        pool = self.pool
        forms: dict[str, Node] = {}
        past: dict[Node, Link] = {}
        results: dict[str, str] = {}
        spans = [s.how.span for s in searches]
        with pool.origin(spans):
            energies = self._energies(searches)
            for search in searches:
                own = f"latent {search.latent.tensor.name}/"
                parts = {n.removeprefix(own): x for n, x in self.roots.items() if n.startswith(own)}
                loop = _Loop(pool, search, energies, len(searches), parts)
                states, result = WAYS[search.how.how](loop)
                for state in states:
                    key = f"{search.latent.tensor.name}@{state.name}" if state.name else search.latent.tensor.name
                    fixed = e.lt(pool, e.label(pool, STEPS), search.how.steps)
                    longest = pool.size(STEPS) == search.how.steps
                    after = state.after if longest else e.select(pool, fixed, state.after, state.hole)
                    past[state.hole] = Past(len(forms), 1, e.real(pool, state.start))
                    forms[key] = e.real(pool, after)
                    if state.name == result:
                        results[search.latent.tensor.name] = key
            ends = closed(pool, Open(STEPS, False, forms, past))
            values: dict[str, Node] = {}
            for search in searches:
                name = search.latent.tensor.name
                last = e.gather(pool, ends[results[name]], e.const(pool, search_length(pool) - 1), STEPS)
                last = e.carrying(pool, last, search.latent.tensor.leaves)
                values[name] = last if search.how.through else e.stop(pool, last)
        self._fill(values)

    def _energies(self, searches: Sequence[_Search]) -> Callable[[frozenset[int]], Node]:
        """-log p of everything but some terms, all examples together."""
        holes = {s.hole for s in searches}

        def energy(without: frozenset[int]) -> Node:
            terms = [self.roots[f"term {k}"] for k in range(len(self.model.terms)) if k not in without]
            mine = [t for t in terms if holes & {*below([t])}]
            return e.neg(self.pool, e.reduce_sum(self.pool, e.real(self.pool, e.add(self.pool, *mine)), [BATCH]))

        return energy


def search_length(pool: Pool) -> int:
    """The number of steps of the longest search."""
    size = pool.size(STEPS)
    if not isinstance(size, int):
        raise InternalError("a search has a known number of steps")
    return size


@dataclass(frozen=True, slots=True)
class _State:
    """One thing that a search carries: what it was, what it becomes, where it begins."""

    name: str
    hole: Node
    after: Node
    start: Node


@dataclass(frozen=True, slots=True)
class _Loop:
    """What the body of a search may use."""

    pool: Pool
    search: _Search
    energies: Callable[[frozenset[int]], Node]
    together: int
    parts: Mapping[str, Node]

    @property
    def hole(self) -> Node:
        """Where the energy is looked at."""
        return self.search.hole

    def gradient(self, without: frozenset[int] = frozenset()) -> Node:
        """Of the energy of each example, without some terms."""
        seed = {self.energies(without): e.const(self.pool, 1.0)}
        return pullback(self.pool, seed, [self.hole])[self.hole]

    def other(self, name: str, axes: Iterable[str]) -> Node:
        """A hole for a further thing that the search carries."""
        return e.hole(self.pool, f"{self.search.latent.tensor.name}@{name}", [*axes], "real")

    @property
    def axes(self) -> tuple[str, ...]:
        return (BATCH, *self.search.latent.tensor.leaves)


Way = Callable[[_Loop], tuple[list[_State], str]]
"""The states of a search, and the name of the one that is its result."""


def _by_rule(loop: _Loop) -> tuple[list[_State], str]:
    """A rule of `learn`; its t is the step of the search."""
    pool, search = loop.pool, loop.search
    use = search.how.rule
    assert use is not None
    bindings: dict[str, Node] = {"w": loop.hole, "grad": loop.gradient()}
    states = {s.name: loop.other(s.name, (BATCH, *s.tensor.leaves)) for s in use.states}
    applied = apply(Expressions(pool, bindings, search.latent.tensor.name), use, bindings, states)
    count = e.add(pool, e.label(pool, STEPS), 1)
    after = {"": applied.w, **applied.states}
    after = {
        name: Graph(pool, {"": node}).rewrite(lambda n, x: count if n.op == "step" else remake(pool, n, x)).roots[""]
        for name, node in after.items()
    }
    begun = substituted(pool, applied.initial, {loop.hole: search.start})
    made = [_State("", loop.hole, after[""], search.start)]
    made += [_State(n, states[n], after[n], begun[n]) for n in states]
    return made, ""


def _step_size(loop: _Loop, gradient: Node) -> Node:
    """1 / the largest eigenvalue of the smooth part's Hessian, which must not depend on where it is looked at."""
    curvature = second(loop.pool, loop.search.latent, loop.hole, gradient)
    if loop.hole in below([curvature.matrix]):
        raise NotLinear(loop.search.latent)
    limit = e.maximum(loop.pool, curvature.largest, 1e-30)
    return e.recip(loop.pool, e.mul(loop.pool, float(loop.together), limit))


def _prox(loop: _Loop, u: Node, step: Node, centre: Node, rate: Node) -> Node:
    """argmin of rate |x - centre| + |x - u|^2 / (2 step), on the positive half-line where the latent lives there."""
    pool = loop.pool
    near = e.add(pool, centre, e.shrink(pool, e.sub(pool, u, centre), e.mul(pool, step, rate)))
    return e.maximum(pool, near, 0.0) if loop.search.latent.domain == "positive" else near


def _proximal_step(loop: _Loop) -> Node:
    """One proximal gradient step from where the energy is looked at."""
    latent = loop.search.latent
    assert latent.prior is not None
    gradient = loop.gradient(frozenset({latent.prior}))
    step = _step_size(loop, gradient)
    moved = e.sub(loop.pool, loop.hole, e.mul(loop.pool, step, gradient))
    return _prox(loop, moved, step, loop.parts["m"], loop.parts["rate"])


def _ista(loop: _Loop) -> tuple[list[_State], str]:
    """Daubechies, Defrise and De Mol 2004."""
    return [_State("", loop.hole, _proximal_step(loop), loop.search.start)], ""


def _fista(loop: _Loop) -> tuple[list[_State], str]:
    """Beck and Teboulle 2009: the energy is looked at ahead of the last point, by a factor that grows to 1."""
    pool, start = loop.pool, loop.search.start
    last, s = loop.other("last", loop.axes), loop.other("s", ())
    grown = e.mul(pool, 0.5, e.add(pool, 1.0, e.sqrt(pool, e.add(pool, 1.0, e.mul(pool, 4.0, s, s)))))
    point = _proximal_step(loop)
    ahead = e.mul(pool, e.div(pool, e.sub(pool, s, 1.0), grown), e.sub(pool, point, last))
    looked = _State("", loop.hole, e.add(pool, point, ahead), start)
    return [looked, _State("last", last, point, start), _State("s", s, grown, e.const(pool, 1.0))], "last"


def _newton(loop: _Loop) -> tuple[list[_State], str]:
    """x - H^-1 g: exact in one step where the energy is quadratic."""
    pool, gradient = loop.pool, loop.gradient()
    moved = second(pool, loop.search.latent, loop.hole, gradient).solved(gradient)
    return [_State("", loop.hole, e.sub(pool, loop.hole, moved), loop.search.start)], ""


class NotLinear(Exception):
    """The smooth part of the energy is not quadratic in a latent."""

    def __init__(self, latent: Latent) -> None:
        super().__init__(latent.tensor.name)
        self.latent = latent


WAYS: dict[str, Way] = {"rule": _by_rule, "ista": _ista, "fista": _fista, "newton": _newton}
"""How each kind of search goes on."""
