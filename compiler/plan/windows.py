"""Windows and folds in torch, and the convolutions that they are part of.

    contract(window(window(x, row'), col'), K) summed over the kernel's indices and channels   ->   F.conv2d
    fold(fold(contract(K, g)))                                                                  ->   F.conv_transpose2d

Values remember what they are windows (or folds) of; a product that fits takes the source instead.  What does not fit,
an index of the kernel in two windows, say, is computed from the windows as any other product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..graph.node import Node, Pool
from .layout import Layout
from .sizes import count, size
from .tree import Call, Code, Lit, Method, Row
from .value import Folded, Part, Val, Windowed, reorder


def window(pool: Pool, layout: Layout, node: Node, x: Val) -> Val:
    """x with one of its axes read at the positions of a window."""
    part = Part(node.attr("axis"), node.attr("terms"), node.attr("offset"))
    dim = x.axes.index(part.axis)
    terms = tuple(Row((size(pool, index), Lit(factor))) for index, factor in part.terms)
    code = Call("rt.window", (x.code, Lit(dim), Row(terms), Lit(part.offset)))
    axes = (*x.axes[:dim], *(index for index, _ in part.terms), *x.axes[dim + 1 :])
    source = x.windowed or Windowed(x, ())
    made = Val(code, axes, x.dtype, windowed=replace(source, parts=(*source.parts, part)))
    return reorder(made, layout.order(axes))


def fold(pool: Pool, layout: Layout, node: Node, x: Val) -> Val:
    """The adjoint: entries are added where their window read them."""
    part = Part(node.attr("axis"), node.attr("terms"), node.attr("offset"))
    indices = tuple(index for index, _ in part.terms)
    rest = tuple(a for a in x.axes if a not in indices)
    moved = reorder(x, (*rest, *indices))
    terms = tuple(Row((size(pool, index), Lit(factor))) for index, factor in part.terms)
    code: Code = Call("rt.fold", (moved.code, Row(terms), Lit(part.offset), size(pool, part.axis)))
    axes = (*rest, part.axis)
    folded = Folded(x.product, (part,)) if x.product is not None else None
    if x.folded is not None:
        folded = Folded(x.folded.product, (*x.folded.parts, part))
    made = Val(code, axes, node.dtype, folded=folded)
    whole = _transposed(pool, folded) if folded is not None else None
    if whole is not None:
        made = replace(whole, folded=folded)  # a further fold may take all axes at once
    return reorder(made, layout.order(made.axes))


@dataclass(frozen=True, slots=True)
class _Along:
    """One spatial axis of a convolution: of the input, of the output and of the kernel, stride, dilation, padding."""

    axis: str
    out: str
    kernel: str
    stride: int
    dilation: int
    before: int
    after: int


def convolution(pool: Pool, a: Val, b: Val, sums: frozenset[str]) -> Val | None:
    """The product of two values summed over ``sums`` as a convolution, if one holds windows and the rest fits."""
    for x, kernel in ((a, b), (b, a)):
        if x.windowed is not None and kernel.dtype == x.dtype == "real" and not kernel.host:
            found = _convolved(pool, x.windowed, kernel, sums)
            if found is not None:
                return found
    return None


def _along(pool: Pool, part: Part, kernel: frozenset[str], out: frozenset[str]) -> _Along | None:
    """The geometry of one windowed axis; None unless it has one index of the output and one of the kernel."""
    if len(part.terms) != 2:
        return None
    (first, second) = part.terms
    if first[0] in kernel:
        first, second = second, first
    if first[0] not in out or second[0] not in kernel or first[1] < 1 or second[1] < 1:
        return None
    sizes = [pool.size(name) for name in (part.axis, first[0], second[0])]
    n, outs, taps = (s if isinstance(s, int) else 0 for s in sizes)
    if not (n and outs and taps):
        return None
    last = first[1] * (outs - 1) + second[1] * (taps - 1) + part.offset
    return _Along(part.axis, first[0], second[0], first[1], second[1], -part.offset, last - (n - 1))


def _convolved(pool: Pool, windowed: Windowed, kernel: Val, sums: frozenset[str]) -> Val | None:
    source, inside = windowed.source, frozenset(kernel.axes)
    indices = frozenset(index for part in windowed.parts for index, _ in part.terms)
    every = (frozenset(source.axes) | indices) - {p.axis for p in windowed.parts}
    taps, outs = sums & indices & inside, indices - sums - inside
    if len({p.axis for p in windowed.parts}) < len(windowed.parts) or sums - (every & inside):
        return None
    found = [_along(pool, part, taps, outs) for part in windowed.parts]
    along = [a for a in found if a is not None]
    if len(along) < len(found) or len(along) > 2 or len(taps) + len(outs) != len(indices):
        return None
    plain = [a for a in source.axes if a not in {p.axis for p in windowed.parts}]
    channels = tuple(a for a in plain if a in sums)
    groups = tuple(a for a in plain if a in inside and a not in sums)
    batch = tuple(a for a in plain if a not in inside)
    filters = tuple(a for a in kernel.axes if a not in taps and a not in channels and a not in groups)
    if set(filters) & every:
        return None
    x = _merged(pool, source, (batch, (*groups, *channels), *((a.axis,) for a in along)))
    weight = _merged(pool, kernel, ((*groups, *filters), channels, *((a.kernel,) for a in along)))
    padding = [a.before if a.before == a.after >= 0 else None for a in along]
    if None in padding:
        pads = tuple(Lit(p) for a in reversed(along) for p in (a.before, a.after))
        x, padding = Call("F.pad", (x, Row(pads))), [0] * len(along)
    named = _settings(stride=[a.stride for a in along], padding=padding, dilation=[a.dilation for a in along])
    if groups:
        named = (*named, ("groups", count(pool, groups)))
    code: Code = Call(f"F.conv{len(along)}d", (x, weight), named)
    axes = (*batch, *groups, *filters, *(a.out for a in along))
    return _split(pool, code, axes, (batch, (*groups, *filters), *((a.out,) for a in along)))


def _transposed(pool: Pool, folded: Folded) -> Val | None:
    """The gradient of a convolution by its input: a product of kernel and cotangent, folded along every axis."""
    a, b, sums = folded.product
    indices = frozenset(index for part in folded.parts for index, _ in part.terms)
    for kernel, g in ((a, b), (b, a)):
        taps, outs = indices & frozenset(kernel.axes), indices & frozenset(g.axes)
        if (
            taps & outs
            or len(taps) + len(outs) != len(indices)
            or not sums <= frozenset(kernel.axes) & frozenset(g.axes)
        ):
            continue
        found = [_along(pool, part, taps, outs) for part in folded.parts]
        along = [x for x in found if x is not None]
        if len(along) < len(found) or not 1 <= len(along) <= 2 or len(taps) != len(along):
            continue
        filters = tuple(x for x in g.axes if x in sums)
        groups = tuple(x for x in g.axes if x in kernel.axes and x not in sums)
        batch = tuple(x for x in g.axes if x not in kernel.axes and x not in outs)
        channels = tuple(x for x in kernel.axes if x not in taps and x not in g.axes)
        extra = [(a.before if a.before >= 0 else 0, a.after) for a in along]
        if any(a.before < 0 for a in along):
            continue
        x = _merged(pool, g, (batch, (*groups, *filters), *((a.out,) for a in along)))
        weight = _merged(pool, kernel, ((*groups, *filters), channels, *((a.kernel,) for a in along)))
        more = [before - after for before, after in extra]
        if any(m < 0 or m >= max(a.stride, a.dilation) for m, a in zip(more, along, strict=True)):
            continue
        named = _settings(
            stride=[a.stride for a in along], padding=[a.before for a in along], dilation=[a.dilation for a in along]
        )
        if any(more):
            named = (*named, *_settings(output_padding=more))
        if groups:
            named = (*named, ("groups", count(pool, groups)))
        code = Call(f"F.conv_transpose{len(along)}d", (x, weight), named)
        axes = (*batch, *groups, *channels, *(a.axis for a in along))
        return _split(pool, code, axes, (batch, (*groups, *channels), *((a.axis,) for a in along)))
    return None


def _settings(**given: Sequence[int | None]) -> tuple[tuple[str, Code], ...]:
    """Settings of a convolution that are not the default, a number where all axes agree."""
    default = {"stride": 1, "padding": 0, "dilation": 1, "output_padding": 0}
    found: list[tuple[str, Code]] = []
    for name, values in given.items():
        numbers = tuple(v or 0 for v in values)
        if any(v != default[name] for v in numbers):
            found.append((name, Lit(numbers[0] if len(set(numbers)) == 1 else numbers)))
    return tuple(found)


def _merged(pool: Pool, value: Val, groups: Sequence[tuple[str, ...]]) -> Code:
    """A value with one dimension per group."""
    code = reorder(value, tuple(a for g in groups for a in g)).code
    if all(len(g) == 1 for g in groups):
        return code
    return Method(code, "reshape", tuple(count(pool, g) for g in groups))


def _split(pool: Pool, code: Code, axes: tuple[str, ...], groups: Sequence[tuple[str, ...]]) -> Val:
    """The result with its merged dimensions taken apart."""
    if not all(len(g) == 1 for g in groups):
        code = Method(code, "reshape", tuple(size(pool, a) for a in axes))
    return Val(code, axes, "real")
