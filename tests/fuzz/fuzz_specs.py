"""Random specs that follow the grammar and little else: every statement may stand with every other.

They reach what random text does not: scopes, axes, domains, rules, data.  Names come from the compiler's tables, so
that a new row is tried without a change here.
"""

from __future__ import annotations

import random

from dltc.compiler.frontend.declarations import DOMAINS
from dltc.compiler.frontend.distributions import DISTRIBUTIONS
from dltc.compiler.frontend.operations import CONSTANTS, OPERATION_NAMES
from dltc.compiler.frontend.statistics import SCALARS, STATISTICS, STATISTICS_NOT_YET

AXES = ["i", "j", "k", "p", "r", "t"]
TENSORS = ["x", "y", "z", "W", "V", "b", "g", "h", "s", "e", "T", "c"]
LETS = ["a", "n"]
RULES = ["SGD", "Adam", "EG", "Hedge", "EM", "Lion", "ADF", "Precision", "Own", "Nope"]
DISTS = [*DISTRIBUTIONS, "Nope"]
METRICS = ["accuracy", "rmse", "mae", "r2", "auc", "nll", "nope"]
ARGUMENTS = [
    "mean",
    "m",
    "std",
    "var",
    "scale",
    "a",
    "p",
    "logits",
    "rate",
    "beta",
    "lr",
    "b1",
    "when",
    "via",
    "grad",
    "k",
]
STATS = [*STATISTICS, *STATISTICS_NOT_YET, *SCALARS, "w", "q"]


class Spec:
    """One random spec."""

    def __init__(self, r: random.Random) -> None:
        self.r = r
        self.in_rule = False

    def text(self) -> str:
        body = [self.statement() for _ in range(self.r.choice((2, 5, 9, 14)))]
        if self.r.random() < 0.7:  # a good ground to stand on
            body = ["axis i = 3, j = 2, k = 4, p = (i, j), r = -1..1, t", "input x[i]", "input y: k", *body]
        blocks = "\n".join(f"  {line}" for line in body)
        return f"dlt 1\n{self.rule() if self.r.random() < 0.2 else ''}model M {{\n{blocks}\n}}\n"

    def pick(self, *choices: str) -> str:
        return self.r.choice(choices)

    def axis(self) -> str:
        return self.r.choice(AXES) + "'" * (self.r.random() < 0.1)

    def axes(self) -> str:
        count = self.r.choice((0, 1, 1, 2, 3))
        return f"[{', '.join(self.axis() for _ in range(count))}]" if count else ""

    def name(self) -> str:
        pool = STATS + LETS if self.in_rule and self.r.random() < 0.6 else TENSORS
        other = (AXES, LETS, list(CONSTANTS), ["last", "first", "batch", "nope", "training", "N", "t", "x.y", "data"])
        return self.r.choice(pool if self.r.random() < 0.8 else self.r.choice(other))

    # ------------------------------------------------------------ expressions

    def expression(self, depth: int = 3) -> str:
        r = self.r
        if depth == 0 or r.random() < 0.2:
            return r.choice((self.name(), self.name() + self.axes(), self.number()))
        e = [self.expression(depth - 1) for _ in range(3)]
        return r.choice(
            (
                f"{e[0]} {r.choice('+-*/^%')} {e[1]}",
                f"{e[0]} * {e[1]}",
                f"({e[0]})",
                f"-{e[0]}",
                f"{e[0]} {self.pick('<', '<=', '==', '!=', '>')} {e[1]}",
                f"{self.operation()}({', '.join(e[: r.choice((1, 1, 2, 3, 0))])})",
                f"{self.operation()}[{self.axis()}]({e[0]})",
                f"{self.operation()}{self.axes()}({e[0]}, {r.choice(ARGUMENTS)} = {e[1]})",
                f"{r.choice(TENSORS)}[{e[0]}]",
                f"{r.choice(TENSORS)}[{e[0]}, {self.axis()}]",
                f"{self.pick('size', 'label')}({self.axis()})",
                f"where({e[0]}, {e[1]}, {e[2]})",
                f"{e[0]} |> {self.operation()}",
                f"[{e[0]}, {e[1]}]",
                f"{e[0]} // {e[1]}",
                self.call(depth - 1),
            )
        )

    def operation(self) -> str:
        return self.r.choice(OPERATION_NAMES) if self.r.random() < 0.95 else self.pick("nope", "Dense", "x", "i", "a")

    def number(self) -> str:
        return self.pick("0", "1", "2", "0.5", "3", "1e308", "1e-300", "99999999999", "2^40", "-1", "0..2", '"text"')

    def call(self, depth: int = 1) -> str:
        """A distribution or a rule with arguments."""
        row = DISTRIBUTIONS.get(name := self.r.choice(DISTS))
        given = [self.expression(depth) for _ in row.positional] if row and self.r.random() < 0.9 else []
        named = (
            [*row.one_of[:1]] if row and self.r.random() < 0.9 else [self.r.choice(ARGUMENTS)] * self.r.randint(0, 2)
        )
        return f"{name}({', '.join([*given, *(f'{n} = {self.expression(depth)}' for n in named)])})"

    # ------------------------------------------------------------ statements

    def statement(self) -> str:
        make = self.r.choice(
            (self.axis_, self.let, self.input, self.param, self.param, self.param, self.equation, self.equation,
             self.equation, self.density, self.density, self.learn, self.data, self.train, self.odd)
        )  # fmt: skip
        return make()

    def axis_(self) -> str:
        value = self.pick(
            "", "= 3", "= 2", f"= {self.expression(1)}", f"= ({self.axis()}, {self.axis()})", "= -1..1", "= a", "= 0"
        )
        return f"axis {self.axis()} {value}"

    def let(self) -> str:
        table = self.pick("[1, 2, 3]", "[[1, 0], [0, 1]]", "[]", "[1, [2]]", self.expression(2))
        return self.pick(f"let {self.pick(*LETS)} = {self.expression(2)}", f"let T{self.axes()} = {table}")

    def input(self) -> str:
        return f"input {self.r.choice(TENSORS)}{self.axes()}{self.pick('', '', ': bool', ': int', ': real', ': ' + self.axis())}"

    def param(self) -> str:
        domain = self.r.choice([*DOMAINS, "unit", "signed", "orthogonal", "unit_norm", "nope"]) + self.axes()
        parts = [
            f"param {self.r.choice(TENSORS)}{self.axes()}",
            self.pick("", "", "", f"in {domain}", f": {self.axis()}"),
            self.pick(
                "", f"~ {self.call()}", f"~ {self.call()}", "~ Normal(0, var = 1)", "~ Flat()", f"~ {self.call()}^2"
            ),
            self.pick("", "init 0", "init 1", f"init {self.expression(2)}", f"init {self.call()}"),
            self.pick("", "", "", "frozen", "sparse fan_in(2)", "sparse where i < j"),
        ]
        return " ".join(filter(None, parts))

    def equation(self) -> str:
        role = self.pick("", "", "", "", "probe ", "output ")
        start = self.pick("", "", "", "", f" start {self.expression(1)}")
        return f"{role}{self.r.choice(TENSORS)}{self.axes()} = {self.expression()}{start}"

    def density(self) -> str:
        power = self.pick("", "", "", f"^{self.name()}", "^2")
        return f"{self.pick(*TENSORS)}{self.axes()} ~ {self.call()}{power}"

    def learn(self) -> str:
        def line() -> str:
            args = ", ".join(
                f"{self.r.choice(ARGUMENTS)} = {self.expression(1)}" for _ in range(self.r.choice((0, 1, 1, 2)))
            )
            return f"{self.pick('*', 'W', 'V, W', 'g', 'W*', self.name())} : {self.r.choice(RULES)}({args})"

        return f"learn {{ {'; '.join(line() for _ in range(self.r.randint(0, 3)))} }}"

    def data(self) -> str:
        source = self.pick(
            'sklearn("digits")',
            'sklearn("iris")',
            'npz("a.npz")',
            'csv("../a.csv")',
            "grid(i, j)",
            "npz(3)",
            "M(n = 9)",
            f"moons(n = {self.expression(1)})",
            "parity(bits = i, k = 1)",
            'text("a.txt", length = 3)',
        )
        part = self.pick("", "test 0.2", "valid 0.9; test 0.5", f"test {self.expression(1)}")
        return f"data from {source} {{ x = {self.column()}; y = {self.column()}; {part} }}"

    def column(self) -> str:
        return self.pick(
            "data",
            "target",
            "data / 16",
            "standardize(data)",
            "log1p(data)",
            "data[0..9]",
            "images",
            self.expression(2),
        )

    def train(self) -> str:
        settings = self.pick(
            "batch 32", "batch all", "epochs 3", "steps 5", "seed 1", "dtype float64", "seeds 8", "clip 1.0"
        )
        metric = self.pick(
            f"{self.pick(*METRICS)}({self.name()}, {self.name()})", "nll", self.expression(2), self.name()
        )
        odd = self.pick("", "", f"batch {self.expression(1)}", "stop after 5 without nll", "keep best", self.learn())
        return f"train {{ {settings}; report {metric} every {self.pick('5', self.number())}; {odd} }}"

    def odd(self) -> str:
        e = self.expression(2)
        return self.pick(
            f"latent z{self.axes()} ~ {self.call()}", f"state m{self.axes()} = {e}", f"m <- {e}", f"assert {e}", f"output {self.name()}",
            f"probe {self.name()}", f"h = Dense({e}, n = 3)", f"infer {{ z : {self.call()} }}", f"variance {e}", f"{self.name()}{self.axes()}",
        )  # fmt: skip

    def rule(self) -> str:
        self.in_rule = True
        domain = self.pick("real", "positive", "simplex[k]", "real[o, i]", "nope")
        lines = [
            self.pick(
                f"w <- {self.expression(2)}", f"state {self.pick('m', 'q', 'w')}{self.pick('', '[]', '[i]')} = {self.expression(1)}",
                f"q <- {self.expression(2)}", f"let c = {self.expression(1)}", f"keep {self.expression(1)}", f"variance {self.expression(1)}",
                f"e = {self.expression(2)}",
            )
            for _ in range(self.r.randint(1, 5))
        ]  # fmt: skip
        self.in_rule = False
        return (
            f"rule Own({self.pick('', 'lr', 'lr = 0.1, q = 2', 'w')}) on {domain} {{\n  " + "\n  ".join(lines) + "\n}\n"
        )


def random_spec(r: random.Random) -> str:
    """The text of one random spec."""
    return Spec(r).text()
