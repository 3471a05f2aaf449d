"""The cost of a module's routines: emitted code run on the abstract machine, added up by place, by phase and in all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..frontend.model import Model, Tensor
from ..graph.node import BATCH
from ..plan.tables import slots
from ..plan.tree import ModulePlan
from .machine import Array, Machine, Storage, Tally, strides
from .poly import ZERO, Poly, number, product, symbol
from .walk import Walker

ROLES: tuple[str, ...] = ("parameters", "states", "inputs", "activations", "gradients", "updates", "workspace")
"""What memory is for.  ``activations``, ``gradients`` and ``updates`` are what the forward, backward and update phases give
a name to; ``workspace`` is all that has none at the time."""

_BOUND = {"forward": "activations", "backward": "gradients", "update": "updates", "": "activations"}
_WIDTHS = {"float32": 4, "float64": 8}


@dataclass(frozen=True, slots=True)
class Account:
    """One routine.  ``places``: (place, phase) -> counts; ``memory``: role -> bytes alive at the peak, at the sizes given;
    ``held``: the same by place for what the routine itself allocated."""

    places: dict[tuple[str, str], Tally]
    memory: dict[str, Poly]
    held: dict[str, Poly]
    peak: int
    peak_place: str

    @property
    def total(self) -> Tally:
        """Everything together."""
        return self._grouped(lambda place, phase: "").get("", Tally())

    def by_phase(self) -> dict[str, Tally]:
        """By phase of the step; what belongs to none (results put into shape) counts as forward."""
        return self._grouped(lambda place, phase: phase or "forward")

    def by_place(self) -> dict[str, Tally]:
        """By line of the spec."""
        return self._grouped(lambda place, phase: place)

    def _grouped(self, key: Callable[[str, str], str]) -> dict[str, Tally]:
        found: dict[str, Tally] = {}
        for where, tally in self.places.items():
            found.setdefault(key(*where), Tally()).add(tally)
        return found


def symbols(model: Model) -> list[str]:
    """The sizes that only the data decides: the batch, and axes bound by it."""
    return [BATCH, *(a.name for a in model.axes.values() if a.size is None and a.leaves == (a.name,))]


class Accountant:
    """Runs the routines of one plan.

    Args:
        model: the typed model.
        plan: its plan, traced.
        sizes: a size for each of :func:`symbols`, where memory is compared.
        dtype: ``float32`` or ``float64``.
    """

    def __init__(self, model: Model, plan: ModulePlan, sizes: Mapping[str, int], dtype: str) -> None:
        self.model = model
        self.routines = {r.name: r for r in plan.routines}
        self.sizes = sizes
        self.tensors = {path: p.tensor for path, p in model.params.items()} | model.states()
        self.widths = {"real": _WIDTHS[dtype], "double": 8, "int": 8, "bool": 1}

    def size(self, axis: str) -> Poly:
        """The size of a declared axis (primed or not)."""
        leaves = self.model.axes[axis.rstrip("'")].leaves
        known = [self.model.axes[leaf].size for leaf in leaves]
        return product(symbol(leaf) if n is None else number(n) for leaf, n in zip(leaves, known, strict=True))

    def entries(self, path: str) -> Poly:
        """How many numbers a parameter or state holds, those of all replicas together."""
        return product(map(self.size, self.tensors[path].declared)) * (self.model.replicas or 1)

    def run(self, routine: str, *, tidy: bool = False) -> Account:
        """The account of a routine of the plan (``_step``), or of ``forward``: all outputs.

        ``tidy``: as if every local were given back after its last reader.
        """
        machine = Machine(self.widths, self.sizes)
        stored = {row["path"]: self._stored(machine, row) for row in slots(self.model)}
        inputs = {name: self._input(machine, item.tensor) for name, item in self.model.inputs.items()}
        walker = Walker(machine, self.routines, stored, inputs, BATCH, self.model.replicas or 0, tidy=tidy)
        if routine == "forward":
            walker.read(self.model.outputs)
        else:
            walker.run(routine)
        return _account(machine)

    def _stored(self, machine: Machine, row: Mapping[str, object]) -> Array:
        role = "parameters" if row["role"] == "param" else "states"
        return self._leaf(machine, self.tensors[str(row["path"])], "real", role, batched=False)

    def _input(self, machine: Machine, tensor: Tensor) -> Array:
        return self._leaf(machine, tensor, tensor.dtype, "inputs", batched=True)

    def _leaf(self, machine: Machine, tensor: Tensor, dtype: str, role: str, *, batched: bool) -> Array:
        shape = [number(self.model.replicas)] if self.model.replicas else []
        shape += [symbol(BATCH)] if batched else []
        shape += [self.size(a) for a in tensor.declared]
        array = machine.new(shape, dtype, role=role)
        return Array(array.shape, strides(array.shape), dtype, array.storage)


def _account(machine: Machine) -> Account:
    """What the machine counted, and what was alive when memory was at its peak."""
    at = machine.peak_at
    alive = [s for s in machine.storages if s.born <= at and (s.died is None or s.died >= at)]
    memory = dict.fromkeys(ROLES, ZERO)
    memory["workspace"] = machine.peak_work
    held: dict[str, Poly] = {}
    for s in alive:
        memory[_role(s, at)] += s.size
        if s.role == "temporary":
            held[s.place] = held.get(s.place, ZERO) + s.size
    own = [s for s in alive if s.role == "temporary"]
    last = max(own, key=lambda s: s.born, default=None)
    return Account(machine.tallies, memory, held, machine.peak, last.place if last is not None else "")


def _role(held: Storage, at: int) -> str:
    if held.role != "temporary":
        return held.role
    return _BOUND[held.phase] if held.bound is not None and held.bound <= at else "workspace"
