"""Expressions of generated specs: one recipe per construct, all of them numerically tame by construction.

Every recipe is ``(scene, open indices, depth) -> expression``.  Bounds are carried along, arguments of logarithms, roots
and divisions are positive, and what has a kink (relu, max, comparisons) is asked of sums that contain a *raw* tensor, so
that nothing ties exactly and a comparison at 1e-10 means something.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from spec_parts import ATOM, COMPARE, POWER, PRODUCT, SUM, E, Scene, add, base, call, div, known, mul, number, within

Open = frozenset[str]
Recipe = Callable[[Scene, Open, int], E]

SMOOTH = {  # name -> (largest argument, least and largest value)
    "exp": (2.0, 0.13, 7.4),
    "gelu": (6.0, -0.2, 6.0),
    "sigmoid": (8.0, 0.0, 1.0),
    "tanh": (8.0, -1.0, 1.0),
    "softplus": (6.0, 0.0, 6.1),
    "sin": (8.0, -1.0, 1.0),
    "cos": (8.0, -1.0, 1.0),
    "erf": (3.0, -1.0, 1.0),
}


def real(s: Scene, open_: Open, depth: int) -> E:
    """Any expression of moderate size over (some of) the open indices."""
    recipe = leaf if depth <= 0 else s.choose.weighted(RECIPES)
    return within(recipe(s, open_, depth - 1), 20.0)


# ---------------------------------------------------------------- leaves


def leaf(s: Scene, open_: Open, depth: int) -> E:
    """A read, or now and then a number."""
    return plain_number(s, open_, depth) if not s.tensors or s.choose.chance(8) else read(s, open_, depth)


def read(s: Scene, open_: Open, depth: int) -> E:
    """A read of any tensor; later ones, which are values, more often."""
    tensors = s.tensors[-6:] if s.choose.chance(60) else s.tensors
    return s.read(s.choose.pick(tensors), open_)


def plain_number(s: Scene, open_: Open, depth: int) -> E:
    """Constants, named constants, sizes, labels of open indices, `training`, `pi`."""
    options = [number(0.5), number(2), E("pi", low=3.14, high=3.15), E("training", dtype="int", low=0, high=1)]
    options += [E(name, low=value, high=value) for name, value in s.lets.items()]
    options += [E(f"size({a.name})", dtype="int", low=1, high=s.most(a.name)) for a in s.plain()]
    for index in sorted(open_):
        axis = s.axes[base(index)]
        bounds = {"dtype": "int", "low": axis.low, "high": axis.low + s.most(index) - 1}
        options += [E(index, frozenset({index}), **bounds), E(f"label({index})", frozenset({index}), **bounds)]
    return s.choose.pick(options)


def raw(s: Scene, open_: Open, must: Collection[str] = ()) -> E:
    """A read in which no two entries are equal along ``must`` (waves of labels where no tensor carries an index)."""
    options: list[tuple[int, tuple[int, dict[str, str]]]] = []
    for k, tensor in enumerate(s.tensors):
        leaves = s.leaves(tensor.declared) if tensor.raw else ()
        force: dict[str, str] = {}
        for index in sorted(must):
            free = [x for x in leaves if base(x) == base(index) and x not in force]
            if free:
                force[free[0]] = index
        if leaves or (tensor.raw and not must):
            options.append((1 + 20 * len(force), (k, force)))
    result: E | None = None
    if options:
        k, force = s.choose.weighted(options)
        result = s.read(s.tensors[k], open_ | set(must), force)
    for k, index in enumerate(sorted(must)):
        if result is None or index not in result.axes:
            wave = E(f"sin({1.3 + 0.45 * k} * {index} + 0.4)", frozenset({index}), low=-1.0, high=1.0)
            result = wave if result is None else add(result, wave)
    return result if result is not None else number(0.3)


def generic(s: Scene, open_: Open, depth: int, must: Collection[str] = ()) -> E:
    """A sum that contains a raw read: never exactly at a kink."""
    distinct = raw(s, open_, must)
    if depth <= 0:
        return distinct
    return add(distinct, mul(number(0.7), real(s, open_ | set(must), depth - 1)))


def positive(s: Scene, open_: Open, depth: int) -> E:
    """An expression that is at least about 0.1."""
    choose = s.choose
    tame = [t for t in s.tensors if t.low >= 0.1]
    kinds = ["softplus", "exp", "square", "sigmoid"] + ["read"] * bool(tame) + ["abs"]
    match choose.pick(kinds):
        case "softplus":
            return add(call("softplus", within(real(s, open_, depth), 6.0), low=0.0, high=6.1), number(0.5))
        case "exp":
            return call("exp", within(real(s, open_, depth), 2.0), low=0.13, high=7.4)
        case "square":
            inner = within(real(s, open_, depth), 2.0)
            square = E(f"{inner.at(POWER + 1)}^2", low=0.0, high=4.0, rank=POWER, **known(inner))
            return add(square, number(0.3))
        case "sigmoid":
            return add(call("sigmoid", within(real(s, open_, depth), 8.0), low=0.0, high=1.0), number(0.2))
        case "abs":
            inner = generic(s, open_, depth)
            return add(number(0.4), call("abs", inner, low=0.0, high=inner.largest))
        case _:
            return s.read(choose.pick(tame), open_)


# ---------------------------------------------------------------- arithmetic


def contraction(s: Scene, open_: Open, depth: int) -> E:
    """A product of two or more reads that sums one or two indices, sometimes over a positive divisor."""
    choose = s.choose
    carried = {base(leaf) for t in s.tensors for leaf in s.leaves(t.declared)}
    sums = choose.some([i for i in s.outside(open_) if base(i) in carried], 1, 2)
    if not sums:
        return product(s, open_, depth)
    factors: list[E] = []
    for index in sums:
        for _ in range(4):
            if sum(index in f.axes for f in factors) < 2:
                factors.append(_carrier(s, open_, index, sums))
    if any(sum(index in f.axes for f in factors) == 1 for index in sums):
        return product(s, open_, depth)  # a part of a product position could not be written with that index
    if choose.chance(20):
        factors.append(call("tanh", real(s, open_, depth), low=-1.0, high=1.0))
    size = 1.0
    for factor in factors:
        size *= factor.largest
    for index in sums:
        size *= s.most(index)
    text = " * ".join(f.at(POWER) for f in factors)
    about = known(*factors)
    about["axes"] -= set(sums)
    whole = within(E(text, low=-size, high=size, rank=PRODUCT, **about), 6.0)
    return div(whole, positive(s, open_, depth - 1)) if choose.chance(15) else whole


def _carrier(s: Scene, open_: Open, index: str, sums: Collection[str]) -> E:
    """A read that carries an index, and of the other summed ones those that it can."""
    fits = [t for t in s.tensors if any(base(x) == base(index) for x in s.leaves(t.declared))]
    tensor = s.choose.pick(fits)
    force: dict[str, str] = {}
    for wanted in [index, *(i for i in sums if i != index)]:
        free = [x for x in s.leaves(tensor.declared) if base(x) == base(wanted) and x not in force]
        if free:
            force[s.choose.pick(free)] = wanted
    return s.read(tensor, open_, force)


def signed(s: Scene, open_: Open, depth: int) -> E:
    """a + b, a - b, -a."""
    a, b = real(s, open_, depth), real(s, open_, depth)
    if s.choose.chance(10):
        return E(f"-{a.at(POWER)}", low=-a.high, high=-a.low, rank=PRODUCT, **known(a))
    return add(a, b, minus=s.choose.chance(40))


def product(s: Scene, open_: Open, depth: int) -> E:
    """a * b without a sum of its own."""
    return mul(real(s, open_, depth), within(real(s, open_, depth), 4.0))


def quotient(s: Scene, open_: Open, depth: int) -> E:
    """a / b."""
    return div(real(s, open_, depth), positive(s, open_, depth))


def power(s: Scene, open_: Open, depth: int) -> E:
    """Whole, fractional, negative and computed exponents."""
    choose = s.choose
    match choose.pick(["square", "cube", "root", "inverse", "computed", "of a number", "whole"]):
        case "square" | "cube":
            inner, exponent = within(real(s, open_, depth), 2.0), choose.pick([2, 3])
            return E(f"{inner.at(ATOM)}^{exponent}", low=-8.0, high=8.0, rank=POWER, **known(inner))
        case "root" | "inverse":
            inner, exponent = positive(s, open_, depth), choose.pick(["0.5", "-1", "-2", "1.5", "(1/3)", "0"])
            corners = [max(x, 0.1) ** p for x in (inner.low, inner.high) for p in (0.5, -1, -2, 1.5)]
            return within(
                E(f"{inner.at(ATOM)}^{exponent}", low=0.0, high=max(corners), rank=POWER, **known(inner)), 10.0
            )
        case "computed":
            inner, exponent = positive(s, open_, depth), call("tanh", real(s, open_, depth), low=-1.0, high=1.0)
            return E(
                f"{inner.at(ATOM)}^{exponent.text}",
                low=0.0,
                high=max(10.0, inner.high),
                rank=POWER,
                **known(inner, exponent),
            )
        case "of a number":
            inner = within(real(s, open_, depth), 2.0)
            return E(f"1.7^{inner.at(ATOM)}", low=0.3, high=2.9, rank=POWER, **known(inner))
        case _:
            whole = integer(s, open_, depth)
            return E(f"{whole.at(ATOM)}^2", dtype="int", low=0.0, high=25.0, rank=POWER, **known(whole))


def remainder(s: Scene, open_: Open, depth: int) -> E:
    """// and %, of reals and of whole numbers."""
    choose = s.choose
    sign = choose.pick(["//", "%"])
    if choose.chance(40):
        whole = integer(s, open_, depth)
        return E(
            f"{whole.at(ATOM)} {sign} {choose.integer(2, 4)}", dtype="int", low=0, high=5, rank=PRODUCT, **known(whole)
        )
    inner = generic(s, open_, depth)
    if choose.chance(25):
        under = positive(s, open_, 0)
        return within(
            E(f"{inner.at(ATOM)} {sign} {under.at(ATOM)}", low=-40.0, high=40.0, rank=PRODUCT, **known(inner, under)),
            8.0,
        )
    return E(f"{inner.at(ATOM)} {sign} 0.7", low=-10.0, high=10.0, rank=PRODUCT, **known(inner))


# ---------------------------------------------------------------- elementwise


def smooth(s: Scene, open_: Open, depth: int) -> E:
    """exp, tanh and the other smooth functions, as calls and through a pipe."""
    name = s.choose.pick([*SMOOTH])
    limit, low, high = SMOOTH[name]
    inner = within(real(s, open_, depth), limit)
    if s.choose.chance(6):
        return E(f"({inner.text} |> {name})", low=low, high=high, **known(inner))
    return call(name, inner, low=low, high=high)


def logarithm(s: Scene, open_: Open, depth: int) -> E:
    """log and sqrt of something positive, and p * log(p)."""
    inner = positive(s, open_, depth)
    match s.choose.pick(["log", "sqrt", "entropy"]):
        case "log":
            return call("log", inner, low=-2.5, high=max(1.0, inner.high))
        case "sqrt":
            return call("sqrt", inner, low=0.0, high=max(1.0, inner.high))
        case _:
            return mul(inner, call("log", inner, low=-2.5, high=max(1.0, inner.high)))


def kinked(s: Scene, open_: Open, depth: int) -> E:
    """relu, abs, sign, clip, shrink."""
    choose, inner = s.choose, generic(s, open_, depth)
    match choose.pick(["relu", "abs", "sign", "clip", "shrink"]):
        case "sign":
            return call("sign", inner, low=-1.0, high=1.0)
        case "clip":
            low, high = (E("low = -0.7"), E("high = 0.9")) if choose.chance(30) else (number(-0.7), number(0.9))
            return replace(call("clip", inner, low, high), low=-0.7, high=0.9)
        case "shrink":
            threshold = positive(s, open_, 0) if choose.chance(30) else number(0.4)
            return call("shrink", inner, threshold, low=-inner.largest, high=inner.largest)
        case name:
            return call(name, inner, low=0.0, high=inner.largest)


def extremum(s: Scene, open_: Open, depth: int) -> E:
    """min and max of two."""
    a, b = generic(s, open_, depth), real(s, open_, depth)
    size = max(a.largest, b.largest)
    return call(s.choose.pick(["min", "max"]), a, b, low=-size, high=size)


def condition(s: Scene, open_: Open, depth: int) -> E:
    """A comparison, a chain of them, a bool input, labels compared with labels."""
    choose = s.choose
    bools = [t for t in s.tensors if t.dtype == "bool"]
    kinds = ["less", "between", "two", "labels", "whole"] + ["bool"] * bool(bools)
    match choose.pick(kinds):
        case "less":
            inner = generic(s, open_, depth)
            return E(
                f"{inner.at(SUM)} {choose.pick(['<', '<=', '>', '>=', '!=', '=='])} 0.1",
                dtype="bool",
                low=0,
                high=1,
                rank=COMPARE,
                **known(inner),
            )
        case "between":
            inner = generic(s, open_, depth)
            return E(
                f"-0.8 < {inner.at(SUM)} {choose.pick(['<', '<='])} 0.9",
                dtype="int",
                low=0,
                high=1,
                rank=COMPARE,
                **known(inner),
            )
        case "two":
            a, b = generic(s, open_, depth), real(s, open_, depth)
            return E(
                f"{a.at(SUM)} {choose.pick(['<', '>='])} {b.at(SUM)}",
                dtype="bool",
                low=0,
                high=1,
                rank=COMPARE,
                **known(a, b),
            )
        case "labels" if open_:
            index = choose.pick(sorted(open_))
            others = [t for t in s.tensors if t.label == base(index) and set(s.leaves(t.declared)) <= open_]
            other = s.read(choose.pick(others), open_) if others else integer(s, open_, depth)
            place = E(index, frozenset({index}))
            return E(
                f"{place.text} {choose.pick(['==', '<=', '!='])} {other.at(SUM)}",
                dtype="bool",
                low=0,
                high=1,
                rank=COMPARE,
                **known(place, other),
            )
        case "bool":
            return s.read(choose.pick(bools), open_)
        case _:
            whole = integer(s, open_, depth)
            return E(
                f"{whole.at(SUM)} {choose.pick(['==', '!=', '>='])} 1",
                dtype="bool",
                low=0,
                high=1,
                rank=COMPARE,
                **known(whole),
            )


def masked(s: Scene, open_: Open, depth: int) -> E:
    """A condition times something; bools count as 0 and 1."""
    test = condition(s, open_, depth)
    return mul(test, within(real(s, open_, depth), 6.0))


def chosen(s: Scene, open_: Open, depth: int) -> E:
    """where, also where one branch would be NaN or infinite on the other side."""
    choose = s.choose
    if choose.chance(40):
        inner = generic(s, open_, depth)
        inner = raw(s, open_) if "dropout" in inner.text else inner  # written twice, it would be drawn twice
        bad = choose.pick(["log({0})", "sqrt({0} - 0.1)", "1 / ({0} - 0.1)^2 * 0.01", "({0} - 0.1)^0.5"]).format(
            inner.at(SUM)
        )
        branches = [bad, inner.text] if choose.chance(50) else [bad, "0.3"]
        return within(
            E(
                f"where({inner.at(SUM)} > 0.3, {', '.join(branches)})",
                low=-inner.largest - 2,
                high=inner.largest + 2,
                **known(inner),
            ),
            8.0,
        )
    test, a, b = condition(s, open_, depth), real(s, open_, depth), real(s, open_, depth)
    size = max(a.largest, b.largest)
    return call("where", test, a, b, low=-size, high=size)


def dropped(s: Scene, open_: Open, depth: int) -> E:
    """dropout: a keyed draw in training."""
    inner = within(real(s, open_, depth), 6.0)
    return replace(call("dropout", inner, number(0.3)), low=-2 * inner.largest, high=2 * inner.largest)


def stopped(s: Scene, open_: Open, depth: int) -> E:
    """stop: no gradient passes."""
    inner = real(s, open_, depth)
    return call("stop", inner, low=inner.low, high=inner.high, dtype=inner.dtype)


# ---------------------------------------------------------------- over axes


def bound(s: Scene, open_: Open, least: int = 1, most: int = 2) -> list[str]:
    """Indices that a reduction binds."""
    return s.choose.some(s.outside(open_), least, most)


def reduction(s: Scene, open_: Open, depth: int) -> E:
    """sum, mean, prod, var, norm, logsumexp, max, min over named indices."""
    name, over = s.choose.pick(["sum", "mean", "prod", "var", "norm", "logsumexp", "max", "min"]), bound(s, open_)
    if not over:
        return whole_reduction(s, open_, depth)
    inner = generic(s, open_ | set(over), depth, over)
    count = 1
    for index in over:
        count *= s.most(index)
    if name == "prod":
        inner = within(inner, 1.3)
    size = {
        "sum": inner.largest * count,
        "prod": 1.3**count,
        "var": inner.largest**2,
        "norm": inner.largest * count,
    }.get(name, inner.largest + 3)
    result = call(name, inner, over=", ".join(over), low=-size, high=size)
    return within(replace(result, axes=inner.axes - set(over)), 8.0)


def whole_reduction(s: Scene, open_: Open, depth: int) -> E:
    """A reduction without brackets: over all that its argument shows."""
    choose = s.choose
    tensor = choose.pick([t for t in s.tensors if t.raw] or s.tensors)
    count = 1
    for index in s.leaves(tensor.declared):
        count *= s.most(index)
    name = choose.pick(["sum", "mean", "max", "min", "norm", "logsumexp", "var"])
    size = max(abs(tensor.low), abs(tensor.high)) * (count + 1)
    name = name if tensor.raw else "sum"
    return within(E(f"{name}({tensor.name})", low=-size, high=size, batched=tensor.batched), 8.0)


def batch_reduction(s: Scene, open_: Open, depth: int) -> E:
    """A mean, sum or variance over the examples."""
    inner = real(s, open_, depth)
    if not inner.batched:
        return inner
    name = s.choose.pick(["mean", "var", "sum"])
    result = call(name, inner, over="batch", low=-(inner.largest**2) - 6, high=inner.largest**2 + 6)
    return within(replace(result, batched=False), 8.0)


def along(s: Scene, open_: Open, depth: int) -> E:
    """softmax, log_softmax, normalize, kmax, rank, cumsum along open indices."""
    choose = s.choose
    if not open_:
        return summed_along(s, open_, depth)
    over = choose.some(sorted(open_), 1, 2)
    name = choose.pick(["softmax", "log_softmax", "normalize", "normalize", "kmax", "rank", "cumsum"])
    over = over[:1] if name == "cumsum" else over
    written = ", ".join(over)
    if name == "normalize":
        inner = add(call("exp", within(generic(s, open_, depth, over), 2.0), low=0.13, high=7.4), number(0.1))
        return call(name, inner, over=written, low=0.0, high=1.0)
    inner = within(generic(s, open_, depth, over), 6.0)
    match name:
        case "softmax":
            return call(name, inner, over=written, low=0.0, high=1.0)
        case "log_softmax":
            return call(name, inner, over=written, low=-15.0, high=0.0)
        case "kmax":
            return replace(
                call(name, inner, E("k = 2") if choose.chance(50) else number(1), over=written),
                low=-6.0,
                high=6.0,
                **known(inner),
            )
        case "rank":
            return call(name, inner, over=written, dtype="int", low=0, high=24)
        case _:
            return within(call(name, inner, over=written, low=-30.0, high=30.0), 8.0)


def summed_along(s: Scene, open_: Open, depth: int) -> E:
    """A weighted sum whose weights are made along the index it sums: attention."""
    over = bound(s, open_, 1, 1)
    if not over:
        return leaf(s, open_, depth)
    inside = open_ | set(over)
    weights = call("softmax", within(generic(s, inside, depth, over), 6.0), over=over[0], low=0.0, high=1.0)
    values = within(generic(s, inside, depth, over), 6.0)
    whole = mul(weights, values)
    result = call("sum", whole, over=over[0], low=-6.0, high=6.0)
    return replace(result, axes=whole.axes - set(over))


def integer(s: Scene, open_: Open, depth: int) -> E:
    """A whole number: argmax, rank, labels, counts."""
    choose = s.choose
    wholes = [t for t in s.tensors if t.dtype == "int"]
    kinds = ["argmax", "rank", "label", "several"] + ["read", "read"] * bool(wholes)
    match choose.pick(kinds):
        case "argmax" if over := bound(s, open_, 1, 1):
            inner = generic(s, open_ | set(over), depth, over)
            return replace(call("argmax", inner, over=over[0], dtype="int", low=0, high=4), axes=inner.axes - set(over))
        case "several" if len(over := bound(s, open_, 2, 2)) == 2:
            inner = generic(s, open_ | set(over), depth, over)
            return replace(
                call("argmax", inner, over=", ".join(over), dtype="int", low=0, high=24), axes=inner.axes - set(over)
            )
        case "rank" if open_:
            index = choose.pick(sorted(open_))
            return call("rank", generic(s, open_, depth, [index]), over=index, dtype="int", low=0, high=4)
        case "read":
            return s.read(choose.pick(wholes), open_)
        case _ if open_:
            index = choose.pick(sorted(open_))
            return E(index, frozenset({index}), "int", s.axes[base(index)].low, 4)
        case _:
            return number(2)


def shifted(s: Scene, open_: Open, depth: int) -> E:
    """A read at shifted, strided or added labels: 0 outside the axis."""
    choose = s.choose
    places = [
        (t, k) for t in s.tensors for k, d in enumerate(t.declared) if len(s.leaves([d])) == 1 and t.label is None
    ]
    if not places or not open_:
        return read(s, open_, depth)
    tensor, place = choose.pick(places)
    over = choose.pick(sorted(open_))
    other = choose.pick(sorted(open_))
    text = choose.pick([f"{over} + 1", f"{over} - 1", f"2 * {over} - 1", f"1 - {over}", f"{over} + {other}"])
    axes = frozenset({over, other}) if text.endswith(other) and "+" in text else frozenset({over})
    found = s.read(tensor, open_, instead={place: E(text, axes)})
    return replace(found, low=min(found.low, 0.0), high=max(found.high, 0.0))


def counted(s: Scene, open_: Open, depth: int) -> E:
    """A whole number in arithmetic."""
    return mul(number(0.3), integer(s, open_, depth))


RECIPES: list[tuple[int, Recipe]] = [
    (10, read),
    (16, contraction),
    (8, signed),
    (6, product),
    (4, quotient),
    (10, smooth),
    (5, logarithm),
    (6, kinked),
    (3, extremum),
    (4, chosen),
    (4, masked),
    (4, power),
    (3, remainder),
    (8, reduction),
    (2, whole_reduction),
    (2, batch_reduction),
    (6, along),
    (2, summed_along),
    (3, counted),
    (4, shifted),
    (2, dropped),
    (2, stopped),
]
