"""The tables an emitted module carries: its state, inputs, values and metrics.  The manifest holds the same facts."""

from __future__ import annotations

from math import prod
from typing import Any

from ..frontend.model import Model, Tensor
from ..graph.joint import joint
from .routine import local_name
from .tree import Attribute, Call, Code, Lit, Row, Table


def shape(model: Model, tensor: Tensor) -> list[int | None]:
    """Sizes of the declared axes, None where the data decides."""
    return [model.axes[name.rstrip("'")].size for name in tensor.declared]


def stored_axes(model: Model, tensor: Tensor) -> list[str]:
    """The axes of a parameter or state as it is stored: its declared ones, the replicas first."""
    return (["replica"] if model.replicas else []) + list(tensor.declared)


def stored_shape(model: Model, tensor: Tensor) -> list[int | None]:
    """The sizes of :func:`stored_axes`."""
    return ([model.replicas] if model.replicas else []) + shape(model, tensor)


def slots(model: Model) -> list[dict[str, Any]]:
    """Every persistent tensor: path, role, axes, shape, dtype, support (and domain, frozen of parameters)."""
    rows: list[dict[str, Any]] = []
    for path, param in model.params.items():
        tensor = param.tensor
        row = {"path": path, "role": "param", "axes": stored_axes(model, tensor), "shape": stored_shape(model, tensor)}
        dtype, support = tensor.dtype, "dense" if param.support is None else "pattern"
        rows.append({**row, "domain": param.domain_text, "frozen": param.frozen, "dtype": dtype, "support": support})
    roles = {f"{path}@sign": "domain" for path, param in model.params.items() if param.signs is not None}
    roles |= {f"{path}@mask": "support" for path, param in model.params.items() if param.support is not None}
    roles |= dict.fromkeys(model.buffers, "state")
    for path, tensor in model.states().items():
        row = {"path": path, "role": roles.get(path, "rule"), "axes": stored_axes(model, tensor)}
        rows.append({**row, "shape": stored_shape(model, tensor), "dtype": "real", "support": "dense"})
    return rows


def inputs(model: Model) -> list[dict[str, Any]]:
    """Every input: name, axes, shape (None where the data decides), kind, number of labels."""
    rows: list[dict[str, Any]] = []
    for item in model.inputs.values():
        tensor = item.tensor
        row: dict[str, Any] = {
            "name": tensor.name,
            "axes": list(tensor.declared),
            "shape": shape(model, tensor),
            "kind": item.kind,
        }
        if tensor.label is not None:
            row |= {
                "labels": model.axes[tensor.label].size,
                "axis": tensor.label,
                "first": model.axes[tensor.label].low,
            }
        if ends(model, tensor):
            row["ends"] = ends(model, tensor)
        support = _support(model, tensor.name)
        if support is not None:
            row["support"] = support
        rows.append(row)
    return rows


_SUPPORT: dict[str, tuple[float, bool, float | None]] = {
    "Poisson": (0.0, False, None),
    "LogNormal": (0.0, True, None),
    "HalfNormal": (0.0, False, None),
    "Gamma": (0.0, False, None),
    "Exponential": (0.0, False, None),
    "Beta": (0.0, False, 1.0),
    "Dirichlet": (0.0, False, 1.0),
}
"""Where a distribution's variable lies: the lower end, whether it is left out, and the upper end."""


def _support(model: Model, name: str) -> list[float | bool | str | None] | None:
    """Where the density of an input lets its values lie, with the density's name; only one that counts every value."""
    for term in model.terms:
        whole = term.kind == "likelihood" and term.target.tensor.name == name and term.power is None
        if whole and term.dist.name in _SUPPORT and not model.ragged():
            return [*_SUPPORT[term.dist.name], term.dist.name]
    return None


def ends(model: Model, tensor: Tensor) -> list[list[int | str]]:
    """The axes of a tensor that end per example: dimension, axis, and the entries before and after it in a product."""
    rows: list[list[int | str]] = []
    for dim, name in enumerate(tensor.declared):
        leaves = model.axes[name.rstrip("'")].leaves
        for k, leaf in enumerate(leaves):
            if leaf in model.ragged():
                sizes = [model.axes[other].size or 1 for other in leaves]
                rows.append([dim, leaf, prod(sizes[:k]), prod(sizes[k + 1 :])])
    return rows


def metrics(model: Model) -> list[dict[str, Any]]:
    """Every metric of the report: key, how to finish it, the statistics it needs."""
    if model.train is None:
        return []
    return [{"key": m.key, "kind": m.kind, "stats": [s for s, _ in m.stats] or [m.key]} for m in model.train.metrics]


def probes(model: Model) -> dict[str, list[str]]:
    """Every probe with its axes."""
    return {key: list(p.tensor.declared) for key, p in model.probes.items()}


def tables(model: Model) -> tuple[Attribute, ...]:
    """The class attributes."""
    values = {name: list(v.tensor.declared) for name, v in model.values.items()}
    return (
        Attribute("STATE", Row(tuple(_slot(row) for row in slots(model)))),
        Attribute("INPUTS", Row(tuple(_input(row) for row in inputs(model)))),
        Attribute("VALUES", _dict(values)),
        Attribute("OUTPUTS", Lit(tuple(model.outputs))),
        Attribute("METRICS", Row(tuple(_metric(row) for row in metrics(model)))),
        Attribute("PROBES", _dict(probes(model))),
        Attribute("TRAINABLE", Lit(model.learns)),
        *(_joint(model) if model.sampling else ()),
        *((Attribute("REPLICAS", Lit(model.replicas)),) if model.replicas else ()),
    )


def _joint(model: Model) -> tuple[Attribute, ...]:
    """Which inputs can be drawn, in order, by which routine; and why the others must be given."""
    found = joint(model)
    routines = {name: f"_sample_{local_name(name)}" for name in found.order}
    return (
        Attribute("SAMPLES", Table(tuple((name, Lit(routine)) for name, routine in routines.items()))),
        Attribute("GIVEN", Table(tuple((name, Lit(why)) for name, why in found.given.items()))),
    )


def _slot(row: dict[str, Any]) -> Code:
    named: list[tuple[str, Code]] = []
    if row["role"] == "param":
        named.append(("domain", Lit(row["domain"])))
        if row["frozen"]:
            named.append(("frozen", Lit(True)))
    if row["dtype"] != "real":
        named.append(("dtype", Lit(row["dtype"])))
    args = (Lit(row["path"]), Lit(row["role"]), Lit(tuple(row["axes"])), Lit(tuple(row["shape"])))
    return Call("rt.Slot", args, tuple(named))


def _input(row: dict[str, Any]) -> Code:
    named: tuple[tuple[str, Code], ...] = ()
    if row.get("labels") is not None:
        named += (("labels", Lit(row["labels"])),)
    if row.get("first"):
        named += (("first", Lit(row["first"])),)
    if "ends" in row:
        named += (("ends", Row(tuple(Call("rt.End", tuple(map(Lit, end))) for end in row["ends"]))),)
    sizes = Row(tuple(Lit(s) for s in row["shape"]))
    return Call("rt.Input", (Lit(row["name"]), Lit(tuple(row["axes"])), sizes, Lit(row["kind"])), named)


def _metric(row: dict[str, Any]) -> Code:
    return Call("rt.Metric", (Lit(row["key"]), Lit(row["kind"]), Lit(tuple(row["stats"]))))


def _dict(rows: dict[str, list[str]]) -> Code:
    return Table(tuple((name, Lit(tuple(axes))) for name, axes in rows.items()))
