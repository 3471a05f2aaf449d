"""Specs of different kinds, of a size at which arrays outweigh single numbers."""

from __future__ import annotations

from pathlib import Path

DIGITS = (Path(__file__).resolve().parents[2] / "specs" / "digits.dlt").read_text(encoding="utf-8")

ENSEMBLE = """dlt 1
model Ensemble {
  axis pix = 40, hid = 30, cls = 7, member = 5
  input x[pix]
  input y: cls
  param W[member, hid, pix] ~ Normal(0, var = 1/pix)
  param b[member, hid] ~ Normal(0, var = 1) init 0
  param V[member, cls, hid] ~ Normal(0, var = 1/hid)
  h[member, hid] = tanh(W[member, hid, pix] * x[pix] + b[member, hid])
  s[member, cls] = V[member, cls, hid] * h[member, hid]
  y ~ Categorical(logits = s)
  learn { W, V, b : Momentum(lr = 0.1) }
  train { batch 50; steps 3; report nll }
}
"""

REGRESSION = """dlt 1
model Regression {
  axis f = 60, out = 50
  input x[f]
  input y[out]
  param W[out, f] ~ Normal(0, var = 1/f)
  param c[out] ~ Normal(0, var = 1) init 0
  param s in positive ~ LogNormal(0, std = 1) init 1
  m[out] = W * x + c
  y ~ Normal(m, std = s)
  learn { W, c : SGD(lr = 0.01); s : EG(lr = 0.01) }
  train { batch 64; steps 3; report rmse(m, y) }
}
"""

EMBEDDING = """dlt 1
model Words {
  axis t, word = 90, d = 24, cls = 6
  input tok[t]: word
  input y: cls
  param E[word, d] ~ Normal(0, var = 1)
  param A[d, d'] ~ Normal(0, var = 1/d)
  param V[cls, d] ~ Normal(0, var = 1/d)
  e[t, d] = E[tok[t], d]
  h[t, d] = relu(A[d, d'] * e[t, d'])
  z[d] = mean[t](h[t, d])
  s[cls] = V * dropout(z, 0.3)
  y ~ Categorical(logits = s)
  learn { * : Adam(lr = 0.01) }
  train { batch 20; steps 3; report accuracy(y, s) }
}
"""

RAGGED = """dlt 1
model Tagger {
  axis t, d = 16, cls = 4, head = 2
  input x[t, d]
  input y[t]: cls
  param Q[head, d, d'] ~ Normal(0, var = 1/d)
  param W[cls, d] ~ Normal(0, var = 1/d)
  q[head, t, d] = Q[head, d, d'] * x[t, d']
  a[head, t, t'] = softmax[t'](q[head, t, d] * x[t', d])
  c[t, d] = mean[head](a[head, t, t'] * x[t', d])
  s[t, cls] = W[cls, d] * c[t, d]
  y ~ Categorical(logits = s)
  learn { Q : Lion(lr = 0.01); W : AdamW(lr = 0.01, wd = 0.1) }
  data from npz("d.npz") { x = x; y = y; t = ends }
  train { batch 16; steps 3; report accuracy(y, s) }
}
"""

WHITENED = """dlt 1
model Whitened {
  axis d = 30, k = 12
  input x[d]
  param S[d, d'] ~ Normal(0, var = 1) init 2 * (label(d) == label(d'))
  param O[k, d] in orthogonal[k, d] ~ Flat() init Normal(0, std = 1)
  z[k] = O[k, d] * matpow[d, d'](S[d, d''] * S[d', d''], -0.5) * x[d']
  z ~ StudentT(0, scale = 1, df = 3)
  v = logdet[d, d'](S[d, d''] * S[d', d''])
  v ~ Gibbs()
  learn { S, O : SGD(lr = 0.01) }
  train { batch 40; steps 3; report v }
}
"""

CONVOLUTION = """dlt 1
model Conv {
  axis row = 12, col = 10, r = 10, c = 8, i = -1..1, j = -1..1, ch = 9, out = 11, cls = 5
  input x[row, col]
  input y: cls
  param K[ch, i, j] ~ Normal(0, var = 1)
  param L[out, ch, i, j] ~ Normal(0, var = 1)
  param V[cls, out] ~ Normal(0, var = 1)
  h[ch, row, col] = relu(K[ch, i, j] * x[row + i, col + j])
  g[out, r, c] = relu(L[out, ch, i, j] * h[ch, r + i + 1, c + j + 1])
  s[cls] = V[cls, out] * mean[r, c](g[out, r, c])
  y ~ Categorical(logits = s)
  learn { * : Adam(lr = 0.01) }
  train { batch 32; steps 3; report nll }
}
"""

RECURRENCE = """dlt 1
model Recurrence {
  axis t, d = 24, f = 18, cls = 6
  input x[t, f]
  input y: cls
  param A[d, d'] ~ Normal(0, var = 1/d)
  param G[d, d'] ~ Normal(0, var = 1/d)
  param B[d, f] ~ Normal(0, var = 1/f)
  param V[cls, d] ~ Normal(0, var = 1/d)
  gate[t, d] = sigmoid(G[d, d'] * h[t-1, d'])
  h[t, d] = gate[t, d] * h[t-2, d] + tanh(A[d, d'] * h[t-1, d'] + B[d, f] * x[t, f])   start 0
  s[cls] = V[cls, d] * h[last, d]
  y ~ Categorical(logits = s)
  learn { * : Adam(lr = 0.01) }
  train { batch 32; steps 3; report accuracy(y, s) }
}
"""

NESTED = """dlt 1
model Nested {
  axis t, depth = 4, d = 20
  input x[t, d]
  param W[depth, d, d'] ~ Normal(0, var = 1/d)
  z[t, depth, d] = tanh(W[depth, d, d'] * z[t, depth-1, d'])   start x[t, d]
  o[t, d] = 0.5 * o[t-1, d] + z[t, last, d]   start 0
  x[t+1] ~ Normal(o[t], std = 1)
  learn { W : SGD(lr = 0.01) }
  train { batch 32; steps 3; report nll }
}
"""

TREE = """dlt 1
model Tree {
  axis node = 31, d = 20
  input x[node, d]
  input y
  param W[d, d'] ~ Normal(0, var = 1/d)
  param v[d] ~ Normal(0, var = 1/d)
  h[node, d] = tanh(W[d, d'] * h[(node-1)//2, d'] + x[node, d])   start 0
  m = v[d] * mean[node](h[node, d])
  y ~ Normal(m, std = 1)
  learn { * : SGD(lr = 0.01) }
  train { batch 32; steps 3; report nll }
}
"""

REPLICAS = DIGITS.replace("seed 0;", "seed 0; seeds 3;")

SPECS = {
    "digits": DIGITS,
    "ensemble": ENSEMBLE,
    "regression": REGRESSION,
    "embedding": EMBEDDING,
    "ragged": RAGGED,
    "whitened": WHITENED,
    "replicas": REPLICAS,
    "convolution": CONVOLUTION,
    "recurrence": RECURRENCE,
    "nested": NESTED,
    "tree": TREE,
}
