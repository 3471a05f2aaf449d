"""Discrete latents summed out: against scikit-learn, against sums over all labels, and their derivatives by autograd."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from tolerances import ENUMERATED, MIXTURE
from torch import Tensor

from dltc.compiler.diagnostics import SpecError
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.loader import load_class
from dltc.runtime.module import Module

GMM = """dlt 1
model Gmm {
  axis f = 4, comp = 3
  input x[f]
  param pi[comp] in simplex[comp] ~ Flat()   init Dirichlet(5)
  param mu[comp, f] ~ Flat() init Normal(0, var = 4)
  param s[comp, f] in positive ~ Flat() init LogNormal(0, std = 1)
  latent c: comp ~ Categorical(p = pi)
  x ~ Normal(mu[c, f], std = s[c, f])
  infer { c : Enumerate() }
  p[comp] = posterior(c)
  mean[f] = mu[c, f]
  output p, mean
  learn { pi : EG(lr = 1e-9); mu : SGD(lr = 1); s : EG(lr = 1e-9) }
}
"""
FULL = (
    GMM.replace(
        "param s[comp, f] in positive ~ Flat() init LogNormal(0, std = 1)",
        "param s[comp, f, f'] ~ Flat() init label(f) == label(f')",
    )
    .replace("Normal(mu[c, f], std = s[c, f])", "MultivariateNormal(mu[c, f], scale_tril = s[c, f, f'])")
    .replace("s : EG(lr = 1e-9)", "s : SGD(lr = 1)")
)
HMM = """dlt 1
model Hmm {
  axis t = 6, k = 3, w = 4
  input y[t]: w
  param pi[k] ~ Flat() init Normal(0, var = 1)
  param T[k, k'] ~ Flat() init Normal(0, var = 1)
  param E[k, w] ~ Flat() init Normal(0, var = 1)
  latent z[t]: k ~ Categorical(logits = where(t == 0, pi[k], T[z[t-1], k]))
  y[t] ~ Categorical(logits = E[z[t], w])
  infer { z : Enumerate() }
  p[t, k] = posterior(z)
  output p
  learn { * : SGD(lr = 1) }
}
"""
TREE = HMM.replace("axis t = 6", "axis t = 7").replace("T[z[t-1], k]", "T[z[(t-1)//2], k]")


def built(text: str) -> Module:
    name = text.split("model ")[1].split()[0]
    return load_class(compile_spec(text, "e.dlt").source, name)(seed=3, examples=10**30).double()


def data(module: Module, batch: int = 5) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    found: dict[str, Tensor] = {}
    for item in module.INPUTS:
        shape = (batch, *map(int, item.shape))
        found[item.name] = (
            torch.randint(0, item.labels, shape, generator=g)
            if item.labels
            else torch.randn(shape, generator=g, dtype=torch.float64)
        )
    return found


def weights(module: Module) -> dict[str, Tensor]:
    return dict(module.named_parameters())


@pytest.mark.parametrize("text", [GMM, FULL], ids=["diagonal", "full"])
def test_a_mixture_of_normals(text: str) -> None:
    """Marginals, posteriors and expectations of scikit-learn at the same parameters."""
    module = built(text)
    x = data(module, 40)["x"]
    w = {n: p.detach().numpy() for n, p in weights(module).items()}
    like = GaussianMixture(3, covariance_type="diag" if text is GMM else "full")
    like.weights_, like.means_ = w["pi"], w["mu"]
    if text is GMM:
        like.covariances_, like.precisions_cholesky_ = w["s"] ** 2, 1 / w["s"]
    else:
        lower = np.tril(w["s"])
        like.covariances_ = lower @ np.swapaxes(lower, 1, 2)
        like.precisions_cholesky_ = np.stack([np.linalg.inv(one).T for one in lower])
    np.testing.assert_allclose(module.log_prob(x=x).detach(), like.score_samples(x.numpy()), rtol=0, atol=MIXTURE)
    p = like.predict_proba(x.numpy())
    out = module(x=x)
    np.testing.assert_allclose(out["p"].detach(), p, rtol=0, atol=MIXTURE)
    np.testing.assert_allclose(out["mean"].detach(), p @ w["mu"], rtol=0, atol=MIXTURE)


def by_hand(text: str, w: dict[str, Tensor], y: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over all labellings, and the marginals."""
    parent = (lambda t: t - 1) if text is HMM else (lambda t: (t - 1) // 2)
    length, k = y.shape[1], 3
    first, steps, out = w["pi"].log_softmax(0), w["T"].log_softmax(1), w["E"].log_softmax(1)
    every: list[Tensor] = []
    paths = list(product(range(k), repeat=length))
    for path in paths:
        score = first[path[0]] + sum(steps[path[parent(t)], path[t]] for t in range(1, length))
        every.append(score + sum(out[path[t], y[:, t]] for t in range(length)))
    joint = torch.stack(every)
    p = joint.softmax(0)
    marginals = torch.stack(
        [
            torch.stack([p[[i for i, q in enumerate(paths) if q[t] == s]].sum(0) for s in range(k)], 1)
            for t in range(length)
        ],
        1,
    )
    return joint.logsumexp(0), marginals


@pytest.mark.parametrize("text", [HMM, TREE], ids=["chain", "tree"])
def test_messages_are_sums_over_all_labellings(text: str) -> None:
    """Of a hidden Markov model and of a tree: marginal likelihood, posteriors, and the gradients that the step derives."""
    module = built(text)
    y = data(module)["y"]
    w = weights(module)
    want, marginals = by_hand(text, w, y)
    torch.testing.assert_close(module.log_prob(y=y), want, rtol=0, atol=ENUMERATED)
    torch.testing.assert_close(module(y=y)["p"], marginals, rtol=0, atol=ENUMERATED)
    grads = dict(zip(w, torch.autograd.grad(-want.mean(), [*w.values()]), strict=True))
    before = {n: p.detach().clone() for n, p in w.items()}
    module.step(y=y)
    for n, p in w.items():
        torch.testing.assert_close(before[n] - p, grads[n], rtol=0, atol=ENUMERATED)


def test_several_latents_that_meet() -> None:
    """Two labels and a bool in one density, with a plate."""
    text = """dlt 1
model Meet {
  axis i = 3, a = 2, b = 4
  input x[i]
  param A[a] ~ Flat() init Normal(0, var = 1)
  param M[a, b] ~ Flat() init Normal(0, var = 1)
  latent u[i]: a ~ Categorical(logits = A)
  latent v[i]: b ~ Categorical(logits = 0 * b)
  latent on[i]: bool ~ Bernoulli(p = 0.3)
  x[i] ~ Normal(M[u[i], v[i]] * on[i], std = 0.7)
  infer { * : Enumerate() }
  p[i, b] = posterior(v)
  output p
  learn { * : SGD(lr = 1) }
}
"""
    module = built(text)
    x = data(module)["x"]
    w = weights(module)
    prior = w["A"].log_softmax(0)[:, None, None] - np.log(4) + torch.tensor([0.7, 0.3], dtype=torch.float64).log()
    centre = w["M"][:, :, None] * torch.tensor([0.0, 1.0], dtype=torch.float64)
    like = torch.distributions.Normal(centre, 0.7).log_prob(x[:, :, None, None, None])
    joint = (prior + like).flatten(2)
    torch.testing.assert_close(module.log_prob(x=x), joint.logsumexp(2).sum(1), rtol=0, atol=ENUMERATED)
    p = joint.softmax(2).reshape(*x.shape, 2, 4, 2).sum((2, 4))
    torch.testing.assert_close(module(x=x)["p"], p, rtol=0, atol=ENUMERATED)


def test_the_most_probable_label() -> None:
    """`Hard` takes it, and the density is that at the label."""
    module = built(
        GMM.replace("Enumerate()", "Hard()")
        .replace("  p[comp] = posterior(c)\n", "")
        .replace("output p, mean", "output mean")
    )
    x = data(module)["x"]
    w = weights(module)
    joint = w["pi"].log() + torch.distributions.Normal(w["mu"], w["s"]).log_prob(x[:, None]).sum(2)
    best = joint.argmax(1)
    torch.testing.assert_close(module(x=x)["mean"], w["mu"][best])
    torch.testing.assert_close(module.log_joint(x=x), joint.max(1).values, rtol=0, atol=ENUMERATED)


@pytest.mark.parametrize(
    ("latent", "density", "reason"),
    [
        (
            "latent z[i]: k ~ Categorical(logits = M[k])",
            "y ~ Normal(sum[i](M[z[i]]), std = 1)",
            "several places of `i`",
        ),
        (
            "latent z[i]: k ~ Categorical(logits = M[z[i-1]] * M[z[i-2]] * M[k])",
            "y ~ Normal(1, std = 1)",
            "make a loop",
        ),
        (
            "latent z[i]: k ~ Categorical(logits = M[k])\nlatent u: k ~ Categorical(logits = M[k])",
            "y ~ Normal(sum[i](M[z[i]] * M[u]), std = 1)",
            "several places",
        ),
        (
            "latent z[i]: k ~ Categorical(logits = M[k])\nlatent u: k ~ Categorical(logits = M[k])",
            "M2[i] = M[z[i]] * M[u]\nM2 ~ Normal(0, std = 1)",
            "over other axes",
        ),
    ],
)
def test_what_cannot_be_summed_out_says_why(latent: str, density: str, reason: str) -> None:
    body = f"axis i = 4, k = 3\ninput y\nparam M[k] ~ Normal(0, var = 1)\n{latent}\n{density}\ninfer {{ * : Enumerate() }}\nlearn {{ * : SGD(lr = 1) }}"
    with pytest.raises(SpecError) as caught:
        _ = compile_spec(f"dlt 1\nmodel M1 {{\n{body}\n}}\n", "m.dlt").source
    (found,) = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert found.code == "E0517" and reason in found.message and found.span is not None


def test_a_space_that_is_too_large_is_refused() -> None:
    latents = "\n".join(f"latent z{j}: k ~ Categorical(logits = M[k])" for j in range(9))
    sums = " + ".join(f"M[z{j}]" for j in range(9))
    body = f"axis k = 8\ninput y\nparam M[k] ~ Normal(0, var = 1)\n{latents}\ny ~ Normal({sums}, std = 1)\ninfer {{ * : Enumerate() }}\nlearn {{ * : SGD(lr = 1) }}"
    with pytest.raises(SpecError) as caught:
        _ = compile_spec(f"dlt 1\nmodel M1 {{\n{body}\n}}\n", "m.dlt").source
    assert "134,217,728 joint labels" in caught.value.diagnostics[0].message


def test_a_metric_does_not_see_its_own_truth() -> None:
    """The posterior of a label that is reported on leaves that label's density out; the likelihood does not."""
    text = """dlt 1
model Leak {
  axis f = 3, k = 4, cls = 5
  input x[f]
  input y: cls
  param M[k, f] ~ Flat() init Normal(0, var = 0.1)
  param V[k, cls] ~ Flat() init 4 * (label(k) == label(cls))
  latent c: k ~ Categorical(logits = 0 * k)
  x ~ Normal(M[c, f], std = 1.5)
  y ~ Categorical(logits = V[c, cls])
  infer { c : Enumerate() }
  s[cls] = V[c, cls]
  learn { * : SGD(lr = 1) }
  data from npz("d.npz") { x = x; y = y }
  train { batch 5; steps 1; report accuracy(y, s), nll }
}
"""
    module = built(text)
    batch = data(module, 300)
    w = weights(module)
    x = torch.distributions.Normal(w["M"], 1.5).log_prob(batch["x"][:, None]).sum(2)
    y = w["V"].log_softmax(1)[:, batch["y"]].T
    torch.testing.assert_close(module.log_prob(**batch), (x + y - np.log(4)).logsumexp(1), rtol=0, atol=ENUMERATED)
    blind, seen = ((p.softmax(1) @ w["V"]).argmax(1) == batch["y"] for p in (x, x + y))
    with torch.no_grad():
        measured = module._measure(module._values(module.checked(batch, every=True)))["accuracy(y, s)"]
    assert torch.equal(measured.bool(), blind) and not torch.equal(blind, seen)


PLATES = HMM.replace("where(t == 0, pi[k], T[z[t-1], k])", "pi[k] + T[0, k]")


@pytest.mark.parametrize("text", [HMM, TREE, PLATES], ids=["chain", "tree", "plates"])
def test_examples_that_end_early(text: str) -> None:
    """Along an axis that ends per example: likelihood, posteriors and gradients are those of every example by itself."""
    ragged = re.sub(r"axis t = \d", "axis t", text).rstrip().removesuffix("}")
    ragged += '  data from npz("d.npz") { y = y; t = ends }\n}\n'
    module, alone = built(ragged), built(ragged)
    y, ends = torch.randint(0, 4, (4, 6), generator=torch.Generator().manual_seed(2)), [4, 1, 6, 3]
    y_padded = torch.stack([torch.where(torch.arange(6) < n, row, 3 - row) for row, n in zip(y, ends, strict=True)])
    found = module.log_prob(y=y_padded, t=torch.tensor(ends))
    posteriors = module(y=y_padded, t=torch.tensor(ends))["p"]
    for k, n in enumerate(ends):
        one = {"y": y[k : k + 1, :n], "t": torch.tensor([n])}
        torch.testing.assert_close(found[k : k + 1], alone.log_prob(**one), rtol=0, atol=ENUMERATED)
        torch.testing.assert_close(posteriors[k : k + 1, :n], alone(**one)["p"], rtol=0, atol=ENUMERATED)
        if text is not PLATES:
            want, _ = by_hand(text, weights(alone), one["y"])
            torch.testing.assert_close(found[k : k + 1], want, rtol=0, atol=ENUMERATED)
    (-sum(alone.log_prob(y=y[k : k + 1, :n], t=torch.tensor([n])).sum() for k, n in enumerate(ends)) / 4).backward()
    before = {n: p.detach().clone() for n, p in weights(module).items()}
    module.step(y=y_padded, t=torch.tensor(ends))
    for n, p in weights(module).items():
        slope = weights(alone)[n].grad
        slope = torch.zeros_like(p) if slope is None else slope
        torch.testing.assert_close(before[n] - p.detach(), slope, rtol=0, atol=ENUMERATED)


@pytest.mark.parametrize("text", [HMM, TREE], ids=["chain", "tree"])
def test_the_best_labelling(text: str) -> None:
    """`Hard` on a chain or tree: of all labellings the most probable one, and the likelihood at it."""
    hard = text.replace("Enumerate()", "Hard()").replace("  p[t, k] = posterior(z)\n  output p\n", "  output z\n")
    module = built(hard)
    y = data(module)["y"]
    w = {n: p.detach() for n, p in weights(module).items()}
    first, steps, out = w["pi"].log_softmax(0), w["T"].log_softmax(1), w["E"].log_softmax(1)
    length = y.shape[1]
    for row, found in zip(y, module(y=y)["z"], strict=True):
        scores = {
            path: float(
                first[path[0]]
                + sum(steps[path[t - 1 if text is HMM else (t - 1) // 2], path[t]] for t in range(1, length))
                + sum(out[path[t], row[t]] for t in range(length))
            )
            for path in product(range(3), repeat=length)
        }
        assert tuple(found.tolist()) == max(scores, key=scores.__getitem__)
    before = module.log_joint(y=y)
    assert torch.isfinite(before).all()
    for _ in range(3):
        module.step(y=y)
    assert module.log_joint(y=y).mean() > before.mean()


def test_the_best_labels_of_several_latents() -> None:
    """Two labels and a bool that meet: the best of all combinations, places apart."""
    text = """dlt 1
model Meet {
  axis i = 3, a = 2, b = 4
  input x[i]
  param M[a, b] ~ Flat() init Normal(0, var = 4)
  latent u[i]: a ~ Categorical(logits = 0.3 * a)
  latent v[i]: b ~ Categorical(logits = -0.2 * b)
  latent w[i]: bool ~ Bernoulli(p = 0.4)
  x[i] ~ Normal(M[u[i], v[i]] + w[i], std = 0.7)
  infer { u, v, w : Hard() }
  output u, v, w
}
"""
    module = built(text)
    x, M = data(module)["x"], module.state("M").detach()
    found = module(x=x)
    prior = (
        torch.log_softmax(0.3 * torch.arange(2.0).double(), 0),
        torch.log_softmax(-0.2 * torch.arange(4.0).double(), 0),
    )
    for k in range(len(x)):
        for i in range(3):
            scores = {
                (a, b, c): float(
                    prior[0][a] + prior[1][b] + np.log(0.4 if c else 0.6) - (x[k, i] - M[a, b] - c) ** 2 / 0.98
                )
                for a, b, c in product(range(2), range(4), range(2))
            }
            best = max(scores, key=scores.__getitem__)
            assert tuple(int(found[n][k, i]) for n in "uvw") == best
