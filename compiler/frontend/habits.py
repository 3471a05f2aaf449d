"""What people write who come from other languages: a name that does not exist here, and what is written instead.

Each table is one kind of name, looked up in lower case where nothing close to it is known.
"""

from __future__ import annotations

from collections.abc import Mapping

_PRODUCT = "a product sums the axes that its result does not list: h[o] = W[o, i] * x[i]"
_CONSTANT = "write the number: it fills every entry"
_LIKELIHOOD = "the loss follows from a density: y ~ Categorical(logits = s)"
_ORDER = "write the axes in the order that is meant: x[j, i]"
_SHAPES = "shapes are axes: declare a product axis, axis pix = (row, col), and index by it"
_JOINED = "declare an axis for the parts, and choose by its label: where(label(part) == 0, a, b)"
_NOISE = "a random value is a parameter with a prior: param W[i] ~ Normal(0, var = 1)"

OPERATIONS: Mapping[str, str] = {
    **dict.fromkeys(("matmul", "dot", "mm", "bmm", "mv", "einsum", "tensordot", "linear", "dense", "outer"), _PRODUCT),
    **dict.fromkeys(("zeros", "ones", "full", "zeros_like", "ones_like", "constant"), _CONSTANT),
    **dict.fromkeys(("cross_entropy", "crossentropyloss", "nll_loss", "softmax_cross_entropy"), _LIKELIHOOD),
    **dict.fromkeys(("transpose", "permute", "swapaxes", "moveaxis"), _ORDER),
    **dict.fromkeys(("reshape", "view", "flatten", "squeeze", "unsqueeze", "expand_dims"), _SHAPES),
    **dict.fromkeys(("concat", "cat", "concatenate", "stack", "hstack", "vstack"), _JOINED),
    **dict.fromkeys(("rand", "randn", "random", "normal", "xavier", "kaiming"), _NOISE),
    **dict.fromkeys(
        ("mse_loss", "mseloss", "squared_error", "mse"), "the loss follows from a density: y ~ Normal(m, std = 1)"
    ),
    **dict.fromkeys(("silu", "swish"), "write u * sigmoid(u)"),
    **dict.fromkeys(("average", "avg"), "did you mean `mean`?"),
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv"), "a window is written h[row] = K[dr] * x[row + dr], with a range axis dr = -1..1"
    ),
    **dict.fromkeys(("arange", "range", "iota"), "the labels of an axis are written label(i)"),
    **dict.fromkeys(("len", "shape", "dim", "numel"), "the size of an axis is written size(i)"),
    **dict.fromkeys(("pow", "power"), "a power is written u ^ 2"),
    **dict.fromkeys(("square", "sqr"), "write u ^ 2"),
    "leaky_relu": "write where(u > 0, u, 0.01 * u)",
    "elu": "write where(u > 0, u, exp(u) - 1)",
    "if": "write where(condition, a, b)",
    "maximum": "did you mean `max`?",
    "minimum": "did you mean `min`?",
    "one_hot": "write label(c) == y",
    "onehot": "write label(c) == y",
    "ln": "did you mean `log`?",
    "std": "write sqrt(var[i](u))",
    "detach": "did you mean `stop`?",
    "stop_gradient": "did you mean `stop`?",
    "topk": "write kmax[i](u, k = 8)",
    "batchnorm": "write normalize[i](u), or (u - mean[batch](u)) / sqrt(var[batch](u) + 1e-5)",
    "layernorm": "write (u - mean[i](u)) / sqrt(var[i](u) + 1e-5)",
}
"""Operations of numpy, torch, JAX and Keras."""

DISTRIBUTIONS: Mapping[str, str] = {
    **dict.fromkeys(("gaussian", "n", "norm", "gauss"), "did you mean `Normal`?"),
    **dict.fromkeys(("mvnormal", "multinormal", "mvn"), "did you mean `MultivariateNormal`?"),
    **dict.fromkeys(("softmax", "multinomial", "onehotcategorical", "cat"), "write Categorical(logits = s)"),
    **dict.fromkeys(
        ("xavier", "glorot", "kaiming", "he", "lecun"), "write its variance: Normal(0, var = 2/i), i an axis"
    ),
    **dict.fromkeys(
        ("constant", "zeros", "ones", "delta", "dirac"), "a fixed start is written ~ Normal(0, var = 1) init 0"
    ),
    **dict.fromkeys(("student", "t", "student_t", "cauchy"), "write StudentT(0, scale = 1, df = 1)"),
    **dict.fromkeys(("sigmoid", "logistic", "binomial", "binarycrossentropy"), "write Bernoulli(logits = s)"),
    "halfcauchy": "write HalfNormal(std = 1), or a positive parameter with another prior",
    "improper": "did you mean `Flat`?",
}
"""Distributions of Stan, Pyro, NumPyro and torch."""

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("sigma", "sd", "stddev", "stdev"), ("std", "scale")),
    **dict.fromkeys(("loc", "mu"), ("mean", "m")),
    **dict.fromkeys(("variance", "sigma2", "covariance"), ("var", "cov")),
    **dict.fromkeys(("tau", "prec"), ("precision",)),
    **dict.fromkeys(("probs", "prob", "probability"), ("p",)),
    **dict.fromkeys(("alpha", "concentration", "concentration1"), ("a", "shape")),
    **dict.fromkeys(("nu", "dof"), ("df",)),
    **dict.fromkeys(("lambda", "lam", "intensity"), ("rate",)),
    "scale": ("std",),
    **dict.fromkeys(("learning_rate", "step_size", "rate", "eta"), ("lr",)),
    **dict.fromkeys(("weight_decay", "decay"), ("wd",)),
    **dict.fromkeys(("epsilon",), ("eps",)),
    **dict.fromkeys(("beta1", "beta_1", "betas"), ("b1",)),
    **dict.fromkeys(("beta2", "beta_2"), ("b2",)),
}
"""Arguments of distributions and rules elsewhere, and their names here: the first that is one."""

METRICS: Mapping[str, str] = {
    **dict.fromkeys(("loss", "objective", "cross_entropy", "ce", "perplexity"), "did you mean `nll`?"),
    **dict.fromkeys(("mse", "l2"), "write rmse(y, m)"),
    **dict.fromkeys(("acc", "error", "top1"), "write accuracy(y, s)"),
    "l1": "write mae(y, m)",
}
"""Metrics of other trainers."""

NAMES: Mapping[str, str] = {
    "true": "write 1",
    "false": "write 0",
    "none": "there is no empty value",
    "nan": "there is no such number",
    "zeros": "write 0",
    "ones": "write 1",
    "t": "a time is the label of an axis: axis t",
}
"""Names that other languages know."""

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("float", "float32", "float64", "double", "number", "tensor"), "leave it out: an input is real"),
    **dict.fromkeys(("integer", "long", "int64", "int32", "count"), "write `: int`"),
    **dict.fromkeys(("boolean", "binary"), "write `: bool`"),
    **dict.fromkeys(("label", "class", "category", "categorical"), "write the axis of its classes: `: cls`"),
}
"""Kinds of inputs."""


def argument(name: str, known: list[str]) -> str | None:
    """The fix for an argument that has another name elsewhere."""
    here = next((other for other in ARGUMENTS.get(name.lower(), ()) if other in known), None)
    return f"did you mean `{here}`?" if here is not None else None
