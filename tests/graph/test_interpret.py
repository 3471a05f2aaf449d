"""Known answers of every op, against NumPy or by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dltc.compiler.graph import expr as e
from dltc.compiler.graph import foreign, philox, special
from dltc.compiler.graph.interpret import MEANINGS, Env, Labeled, interpret
from dltc.compiler.graph.node import Graph, Pool

SIZES = {"i": 3, "j": 4, "k": 2, "t": "t"}
X = np.array([[0.3, -1.2, 2.0, 0.9], [1.5, 0.1, -0.7, 1.1], [-0.4, 0.8, 0.6, 2.2]])
M = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
FLAT = (0, 2, 1)


def run(build, env=None, order=None, **params):
    """Build with parameters named x (i, j), m (i, i'), v (i) as given; the value in the given order of axes."""
    pool = Pool(SIZES)
    axes = {"x": ("i", "j"), "m": ("i", "i'"), "v": ("i",), "b": ("k", "i", "i'"), "s": ()}
    leaves = {name: e.param(pool, name, axes[name]) for name in params}
    node = build(pool, **leaves)
    value = interpret(Graph(pool, {"y": node}), env or Env(params=params))["y"]
    assert set(value.axes) == node.axes
    assert value.data.dtype == {"bool": np.bool_, "int": np.int64, "real": np.float64}[node.dtype]
    return value.to(order) if order is not None else value.data


def _torch(function):
    """A torch function on arrays."""
    return lambda *xs: function(*map(torch.tensor, xs)).numpy()


ELEMENTWISE = {
    "recip": lambda x: 1 / x,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs_": np.abs,
    "sign": np.sign,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * _torch(torch.special.ndtr)(x),
    "sigmoid": _torch(torch.special.expit),
    "tanh": np.tanh,
    "softplus": lambda x: np.log1p(np.exp(x)),
    "sin": np.sin,
    "cos": np.cos,
    "erf": _torch(torch.special.erf),
    "lgamma": _torch(torch.special.gammaln),
    "digamma": _torch(torch.special.digamma),
    "trigamma": special.trigamma,
    "stop": lambda x: x,
    "real": lambda x: x,
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name):
    values = np.abs(X) if name in ("log", "sqrt", "lgamma", "digamma", "trigamma") else X
    with np.errstate(invalid="ignore"):
        expected = ELEMENTWISE[name](values)
    np.testing.assert_allclose(run(getattr(e, name), x=values), expected, rtol=1e-13, atol=1e-15)


BINARY = {
    "add": np.add,
    "mul": np.multiply,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "pow": np.power,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "xlogy": _torch(torch.special.xlogy),
    "div": np.divide,
    "sub": np.subtract,
}


@pytest.mark.parametrize("name", BINARY)
def test_binary_broadcasts_by_name(name):
    x, v = np.abs(X), np.array([0.5, 1.5, 0.3])
    value = run(lambda p, x, v: getattr(e, name)(p, x, v), order=("j", "i"), x=x, v=v)
    np.testing.assert_allclose(value, BINARY[name](x, v[:, None]).T, rtol=1e-14)


OVER = {
    "max": lambda x: x.max(1),
    "min": lambda x: x.min(1),
    "prod": lambda x: x.prod(1),
    "logsumexp": lambda x: _torch(lambda t: torch.logsumexp(t, 1))(x),
    "softmax": lambda x: _torch(lambda t: torch.softmax(t, 1))(x),
    "log_softmax": lambda x: _torch(lambda t: torch.log_softmax(t, 1))(x),
    "argmax": lambda x: x.argmax(1),
    "cumsum": lambda x: x.cumsum(1),
    "revcumsum": lambda x: x[:, ::-1].cumsum(1)[:, ::-1],
    "rank": lambda x: (-x).argsort(1).argsort(1),
    "mean": lambda x: x.mean(1),
    "var": lambda x: x.var(1),
    "norm": lambda x: np.linalg.norm(x, axis=1),
    "normalize": lambda x: x / x.sum(1, keepdims=True),
}


@pytest.mark.parametrize("name", OVER)
def test_over_one_axis(name):
    np.testing.assert_allclose(run(lambda p, x: getattr(e, name)(p, x, "j"), x=X), OVER[name](X), rtol=1e-13)


@pytest.mark.parametrize("name", ["max", "logsumexp", "mean", "var", "softmax"])
def test_over_all_axes(name):
    flat = X.reshape(1, -1)
    value = run(lambda p, x: getattr(e, name)(p, x, {"i", "j"}), x=X)
    np.testing.assert_allclose(value.ravel(), OVER[name](flat).ravel(), rtol=1e-13)


def test_rank_over_two_axes_is_row_major_in_the_given_order():
    x = np.array([[1.0, 5, 5, 0], [5, 1, 0, 0], [9, 0, 0, 0]])
    rows = run(lambda p, x: e.rank(p, x, ("i", "j")), order=("i", "j"), x=x)
    np.testing.assert_array_equal(rows, [[4, 1, 2, 6], [3, 5, 7, 8], [0, 9, 10, 11]])
    columns = run(lambda p, x: e.rank(p, x, ("j", "i")), order=("i", "j"), x=x)
    np.testing.assert_array_equal(columns[:2, 1:3], [[2, 3], [5, 7]])


def test_contractions():
    v = np.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(run(lambda p, x, v: e.contract(p, [x, v], "i"), x=X, v=v), v @ X)
    np.testing.assert_allclose(run(lambda p, x, v: e.contract(p, [x, x, v], {"i", "j"}), x=X, v=v), v @ (X**2).sum(1))
    twice = run(lambda p, x: e.contract(p, [x, e.rename(p, x, {"i": "i'"})], "j"), order=("i", "i'"), x=X)
    np.testing.assert_allclose(twice, X @ X.T)
    np.testing.assert_allclose(run(lambda p, v: e.contract(p, [v], {"i", "j"}), v=v), 4 * v.sum())


def test_leaves():
    env = Env(sizes={"t": 5, "batch": 2}, step=7, training=False, examples=90.0)
    assert run(lambda p: e.size(p, "t"), env) == 5
    np.testing.assert_array_equal(run(lambda p: e.label(p, "i'", -1), env), [-1, 0, 1])
    assert run(e.step, env) == 7
    assert run(e.training, env) == 0
    assert run(e.examples, env) == 90
    assert run(e.examples, Env(sizes={"batch": 2})) == 2
    table = run(lambda p: e.table(p, ("k", "i"), (1, 2, 3, 4, 5, 6), (2, 3), "int"), order=("i", "k"))
    np.testing.assert_array_equal(table, [[1, 4], [2, 5], [3, 6]])


def test_inputs_carry_the_batch_and_show_sizes():
    pool = Pool(SIZES)
    x, y = e.input(pool, "x", ("t", "i")), e.input(pool, "y", (), "int")
    roots = {"sum": e.reduce_sum(pool, x, "t"), "n": e.size(pool, "t"), "b": e.size(pool, "batch"), "y": y}
    data = np.arange(2 * 5 * 3).reshape(2, 5, 3)
    out = interpret(Graph(pool, roots), Env(inputs={"x": data, "y": [1, 2]}))
    np.testing.assert_array_equal(out["sum"].to(("batch", "i")), data.sum(1))
    assert (out["n"].data, out["b"].data) == (5, 2)
    with pytest.raises(ValueError, match="`batch` has size 3, elsewhere 2"):
        interpret(Graph(pool, roots), Env(inputs={"x": data, "y": [1, 2, 3]}))


def test_errors_name_the_leaf():
    pool = Pool(SIZES)
    w, free = e.param(pool, "enc.W", ("i",)), e.size(pool, "t")
    with pytest.raises(ValueError, match=r"no value for param `enc\.W`"):
        interpret(Graph(pool, {"y": w}), Env())
    with pytest.raises(ValueError, match=r"param `enc\.W` has shape \(4,\), but \[i\] is \(3,\)"):
        interpret(Graph(pool, {"y": w}), Env(params={"enc.W": np.zeros(4)}))
    with pytest.raises(ValueError, match="size of `t` is not given"):
        interpret(Graph(pool, {"y": free}), Env())


def test_samples_are_keyed_or_given():
    pool = Pool(SIZES)
    u, z = e.sample(pool, "uniform", "u", ("i", "k")), e.sample(pool, "normal", "z", ("batch", "i"))
    graph = Graph(pool, {"u": u, "z": z})
    env = Env(seed=3, step=2, sizes={"batch": 2})
    out = interpret(graph, env)
    np.testing.assert_array_equal(out["u"].to(("i", "k")).ravel(), philox.uniform(3, "u", 6, 2))
    np.testing.assert_array_equal(out["z"].to(("batch", "i")).ravel(), philox.normal(3, "z", 6, 2))
    given = interpret(graph, Env(samples={"u": np.ones((3, 2)), "z": np.zeros((2, 3))}))
    assert given["u"].data.min() == 1
    assert not given["z"].data.any()


def test_gamma_draws():
    pool = Pool({"i": 20000})
    a = e.const(pool, 0.5)
    draw = interpret(Graph(pool, {"g": e.gamma_draw(pool, "g", ("i",), a)}), Env(seed=1))["g"].data
    np.testing.assert_allclose((draw.mean(), draw.var()), (0.5, 0.5), rtol=0.05)
    large = interpret(Graph(pool, {"g": e.gamma_draw(pool, "g", ("i",), 4.0)}), Env(seed=1))["g"].data
    np.testing.assert_allclose((large.mean(), large.var()), (4, 4), rtol=0.05)


def _index(pool, axes, values):
    return e.table(pool, axes, values, tuple(SIZES[a] for a in axes), "int")


def test_gather():
    np.testing.assert_array_equal(
        run(lambda p, x: e.gather(p, x, _index(p, ("k",), (2, 0)), "i"), order=("k", "j"), x=X), X[[2, 0]]
    )
    aligned = run(lambda p, x: e.gather(p, x, _index(p, ("j",), (2, 0, 0, 1)), "i"), order=("j",), x=X)
    np.testing.assert_array_equal(aligned, X[[2, 0, 0, 1], [0, 1, 2, 3]])
    permuted = run(lambda p, x: e.gather(p, x, _index(p, ("i",), FLAT), "i"), order=("i", "j"), x=X)
    np.testing.assert_array_equal(permuted, X[list(FLAT)])
    for bad in (-1, 3):
        with pytest.raises(ValueError, match="leaves the axis `i` of size 3"):
            run(lambda p, x, bad=bad: e.gather(p, x, bad, "i"), x=X)


def test_scatter():
    v = np.array([1.0, 2.0, 4.0])
    index = (0, 1, 1)
    np.testing.assert_array_equal(run(lambda p, v: e.scatter(p, v, _index(p, ("i",), index), "k"), v=v), [1, 6])
    kept = run(lambda p, v: e.scatter(p, v, _index(p, ("i",), index), "k", keep="i"), order=("i", "k"), v=v)
    np.testing.assert_array_equal(kept, [[1, 0], [0, 2], [0, 4]])
    counts = run(lambda p, s: e.scatter(p, s, _index(p, ("i",), index), "k"), s=np.array(1.0))
    np.testing.assert_array_equal(counts, [1, 2])
    same = run(lambda p, v: e.scatter(p, v, _index(p, ("i",), (2, 0, 0)), "i"), v=v)
    np.testing.assert_array_equal(same, [6, 0, 1])


def test_one_hot_where_clip_shrink():
    np.testing.assert_array_equal(run(lambda p: e.one_hot(p, 1, "i")), [False, True, False])
    np.testing.assert_allclose(run(lambda p, x: e.clip(p, x, -0.5, 1), x=X), np.clip(X, -0.5, 1))
    soft = np.sign(X) * np.maximum(np.abs(X) - 0.5, 0)
    np.testing.assert_allclose(run(lambda p, x: e.shrink(p, x, 0.5), x=X), soft)
    np.testing.assert_allclose(run(lambda p, x: e.where(p, e.gt(p, x, 0), x, 7.0), x=X), np.where(X > 0, X, 7))
    np.testing.assert_array_equal(run(lambda p, x: e.logical_not(p, e.lt(p, x, 0)), x=X), X >= 0)


def _power(a, p):
    values, vectors = np.linalg.eigh(a)
    return (vectors * values**p) @ vectors.T


def test_linear_algebra():
    order = ("i", "i'")
    root = run(lambda p, m: e.matpow(p, m, -0.5, "i", "i'"), order=order, m=M)
    np.testing.assert_allclose(root @ root @ M, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(run(lambda p, m: e.inverse(p, m, "i", "i'"), order=order, m=M), np.linalg.inv(M))
    np.testing.assert_allclose(run(lambda p, m: e.logdet(p, m, "i", "i'"), m=M), np.linalg.slogdet(M)[1])
    np.testing.assert_allclose(run(lambda p, m: e.eigvals(p, m, "i", "i'"), m=M), np.linalg.eigvalsh(M))
    vectors = run(lambda p, m: e.eigvecs(p, m, "i", "i'"), order=order, m=M)
    np.testing.assert_allclose(M @ vectors, vectors * np.linalg.eigvalsh(M), atol=1e-12)
    skew = M + np.array([[0, 1, 0], [-1, 0, 2], [0, -2, 0]])  # eigvals and matpow see the symmetric part
    np.testing.assert_allclose(run(lambda p, m: e.eigvals(p, m, "i", "i'"), m=skew), np.linalg.eigvalsh(M))


def test_linear_algebra_in_batches():
    b = np.stack([M, M @ M])
    order = ("k", "i", "i'")
    roots = run(lambda p, b: e.matpow(p, b, 0.5, "i", "i'"), order=order, b=b)
    np.testing.assert_allclose(roots, [_power(M, 0.5), M], atol=1e-12)
    np.testing.assert_allclose(run(lambda p, b: e.logdet(p, b, "i", "i'"), b=b), np.linalg.slogdet(b)[1])
    singular = np.stack([M, np.zeros((3, 3))])
    inverse = run(lambda p, b: e.inverse(p, b, "i", "i'"), order=order, b=singular)
    np.testing.assert_allclose(inverse[0], np.linalg.inv(M))
    assert np.isnan(inverse[1]).all()
    np.testing.assert_array_equal(run(lambda p, b: e.logdet(p, b, "i", "i'"), b=singular * 1.0)[1], -np.inf)


def test_windows():
    """x[2 k - j + 1], 0 outside; a fold adds every entry where the window read it."""
    terms = (("k", 2), ("j", -1))
    x, (n, m) = np.array([1.0, 2.0, 4.0]), (SIZES["k"], SIZES["j"])
    read = run(lambda p, v: e.window(p, v, "i", terms, 1), order=("k", "j"), v=x)
    at = [[2 * k - j + 1 for j in range(m)] for k in range(n)]
    np.testing.assert_array_equal(read, [[x[p] if 0 <= p < 3 else 0 for p in row] for row in at])
    pool = Pool(SIZES)
    weights = np.random.default_rng(0).normal(size=(n, m))
    folded = e.fold(pool, e.param(pool, "w", ("k", "j")), "i", terms, 1)
    added = interpret(Graph(pool, {"y": folded}), Env(params={"w": weights}))["y"].to(("i",))
    expected = [sum(weights[k][j] for k in range(n) for j in range(m) if at[k][j] == p) for p in range(3)]
    np.testing.assert_allclose(added, expected)


def test_polar():
    u = run(lambda p, x: e.polar(p, x, "i", "j"), order=("i", "j"), x=X)
    np.testing.assert_allclose(u @ u.T, np.eye(3), atol=1e-12)
    stretch = u.T @ X
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-12)
    other = run(lambda p, x: e.polar(p, x, "j", "i"), order=("i", "j"), x=X)
    np.testing.assert_allclose(other, u, atol=1e-12)


def test_equal_eigenvalues_have_a_finite_derivative():
    pool = Pool({"i": 3})
    m, g = e.param(pool, "m", ("i", "i'")), e.param(pool, "g", ("i", "i'"))
    node = pool.node("matpow_vjp", m, e.const(pool, 3), g, rows="i", cols="i'")
    out = interpret(Graph(pool, {"y": node}), Env(params={"m": 2 * np.eye(3), "g": M}))["y"]
    np.testing.assert_allclose(out.to(("i", "i'")), 12 * M)


def test_functions_in_python():
    """Mapped over j, seen along i in the order that is said; the gradient by each argument."""
    foreign.use({"m:f:": lambda x, v, *, c: c * x**2 * torch.flip(v, (1,))}.__getitem__)
    attrs = {"entry": ("m:f", ""), "own": ((("i",),), (("i",),)), "out": (("i",),), "static": (("c", 3.0),)}
    v = np.array([1.0, -2.0, 0.5])
    found = run(lambda p, x, v: p.node("extern", x, v, **attrs), order=("i", "j"), x=X, v=v)
    np.testing.assert_allclose(found, 3 * X**2 * v[::-1, None])
    by_x = run(lambda p, x, v: p.node("extern_vjp", x, v, x, **attrs, wrt=0), order=("i", "j"), x=X, v=v)
    np.testing.assert_allclose(by_x, 6 * X**2 * v[::-1, None])
    by_v = run(lambda p, x, v: p.node("extern_vjp", x, v, x, **attrs, wrt=1), order=("i", "j"), x=X, v=v)
    np.testing.assert_allclose(by_v, 3 * X[::-1] ** 3)


def test_labeled():
    value = Labeled(("a", "b"), np.arange(6).reshape(2, 3))
    assert value.to(("b", "a")).shape == (3, 2)
    assert value.to(("b", "c", "a")).shape == (3, 1, 2)
    assert value.take("b", 1).axes == ("a",)
    assert value.take("c", 1) is value
    with pytest.raises(ValueError, match="cannot be given"):
        value.to(("a",))


def test_every_meaning_is_tested_here_or_by_name():
    """The list of ops above is kept complete by hand; this says what it must hold."""
    named = {"abs_": "abs", "mul": "contract", "div": "recip", "sub": "add"}
    known = {named.get(n, n) for n in (*ELEMENTWISE, *BINARY, *OVER)}
    known |= {"const", "table", "input", "param", "size", "label", "step", "examples", "training", "sample", "gamma"}
    known |= {"gather", "scatter", "rename", "where", "logical_not", "matpow", "matpow_vjp", "inverse", "logdet"}
    known |= {"eigvals", "eigvecs", "polar", "polar_vjp", "state", "hole"}  # polar_vjp by the gradient, hole by scan
    known |= {"cholesky", "solve_triangular", "poisson"}  # by the distributions
    known |= {"window", "fold", "extern", "extern_vjp"}
    assert known - {"mean", "var", "norm", "normalize"} == MEANINGS.keys()
