"""The text form of a graph: one line per node, the same bytes in every process.

%3 = contract(%1, %2) sum[pix] : real[batch, hid]   # digits.dlt:13
value h = %3
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, cast

from ..diagnostics import Source, Span
from .node import Graph, Node


def show(graph: Graph, sources: Mapping[str, Source] | None = None) -> str:
    """The graph as text; with sources every node names the lines of the spec it comes from."""
    return "\n".join(_lines(graph, sources or {})) + "\n"


def _lines(graph: Graph, sources: Mapping[str, Source]) -> list[str]:
    order = graph.topological()
    number = {node: k for k, node in enumerate(order)}
    lines: list[str] = []
    for node in order:
        operands = ", ".join(f"%{number[x]}" for x in node.inputs)
        body, attrs = _split(node)
        kind = ", ".join(map(str, node.results))
        text = f"%{number[node]} = {node.op}({operands})" + "".join(f" {a}" for a in attrs) + f" : {kind}"
        place = places(graph.pool.origins(node), sources)
        lines.append(f"{text}   # {place}" if place else text)
        if body is not None:
            lines += [f"    {line}" for line in _lines(body, sources)]
    return lines + [f"{name} = %{number[node]}" for name, node in graph.roots.items()]


def data(graph: Graph, sources: Mapping[str, Source]) -> dict[str, Any]:
    """The graph as JSON-able data: ``nodes`` with op, axes, dtype, attributes and places; ``edges`` ``[from, to, position]``.

    Nodes are numbered as in :func:`show`; a node that owns a graph (a scan) has it as ``body``.
    """
    order = graph.topological()
    number = {node: k for k, node in enumerate(order)}
    nodes: list[dict[str, Any]] = []
    for k, node in enumerate(order):
        body = next((value for _, value in node.attrs if isinstance(value, Graph)), None)
        row: dict[str, Any] = {"id": k, "op": node.op, "axes": sorted(node.axes), "dtype": node.dtype}
        row["attrs"] = {key: _plain(value) for key, value in node.attrs if not isinstance(value, Graph)}
        row["places"] = places(graph.pool.origins(node), sources).split()
        nodes.append(row if body is None else {**row, "body": data(body, sources)})
    edges = [[number[source], number[node], p] for node in order for p, source in enumerate(node.inputs)]
    return {"nodes": nodes, "edges": edges, "roots": {name: number[node] for name, node in graph.roots.items()}}


def _plain(value: Hashable) -> Any:
    """An attribute as JSON: sets sorted, infinities and NaN as text."""
    if isinstance(value, frozenset):
        return sorted(map(str, cast("frozenset[Hashable]", value)))
    if isinstance(value, tuple):
        return [_plain(v) for v in cast("tuple[Hashable, ...]", value)]
    if isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)) or value is None:
        return value
    return str(value)


def _split(node: Node) -> tuple[Graph | None, list[str]]:
    """The body that a node owns, and its attributes as text."""
    body: Graph | None = None
    attrs: list[str] = []
    for key, value in node.attrs:
        if isinstance(value, Graph):
            body = value
        elif isinstance(value, frozenset):
            if value:
                attrs.append(f"{key}[{', '.join(sorted(map(str, value)))}]")  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        else:
            attrs.append(f"{key}={_value(value)}")
    return body, attrs


def _value(value: Hashable) -> str:
    if isinstance(value, tuple):
        items: tuple[Hashable, ...] = value  # pyright: ignore[reportUnknownVariableType]
        shown = [_value(v) for v in items[:8]] + ([f"... {len(items)} in all"] if len(items) > 8 else [])
        return "(" + ", ".join(shown) + ")"
    return value if isinstance(value, str) else repr(value)


def places(spans: Iterable[Span], sources: Mapping[str, Source]) -> str:
    """``digits.dlt:13,17``: the lines that spans start on."""
    found: dict[str, set[int]] = {}
    for span in spans:
        source = sources.get(span.file)
        if source is not None:
            found.setdefault(source.name, set()).add(source.position(span.start)[0])
    return " ".join(f"{name}:{','.join(map(str, sorted(lines)))}" for name, lines in sorted(found.items()))
