"""Axes that end per example: ``t = length`` in a data block (language, 2).

The lengths are an input of their own, under the axis's name: one whole number per example.
"""

from __future__ import annotations

from ..diagnostics import Findings, Note
from . import nodes as syntax
from .model import Input, Model, Tensor
from .scope import Scope


def read_lengths(body: tuple[syntax.Stmt, ...], model: Model, scope: Scope, findings: Findings) -> None:
    """Find the axes that the data block gives lengths to; ``scope.ragged`` and ``model.inputs`` know them afterwards."""
    block = next((s for s in body if isinstance(s, syntax.DataBlock)), None)
    for line in block.lines if block else ():
        if not isinstance(line, syntax.DataColumn) or line.name not in scope.axes or line.name in scope.ragged:
            continue
        if _may_end(line, model, scope, findings):
            scope.ragged.add(line.name)
            tensor = Tensor(line.name, "input", (), (), "int", None, True, line.name_span)
            model.inputs[line.name] = Input(tensor, "length")
        else:
            scope.broken_lengths.add(line.name)


def _may_end(line: syntax.DataColumn, model: Model, scope: Scope, findings: Findings) -> bool:
    """Only an axis whose size the data decides may end per example, and some input must have it."""
    name, axis = line.name, scope.axes[line.name]
    declared = Note(f"`{name}` is declared here", axis.span)
    if axis.leaves != (name,):
        parts = ", ".join(f"`{leaf}`" for leaf in axis.leaves)
        findings.error(
            "E0611",
            f"`{name}` is a product; its parts {parts} may end per example, each by itself",
            line.name_span,
            notes=[declared],
            help=f"give the length of a part: {axis.leaves[0]} = ..",
        )
        return False
    if axis.size is not None:
        given = f"`--set {name}={axis.size}` gives" if scope.axis_items[name].value is None else "its declaration gives"
        findings.error(
            "E0611",
            f"`{name}` cannot end per example: {given} it the size {axis.size}",
            line.name_span,
            notes=[declared],
            help=f"leave the size to the data: axis {name}",
        )
        return False
    if not any(name in item.tensor.leaves for item in model.inputs.values()):
        findings.error(
            "E0611",
            f"no input has the axis `{name}`, so nothing ends at its lengths",
            line.name_span,
            notes=[declared],
            help=f"declare an input over it: input x[{name}]",
        )
        return False
    return True
