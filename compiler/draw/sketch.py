"""What a picture shows, before anything has a place: items, links between them, boxes around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ..diagnostics import Source, Span

KINDS: dict[str, str] = {
    "input": "input",
    "param": "parameter",
    "state": "state",
    "latent": "latent",
    "value": "value",
    "density": "density",
    "update": "update",
    "measure": "measured",
    "gradient": "gradient",
    "sample": "random draw",
    "const": "constant",
    "op": "operation",
    "loop": "loop",
    "instance": "instance of a circuit",
}
"""What an item can be, in the order of the legend, and what the legend calls it."""

PLACES = 6
"""Lines of the spec that one item names; a constant may come from thousands."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in the picture.

    Attributes:
        key: unique in its sketch.
        name: what is written in its shape.
        kind: one of :data:`KINDS`.
        type: its axes with their sizes, and its dtype where that is not real.
        notes: what is said of it on hover: its statement, the lines of the spec it comes from.
        box: names of the boxes that it stands in, the outermost first.
        output: whether the module returns it.
    """

    key: str
    name: str
    kind: str
    type: str = ""
    notes: tuple[str, ...] = ()
    box: tuple[str, ...] = ()
    output: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """An item is read by another; ``label`` is what flows: axes with sizes."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Sketch:
    """Items by key in a fixed order, links, each once; ``caption`` says what is drawn."""

    title: str
    caption: str
    items: dict[str, Item]
    links: tuple[Link, ...]

    @classmethod
    def of(cls, title: str, caption: str, items: Iterable[Item], links: Iterable[Link]) -> Sketch:
        """A sketch; of several links between two items one stays, with all labels."""
        found = {item.key: item for item in items}
        labels: dict[tuple[str, str], dict[str, None]] = {}
        for link in links:
            labels.setdefault((link.source, link.target), {}).setdefault(link.label)
        joined = [Link(a, b, "; ".join(filter(None, texts))) for (a, b), texts in labels.items()]
        return cls(title, caption, found, tuple(joined))

    def closed(self) -> Sketch:
        """The same with every outermost box as one item."""
        outer = {key: f"box {item.box[0]}" for key, item in self.items.items() if item.box}
        inside: dict[str, list[Item]] = {}
        for key, box in outer.items():
            inside.setdefault(box, []).append(self.items[key])
        items: dict[str, Item] = {}
        for key, item in self.items.items():
            if key not in outer:
                items[key] = item
            elif outer[key] not in items:
                within = inside[outer[key]]
                notes = (f"{len(within)} inside: {', '.join(i.name for i in within[:12])}{' ..' * (len(within) > 12)}",)
                items[outer[key]] = Item(outer[key], item.box[0], "instance", notes=notes)
        moved = [
            replace(e, source=outer.get(e.source, e.source), target=outer.get(e.target, e.target)) for e in self.links
        ]
        return Sketch.of(self.title, self.caption, items.values(), [e for e in moved if e.source != e.target])

    @property
    def boxes(self) -> bool:
        """Whether anything stands in a box."""
        return any(item.box for item in self.items.values())


def boxes(names: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """Which boxes a name of the spec stands in: ``enc.W`` in ``enc``, and ``s`` in ``s`` where there is an ``s.W``."""
    instances = {name.rpartition(".")[0] for name in names if "." in name}
    instances |= {name[:k] for name in instances for k, c in enumerate(name) if c == "."}

    def of(name: str) -> tuple[str, ...]:
        parts = name.split("@")[0].split(".")
        paths = [".".join(parts[:k]) for k in range(1, len(parts) + 1)]
        return tuple(path for path in paths if path in instances)

    return of


def typed(axes: Iterable[str], size: Callable[[str], int | str], dtype: str = "real") -> str:
    """``batch, hid=128``: axes with their sizes (an axis that the data bounds is its name), and what is not real."""
    parts = [axis if str(size(axis)) == axis else f"{axis}={size(axis)}" for axis in axes]
    return f"{'' if dtype == 'real' else dtype}[{', '.join(parts)}]"


def lines(spans: Iterable[Span], sources: Mapping[str, Source], own: str) -> tuple[str, ...]:
    """``digits.dlt:16   h[hid] = ..``: the lines that spans start on, those of the spec itself first."""
    places: dict[tuple[bool, str, int], str] = {}
    for span in spans:
        source = sources.get(span.file)
        if source is not None:
            number = source.position(span.start)[0]
            place = (span.file != own, source.name, number)
            if place not in places:
                places[place] = f"{source.name}:{number}   {source.line(number).strip()}"
    found = [places[place] for place in sorted(places)]
    rest = len(found) - PLACES
    return (*found[:PLACES], *([f"and {rest} more lines"] if rest > 0 else []))
