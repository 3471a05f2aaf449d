"""A typed model as a sketch: one item per declaration and statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..diagnostics import Source, Span
from ..frontend.model import Dist, Expr, Model, Tensor
from ..frontend.typed_walk import reads, written
from .sketch import Item, Link, Sketch, boxes, lines, typed


def sketch_model(model: Model, title: str, sources: Mapping[str, Source]) -> Sketch:
    """Inputs, parameters, states, latents, equations, densities and measures, linked by what reads what."""
    return _Drawer(model, sources).sketch(title)


class _Drawer:
    def __init__(self, model: Model, sources: Mapping[str, Source]) -> None:
        self.model = model
        self.sources = sources
        self.items: dict[str, Item] = {}
        self.links: list[Link] = []
        names = [*model.inputs, *model.params, *model.buffers, *model.latents, *model.values]
        self.box = boxes(names)
        self.fixed = {name: tensor for name, (tensor, _) in model.tables.items()}
        self.fixed |= {name: value.tensor for name, value in model.formulas.items()}

    def sketch(self, title: str) -> Sketch:
        self._declarations()
        self._statements()
        self._measures()
        caption = f"{len(self.items)} declarations and statements"
        return Sketch.of(title, caption, self.items.values(), self.links)

    def _add(
        self, key: str, kind: str, name: str, type: str, notes: Iterable[str], spans: Iterable[Span], **more: bool
    ) -> None:
        told = (*notes, *lines(spans, self.sources, self.model.span.file))
        self.items[key] = Item(key, name, kind, type, told, self.box(key.removeprefix("next ")), **more)

    def _tensor(self, tensor: Tensor, kind: str, notes: Iterable[str], **more: bool) -> None:
        self._add(tensor.name, kind, tensor.name, self._type(tensor), notes, [tensor.span], **more)

    def _type(self, tensor: Tensor) -> str:
        axes = (*(["batch"] if tensor.batched else []), *tensor.declared)
        return typed(axes, self._size, tensor.dtype)

    def _size(self, index: str) -> int | str:
        axis = self.model.axes.get(index.rstrip("'"))
        return axis.size if axis is not None and axis.size is not None else index

    def _reads(self, target: str, expressions: Iterable[Expr]) -> None:
        for read in reads([*expressions]):
            tensor = read.tensor
            if tensor.name in self.fixed and tensor.name not in self.items:
                self._tensor(tensor, "const", ())
                formula = self.model.formulas.get(tensor.name)
                self._reads(tensor.name, [formula.expr] if formula is not None else [])
            if tensor.name in self.items or tensor.name in self.model.values:
                self.links.append(Link(tensor.name, target, self._type(tensor)))

    def _declarations(self) -> None:
        model = self.model
        for item in model.inputs.values():
            self._tensor(item.tensor, "input", [*item.doc.splitlines()], output=item.tensor.name in model.outputs)
        for path, param in model.params.items():
            rule = model.rules.get(path)
            learned = f"learn {rule.written}" if rule is not None else "frozen" if param.frozen else ""
            layout = param.support.written if param.support is not None else ""
            notes = [f"in {param.domain_text} ~ {_dist(param.prior)}", layout, learned, *param.doc.splitlines()]
            self._tensor(param.tensor, "param", filter(None, notes), output=path in model.outputs)
        for state in model.buffers.values():
            self._tensor(state.tensor, "state", [f"starts at {written(state.init)}"])
        for latent in model.latents.values():
            found = latent.inference
            how = (found.rule.written if found.rule is not None else found.how) if found is not None else ""
            notes = [f"infer {how}"] if how else []
            spans = [latent.tensor.span, latent.found_at]
            name = latent.tensor.name
            self._add(name, "latent", name, self._type(latent.tensor), notes, spans, output=name in model.outputs)

    def _statements(self) -> None:
        model = self.model
        for name, value in model.values.items():
            kind = "measure" if value.probe else "value"
            self._tensor(value.tensor, kind, [f"{name} = {written(value.expr)}"], output=name in model.outputs)
        for recurrence in model.recurrences:
            for r in recurrence.everywhere():
                for name, start in r.starts.items():
                    self._reads(name, [start])
        for name, value in model.values.items():
            self._reads(name, [value.expr])
        for path, param in model.params.items():
            init = param.init
            starts = [*init.args.values()] if isinstance(init, Dist) else [init] if init is not None else []
            power = [param.power] if param.power is not None else []
            self._reads(path, [*param.prior.args.values(), *starts, *power])
        for name, state in model.buffers.items():
            self._add(f"next {name}", "update", f"{name} <-", self._type(state.tensor), [], [state.update_span])
            self._reads(f"next {name}", [state.update])
        for k, term in enumerate(model.terms):
            key = f"term {k}"
            notes = [f"{term.kind}: {written(term.target)} ~ {_dist(term.dist)}"]
            name = f"{term.target.tensor.name} ~ {term.dist.name}"
            self._add(key, "density", name, "", notes, [term.span])
            power = [term.power] if term.power is not None else []
            self._reads(key, [term.target, *term.dist.args.values(), *power])
        for name, latent in model.latents.items():
            guide = latent.inference.guide if latent.inference is not None else None
            if guide is not None:
                key = f"guide {name}"
                self._add(key, "density", f"{name} ~ {guide.name}", "", ["guide"], [latent.found_at])
                self._reads(key, guide.args.values())
                self.links.append(Link(key, name, self._type(latent.tensor)))

    def _measures(self) -> None:
        model = self.model
        for key, expressions, span in self._measured():
            self._add(f"measure {key}", "measure", key, "", [], [span] if span is not None else [])
            self._reads(f"measure {key}", expressions)
            if not expressions:  # nll: of the likelihood terms
                likelihood = [k for k, term in enumerate(model.terms) if term.kind == "likelihood"]
                self.links += [Link(f"term {k}", f"measure {key}") for k in likelihood]
        for k, assertion in enumerate(model.asserts):
            self._add(f"assert {k}", "measure", f"assert {assertion.text}", "", [], [assertion.span])
            self._reads(f"assert {k}", [e for n in range(len(assertion.operands)) for _, e in assertion.stats(n)])

    def _measured(self) -> Iterator[tuple[str, list[Expr], Span | None]]:
        for metric in self.model.measures():
            yield metric.key, [e for _, e in metric.stats], metric.span


def _dist(dist: Dist) -> str:
    return f"{dist.name}({', '.join(f'{k} = {written(v)}' for k, v in dist.args.items())})"
