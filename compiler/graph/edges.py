"""Edge cases that the language fixes: data from which the tests of every target are generated.

Arguments are numbers, or tuples of numbers over the index ``i``; gradients are of the sum of the value.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from math import inf, nan

Number = bool | int | float
EdgeValue = Number | tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """One case: ``op(*args)`` is ``value`` (NaN equals NaN) and its sum has these derivatives per argument.

    A derivative of None is not checked (a bool or int argument, or one that the language leaves open); ``grads`` None
    means that none is.
    """

    args: tuple[EdgeValue, ...]
    value: EdgeValue
    grads: tuple[EdgeValue | None, ...] | None = None
    attrs: tuple[tuple[str, Hashable], ...] = ()


_I: tuple[tuple[str, Hashable], ...] = (("axes", frozenset({"i"})),)
_AXIS: tuple[tuple[str, Hashable], ...] = (("axis", "i"),)

EDGES: dict[str, tuple[Edge, ...]] = {
    "contract": (Edge((True, True), 1, None, (("sum", frozenset[str]()),)),),  # bools are 0/1
    "add": (Edge((True, True), 2),),
    "recip": (Edge((0.0,), inf),),
    "pow": (
        Edge((0.0, 0.0), 1.0, (0.0, 0.0)),
        Edge((0.0, 2.0), 0.0, (0.0, 0.0)),
        Edge((-2.0, 3.0), -8.0, (12.0, None)),
        Edge((-1.0, 0.5), nan),
    ),
    "exp": (Edge((-inf,), 0.0, (0.0,)),),
    "log": (Edge((-1.0,), nan), Edge((0.0,), -inf)),
    "log1p": (Edge((-1.0,), -inf), Edge((-2.0,), nan)),
    "sqrt": (Edge((-1.0,), nan), Edge((0.0,), 0.0)),
    "abs": (Edge((0.0,), 0.0, (0.0,)), Edge((-2.0,), 2.0, (-1.0,))),
    "sign": (Edge((0.0,), 0.0, (0.0,)), Edge((-3.0,), -1.0, (0.0,))),
    "relu": (Edge((0.0,), 0.0, (0.0,)), Edge((-1.0,), 0.0, (0.0,)), Edge((2.0,), 2.0, (1.0,))),
    "gelu": (Edge((0.0,), 0.0, (0.5,)), Edge((-40.0,), 0.0, (0.0,))),
    "sigmoid": (Edge((-1000.0,), 0.0, (0.0,)), Edge((1000.0,), 1.0, (0.0,))),
    "softplus": (Edge((-1000.0,), 0.0, (0.0,)), Edge((1000.0,), 1000.0, (1.0,))),
    "tanh": (Edge((1000.0,), 1.0, (0.0,)),),
    "lgamma": (Edge((0.0,), inf),),
    "minimum": (  # a tie goes to the first argument of the call
        Edge((2.0, 2.0), 2.0, (1.0, 0.0)),
        Edge((1.0, 2.0), 1.0, (1.0, 0.0)),
        Edge((3.0, 2.0), 2.0, (0.0, 1.0)),
        Edge((nan, 1.0), nan),
    ),
    "maximum": (
        Edge((2.0, 2.0), 2.0, (1.0, 0.0)),
        Edge((1.0, 2.0), 2.0, (0.0, 1.0)),
        Edge((3.0, 2.0), 3.0, (1.0, 0.0)),
        Edge((nan, 1.0), nan),
    ),
    "floordiv": (Edge((-7.0, 2.0), -4.0), Edge((-7, 2), -4)),
    "mod": (Edge((-7.0, 3.0), 2.0, (1.0, 3.0)), Edge((7, -3), -2), Edge((-7, 3), 2)),
    "eq": (Edge((nan, nan), False),),
    "ne": (Edge((nan, nan), True),),
    "lt": (Edge((nan, 1.0), False), Edge((1.0, 1.0), False)),
    "le": (Edge((nan, 1.0), False), Edge((1.0, 1.0), True)),
    "where": (
        Edge((True, 1.0, nan), 1.0, (None, 1.0, 0.0)),
        Edge((False, inf, 2.0), 2.0, (None, 0.0, 1.0)),
    ),
    "xlogy": (
        Edge((0.0, 0.0), 0.0, (0.0, 0.0)),
        Edge((0.0, -1.0), 0.0, (0.0, 0.0)),
        Edge((1.0, 0.0), -inf),
        Edge((1.0, -1.0), nan),
    ),
    "max": (
        Edge(((1.0, 3.0, 3.0),), 3.0, ((0.0, 1.0, 0.0),), _I),
        Edge(((-inf, -inf),), -inf, ((1.0, 0.0),), _I),
    ),
    "min": (Edge(((2.0, 1.0, 1.0),), 1.0, ((0.0, 1.0, 0.0),), _I),),
    "prod": (
        Edge(((0.0, 2.0, 3.0),), 0.0, ((6.0, 0.0, 0.0),), _I),
        Edge(((0.0, 2.0, 0.0),), 0.0, ((0.0, 0.0, 0.0),), _I),
    ),
    "logsumexp": (
        Edge(((-inf, -inf),), -inf, ((0.0, 0.0),), _I),
        Edge(((-inf, 1.0),), 1.0, ((0.0, 1.0),), _I),
        Edge(((1000.0, -1000.0),), 1000.0, ((1.0, 0.0),), _I),
    ),
    "softmax": (
        Edge(((-inf, -inf),), (0.0, 0.0), ((0.0, 0.0),), _I),
        Edge(((-inf, 1.0),), (0.0, 1.0), ((0.0, 0.0),), _I),
        Edge(((1000.0, -1000.0),), (1.0, 0.0), ((0.0, 0.0),), _I),
    ),
    "log_softmax": (
        Edge(((-inf, -inf),), (-inf, -inf), None, _I),
        Edge(((1000.0, -1000.0),), (0.0, -2000.0), ((-1.0, 1.0),), _I),
    ),
    "argmax": (Edge(((1.0, 3.0, 3.0),), 1, None, _AXIS),),
    "rank": (Edge(((3.0, 1.0, 3.0),), (0, 2, 1), None, (("axes", ("i",)),)),),
    "stop": (Edge((2.0,), 2.0, (0.0,)),),
}
