"""A laid out sketch as SVG: shapes and colours by kind, titles on everything, no reference to anything outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from .layers import LONGEST, RISE
from .layout import MARGIN, Cell, Frame, Point, Route, lay_out, shown
from .sketch import KINDS, Item, Sketch
from .texts import number as n
from .texts import text

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "faint": "#57606a",
    "edge": "#8c959f",
    "frame": "#57606a",
    "input": "#ddf4ff #0969da",
    "param": "#fff1d6 #9a6700",
    "state": "#f3e8ff #8250df",
    "latent": "#ffe5f0 #bf3989",
    "value": "#f6f8fa #57606a",
    "density": "#dafbe1 #1a7f37",
    "update": "#ffe2d1 #bc4c00",
    "measure": "#e6fffb #0b7285",
    "gradient": "#ffebe9 #cf222e",
    "sample": "#fdf2ff #a475f9",
    "const": "#ffffff #8c959f",
    "op": "#ffffff #8c959f",
    "loop": "#eaeef2 #24292f",
    "instance": "#eef2ff #4c51bf",
}
"""Colours by day: of a kind, its ground and its line."""

DARK = {
    "paper": "#0d1117",
    "ink": "#e6edf3",
    "faint": "#9198a1",
    "edge": "#6e7681",
    "frame": "#9198a1",
    "input": "#0c2d6b #58a6ff",
    "param": "#3b2300 #d29922",
    "state": "#2b1a4f #bc8cff",
    "latent": "#42062a #f778ba",
    "value": "#161b22 #9198a1",
    "density": "#04260f #3fb950",
    "update": "#3d1300 #f0883e",
    "measure": "#05303a #56d4dd",
    "gradient": "#3c0614 #ff7b72",
    "sample": "#271052 #d2a8ff",
    "const": "#0d1117 #6e7681",
    "op": "#0d1117 #6e7681",
    "loop": "#21262d #e6edf3",
    "instance": "#1b1f4b #a5b4fc",
}
"""Colours by night."""

_TOP = 58.0
"""Room above the drawing for title and caption."""

_LEGEND = 46.0


@dataclass(slots=True)
class Marks:
    """Numbers of the elements of one document, so that no text of a spec has to be an identifier."""

    items: dict[str, int] = field(default_factory=dict[str, int])
    boxes: int = 0

    def item(self, key: str) -> int:
        return self.items.setdefault(key, len(self.items))

    def box(self) -> int:
        self.boxes += 1
        return self.boxes


def svg(sketch: Sketch) -> str:
    """A standalone SVG file."""
    rules = style(LIGHT, "svg.drawing")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + drawing(sketch, Marks(), rules) + "\n"


def style(colours: dict[str, str], scope: str) -> str:
    """The rules of a palette for drawings below a selector."""
    rows = [
        f"{scope}{{background:{colours['paper']};font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}}",
        f"{scope} text{{fill:{colours['ink']};text-anchor:middle;dominant-baseline:central}}",
        f"{scope} .title{{font-size:16px;font-weight:600;text-anchor:start}}",
        f"{scope} .caption,{scope} .key{{fill:{colours['faint']};font-size:11px;text-anchor:start}}",
        f"{scope} .small text{{font-size:10px}}",
        f"{scope} .shape{{stroke-width:1.3}}",
        f"{scope} .output .shape{{stroke-width:3}}",
        f"{scope} .edge path{{fill:none;stroke:{colours['edge']};stroke-width:1.2}}",
        f"{scope} .edge .tip{{fill:{colours['edge']};stroke:none}}",
        f"{scope} .edge.back path{{stroke-dasharray:5 3}}",
        f"{scope} .edge.far path{{opacity:.35}}",
        f"{scope} .flow{{fill:{colours['faint']};font-size:10px;paint-order:stroke;stroke:{colours['paper']};stroke-width:3px}}",
        f"{scope} .frame{{fill:{colours['frame']};fill-opacity:.05;stroke:{colours['frame']};stroke-dasharray:2 3}}",
        f"{scope} .head{{fill:{colours['faint']};text-anchor:start;font-weight:600}}",
    ]
    for kind in KINDS:
        ground, line = colours[kind].split()
        rows.append(f"{scope} .{kind} .shape{{fill:{ground};stroke:{line}}}")
    rows.append(f"{scope} .latent .shape{{stroke-dasharray:4 2}}")
    rows.append(f"{scope} .paper{{fill:{colours['paper']}}}")
    return "\n".join(rows)


def drawing(sketch: Sketch, marks: Marks, rules: str = "", attributes: str = "") -> str:
    """The ``svg`` element of a sketch: with rules of its own, or for a page that has them."""
    frame = lay_out(sketch)
    legend = [kind for kind in KINDS if any(item.kind == kind for item in sketch.items.values())]
    room = sum(_key_width(kind) for kind in legend) + 2 * MARGIN
    width = max(frame.width, room, 7.0 * len(sketch.caption) + 2 * MARGIN, 10.0 * len(sketch.title) + 2 * MARGIN)
    height = frame.height + _TOP + _LEGEND
    head = f'<svg class="drawing" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {n(width)} {n(height)}" width="{n(width)}" height="{n(height)}" role="group" aria-label="{text(sketch.title)}"{attributes}>'
    rows = [head]
    rows += [f"<style>\n{rules}\n</style>"] if rules else []
    rows.append('<rect class="paper" width="100%" height="100%"/>')
    rows.append(f'<text class="title" x="{n(MARGIN)}" y="22">{text(sketch.title)}</text>')
    rows.append(f'<text class="caption" x="{n(MARGIN)}" y="42">{text(sketch.caption)}</text>')
    rows.append(f'<g transform="translate({n((width - frame.width) / 2)} {n(_TOP)})">')
    rows += _inside(frame, marks)
    rows.append("</g>")
    rows += _legend(legend, height - _LEGEND / 2)
    return "\n".join([*rows, "</svg>"])


def _inside(frame: Frame, marks: Marks) -> Iterator[str]:
    """What stands in a frame: links below shapes, boxes above links (a closed one covers them)."""
    for route in frame.routes:
        yield _edge(route, marks)
    for route in frame.routes:
        if route.label_at is not None:
            x, y = route.label_at
            yield f'<text class="flow" x="{n(x)}" y="{n(y)}">{text(shown(route.link.label))}</text>'
    for cell in frame.cells:
        yield _cell(cell, marks)
    for inner in frame.frames:
        yield from _box(inner, marks)


def _box(frame: Frame, marks: Marks) -> Iterator[str]:
    name = frame.path[-1].split("   #")[0]
    x, y = frame.x, frame.y
    yield f'<g class="box" data-box="{marks.box()}">'
    yield f'<g class="handle"><title>{text(name)}</title>'
    yield f'<rect class="frame" x="{n(x)}" y="{n(y)}" width="{n(frame.width)}" height="{n(frame.height)}" rx="8"/>'
    yield f'<text class="head" x="{n(x + MARGIN)}" y="{n(y + 15)}">{text(shown(name))}</text></g>'
    yield '<g class="within">'
    yield from _inside(frame, marks)
    yield "</g></g>"


def _cell(cell: Cell, marks: Marks) -> str:
    item = cell.item
    words = [item.kind, *(["output"] if item.output else []), *(["small"] if item.kind in ("op", "const") else [])]
    shape = SHAPES[item.kind](cell)
    name = f'<text x="{n(cell.x)}" y="{n(cell.y)}">{text(shown(item.name))}</text>'
    mark = marks.item(item.key)
    return f'<g class="item {" ".join(words)}" data-item="{mark}"><title>{text(_told(item))}</title>{shape}{name}</g>'


def _told(item: Item) -> str:
    """What is said of an item on hover."""
    head = f"{item.name}{'' if item.type in ('', '[]') else f' {item.type}'}   ({KINDS[item.kind]}{', returned' if item.output else ''})"
    return "\n".join([head, *item.notes])


def _edge(route: Route, marks: Marks) -> str:
    link, points = route.link, route.points
    a, b = marks.item(link.source), marks.item(link.target)
    far = len(points) == 2 and abs(points[0][1] - points[1][1]) > LONGEST * RISE
    words = f"edge{' back' if route.back else ''}{' far' if far else ''}"
    path = _loop(points[0]) if a == b else _curve(points)
    tip = _tip(points[-1] if a != b else (points[0][0] + 12, points[0][1]), up=route.back)
    title = f"<title>{text(link.label)}</title>" if link.label else ""
    return f'<g class="{words}" data-from="{a}" data-to="{b}">{title}<path d="{path}"/>{tip}</g>'


def _curve(points: tuple[Point, ...]) -> str:
    """A smooth line that leaves and arrives vertically at every point."""
    parts = [f"M{n(points[0][0])} {n(points[0][1])}"]
    for (x, y), (u, v) in pairwise(points):
        middle = (y + v) / 2
        parts.append(f"C{n(x)} {n(middle)} {n(u)} {n(middle)} {n(u)} {n(v)}")
    return "".join(parts)


def _loop(at: Point) -> str:
    """An item that reads itself at another label: a small loop below it."""
    x, y = at
    return f"M{n(x - 12)} {n(y)}C{n(x - 16)} {n(y + 24)} {n(x + 16)} {n(y + 24)} {n(x + 12)} {n(y)}"


def _tip(at: Point, *, up: bool) -> str:
    x, y = at
    back = 6 if up else -6
    return f'<path class="tip" d="M{n(x)} {n(y)}l-3.5 {back}h7z"/>'


# ---------------------------------------------------------------- shapes


def _rounded(cell: Cell, radius: float = 6.0) -> str:
    x, y = cell.x - cell.width / 2, cell.y - cell.height / 2
    return f'<rect class="shape" x="{n(x)}" y="{n(y)}" width="{n(cell.width)}" height="{n(cell.height)}" rx="{n(radius)}"/>'


def _pill(cell: Cell) -> str:
    return _rounded(cell, cell.height / 2)


def _square(cell: Cell) -> str:
    return _rounded(cell, 0.0)


def _ellipse(cell: Cell) -> str:
    return (
        f'<ellipse class="shape" cx="{n(cell.x)}" cy="{n(cell.y)}" rx="{n(cell.width / 2)}" ry="{n(cell.height / 2)}"/>'
    )


def _polygon(*corners: tuple[int, float, float]) -> Callable[[Cell], str]:
    """A shape from its corners: the side they are at (0 left, 1 right), how far inside, how far down (in heights)."""

    def shape(cell: Cell) -> str:
        half, height = cell.width / 2, cell.height
        points: list[str] = []
        for side, inside, down in corners:
            x = cell.x + half - inside * height if side else cell.x - half + inside * height
            points.append(f"{n(x)},{n(cell.y + (down - 0.5) * height)}")
        return f'<polygon class="shape" points="{" ".join(points)}"/>'

    return shape


def _drum(cell: Cell) -> str:
    """A store: a rectangle with a second line at its sides."""
    x, y, w, h = cell.x - cell.width / 2, cell.y - cell.height / 2, cell.width, cell.height
    return f'<path class="shape" d="M{n(x)} {n(y)}h{n(w)}v{n(h)}h{n(-w)}zM{n(x + 5)} {n(y)}v{n(h)}M{n(x + w - 5)} {n(y)}v{n(h)}"/>'


SHAPES: dict[str, Callable[[Cell], str]] = {
    "input": _polygon((0, 0.35, 0), (1, 0, 0), (1, 0.35, 1), (0, 0, 1)),
    "param": _polygon((0, 0.3, 0), (1, 0.3, 0), (1, 0, 0.5), (1, 0.3, 1), (0, 0.3, 1), (0, 0, 0.5)),
    "state": _drum,
    "latent": _ellipse,
    "value": _rounded,
    "density": _pill,
    "update": _polygon((0, 0, 0), (1, 0.4, 0), (1, 0, 0.5), (1, 0.4, 1), (0, 0, 1)),
    "measure": _polygon((0, 0.25, 0), (1, 0.25, 0), (1, 0, 1), (0, 0, 1)),
    "gradient": _polygon((0, 0, 0), (1, 0, 0), (1, 0.25, 1), (0, 0.25, 1)),
    "sample": _polygon((0, 0, 0.5), (0, 0.3, 0), (1, 0, 0), (1, 0.3, 1)),
    "const": _square,
    "op": _ellipse,
    "loop": _drum,
    "instance": _square,
}
"""The shape of each kind."""


def _key_width(kind: str) -> float:
    return 40.0 + 7.0 * len(KINDS[kind]) + 18.0


def _legend(kinds: list[str], y: float) -> Iterator[str]:
    x = MARGIN
    for kind in kinds:
        cell = Cell(Item("", "", kind), x + 16, y, 30, 16)
        yield f'<g class="{kind}">{SHAPES[kind](cell)}<text class="key" x="{n(x + 38)}" y="{n(y)}">{KINDS[kind]}</text></g>'
        x += _key_width(kind)
