"""The typed model: the front end's result and the only thing later stages may import from it.

Everything is resolved here: names to symbols, axes to leaf indices (a product axis is its parts), contractions to
explicit sums, densities to terms, selectors to one rule per parameter.  Expressions know their indices and dtype;
``batch`` appears in them as the index of the examples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..diagnostics import Source, Span

NO_INDICES: frozenset[str] = frozenset()

# ---------------------------------------------------------------- axes and tensors


@dataclass(frozen=True, slots=True)
class Axis:
    """A declared axis.  ``size`` None: bound by the data.  ``leaves`` are the axes it is made of (itself, or the parts
    of a product, row-major); ``low`` is the first label."""

    name: str
    size: int | None
    leaves: tuple[str, ...]
    low: int
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor: what it is, its declared axes (product axes as written) and their leaf indices in order.

    ``kind`` is one of ``input latent param state let value w stat arg`` (the last three inside rules); ``label`` names the
    axis whose labels an integer tensor holds.
    """

    name: str
    kind: str
    declared: tuple[str, ...]
    leaves: tuple[str, ...]
    dtype: str
    label: str | None
    batched: bool
    span: Span = field(compare=False)

    def written(self) -> str:
        """As declared: ``W[hid, pix]``."""
        return f"{self.name}[{', '.join(self.declared)}]" if self.declared else self.name


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Expr:
    """Any typed expression: the indices it carries, its dtype (``real int bool``), where it stands."""

    axes: frozenset[str]
    dtype: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Const(Expr):
    value: int | float


@dataclass(frozen=True, slots=True)
class SizeOf(Expr):
    """The size of an axis that the data decides; of one that ends per example, the example's own length."""

    axis: str


@dataclass(frozen=True, slots=True)
class Label(Expr):
    """The label of a leaf index: low, low + 1, ..."""

    index: str
    low: int


@dataclass(frozen=True, slots=True)
class Earlier(Expr):
    """In an index position within a recurrence: ``lag`` labels before that of the open index (after it, if negative), or
    the label ``at``, which is earlier (counted from 0; the start is read below)."""

    index: str
    lag: int
    at: Expr | None = None


@dataclass(frozen=True, slots=True)
class Window(Expr):
    """In an index position: labels with factors (a shift, a stride), counted from 0; what lies outside the axis is 0."""

    at: Expr


@dataclass(frozen=True, slots=True)
class Scalar(Expr):
    """A number of the run: ``t``, ``N``, ``n``, ``training``."""

    name: str


@dataclass(frozen=True, slots=True)
class Read(Expr):
    """A tensor read: for each of its leaf indices, in order, the index or integer expression it is read at."""

    tensor: Tensor
    at: tuple[str | Expr, ...]


@dataclass(frozen=True, slots=True)
class Product(Expr):
    """``sign * prod(over) / prod(under)`` summed over ``sums``."""

    over: tuple[Expr, ...]
    under: tuple[Expr, ...]
    sums: frozenset[str]
    negative: bool


@dataclass(frozen=True, slots=True)
class Sum(Expr):
    """A sum of terms, each with its sign (True: subtracted)."""

    terms: tuple[tuple[bool, Expr], ...]


@dataclass(frozen=True, slots=True)
class Apply(Expr):
    """An elementwise operation of the language's table."""

    op: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Over(Expr):
    """An operation over leaf indices (reductions, softmax, rank, logdet, ...); ``over`` in written order."""

    op: str
    over: tuple[str, ...]
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Posterior(Expr):
    """The probabilities of a discrete latent's labels given the inputs: over ``held`` as stored (batch first), which are
    read at ``indices``."""

    latent: str
    held: tuple[str, ...]
    indices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExternCall(Expr):
    """A call of Python.  The function sees, of each argument, the ``own`` leaves of each of its axes, and gives those of
    ``out``; everything else that arguments carry is mapped over.  ``static`` are its further arguments, by name."""

    op: str
    entry: str
    digest: str
    args: tuple[Expr, ...]
    own: tuple[tuple[tuple[str, ...], ...], ...]
    out: tuple[tuple[str, ...], ...]
    static: tuple[tuple[str, int | float], ...]


# ---------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class Input:
    tensor: Tensor
    kind: str  # real | bool | int | label, or length: where the axis of that name ends
    doc: str = ""
    domain: str = "real"  # where a draw lies, of an input that is some model's latent


@dataclass(frozen=True, slots=True)
class Dist:
    """A distribution with its arguments by canonical name (``mean``, ``std``, ``logits``, ...).

    ``classes`` are the indices of a Categorical's classes, ``over`` the indices that one density covers: those of a
    Dirichlet's simplex, or a MultivariateNormal's index and the second index of its matrix.
    """

    name: str
    args: dict[str, Expr]
    span: Span = field(compare=False)
    written: str = ""
    classes: tuple[str, ...] = ()
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """How an axis is cut into blocks: its leaves, the side of a block, and how many there are; the last may be shorter."""

    leaves: tuple[str, ...]
    side: int
    count: int


@dataclass(frozen=True, slots=True)
class Support:
    """Which entries of a parameter exist (language, section 8); the others are 0.

    Where ``condition`` holds; or, without one, ``count`` entries, drawn among all places along the leaves ``among`` (and
    the ``blocks`` of further axes) for each label of the other leaves.
    """

    among: tuple[str, ...]
    count: int
    blocks: tuple[Block, ...]
    condition: Expr | None
    span: Span = field(compare=False)
    written: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter.  ``init`` None: drawn from the prior.  ``domain_axes`` are the leaves of each axis of its domain."""

    tensor: Tensor
    domain: str
    domain_axes: tuple[tuple[str, ...], ...]
    prior: Dist
    init: Expr | Dist | None
    frozen: bool
    doc: str = ""
    power: Expr | None = None  # of the prior's density
    support: Support | None = None

    @property
    def mask(self) -> Tensor | None:
        """Of a sparse parameter: 1 where an entry exists, else 0."""
        if self.support is None:
            return None
        t = self.tensor
        return Tensor("mask", "state", t.declared, t.leaves, "real", None, False, self.support.span)

    @property
    def over(self) -> tuple[str, ...]:
        """All leaves of the domain's axes."""
        return tuple(leaf for leaves in self.domain_axes for leaf in leaves)

    @property
    def domain_text(self) -> str:
        """``simplex[k]``."""
        return f"{self.domain}[{', '.join(self.over)}]" if self.over else self.domain

    @property
    def signs(self) -> Tensor | None:
        """The frozen signs of a parameter in ``signed[..]``: one per label of the axis, or like the parameter."""
        if self.domain != "signed":
            return None
        if not self.over:
            return self.tensor
        return Tensor("sign", "state", self.over, self.over, "real", None, False, self.tensor.span)


@dataclass(frozen=True, slots=True)
class ModelState:
    """A state of the model: its start and its value after a step, in which a parameter read by name is the learned one
    and everything else is of before the step."""

    tensor: Tensor
    init: Expr
    update: Expr
    span: Span = field(compare=False)
    update_span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Value:
    """An equation.  ``probe`` values are measured and have no other effect."""

    tensor: Tensor
    expr: Expr
    probe: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Equations that read each other at earlier labels of ``axis`` (at later ones, when ``reverse``).

    ``parts`` are names of values, each after those that it reads at the same label, and recurrences along other axes
    within; ``starts`` is what is read outside the axis.
    """

    axis: str
    reverse: bool
    parts: tuple[str | Recurrence, ...]
    starts: dict[str, Expr]

    def names(self) -> tuple[str, ...]:
        """All members, those of inner recurrences among them."""
        return tuple(n for part in self.parts for n in ((part,) if isinstance(part, str) else part.names()))

    def everywhere(self) -> tuple[Recurrence, ...]:
        """The recurrence and all within."""
        inner = (r for part in self.parts if not isinstance(part, str) for r in part.everywhere())
        return (self, *inner)

    def start_of(self, name: str) -> Expr | None:
        """A member's start, along whichever axis."""
        return next((r.starts[name] for r in self.everywhere() if name in r.starts), None)


@dataclass(frozen=True, slots=True)
class Term:
    """A density statement.  ``kind``: ``likelihood`` (on an input), ``latent``, ``activity`` (on a value) or ``loss`` (Gibbs).

    ``repeated`` are all indices that the statement stands for: its left side's and any left over in the arguments, but
    not those that its distribution covers.
    """

    kind: str
    target: Read
    repeated: frozenset[str]
    dist: Dist
    power: Expr | None
    span: Span = field(compare=False)

    def windows(self) -> tuple[tuple[str, Expr], ...]:
        """Leaf axes of the target that are read at shifted labels, with the position: outside there is no term."""
        pairs = zip(self.target.tensor.leaves, self.target.at, strict=True)
        return tuple((leaf, at.at) for leaf, at in pairs if isinstance(at, Window))


@dataclass(frozen=True, slots=True)
class RuleState:
    """A state of a rule: name, its leaf indices (None: like w) and initial value."""

    name: str
    tensor: Tensor
    init: Expr


@dataclass(frozen=True, slots=True)
class RuleUse:
    """A rule bound to one parameter: the SSA-ready lines with every name resolved, axes those of the parameter.

    ``lines`` are (name, expression): names are ``w``, a state's or an equation's; reading a name sees the newest line
    above.  ``enter`` are lines before the states' initial values, which turn w and its gradients into those of a free
    coordinate (``via``).  ``when`` is the condition under which anything moves.  ``written`` is the call as written in
    ``learn``.
    """

    rule: str
    written: str
    w: Tensor
    states: tuple[RuleState, ...]
    args: dict[str, Expr]
    lines: tuple[tuple[str, Expr], ...]
    keeps: tuple[Expr, ...]
    statistics: frozenset[str]
    span: Span = field(compare=False)
    enter: tuple[tuple[str, Expr], ...] = ()
    when: Expr | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """How a latent is found.  ``how``: ``rule`` (of `learn`, ``steps`` times), ``ista fista newton`` (likewise), ``sample``,
    ``enumerate``, ``hard`` or ``guide``; ``through``: the gradient goes through."""

    how: str
    steps: int
    through: bool
    rule: RuleUse | None
    guide: Dist | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Latent:
    """Unobserved, per example; ``prior`` is the number of its term, ``domain`` also ``label`` or ``bool``."""

    tensor: Tensor
    domain: str
    domain_axes: tuple[tuple[str, ...], ...]
    prior: int | None
    doc: str = ""
    inference: Inference | None = None

    @property
    def found(self) -> bool:
        """Whether it gets a value (one that is summed out gets none)."""
        return self.inference is not None and self.inference.how != "enumerate"

    @property
    def labelled(self) -> bool:
        """Whether its labels are gone through one by one: summed out, or the best one taken."""
        return self.inference is not None and self.inference.how in ("enumerate", "hard")

    @property
    def hard(self) -> bool:
        """Whether the most probable label is taken."""
        return self.inference is not None and self.inference.how == "hard"

    @property
    def found_at(self) -> Span:
        """Where the text says how it is found; else where it is declared."""
        return self.inference.span if self.inference is not None else self.tensor.span

    @property
    def discrete(self) -> bool:
        """Whether it holds labels or truth values."""
        return self.tensor.dtype != "real"


@dataclass(frozen=True, slots=True)
class Metric:
    """One report entry, keyed by its text: ``kind`` says how the runtime finishes the statistics."""

    key: str
    kind: str  # mean | root_mean | r2 | auc | probe
    stats: tuple[tuple[str, Expr], ...]
    span: Span | None = field(compare=False)
    higher: bool = False  # more is better


@dataclass(frozen=True, slots=True)
class Probe:
    """Something measured and logged: the mean over the batch at every label of ``tensor``, whose name is the key."""

    tensor: Tensor
    expr: Expr
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Assertion:
    """What must hold when training ends: a chain of comparisons (without ``ops``: that the one operand is not 0).

    ``texts`` are the operands as written; ``whole``: an operand reduces over the examples, so all are looked at at once.
    """

    text: str
    ops: tuple[str, ...]
    operands: tuple[Expr | Metric, ...]
    texts: tuple[str, ...]
    span: Span = field(compare=False)
    whole: bool = False

    def stats(self, k: int) -> list[tuple[str, Expr]]:
        """The statistics of the k-th operand: its places, or those of its metric."""
        operand = self.operands[k]
        if isinstance(operand, Expr):
            return [(str(k), operand)]
        return [(f"{k}/{n}", x) for n, (_, x) in enumerate(operand.stats)]


@dataclass(frozen=True, slots=True)
class Data:
    """The data block: a source, column expressions as JSON-able trees, parts as fractions; ``teacher`` is the model that
    the data are drawn from, read forward, and ``source_span`` where it is named."""

    source: dict[str, Any]
    columns: dict[str, Any]
    valid: float
    test: float
    spans: dict[str, Span] = field(compare=False)
    span: Span = field(compare=False)
    source_span: Span = field(compare=False)
    teacher: Model | None = None
    tasks: str | None = None  # the axis that columns read: all rows once for every label of it


@dataclass(frozen=True, slots=True)
class Watch:
    """The reported number that `stop` and `keep best` look at: ``patience`` reports without a better one end the run
    (None: never); with ``keep`` the state of the best report is the result."""

    metric: str
    higher: bool
    patience: int | None
    keep: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Train:
    """The train block's settings; ``batch`` None means all examples at once, ``clip`` the largest norm of the gradient,
    ``seeds`` 1 a run without replicas.  ``begin``: the block goes ``on`` with the parameters of the one before, brings
    back those of the ``start`` of the run, or does a ``redraw`` of them.  ``over``: the axis whose labels are trained on one
    after another, a share ``replay`` of each batch from earlier ones."""

    batch: int | None
    epochs: int | None
    steps: int | None
    seed: int
    dtype: str
    every: int | None
    metrics: tuple[Metric, ...]
    span: Span | None = field(compare=False)
    clip: float | None = None
    clip_span: Span | None = field(compare=False, default=None)
    watch: Watch | None = None
    seeds: int = 1
    begin: str = "on"
    over: str | None = None
    replay: float = 0.0


@dataclass(slots=True)
class Model:
    """A checked model: declarations in the order of the text (dicts keep it), everything resolved."""

    name: str
    span: Span
    axes: dict[str, Axis] = field(default_factory=dict[str, Axis])
    inputs: dict[str, Input] = field(default_factory=dict[str, Input])
    params: dict[str, Param] = field(default_factory=dict[str, Param])
    buffers: dict[str, ModelState] = field(default_factory=dict[str, ModelState])
    tables: dict[str, tuple[Tensor, tuple[float, ...]]] = field(
        default_factory=dict[str, tuple[Tensor, tuple[float, ...]]]
    )
    formulas: dict[str, Value] = field(default_factory=dict[str, Value])
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    recurrences: list[Recurrence] = field(default_factory=list[Recurrence])
    terms: list[Term] = field(default_factory=list[Term])
    latents: dict[str, Latent] = field(default_factory=dict[str, Latent])
    probes: dict[str, Probe] = field(default_factory=dict[str, Probe])
    asserts: list[Assertion] = field(default_factory=list[Assertion])
    rules: dict[str, RuleUse] = field(default_factory=dict[str, RuleUse])
    outputs: tuple[str, ...] = ()
    data: Data | None = None
    train: Train | None = None
    doc: str = ""
    sources: dict[str, Source] = field(default_factory=dict[str, Source])
    sampling: bool = False  # whether the module can draw inputs from their densities, too

    def measures(self) -> tuple[Metric, ...]:
        """Everything measured for a report: the metrics of the train block, then every probe."""
        metrics = self.train.metrics if self.train is not None else ()
        return (*metrics, *(Metric(key, "probe", ((key, p.expr),), p.span) for key, p in self.probes.items()))

    def ragged(self) -> tuple[str, ...]:
        """The axes that end per example; the input of the same name holds each example's length."""
        return tuple(name for name, item in self.inputs.items() if item.kind == "length")

    @property
    def replicas(self) -> int | None:
        """How many runs `seeds K` folds into one program; None for a single run."""
        return self.train.seeds if self.train is not None and self.train.seeds > 1 else None

    def states(self) -> dict[str, Tensor]:
        """What persists beside the parameters, by path: signs of domains, masks of sparse parameters, states of rules and
        of the model, in their stored shapes."""
        found = {f"{path}@sign": p.signs for path, p in self.params.items() if p.signs is not None}
        found |= {f"{path}@mask": p.mask for path, p in self.params.items() if p.mask is not None}
        for path, use in self.rules.items():
            owner = self.params[path].tensor
            for state in use.states:
                whole = state.tensor.leaves == owner.leaves
                found[f"{path}@{state.name}"] = owner if whole else state.tensor
        return found | {name: state.tensor for name, state in self.buffers.items()}

    @property
    def learns(self) -> bool:
        """Does a training step change anything?"""
        return bool(self.rules or self.buffers)

    def leaf_sizes(self) -> dict[str, int | str]:
        """Size of every leaf axis: a number, or its own name where the data decides."""
        leaves = [a for a in self.axes.values() if a.leaves == (a.name,)]
        return {a.name: a.size if a.size is not None else a.name for a in leaves}
