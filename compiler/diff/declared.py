"""Changes of declarations: the model, axes, inputs and parameters, their names and words."""

from __future__ import annotations

from collections.abc import Iterator

from ..frontend.model import Axis, Input, ModelState, Param
from ..frontend.typed_walk import written
from .canon import Names
from .match import Match
from .report import Change
from .side import Side, init_text, prior_text, resolved


def declared(m: Match) -> Iterator[Change]:
    """Everything that declarations say, equations and rules excepted."""
    yield from _model(m)
    yield from _axes(m)
    yield from _inputs(m)
    yield from _params(m)
    yield from _states(m)
    yield from _tables(m)


def _reshaped(m: Match, a: Param, b: Param) -> bool:
    """Whether a paired parameter is declared over other axes."""
    shape = tuple(tuple(map(m.names.axis, leaves)) for leaves in m.b.shape(b.tensor))
    return m.a.shape(a.tensor) != shape


def moved(m: Match, a: Param, b: Param) -> bool:
    """Whether shape or domain differ, from which a difference of the whole density follows."""
    return _reshaped(m, a, b) or _domain(m, a, 0) != _domain(m, b, 1)


def _model(m: Match) -> Iterator[Change]:
    a, b = m.a.model, m.b.model
    places = m.places(a.span, b.span)
    if a.name != b.name:
        note = "the generated module and its class are called by the new name"
        yield Change("rename", "model", b.name, *places, a.name, b.name, note)
    if a.doc != b.doc:
        yield Change("cosmetic", "doc", b.name, *places, *_docs(a.doc, b.doc))


def _docs(a: str, b: str) -> tuple[str | None, str | None]:
    """Words on one line; none are None."""
    return " ".join(a.split()) or None, " ".join(b.split()) or None


# ---------------------------------------------------------------- axes


def _axes(m: Match) -> Iterator[Change]:
    a, b = m.a.axes, m.b.axes
    other = {new: old for old, new in m.pairing.axes.items()}
    for name, axis in a.items():
        new = b.get(other.get(name, ""))
        if new is None:
            yield Change("params", "axis", name, m.a.place(axis.span), None, axis_text(axis), None, _count(m))
        elif (axis.size, axis.low) != (new.size, new.low):
            cls = "params" if axis.size != new.size else "semantic"
            places = m.places(axis.span, new.span)
            yield Change(cls, "axis", new.name, *places, axis_text(axis), axis_text(new), _count(m))
    for name, axis in b.items():
        if name not in m.pairing.axes:
            yield Change("params", "axis", name, None, m.b.place(axis.span), None, axis_text(axis), _count(m))


def axis_text(axis: Axis) -> str:
    """``hid = 128``, ``dr = -1..1``."""
    if axis.size is None:
        return f"{axis.name} from the data"
    return f"{axis.name} = {axis.low}..{axis.low + axis.size - 1}" if axis.low else f"{axis.name} = {axis.size}"


def _count(m: Match) -> str:
    """The number of parameters before and after, where it changes."""
    a, b = m.a.size, m.b.size
    return f"{a:,} -> {b:,} numbers in parameters" if a is not None and b is not None and a != b else ""


# ---------------------------------------------------------------- inputs


def _inputs(m: Match) -> Iterator[Change]:
    other = {new: old for old, new in m.pairing.inputs.items()}
    for name, item in m.a.model.inputs.items():
        new = m.b.model.inputs.get(other.get(name, ""))
        if new is None:
            yield Change("semantic", "input", name, m.a.place(item.tensor.span), None, input_text(m.a, item), None)
            continue
        places = m.places(item.tensor.span, new.tensor.span)
        if _input_fact(m, item, 0) != _input_fact(m, new, 1):
            yield Change("semantic", "input", new.tensor.name, *places, *_input_texts(m, item, new))
        if name != new.tensor.name:
            note = "callers pass it by the new name"
            yield Change("rename", "input", new.tensor.name, *places, name, new.tensor.name, note)
        if item.doc != new.doc:
            yield Change("cosmetic", "doc", new.tensor.name, *places, *_docs(item.doc, new.doc))
    for name, item in m.b.model.inputs.items():
        if name not in m.pairing.inputs:
            yield Change("semantic", "input", name, None, m.b.place(item.tensor.span), None, input_text(m.b, item))


def _input_fact(m: Match, item: Input, side: int) -> object:
    """What a caller must pass."""
    own = (m.a, m.b)[side]
    called = m.names.axis if side else str
    shape = tuple(tuple(map(called, leaves)) for leaves in own.shape(item.tensor))
    return item.kind, item.tensor.dtype, shape, tuple(map(called, own.labels(item.tensor)))


def _input_texts(m: Match, a: Input, b: Input) -> tuple[str, str]:
    """As declared; where that reads the same, with the parts of products."""
    texts = input_text(m.a, a), input_text(m.b, b)
    return texts if texts[0] != texts[1] else (input_text(m.a, a, parts=True), input_text(m.b, b, parts=True))


def input_text(side: Side, item: Input, *, parts: bool = False) -> str:
    """``x[pix]: real``, ``y: cls``."""
    label = ", ".join(side.labels(item.tensor)) if parts else item.tensor.label
    return f"{side.written(item.tensor, parts=parts)}: {label or item.kind}"


# ---------------------------------------------------------------- parameters


def _params(m: Match) -> Iterator[Change]:
    other = {new: old for old, new in m.pairing.params.items()}
    for path, param in m.a.model.params.items():
        new = m.b.model.params.get(other.get(path, ""))
        if new is None:
            text = param_text(m.a, param)
            yield Change("params", "parameter", path, m.a.place(param.tensor.span), None, text, None, _count(m))
        else:
            yield from _param(m, param, new)
    for path, param in m.b.model.params.items():
        if path not in m.pairing.params:
            text = param_text(m.b, param)
            yield Change("params", "parameter", path, None, m.b.place(param.tensor.span), None, text, _count(m))


def _param(m: Match, a: Param, b: Param) -> Iterator[Change]:
    """A parameter that both have: name, shape, domain, prior, initial value, words."""
    path = b.tensor.name
    places = m.places(a.tensor.span, b.tensor.span)
    if a.tensor.name != path:
        note = "a checkpoint holds it under the old name: write it under the new one before loading"
        yield Change("rename", "parameter", path, *places, a.tensor.name, path, note)
    if _reshaped(m, a, b):
        parts = m.a.written(a.tensor) == m.b.written(b.tensor)
        texts = m.a.written(a.tensor, parts=parts), m.b.written(b.tensor, parts=parts)
        yield Change("params", "shape", path, *places, *texts, _count(m))
    if _domain(m, a, 0) != _domain(m, b, 1):
        yield Change("params", "domain", path, *places, domain_text(a), domain_text(b))
    yield from _support(m, a, b)
    yield from _prior(m, a, b)
    yield from _init(m, a, b)
    if a.doc != b.doc:
        yield Change("cosmetic", "doc", path, *places, *_docs(a.doc, b.doc))


def _domain(m: Match, param: Param, side: int) -> object:
    """The domain, its axes as positions of the parameter."""
    return param.domain, tuple(param.tensor.leaves.index(leaf) for leaf in param.over)


def domain_text(param: Param) -> str:
    """``simplex[k]``."""
    return param.domain_text


def _support(m: Match, a: Param, b: Param) -> Iterator[Change]:
    """Which entries exist."""
    old, new = a.tensor.name, b.tensor.name
    if any(side[0].masks.get(old) == side[1].masks.get(new) for side in (m.whole, m.cut)):
        return
    texts = tuple(p.support.written if p.support is not None else "dense" for p in (a, b))
    if _reshaped(m, a, b) and texts[0] == texts[1]:
        return
    spans = [p.support.span if p.support is not None else p.tensor.span for p in (a, b)]
    yield Change("structure", "support", new, *m.places(*spans), *texts)


def _prior(m: Match, a: Param, b: Param) -> Iterator[Change]:
    old, new = a.tensor.name, b.tensor.name
    if m.whole[0].priors[old] == m.whole[1].priors[new] or m.cut[0].priors[old] == m.cut[1].priors[new]:
        return
    numbers = prior_text(a), prior_text(b)
    if numbers[0] == numbers[1] and (a.support is None) != (b.support is None):
        return  # of fewer entries, which is reported
    if moved(m, a, b) and numbers[0] == numbers[1]:
        return
    shown = m.shown((a.prior.written, b.prior.written), numbers)
    if shown is None:
        return
    before, after, note = shown
    if a.init is None and b.init is None:
        note = "; ".join(filter(None, [note, "its initial value is drawn from it"]))
    yield Change("prior", "prior", new, *m.places(a.prior.span, b.prior.span), before, after, note)


def _init(m: Match, a: Param, b: Param) -> Iterator[Change]:
    old, new = a.tensor.name, b.tensor.name
    if m.whole[0].inits[old] == m.whole[1].inits[new] or m.cut[0].inits[old] == m.cut[1].inits[new]:
        return
    numbers = resolved(a.init), resolved(b.init)
    elsewhere = moved(m, a, b) or a.support != b.support
    if (a.init is None and b.init is None) or (elsewhere and numbers[0] == numbers[1]):
        return  # follows from the prior, the shape or the domain, which are reported
    shown = m.shown((init_text(m.a, a), init_text(m.b, b)), numbers)
    if shown is not None:
        spans = [p.tensor.span if p.init is None else p.init.span for p in (a, b)]
        yield Change("prior", "init", new, *m.places(*spans), *shown)


def _states(m: Match) -> Iterator[Change]:
    """States of the model; one keeps its name, by which a checkpoint holds it."""
    a, b = m.a.model.buffers, m.b.model.buffers
    for name, state in a.items():
        new = b.get(name)
        if new is None:
            yield Change("params", "state", name, m.a.place(state.span), None, _state_text(m.a, state), None)
        elif m.whole[0].states[name] != m.whole[1].states[name] and m.cut[0].states[name] != m.cut[1].states[name]:
            texts = _state_text(m.a, state), _state_text(m.b, new)
            numbers = _state_numbers(state), _state_numbers(new)
            shown = m.shown(texts, numbers) or (*numbers, "")
            yield Change("semantic", "state", name, *m.places(state.span, new.span), *shown)
    for name, state in b.items():
        if name not in a:
            yield Change("params", "state", name, None, m.b.place(state.span), None, _state_text(m.b, state))


def _state_text(side: Side, state: ModelState) -> str:
    """``m[d] = 0, m[d] <- 0.9 * m[d] + ..``."""
    return f"{side.text(state.span)}, {side.text(state.update_span)}"


def _state_numbers(state: ModelState) -> str:
    return f"{state.tensor.written()} = {written(state.init)}, {written(state.update)}"


def _tables(m: Match) -> Iterator[Change]:
    """Tables that differ, where anything does (else their entries do not reach what is compared)."""
    if m.agree and m.start:
        return
    pairs = {old: new for new, old in m.tables.items()}
    for name, tensor in m.a.tables.items():
        new = pairs.get(name)
        if new is None:
            yield Change("semantic", "table", name, m.a.place(tensor.span), None, _entries(m.a, name), None)
        elif m.table(m.a, Names(), name) != m.table(m.b, m.names, new):
            places = m.places(tensor.span, m.b.tables[new].span)
            yield Change("semantic", "table", new, *places, _entries(m.a, name), _entries(m.b, new))
    for name, tensor in m.b.tables.items():
        if name not in m.tables:
            yield Change("semantic", "table", name, None, m.b.place(tensor.span), None, _entries(m.b, name))


def _entries(side: Side, name: str) -> str:
    return f"{side.tables[name].written()} = {side.lets[name]}"


def param_text(side: Side, param: Param) -> str:
    """The declaration in one line."""
    domain = "" if param.domain == "real" else f" in {domain_text(param)}"
    init = "" if param.init is None else f" init {init_text(side, param)}"
    support = f" {param.support.written}" if param.support is not None else ""
    frozen = " frozen" if param.frozen else ""
    return f"{param.tensor.written()}{domain} ~ {param.prior.written}{init}{support}{frozen}"
