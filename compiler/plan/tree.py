"""The typed tree of what will be printed: Python expressions, statements and routines.

Templates and the printer see only this; nothing here knows graphs.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Code:
    """Any Python expression of emitted code."""


@dataclass(frozen=True, slots=True)
class Var(Code):
    """A local name, or a dotted path such as ``self.W`` (a checked identifier)."""

    name: str


@dataclass(frozen=True, slots=True)
class Lit(Code):
    """A Python literal: number, bool, string, None, or a tuple of them."""

    value: int | float | bool | str | tuple[int | float | bool | str, ...] | None


@dataclass(frozen=True, slots=True)
class Call(Code):
    """``fn(args, name=value)``; fn is a dotted path."""

    fn: str
    args: tuple[Code, ...]
    named: tuple[tuple[str, Code], ...] = ()


@dataclass(frozen=True, slots=True)
class Method(Code):
    """``obj.name(args, name=value)``."""

    obj: Code
    name: str
    args: tuple[Code, ...] = ()
    named: tuple[tuple[str, Code], ...] = ()


@dataclass(frozen=True, slots=True)
class Field(Code):
    """``obj.name``."""

    obj: Code
    name: str


@dataclass(frozen=True, slots=True)
class Bin(Code):
    """``left op right`` (arithmetic and comparison)."""

    op: str
    left: Code
    right: Code


@dataclass(frozen=True, slots=True)
class Neg(Code):
    operand: Code


@dataclass(frozen=True, slots=True)
class Item(Code):
    """``obj[items]``; an item None is a new axis, ``...`` is ``:``."""

    obj: Code
    items: tuple[Code | None, ...]


@dataclass(frozen=True, slots=True)
class Whole(Code):
    """``:`` inside an item."""


@dataclass(frozen=True, slots=True)
class Row(Code):
    """A tuple ``(a, b)``."""

    items: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Table(Code):
    """``{key: value, ..}`` with string keys."""

    items: tuple[tuple[str, Code], ...]


@dataclass(frozen=True, slots=True)
class Choice(Code):
    """``yes if condition else no``, of host numbers."""

    condition: Code
    yes: Code
    no: Code


@dataclass(frozen=True, slots=True)
class Part:
    """A sub-expression (this very object) with its own place in the spec and the phase of the step that it belongs to."""

    code: Code
    place: str
    phase: str


@dataclass(frozen=True, slots=True)
class Statement:
    """``target = value`` (target None: the value is called for its effect); ``lines`` are places in the spec.

    ``parts``, of a traced plan, say where the sub-expressions come from; the last one is the whole.
    """

    target: str | None
    value: Code
    lines: tuple[str, ...] = ()
    comment: str = ""
    parts: tuple[Part, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Loop:
    """``for targets in over: body``; ``parts`` are those of ``over``."""

    targets: tuple[str, ...]
    over: Code
    body: tuple[Line, ...]
    lines: tuple[str, ...] = ()
    comment: str = ""
    parts: tuple[Part, ...] = field(default=(), compare=False, repr=False)


Line = Statement | Loop


@dataclass(frozen=True, slots=True)
class Routine:
    """One method of the emitted class; ``returns`` None returns nothing; ``parts`` are those of what it returns."""

    name: str
    params: tuple[str, ...]
    result: str
    doc: str
    body: tuple[Line, ...]
    returns: Code | None
    parts: tuple[Part, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A class attribute: name and value."""

    name: str
    value: Code
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ModulePlan:
    """One emitted file."""

    name: str
    doc: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    routines: tuple[Routine, ...] = field(default=())
