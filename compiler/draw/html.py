"""A sketch as one page: the drawing, what is said of the chosen item, boxes that close.  Nothing is fetched.

The page's policy lets no script run but :data:`SCRIPT`, by its hash, and loads nothing from anywhere.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from .sketch import Sketch
from .svg import DARK, LIGHT, Marks, drawing, style
from .texts import text

SCRIPT = files("dltc.compiler.draw").joinpath("page.js").read_text(encoding="utf-8")

_PAGE = """\
:root{{color-scheme:light dark}}
body{{margin:0;background:{paper};color:{ink};font:14px system-ui,sans-serif}}
header{{position:sticky;top:0;z-index:1;display:flex;flex-wrap:wrap;gap:.5em;align-items:center;padding:.5em 1em;background:{paper};border-bottom:1px solid {edge}}}
h1{{font-size:1em;margin:0 1em 0 0}}
button,input{{font:inherit;color:inherit;background:transparent;border:1px solid {edge};border-radius:6px;padding:.2em .6em}}
button[aria-pressed=true]{{background:{edge};color:{paper}}}
main{{overflow:auto;padding:1em 1em 12em}}
#told{{position:fixed;left:0;right:0;bottom:0;max-height:10em;overflow:auto;margin:0;padding:.7em 1em;background:{paper};border-top:1px solid {edge};font:12px ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap}}
"""

_LIVE = """\
svg.drawing{max-width:none;height:auto}
svg.drawing[hidden]{display:none}
.item,.handle{cursor:pointer;outline:none}
.item:focus-visible .shape,.item.chosen .shape,.item.found .shape{stroke-width:3.5}
.handle:focus-visible .frame{stroke-width:3;stroke-dasharray:none}
.choosing .item:not(.near):not(.chosen),.choosing .edge:not(.near){opacity:.25}
.edge.near path{stroke-width:2.4;opacity:1}
.box.closed>.within{display:none}
svg.drawing .box.closed>.handle .frame{fill-opacity:1;stroke-dasharray:none}
svg.drawing .box.closed>.handle .head{fill:CanvasText;font-size:14px}
"""


def html(sketch: Sketch) -> str:
    """The page.  Where there are boxes, a second drawing has each of the outermost as one item."""
    digest = b64encode(sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    views = [drawing(sketch, Marks())]
    if sketch.boxes:
        views.append(drawing(sketch.closed(), Marks(), attributes=" hidden"))
    overview = '<button id="overview" aria-pressed="false">boxes as one</button>' if sketch.boxes else ""
    empty = "Choose an item: Tab or click; the arrows go to what it reads and what reads it."
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(sketch.title)}</title>",
            f"<style>\n{_palette(LIGHT)}\n@media (prefers-color-scheme: dark) {{\n{_palette(DARK)}\n}}\n{_LIVE}</style></head><body>",
            f"<header><h1>{text(sketch.title)}</h1>{overview}",
            '<button id="smaller" aria-label="smaller">−</button><button id="larger" aria-label="larger">+</button>',
            '<button id="fit">100 %</button><input id="find" type="search" placeholder="find" aria-label="find a name"></header>',
            "<main>",
            *views,
            "</main>",
            f'<pre id="told" aria-live="polite" data-empty="{empty}">{empty}</pre>',
            f"<script>{SCRIPT}</script></body></html>\n",
        ]
    )


def _palette(colours: dict[str, str]) -> str:
    closed = f"svg.drawing .box.closed>.handle .frame{{fill:{colours['instance'].split()[0]}}}"
    return "\n".join([_PAGE.format(**colours), style(colours, "svg.drawing"), closed])
