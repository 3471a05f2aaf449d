"""A sketch with places: boxes are laid out from the innermost and stand in the layout around them as one cell.

A link that leaves a box does so through a port on its lower edge, one that enters through a port on the upper one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .layers import place
from .sketch import Item, Link, Sketch

LETTER = 7.3
"""Width of a character of the names, in pixels: 12 px monospace and a little more, since fonts differ."""

LABEL_LETTER = 6.2
"""Likewise of what is written beside links, in 10 px."""

LONGEST_NAME = 44
"""Characters of a name that are shown; the whole is in the title of the shape."""

MARGIN = 14.0
HEADER = 22.0
_SMALL = frozenset({"op", "const"})

Point = tuple[float, float]
Box = tuple[str, ...]


@dataclass(slots=True)
class Cell:
    """An item with its place: the centre of its shape and the shape's size."""

    item: Item
    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class Frame:
    """A box with its upper left corner, and what stands directly in it."""

    path: Box
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    cells: list[Cell] = field(default_factory=list[Cell])
    frames: list[Frame] = field(default_factory=list["Frame"])
    routes: list[Route] = field(default_factory=list["Route"])


@dataclass(frozen=True, slots=True)
class Route:
    """A link with the points it is led through, from the edge of one shape to that of the other."""

    link: Link
    points: tuple[Point, ...]
    label_at: Point | None
    back: bool
    """Whether it leads upwards: it closes a cycle."""


def shown(name: str) -> str:
    """The name as it is written in a shape."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def lay_out(sketch: Sketch) -> Frame:
    """The outermost frame with everything in its place."""
    return _Layout(sketch).run()


def _shape(item: Item) -> Point:
    """Width and height of an item's shape."""
    if item.kind in _SMALL:
        return max(len(shown(item.name)) * LETTER * 0.85 + 12, 24.0), 20.0
    slant = 34.0 if item.kind in ("input", "update", "density", "latent", "measure") else 20.0
    return max(len(shown(item.name)) * LETTER, 14.0) + slant, 30.0


Key = tuple[str, str]
"""A cell of a frame: ``item`` or ``box`` or ``in`` or ``out``, and which."""


class _Layout:
    def __init__(self, sketch: Sketch) -> None:
        self.sketch = sketch
        self.frames: dict[Box, Frame] = {(): Frame(())}
        self.members: dict[Box, list[Key]] = {(): []}
        for key, item in sketch.items.items():
            for k in range(1, len(item.box) + 1):
                path = item.box[:k]
                if path not in self.frames:
                    self.frames[path] = Frame(path)
                    self.members[path] = []
                    self.members[path[:-1]].append(("box", "/".join(path)))
            self.members[item.box].append(("item", key))
        self.paths = {"/".join(path): path for path in self.frames}
        self.local: dict[Box, dict[tuple[Key, Key], None]] = {path: {} for path in self.frames}
        self.steps = [self._steps(link) for link in sketch.links]
        self.flows: dict[str, dict[str, int]] = {}  # of each item: what flows from it, with the first link that says so
        for k, link in enumerate(sketch.links):
            self.flows.setdefault(link.source, {}).setdefault(link.label, k)
        self.centres: dict[Box, dict[Key, Point]] = {}
        self.sizes: dict[Box, dict[Key, Point]] = {}
        self.through: dict[Box, dict[tuple[Key, Key], list[Point]]] = {}

    def run(self) -> Frame:
        for path in sorted(self.frames, key=len, reverse=True):
            self._place(path)
        self._settle((), 0.0, 0.0)
        for k, steps in enumerate(self.steps):
            link = self.sketch.links[k]
            home = _common(self.sketch.items[link.source].box, self.sketch.items[link.target].box)
            self.frames[home].routes.append(self._route(k, link, steps))
        return self.frames[()]

    def _steps(self, link: Link) -> list[tuple[Box, Key, Key]]:
        """The parts of a link, each within one frame."""
        a, b = self.sketch.items[link.source], self.sketch.items[link.target]
        home = _common(a.box, b.box)
        out: list[tuple[Box, Key, Key]] = []
        cell: Key = ("item", a.key)
        for k in range(len(a.box), len(home), -1):
            out.append((a.box[:k], cell, ("out", a.key)))
            cell = ("box", "/".join(a.box[:k]))
        into: list[tuple[Box, Key, Key]] = []
        end: Key = ("item", b.key)
        for k in range(len(b.box), len(home), -1):
            into.append((b.box[:k], ("in", a.key), end))
            end = ("box", "/".join(b.box[:k]))
        steps = [*out, (home, cell, end), *reversed(into)]
        for path, u, v in steps:
            if u != v:
                self.local[path].setdefault((u, v))
        return steps

    def _place(self, path: Box) -> None:
        """Lay out one frame; those inside it are done."""
        pairs = [*self.local[path]]
        keys = [*self.members[path], *dict.fromkeys(k for pair in pairs for k in pair if k[0] in ("in", "out"))]
        number = {key: k for k, key in enumerate(keys)}
        sizes: dict[Key, Point] = {}
        for key in keys:
            kind, name = key
            if kind == "item":
                sizes[key] = self._room(name)
            elif kind == "box":
                frame = self.frames[self.paths[name]]
                sizes[key] = frame.width, frame.height
            else:
                sizes[key] = 0.0, 0.0
        ends = [frozenset(number[key] for key in keys if key[0] == kind) for kind in ("in", "out")]
        placed = place([sizes[k] for k in keys], [(number[a], number[b]) for a, b in pairs], *ends)
        frame = self.frames[path]
        head = HEADER if path else 0.0
        title = len(shown(path[-1].split("   #")[0])) * LETTER + 2 * MARGIN + 24 if path else 0.0
        frame.width = max(placed.width + 2 * MARGIN, title)
        frame.height = placed.height + 2 * MARGIN + head
        dx, dy = (frame.width - placed.width) / 2, MARGIN + head
        self.sizes[path] = sizes
        self.centres[path] = {key: (x + dx, y + dy) for key, (x, y) in zip(keys, placed.centres, strict=True)}
        self.through[path] = {
            pair: [(x + dx, y + dy) for x, y in placed.through[number[pair[0]], number[pair[1]]]] for pair in pairs
        }

    def _room(self, key: str) -> Point:
        """What an item needs: its shape, and below it what flows from it, where that is one thing."""
        width, height = _shape(self.sketch.items[key])
        flows = self.flows.get(key, {})
        label = next(iter(flows)) if len(flows) == 1 else ""
        return max(width, len(shown(label)) * LABEL_LETTER), height

    def _settle(self, path: Box, x: float, y: float) -> None:
        """Give a frame its corner and its cells their places in the picture."""
        frame = self.frames[path]
        frame.x, frame.y = x, y
        for key in self.members[path]:
            kind, name = key
            (cx, cy), (width, height) = self.centres[path][key], self.sizes[path][key]
            if kind == "item":
                item = self.sketch.items[name]
                frame.cells.append(Cell(item, x + cx, y + cy, *_shape(item)))
            else:
                inner = self.paths[name]
                frame.frames.append(self.frames[inner])
                self._settle(inner, x + cx - width / 2, y + cy - height / 2)

    def _route(self, number: int, link: Link, steps: list[tuple[Box, Key, Key]]) -> Route:
        points: list[Point] = []
        for path, u, v in steps:
            if points and u[0] == "in":
                points.append(self._at(path, u))
            points += [self._moved(path, p) for p in self.through[path].get((u, v), [])]
            if v[0] == "out":
                points.append(self._at(path, v))
        first, last = steps[0], steps[-1]
        (sx, sy), (tx, ty) = self._at(first[0], first[1]), self._at(last[0], last[2])
        start, end = self.sizes[first[0]][first[1]][1] / 2, self.sizes[last[0]][last[2]][1] / 2
        back = sy >= ty
        if back:
            start, end = -start, -end
        path = ((sx, sy + start), *points, (tx, ty - end))
        flows = self.flows[link.source]
        label_at: Point | None = None
        if link.label in ("", "[]"):  # a scalar says nothing
            pass
        elif len(flows) == 1:  # written once, below what it flows from
            label_at = (sx, sy + abs(start) + 13) if flows[link.label] == number else None
        else:
            k = len(path) // 2
            label_at = (path[k - 1][0] + path[k][0]) / 2, (path[k - 1][1] + path[k][1]) / 2
        return Route(link, path, label_at, back)

    def _at(self, path: Box, key: Key) -> Point:
        return self._moved(path, self.centres[path][key])

    def _moved(self, path: Box, point: Point) -> Point:
        frame = self.frames[path]
        return frame.x + point[0], frame.y + point[1]


def _common(a: Box, b: Box) -> Box:
    """The innermost frame that both stand in."""
    k = 0
    while k < min(len(a), len(b)) and a[k] == b[k]:
        k += 1
    return a[:k]
