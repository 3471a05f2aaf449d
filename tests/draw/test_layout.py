"""Where things stand: nothing overlaps, boxes hold what is theirs, links lead downwards, and it ends soon."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations, pairwise

import pytest

from dltc.compiler.draw.layers import GAP, LONGEST, place
from dltc.compiler.draw.layout import Cell, Frame, Route, lay_out
from dltc.compiler.draw.sketch import Item, Link, Sketch

A_HAIR = 1e-6  # of a pixel: sums of coordinates round


def frames(frame: Frame) -> Iterator[Frame]:
    yield frame
    for inner in frame.frames:
        yield from frames(inner)


def sketched(seed: int, items: int, links: int, boxes: tuple[tuple[str, ...], ...], *, cycles: bool) -> Sketch:
    """A random sketch: most links lead from earlier items to later ones."""
    draw = random.Random(seed)
    made = [Item(str(k), "n" * draw.randint(1, 60), "value", "[i=3]", box=draw.choice(boxes)) for k in range(items)]
    ends = [(draw.randrange(items), draw.randrange(items)) for _ in range(links)]
    ends = [(a, b) if cycles or a < b else (b, a) for a, b in ends if a != b]
    return Sketch.of("random", "", made, [Link(str(a), str(b), draw.choice(["", "[i=3]"])) for a, b in ends])


FLAT = ((),)
NESTED = ((), ("a",), ("a", "a.b"), ("c",), ("a", "a.b", "a.b.d"))


@pytest.mark.parametrize("boxes", [FLAT, NESTED], ids=["flat", "nested"])
@pytest.mark.parametrize("seed", range(12))
def test_shapes_and_boxes_never_overlap(seed: int, boxes: tuple[tuple[str, ...], ...]) -> None:
    for frame in frames(lay_out(sketched(seed, 25, 40, boxes, cycles=seed % 2 == 0))):
        taken = [(c.x - c.width / 2, c.y - c.height / 2, c.x + c.width / 2, c.y + c.height / 2) for c in frame.cells]
        taken += [(f.x, f.y, f.x + f.width, f.y + f.height) for f in frame.frames]
        for (a, b, c, d), (e, f, g, h) in combinations(taken, 2):
            assert c <= e + A_HAIR or g <= a + A_HAIR or d <= f + A_HAIR or h <= b + A_HAIR
        for left, top, right, bottom in taken:
            assert frame.x - A_HAIR <= left and right <= frame.x + frame.width + A_HAIR
            assert frame.y - A_HAIR <= top and bottom <= frame.y + frame.height + A_HAIR


@pytest.mark.parametrize("seed", range(12))
def test_every_item_and_link_is_drawn_once_from_shape_to_shape(seed: int) -> None:
    sketch = sketched(seed, 25, 40, NESTED, cycles=True)
    outer = lay_out(sketch)
    cells: dict[str, Cell] = {cell.item.key: cell for frame in frames(outer) for cell in frame.cells}
    routes: list[Route] = [route for frame in frames(outer) for route in frame.routes]
    assert sorted(cells) == sorted(sketch.items)
    assert sorted((r.link.source, r.link.target) for r in routes) == sorted((e.source, e.target) for e in sketch.links)
    for route in routes:
        (x, y), (u, v) = route.points[0], route.points[-1]
        source, target = cells[route.link.source], cells[route.link.target]
        assert (x, u) == (pytest.approx(source.x), pytest.approx(target.x))
        assert abs(y - source.y) == pytest.approx(source.height / 2)
        assert abs(v - target.y) == pytest.approx(target.height / 2)


@pytest.mark.parametrize("seed", range(12))
def test_without_cycles_every_link_leads_down(seed: int) -> None:
    for frame in frames(lay_out(sketched(seed, 30, 60, FLAT, cycles=False))):
        for route in frame.routes:
            assert not route.back
            assert all(b[1] > a[1] for a, b in pairwise(route.points))


def test_a_cycle_has_one_link_that_leads_up() -> None:
    items = [Item(k, k, "value") for k in "abc"]
    frame = lay_out(Sketch.of("", "", items, [Link("a", "b"), Link("b", "c"), Link("c", "a")]))
    assert [r.link.source for r in frame.routes if r.back] == ["c"]


def test_inputs_of_boxes_stand_above_what_reads_them() -> None:
    """A parameter beside a value that comes from outside the box: both are above what is computed from them."""
    items = [Item("x", "x", "value"), Item("e.W", "e.W", "param", box=("e",)), Item("e.y", "e.y", "value", box=("e",))]
    outer = lay_out(Sketch.of("", "", items, [Link("x", "e.y"), Link("e.W", "e.y")]))
    cells = {cell.item.key: cell for frame in frames(outer) for cell in frame.cells}
    assert cells["x"].y < cells["e.W"].y < cells["e.y"].y


def test_a_tangle_that_can_be_drawn_without_crossings_is() -> None:
    """Two layers joined one to one, given in opposite orders."""
    count = 8
    placed = place([(20.0, 20.0)] * (2 * count), [(k, 2 * count - 1 - k) for k in range(count)])
    for k in range(count):
        assert placed.centres[k][0] == pytest.approx(placed.centres[2 * count - 1 - k][0])


def test_neighbours_keep_their_distance() -> None:
    placed = place([(30.0, 20.0)] * 6, [(k, 5) for k in range(5)])
    across = sorted(x for x, _ in placed.centres[:5])
    assert all(b - a >= 30.0 + GAP - A_HAIR for a, b in pairwise(across))


def test_links_are_led_through_layers_up_to_a_length() -> None:
    count = LONGEST + 3
    chain = [(k, k + 1) for k in range(count - 1)]
    placed = place([(10.0, 10.0)] * count, [*chain, (0, LONGEST), (0, count - 1)])
    assert len(placed.through[0, LONGEST]) == LONGEST - 1
    assert placed.through[0, count - 1] == []


def test_nothing_at_all() -> None:
    frame = lay_out(Sketch.of("", "", [], []))
    assert (frame.cells, frame.routes, frame.frames) == ([], [], [])


def test_closed_boxes_are_items_and_keep_their_links() -> None:
    sketch = sketched(3, 25, 40, NESTED, cycles=True)
    closed = sketch.closed()
    inside = {i.key for i in sketch.items.values() if i.box}
    assert set(closed.items) == {*(set(sketch.items) - inside), "box a", "box c"}
    where = {key: f"box {i.box[0]}" if i.box else key for key, i in sketch.items.items()}
    crossing = {(where[e.source], where[e.target]) for e in sketch.links} - {("box a", "box a"), ("box c", "box c")}
    assert {(e.source, e.target) for e in closed.links} == crossing
