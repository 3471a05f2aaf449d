"""Result types of the ops: every rule takes (pool, inputs, attributes) and refuses operands that make no sense.

A refusal is an :class:`InternalError`: users' mistakes are found before nodes exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..diagnostics import InternalError
from .node import BATCH, Graph, Node, Type, base, leaves_of

if TYPE_CHECKING:
    from .node import Pool

Infer = Callable[["Pool", tuple[Node, ...], Mapping[str, Any]], tuple[Type, ...]]

DTYPES = ("bool", "int", "real")
"""In the order of promotion."""

NO_AXES: frozenset[str] = frozenset()


def promote(dtypes: Iterable[str]) -> str:
    """The smallest dtype that holds all of them."""
    found = set(dtypes)
    return next((dtype for dtype in reversed(DTYPES) if dtype in found), "int")


def arithmetic(dtypes: Iterable[str]) -> str:
    """The dtype of a sum or product: bools count as 0/1, so never bool."""
    return "real" if "real" in dtypes else "int"


def union(inputs: Iterable[Node]) -> frozenset[str]:
    """All indices that the inputs carry."""
    largest = NO_AXES
    for x in inputs:
        if not x.axes <= largest:
            largest = x.axes | largest
    return largest


def check(condition: bool, message: str) -> None:
    """Refuse operands.

    Raises:
        InternalError: the condition does not hold.
    """
    if not condition:
        raise InternalError(message)


def known(pool: Pool, index: str) -> None:
    """Refuse an index over no declared axis."""
    if index not in pool.axes and base(index) not in pool.axes:
        check(False, f"`{index}` is not over a declared axis")


def _dtypes(inputs: tuple[Node, ...]) -> list[str]:
    return [x.dtype for x in inputs]


# leaves


def const(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    value = attrs["value"]
    names = {bool: "bool", int: "int", float: "real"}
    check(type(value) in names, f"a constant must be a bool, int or float, not {type(value).__name__}")
    check(value == value, "NaN is no constant: it would not equal itself")
    return (Type(frozenset(), names[type(value)]),)


def table(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    axes, shape, values = attrs["axes"], attrs["shape"], attrs["values"]
    count = 1
    for n in shape:
        count *= n
    check(len(axes) == len(shape) and count == len(values), "a table's axes, shape and values must agree")
    return _over(pool, axes, attrs["dtype"])


def leaf(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    """param, state, sample, hole: a value over its ``axes`` (a tuple: the order in which it is given)."""
    return _over(pool, attrs["axes"], attrs.get("dtype", "real"))


def draw(dtype: str) -> Infer:
    """A draw over ``axes`` whose parameter has no other index."""

    def infer(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        check(inputs[0].axes <= set(attrs["axes"]), "the parameter of a draw has an index that the draw lacks")
        return _over(pool, attrs["axes"], dtype)

    return infer


def example(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    """input: its declared axes and the batch."""
    return _over(pool, (BATCH, *attrs["axes"]), attrs["dtype"])


def label(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    return _over(pool, (attrs["index"],), "int")


def size(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    known(pool, attrs["axis"])
    return (Type(frozenset(), "int"),)


def scalar(dtype: str) -> Infer:
    """A leaf without axes."""

    def infer(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        return (Type(frozenset(), dtype),)

    return infer


def _over(pool: Pool, axes: tuple[str, ...], dtype: str) -> tuple[Type, ...]:
    check(dtype in DTYPES, f"unknown dtype `{dtype}`")
    check(len(set(axes)) == len(axes), f"an index repeats in [{', '.join(axes)}]")
    for index in axes:
        known(pool, index)
    return (Type(frozenset(axes), dtype),)


# contraction and elementwise


def contract(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    for index in attrs["sum"]:
        known(pool, index)
    return (Type(union(inputs) - attrs["sum"], arithmetic(_dtypes(inputs))),)


def elementwise(dtype: Callable[[list[str]], str]) -> Infer:
    """All indices of the inputs; the dtype by the given rule."""

    def infer(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        return (Type(union(inputs), dtype(_dtypes(inputs))),)

    return infer


def real(dtypes: list[str]) -> str:
    """Always real."""
    return "real"


def boolean(dtypes: list[str]) -> str:
    """Always bool."""
    return "bool"


def power(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    """Whole only for a whole base with a constant whole exponent that is not negative."""
    x, y = inputs
    whole = y.op == "const" and y.dtype != "real" and y.attr("value") >= 0 and x.dtype != "real"
    return (Type(union(inputs), "int" if whole else "real"),)


def where(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    check(inputs[0].dtype == "bool", "the condition of `where` must be bool")
    return (Type(union(inputs), promote(_dtypes(inputs[1:]))),)


def logical(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    check(inputs[0].dtype == "bool", "`logical_not` takes a bool")
    return (inputs[0].type,)


# over axes


def reduction(dtype: Callable[[list[str]], str]) -> Infer:
    """Drops ``axes``."""

    def infer(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        _carried(inputs[0], attrs["axes"])
        return (Type(inputs[0].axes - attrs["axes"], dtype(_dtypes(inputs))),)

    return infer


def along(dtype: Callable[[list[str]], str]) -> Infer:
    """Keeps ``axes`` (or the one ``axis``)."""

    def infer(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        _carried(inputs[0], attrs["axes"] if "axes" in attrs else (attrs["axis"],))
        return (Type(inputs[0].axes, dtype(_dtypes(inputs))),)

    return infer


def whole(dtypes: list[str]) -> str:
    """Always int."""
    return "int"


def argmax(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    _carried(inputs[0], (attrs["axis"],))
    return (Type(inputs[0].axes - {attrs["axis"]}, "int"),)


def _carried(x: Node, axes: Iterable[str]) -> None:
    wanted = frozenset(axes)
    check(bool(wanted), "no axis to work over")
    check(wanted <= x.axes, f"{x.type} does not carry {sorted(wanted - x.axes)}")


def rename(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    pairs: tuple[tuple[str, str], ...] = attrs["map"]
    x = inputs[0]
    old, new = [a for a, _ in pairs], [b for _, b in pairs]
    _carried(x, old)
    kept = x.axes - set(old)
    check(len(set(old)) == len(old), "an index is renamed twice")
    check(len(set(new)) == len(new) and not kept & set(new), f"renaming {pairs} would merge two indices")
    for a, b in pairs:
        known(pool, b)
        check(pool.size(a) == pool.size(b), f"`{a}` and `{b}` differ in size")
    return (Type(kept | set(new), x.dtype),)


def gather(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    x, index = inputs
    _carried(x, (attrs["axis"],))
    check(index.dtype == "int", "an index must be int")
    return (Type((x.axes - {attrs["axis"]}) | index.axes, x.dtype),)


def scatter(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    x, index = inputs
    axis, keep = attrs["axis"], attrs["keep"]
    known(pool, axis)
    check(index.dtype == "int", "an index must be int")
    check(keep <= index.axes, "`keep` names indices that the index does not carry")
    rest = union(inputs) - (index.axes - keep)
    check(axis not in rest, f"the scattered axis `{axis}` would appear twice")
    return (Type(rest | {axis}, arithmetic([x.dtype])),)


def window(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    x, axis = inputs[0], attrs["axis"]
    _carried(x, (axis,))
    indices = _indices(pool, attrs["terms"])
    check(not indices & (x.axes - {axis}), f"a window's index stands in {x.type} already")
    return (Type((x.axes - {axis}) | indices, x.dtype),)


def fold(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    x, axis = inputs[0], attrs["axis"]
    indices = _indices(pool, attrs["terms"])
    _carried(x, indices)
    known(pool, axis)
    check(axis not in x.axes - indices, f"the folded axis `{axis}` would appear twice")
    return (Type((x.axes - indices) | {axis}, arithmetic([x.dtype])),)


def _indices(pool: Pool, terms: tuple[tuple[str, int], ...]) -> frozenset[str]:
    found = [index for index, _ in terms]
    check(0 < len(found) == len(set(found)), "a window has distinct indices")
    for index in found:
        known(pool, index)
    return frozenset(found)


# linear algebra


def matrix(keep: Callable[[str, str], tuple[str, ...]], square: bool = True) -> Infer:
    """Ops on a matrix [rows, cols]; ``keep(rows, cols)`` says which of the two remain.  A second matrix (a cotangent)
    may lack indices."""

    def infer(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        rows, cols = attrs["rows"], attrs["cols"]
        check(rows != cols, "rows and cols must be two indices")
        _carried(inputs[0], (rows, cols))
        check(not square or pool.size(rows) == pool.size(cols), f"`{rows}` and `{cols}` differ in size")
        axes = (union(inputs) - {rows, cols}) | set(keep(rows, cols))
        return (Type(axes, "real"),)

    return infer


def solve(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    """A matrix [rows, cols] and a right side over rows: the solution over cols."""
    rows, cols = attrs["rows"], attrs["cols"]
    check(rows != cols, "rows and cols must be two indices")
    _carried(inputs[0], (rows, cols))
    _carried(inputs[1], (rows,))
    check(cols not in inputs[1].axes, f"the right side carries `{cols}`, over which the solution lies")
    check(pool.size(rows) == pool.size(cols), f"`{rows}` and `{cols}` differ in size")
    return (Type(union(inputs) - {rows}, "real"),)


# functions in Python


def extern(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    """The mapped axes and those that the function gives."""
    return (Type(_mapped(inputs, attrs) | {*leaves_of(attrs["out"])}, "real"),)


def extern_vjp(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    """The mapped axes, the cotangent's among them, and those of the input in question."""
    *args, cotangent = inputs
    mapped = _mapped(tuple(args), attrs) | (cotangent.axes - {*leaves_of(attrs["out"])})
    return (Type(mapped | {*leaves_of(attrs["own"][attrs["wrt"]])}, "real"),)


def _mapped(inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> frozenset[str]:
    check(len(inputs) == len(attrs["own"]), "an `extern` needs the axes of each input")
    found = frozenset[str]()
    for x, groups in zip(inputs, attrs["own"], strict=True):
        check(x.axes.issuperset(leaves_of(groups)), "an input of an `extern` lacks an axis")
        found |= x.axes - {*leaves_of(groups)}
    return found


# scan

_OUTSIDE = frozenset({"input", "param", "state", "sample", "step", "examples", "training"})


def scan(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    """One result per body root, each over the root's indices and ``axis`` (see the row in :mod:`.ops`)."""
    axis, bind = attrs["axis"], attrs["bind"]
    body: Graph = attrs["body"]
    known(pool, axis)
    check(bool(body.roots), "a scan needs a body")
    roots = list(body.roots.values())
    holes = {n.attr("name"): n for n in body.topological() if n.op == "hole"}
    for node in body.topological():
        check(node.op not in _OUTSIDE, f"a scan's body reads `{node.op}`: pass it as an input")
    check(holes.keys() <= {row[1] for row in bind}, "a hole of the scan's body is not bound")
    for kind, name, *rest in bind:
        hole = holes.get(name)
        if hole is None:
            continue
        given = _bound(kind, rest, inputs, roots, axis)
        check(given <= hole.axes, f"hole `{name}` is {hole.type}, but gets indices {sorted(given)}")
    return tuple(Type(r.axes | {axis}, r.dtype) for r in roots)


def _bound(kind: str, rest: list[int], inputs: tuple[Node, ...], roots: list[Node], axis: str) -> frozenset[str]:
    """The indices of what a hole is bound to."""
    if kind == "const":
        return inputs[rest[0]].axes
    if kind == "each":
        return inputs[rest[0]].axes - {axis}
    if kind == "past":
        check(rest[1] >= 1, "a scan reads at least one label back")
        return roots[rest[0]].axes | inputs[rest[2]].axes
    check(kind in ("at", "readers"), f"unknown binding `{kind}`")
    index = inputs[rest[1]]
    check(
        index.axes <= {axis} and index.dtype == "int", f"positions along `{axis}` must be whole numbers over it alone"
    )
    return roots[rest[0]].axes | (inputs[rest[2]].axes if kind == "at" else frozenset[str]())


def result(pool: Pool, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    check(0 <= attrs["k"] < len(inputs[0].results), "no such result")
    k: int = attrs["k"]
    return (inputs[0].results[k],)
