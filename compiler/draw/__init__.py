"""Pictures of what the compiler makes (``dltc show SPEC --svg FILE``).

    model | graph | plan --sketch--> items and links --layout--> places --write--> SVG, HTML

A sketch says what there is, a layout where it stands, a writer how it looks; each knows only the one before it.
"""

from __future__ import annotations

from .html import html
from .of_graph import View, sketch_nodes, sketch_statements
from .of_model import sketch_model
from .of_plan import sketch_plan
from .sketch import Item, Link, Sketch
from .svg import svg

__all__ = [
    "Item",
    "Link",
    "Sketch",
    "View",
    "html",
    "sketch_model",
    "sketch_nodes",
    "sketch_plan",
    "sketch_statements",
    "svg",
]
