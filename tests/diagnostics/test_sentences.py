"""What the language says a spec may not do, sentence by sentence: each breach has its code, here with the shortest spec that
commits it.  (Sections as in the language's definition.)"""

from __future__ import annotations

import re

import pytest

from dltc.compiler.codes import CODES
from dltc.compiler.pipeline import Options, check

X = "axis i = 3, j = 4\ninput x[i]\n"
P = X + "param a[i] ~ Normal(0, var = 1)\nh = a * x\n"
L = "learn { a : SGD(lr = 0.1) }\n"
D = 'data from sklearn("digits") { x = data }\n'
R = "rule Mine(lr) on real { w <- w - lr * grad }\n"

SENTENCES: list[tuple[str, str, str, str]] = [
    # 1 lexical shape
    ("1", "the first line says the edition", "FILE:model M {\ninput x\n}", "E0101"),
    ("1", "there is one edition", "FILE:dlt 9\nmodel M {\ninput x\n}", "E0102"),
    ("1", "a file of the other kind is named", "FILE:DLT\x01 log", "E0103"),
    ("1", "names are ASCII", "input é", "E0104"),
    ("1", "braces close", "FILE:dlt 1\nmodel M {\ninput x", "E0107"),
    ("1", "a newline ends a statement", "input x input y", "E0110"),
    ("1", "an unknown keyword is an error", "inptu x", "E0111"),
    ("1", "block settings belong to their block", "batch 32", "E0112"),
    ("1", "an unknown operation is an error", "input x\nh = tahn(x)", "E0212"),
    ("1", "an unknown option is an error", P + L + D.replace("data }", "data }\ntrain { bach 3; epochs 1 }"), "E0701"),
    ("1", "an unknown column is an error", P + 'data from sklearn("digits") { x = dta }', "E0602"),
    # 2 axes
    ("2", "another order of a product is an error", "axis r = 2, c = 3, p = (r, c)\ninput x[p]\nh[r, c] = x[c, r]", "E0208"),
    ("2", "axes of one size do not match", "axis i = 3, k = 3\ninput x[i]\nh[k] = x[k]", "E0203"),
    ("2", "sizes are whole numbers", "axis i = 2.5\ninput x[i]", "E0207"),
    ("2", "a range has labels", "axis i = 3..1\ninput x[i]", "E0207"),
    ("2", "a summed index has no label", "axis i = 3\ninput x[i]\ninput u[i]\nh = x[i] * u[i] + i", "E0211"),
    ("2", "batch is reserved", "axis batch = 3\ninput x", "E0113"),
    ("2", "axes and tensors share one namespace", "axis x = 3\ninput x", "E0205"),
    ("2", "keywords are reserved", "input model", "E0113"),
    ("2", "sizes may not depend on themselves", "axis i = j, j = i\ninput x[i]", "E0206"),
    ("2", "parts of a product are different axes", "axis r = 2, p = (r, r)\ninput x[p]", "E0209"),
    # 3 declarations
    ("3", "a prior is compulsory", X + "param a[i]\nh = a * x", "E0301"),
    ("3", "no prior is said with an init", X + "param a[i] ~ Flat()\nh = a * x", "E0307"),
    ("3", "domains are a closed list", X + "param a[i] in plus ~ Flat() init 1\nh = a * x", "E0302"),
    ("3", "an initial value lies in the domain", X + "param a[i] in positive ~ Flat() init -1\nh = a * x", "E0309"),
    ("3", "a prior lives on the domain", X + "param a[i] ~ Beta(1, 1)\nh = a * x", "E0308"),
    ("3", "distributions are a closed list", X + "param a[i] ~ Nrmal(0, var = 1)\nh = a * x", "E0303"),
    ("3", "the second argument of a normal has its name", X + "param a[i] ~ Normal(0, 1)\nh = a * x", "E0304"),
    ("3", "a distribution needs its arguments", X + "param a[i] ~ Normal(0)\nh = a * x", "E0305"),
    ("3", "and has no others", X + "param a[i] ~ Normal(0, var = 1, s = 2)\nh = a * x", "E0306"),
    ("3", "a scale is positive", X + "param a[i] ~ Normal(0, var = -1)\nh = a * x", "E0310"),
    ("3", "an integer parameter is frozen", X + "param k[i]: j ~ Categorical(p = 1/j)\nh = x[i] * k[i]\ng = sum(h)", "E0311"),
    ("8", "a layout fits its axes", X + "param a[i] ~ Normal(0, var = 1) sparse density(2)\nh = a * x", "E0312"),
    ("8", "an absent weight is a prior at 0", X + "param a[i] in simplex[i] ~ Dirichlet(1) sparse density(0.5)\nh = a * x", "E0313"),
    ("3", "a prior's arguments read parameters", X + "param a[i] ~ Normal(x, var = 1)\nh = a * x", "E0215"),
    ("3", "hierarchies end somewhere", X + "param a ~ Normal(b, var = 1)\nparam b ~ Normal(a, var = 1)\nh = a * b * sum(x)", "E0206"),
    ("3", "a table has an entry per label", X + "let T[i] = [1, 2]\nh = T * x", "E0217"),
    ("3", "a state is updated", X + "state m = 0\nh = sum(x) - m", "E0320"),
    ("3", "once", X + "state m = 0\nm <- m\nm <- 2 * m\nh = sum(x) - m", "E0321"),
    ("3", "only states are updated", P + "a <- 2 * a", "E0322"),
    ("3", "with one value for all examples", X + "state m = 0\nm <- sum(x)\nh = sum(x) - m", "E0323"),
    ("3", "an output is a computed value", X + "h = sum(x)\noutput x", "E0215"),
    ("3", "an assertion of a metric compares it with a number", P + "y = sum(x)\nassert rmse(x, a) < y", "E0707"),
    # 4 equations
    ("4", "names are single-assignment", X + "h = sum(x)\nh = 2", "E0205"),
    ("4", "no silent sums", X + "h = x", "E0210"),
    ("4", "indices are positional", "axis i = 3, j = 4\ninput x[i, j]\nh[j, i] = x[j, i]", "E0203"),
    ("4", "and no more than declared", X + "h[i] = x[i, i]", "E0204"),
    ("4", "a left side lists an index once", X + "h[i, i] = x[i]", "E0209"),
    ("4", "an index position holds a whole number", X + "h[i] = x[0.5 * i]", "E0216"),
    ("4", "within the axis", X + "h = x[7]", "E0216"),
    ("4", "an unknown name is an error", X + "h = sum(y)", "E0201"),
    ("4", "an unknown axis is an error", X + "h[k] = sum(x)", "E0202"),
    ("4", "equations do not read each other in a circle", X + "h = g + sum(x)\ng = h", "E0206"),
    ("4.6", "a recurrence has a start", "axis t = 5\ninput x[t]\nh[t] = h[t-1] + x[t]", "E0221"),
    ("4.6", "one direction", "axis t = 5\ninput x[t]\nh[t] = h[t-1] + h[t+1] + x[t]   start 0", "E0222"),
    ("4.6", "a start belongs to a recurrence", "axis t = 5\ninput x[t]\nh[t] = x[t]   start 0", "E0223"),
    ("4.6", "one axis", "axis t = 5, u = 3\ninput x[t, u]\nh[t, u] = h[t-1, u-1] + x[t, u]   start 0", "E0224"),
    ("4.6", "a computed label is an earlier one", "axis t = 5\ninput x[t]\nh[t] = h[t // 2] + x[t]   start 0", "E0225"),
    ("4.7", "windows run along plain axes", "axis r = 2, c = 3, p = (r, c), d = -1..1\ninput x[p]\nh[p] = sum[d](x[p + d])", "E0226"),
    ("4.8", "operations have their arguments", X + "h[i] = relu(x, x)", "E0213"),
    ("4.8", "an operation runs over axes of its argument", X + "h = sum[j](x)", "E0214"),
    ("4.8", "a rank keeps a sensible number", X + "h[i] = dropout(x, 2)", "E0218"),
    ("4", "a density is on an input or a value", P + "a ~ Normal(0, var = 1)", "E0501"),
    ("4", "that fits it", X + "x ~ Categorical(logits = x)", "E0502"),
    ("4", "with the class axis", "axis k = 3\ninput y: k\ny ~ Categorical(logits = 1)", "E0503"),
    # 5 circuits
    ("5", "a circuit is called with its arguments", "CIRCUIT:h = Twice(x, n = 3)", "E0230"),
    ("5", "input axes match the argument's", "CIRCUIT:h = Twice(3)", "E0232"),
    ("5", "two calls of one name are one instance", "CIRCUIT:h[i] = Twice(x) + Twice(2 * x)", "E0231"),
    ("5", "extern only with leave", 'EXTERN:extern op g(x[d]) -> y[d] = python "m:f"\nh[i] = g(x)', "E0250"),
    ("5", "a hole is typed", 'EXTERN:extern op g(x[d]) -> y[e] = python "m:f"\nh[i] = x', "E0251"),
    ("5", "a family is over an axis", "CIRCUIT:h[i] = Twice[2](x)", "E0239"),
    # 6 infer
    ("6", "every latent is found", X + "latent z ~ Normal(0, var = 1)\nx ~ Normal(z, var = 1)", "E0511"),
    ("6", "a proximal search has a Laplace prior", X + "latent z[i] ~ Normal(0, var = 1)\nx ~ Normal(z, var = 1)\ninfer { z : ISTA(steps = 3) }", "E0515"),
    ("6", "Enumerate is for discrete latents", X + "latent z[i] ~ Normal(0, var = 1)\nx ~ Normal(z, var = 1)\ninfer { z : Enumerate() }", "E0514"),
    # 7 learn
    ("7", "every parameter has a rule", P + "h ~ Gibbs()\nlearn { }\n" + D + "train { epochs 1 }", "E0403"),
    ("7", "only one that is most specific", P + "learn { a : SGD(lr = 1); a : Lion(lr = 1) }", "E0404"),
    ("7", "a selector matches something", P + "learn { b : SGD(lr = 1) }", "E0405"),
    ("7", "rules are known", P + "learn { a : Adm(lr = 1) }", "E0402"),
    ("7", "with their arguments", P + "learn { a : SGD(rate = 1) }", "E0406"),
    ("7", "on their domain", X + "param a[i] in positive ~ LogNormal(0, std = 1)\nh = a * x\nlearn { a : SGD(lr = 1) }", "E0401"),
    ("7", "or through a coordinate that there is", P + "learn { a : SGD(lr = 1, via = log) }", "E0409"),
    ("7", "a rule moves its own things only", "RULE:rule Odd() on real { v <- w - grad }\n" + P + "learn { a : Odd() }", "E0407"),
    ("7", "rows and columns need a product", "RULE:rule Odd() on real[o, i] { w <- w - grad }\naxis i = 3\ninput x[i]\nparam a[i] ~ Normal(0, var = 1)\nh[i] = tanh(a + x)\nlearn { a : Odd() }", "E0410"),
    ("7", "a frozen parameter has none", X + "param a[i] ~ Normal(0, var = 1) frozen\nh = a * x\n" + L, "E0408"),
    # 9 data and training
    ("9", "sources are known", P + 'data from sklearn("digts") { x = data }', "E0601"),
    ("9", "a model that data are drawn from can draw them", "input x\nparam a ~ Normal(0, var = 1)\n" + "data from M(n = 9) { x = x }", "E0613"),
    ("9", "every input has a column", P + "input y\n" + 'data from sklearn("digits") { x = data }', "E0603"),
    ("9", "of its size", P + 'data from sklearn("digits") { x = data }', "E0604"),
    ("9", "labels lie on their axis", "axis k = 5\ninput y: k\nparam m[k] ~ Normal(0, var = 1)\ny ~ Categorical(logits = m)\n" + 'data from sklearn("digits") { y = target }', "E0605"),
    ("9", "parts are fractions", "axis p = 64\ninput x[p]\nh = sum(x)\n" + 'data from sklearn("digits") { x = data; test 2 }', "E0609"),
    ("9", "settings have values", P + "h ~ Gibbs()\n" + L + "train { batch 0; epochs 1 }", "E0702"),
    ("9", "once", P + "h ~ Gibbs()\n" + L + "train { epochs 1; epochs 2 }", "E0705"),
    ("9", "metrics are known", P + "h ~ Gibbs()\n" + L + "train { epochs 1; report accurcy(h, h) }", "E0703"),
    ("9", "keep best looks at valid data", "axis p = 64\ninput x[p]\nparam a[p] ~ Normal(0, var = 1)\nx ~ Normal(a, var = 1)\n" + L + D + "train { epochs 1; keep best; report nll every 10 }", "E0706"),
    ("9", "train over an axis that tells no examples apart", "axis p = 64, task = 2\ninput x[p]\nparam a[p] ~ Normal(0, var = 1)\nx ~ Normal(a, var = 1)\n" + L + D + "train over task { epochs 1 }", "E0708"),
    ("9", "replay is of earlier tasks", "axis p = 64\ninput x[p]\nparam a[p] ~ Normal(0, var = 1)\nx ~ Normal(a, var = 1)\n" + L + D + "train { epochs 1; replay 0.5 }", "E0705"),
    ("9", "the first train block has nothing to go back to", "axis p = 64\ninput x[p]\nparam a[p] ~ Normal(0, var = 1)\nx ~ Normal(a, var = 1)\n" + L + D + "train { from start; epochs 1 }", "E0705"),
    ("9", "there is something to learn from", P + L + "train { epochs 1 }", "E0504"),
    ("9", "an axis ends per example where an input has it", "axis t = 3\ninput x[t]\nh = sum(x)\n" + 'data from csv("d.csv") { x = a; t = n }', "E0611"),
]  # fmt: skip

BEYOND = {
    *("E0105", "E0106", "E0108", "E0114"),  # limits of the reader, and brackets
    *("E0219", "E0240", "E0241", "E0242", "E0607", "E0608"),  # options and files
    *("E0233", "E0234", "E0235", "E0236", "E0237", "E0238", "E0243"),  # circuits that contradict themselves
    *("E0411", "E0510", "E0512", "E0513", "E0516", "E0517", "E0518"),  # what follows from the mathematics
    *("E0606", "E0612", "E0704", "E0901"),
}
"""Codes of what no sentence says but must be refused all the same."""


def spec(body: str) -> str:
    """The body in a model, unless it says what it is: a whole file, a rule before the model, a circuit before it."""
    kind, _, rest = body.partition(":")
    match kind:
        case "FILE":
            return rest
        case "RULE":
            rule, _, inside = rest.partition("\n")
            return f"dlt 1\n{rule}\nmodel M {{\n{inside}\n}}\n"
        case "EXTERN":
            line, _, inside = rest.partition("\n")
            return f"dlt 1\n{line}\nmodel M {{\naxis i = 3\ninput x[i]\n{inside}\n}}\n"
        case "CIRCUIT":
            return f"dlt 1\ncircuit Twice() {{\ninput x[d]\noutput y[d] = 2 * x\n}}\nmodel M {{\naxis i = 3\ninput x[i]\n{rest}\n}}\n"
        case _:
            return f"dlt 1\nmodel M {{\n{body}\n}}\n"


@pytest.mark.parametrize(
    ("section", "says", "body", "code"), SENTENCES, ids=lambda v: v if re.match(r"E\d|\d", str(v)) else ""
)
def test_a_breach_has_its_code(section: str, says: str, body: str, code: str) -> None:
    """The code is among the errors, with a place; and nothing is said that is not about this breach."""
    found = list(check(spec(body), "m.dlt", Options(allow_extern=code != "E0250")).findings.errors)
    assert code in [d.code for d in found], (section, says, [(d.code, d.message) for d in found])
    assert len(found) <= 2 and all(d.span is not None for d in found)


def test_every_code_has_its_sentence() -> None:
    """Every code of an error is that of a sentence, or is listed as something that no sentence says."""
    told = {code for *_, code in SENTENCES}
    errors = {code for code in CODES if code.startswith("E")}
    assert errors - told == BEYOND
    assert len({says for _, says, *_ in SENTENCES}) >= len(SENTENCES) - 2  # one sentence a row
