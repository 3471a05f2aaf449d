"""Layered layout of one flat graph (Sugiyama, Tagawa & Toda 1981): layers, order within them, coordinates.

Cells are numbered; a cell is whatever has a width and a height: an item, a whole box that was laid out before, a port.
Everything is linear, or linear per sweep, in cells and links, and depends on nothing but its arguments.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP = 18.0
"""Between two neighbours of a layer, in pixels; links that pass by count as neighbours without width."""

RISE = 46.0
"""Between two layers."""

LONGEST = 24
"""Layers that a link is led through; a longer one is drawn straight, behind everything.  Without a limit a deep graph and
its gradient need places for links that grow with the square of their depth."""

SWEEPS = 6
"""Times that the order is improved downwards and upwards; more change little (Gansner et al. 1993 use 24 in all)."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where everything is: centres of the cells, points that each link is led through, the size of it all."""

    centres: list[tuple[float, float]]
    through: dict[tuple[int, int], list[tuple[float, float]]]
    width: float
    height: float


def place(
    sizes: Sequence[tuple[float, float]],
    links: Sequence[tuple[int, int]],
    top: frozenset[int] = frozenset(),
    bottom: frozenset[int] = frozenset(),
) -> Placed:
    """Lay out cells from top to bottom.

    Args:
        sizes: width and height of each cell.
        links: pairs of cells; cycles are allowed, a link that closes one points upwards.
        top: cells that stand in a layer of their own above everything.
        bottom: likewise below.
    """
    turned = _acyclic(len(sizes), links)
    layer = _layers(len(sizes), turned, top, bottom)
    chains, widths, levels = _chains(sizes, turned, layer)
    rows: list[list[int]] = [[] for _ in range(max(levels, default=-1) + 1)]
    for cell in _first_order(len(sizes), turned, levels):
        rows[levels[cell]].append(cell)
    above: list[list[int]] = [[] for _ in levels]
    below: list[list[int]] = [[] for _ in levels]
    for chain in chains.values():
        for a, b in pairwise(chain):
            above[b].append(a)
            below[a].append(b)
    rows = _uncrossed(rows, above, below)
    across = _across(rows, widths, above, below)
    heights = [max((sizes[c][1] for c in row if c < len(sizes)), default=0.0) for row in rows]
    middles: list[float] = []
    y = 0.0
    for height in heights:
        middles.append(y + height / 2)
        y += height + RISE
    left = min((across[c] - widths[c] / 2 for row in rows for c in row), default=0.0)
    right = max((across[c] + widths[c] / 2 for row in rows for c in row), default=0.0)
    points = [(x - left, middles[level]) for x, level in zip(across, levels, strict=True)]
    through: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for (a, b), (u, v) in zip(links, turned, strict=True):
        inner = [points[c] for c in chains[u, v][1:-1]] if (u, v) in chains else []
        through[a, b] = inner if (a, b) == (u, v) else inner[::-1]
    return Placed(points[: len(sizes)], through, right - left, max(y - RISE, 0.0))


def _acyclic(count: int, links: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The links, those turned round that lead back on a depth-first walk."""
    after: list[list[int]] = [[] for _ in range(count)]
    for a, b in links:
        after[a].append(b)
    state = [0] * count  # 1: on the walk, 2: done
    back: set[tuple[int, int]] = set()
    entered = {b for _, b in links}
    for root in sorted(range(count), key=lambda c: (c in entered, c)):
        if state[root]:
            continue
        state[root] = 1
        stack = [(root, iter(after[root]))]
        while stack:
            cell, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                state[cell] = 2
                stack.pop()
            elif state[step] == 1:
                back.add((cell, step))
            elif not state[step]:
                state[step] = 1
                stack.append((step, iter(after[step])))
    return [(b, a) if (a, b) in back else (a, b) for a, b in links]


def _layers(count: int, links: Sequence[tuple[int, int]], top: frozenset[int], bottom: frozenset[int]) -> list[int]:
    """Longest paths from above; what nothing leads to stands right above the first that reads it."""
    after: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for a, b in links:
        if a not in top:
            after[a].append(b)
            waiting[b] += 1
    order = [c for c in range(count) if not waiting[c] and c not in top]
    starts = [*order]
    layer = [0] * count
    for cell in order:
        for b in after[cell]:
            layer[b] = max(layer[b], layer[cell] + 1)
            waiting[b] -= 1
            if not waiting[b]:
                order.append(b)
    for cell in starts:
        layer[cell] = min((layer[b] for b in after[cell] if b not in bottom), default=1) - 1
    if top:
        layer = [0 if c in top else n + 1 for c, n in enumerate(layer)]
    if bottom:
        last = max((n for c, n in enumerate(layer) if c not in bottom), default=0) + 1
        layer = [last if c in bottom else n for c, n in enumerate(layer)]
    return layer


def _chains(
    sizes: Sequence[tuple[float, float]], links: Sequence[tuple[int, int]], layer: Sequence[int]
) -> tuple[dict[tuple[int, int], list[int]], list[float], list[int]]:
    """The cells that each link passes, with a cell without width in every layer between its ends; links of one source share
    them.  Links longer than :data:`LONGEST` have none, those within a layer neither."""
    widths = [w for w, _ in sizes]
    levels = [*layer]
    chains: dict[tuple[int, int], list[int]] = {}
    buses: dict[int, list[int]] = {}
    for a, b in links:
        span = layer[b] - layer[a]
        if not 0 < span <= LONGEST:
            continue
        bus = buses.setdefault(a, [])
        while len(bus) < span - 1:
            bus.append(len(levels))
            widths.append(0.0)
            levels.append(layer[a] + len(bus))
        chains[a, b] = [a, *bus[: span - 1], b]
    return chains, widths, levels


def _first_order(count: int, links: Sequence[tuple[int, int]], levels: Sequence[int]) -> list[int]:
    """Cells in the order of a depth-first walk from below, so that what is read together starts out together."""
    before: list[list[int]] = [[] for _ in levels]
    read: set[int] = set()
    for a, b in links:
        before[b].append(a)
        read.add(a)
    order: list[int] = []
    seen: set[int] = set()
    for root in sorted(range(count), key=lambda c: (c in read, c)):
        stack = [root]
        while stack:
            cell = stack.pop()
            if cell not in seen:
                seen.add(cell)
                order.append(cell)
                stack += reversed(before[cell])
    return [*order, *range(count, len(levels))]


def _uncrossed(rows: list[list[int]], above: Sequence[list[int]], below: Sequence[list[int]]) -> list[list[int]]:
    """The rows reordered by barycentres, downwards and upwards in turn; the order with the fewest crossings is kept."""
    best, fewest = [[*row] for row in rows], _crossings(rows, below)
    for sweep in range(2 * SWEEPS):
        if not fewest:
            break
        near = above if sweep % 2 == 0 else below
        place: dict[int, int] = {}
        for row in rows if sweep % 2 == 0 else reversed(rows):
            now = {c: k for k, c in enumerate(row)}
            means = {c: sum(place[n] for n in near[c]) / len(near[c]) if near[c] else float(now[c]) for c in row}
            row.sort(key=lambda c: (means[c], now[c]))
            place.update((c, k) for k, c in enumerate(row))
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [[*row] for row in rows], crossings
    return best


def _crossings(rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    """Pairs of links that cross between neighbouring layers (by insertion: Barth, Mutzel & Juenger 2004)."""
    total = 0
    for upper, lower in pairwise(rows):
        place = {c: k for k, c in enumerate(lower)}
        ends: list[int] = []
        for cell in upper:
            own = sorted(place[b] for b in below[cell])
            total += sum(len(ends) - bisect_right(ends, end) for end in own)
            for end in own:
                insort(ends, end)
    return total


def _across(
    rows: Sequence[Sequence[int]], widths: Sequence[float], above: Sequence[list[int]], below: Sequence[list[int]]
) -> list[float]:
    """Where each cell stands in its layer: near the mean of its neighbours, in the order given, none overlapping."""
    x = [0.0] * len(widths)
    for row in rows:
        at = 0.0
        for cell in row:
            x[cell] = at + widths[cell] / 2
            at += widths[cell] + GAP
    for sweep in range(8):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            near = above if down else below
            wanted = [_mean(x, near[c] or below[c] or above[c], x[c]) for c in row]
            for cell, value in zip(row, _spread(row, wanted, widths), strict=True):
                x[cell] = value
    return x


def _mean(x: Sequence[float], cells: Sequence[int], otherwise: float) -> float:
    return sum(x[c] for c in cells) / len(cells) if cells else otherwise


def _spread(row: Sequence[int], wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones in least squares that keep order and distance (pool adjacent violators)."""
    offsets: list[float] = []
    at = 0.0
    for k, cell in enumerate(row):
        at += (widths[row[k - 1]] + widths[cell]) / 2 + GAP if k else 0.0
        offsets.append(at)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for k, cell in enumerate(row):
        weight = 1.0 if widths[cell] else 3.0  # a link that passes by is kept straight
        mean, length = wanted[k] - offsets[k], 1
        while blocks and blocks[-1][0] > mean:
            other, heavy, more = blocks.pop()
            mean, weight, length = (mean * weight + other * heavy) / (weight + heavy), weight + heavy, length + more
        blocks.append((mean, weight, length))
    shifts = [mean for mean, _, length in blocks for _ in range(length)]
    return [shift + offset for shift, offset in zip(shifts, offsets, strict=True)]
