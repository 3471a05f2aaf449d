"""``manifest.json``: what the module is, for programs that do not want to read Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..diagnostics import Source
from ..frontend.model import Model, Watch
from ..graph.node import Graph
from .tables import inputs, metrics, probes, slots, stored_axes, stored_shape


def manifest(model: Model, graphs: tuple[Graph, Graph], sources: Mapping[str, Source]) -> dict[str, Any]:
    """The model's part of the manifest (versions, hashes and the command are the pipeline's)."""
    needs = any(node.op == "examples" for graph in graphs for node in graph.topological())
    train = model.train
    return {
        "model": model.name,
        "module": f"{model.name.lower()}.py",
        "dtype": train.dtype if train else "float32",
        "axes": {a.name: a.size for a in model.axes.values()},
        "inputs": inputs(model),
        "parameters": _parameters(model),
        "state": slots(model),
        "values": {name: list(v.tensor.declared) for name, v in model.values.items()},
        "outputs": list(model.outputs),
        "metrics": metrics(model),
        "probes": list(probes(model)),
        "replicas": model.replicas,
        "needs_examples": needs,
        "data": _data(model),
        "train": _train(model),
    }


def _parameters(model: Model) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path, param in model.params.items():
        rule = model.rules[path].written if path in model.rules else None
        rows.append(
            {
                "path": path,
                "axes": stored_axes(model, param.tensor),
                "shape": stored_shape(model, param.tensor),
                "domain": param.domain_text,
                "prior": param.prior.written,
                "rule": rule,
                "frozen": param.frozen,
            }
        )
    return rows


def _data(model: Model) -> dict[str, Any] | None:
    data = model.data
    if data is None:
        return None
    found: dict[str, Any] = {"source": data.source, "columns": data.columns, "valid": data.valid, "test": data.test}
    return found if (axis := _tasks(model)) is None else {**found, "tasks": axis}


def _tasks(model: Model) -> dict[str, Any] | None:
    """The axis of the tasks: its labels, and the input that tells them apart (None: every row is there once a label)."""
    over = model.train.over if model.train is not None else None
    name = model.data.tasks if model.data is not None else None
    if over is None and name is None:
        return None
    axis = model.axes[name or over or ""]
    told = [n for n, item in model.inputs.items() if item.tensor.label == axis.name and not item.tensor.declared]
    return {"axis": axis.name, "first": axis.low, "labels": axis.size, "input": None if name else told[0]}


def _train(model: Model) -> dict[str, Any] | None:
    train = model.train
    if train is None or train.span is None:
        return None
    return {
        "batch": train.batch if train.batch is not None else "all",
        "epochs": train.epochs,
        "steps": train.steps,
        "seed": train.seed,
        "seeds": train.seeds,
        "report": [m["key"] for m in metrics(model)],
        "every": train.every,
        "clip": train.clip,
        "watch": _watch(train.watch),
        "begin": train.begin,
        "over": train.over,
        "replay": train.replay,
    }


def _watch(watch: Watch | None) -> dict[str, Any] | None:
    """The metric that decides when to stop and what to keep."""
    if watch is None:
        return None
    return {"metric": watch.metric, "higher": watch.higher, "patience": watch.patience, "keep": watch.keep}
