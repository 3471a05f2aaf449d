"""The table of ops: one row says everything about an op that is not code of a stage.

The interpreter's meaning is in :mod:`.meanings`, the gradient rule in ``derive/gradient.py``; a completeness test
names whatever a row lacks there.  A *missing* axis means "constant along it": elementwise ops broadcast by name, and
a contraction may sum over an axis that no operand carries (it then multiplies by the axis' size).

Columns:

- ``attrs``: the attributes a node must have, ``optional``: those it may have.
- ``laws``: algebraic laws (``associative``, ``idempotent``, ``involution``).
- ``singular``: what to feed instead of the arguments where the value is not used, when value or derivative can be
  inf or NaN for finite arguments: ``one`` or ``eye`` (the unit matrix); None when it never happens.
- ``curvature``: how second-order propagation (y = f(u): h_u = f'^2 h + f'' g) treats the op.  ``linear``: weights
  squared; ``exact-elementwise``: the formula itself; ``mask``: f'' = 0 and f' is 0 or 1 (or +-1); ``move``: the entries
  are only moved; ``composite``: by its definition through other ops; None: nothing propagates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import infer as types
from .edges import EDGES, Edge
from .infer import Infer
from .node import Node, Type

if TYPE_CHECKING:
    from .node import Pool

KINDS = ("leaf", "contraction", "elementwise", "reduction", "shape", "gather", "linalg", "extern", "scan", "sample")


@dataclass(frozen=True, slots=True)
class Op:
    """One row.  ``arity`` None means one or more."""

    name: str
    kind: str
    infer: Infer
    arity: int | None
    attrs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    commutative: bool = False
    laws: frozenset[str] = frozenset()
    singular: str | None = None
    curvature: str | None = None
    edges: tuple[Edge, ...] = ()


def _checked(name: str, infer: Infer, arity: int | None, attrs: tuple[str, ...], optional: tuple[str, ...]) -> Infer:
    """The type rule, run after number of operands and names of attributes are known to be right."""

    needed, allowed = frozenset(attrs), frozenset((*attrs, *optional))

    def run(pool: Pool, inputs: tuple[Node, ...], given: Mapping[str, Any]) -> tuple[Type, ...]:
        if len(inputs) != arity and not (arity is None and inputs):  # texts are made only when they are needed
            types.check(False, f"`{name}` got {len(inputs)} operands")
        if not needed <= given.keys() <= allowed:
            types.check(False, f"`{name}` has attributes {attrs}, got {sorted(given)}")
        return infer(pool, inputs, given)

    return run


def _row(
    name: str,
    kind: str,
    infer: Infer,
    arity: int | None = 1,
    attrs: tuple[str, ...] = (),
    *,
    optional: tuple[str, ...] = (),
    commutative: bool = False,
    laws: Iterable[str] = (),
    singular: str | None = None,
    curvature: str | None = None,
) -> Op:
    rule = _checked(name, infer, arity, attrs, optional)
    edges = EDGES.get(name, ())
    return Op(name, kind, rule, arity, attrs, optional, commutative, frozenset(laws), singular, curvature, edges)


_REAL = types.elementwise(types.real)
_SAME = types.elementwise(types.arithmetic)  # int stays int, bool becomes int
_BEST = types.elementwise(types.promote)  # bool stays bool: minimum is "and", maximum is "or"
_BOOL = types.elementwise(types.boolean)

_LEAVES = (
    _row("const", "leaf", types.const, 0, ("value",)),
    _row("table", "leaf", types.table, 0, ("axes", "values", "shape", "dtype")),
    _row("input", "leaf", types.example, 0, ("name", "axes", "dtype")),
    _row("param", "leaf", types.leaf, 0, ("path", "axes"), optional=("dtype",)),
    _row("state", "leaf", types.leaf, 0, ("path", "axes")),
    _row("size", "leaf", types.size, 0, ("axis",)),
    _row("label", "leaf", types.label, 0, ("index", "low")),
    _row("step", "leaf", types.scalar("int"), 0),
    _row("examples", "leaf", types.scalar("real"), 0),
    _row("training", "leaf", types.scalar("int"), 0),
    _row("hole", "leaf", types.leaf, 0, ("name", "axes", "dtype")),  # bound by the scan whose body it stands in
    _row("sample", "sample", types.leaf, 0, ("kind", "path", "axes")),  # kind: uniform | normal
    _row("gamma", "sample", types.draw("real"), 1, ("path", "axes")),  # of a concentration: one draw at rate 1 each
    _row("poisson", "sample", types.draw("int"), 1, ("path", "axes")),  # of a rate; -1 where that is no finite rate
)

_ELEMENTWISE = (
    _row(
        "contract",
        "contraction",
        types.contract,
        None,
        ("sum",),
        commutative=True,
        laws=["associative"],
        curvature="linear",
    ),
    _row("add", "elementwise", _SAME, None, commutative=True, laws=["associative"], curvature="linear"),
    _row("recip", "elementwise", _REAL, singular="one", curvature="exact-elementwise"),
    _row("pow", "elementwise", types.power, 2, singular="one", curvature="exact-elementwise"),
    _row("exp", "elementwise", _REAL, singular="one", curvature="exact-elementwise"),
    _row("log", "elementwise", _REAL, singular="one", curvature="exact-elementwise"),
    _row("log1p", "elementwise", _REAL, singular="one", curvature="exact-elementwise"),
    _row("expm1", "elementwise", _REAL, singular="one", curvature="exact-elementwise"),
    _row("sqrt", "elementwise", _REAL, singular="one", curvature="exact-elementwise"),
    _row("abs", "elementwise", _SAME, laws=["idempotent"], curvature="mask"),
    _row("sign", "elementwise", _SAME, laws=["idempotent"]),
    _row("relu", "elementwise", _SAME, laws=["idempotent"], curvature="mask"),
    _row("gelu", "elementwise", _REAL, curvature="exact-elementwise"),
    _row("sigmoid", "elementwise", _REAL, curvature="exact-elementwise"),
    _row("tanh", "elementwise", _REAL, curvature="exact-elementwise"),
    _row("softplus", "elementwise", _REAL, curvature="exact-elementwise"),
    _row("sin", "elementwise", _REAL, curvature="exact-elementwise"),
    _row("cos", "elementwise", _REAL, curvature="exact-elementwise"),
    _row("erf", "elementwise", _REAL, curvature="exact-elementwise"),
    _row("lgamma", "elementwise", _REAL, singular="one", curvature="exact-elementwise"),
    _row("digamma", "elementwise", _REAL, singular="one", curvature="exact-elementwise"),
    _row("trigamma", "elementwise", _REAL, singular="one"),
    _row("minimum", "elementwise", _BEST, 2, laws=["associative", "idempotent"], curvature="mask"),
    _row("maximum", "elementwise", _BEST, 2, laws=["associative", "idempotent"], curvature="mask"),
    _row("floordiv", "elementwise", _SAME, 2),
    _row("mod", "elementwise", _SAME, 2, singular="one", curvature="mask"),
    _row("lt", "elementwise", _BOOL, 2),
    _row("le", "elementwise", _BOOL, 2),
    _row("eq", "elementwise", _BOOL, 2, commutative=True),
    _row("ne", "elementwise", _BOOL, 2, commutative=True),
    _row("logical_not", "elementwise", types.logical, laws=["involution"]),
    _row("where", "elementwise", types.where, 3, curvature="mask"),
    _row("xlogy", "elementwise", _REAL, 2, singular="one", curvature="exact-elementwise"),
    _row("stop", "elementwise", types.elementwise(types.promote), laws=["idempotent"]),
    _row("real", "elementwise", _REAL, laws=["idempotent"], curvature="linear"),
)

_AXES = ("axes",)

_OVER_AXES = (
    _row("max", "reduction", types.reduction(types.promote), 1, _AXES, curvature="mask"),
    _row("min", "reduction", types.reduction(types.promote), 1, _AXES, curvature="mask"),
    _row("prod", "reduction", types.reduction(types.arithmetic), 1, _AXES, curvature="composite"),
    _row("logsumexp", "reduction", types.reduction(types.real), 1, _AXES, curvature="composite"),
    _row("softmax", "reduction", types.along(types.real), 1, _AXES, curvature="composite"),
    _row("log_softmax", "reduction", types.along(types.real), 1, _AXES, curvature="composite"),
    _row("argmax", "reduction", types.argmax, 1, ("axis",)),
    _row("rank", "reduction", types.along(types.whole), 1, _AXES),  # axes: a tuple, in declared order
    _row("cumsum", "reduction", types.along(types.arithmetic), 1, ("axis",), curvature="linear"),
    _row("revcumsum", "reduction", types.along(types.arithmetic), 1, ("axis",), curvature="linear"),
    _row("rename", "shape", types.rename, 1, ("map",), curvature="move"),
    _row("gather", "gather", types.gather, 2, ("axis",), curvature="move"),
    _row("scatter", "gather", types.scatter, 2, ("axis", "keep"), curvature="linear"),
    # terms: (index, factor) pairs; x at the position sum(factor * label) + offset along `axis`, 0 outside it
    _row("window", "gather", types.window, 1, ("axis", "terms", "offset"), curvature="move"),
    _row("fold", "gather", types.fold, 1, ("axis", "terms", "offset"), curvature="linear"),  # its adjoint
)

_MATRIX = ("rows", "cols")
_BOTH = types.matrix(lambda rows, cols: (rows, cols))

_LINALG = (  # all but logdet and inverse act on the symmetric part; other axes are batched over
    _row("matpow", "linalg", _BOTH, 2, _MATRIX, singular="eye", curvature="composite"),
    _row("matpow_vjp", "linalg", _BOTH, 3, _MATRIX, singular="eye"),  # (A, p, cotangent)
    _row("logdet", "linalg", types.matrix(lambda rows, cols: ()), 1, _MATRIX, singular="eye", curvature="composite"),
    _row("inverse", "linalg", _BOTH, 1, _MATRIX, singular="eye", curvature="composite"),
    _row("cholesky", "linalg", _BOTH, 1, _MATRIX, singular="eye", curvature="composite"),  # the lower root
    _row("solve_triangular", "linalg", types.solve, 2, (*_MATRIX, "upper"), singular="eye",
         curvature="composite"),  # (T, b): T x = b, b over rows and x over cols; the other triangle of T is not read
    _row("eigvals", "linalg", types.matrix(lambda rows, cols: (rows,)), 1, _MATRIX, curvature="composite"),
    _row("eigvecs", "linalg", _BOTH, 1, _MATRIX),  # column k (along cols) belongs to the k-th eigenvalue
    _row("polar", "linalg", types.matrix(lambda rows, cols: (rows, cols), square=False), 1, _MATRIX, singular="eye"),
    _row("polar_vjp", "linalg", types.matrix(lambda rows, cols: (rows, cols), square=False), 2, _MATRIX,
         singular="eye"),
)  # fmt: skip

# A function in Python, seen as a map of arrays.  entry: "module:function" and the hash of its file; own: per input, the
# leaves of each axis that the function sees; out: those that it gives; static: its further arguments.  Axes beyond these
# are mapped over.  The gradient node has the inputs and the cotangent; `wrt` says for which input.
_CALL = ("entry", "own", "out", "static")
_EXTERN = (
    _row("extern", "extern", types.extern, None, _CALL),
    _row("extern_vjp", "extern", types.extern_vjp, None, (*_CALL, "wrt")),
)

# scan runs `body` once per label of `axis` (from the last when `reverse`); result k stacks the body's k-th root over
# `axis`.  The body reads its holes, never the outside.  `bind` lists what each hole is, as tuples:
#   ("const", hole, input)             the input, the same at every label
#   ("each", hole, input)              the input at this label (an input without `axis` is the same at every label)
#   ("past", hole, k, lag, start)      result k `lag` labels before (after, when reverse); input `start` outside
#   ("at", hole, k, index, start)      result k at the position that input `index` holds at this label, an earlier one;
#                                      input `start` where that is below 0
#   ("readers", hole, k, index)        the sum of result k over all labels done whose `index` is this one
_SCAN = (
    _row("scan", "scan", types.scan, None, ("axis", "reverse", "body", "bind")),
    _row("result", "scan", types.result, 1, ("k",)),
)

OPS: dict[str, Op] = {row.name: row for row in (*_LEAVES, *_ELEMENTWISE, *_OVER_AXES, *_LINALG, *_EXTERN, *_SCAN)}
