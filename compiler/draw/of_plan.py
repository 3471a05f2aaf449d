"""A plan as a sketch: one box per routine, one item per statement, linked by the variables they pass on."""

from __future__ import annotations

from ..plan.routine import variables
from ..plan.tree import Call, Code, Line, Loop, Method, ModulePlan, Routine, Var
from ..plan.tree import Item as Entry
from ..render.printer import expression
from .sketch import Item, Link, Sketch


def sketch_plan(plan: ModulePlan, title: str) -> Sketch:
    """The routines of a module."""
    items: list[Item] = []
    links: list[Link] = []
    for routine in plan.routines:
        body = _Body(routine.name)
        body.run(routine)
        items += body.items
        links += body.links
    caption = f"{len(plan.routines)} routines, {len(items)} statements and arguments of the class {plan.name}"
    return Sketch.of(title, caption, items, links)


class _Body:
    """The statements of one routine, each linked with the last line that set what it reads."""

    def __init__(self, routine: str) -> None:
        self.routine = routine
        self.items: list[Item] = []
        self.links: list[Link] = []
        self.set_by: dict[str, str] = {}

    def run(self, routine: Routine) -> None:
        box = (routine.name,)
        for name in routine.params:
            self.set_by[name] = self._add(name, "input", (), box)
        for line in routine.body:
            self._line(line, box)
        if routine.returns is not None:
            key = self._add("return", "measure", (f"return {expression(routine.returns)}",), box)
            self._reads(key, routine.returns)

    def _add(self, name: str, kind: str, notes: tuple[str, ...], box: tuple[str, ...]) -> str:
        key = f"{self.routine} {len(self.items)}"
        self.items.append(Item(key, name, kind, "", notes, box))
        return key

    def _reads(self, key: str, code: Code) -> None:
        for name in sorted(variables(code)):
            if name in self.set_by:
                self.links.append(Link(self.set_by[name], key, name))

    def _line(self, line: Line, box: tuple[str, ...]) -> None:
        if isinstance(line, Loop):
            head = f"for {', '.join(line.targets)} in {expression(line.over)}"
            inner = (*box, f"{head}   #{len(self.items)}")  # the number tells two loops of one head apart
            key = self._add(head, "loop", (head, *line.lines), inner)
            self._reads(key, line.over)
            self.set_by.update(dict.fromkeys(line.targets, key))
            for each in line.body:
                self._line(each, inner)
            return
        text = expression(line.value)
        changed = _changed(line.value)
        stored = isinstance(line.value, Var | Call) and "self." in text
        if line.target is not None:
            key = self._add(line.target, "param" if stored else "value", (f"{line.target} = {text}", *line.lines), box)
        else:
            key = self._add(f"{changed} <-" if changed else text, "update", (text, *line.lines), box)
        self._reads(key, line.value)
        for name in (line.target, changed):
            if name is not None:
                self.set_by[name] = key


def _changed(code: Code) -> str | None:
    """The variable that a statement changes in place: the object of a method whose name ends in ``_``."""
    changes = False
    while isinstance(code, Method | Entry):
        changes |= isinstance(code, Method) and code.name.endswith("_")
        code = code.obj
    return code.name if changes and isinstance(code, Var) else None
