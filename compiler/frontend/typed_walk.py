"""Walking, typing and printing typed expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod

from . import model as typed
from .model import NO_INDICES, Expr


def children(e: Expr) -> tuple[Expr, ...]:
    """The direct sub-expressions of a typed expression."""
    match e:
        case typed.Read():
            return tuple(p for p in e.at if isinstance(p, Expr))
        case typed.Window():
            return (e.at,)
        case typed.Earlier():
            return (e.at,) if e.at is not None else ()
        case typed.Product():
            return (*e.over, *e.under)
        case typed.Sum():
            return tuple(t for _, t in e.terms)
        case typed.Apply() | typed.Over() | typed.ExternCall():
            return e.args
        case _:
            return ()


def below(roots: list[Expr]) -> Iterator[Expr]:
    """Every expression at and below some."""
    stack = list(roots)
    while stack:
        x = stack.pop()
        yield x
        stack.extend(children(x))


def reads(roots: list[Expr]) -> list[typed.Read]:
    """All tensor reads at and below some expressions."""
    return [x for x in below(roots) if isinstance(x, typed.Read)]


def posteriors(e: Expr) -> list[typed.Posterior]:
    """All posteriors at and below an expression."""
    return [x for x in below([e]) if isinstance(x, typed.Posterior)]


def substituted(e: Expr, values: Mapping[str, Expr]) -> Expr:
    """The expression with every read of a scalar of these names replaced (recursion is bounded by the nesting limit)."""

    def all_of(parts: tuple[Expr, ...]) -> tuple[Expr, ...]:
        return tuple(substituted(part, values) for part in parts)

    match e:
        case typed.Read() if e.tensor.name in values and not e.at:
            return values[e.tensor.name]
        case typed.Product():
            return replace(e, over=all_of(e.over), under=all_of(e.under))
        case typed.Sum():
            return replace(e, terms=tuple((minus, substituted(term, values)) for minus, term in e.terms))
        case typed.Apply() | typed.Over():
            return replace(e, args=all_of(e.args))
        case _:
            return e


def constant(e: Expr) -> bool:
    """Is the expression arithmetic on numbers alone?"""
    stack: list[Expr] = [e]
    while stack:
        x = stack.pop()
        arithmetic = isinstance(x, (typed.Const, typed.Product, typed.Sum)) or (
            isinstance(x, typed.Apply) and x.op == "pow"
        )
        if not arithmetic or x.axes:
            return False
        stack.extend(children(x))
    return True


def whole_number(e: Expr, labels: Mapping[str, int] | None = None) -> int | None:
    """The value of an expression of whole constants, and of labels that are given, alone; else None."""
    match e:
        case typed.Const() if isinstance(e.value, int):
            return e.value
        case typed.Label():
            return (labels or {}).get(e.index)
        case typed.Sum():
            parts = [whole_number(t, labels) for _, t in e.terms]
            return None if None in parts else sum(-p if m else p for (m, _), p in zip(e.terms, parts, strict=True) if p)
        case typed.Product() if not e.under and not e.sums:
            factors = [whole_number(f, labels) for f in e.over]
            return None if None in factors else prod(f or 0 for f in factors) * (-1 if e.negative else 1)
        case typed.Apply() if e.op in ("floordiv", "mod"):
            a, b = (whole_number(arg, labels) for arg in e.args)
            return None if a is None or not b else a // b if e.op == "floordiv" else a % b
        case _:
            return None


def dependency_order(model: typed.Model) -> list[str]:
    """Names of values, each after those it reads; the members of a recurrence are one, called by the first's name.

    (Iterative: a chain may be thousands long.)
    """
    values = model.values
    whole = {name: r.names()[0] for r in model.recurrences for name in r.names()}
    needs: dict[str, list[str]] = {}
    for name, value in values.items():
        found = needs.setdefault(whole.get(name, name), [])
        found += [whole.get(n, n) for r in reads([value.expr]) if (n := r.tensor.name) in values]
    for recurrence in model.recurrences:
        if recurrence.names()[0] not in needs:  # its equations are compared one by one
            continue
        started = reads([start for r in recurrence.everywhere() for start in r.starts.values()])
        needs[recurrence.names()[0]] += [whole.get(n, n) for r in started if (n := r.tensor.name) in values]
    order: list[str] = []
    seen: set[str] = set()
    for root in needs:
        stack = [(root, False)]
        while stack:
            name, done = stack.pop()
            if done:
                order.append(name)
            elif name not in seen:
                seen.add(name)
                stack.append((name, True))
                stack.extend((n, False) for n in needs[name] if n not in seen)
    return order


_INFIX = {"pow": "^", "floordiv": "//", "mod": "%", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}


def written(e: Expr) -> str:
    """A typed expression as text, with every index and every sum explicit (``dltc show --stage model``)."""
    match e:
        case typed.Const():
            return f"{e.value:g}" if isinstance(e.value, float) else str(e.value)
        case typed.SizeOf():
            return f"size({e.axis})"
        case typed.Label():
            return f"label({e.index})"
        case typed.Window():
            return written(e.at)
        case typed.Earlier():
            return written(e.at) if e.at is not None else f"{e.index} {'-' if e.lag > 0 else '+'} {abs(e.lag)}"
        case typed.Scalar():
            return e.name
        case typed.Read():
            at = ", ".join(p if isinstance(p, str) else written(p) for p in e.at)
            return f"{e.tensor.name}[{at}]" if e.at else e.tensor.name
        case typed.Product():
            return _product(e)
        case typed.Sum():
            parts = [("- " if minus else "+ ") + written(t) for minus, t in e.terms]
            return "(" + " ".join(parts).removeprefix("+ ") + ")"
        case typed.Apply() if e.op in _INFIX:
            return f"({written(e.args[0])} {_INFIX[e.op]} {written(e.args[1])})"
        case typed.Apply():
            return f"{e.op}({', '.join(map(written, e.args))})"
        case typed.Over():
            return f"{e.op}[{', '.join(e.over)}]({', '.join(map(written, e.args))})"
        case typed.ExternCall():
            return f"{e.op}({', '.join([*map(written, e.args), *(f'{name} = {value}' for name, value in e.static)])})"
        case typed.Posterior():
            return f"posterior({e.latent})[{', '.join(e.indices)}]"
        case _:
            return type(e).__name__


def _product(e: typed.Product) -> str:
    text = " * ".join(map(written, e.over)) or "1"
    text = text + "".join(f" / {written(u)}" for u in e.under)
    text = ("-" if e.negative else "") + text
    return f"sum[{', '.join(sorted(e.sums))}]({text})" if e.sums else text


_RANK = {"bool": 0, "int": 1, "real": 2}


def promote(*dtypes: str) -> str:
    """bool -> int -> real; arithmetic on bools is arithmetic on 0 and 1."""
    return max((*dtypes, "int"), key=_RANK.__getitem__)


def union(parts: list[Expr]) -> frozenset[str]:
    """The indices that any of the expressions carries."""
    return NO_INDICES.union(*(p.axes for p in parts))
