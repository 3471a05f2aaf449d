"""What a circuit is before it is called: its text, its inputs and parameters, and the circuits that it may call itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .. import nodes as syntax
from .shapes import Names, Shape, indices

KINDS = ("axis", "int", "real", "op", "circuit")
"""What a circuit's parameter may be; one without a kind is a number."""


@dataclass(eq=False)
class Definition:
    """A circuit of a file; ``visible`` are the circuits of that file and those it uses."""

    decl: syntax.CircuitDecl
    visible: Mapping[str, Definition]

    @property
    def name(self) -> str:
        return self.decl.name

    def inputs(self) -> dict[str, syntax.InputDecl]:
        """Its inputs by name."""
        return {s.target.name: s for s in self.decl.body if isinstance(s, syntax.InputDecl)}

    def statics(self) -> dict[str, syntax.StaticParam]:
        """Its parameters by name."""
        return {p.name: p for p in self.decl.params}

    def signature(self) -> str:
        """``Dense(x, n: axis, act: op = identity)``: how it is called."""
        given = [p.name + (f": {p.kind}" if p.kind else "") for p in self.decl.params]
        return f"{self.name}({', '.join([*self.inputs(), *given])})"


@dataclass
class Flat:
    """A circuit's body without calls, in its own names: what its instances are renamed from."""

    definition: Definition
    body: list[syntax.Stmt]
    names: Names
    outputs: tuple[str, ...]
    formal: frozenset[str]
    """Axes that a call decides: its parameters of kind ``axis`` and undeclared axes of inputs."""
    divided: list[syntax.Divided] = field(default_factory=list[syntax.Divided])


def declared(body: tuple[syntax.Stmt, ...] | list[syntax.Stmt], names: Names) -> None:
    """Enter the axes, constants and tensors that a body declares; equations are entered by who knows their shapes."""
    for s in body:
        match s:
            case syntax.AxisDecl():
                names.axes.update({i.name: i for i in s.items})
            case syntax.LetDecl():
                for item in s.items:
                    if item.target.axes is None:
                        names.numbers.add(item.target.name)
                    else:
                        names.tensors[item.target.name] = Shape(indices(item.target.axes))
            case syntax.StateDecl():
                names.tensors.update({i.target.name: Shape(indices(i.target.axes or ())) for i in s.items})
            case syntax.InputDecl() | syntax.ParamDecl() | syntax.LatentDecl():
                names.tensors[s.target.name] = Shape(indices(s.target.axes or ()), syntax.label_axis(s.kind))
            case _:
                pass
