"""Well-typed specs as text, with what is needed to run them: a hypothesis strategy.

`specs()` draws axes, inputs, parameters, equations, densities, a `learn` and a `train` block.  The text is all that the
tests hand to the compiler; the columns say what data the inputs take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hypothesis import strategies as st
from spec_parts import PRODUCT, SUM, Axis, Choices, Column, E, Scene, Tensor, add, base, call, mul, number, within
from spec_recipes import Open, condition, generic, integer, positive, real

NONE: Open = frozenset()

PLAIN_NAMES = ("hid", "row", "col", "cls")
ODD_NAMES = (
    *(
        "t",
        "n",
        "v",
        "n_",
        "t_",
        "draw",
        "torch",
        "F",
        "rt",
        "math",
        "lambda",
        "class",
        "forward",
        "seed",
        "step",
        "dtype",
    ),
    *(
        "x_",
        "v_",
        "total",
        "grad_w",
        "w_m",
        "self",
        "None",
        "W",
        "values",
        "recip",
        "grad",
        "lr",
        "N",
        "max",
        "int",
        "abs",
        "h_2",
    ),
)
"""Names that mean something in Python, in torch, in rules or in emitted code; in a spec they are names like any other."""

OWN_RULES = """
rule Probe() on real { state g = 0; g <- grad }
rule Clipped(lr, c = 1) on real {
  let s = min(1, c / (norm(grad) + 1e-3))
  w <- w - lr * s * grad
}
rule Averaged(lr) on real {
  state count[] = 0, m = 0
  count <- count + 1
  m <- m + (grad_sum / n - m) / count
  w <- w - lr * sqrt(n / N) * m
}
rule Twice(lr) on real {
  state prev = 0, a = 0, b = 0
  prev <- w
  a <- grad
  b <- grad
  w <- w - lr * (a + b) / 2
}
rule Anchored(lr) on real {
  state begin = w, norms[] = 0
  norms <- norm(grad)
  w <- w - lr * (grad + 0.1 * (w - begin))
}
rule Noisy(lr) on real {
  w <- w - lr * (grad_sum / n + prior.grad / N) + 0.01 * sqrt(lr) * (noise + uniform)
}
rule Centred(lr) on real {
  w <- w - lr * grad / (1 + prior.precision)
}
rule Shrunk(lr) on signed {
  w <- sign * max(0.01, sign * w - lr * sign * grad)
  keep sign * w > 0
}
rule Scaled(lr) on positive {
  state s = 1
  s <- 0.9 * s + 0.1 * abs(grad)
  w <- w * exp(-lr * grad / (s + 0.1) / (1 + 0.1 * t))
  keep w > 0
}
rule Tempered(lr, decay = 0.5) on simplex[k] {
  state a = 0
  a <- decay * a + grad
  w <- normalize[k](w * exp(-lr * a))
}
"""

RULE_CALLS: dict[str, tuple[str, ...]] = {
    "real": (
        "SGD(lr = 0.05)",
        "SGD(0.1 / (1 + 0.1 * t))",
        "Momentum(lr = 0.05)",
        "Momentum(lr = 0.02, mu = 0.5)",
        "Adam(lr = 2e-3)",
        "Adam()",
        "AdamW(lr = 1e-2, wd = 0.1)",
        "Lion(lr = 1e-3, wd = 0.01)",
        "Probe()",
        "Clipped(lr = 0.1)",
        "Averaged(lr = 0.1)",
        "Twice(lr = 0.1)",
        "Anchored(lr = 0.1)",
        "Adam(lr = 1e-2, when = t % 2 == 0)",
        "Noisy(lr = 0.05)",
        "Centred(lr = 0.05)",
    ),
    "positive": ("EG(lr = 0.005)", "EG(lr = 0.01 / t)", "Scaled(lr = 0.01)", "Adam(lr = 0.01, via = log)"),
    "unit": ("SGD(lr = 0.01)", "Adam()", "AdamW(lr = 1e-3)", "Momentum(lr = 0.01, via = logit)", "Lion(via = logit)"),
    "simplex": (
        "EG(lr = 0.01)",
        "Hedge(lr = 0.002)",
        "Hedge(0.001)",
        "Tempered(lr = 0.005)",
        "Adam(lr = 0.01, via = softmax)",
    ),
    "signed": ("EG(lr = 0.005)", "EG(lr = 0.01, when = t % 2 == 1)", "SGD(lr = 0.01, via = log)", "Shrunk(lr = 0.01)"),
    "unit_norm": ("SGD(lr = 0.01)", "Adam()", "Averaged(lr = 0.02)"),
    "orthogonal": ("SGD(lr = 0.01)", "Momentum(lr = 0.01)", "Lion(lr = 1e-3)"),
    "mixture": ("EM()", "EM()", "EG(lr = 0.5)", "Hedge(lr = 0.1)"),
}
"""What moves a parameter of a domain; a *mixture* is a simplex parameter that stands in one mixture only, where EM means
what it says."""


@dataclass(frozen=True)
class Spec:
    """A generated spec.  ``sizes`` are those of axes bound by the data."""

    text: str
    columns: dict[str, Column]
    batch: int
    examples: int
    seed: int
    sizes: dict[str, int]
    equations: int

    def __repr__(self) -> str:
        return f"{self.text}\n# batch {self.batch}, N {self.examples}, seed {self.seed}, {self.sizes}\n# {self.columns}"


@dataclass
class Draft:
    """The statements of a spec under construction."""

    scene: Scene
    declarations: list[str] = field(default_factory=list[str])
    equations: list[str] = field(default_factory=list[str])
    densities: list[str] = field(default_factory=list[str])
    domains: dict[str, str] = field(default_factory=dict[str, str])
    priors: dict[str, str] = field(default_factory=dict[str, str])
    scalars: list[str] = field(default_factory=list[str])
    mixtures: list[tuple[str, tuple[str, ...]]] = field(default_factory=list[tuple[str, tuple[str, ...]]])

    @property
    def choose(self) -> Choices:
        return self.scene.choose

    def name(self, plain: str) -> str:
        """A name: mostly a plain one."""
        return self.scene.fresh(self.choose.pick(ODD_NAMES) if self.choose.chance(12) else plain)

    def indices(self, least: int, most: int, *, data: bool = True, products: bool = True) -> tuple[str, ...]:
        """Indices for a left side, a product or a second (primed) one among them."""
        s, choose = self.scene, self.choose
        options = [
            a.name for a in s.axes.values() if (data or a.size is not None) and (products or a.parts == (a.name,))
        ]
        chosen = choose.some(options, least, most)
        taken = set(s.leaves(chosen))
        if chosen and choose.chance(20):
            chosen.append(choose.pick(chosen) + "'")
        result: list[str] = []
        leaves: set[str] = set()
        for index in chosen:  # a product and one of its parts would name a leaf twice
            here = set(s.leaves([index]))
            if not here & leaves:
                result.append(index)
                leaves |= here
        return tuple(result) if taken else ()


def declared(name: str, indices: tuple[str, ...]) -> str:
    """``W[hid, pix]``."""
    return f"{name}[{', '.join(indices)}]" if indices else name


# ---------------------------------------------------------------- declarations


def axes(d: Draft) -> None:
    """Two to four plain axes; sometimes a range, a product and one bound by the data."""
    s, choose = d.scene, d.choose
    for plain in PLAIN_NAMES[: choose.integer(2, 4)]:
        name = s.fresh(choose.pick(["t", "n", "N", "w"])) if choose.chance(12) else s.fresh(plain)
        size = choose.integer(1, 5)
        others = [a for a in s.axes.values() if a.size is not None and a.size < 4]
        text = f"{name} = {size}"
        if others and choose.chance(15):
            size, text = others[0].size + 1, f"{name} = {others[0].name} + 1"
        s.axes[name] = Axis(name, size, (name,), 0, text)
    if choose.chance(35):
        low, high = choose.pick([(-1, 1), (0, 2), (-2, 0), (1, 3)])
        s.axes["dr"] = Axis(s.fresh("dr"), high - low + 1, ("dr",), low, f"dr = {low}..{high}")
    if choose.chance(40):
        parts = tuple(choose.some([*s.axes][:2], 2, 2))
        size = (s.axes[parts[0]].size or 1) * (s.axes[parts[1]].size or 1)
        s.axes["pix"] = Axis(s.fresh("pix"), size, parts, 0, f"pix = ({', '.join(parts)})")
    if choose.chance(30):
        name = s.fresh(choose.pick(["tm", "t"]))
        s.axes[name] = Axis(name, None, (name,), 0, name)
    d.declarations.append("axis " + ", ".join(a.text for a in s.axes.values()))


def constants(d: Draft) -> None:
    """Named numbers and tables."""
    s, choose = d.scene, d.choose
    if choose.chance(40):
        name = s.fresh("sigma")
        value = choose.pick([0.3, 0.5, 1.5])
        s.lets[name] = value
        d.declarations.append(f"let {name} = {choose.pick([str(value), f'{value / 2} * 2'])}")
    if choose.chance(35):
        indices = tuple(a.name for a in choose.some(s.plain(data=False), 1, 2))
        name = s.fresh("T")

        def entries(rest: tuple[str, ...]) -> str:
            if not rest:
                return str(choose.integer(-20, 20) / 10)
            return "[" + ", ".join(entries(rest[1:]) for _ in range(s.most(rest[0]))) + "]"

        d.declarations.append(f"let {declared(name, indices)} = {entries(indices)}")
        s.tensors.append(Tensor(name, indices, low=-2.0, high=2.0))


def inputs(d: Draft) -> None:
    """One real input, one that a likelihood describes well, and up to two more of any kind."""
    s, choose = d.scene, d.choose
    kinds = ["real", choose.pick(["label", "bool", "count", "real"])]
    kinds += choose.some(["label", "bool", "count", "positive", "simplex", "real"], 0, 2)
    for k, kind in enumerate(kinds):
        indices = d.indices(0, 2)
        unsized = [a.name for a in s.plain() if a.size is None]
        if k == 0 and unsized:
            indices = (*unsized, *(i for i in indices if base(i) not in unsized))
        if kind == "simplex":
            indices = (*indices[:0], choose.pick(s.plain(data=False)).name)
        _input(d, kind, indices)


_PLAIN_INPUT = {"real": "x", "label": "y", "bool": "flag", "count": "cnt", "positive": "r", "simplex": "q"}


def _input(d: Draft, kind: str, indices: tuple[str, ...]) -> None:
    s, choose = d.scene, d.choose
    name, written, labels, label = d.name(_PLAIN_INPUT[kind]), "", 0, None
    name = s.fresh("x") if name == "self" else name  # inputs are passed by keyword
    tensor = Tensor(name, indices, batched=True, raw=True)
    match kind:
        case "label":
            axis = choose.pick([a for a in s.axes.values() if a.size is not None and a.low == 0])
            written, labels, label = f": {axis.name}", axis.size or 0, axis.name
            tensor = replace(tensor, dtype="int", label=label, raw=False, low=0, high=labels - 1)
        case "bool":
            written, tensor = ": bool", replace(tensor, dtype="bool", raw=False, low=0, high=1)
        case "count":
            written, tensor = ": int", replace(tensor, dtype="int", raw=False, low=0, high=5)
        case "positive":
            tensor = replace(tensor, low=0.2, high=5.0)
        case "simplex":
            tensor = replace(tensor, raw=s.axes[indices[-1]].size != 1, low=0.01, high=1.0)
        case _:
            written = choose.pick(["", ": real"])
    d.declarations.append(f"input {declared(name, indices)}{written}")
    s.columns[name] = Column(kind, indices, labels)
    s.tensors.append(tensor)


# ---------------------------------------------------------------- parameters


def params(d: Draft) -> None:
    """Parameters of every domain; later ones may read earlier ones in their priors."""
    choose = d.choose
    own: list[Tensor] = []
    for _ in range(choose.integer(3, 6)):
        domain = choose.pick(
            [
                *("real", "real", "positive", "real", "simplex", "mixture"),
                *("real", "unit", "signed", "unit_norm", "unit_norm", "orthogonal"),
            ]
        )
        _param(d, domain, own)
    if choose.chance(35):
        _whole_param(d)


def _whole_param(d: Draft) -> None:
    """A parameter of labels, truth values or counts, drawn once."""
    s, choose = d.scene, d.choose
    name, indices = d.name("L"), d.indices(0, 1, data=False)
    kind = choose.pick(["label", "bool", "count", "label"])
    if kind == "label":
        axis = choose.pick([a for a in s.axes.values() if a.size is not None and a.low == 0])
        held, prior = axis.name, choose.pick([f"p = 1 / {axis.name}", f"logits = 0.3 * label({axis.name})"])
        if set(s.leaves([axis.name])) & {base(i) for i in s.leaves(indices)}:
            prior = f"p = 1 / {axis.name}"
        tensor = Tensor(name, indices, dtype="int", label=axis.name, low=0, high=(axis.size or 1) - 1)
        prior = f"Categorical({prior})"
    elif kind == "bool":
        held, prior = "bool", f"Bernoulli({choose.pick(['p = 0.4', 'logits = 0.2'])})"
        tensor = Tensor(name, indices, dtype="bool", low=0, high=1)
    else:
        held, prior, tensor = "int", "Poisson(1.5)", Tensor(name, indices, dtype="int", low=0, high=12)
    d.declarations.append(f"param {declared(name, indices)}: {held} ~ {prior} frozen")
    s.tensors.append(tensor)


def _layout(d: Draft, indices: tuple[str, ...]) -> str:
    """Now and then a support, of any layout that these axes can have."""
    choose = d.choose
    if not choose.chance(12):
        return ""
    layouts = ["density(0.4)", f"where label({indices[0]}) % 2 == 0", f"fan_in(1, over = {indices[-1]})"]
    if len(indices) > 1:
        layouts += ["fan_in(1)", "block(1, density = 0.5)", f"where label({indices[0]}) <= label({indices[1]})"]
    return f" sparse {choose.pick(layouts)}"


def _param(d: Draft, domain: str, own: list[Tensor]) -> None:
    s, choose = d.scene, d.choose
    plain = {"real": "w", "positive": "g", "simplex": "q", "mixture": "m", "unit": "u", "signed": "sg"}.get(domain, "o")
    name, indices = d.name(plain), d.indices(0, 2, data=False)
    where = ""
    over: tuple[str, ...] = ()
    if domain in ("simplex", "mixture"):
        last = choose.pick([a.name for a in s.axes.values() if a.size is not None])
        indices = (*(i for i in indices if not set(s.leaves([i])) & set(s.leaves([last]))), last)
        over, where = (last,), f" in simplex[{last}]"
    elif domain in ("positive", "unit"):
        where = f" in {domain}"
    elif domain != "real":
        indices, over, where = _domain(d, domain, indices)
    prior, init = _prior(d, domain, indices, over, own)
    if prior.startswith("Normal") and choose.chance(15):
        prior += choose.pick(["^0.5", "^2"])
    frozen = " frozen" if choose.chance(8) else ""
    sparse = _layout(d, indices) if domain in ("real", "signed") and indices and "Multi" not in prior else ""
    order = choose.pick([f"{init}{sparse}{frozen}", f"{frozen}{sparse}{init}"])
    d.declarations.append(f"param {declared(name, indices)}{where} ~ {prior}{order}")
    if not frozen:
        d.domains[name] = domain
        d.priors[name] = prior.partition("(")[0]
    entries = s.axes[base(over[0])].size or 1 if over else 0
    low, high = LIMITS.get(domain, (0.4 / max(entries, 4), 1.0))
    one = entries == 1 and domain not in LIMITS  # a simplex of one label is 1
    tensor = Tensor(name, indices, raw=not one, low=0.0 if one else low, high=high)
    if domain == "mixture":
        d.mixtures.append((name, indices))
        return
    own.append(tensor)
    s.tensors.append(tensor)


LIMITS = {
    "real": (-4.0, 4.0),
    "positive": (0.15, 7.0),
    "unit": (0.0, 1.0),
    "signed": (-4.0, 4.0),
    "unit_norm": (-1.0, 1.0),
    "orthogonal": (-1.0, 1.0),
}
"""Where the values of a parameter lie, by domain."""


def _domain(d: Draft, domain: str, indices: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """The indices of a parameter, those of its domain, and how the domain is written."""
    s, choose = d.scene, d.choose
    plain = [a.name for a in s.plain(data=False)]
    match domain:
        case "orthogonal":
            pair = choose.some(plain, 2, 2) if len(plain) > 1 else [plain[0], plain[0] + "'"]
            pair = pair if len(pair) == 2 and not choose.chance(10) else [plain[0], plain[0] + "'"]
            return tuple(pair), tuple(pair), f" in orthogonal[{', '.join(pair)}]"
        case "unit_norm":
            last = choose.pick([a for a in plain if (s.axes[a].size or 1) > 1] or plain)
            indices = (*(i for i in indices if not set(s.leaves([i])) & {last}), last)
            return indices, (last,), f" in unit_norm[{last}]"
        case _:
            if indices and choose.chance(60):
                axis = choose.pick(indices)
                return indices, (axis,), f" in signed[{axis}]"
            return indices, (), " in signed"


def _prior(
    d: Draft, domain: str, indices: tuple[str, ...], over: tuple[str, ...], own: list[Tensor]
) -> tuple[str, str]:
    """A prior and, where it needs or gets one, an initial value."""
    choose = d.choose
    open_ = frozenset(d.scene.leaves(indices))

    def scale() -> str:
        return _argument(d, own, open_, positive=True)

    def mean() -> str:
        return _argument(d, own, open_, positive=False) if choose.chance(35) else "0"

    def normal() -> str:
        return f"Normal({mean()}, {choose.pick(['std', 'var', 'precision'])} = {scale()})"

    def laplace() -> str:
        return choose.pick([f"Laplace({mean()}, {scale()})", f"Laplace({mean()}, scale = {scale()})"])

    def student() -> str:
        return f"StudentT({mean()}, scale = {scale()}, df = {choose.pick(['4', '1', '90', scale()])})"

    def slab() -> str:
        return f"SpikeSlab({choose.pick(['0.5', 'p = 0.2'])}, std = {scale()})"

    def uniform() -> str:
        return choose.pick(["Uniform(-9, 9)", "Uniform(low = -4 - 5, high = 9)"])

    if domain not in ("real", "positive", "simplex", "mixture"):
        more = {
            "unit": [student, lambda: "Uniform(-1, 2)", lambda: f"Beta({scale()}, b = {scale()})"],
            "signed": [student, uniform],
        }.get(domain, [])
        prior = choose.pick([normal, normal, laplace, lambda: "Flat()", *more])()
        draws, starts = [normal, laplace, *more], {"unit": ["0.5"], "signed": ["0.4", "-0.3"]}.get(domain, [])
        starts = starts or ["Normal(0, var = 1)"]
    elif domain == "real":
        more = [student, slab, uniform]
        if indices and d.scene.leaves(indices[-1:]) == indices[-1:]:
            more += [lambda: f"MultivariateNormal({mean()}, {_matrix_argument(d, indices)})"] * 3
        prior = choose.pick([normal, normal, laplace, lambda: "Flat()", *more])()
        draws = [normal, laplace, *more]
        starts = ["0", "0.5", "-0.3", *(f"0.2 * label({i})" for i in sorted(open_)), *_identity(open_)]
    elif domain == "positive":
        log_normal = lambda: f"LogNormal({mean()}, {choose.pick(['', 'std = '])}{choose.pick(['0.3', scale()])})"  # noqa: E731
        more = [
            lambda: f"HalfNormal({choose.pick(['', 'std = '])}{scale()})",
            lambda: f"Gamma(shape = {choose.pick(['2', scale()])}, rate = {scale()})",
            lambda: f"Exponential({scale()})",
            student,
            lambda: "Uniform(-1, 9)",
        ]
        prior = choose.pick([log_normal, normal, normal, laplace, lambda: "Flat()", *more])()
        draws, starts = (
            [log_normal, normal, laplace, *more],
            ["1", "0.7", *(f"1 + 0.1 * label({i})" for i in sorted(open_))],
        )
    else:
        inside = frozenset(d.scene.leaves(over))
        dirichlet = lambda: f"Dirichlet({choose.pick(['2', '1.5', '0.7', _argument(d, own, inside, positive=True)])})"  # noqa: E731
        certain = lambda: f"Dirichlet({choose.pick(['2', '1.5'])})"  # noqa: E731  (EM wants no zeros favoured)
        prior = choose.pick([dirichlet if domain == "simplex" else certain, lambda: "Flat()"])()
        draws, starts = [dirichlet], [f"1 / {over[0]}", f"1/size({over[0]})"]
    if prior == "Flat()" or choose.chance(35):
        start = choose.pick(draws)() if choose.chance(50) else choose.pick(starts)
        return prior, f" init {start}"
    return prior, ""


def _matrix_argument(d: Draft, indices: tuple[str, ...]) -> str:
    """A matrix over the last index and its next free prime, positive definite, by any of the names."""
    first = indices[-1]
    second = first + "'"
    while second in d.scene.leaves(indices):
        second += "'"
    name = d.choose.pick(["cov", "precision", "scale_tril"])
    return f"{name} = {d.choose.pick(['1.3', '2'])} * (label({first}) == label({second})) + 0.2"


def _identity(open_: Open) -> list[str]:
    pairs = [(i, j) for i in sorted(open_) for j in sorted(open_) if j == i + "'"]
    return [f"label({i}) == label({j})" for i, j in pairs]


def _argument(d: Draft, own: list[Tensor], open_: Open, *, positive: bool) -> str:
    """An argument of a prior: a number, sizes (a bare axis name is its size there), constants, earlier parameters."""
    s, choose = d.scene, d.choose
    earlier = [t for t in own if (t.low >= 0.1) == positive]
    if earlier and choose.chance(35):
        return replace(s, tensors=own).read(choose.pick(earlier), open_).text
    if not positive:
        return choose.pick(
            ["0.3", "-0.2", *(f"0.1 * size({i})" for i in sorted(open_) if s.axes[base(i)].size is not None)]
        )
    sized = [a.name for a in s.axes.values() if a.size is not None]
    return choose.pick(["1", "0.5", "0.8", *s.lets, *(f"1/{a}" for a in sized), *(f"2 / (1 + {a})" for a in sized)])


# ---------------------------------------------------------------- equations


def equations(d: Draft, count: int) -> None:
    """So many equations, each reading what came before."""
    for name, indices in d.mixtures:
        _mixture(d, name, indices)
    makers: list[tuple[int, Callable[[Draft], None]]] = [
        (24, _value), (3, _condition), (3, _integer), (4, _simplex), (4, _positive), (4, _matrix), (2, _probe), (4, _recurrence),
    ]  # fmt: skip
    while len(d.equations) < count:
        d.choose.weighted(makers)(d)


def _equation(d: Draft, role: str, name: str, indices: tuple[str, ...], value: E, **about: Any) -> None:
    """Write the equation; later ones read its name."""
    d.equations.append(f"{role}{declared(name, indices)} = {value.text}")
    about = {"low": value.low, "high": value.high, "dtype": value.dtype, "batched": value.batched} | about
    d.scene.tensors.append(Tensor(name, indices, **about))
    if not indices:
        d.scalars.append(name)


def _left(d: Draft, least: int = 0) -> tuple[tuple[str, ...], Open]:
    indices = d.indices(least, d.choose.pick([1, 2, 2, 0]))
    return indices, frozenset(d.scene.leaves(indices))


def _value(d: Draft, role: str = "") -> None:
    indices, open_ = _left(d)
    _equation(d, role, d.name("h"), indices, within(real(d.scene, open_, d.choose.pick([2, 3, 1, 2])), 6.0))


def _recurrence(d: Draft) -> None:
    """A value that reads itself at an earlier, or a later, label."""
    s, choose = d.scene, d.choose
    axis = choose.pick(s.plain()).name
    indices = (axis, *(i for i in d.indices(0, 1) if axis not in s.leaves([i])))
    open_ = frozenset(s.leaves(indices))
    name, shift = d.name("g"), choose.pick(["- 1", "+ 1", "- 2"])
    inner = within(real(s, open_, 1), 2.0)
    start = within(real(s, open_ - {axis}, 0), 2.0) if choose.chance(40) else number(choose.pick([0, 0.5]))
    before = declared(name, (f"{axis} {shift}", *indices[1:]))
    value = f"tanh(0.6 * {before} + {inner.at(SUM)})"
    ends = shift == "+ 1" and s.axes[axis].size is None
    d.equations.append(f"{declared(name, indices)} = {value}   start {start.at(SUM)}")
    s.tensors.append(Tensor(name, indices, low=-2.0, high=2.0, batched=inner.batched or start.batched or ends))


def _probe(d: Draft) -> None:
    _value(d, d.choose.pick(["probe ", "output "]))


def _condition(d: Draft) -> None:
    indices, open_ = _left(d)
    _equation(d, "", d.name("b"), indices, condition(d.scene, open_, 1))


def _integer(d: Draft) -> None:
    indices, open_ = _left(d)
    _equation(d, "", d.name("k"), indices, integer(d.scene, open_, 1))


def _positive(d: Draft) -> None:
    indices, open_ = _left(d)
    _equation(d, "", d.name("p"), indices, positive(d.scene, open_, 2))


def _simplex(d: Draft) -> None:
    """A value whose last axis sums to 1; sometimes a Dirichlet describes it."""
    s, choose = d.scene, d.choose
    last = choose.pick(s.plain()).name
    indices = (*(i for i in d.indices(0, 1) if last not in s.leaves([i])), last)
    open_ = frozenset(s.leaves(indices))
    inner = within(generic(s, open_, 1, [last]), 3.0)
    value, name = call("softmax", inner, over=last, low=0.001, high=1.0), d.name("a")
    _equation(d, "", name, indices, value)
    if choose.chance(40):
        d.densities.append(f"{name} ~ Dirichlet({choose.pick(['1.5', positive(s, frozenset({last}), 0).text])})")


def _matrix(d: Draft) -> None:
    """A positive definite matrix and something of it, or the polar factor of any matrix."""
    s, choose = d.scene, d.choose
    rows = choose.pick(s.plain()).name
    if choose.chance(30):
        cols = choose.pick([a.name for a in s.plain() if a.name != rows] + [rows + "'"])
        both = frozenset({rows, cols})
        wave = E(f"sin(2.3 * {rows} * {cols} + 0.7 * {rows} + 1.1 * {cols})", both, low=-1.0, high=1.0)  # of full rank
        matrix = add(within(generic(s, both, 0, [rows, cols]), 1.5), wave)
        given = add(matrix, E(f"1.3 * ({rows} == {cols})", both, low=0.0, high=1.3, rank=PRODUCT))
        _equation(
            d, "", d.name("o"), (rows, cols), replace(call("polar", given, over=f"{rows}, {cols}"), low=-1.0, high=1.0)
        )
        return
    cols = rows + "'"
    both = frozenset({rows, cols})
    source = generic(s, frozenset({rows}), 0, [rows])
    name = d.name("v")
    _equation(d, "", name, (rows,), within(source, 2.0))
    diagonal = f"({rows} == {cols}) * (1.5 + 0.4 * {rows})"
    outer = E(
        f"0.3 * {name}[{rows}] * {name}[{cols}] + {diagonal}",
        both,
        low=-2.0,
        high=5.0,
        rank=SUM,
        batched=source.batched,
    )
    matrix = d.name("S")
    _equation(d, "", matrix, (rows, cols), outer)
    over, argument = f"{rows}, {cols}", E(matrix, both, batched=source.batched)
    match choose.pick(["logdet", "eigvals", "matpow"]):
        case "logdet":
            _equation(
                d, "", d.name("l"), (), replace(call("logdet", argument, over=over, low=0.0, high=8.0), axes=NONE)
            )
        case "eigvals":
            value = replace(call("eigvals", argument, over=over, low=1.0, high=8.0), axes=frozenset({rows}))
            _equation(d, "", d.name("e"), (rows,), value)
        case _:
            exponent = number(choose.pick([-0.5, 0.5, 2, -1]))
            _equation(
                d, "", d.name("z"), (rows, cols), call("matpow", argument, exponent, over=over, low=-9.0, high=9.0)
            )


def _mixture(d: Draft, name: str, indices: tuple[str, ...]) -> None:
    """-log sum[k](m[k] * likelihood[k]) as a loss: its gradient by m is negative everywhere."""
    s = d.scene
    outer, last = indices[:-1], indices[-1]
    every = frozenset(s.leaves(indices))
    logs = within(add(generic(s, every, 0, s.leaves([last])), real(s, every, 0)), 2.0)
    mixed, loss = s.fresh("mix"), s.fresh("loss")
    value = mul(E(name, every), call("exp", logs, low=0.13, high=7.4))
    d.equations.append(f"{declared(mixed, outer)} = sum[{last}]({value.text})")  # nothing else reads the two
    d.equations.append(f"{declared(loss, outer)} = -log({mixed})")
    d.densities.append(f"{loss} ~ Gibbs()")


# ---------------------------------------------------------------- densities


def densities(d: Draft) -> None:
    """A likelihood for one input at least, others and densities on values now and then."""
    s, choose = d.scene, d.choose
    names = [*s.columns]
    likelihoods = choose.some(names, 1, len(names))
    for name in likelihoods:
        d.densities.append(_likelihood(d, next(t for t in s.tensors if t.name == name), s.columns[name].kind))
    values = [t for t in s.tensors if t.name not in s.columns and t.name not in d.domains and t.dtype == "real"]
    written = {line.split("[")[0].split(" ")[0] for line in d.densities}
    values = [
        t
        for t in values
        if any(
            e.removeprefix("probe ").removeprefix("output ").startswith((f"{t.name} =", f"{t.name}["))
            for e in d.equations
        )
        and t.name not in written
    ]
    for tensor in choose.some(values, 0, 3):
        d.densities.append(_activity(d, tensor))


def _target(d: Draft, tensor: Tensor, written: str) -> str:
    """The left side of a density: a name, with its indices, or at the next labels."""
    s = d.scene
    vector = written.startswith(("MultivariateNormal", "Dirichlet"))  # of the index that would be shifted
    plain = bool(tensor.declared) and s.leaves(tensor.declared[:1]) == tensor.declared[:1]
    if plain and not vector and d.choose.chance(10):
        return declared(tensor.name, (f"{tensor.declared[0]} + 1", *tensor.declared[1:]))
    return declared(tensor.name, tensor.declared) if d.choose.chance(40) else tensor.name


def _power(d: Draft, open_: Open) -> str:
    """Sometimes a weight: a number, a mask, an expression."""
    choose = d.choose
    if not choose.chance(20):
        return ""
    bools = [t for t in d.scene.tensors if t.dtype == "bool" and set(d.scene.leaves(t.declared)) <= open_]
    if bools and choose.chance(50):
        return f"^{choose.pick(bools).name}"
    return choose.pick(["^0.5", "^2", f"^({positive(d.scene, open_, 0).text})"])


def _extra(d: Draft, value: E, open_: Open) -> E:
    """Sometimes one more index in an argument: the statement is repeated over it."""
    s, choose = d.scene, d.choose
    if not choose.chance(12):
        return value
    carriers = [(t, i) for i in s.outside(open_) for t in s.tensors if t.raw and i in s.leaves(t.declared)]
    if not carriers:
        return value
    tensor, index = choose.pick(carriers)
    return add(value, s.read(tensor, open_ | {index}, {index: index}))


def _likelihood(d: Draft, tensor: Tensor, kind: str) -> str:
    s, choose = d.scene, d.choose
    open_ = frozenset(s.leaves(tensor.declared))

    def spread() -> str:
        return positive(s, open_, choose.pick([0, 1])).text

    match kind:
        case "label":
            assert tensor.label is not None
            classes = s.leaves([tensor.label])
            every = open_ | set(classes)
            logits = within(generic(s, every, 1, list(classes)), 5.0)
            written = f"Categorical(logits = {_extra(d, logits, every).text})"
            if choose.chance(35):
                written = f"Categorical(p = softmax[{tensor.label}]({logits.text}))"
        case "bool":
            logits = within(real(s, open_, 2), 5.0)
            written = choose.pick(
                [
                    f"Bernoulli(logits = {_extra(d, logits, open_).text})",
                    f"Bernoulli(p = 0.1 + 0.8 * sigmoid({logits.text}))",
                ]
            )
        case "count":
            written = f"Poisson({positive(s, open_, 1).text})"
        case "positive":
            written = choose.pick(
                [
                    f"LogNormal({within(real(s, open_, 1), 3.0).text}, std = {spread()})",
                    f"HalfNormal(std = {spread()})",
                    f"Gamma({spread()}, rate = {spread()})",
                    f"Exponential(rate = {spread()})",
                ]
            )
        case "simplex":
            written = f"Dirichlet({positive(s, frozenset({tensor.declared[-1]}), 1).text})"
            if tensor.raw and choose.chance(40):  # every entry by itself
                written = f"Beta({spread()}, b = {spread()})"
        case _:
            plain = within(real(s, open_, 2), 5.0)
            mean = _extra(d, plain, open_).text
            written = choose.pick(
                [
                    f"Normal({mean}, {choose.pick(['std', 'var', 'precision'])} = {spread()})",
                    f"Laplace({mean}, scale = {spread()})",
                    f"StudentT({mean}, scale = {spread()}, df = {choose.pick(['3', '200', spread()])})",
                    f"SpikeSlab(p = 0.4, std = {spread()})",
                    f"Uniform(-4 - ({spread()}), high = 4 + {spread()})",
                ]
            )
            if tensor.declared and s.leaves(tensor.declared[-1:]) == tensor.declared[-1:] and choose.chance(30):
                written = f"MultivariateNormal({plain.text}, {_matrix_argument(d, tensor.declared)})"
    return f"{_target(d, tensor, written)} ~ {written}{_power(d, open_)}"


def _activity(d: Draft, tensor: Tensor) -> str:
    s, choose = d.scene, d.choose
    open_ = frozenset(s.leaves(tensor.declared))
    kinds = ["Gibbs", "Normal", "Laplace"] + ["LogNormal"] * (tensor.low > 0)
    match choose.pick(kinds):
        case "Gibbs":
            written = choose.pick(["Gibbs()", "Gibbs(beta = 0.3)", f"Gibbs(beta = {positive(s, open_, 0).text})"])
        case "Normal":
            written = f"Normal({choose.pick(['0', real(s, open_, 0).text])}, {choose.pick(['std', 'var', 'precision'])} = {positive(s, open_, 0).text})"
        case "Laplace":
            written = f"Laplace(m = {generic(s, open_, 0).text}, scale = 1.5)"
        case _:
            written = f"LogNormal(0.1, {positive(s, open_, 0).text})"
    return f"{_target(d, tensor, written)} ~ {written}{_power(d, open_)}"


# ---------------------------------------------------------------- learn and train


def learn(d: Draft) -> list[str]:
    """One rule per parameter; what most have in common is said with a star."""
    choose = d.choose
    calls: dict[str, str] = {}
    for name, domain in d.domains.items():
        legal = RULE_CALLS[domain]
        if d.priors[name] not in ("Normal", "Laplace"):  # a gradient of 0 but for rounding has no sign
            legal = tuple(c for c in legal if not c.startswith("Lion"))
        calls[name] = choose.pick(legal)
    lines: list[str] = []
    if not calls:
        return ["* : SGD(lr = 0.1)"] if choose.chance(50) else []
    if choose.chance(40):
        common = calls.pop(choose.pick([*calls]))
        calls = {name: rule for name, rule in calls.items() if rule != common}
        lines.append(f"* : {common}")
    groups: dict[str, list[str]] = {}
    for name, rule in calls.items():
        groups.setdefault(rule, []).append(name)
    lines += [f"{', '.join(names)} : {rule}" for rule, names in groups.items()]
    return lines if not choose.chance(30) else lines[::-1]


def train(d: Draft) -> str:
    """Settings and a report."""
    s, choose = d.scene, d.choose
    metrics = ["nll", *d.scalars[-2:]]
    for name, column in s.columns.items():
        tensor = next(t for t in s.tensors if t.name == name)
        open_ = set(s.leaves(tensor.declared))
        guesses = [t for t in s.tensors if t.batched and t.dtype == "real" and t.name not in s.columns]
        if column.kind == "label" and tensor.label is not None:
            classes = set(s.leaves([tensor.label]))
            metrics += [
                f"accuracy({name}, {t.name})"
                for t in guesses
                if classes <= set(s.leaves(t.declared)) and not classes & open_
            ][:1]
        elif column.kind == "bool":
            metrics += [
                f"{choose.pick(['accuracy', 'auc'])}({name}, {t.name})"
                for t in guesses
                if set(s.leaves(t.declared)) <= open_
            ][:1]
        elif column.kind in ("real", "positive", "simplex"):
            fit = [t for t in guesses if set(s.leaves(t.declared)) <= open_][:1]
            metrics += [f"{choose.pick(['rmse', 'mae', 'r2'])}({name}, {t.name})" for t in fit]
    return f"train {{ batch {choose.integer(1, 8)}; steps 3; report {', '.join(dict.fromkeys(metrics))} every 2 }}"


def lengths(d: Draft) -> list[str]:
    """A data block that gives the axes bound by the data an end per example."""
    unsized = [a.name for a in d.scene.plain() if a.size is None]
    uneven = any(
        f"polar[{a}" in line or f", {a}](" in line for line in d.equations if "polar[" in line for a in unsized
    )
    if not unsized or uneven or not d.choose.chance(60):  # (too short for its columns, such a matrix has no gradient)
        return []
    columns = [f"{name} = c{k}" for k, name in enumerate(d.scene.columns)]
    d.scene.columns |= {name: Column("length", (), d.scene.most(name)) for name in unsized}
    return [f'data from npz("d.npz") {{ {"; ".join(columns + [f"{name} = ends" for name in unsized])} }}']


def states(d: Draft) -> list[str]:
    """Sometimes states of the model: running statistics that a density reads, a copy of a parameter that follows it, two
    that read each other."""
    s, choose = d.scene, d.choose
    if not choose.chance(30):
        return []
    lines: list[str] = []
    sized = [t for t in s.tensors if t.dtype == "real" and all(s.axes[base(i)].size for i in s.leaves(t.declared))]
    for tensor in choose.some([t for t in sized if t.batched], 0, 2):
        name, value = d.name("st"), declared(tensor.name, tensor.declared)
        statistic = choose.pick([f"mean[batch]({value})", f"var[batch]({value})", f"max[batch]({value})"])
        lines += [
            f"state {declared(name, tensor.declared)} = {choose.pick(['0', '0.5', '1'])}",
            f"{choose.pick([name, declared(name, tensor.declared)])} <- 0.9*{name} + 0.1*{statistic}",
            f"{declared(d.name('dev'), tensor.declared)} = {value} - {name}",
        ]
        lines.append(f"{lines[-1].partition(' =')[0]} ~ Normal(0, std = 2)")
    for tensor in choose.some([t for t in sized if t.name in d.domains], 0, 1):
        name, other = d.name("copy"), d.name("old")
        left = declared(name, tensor.declared)
        lines += [
            f"state {left} = {tensor.name}, {declared(other, tensor.declared)} = 1",
            f"{name} <- 0.99*{name} + 0.01*{tensor.name}",
            f"{other} <- {choose.pick([name, f'{name} + 0.1*{other}', f'{tensor.name} * {name}'])}",
            f"{declared(d.name('gap'), tensor.declared)} = {tensor.name} - {name} * {other}",
        ]
        lines.append(f"{lines[-1].partition(' =')[0]} ~ Laplace(0, 1)")
    return lines


def measured(d: Draft) -> list[str]:
    """Sometimes probes of what there is, and assertions."""
    s, choose = d.scene, d.choose
    lines: list[str] = []
    probed = [t for t in s.tensors if t.name not in d.scalars and f"probe {t.name}" not in " ".join(d.equations)]
    if choose.chance(20) and probed:
        items = [
            choose.pick([t.name, f"mean({t.name})", f"abs({declared(t.name, t.declared)})"])
            for t in choose.some(probed, 1, 3)
        ]
        lines.append("probe " + ", ".join(items))
    if choose.chance(20):
        tensors = choose.some([t for t in s.tensors if t.dtype == "real"], 1, 2)
        lines += [
            choose.pick(
                [
                    f"assert -100 < {declared(t.name, t.declared)} <= 100",
                    f"assert sum({t.name}) < 1e9",
                    "assert nll < 1e9",
                ]
            )
            for t in tensors
        ]
    return list(dict.fromkeys(lines))


def spec_from(choose: Choices) -> Spec:
    """One spec from a source of choices."""
    d = Draft(Scene(choose))
    for part in (axes, constants, inputs, params):
        part(d)
    equations(d, choose.integer(5, 18))
    densities(d)
    body = [*d.declarations, *d.equations, *d.densities]
    if choose.chance(25):  # the order of statements is free
        body = [*d.densities, *d.equations[::-1], *d.declarations[::-1]]
    lines = learn(d)
    if lines and not choose.chance(6):
        body.append("learn {\n    " + "\n    ".join(lines) + "\n  }")
        if choose.chance(60):
            body.append(train(d))
    body += lengths(d)
    sizes = {a.name: choose.integer(1, 4) for a in d.scene.plain() if a.size is None}
    batch, examples, seed_ = choose.integer(1, 5), choose.integer(5, 40), choose.integer(0, 9)
    body += states(d) + measured(d)
    text = "dlt 1\n" + OWN_RULES + "\nmodel Generated {\n  " + "\n  ".join(body) + "\n}\n"
    return Spec(text, d.scene.columns, batch, examples, seed_, sizes, len(d.equations))


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Any spec."""
    return spec_from(Choices(lambda low, high: draw(st.integers(low, high))))


def corpus(chunk: int, count: int) -> list[Spec]:
    """So many different specs of the strategy, the same ones in every run."""
    found: dict[str, Spec] = {}
    keys = Random(f"specs {chunk}")  # not hypothesis: what it draws depends on the modules that are loaded
    while len(found) < count:
        spec = spec_from(Choices(Random(f"{chunk} {keys.getrandbits(64)}").randint))
        found.setdefault(spec.text, spec)
    return [*found.values()]
