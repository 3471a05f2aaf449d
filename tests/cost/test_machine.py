"""Views and memory orders of the abstract machine against torch, and the life of memory."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dltc.compiler.cost.forms import OPERATORS
from dltc.compiler.cost.machine import Array, Machine, viewed
from dltc.compiler.cost.poly import number
from dltc.compiler.cost.values import Args

WIDTHS = {"real": 4, "double": 8, "int": 8, "bool": 1}


@st.composite
def views(draw: st.DrawFn, dims: int | None = None) -> torch.Tensor:
    """A tensor with permuted, sliced away and repeated dimensions, none of size 1 but the repeated ones."""
    count = dims or draw(st.integers(1, 4))
    sizes = [draw(st.integers(2, 4)) for _ in range(count)]
    tensor = torch.zeros([*sizes, 2]).select(-1, 0) if draw(st.booleans()) else torch.zeros(sizes)
    tensor = tensor.permute(*draw(st.permutations(range(count))))
    for dim in range(count):
        if draw(st.integers(0, 4)) == 0:
            tensor = tensor.narrow(dim, 0, 1).expand_as(tensor)
    return tensor


def array_of(machine: Machine, tensor: torch.Tensor) -> Array:
    fresh = machine.new([number(n) for n in tensor.shape], "real")
    return Array(fresh.shape, tuple(map(number, tensor.stride())), "real", fresh.storage)


def steps(array: Array) -> list[int]:
    """The strides of dimensions with more than one entry."""
    return [s.at({}) for s, n in zip(array.strides, array.shape, strict=True) if n.at({}) > 1]


@given(views(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_reshape_is_a_view_where_torch_can_view(tensor: torch.Tensor, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, max(tensor.dim() - 1, 1)))) & set(range(1, tensor.dim())))
    groups = list(pairwise([0, *cuts, tensor.dim()]))
    shape = [int(torch.tensor(tensor.shape[a:b]).prod()) for a, b in groups]
    if data.draw(st.booleans()):
        shape.insert(data.draw(st.integers(0, len(shape))), 1)
    found = viewed(array_of(Machine(WIDTHS, {}), tensor), [number(n) for n in shape])
    try:
        wanted = tensor.view(shape)
    except RuntimeError:
        assert found is None
        return
    assert found is not None
    assert steps(found) == [s for s, n in zip(wanted.stride(), shape, strict=True) if n > 1]


@given(views(3), views(3), st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_a_result_lies_in_memory_as_torch_lays_it(a: torch.Tensor, b: torch.Tensor, dim: int) -> None:
    """Operands in any order, one of them without some dimension."""
    b = b[tuple(slice(0, 1) if k == dim else slice(None) for k in range(3))]
    sizes = [min(m, n) if n > 1 else m for m, n in zip(a.shape, b.shape, strict=True)]
    a = a[tuple(slice(0, n) for n in sizes)]
    b = b[tuple(slice(0, n if k != dim else 1) for k, n in enumerate(sizes))]
    machine = Machine(WIDTHS, {})
    found = OPERATORS["+"](machine, Args((array_of(machine, a), array_of(machine, b))))
    wanted = a + b
    assert isinstance(found, Array)
    assert steps(found) == [s for s, n in zip(wanted.stride(), wanted.shape, strict=True) if n > 1]


def test_memory_is_given_back_by_its_last_holder() -> None:
    machine = Machine(WIDTHS, {"n": 5})
    first = machine.new([number(10)], "real")
    machine.retain(first)
    machine.release(first)
    assert (machine.live, first.storage.died) == (40, None)
    second = machine.new([number(10)], "double")
    machine.release(first)
    machine.work(number(30))
    assert (machine.live, machine.peak) == (80, 120)
    machine.work(number(41))
    assert (machine.peak, machine.peak_work) == (121, number(41))
    assert first.storage.died is not None
    assert first.storage.died < machine.peak_at
    assert second.storage.died is None
