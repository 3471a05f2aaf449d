"""Plan to Python source: a few small templates that place things, and a line map back to the spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from ..plan.tree import Line, Loop, ModulePlan, Routine
from .printer import broken, expression, quoted

_MARK = "\0"


@dataclass(frozen=True, slots=True)
class Header:
    """What the first lines of an emitted file say about where it comes from."""

    spec: str
    sha256: str
    compiler: str
    command: str
    abi: int


@dataclass(frozen=True, slots=True)
class _Class:
    """A class as the template wants it."""

    name: str
    attributes: tuple[str, ...]
    routines: tuple[_Text, ...]


@dataclass(frozen=True, slots=True)
class _Text:
    """A routine as the template wants it: a signature, a docstring and lines of code."""

    name: str
    signature: str
    result: str
    doc: str
    lines: tuple[str, ...]


def render(plans: Sequence[ModulePlan], header: Header) -> str:
    """The source of the emitted module, a class for each plan; equal plans give equal bytes.

    The last class is the model; one before it is what its data are drawn from.
    """
    context = {"header": header, "name": plans[-1].name, "doc": plans[-1].doc, "classes": [_class(p) for p in plans]}
    body = _environment().get_template("module.py.jinja").render(context)
    return _with_line_map(body, [p.name for p in plans])


def _class(plan: ModulePlan) -> _Class:
    attributes = tuple(_attribute(a.name, a.value) for a in plan.attributes)
    return _Class(plan.name, attributes, tuple(_routine(r) for r in plan.routines))


@cache
def _environment() -> Environment:
    """Templates from the package; an undefined name is an error; nothing is escaped because nothing is trusted text."""
    folder = files("dltc.compiler.render").joinpath("templates")
    loader = FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["quoted"] = quoted
    environment.filters["comment"] = comment
    return environment


def comment(text: str) -> str:
    """Text that may stand in a comment or docstring: one line of printable ASCII without quotes that could end it."""
    line = " ".join(text.split())
    return "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in line).replace('"""', "'''")


def _attribute(name: str, value: object) -> str:
    return "\n".join(broken(f"{name} = ", value, "    "))  # pyright: ignore[reportArgumentType]


def _routine(routine: Routine) -> _Text:
    lines: list[str] = []
    last = ""
    for statement in routine.body:
        if statement.lines and statement.lines[0] != last and routine.name == "_step":
            lines.append(f"        # {comment(statement.comment or statement.lines[0])}")
        last = statement.lines[0] if statement.lines else last
        lines += _statement(statement)
    if routine.returns is not None:
        lines += broken("return ", routine.returns, "        ")
    arguments = ["self", *(f"{p}: {_annotation(p)}" for p in routine.params)]
    return _Text(
        routine.name, ", ".join(arguments), routine.result, comment(routine.doc), tuple(lines or ["        pass"])
    )


def _annotation(parameter: str) -> str:
    return {"v": "rt.Values", "draw": "rt.Draw"}.get(parameter, "Tensor")


def _statement(statement: Line, indent: str = "        ") -> list[str]:
    if isinstance(statement, Loop):
        head = f"{indent}for {', '.join(statement.targets)} in {expression(statement.over)}:"
        return [head, *(line for inner in statement.body for line in _statement(inner, indent + "    "))]
    prefix = f"{statement.target} = " if statement.target else ""
    lines = broken(prefix, statement.value, indent)
    if statement.lines:
        lines[0] += _MARK + comment(statement.lines[0])
    return lines


def _with_line_map(body: str, names: Sequence[str]) -> str:
    """Take the marks out and append the map from emitted lines to places in the spec, one for all classes."""
    places: dict[int, str] = {}
    lines: list[str] = []
    for number, line in enumerate(body.split("\n"), 1):
        text, _, place = line.partition(_MARK)
        if place:
            places[number] = place
        lines.append(text)
    entries = "".join(f"    {number}: {quoted(place)},\n" for number, place in places.items())
    owners = " = ".join(f"{name}.LINES" for name in names)
    return "\n".join(lines).rstrip("\n") + f"\n\n\n{owners} = {{\n{entries}}}\n"
