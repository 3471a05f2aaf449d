"""Runs emitted code on the abstract machine: statement by statement, in Python's order of evaluation, with Python's rule
of when memory is given back (a local lives until its routine returns).  A choice by a Python number (``training``,
``when``) counts as taken.

Values that routines take through ``v`` are computed by their own routine when first read, and kept, as the runtime does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from ..diagnostics import InternalError
from ..plan.routine import read_by, variables
from ..plan.tree import (
    Bin,
    Call,
    Choice,
    Code,
    Field,
    Item,
    Line,
    Lit,
    Loop,
    Method,
    Neg,
    Part,
    Routine,
    Row,
    Statement,
    Table,
    Var,
    Whole,
)
from . import lists
from .composites import COMPOSITES, DRAWS
from .convolutions import CONVOLUTIONS
from .forms import FUNCTIONS, OPERATORS, pointwise
from .forms import METHODS as TENSOR_METHODS
from .machine import Array, Machine
from .moving import WHOLE, indexed, transposed
from .poly import ONE, Poly, number, symbol
from .values import NOTHING, Args, Form, Host, Series, Value, whole

CALLS = {**FUNCTIONS, **COMPOSITES, **CONVOLUTIONS, **lists.FUNCTIONS}
METHODS = {**TENSOR_METHODS, **lists.METHODS}

_NAMES: dict[str, Host] = {
    "self.dtype": Host(None, "real", "dtype"),
    "torch.float64": Host(None, "double", "dtype"),
    "torch.int64": Host(None, "int", "dtype"),
    "torch.bool": Host(None, "bool", "dtype"),
    "self.t": Host(None, "int"),
    "self.seed": Host(None, "int"),
    "self.examples": Host(None, "real"),
    "self.device": Host(),
    "self.training": Host(None, "int"),
}


class Walker:
    """Runs routines; ``leaves`` are stored tensors by path and inputs by name.

    Args:
        machine: what counts.
        routines: the module's routines by name.
        stored: parameters and states by path.
        inputs: inputs by name.
        batch: symbol of the batch.
        replicas: how many runs the module folds; 0 for a single one.
        known: further names that code may read.
        tidy: give a local back after its last reader, not when the routine returns.
    """

    def __init__(
        self,
        machine: Machine,
        routines: Mapping[str, Routine],
        stored: Mapping[str, Array],
        inputs: Mapping[str, Array],
        batch: str,
        replicas: int,
        known: Mapping[str, Value] | None = None,
        *,
        tidy: bool = False,
    ) -> None:
        self.machine = machine
        self.routines = routines
        self.stored = stored
        self.inputs = inputs
        self.batch = batch
        self.replicas = replicas
        self.tidy = tidy
        self.values: dict[str, Value] = dict(inputs)
        self._marks: dict[int, tuple[str, str]] = {}
        self._locals: dict[str, Value] = dict(known or {})

    # ------------------------------------------------------------ routines

    def run(self, name: str) -> None:
        """Run a routine; what it returns stays alive until it is done."""
        self._release(self._routine(self.routines[name]))

    def read(self, names: Sequence[str]) -> None:
        """Read values through ``v``, as a forward pass does."""
        for name in names:
            self._release(self._read(name))

    def _routine(self, routine: Routine) -> Value:
        outer, self._locals = self._locals, {}
        outer_marks, outer_place = self._marks, (self.machine.place, self.machine.phase)
        if routine.params not in ((), ("v",)):  # the step takes its inputs in their declared order, under local names
            given = map(self.machine.retain, self.inputs.values())
            self._locals.update(zip(routine.params, given, strict=True))
        last = _last_readers(routine) if self.tidy else {}
        for k, line in enumerate(routine.body):
            self._line(line)
            for name in last.get(k, ()):
                self._release(self._locals.pop(name, NOTHING))
        self._marks = _marks(routine.parts)
        if routine.parts:
            self.machine.place, self.machine.phase = routine.parts[-1].place, routine.parts[-1].phase
        result = self.value(routine.returns) if routine.returns is not None else NOTHING
        for value in self._locals.values():
            self._release(value)
        self._locals, self._marks = outer, outer_marks
        self.machine.place, self.machine.phase = outer_place
        return result

    def _line(self, line: Line) -> None:
        if isinstance(line, Loop):
            self._loop(line)
        else:
            self._statement(line)

    def _loop(self, loop: Loop) -> None:
        """The first turn once, and the last one as often as there are further turns: what is carried over has its lasting
        form from the second turn on.  Memory is that of the last turn, with what all turns before have left behind."""
        self._marks = _marks(loop.parts)
        self.machine.place, self.machine.phase = loop.lines[0] if loop.lines else "", _phase_of(loop.parts)
        over = self.value(loop.over)
        assert isinstance(over, Series)
        outer, begun = self.machine.times, self.machine.clock
        before = {id(v): len(v.held) for v in self._locals.values() if isinstance(v, Series)}
        self._turn(loop, over)
        if over.count != ONE:
            self._left_behind(begun, before, over.count - number(2))
            self.machine.times = outer * (over.count - ONE)
            self._turn(loop, over)
            self.machine.times = outer
        self._release(over)

    def _turn(self, loop: Loop, over: Series) -> None:
        each = over.each if len(loop.targets) > 1 else (over.each,)
        assert isinstance(each, tuple)
        for name, value in zip(loop.targets, each, strict=True):
            self._assign(name, self._held(value))
        for line in loop.body:
            self._line(line)

    def _left_behind(self, begun: int, before: Mapping[int, int], turns: Poly) -> None:
        """What the turns between the first and the last put into lists, each block of memory once."""
        made: dict[int, Array] = {}
        for series in [v for v in self._locals.values() if isinstance(v, Series)]:
            for array in series.held[before.get(id(series), len(series.held)) :]:
                key = id(array.storage)
                if array.storage.born > begun and key not in made:
                    made[key] = self.machine.like(array, turns)
                elif key in made:
                    self.machine.retain(made[key])
                if key in made:
                    series.held.append(made[key])

    def _assign(self, name: str, value: Value) -> None:
        self._release(self._locals.get(name, NOTHING))
        self._locals[name] = value

    def _statement(self, statement: Statement) -> None:
        self._marks = _marks(statement.parts)
        place = statement.lines[0] if statement.lines else ""
        self.machine.place, self.machine.phase = place, _phase_of(statement.parts)
        value = self.value(statement.value)
        if statement.target is None:
            self._release(value)
            return
        if isinstance(value, Array):
            self.machine.bind(value)
        self._assign(statement.target, value)

    def _release(self, value: Value) -> None:
        lists.dropped(self.machine, value)

    # ------------------------------------------------------------ expressions

    def value(self, code: Code) -> Value:
        """What an expression is worth; the caller holds it.

        Raises:
            InternalError: a form without a row.
        """
        mark = self._marks.get(id(code))
        if mark is None:
            return self._evaluate(code)
        before = self.machine.place, self.machine.phase
        self.machine.place, self.machine.phase = mark
        value = self._evaluate(code)
        self.machine.place, self.machine.phase = before
        return value

    def _evaluate(self, code: Code) -> Value:
        match code:
            case Var(name):
                return self._name(name)
            case Lit(literal):
                return _literal(literal)
            case Row(items):
                return tuple(map(self.value, items))
            case Table(items):
                return tuple(self.value(v) for _, v in items)
            case Call():
                return self._call(code)
            case Method():
                return self._method(code)
            case Bin():
                return self._binary(code)
            case Neg(operand):
                return self._negated(self.value(operand))
            case Field(obj, _):
                return self._transposed(obj)
            case Item(obj, items):
                return self._item(obj, items)
            case Choice(_, yes, _):
                return self.value(yes)
            case _:
                raise InternalError(f"the cost model has no row for {type(code).__name__}")

    def _on(self, form: Form, given: Sequence[Value], named: Mapping[str, Value] | None = None) -> Value:
        """Run a row on operands, which are let go of afterwards."""
        result = form(self.machine, Args(tuple(given), named or {}))
        for value in (*given, *(named or {}).values()):
            self._release(value)
        return result

    def _name(self, name: str) -> Value:
        if name in self._locals:
            return self._held(self._locals[name])
        if name in _NAMES:
            return _NAMES[name]
        if name == "v.batch":
            return Host(symbol(self.batch), "int")
        stored = self.stored.get(name.removeprefix("self."))
        if stored is None:
            raise InternalError(f"the cost model does not know `{name}`")
        return self._held(stored)

    def _held(self, value: Value) -> Value:
        return lists.kept(self.machine, value)

    def _call(self, code: Call) -> Value:
        if code.fn == "self.state":
            assert isinstance(code.args[0], Lit)
            return self._held(self.stored[str(code.args[0].value)])
        if code.fn == "rt.Draw":
            return Host(whole(self.replicas).size if self.replicas else None, "double")
        given, named = [self.value(a) for a in code.args], {k: self.value(a) for k, a in code.named}
        return self._on(_row(CALLS, code.fn), given, named)

    def _method(self, code: Method) -> Value:
        given = [self.value(code.obj), *(self.value(a) for a in code.args)]
        named = {k: self.value(a) for k, a in code.named}
        rows = DRAWS if isinstance(given[0], Host) else METHODS
        return self._on(_row(rows, code.name), given, named)

    def _binary(self, code: Bin) -> Value:
        """A chain of operators from its left end, in one loop: a sum may have hundreds of terms."""
        chain = [code]
        while isinstance(chain[-1].left, Bin):
            chain.append(chain[-1].left)
        left = self.value(chain[-1].left)
        own = self.machine.place, self.machine.phase
        marks = [own]
        for step in chain:  # a step comes from where its own mark says, or that of the first marked step around it
            marks.append(self._marks.get(id(step), marks[-1]))
        for step, mark in zip(reversed(chain), reversed(marks), strict=False):
            self.machine.place, self.machine.phase = mark
            right = self.value(step.right)
            if isinstance(left, Host) and isinstance(right, Host):
                left = _arithmetic(step.op, left, right)
            elif isinstance(left, tuple) and isinstance(right, Host):
                values, left = left, lists.repeated(self.machine, left, right)
                self._release(values)
            else:
                left = self._on(_row(OPERATORS, step.op), [left, right])
        self.machine.place, self.machine.phase = own
        return left

    def _negated(self, value: Value) -> Value:
        if isinstance(value, Host):
            return Host(None if value.size is None else value.size * -1, value.dtype)
        return self._on(pointwise(), [value])

    def _transposed(self, obj: Code) -> Value:
        array = self.value(obj)
        assert isinstance(array, Array)
        result = transposed(self.machine, array)
        self._release(array)
        return result

    def _item(self, obj: Code, items: tuple[Code | None, ...]) -> Value:
        first = items[0]
        if isinstance(obj, Var) and obj.name == "v" and isinstance(first, Lit):
            return self._read(str(first.value))
        if isinstance(obj, Var) and obj.name.endswith(".shape") and isinstance(first, Lit):
            array = self._locals[obj.name.removesuffix(".shape")]
            assert isinstance(array, Array) and isinstance(first.value, int)
            return Host(array.shape[first.value], "int")
        array = self.value(obj)
        if isinstance(array, Series):
            each = self._held(array.each)
            self._release(array)
            return each
        if isinstance(array, tuple) and isinstance(first, Lit) and isinstance(first.value, int):
            return array[first.value]
        assert isinstance(array, Array)
        places = [None if i is None else WHOLE if isinstance(i, Whole) else self.value(i) for i in items]
        result = indexed(self.machine, array, places)
        for value in (array, *places):
            self._release(value or NOTHING)
        return result

    def _read(self, name: str) -> Value:
        """What ``v[name]`` gives: an input, or a value that is computed once and kept.

        What a value reads it reads first of all; so those come first here, without recursion: a chain may be long.
        """
        waiting = [name]
        while waiting:
            top = waiting[-1]
            missing = [n for n in reversed(self._needs(top)) if n not in self.values]
            if top not in self.values and not missing:
                value = self._routine(self.routines[_value_routine(top)])
                if isinstance(value, Array):
                    self.machine.bind(value)
                self.values[top] = value
            waiting += missing if top not in self.values else []
            if top in self.values:
                waiting.pop()
        return self._held(self.values[name])

    def _needs(self, name: str) -> list[str]:
        """The values that the routine of a value reads."""
        if name in self.values:
            return []
        body = self.routines[_value_routine(name)].body  # what it reads stands in front, outside loops
        values = [line.value for line in body if isinstance(line, Statement)]
        reads = [value.items[0] for value in values if isinstance(value, Item) and value.obj == Var("v")]
        return [str(item.value) for item in reads if isinstance(item, Lit)]


def _value_routine(name: str) -> str:
    return "value_" + name.replace(".", "__")


def _marks(parts: Sequence[Part]) -> dict[int, tuple[str, str]]:
    """Place and phase of sub-expressions, by object; where two nodes are one expression, those of the inner one."""
    return {id(part.code): (part.place, part.phase) for part in reversed(parts)}


def _row(table: Mapping[str, Form], name: str) -> Form:
    if name not in table:
        raise InternalError(f"the cost model has no row for `{name}`")
    return table[name]


def _literal(value: object) -> Value:
    """A literal; an infinite or fractional number has no use as a size."""
    if isinstance(value, tuple):
        return tuple(map(_literal, cast("tuple[object, ...]", value)))
    if isinstance(value, bool):
        return Host(None, "bool")
    if isinstance(value, int):
        return whole(value)
    return Host(None, "real", value if isinstance(value, str) else "")


def _arithmetic(op: str, a: Host, b: Host) -> Host:
    """Arithmetic of Python numbers, followed where it is that of sizes."""
    kind = "bool" if op in ("<", "<=", "==", "!=") else "real" if "real" in (a.dtype, b.dtype) or op == "/" else "int"
    if a.size is None or b.size is None or kind != "int":
        return Host(None, kind)
    match op:
        case "+":
            return Host(a.size + b.size, kind)
        case "-":
            return Host(a.size - b.size, kind)
        case "*":
            return Host(a.size * b.size, kind)
        case "//" if set(b.size.terms) == {()} and not any(c % b.size.terms[()] for c in a.size.terms.values()):
            return Host(a.size // b.size.at({}), kind)
        case _:
            return Host(None, kind)


def _phase_of(parts: Sequence[Part]) -> str:
    return parts[-1].phase if parts else ""


def _assigned(line: Line) -> set[str]:
    """The locals that a line gives a value to."""
    if isinstance(line, Statement):
        return {line.target} if line.target else set()
    return set(line.targets).union(*map(_assigned, line.body))


def _last_readers(routine: Routine) -> dict[int, list[str]]:
    """By statement: the locals that nothing reads after it."""
    last: dict[str, int] = {}
    for k, line in enumerate(routine.body):
        last.update(dict.fromkeys(sorted(read_by(line) | _assigned(line)), k))
    kept = variables(routine.returns) if routine.returns is not None else set[str]()
    found: dict[int, list[str]] = {}
    for name, k in last.items():
        if name not in kept:
            found.setdefault(k, []).append(name)
    return found
