"""The canonical form against the meaning: terms are equal exactly when the numbers are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from itertools import product

import numpy as np
import pytest

from dltc.compiler.diagnostics import InternalError, SpecError
from dltc.compiler.diff.canon import Canon, Names, classified
from dltc.compiler.diff.columns import column
from dltc.compiler.diff.meaning import meaning
from dltc.compiler.diff.side import Side
from dltc.compiler.diff.terms import Terms
from dltc.compiler.frontend import model as typed
from dltc.compiler.graph import expr as e
from dltc.compiler.graph.interpret import Env, interpret
from dltc.compiler.graph.node import Graph, Pool
from dltc.compiler.graph.ops import OPS
from dltc.compiler.pipeline import compile_spec

HEAD = """dlt 1
model M {
  axis d = 3, k = 3
  input x[d]
  param A[d, d'] ~ Normal(0, var = 1)
  param B[d, d'] ~ Normal(0, var = 1)
  param v[d] ~ Normal(0, var = 1)
  param c[k] ~ Normal(0, var = 1)
"""


def partitions(equations, name="m"):
    """Equations that compile, grouped by their term and by their numbers."""
    rng = np.random.default_rng(0)
    params = {
        "A": rng.normal(size=(3, 3)),
        "B": rng.normal(size=(3, 3)),
        "v": rng.normal(size=3),
        "c": rng.normal(size=3),
    }
    env = Env(inputs={"x": rng.normal(size=(2, 3))}, params=params)
    terms = Terms()
    by_term, by_number = defaultdict(set), defaultdict(set)
    for k, equation in enumerate(equations):
        try:
            spec = compile_spec(f"{HEAD}  {equation}\n}}\n", "a.dlt")
        except SpecError:
            continue
        fact = meaning(Side(spec), terms, Names()).values[name]
        value = interpret(Graph(spec.circuit.pool, {"": spec.circuit.roots[f"value {name}"]}), env)[""]
        by_term[fact.term].add(k)
        by_number[(value.axes, tuple(np.round(value.data, 9).ravel()))].add(k)
    return {frozenset(s) for s in by_term.values()}, {frozenset(s) for s in by_number.values()}


def test_products_over_all_patterns_of_indices():
    """A[.., ..] * B[.., ..] * v[..] with every choice of three indices: equal terms exactly for equal numbers."""
    choices = product(["d", "d'", "d''"], repeat=5)
    equations = [f"m[d] = A[{i}, {j}] * B[{p}, {q}] * v[{n}]" for i, j, p, q, n in choices]
    terms, numbers = partitions(equations)
    assert sum(map(len, terms)) > 80
    assert len(terms) < sum(map(len, terms)) * 0.6
    assert terms == numbers


def test_reductions_of_reductions():
    """Nested and joint sums, maxima and normalisations over two indices of one axis."""
    inner = [f"{f}[{i}]({g}[{j}](A[{a}, {b}]))" for f, g in product(["sum", "max", "prod"], repeat=2)
             for i, j in (("d", "d'"), ("d'", "d")) for a, b in (("d", "d'"), ("d'", "d"))]  # fmt: skip
    joint = [f"{f}[{i}, {j}](A[{a}, {b}])" for f in ("sum", "max", "prod", "logsumexp") for i, j in (("d", "d'"), ("d'", "d''"))
             for a, b in ((i, j), (j, i))]  # fmt: skip
    terms, numbers = partitions([f"m = {x}" for x in (*inner, *joint)])
    for group in terms:
        assert any(group <= other for other in numbers), group
    assert len(terms) <= len(numbers) + 6  # a reduction of a reduction over the same axis is not joined


def test_gathers_and_labels():
    reads = ["A[d, d]", "A[d, 0]", "A[0, d]", "A[d, (d + 1) % 3]", "A[(d + 1) % 3, d]", "A[d, 1 * d % 3]", "v[(d + 1) % 3]",
             "v[d] * d", "v[d] * label(d)", "sum[d'](d' * A[d, d'])", "sum[d'](A[d', d] * d')", "sum[k](k * c[k]) + v[d]",
             "sum[d'](A[d, d'] * v[(d' + 1) % 3])", "sum[d''](A[d, d''] * v[(d'' + 1) % 3])", "sum[d'](A[d', d] * v[(d' + 1) % 3])",
             "rank[d](v)", "rank[d](-v)", "cumsum[d](v)", "softmax[d](v)", "softmax[d](v + c[0])", "normalize[d](v)"]  # fmt: skip
    terms, numbers = partitions([f"m[d] = {x}" for x in reads])
    assert sum(map(len, terms)) == len(reads)
    assert terms <= numbers | {frozenset(s) for s in terms if len(s) == 1}
    assert len(terms) <= len(numbers) + 2  # a shifted softmax and a gathered diagonal are equal to numbers alone


def test_sums_and_signs():
    texts = ["v[d] - x[d]", "-x[d] + v[d]", "-(x[d] - v[d])", "x[d] - v[d]", "-(v[d] - x[d])", "v[d] + -x[d] * 1", "-1 * x[d] + v[d]",
             "2 * v[d] - 2 * x[d]", "-2 * x[d] + v[d] * 2", "v[d] / 2", "0.5 * v[d]", "v[d] * (1 / 2)", "v[d] / 2 / 1", "v[d] / (1 * 2)",
             "v[d]^2", "v[d] * v[d]", "v[d]^2.0", "v[d]^3", "v[d]^3.0", "max(v[d], 0)", "max(v[d], 0.0)", "max(0, v[d])", "(v[d] > 0) * v[d]",
             "v[d] * (0 < v[d])", "(v[d] >= 0) * v[d]", "v[d] - (x[d] - 1)", "v[d] + 1 - x[d]", "1 - (x[d] - v[d])"]  # fmt: skip
    terms, numbers = partitions([f"m[d] = {x}" for x in texts])
    joined = {frozenset(texts[k] for k in s) for s in numbers}
    assert (
        frozenset({"v[d] - x[d]", "-x[d] + v[d]", "-(x[d] - v[d])", "v[d] + -x[d] * 1", "-1 * x[d] + v[d]"}) in joined
    )
    assert {frozenset(texts[k] for k in s) for s in terms} >= {
        s for s in joined if not any("max" in t or "0" in t for t in s)
    }
    for group in terms:
        assert any(group <= other for other in numbers), [texts[k] for k in group]


# ---------------------------------------------------------------- nodes that no spec makes yet


@pytest.fixture
def pool():
    return Pool({"d": 3, "k": 4, "t": "t"})


def same(a, b, names=None):
    """Whether two nodes are one term, b's names given in a's words."""
    terms = Terms()
    return Canon(terms, Names()).root(a) == Canon(terms, names or Names()).root(b)


def test_scans_by_what_their_holes_are_bound_to(pool):
    def recurrence(hole, weight, name, lag=1):
        start, w, x = e.param(pool, "s", ["d"]), e.param(pool, weight, ["d", "d'"]), e.input(pool, "x", ["t", "d"])
        past, each, matrix = (
            e.hole(pool, hole, ["batch", "d"]),
            e.hole(pool, "in", ["batch", "d"]),
            e.hole(pool, "w", ["d", "d'"]),
        )
        body = e.tanh(pool, e.add(pool, e.contract(pool, [matrix, e.rename(pool, past, {"d": "d'"})], ["d'"]), each))
        bind = [("past", hole, 0, lag, 0), ("each", "in", 1), ("const", "w", 2)]
        return next(e.scan(pool, [start, x, w], {name: body}, bind, "t"))

    assert same(recurrence("h", "W", "out"), recurrence("g", "W", "other"))
    assert same(recurrence("h", "W", "out"), recurrence("g", "U", "out"), Names(params={"U": "W", "s": "s"}))
    assert not same(recurrence("h", "W", "out"), recurrence("h", "U", "out"))
    assert not same(recurrence("h", "W", "out"), recurrence("h", "W", "out", lag=2))


def test_scatter_and_gather_keep_their_axes_apart(pool):
    x, y = e.param(pool, "x", ["d"]), e.param(pool, "y", ["d"])
    by_k = e.mod(pool, e.label(pool, "k"), 3)
    by_k2 = e.mod(pool, e.label(pool, "k'"), 3)
    assert not same(e.gather(pool, x, by_k, "d"), e.gather(pool, y, by_k, "d"))
    moved = e.rename(pool, e.gather(pool, x, by_k2, "d"), {"k'": "k"})
    assert same(e.gather(pool, x, by_k, "d"), moved)
    u = e.param(pool, "u", ["k"])
    one, two = e.scatter(pool, u, by_k, "d"), e.scatter(pool, e.rename(pool, u, {"k": "k'"}), by_k2, "d")
    assert same(one, two)
    assert not same(one, e.scatter(pool, u, by_k, "d", keep=["k"]))


def test_conditions_have_no_order(pool):
    a, b, c = (e.lt(pool, 0, e.param(pool, n, ["d"])) for n in "abc")
    assert same(e.maximum(pool, a, e.maximum(pool, b, c)), e.maximum(pool, e.maximum(pool, c, a), b))
    assert not same(e.maximum(pool, a, b), e.minimum(pool, a, b))
    x, y = e.param(pool, "a", ["d"]), e.param(pool, "b", ["d"])
    assert not same(e.maximum(pool, x, y), e.maximum(pool, y, x))  # the gradient of a tie goes to the first


def test_matrix_operations_know_rows_from_columns(pool):
    x = e.param(pool, "x", ["d", "d'"])
    turned = e.rename(pool, x, {"d": "d'", "d'": "d"})
    assert not same(e.inverse(pool, x, "d", "d'"), e.inverse(pool, turned, "d", "d'"))
    assert same(e.logdet(pool, x, "d", "d'"), e.logdet(pool, e.rename(pool, x, {"d'": "d''"}), "d", "d''"))
    assert not same(e.eigvals(pool, x, "d", "d'"), e.eigvals(pool, turned, "d", "d'"))


def test_infinities_and_large_numbers(pool):
    x = e.param(pool, "x", ["d"])
    huge = e.mul(pool, e.mul(pool, x, 1e200), e.param(pool, "y", ["d"]), 1e200)
    assert not same(huge, e.mul(pool, x, e.param(pool, "y", ["d"]), float("inf")))
    assert same(e.add(pool, x, float("inf")), e.add(pool, float("inf"), x))
    assert not same(e.add(pool, x, float("inf")), e.add(pool, x, -float("inf")))
    assert not same(e.add(pool, x, 1e308, 1e308), e.add(pool, x, 1e308))


def test_long_sums_stay_apart(pool):
    x = [e.param(pool, f"p{k}", ["d"]) for k in range(300)]
    whole = e.add(pool, *x)
    assert same(e.sub(pool, x[0], whole), e.add(pool, e.neg(pool, whole), x[0]))


def test_every_op_is_known():
    assert [name for name in OPS if not classified(name)] == []


def test_an_op_that_nobody_described_is_refused(pool, monkeypatch):
    from dltc.compiler.diff import canon

    monkeypatch.setattr(canon, "KNOWN", canon.KNOWN - {"max"})
    with pytest.raises(InternalError, match="the canonical form does not know the op `max`"):
        Canon(Terms(), Names()).root(e.max(pool, e.param(pool, "x", ["d"]), "d"))


# ---------------------------------------------------------------- what the comparison looks at

COMPARED = {
    typed.Model: "name span axes inputs params buffers tables formulas values recurrences terms latents probes asserts rules outputs data train doc sources sampling",
    typed.Axis: "name size leaves low span",
    typed.Tensor: "name kind declared leaves dtype label batched span",
    typed.Input: "tensor kind doc domain",
    typed.Param: "tensor domain domain_axes prior power init support frozen doc",
    typed.Dist: "name args span written classes over",
    typed.ModelState: "tensor init update span update_span",
    typed.Value: "tensor expr probe span",
    typed.Recurrence: "axis reverse parts starts",
    typed.Term: "kind target repeated dist power span",
    typed.Latent: "tensor domain domain_axes prior doc inference",
    typed.Inference: "how steps through rule guide span",
    typed.RuleState: "name tensor init",
    typed.RuleUse: "rule written w states args lines keeps statistics span enter when",
    typed.Metric: "key kind stats higher span",
    typed.Probe: "tensor expr span",
    typed.Assertion: "text ops operands texts span whole",
    typed.Data: "source columns valid test spans span source_span teacher tasks",
    typed.Train: "batch epochs steps seed seeds dtype every clip clip_span watch metrics span begin over replay",
}


@pytest.mark.parametrize("kind", COMPARED, ids=lambda kind: kind.__name__)
def test_every_part_of_a_model_is_compared(kind):
    """A field that is new here must be compared (or be known to have no meaning) before it is listed."""
    assert {f.name for f in fields(kind)} == set(COMPARED[kind].split())


def test_every_root_of_a_circuit_is_compared(zoo):
    kinds = {name.split(" ")[0] for name in compile_spec(zoo, "a.dlt").circuit.roots}
    assert kinds == {"value", "term", "prior", "init", "update", "metric", "assert"}


def test_columns():
    one, two, c = ["num", 1], ["num", 2], ["column", "c"]
    assert column(["call", "add", one, c]) == column(["call", "add", c, one])
    assert column(["call", "sub", c, ["call", "neg", one]]) == column(["call", "add", one, c])
    assert column(["call", "div", c, two]) == column(["call", "div", c, ["num", 2.0]])
    assert column(["call", "mul", c, two]) != column(["call", "mul", c, ["num", 2.0]])
    assert column(["call", "div", c, two]) != column(["call", "div", two, c])
    assert column(["call", "neg", ["call", "sub", c, one]]) == column(["call", "sub", one, c])
    assert column(["slice", "c", 0, 1]) != column(["slice", "c", 0, 2])
    assert column(None) is None
