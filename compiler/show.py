"""Every stage as text: what `dltc show` prints.  Deterministic, readable, small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .frontend.model import Dist, Latent, Model
from .frontend.typed_walk import written
from .graph.printer import show as show_graph

if TYPE_CHECKING:
    from .pipeline import Artefact
    from .plan.tree import Line


def stage(artefact: Artefact, name: str) -> str:
    """A stage's text.

    Raises:
        ValueError: there is no such stage.
    """
    makers = {
        "syntax": lambda: _syntax(artefact),
        "model": lambda: _model(artefact.model),
        "graph": lambda: show_graph(artefact.circuit, artefact.sources),
        "step": lambda: show_graph(artefact.step, artefact.sources),
        "optimized": lambda: "\n".join(show_graph(g, artefact.sources) for g in artefact.optimized),
        "plan": lambda: _plan(artefact),
        "code": lambda: artefact.source,
    }
    if name not in makers:
        raise ValueError(f"no stage is called {name!r}: choose one of {', '.join(makers)}")
    return makers[name]()


def _syntax(artefact: Artefact) -> str:
    """One line per syntax node, nested by indentation, spans left out."""
    from dataclasses import fields, is_dataclass

    lines: list[str] = []
    todo: list[tuple[str, Any, int]] = [("", artefact.checked.file, 0)]
    while todo:  # not recursive: a sum of thousands of terms is a tree of that depth
        label, node, depth = todo.pop()
        pad = "  " * depth
        if is_dataclass(node) and not isinstance(node, type):
            scalars = [(f.name, getattr(node, f.name)) for f in fields(node) if not f.name.endswith("span")]
            flat = " ".join(
                f"{k}={v!r}" for k, v in scalars if v is not None and not _nested(v) and v != "" and v != ()
            )
            lines.append(f"{pad}{label}{type(node).__name__} {flat}".rstrip())
            todo += reversed([(f"{key}: ", value, depth + 1) for key, value in scalars if _nested(value)])
        elif isinstance(node, tuple):
            todo += reversed([(label, item, depth) for item in cast("tuple[Any, ...]", node)])
        else:
            lines.append(f"{pad}{label}{node!r}")
    return "\n".join(lines) + "\n"


def _nested(value: object) -> bool:
    from dataclasses import is_dataclass

    if isinstance(value, tuple):
        return any(_nested(v) for v in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return is_dataclass(value)


def _dist(dist: Dist) -> str:
    return f"{dist.name}({', '.join(f'{k} = {written(v)}' for k, v in dist.args.items())})"


def _model(model: Model) -> str:
    """The typed model with every index and every sum explicit."""
    lines = [f"model {model.name}"]
    for axis in model.axes.values():
        size = axis.size if axis.size is not None else "from data"
        parts = f" = ({', '.join(axis.leaves)})" if axis.leaves != (axis.name,) else ""
        lines.append(f"  axis {axis.name}{parts}: {size}")
    lines += [f"  input {i.tensor.written()}: {i.kind}" for i in model.inputs.values()]
    for param in model.params.values():
        init = (
            f" init {written(param.init) if not isinstance(param.init, Dist) else _dist(param.init)}"
            if param.init
            else ""
        )
        frozen = f" {param.support.written}" if param.support is not None else ""
        frozen += " frozen" if param.frozen else ""
        power = f"^{written(param.power)}" if param.power is not None else ""
        lines.append(
            f"  param {param.tensor.written()} in {param.domain_text} ~ {_dist(param.prior)}{power}{init}{frozen}"
        )
    for state in model.buffers.values():
        lines.append(f"  state {state.tensor.written()} = {written(state.init)}")
        lines.append(f"  {state.tensor.written()} <- {written(state.update)}")
    for latent in model.latents.values():
        lines.append(f"  latent {latent.tensor.written()} in {latent.domain}{_found(latent)}")
    for value in model.values.values():
        kind = "probe " if value.probe else ""
        batch = " per example" if value.tensor.batched else ""
        lines.append(f"  {kind}{value.tensor.written()} = {written(value.expr)}   # {value.tensor.dtype}{batch}")
    for term in model.terms:
        power = f"^{written(term.power)}" if term.power else ""
        lines.append(f"  {written(term.target)} ~ {_dist(term.dist)}{power}   # {term.kind}")
    for key, probe in model.probes.items():
        lines.append(f"  probe {key} over [{', '.join(probe.tensor.declared)}] = {written(probe.expr)}")
    lines += [f"  assert {assertion.text}" for assertion in model.asserts]
    for path, use in model.rules.items():
        lines.append(f"  learn {path} : {use.written}")
        lines += [f"    state {s.name} = {written(s.init)}" for s in use.states]
        lines += [f"    {name} <- {written(expr)}" for name, expr in (*use.enter, *use.lines)]
        lines += [f"    when {written(use.when)}"] if use.when is not None else []
    lines.append(f"  outputs {', '.join(model.outputs)}")
    return "\n".join(lines) + "\n"


def _found(latent: Latent) -> str:
    """How a latent is found."""
    how = latent.inference
    if how is None:
        return ""
    way = f"~ {_dist(how.guide)}" if how.guide is not None else how.rule.written if how.rule is not None else how.how
    steps = f", {how.steps} steps" if how.steps else ""
    return f"   # {way}{steps}{', through' if how.through and how.guide is None else ''}"


def _line(line: Line, indent: str) -> list[str]:
    """A statement, or a loop with its body."""
    from .plan.tree import Loop
    from .render.printer import expression

    place = f"   # {line.lines[0]}" if line.lines else ""
    if isinstance(line, Loop):
        head = f"{indent}for {', '.join(line.targets)} in {expression(line.over)}:{place}"
        return [head, *(text for inner in line.body for text in _line(inner, indent + "  "))]
    target = f"{line.target} = " if line.target else ""
    return [f"{indent}{target}{expression(line.value)}{place}"]


def _plan(artefact: Artefact) -> str:
    """The routines of the module with their statements."""
    from .render.printer import expression

    lines: list[str] = []
    for routine in artefact.plan.routines:
        lines.append(f"{routine.name}({', '.join(routine.params)}) -> {routine.result}")
        for statement in routine.body:
            lines += _line(statement, "  ")
        if routine.returns is not None:
            lines.append(f"  return {expression(routine.returns)}")
    return "\n".join(lines) + "\n"
