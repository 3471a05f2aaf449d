"""The text form of a graph: one line per node, the same bytes in every process.

%3 = contract(%1, %2) sum[pix] : real[batch, hid]   # digits.dlt:13
value h = %3
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

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
        place = _places(graph.pool.origins(node), sources)
        lines.append(f"{text}   # {place}" if place else text)
        if body is not None:
            lines += [f"    {line}" for line in _lines(body, sources)]
    return lines + [f"{name} = %{number[node]}" for name, node in graph.roots.items()]


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


def _places(spans: Iterable[Span], sources: Mapping[str, Source]) -> str:
    """``digits.dlt:13,17``: the lines that spans start on."""
    found: dict[str, set[int]] = {}
    for span in spans:
        source = sources.get(span.file)
        if source is not None:
            found.setdefault(source.name, set()).add(source.position(span.start)[0])
    return " ".join(f"{name}:{','.join(map(str, sorted(lines)))}" for name, lines in sorted(found.items()))
