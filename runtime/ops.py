"""Operations with edges that torch's own do not have, or that take several calls: what emitted modules call ``rt.NAME``.

All work on plain tensors, on any device, and are differentiable by autograd where the operation is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from .errors import OutsideAxis

_linalg = cast(Any, torch.linalg)  # its functions carry no types
_where = cast(Any, torch.where)  # typed for tensors alone, works on numbers too


def expand(
    x: Tensor | float, shape: Sequence[int], present: Sequence[int], device: torch.device | str, dtype: torch.dtype
) -> Tensor:
    """A value at its declared shape: dimension k of ``x`` is dimension ``present[k]`` of the result, others repeat."""
    if not isinstance(x, Tensor):
        return torch.full(tuple(shape), x, dtype=dtype, device=device)
    x = x.to(dtype)
    view = [1] * len(shape)
    for size, position in zip(x.shape, present, strict=True):
        view[position] = size
    return x.reshape(view).expand(tuple(shape))


def flatten(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Move ``dims`` to the end and merge them into one."""
    rest = [d for d in range(x.dim()) if d not in dims]
    return x.permute(*rest, *dims).flatten(len(rest))


def max(x: Tensor, dims: Sequence[int]) -> Tensor:
    """The largest over ``dims``; its gradient goes to the lowest label of a tie (amax would share it)."""
    return flatten(x, dims).max(-1).values


def min(x: Tensor, dims: Sequence[int]) -> Tensor:
    """The smallest over ``dims``; its gradient goes to the lowest label of a tie."""
    return flatten(x, dims).min(-1).values


def prod(x: Tensor, dims: Sequence[int]) -> Tensor:
    """The product over ``dims``."""
    return flatten(x, dims).prod(-1)


def softmax(x: Tensor, dims: Sequence[int]) -> Tensor:
    """softmax over ``dims`` together; 0 where everything is -inf."""
    if len(dims) == 1 and not torch.isneginf(x).any():
        return torch.softmax(x, dims[0])
    top = x.amax(tuple(dims), keepdim=True)
    empty = torch.isneginf(top)
    e = torch.exp(torch.where(empty, -math.inf, x) - torch.where(empty, 0.0, top).detach())
    total = e.sum(tuple(dims), keepdim=True)
    return torch.where(empty, 0.0, e / torch.where(empty, 1.0, total))


def logsumexp(x: Tensor, dims: Sequence[int]) -> Tensor:
    """log sum exp over ``dims``; -inf with gradient 0 where everything is -inf."""
    empty = torch.isneginf(x.amax(tuple(dims)))
    if not empty.any():
        return torch.logsumexp(x, tuple(dims))
    safe = torch.where(empty.reshape(_kept(x, dims)), 0.0, x)
    return torch.where(empty, -math.inf, torch.logsumexp(safe, tuple(dims)))


def log_softmax(x: Tensor, dims: Sequence[int]) -> Tensor:
    """x - logsumexp(x) over ``dims`` together; -inf where everything is -inf."""
    if len(dims) == 1 and not torch.isneginf(x).any():
        return torch.log_softmax(x, dims[0])
    total = logsumexp(x, dims).reshape(_kept(x, dims))
    return torch.where(
        torch.isneginf(x),
        -math.inf,
        torch.where(torch.isneginf(x), 0.0, x) - torch.where(torch.isneginf(total), 0.0, total),
    )


def _kept(x: Tensor, dims: Sequence[int]) -> list[int]:
    return [1 if d in dims else s for d, s in enumerate(x.shape)]


def rank(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Place in descending order over ``dims`` (row-major), from 0; ties by lowest label."""
    rest = [d for d in range(x.dim()) if d not in dims]
    flat = flatten(x, dims)
    order = torch.sort(flat, dim=-1, descending=True, stable=True).indices
    places = torch.empty_like(order).scatter_(-1, order, torch.arange(flat.shape[-1], device=x.device).expand_as(order))
    back = [0] * x.dim()
    for position, d in enumerate([*rest, *dims]):
        back[d] = position
    return places.reshape([x.shape[d] for d in [*rest, *dims]]).permute(back)


def revcumsum(x: Tensor, dim: int) -> Tensor:
    """Cumulative sum from the end."""
    return x.flip(dim).cumsum(dim).flip(dim)


def scatter_add(x: Tensor, index: Tensor, size: int, kept: int, summed: int) -> Tensor:
    """Sum ``x`` into ``size`` places.

    ``x`` is [kept dims, summed dims, rest], ``index`` (int) [kept dims, summed dims]; the result is
    [kept dims, size, rest], each place the sum of the entries whose index it is.
    """
    lead, middle, rest = x.shape[:kept], x.shape[kept : kept + summed], x.shape[kept + summed :]
    flat = x.reshape(math.prod(lead), math.prod(middle), math.prod(rest))
    where = index.expand(*lead, *middle).reshape(flat.shape[0], flat.shape[1], 1).expand_as(flat)
    out = flat.new_zeros(flat.shape[0], size, flat.shape[2])
    return out.scatter_add_(1, where, flat).reshape(*lead, size, *rest)


def place(value: float, index: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """``value`` at position ``index`` (int, any shape) of a new last axis, 0 elsewhere."""
    out = torch.zeros(*index.shape, size, dtype=dtype, device=index.device)
    return out.scatter_(-1, index.unsqueeze(-1), value)


def inside(index: Tensor | int, size: int, axis: str, place: str) -> Tensor | int:
    """The index itself, counted from the axis's first label; torch would take a negative one from the end.

    Raises:
        OutsideAxis: it is below 0 or not below ``size``.
    """
    if isinstance(index, Tensor):
        if not index.numel():
            return index
        low, high = (int(bound) for bound in torch.aminmax(index))
    else:
        low = high = index
    if low < 0 or high >= size:
        bad = low if low < 0 else high
        raise OutsideAxis(
            f"{place}: an index is {bad}, outside the axis `{axis}`: its positions are 0..{size - 1}"
            + (" (-1 also stands for one beyond the end of its example)" if bad == -1 else "")
        )
    return index


def xlogy(x: Tensor, y: Tensor) -> Tensor:
    """x * log(y), 0 where x is 0 (and its gradient by y is 0 there)."""
    return torch.where(x == 0, 0.0, x * torch.log(torch.where(x == 0, 1.0, y)))


def _symmetric(a: Tensor) -> Tensor:
    return (a + a.mT) / 2


def matpow(a: Tensor, p: float) -> Tensor:
    """The p-th power of the symmetric part of ``a[..., i, i]``."""
    values, vectors = cast("tuple[Tensor, Tensor]", _linalg.eigh(_symmetric(a)))
    return (vectors * torch.pow(values, p).unsqueeze(-2)) @ vectors.mT


def eigvals(a: Tensor) -> Tensor:
    """Eigenvalues of the symmetric part of ``a[..., i, i]``, ascending."""
    return _linalg.eigvalsh(_symmetric(a))


def eigvecs(a: Tensor) -> Tensor:
    """Eigenvectors (columns) of the symmetric part, in the order of :func:`eigvals`."""
    return _linalg.eigh(_symmetric(a)).eigenvectors


def inverse(a: Tensor) -> Tensor:
    """The inverse of ``a[..., i, i]``; NaN where a matrix is singular."""
    inverse, info = cast("tuple[Tensor, Tensor]", _linalg.inv_ex(a))
    return torch.where((info == 0)[..., None, None], inverse, math.nan)


def cholesky(a: Tensor) -> Tensor:
    """The lower triangular root of the symmetric part of ``a[..., i, i]``; NaN where that is not positive definite."""
    root, info = cast("tuple[Tensor, Tensor]", _linalg.cholesky_ex(_symmetric(a)))
    return torch.where((info == 0)[..., None, None], root, math.nan)


def solve_triangular(a: Tensor, b: Tensor, *, upper: bool) -> Tensor:
    """The solution x of ``a[..., i, i] x = b[..., i, k]``, reading one triangle of a."""
    return _linalg.solve_triangular(a, b, upper=upper)


def matpow_vjp(a: Tensor, p: float, g: Tensor) -> Tensor:
    """The cotangent of ``a`` in :func:`matpow` (Daleckii and Krein: divided differences of the eigenvalues' powers)."""
    values, vectors = cast("tuple[Tensor, Tensor]", _linalg.eigh(_symmetric(a)))
    powers, slopes = values.pow(p), p * values.pow(p - 1)
    gap = values.unsqueeze(-1) - values.unsqueeze(-2)
    scale = values.abs().amax(-1)[..., None, None]
    close = gap.abs() <= 1e-7 * scale if values.dtype == torch.float64 else gap.abs() <= 1e-4 * scale
    ratio = (powers.unsqueeze(-1) - powers.unsqueeze(-2)) / torch.where(close, 1.0, gap)
    mean = (slopes.unsqueeze(-1) + slopes.unsqueeze(-2)) / 2
    inner = vectors.mT @ _symmetric(g) @ vectors
    return vectors @ (inner * torch.where(close, mean, ratio)) @ vectors.mT


def polar_vjp(g: Tensor, cotangent: Tensor) -> Tensor:
    """The cotangent of ``g[..., o, i]`` in :func:`polar`, from the singular value decomposition of g."""
    u, s, vh = cast("tuple[Tensor, Tensor, Tensor]", _linalg.svd(g, full_matrices=False))
    inner = u.mT @ cotangent @ vh.mT
    turned = (inner - inner.mT) / (s.unsqueeze(-1) + s.unsqueeze(-2))
    outside_rows = (cotangent @ vh.mT - u @ inner) / s.unsqueeze(-2)
    outside_columns = (u.mT @ cotangent - inner @ vh) / s.unsqueeze(-1)
    return (u @ turned + outside_rows) @ vh + u @ outside_columns


def logdet(a: Tensor) -> Tensor:
    """log of the determinant: -inf of a singular matrix, NaN where it is negative."""
    return torch.logdet(a)


def polar(g: Tensor) -> Tensor:
    """The orthogonal polar factor U V^T of ``g[..., o, i]``."""
    u, _, vh = cast("tuple[Tensor, Tensor, Tensor]", _linalg.svd(g, full_matrices=False))
    return u @ vh


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp x), exact for large x (torch's own turns linear at 20)."""
    return torch.logaddexp(x, x.new_zeros(()))


def minimum(a: Tensor | float, b: Tensor | float) -> Tensor:
    """The smaller of two, NaN where one is NaN; the gradient of a tie goes to the first."""
    return _where((a > b) | _nan(b), b, a)


def maximum(a: Tensor | float, b: Tensor | float) -> Tensor:
    """The larger of two, NaN where one is NaN; the gradient of a tie goes to the first."""
    return _where((a < b) | _nan(b), b, a)


def _nan(x: Tensor | float) -> Tensor | bool:
    return x != x


def earlier(done: list[Tensor], place: int, start: Tensor) -> Tensor:
    """What a recurrence computed at an earlier label; its start, below the first one."""
    return done[place] if place >= 0 else start


def add_at(sums: list[Tensor], place: int, value: Tensor) -> None:
    """Add to the sum of a label; below the first one there is none."""
    if place >= 0:
        sums[place] = sums[place] + value


def window(x: Tensor, dim: int, terms: tuple[tuple[int, int], ...], offset: int) -> Tensor:
    """x along ``dim`` at ``sum(factor * label) + offset``, 0 outside: one dimension per (labels, factor) of ``terms``.

    Two terms with positive factors are views of the padded tensor, anything else is indexed.
    """
    if len(terms) <= 2 and all(factor > 0 for _, factor in terms):
        (labels, stride), (taps, dilation) = (*terms, (1, 1))[:2]
        last = stride * (labels - 1) + dilation * (taps - 1) + offset
        before, after = -offset, last - (x.shape[dim] - 1)
        if sum(cut for cut in (before, after) if cut < 0) > -x.shape[dim]:  # something is left of x itself
            padded = _padded(x, dim, before, after)
            views = padded.unfold(dim, dilation * (taps - 1) + 1, stride)[..., ::dilation]
            return views.squeeze(-1) if len(terms) == 1 else views.movedim(-1, dim + 1)
    at = _positions(terms, offset, x.device)
    inside = (at >= 0) & (at < x.shape[dim])
    read = x.index_select(dim, torch.where(inside, at, 0).flatten())
    read = read.reshape(*x.shape[:dim], *at.shape, *x.shape[dim + 1 :])
    mask = inside.reshape(at.shape + (1,) * (x.dim() - dim - 1))
    return torch.where(mask, read, torch.zeros((), dtype=x.dtype, device=x.device))


def fold(x: Tensor, terms: tuple[tuple[int, int], ...], offset: int, size: int) -> Tensor:
    """The adjoint of :func:`window`: the last dimensions, one per term, are added up along one of ``size``."""
    at = _positions(terms, offset, x.device).flatten()
    inside = (at >= 0) & (at < size)
    flat = x.flatten(-len(terms))
    flat = flat * inside if not flat.is_floating_point() else torch.where(inside, flat, 0.0)
    zeros = torch.zeros((*flat.shape[:-1], size), dtype=x.dtype, device=x.device)
    return zeros.index_add(-1, torch.where(inside, at, 0), flat)


def _padded(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Zeros in front of and behind a dimension (negative: entries are left out)."""
    if before == after == 0:
        return x
    return torch.nn.functional.pad(x, (0, 0) * (x.dim() - dim - 1) + (before, after))


def _positions(terms: tuple[tuple[int, int], ...], offset: int, device: torch.device) -> Tensor:
    at = torch.full((), offset, device=device)
    for labels, factor in terms:
        at = at[..., None] + factor * torch.arange(labels, device=device)
    return at
