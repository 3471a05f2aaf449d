"""Whole trees of nodes, without recursion: copies at another place, and how deep a tree is."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

from ..diagnostics import Span
from . import nodes

_Node = TypeVar("_Node")


def relocated(root: _Node, file: str, offset: int) -> _Node:
    """A copy of a node with all its spans in ``file`` and moved by ``offset``."""
    todo: list[tuple[Any, Any]] = []

    def copy(value: Any) -> Any:
        if isinstance(value, Span):
            return Span(file, value.start + offset, value.end + offset)
        if isinstance(value, tuple):
            return tuple([copy(item) for item in cast("tuple[Any, ...]", value)])
        if not is_dataclass(value):
            return value
        kind: Any = cast(Any, value).__class__
        fresh: Any = object.__new__(kind)
        todo.append((value, fresh))
        return fresh

    result = copy(root)
    while todo:
        old, fresh = todo.pop()
        for name in _names(old.__class__):
            object.__setattr__(fresh, name, copy(getattr(old, name)))
    return result


def deeper_than(root: object, limit: int) -> bool:
    """Whether some node has more than ``limit`` expressions above it.

    The left sides of operators do not count: a sum of thousands of terms is long, not deep.
    """
    todo: list[tuple[Any, int]] = [(root, 0)]
    while todo:
        node, depth = todo.pop()
        if depth > limit:
            return True
        chain = isinstance(node, nodes.Binary)
        deeper = depth + isinstance(node, nodes.Expr)
        for name in _names(node.__class__):
            value: Any = getattr(node, name)
            below = depth if chain and name == "left" else deeper
            for item in cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,):
                if is_dataclass(item) and not isinstance(item, Span):
                    todo.append((item, below))
    return False


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))
