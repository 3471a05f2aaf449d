"""Latents found as `infer` says, against optimality conditions, scikit-learn, closed forms and torch by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from sklearn.naive_bayes import GaussianNB
from tolerances import ELBO, KKT, LASSO, POSTERIOR
from torch import Tensor

import dltc
from dltc.compiler.diagnostics import SpecError
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.loader import load_class
from dltc.runtime.module import Module

SPARSE = """dlt 1
model Sparse {
  axis pix = 12, atom = 20
  input x[pix]
  param D[pix, atom] in unit_norm[pix] ~ Flat()  init Normal(0, std = 1)
  latent a[atom] ~ Laplace(0, scale = 0.1)
  x ~ Normal(D[pix, atom] * a[atom], var = 0.01)
  infer { a : FISTA(steps = 3000) }
  learn { D : SGD(lr = 0.01) }
}
"""
VAE = """dlt 1
model Vae {
  axis pix = 12, hid = 9, k = 3
  input x[pix]: bool
  param W[hid, pix] ~ Flat() init Normal(0, var = 1/pix)
  param M[k, hid] ~ Flat() init Normal(0, var = 1/hid)
  param S[k, hid] ~ Flat() init Normal(0, var = 1/hid)
  param G[hid, k] ~ Flat() init Normal(0, var = 1/k)
  param L[pix, hid] ~ Flat() init Normal(0, var = 1/hid)
  latent z[k] ~ Normal(0, var = 1)
  h[hid] = tanh(W * x)
  mu[k] = M * h
  s[k] = exp(S * h)
  g[hid] = tanh(G * z)
  l[pix] = L * g
  x ~ Bernoulli(logits = l)
  infer { z ~ Normal(mu, std = s) }
  learn { * : SGD(lr = 1) }
}
"""
LINEAR = """dlt 1
model Linear {
  axis pix = 8, k = 3
  input x[pix]
  param D[pix, k] ~ Flat()  init Normal(0, std = 1)
  latent z[k] ~ Normal(0.5, var = 2)
  x ~ Normal(D[pix, k] * z[k], var = 0.3)
  infer { z : Newton(steps = 1) }
  learn { D : SGD(lr = 1) }
}
"""


def built(text: str, name: str, examples: int = 1000) -> Module:
    return load_class(compile_spec(text, "latent.dlt").source, name)(seed=3, examples=examples).double()


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("way", ["FISTA(steps = 3000)", pytest.param("ISTA(steps = 20000)", marks=pytest.mark.slow)])
@pytest.mark.parametrize("domain", ["", "in positive "])
def test_sparse_codes_are_lasso_solutions(way: str, domain: str) -> None:
    """The KKT conditions of the Lasso, and scikit-learn's solution, two-sided and positive."""
    text = SPARSE.replace("FISTA(steps = 3000)", way).replace("a[atom] ~", f"a[atom] {domain}~")
    module, x = built(text, "Sparse"), rows(7, 12)
    a, d = module(x=x)["a"], module.state("D").detach()
    slope = (
        (x - a @ d.T) @ d
    ) / 0.01  # of the likelihood; at the optimum it is the sign of a over the scale, where a is not 0
    active = a != 0
    torch.testing.assert_close(slope[active], torch.sign(a[active]) / 0.1, rtol=0, atol=KKT)
    if domain:
        assert (a >= 0).all() and (slope[~active] <= 1 / 0.1 + KKT).all()
    else:
        assert (slope[~active].abs() <= 1 / 0.1 + KKT).all()
    assert 0.05 < active.double().mean() < 0.95
    for row, code in zip(x.numpy(), a.numpy(), strict=True):
        lasso = Lasso(alpha=0.1 / 12, fit_intercept=False, tol=1e-14, max_iter=1_000_000, positive=bool(domain))
        np.testing.assert_allclose(code, lasso.fit(d.numpy(), row).coef_, rtol=0, atol=LASSO)


def test_codes_are_constants_for_learning() -> None:
    """The gradient of D is that at fixed codes, and through the search only on request."""
    module, x = (
        built(SPARSE.replace("Flat()  init", "Flat() init").replace("in unit_norm[pix] ", ""), "Sparse"),
        rows(5, 12),
    )
    d = module.state("D").detach().clone().requires_grad_()
    a = module(x=x)["a"].detach()
    loss = (((x - a @ d.T) ** 2).sum(1) / 0.02).mean()
    (grad,) = torch.autograd.grad(loss, d)
    before = module.state("D").detach().clone()
    module.step(x=x)
    torch.testing.assert_close((before - module.state("D")) / 0.01, grad, rtol=1e-9, atol=1e-9)


def test_newton_is_the_posterior_mean_in_one_step() -> None:
    """Of a linear Gaussian model, in closed form."""
    module, x = built(LINEAR, "Linear"), rows(6, 8)
    d = module.state("D").detach()
    precision = d.T @ d / 0.3 + torch.eye(3, dtype=torch.float64) / 2
    mean = torch.linalg.solve(precision, (x @ d / 0.3 + 0.5 / 2).T).T
    torch.testing.assert_close(module(x=x)["z"], mean, rtol=POSTERIOR, atol=POSTERIOR)


@pytest.mark.parametrize(
    "rule", ["Adam(lr = 0.05, steps = 900)", "SGD(lr = 0.03, steps = 900)", "Momentum(lr = 0.01, steps = 600)"]
)
def test_any_rule_searches(rule: str) -> None:
    """To the mode, which in a linear Gaussian model is the mean."""
    one, x = built(LINEAR, "Linear"), rows(6, 8)
    other = built(LINEAR.replace("Newton(steps = 1)", rule), "Linear")
    torch.testing.assert_close(other(x=x)["z"], one(x=x)["z"], rtol=1e-6, atol=1e-6)


def test_a_search_is_the_loop_that_it_says() -> None:
    """Adam for 7 steps, by hand; the gradient through them by autograd."""
    text = LINEAR.replace("Newton(steps = 1)", "Adam(lr = 0.1, steps = 7, through = true)")
    module, x = built(text, "Linear"), rows(6, 8)
    d = module.state("D").detach().clone().requires_grad_()
    z = torch.full((6, 3), 0.5, dtype=torch.float64)
    m = v = torch.zeros(6, 3, dtype=torch.float64)
    for t in range(1, 8):
        g = -(x - z @ d.T) @ d / 0.3 + (z - 0.5) / 2
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        z = z - 0.1 * (m / (1 - 0.9**t)) / (torch.sqrt(v / (1 - 0.999**t)) + 1e-8)
    torch.testing.assert_close(module(x=x)["z"], z, rtol=POSTERIOR, atol=POSTERIOR)
    joint = -((x - z @ d.T) ** 2).sum(1) / 0.6 - ((z - 0.5) ** 2).sum(1) / 4
    constant = -4 * np.log(2 * np.pi * 0.3) - 1.5 * np.log(2 * np.pi * 2)
    torch.testing.assert_close(module.log_joint(x=x), joint + constant, rtol=POSTERIOR, atol=POSTERIOR)
    (grad,) = torch.autograd.grad(-joint.mean(), d)
    before = module.state("D").detach().clone()
    module.step(x=x)
    torch.testing.assert_close(before - module.state("D"), grad, rtol=1e-8, atol=1e-8)


def elbo(module: Module, x: Tensor, z: Tensor, *, sampled: bool = False) -> Tensor:
    """By hand, at the draw that the module made: closed form, or both densities at the draw."""
    w, m, s, g, l = (module.state(n) for n in "WMSGL")
    h = torch.tanh(x @ w.T)
    q = torch.distributions.Normal(h @ m.T, torch.exp(h @ s.T))
    prior = torch.distributions.Normal(torch.zeros(3, dtype=x.dtype), torch.ones(3, dtype=x.dtype))
    noise = ((z - q.mean) / q.stddev).detach()
    z = q.mean + q.stddev * noise
    logits = torch.tanh(z @ g.T) @ l.T
    like = torch.distributions.Bernoulli(logits=logits).log_prob(x).sum(1)
    if sampled:
        return like + (prior.log_prob(z) - q.log_prob(z)).sum(1)
    return like - torch.distributions.kl_divergence(q, prior).sum(1)


@pytest.mark.parametrize("prior", ["Normal(0, var = 1)", "Normal(0, var = 1)^1"])
def test_the_elbo_of_a_vae(prior: str) -> None:
    """Value and all gradients, with the same noise; in closed form, and with both densities at the draw."""
    module = built(VAE.replace("z[k] ~ Normal(0, var = 1)", f"z[k] ~ {prior}"), "Vae", examples=10**30)
    x = (rows(16, 12) > 0).double()
    given = x.bool()
    z = module(x=given)["z"]
    want = elbo(module, x, z, sampled="^" in prior)
    torch.testing.assert_close(module.log_joint(x=given), want, rtol=ELBO, atol=ELBO)
    names = [n for n, _ in module.named_parameters()]
    before = {n: module.state(n).detach().clone() for n in names}
    module.train()
    seen: dict[str, Tensor] = {}
    handle = module._step

    def spy(*batch: Tensor) -> dict[str, Tensor]:
        seen["z"] = module(x=given)["z"].detach()
        return handle(*batch)

    module._step = spy  # the draw of a step is a function of the step's number alone
    grads = None
    loss_before = {n: module.state(n) for n in names}
    del loss_before
    module.step(x=given)
    for n in names:
        after = module.state(n).detach().clone()
        module.state(n).data.copy_(before[n])
        before[n] = before[n] - after
    loss = -elbo(module, x, seen["z"], sampled="^" in prior).mean()
    grads = torch.autograd.grad(loss, [module.state(n) for n in names])
    for n, grad in zip(names, grads, strict=True):
        torch.testing.assert_close(before[n], grad, rtol=ELBO, atol=ELBO)


def test_noise_inside_a_model() -> None:
    """`Sample` draws afresh at every step, from the prior, and its density is no term."""
    text = LINEAR.replace("Newton(steps = 1)", "Sample()")
    module, x = built(text, "Linear"), rows(4000, 8)
    z = module(x=x)["z"]
    assert abs(z.mean() - 0.5) < 0.06 and abs(z.var() - 2) < 0.12
    d = module.state("D")
    want = -((x - z @ d.T) ** 2).sum(1) / 0.6 - 4 * np.log(2 * np.pi * 0.3)
    torch.testing.assert_close(module.log_joint(x=x), want, rtol=POSTERIOR, atol=POSTERIOR)
    module.step(x=x)
    assert not torch.equal(module(x=x)["z"], z)


SHIFTED = """dlt 1
model Shifted {
  axis t = 5, d = 2, k = 3
  input x[t, d]
  param mu[k, d] ~ Normal(0, std = 5)
  latent z[t]: k ~ Categorical(logits = 0 * k)
  x[t, d] ~ Normal(mu[z[t], d] + 10 * mu[z[t-1], d], std = 1)
  infer { z : Sample }
  output z
  learn { mu : SGD(lr = 0.1) }
}
"""


def test_a_drawn_label_may_be_read_at_other_places() -> None:
    """It is a value like any other; before the first label it is label 0."""
    model = dltc.compile(text=SHIFTED).load(seed=1, dtype=torch.float64, examples=4)
    x = torch.randn(4, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = model(x=x)["z"]
    before = torch.cat([torch.zeros(4, 1, dtype=torch.int64), z[:, :-1]], dim=1)
    assert len(z.unique()) == 3
    mean = model.mu[z] + 10 * model.mu[before]
    expected = torch.distributions.Normal(mean, 1.0).log_prob(x).sum((1, 2))
    assert torch.allclose(model.log_joint(x=x), expected, rtol=1e-12)


def test_a_draw_from_a_density_of_itself_is_refused() -> None:
    text = SHIFTED.replace("logits = 0 * k)", "logits = mu[z[t-1], 0] * k)")
    with pytest.raises(SpecError) as caught:
        dltc.compile(text=text)
    assert [d.code for d in caught.value.diagnostics] == ["E0901"]


@pytest.mark.parametrize("way", ["Hard()", "Sample()"])
def test_only_what_is_summed_out_has_a_posterior(way: str) -> None:
    text = SHIFTED.replace(" + 10 * mu[z[t-1], d]", "").replace("z : Sample", f"z : {way}")
    with pytest.raises(SpecError) as caught:
        dltc.compile(text=text.replace("output z\n", "p[t, k] = posterior(z)\n  output p\n"))
    assert [d.code for d in caught.value.diagnostics] == ["E0518"]


SPREAD = """dlt 1
model Spread {
  axis t = 4, pix = 9, atom = 6, i = 3, j = 2, q = 9
  input x[t, pix]
  input z[q]
  param D[pix, atom] ~ Flat() init Normal(0, std = 1)
  param C[q, i, j] ~ Flat() init Normal(0, std = 1)
  latent a[t, atom] ~ Laplace(0, scale = 0.1)
  latent c[i, j] ~ Laplace(0, scale = 0.1)
  x ~ Normal(D[pix, atom] * a[t, atom], var = 0.01)
  z ~ Normal(C[q, i, j] * c[i, j], var = 0.01)
  infer { a, c : FISTA(steps = 3000) }
}
"""


def test_codes_over_several_axes() -> None:
    """Along t every code is by itself; i and j are explained together: both are Lasso solutions."""
    module, x, z = built(SPREAD, "Spread"), rows(5, 4, 9), rows(5, 9, seed=1)
    found = module(x=x, z=z)
    d, c = module.state("D").detach(), module.state("C").detach().reshape(9, 6)
    for data, matrix, codes in ((x.reshape(20, 9), d, found["a"].reshape(20, 6)), (z, c, found["c"].reshape(5, 6))):
        for row, code in zip(data.numpy(), codes.numpy(), strict=True):
            lasso = Lasso(alpha=0.1 / 9, fit_intercept=False, tol=1e-14, max_iter=1_000_000)
            np.testing.assert_allclose(code, lasso.fit(matrix.numpy(), row).coef_, rtol=0, atol=LASSO)


def test_newton_over_several_axes_and_none() -> None:
    """One step to the posterior mean: blocks along t, a matrix over (i, j), and a number."""
    text = SPREAD.replace("Laplace(0, scale = 0.1)", "Normal(0, var = 1)").replace(
        "FISTA(steps = 3000)", "Newton(steps = 1)"
    )
    text = text.replace("a, c :", "a, c, s :").replace(
        "  infer", "  input u\n  latent s ~ Normal(1, var = 2)\n  u ~ Normal(3 * s, var = 1)\n  infer"
    )
    module, x, z, u = built(text, "Spread"), rows(5, 4, 9), rows(5, 9, seed=1), rows(5, seed=2)
    found = module(x=x, z=z, u=u)
    d, c = module.state("D").detach(), module.state("C").detach().reshape(9, 6)
    for data, matrix, codes in ((x.reshape(20, 9), d, found["a"].reshape(20, 6)), (z, c, found["c"].reshape(5, 6))):
        precision = matrix.T @ matrix / 0.01 + torch.eye(6, dtype=torch.float64)
        mean = torch.linalg.solve(precision, (data @ matrix / 0.01).T).T
        torch.testing.assert_close(codes, mean, rtol=POSTERIOR, atol=POSTERIOR)
    torch.testing.assert_close(found["s"], (3 * u + 0.5) / 9.5, rtol=POSTERIOR, atol=POSTERIOR)


def test_sizes_that_only_the_data_tell() -> None:
    """Blocks along such an axis are fine; labels that are explained together need their number."""
    compile_spec(SPREAD.replace("t = 4", "t"), "latent.dlt")
    mixed = SPREAD.replace("i = 3, j = 2", "i, j = 2").replace(
        "param C[q, i, j] ~ Flat() init Normal(0, std = 1)", "input C[q, i, j]"
    )
    with pytest.raises(SpecError, match=r"E0516.*needs the sizes of `i, j`"):
        compile_spec(mixed, "latent.dlt")


BAYES = """dlt 1
model Bayes {
  axis f = 4, cls = 3
  input x[f]
  input y: cls
  param mu[cls, f] ~ Flat() init Normal(0, std = 2)
  param s[cls, f] in positive ~ Flat() init LogNormal(0, std = 0.3)
  param share[cls] in simplex[cls] ~ Flat() init Dirichlet(3)
  y ~ Categorical(p = share)
  x ~ Normal(mu[y, f], std = s[y, f])
  p[cls] = posterior(y)
  output p
  learn { share : EM(); mu : SGD(lr = 0.1); s : EG(lr = 0.1) }
}
"""


def test_posterior_of_an_input() -> None:
    """Naive Bayes is scikit-learn's at the same parameters; it does not look at y."""
    module, x = built(BAYES, "Bayes"), rows(9, 4)
    theirs = GaussianNB()
    theirs.classes_ = np.arange(3)
    theirs.class_prior_ = module.state("share").detach().numpy()
    theirs.theta_, theirs.var_ = module.state("mu").detach().numpy(), module.state("s").detach().numpy() ** 2
    expected = torch.from_numpy(theirs.predict_proba(x.numpy()))
    torch.testing.assert_close(module(x=x)["p"], expected, rtol=POSTERIOR, atol=POSTERIOR)


def test_posterior_of_an_input_beside_latents() -> None:
    """What is summed out is summed out for every label: p(y | x) of a mixture within each class, by hand."""
    text = (
        BAYES.replace("mu[cls, f]", "mu[cls, k, f]")
        .replace("cls = 3", "cls = 3, k = 2")
        .replace("mu[y, f]", "mu[y, z, f]")
    )
    text = text.replace(
        "  y ~ Cat", "  latent z: k ~ Categorical(logits = 0.3 * k)\n  infer { z : Enumerate() }\n  y ~ Cat"
    )
    module, x = built(text, "Bayes"), rows(9, 4)
    mu, s, share = (module.state(p).detach() for p in ("mu", "s", "share"))
    each = torch.distributions.Normal(mu, s[:, None]).log_prob(x[:, None, None]).sum(3)
    weights = torch.log_softmax(torch.tensor([0.0, 0.3], dtype=torch.float64), 0)
    joint = torch.logsumexp(each + weights, 2) + torch.log(share)
    torch.testing.assert_close(module(x=x)["p"], torch.softmax(joint, 1), rtol=POSTERIOR, atol=POSTERIOR)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  y ~ Categorical(p = share)\n", "", "needs a density on `y`"),
        ("mu[y, f], std", "p[0] * mu[y, f], std", "is read by the densities that it is made from"),
        ("posterior(y)", "posterior(x)", "of an input that is one label"),
    ],
)
def test_inputs_without_a_posterior(old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"E0518.*{message}"):
        compile_spec(BAYES.replace(old, new), "latent.dlt")


CODER = """dlt 1
circuit Coder(k: axis, around: real = 1e-9) {
  input v[i]
  param D[i, k] ~ Flat() init Normal(0, std = 1)
  param W[k, i] ~ Flat() init Normal(0, std = 0.3)
  latent a[k] ~ Laplace(0, scale = 0.1)
  latent z[k] ~ Normal(0, var = 1)
  m[k] = W * v
  r[i] = D[i, k] * a[k] + D[i, k] * z[k]
  v ~ Normal(r[i], var = 0.05)
  infer { a : FISTA(steps = 2000); z ~ Normal(m[k], std = around) }
  output o[k] = a
  output drawn[k] = z
}
model M {
  axis pix = 9, hid = 4, member = 2
  input x[pix]
  c[member, hid] = Coder[member](x, k = hid) as code
  g[member, hid] = code.drawn[member, hid]
  output g
  INFER
  learn { * : SGD(lr = 0.01) }
}
"""


def test_latents_of_a_circuit() -> None:
    """Each member of a family has its own, found as the circuit says: a Lasso code of what the guide's draw leaves."""
    module, x = built(CODER.replace("INFER", "infer { * : Adam(lr = 0.1, steps = 3) }"), "M"), rows(5, 9)
    found = module(x=x)
    D, W = module.state("code.D").detach(), module.state("code.W").detach()
    for k in range(2):
        z = x @ W[k].T
        torch.testing.assert_close(found["g"][:, k], z, rtol=0, atol=1e-7)  # the guide's deviation is 1e-9
        for row, code in zip((x - z @ D[k].T).numpy(), found["c"][:, k].numpy(), strict=True):
            lasso = Lasso(alpha=0.5 / 9, fit_intercept=False, tol=1e-14, max_iter=1_000_000)
            np.testing.assert_allclose(code, lasso.fit(D[k].numpy(), row).coef_, rtol=0, atol=LASSO)


def test_a_model_says_otherwise() -> None:
    """A line with the latent's path is stronger than the circuit's own."""
    module = built(CODER.replace("INFER", "infer { code.a : Adam(lr = 1e-9, steps = 1) }"), "M")
    assert module(x=rows(5, 9))["c"].abs().max() < 1e-6  # one tiny step from 0
