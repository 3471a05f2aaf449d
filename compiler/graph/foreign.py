"""Functions in Python, as the interpreter calls them: arrays in float64, everything mapped over as one first axis.

Which Python a name stands for is not known here: whoever is allowed to run it says so with :func:`use`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .labeled import Array, Labeled, canonical
from .meanings import Context
from .node import Node, leaves_of

Resolve = Callable[[str], Callable[..., Any]]

_resolve: list[Resolve] = []


def use(resolve: Resolve) -> None:
    """From now on ``resolve(entry)`` gives the function of an entry."""
    _resolve[:] = [resolve]


def mapped(node: Node) -> tuple[str, ...]:
    """The axes that a call is mapped over, in the order in which the interpreter lays them out."""
    given = leaves_of(node.attr("out")) if node.op == "extern" else leaves_of(node.attr("own")[node.attr("wrt")])
    return canonical(node.axes - {*given})


_torch: Any = None
"""torch, once it is needed: the interpreter itself is NumPy alone."""


def _loaded() -> Any:
    global _torch
    _torch = _torch or importlib.import_module("torch")
    return _torch


def extern(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """The function's value."""
    torch, lead = _loaded(), mapped(node)
    with torch.no_grad():
        made = _function(node)(*_arguments(ctx, node, lead, xs), **dict(node.attr("static")))
    return _placed(ctx, lead, node.attr("out"), made.numpy())


def extern_vjp(ctx: Context, node: Node, xs: list[Labeled]) -> Labeled:
    """The gradient by one argument, by reverse differentiation."""
    torch = _loaded()
    *args, cotangent = xs
    lead, k = mapped(node), node.attr("wrt")
    given = _arguments(ctx, node, lead, args)
    given[k] = given[k].clone().requires_grad_()
    made = _function(node)(*given, **dict(node.attr("static")))
    weight = torch.from_numpy(_flat(ctx, lead, node.attr("out"), cotangent))
    (slope,) = torch.autograd.grad(made, given[k], weight.to(made.dtype), allow_unused=True, materialize_grads=True)
    return _placed(ctx, lead, node.attr("own")[k], slope.numpy())


def _function(node: Node) -> Callable[..., Any]:
    entry: tuple[str, str] = node.attr("entry")
    if not _resolve:
        raise ValueError(f"nobody has said which function `{entry[0]}` is")
    return _resolve[0](":".join(entry))


def _arguments(ctx: Context, node: Node, lead: tuple[str, ...], xs: list[Labeled]) -> list[Any]:
    own = node.attr("own")
    return [_loaded().from_numpy(_flat(ctx, lead, groups, x)) for groups, x in zip(own, xs, strict=True)]


def _flat(ctx: Context, lead: tuple[str, ...], groups: tuple[tuple[str, ...], ...], x: Labeled) -> Array:
    """[places, one axis per group]."""
    order = (*lead, *(leaf for group in groups for leaf in group))
    whole = x.expand(order, ctx.shape(order))
    places = int(np.prod(ctx.shape(lead), dtype=int))
    sizes = [int(np.prod(ctx.shape(group), dtype=int)) for group in groups]
    return np.array(whole).reshape(places, *sizes)


def _placed(ctx: Context, lead: tuple[str, ...], groups: tuple[tuple[str, ...], ...], data: Array) -> Labeled:
    order = (*lead, *(leaf for group in groups for leaf in group))
    return Labeled(order, data.reshape(ctx.shape(order)))
