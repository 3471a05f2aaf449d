"""Base specs whose meaning the tests vary, and one way to compare two texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from dltc.compiler.diff import Diff, diff_artefacts
from dltc.compiler.pipeline import Artefact, compile_spec

NET = """dlt 1

## Two layers.
model Net {
  axis pix = 6, hid = 4, cls = 10
  let sigma = 0.3

  ## an image
  input x[pix]
  input y: cls

  ## first layer
  param W[hid, pix] ~ Normal(0, var = 2/pix)
  param b[hid]      ~ Normal(0, var = 1)   init 0
  param g[hid] in positive ~ LogNormal(0, std = sigma)   init 1
  param V[cls, hid] ~ Normal(0, var = 1/hid)
  param c[cls]      ~ Normal(0, var = 1)   init 0

  h[hid] = g[hid] * relu(W[hid, pix] * x[pix] + b[hid])
  s[cls] = V[cls, hid] * h[hid] + c[cls]

  y ~ Categorical(logits = s)

  learn {
    W, b : Adam(lr = 2e-3)
    V, c : Momentum(lr = 0.01)
    g    : EG(lr = 0.1)
  }

  data from sklearn("digits") {
    x = data[0..5] / 16 + 1
    y = target
    valid 0.1
    test 0.2
  }

  train { batch 32; epochs 20; seed 0; report accuracy(y, s), nll every 50 }
}
"""

ZOO = """dlt 1

rule Heavy(pace, mu = 0.5) on real {
  state m = 0, v = 1
  m <- mu * m + grad
  v <- 0.9 * v + 0.1 * grad^2
  let move = m / (sqrt(v) + 0.01)
  w <- w - pace * move
}

model Zoo {
  axis row = 2, col = 3, pix = (row, col)
  axis d = 4, k = 3, e = 4
  input x[pix]
  input z[d]
  input q[d]
  input n: int
  input lit: bool
  input kind: k
  param A[d, d'] ~ Normal(0, var = 1/d)
  param B[d, d'] ~ Normal(0, std = 0.5)  init label(d) == label(d')
  param P[k, d] in simplex[k] ~ Dirichlet(2)
  param tau in positive ~ LogNormal(0, std = 1)  init 1
  param m[d] ~ Normal(0, precision = tau)  init 0
  param U[d, row, col] ~ Laplace(0, scale = 0.1)  init Normal(0, std = 0.02)
  param F[e] ~ Flat()  init 2  frozen
  param E[k, d] ~ Normal(0, var = 1)
  state mv[d] = 0, copy[k, d] = E
  let T[k, k'] = [[1, 0, 2], [0, 1, 0], [3, 0, 1]]

  a[d] = tanh(A[d, d'] * z[d'] + U[d, pix] * x[pix] - m[d])
  r[d] = B[d', d] * a[d'] + E[kind, d]
  u[d] = dropout(a[d] * q[d], 0.2) + dropout(r[d], 0.3)
  pr[k] = softmax[k](P[k, d] * u[d] + T[k, k'] * sum[d](E[k', d]) + k)
  best = max(where(lit == 1, sum[d](u[d]^2), mean[d](abs(u))), 0.1)
  mv[d] <- 0.9 * mv + 0.1 * mean[batch](a + mv * q)
  copy  <- 0.5 * copy + 0.5 * E
  far = sum[k, d]((E - copy)^2) + sum[d](mv[d] * q[d])
  far ~ Gibbs(beta = 0.1)
  loss = sum[e](F[e] * best) / size(e) + norm[k](pr) + exp(-n / 4) + argmax[d](u)
  probe a, E[k, d], sum(u)
  assert best < 10 * tau
  assert r2(q, u) > -5
  probe Z[d, d'] = A[d, k2] * 0 + A[d, d'] * B[d', d]
  gap = sum[d](kmax[d](z, 2) % 2) + sum[d](cumsum[d](q) // 2)

  kind ~ Categorical(p = pr)
  z ~ Normal(r, var = 0.5 + tau)^0.5
  lit ~ Bernoulli(logits = best)
  n ~ Poisson(rate = exp(u[0]))
  loss ~ Gibbs()
  output pr, best, gap

  learn {
    *    : Heavy(pace = 0.1)
    A    : AdamW()
    B    : Lion(lr = 1e-3 * 0.5^t)
    P    : EG(lr = 0.1)
    tau  : EG(lr = 0.2)
  }
  data from npz("zoo.npz") {
    x = log1p(img) * 2 - 1
    z = standardize(left + right + 1)
    q = up - down / 3
    n = count
    lit = flag > 0
    kind = label % 3
    test 0.25
  }
  train { batch all; steps 500; seed 3; dtype float64; report rmse(z, r), r2(q, u), best, mae(z, a) every 10 }
}
""".replace("A[d, k2] * 0 + ", "")


@cache
def compiled(text: str, name: str = "a.dlt") -> Artefact:
    """A compiled text."""
    return compile_spec(text, name)


@pytest.fixture
def net() -> str:
    """A small classifier with data, rules and training."""
    return NET


@pytest.fixture
def zoo() -> str:
    """As many constructs as are compiled."""
    return ZOO


@pytest.fixture
def compare() -> Callable[..., Diff]:
    """Compare two texts, called a.dlt and b.dlt; ``back``: from b to a."""

    def run(a: str, b: str, *, back: bool = False) -> Diff:
        sides = compiled(a, "a.dlt"), compiled(b, "b.dlt")
        return diff_artefacts(*(reversed(sides) if back else sides))

    return run


@pytest.fixture(params=["net", "zoo"])
def base(request: pytest.FixtureRequest) -> str:
    """Each base spec."""
    return {"net": NET, "zoo": ZOO}[request.param]
