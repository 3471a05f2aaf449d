"""`dltc show`: one stage of the compilation, readable and deterministic, as text or as a drawing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..runtime.files import write_atomic
from .console import Console
from .options import output_options, spec_options, target_option, without_option
from .specs import Choices, Unreadable, compile_spec, read_spec
from .words import OneOf

STAGES = ("syntax", "model", "graph", "step", "optimized", "plan", "code")
GRAPHS = ("graph", "step", "optimized")
DRAWN = ("model", *GRAPHS, "plan")
LEVELS = ("statement", "node")


@click.command("show", short_help="Print or draw one stage of the compilation.")
@click.argument("spec", metavar="SPEC")
@click.option("--stage", type=OneOf(STAGES), help="Which stage (default: code; of a drawing, model).")
@click.option("--svg", "picture", metavar="FILE", help="Draw the stage as a picture; - is standard output.")
@click.option("--html", "page", metavar="FILE", help="Draw it as a page to look around in; - is standard output.")
@click.option("--level", type=OneOf(LEVELS), help="What a drawn graph has one item for (default: statement).")
@target_option
@without_option
@output_options
@spec_options
def command(
    console: Console,
    spec: str,
    stage: str | None,
    picture: str | None,
    page: str | None,
    level: str | None,
    choices: Choices,
) -> None:
    """Print one stage of the compilation of a spec, or draw it.

    \b
      syntax      the statements as parsed
      model       the typed model: every name resolved, axes and domains known
      graph       the circuit graph, equal sub-expressions shared
      step        with gradients and the update rules derived
      optimized   after all passes
      plan        kernels, layouts and buffers
      code        the emitted module

    All but syntax and code can be drawn. A picture has a shape and a colour for each kind of thing, boxes for instances of
    circuits, axes with sizes on the links, and the lines of the spec on hover. The page adds dark mode, a search, boxes that
    close, and the keyboard; it is one file that loads nothing.

    \b
    Example:
      dltc show digits.dlt --stage optimized
      dltc show digits.dlt --svg digits.svg
      dltc show digits.dlt --stage step --level node --html step.html
    """
    files = {"svg": picture, "html": page}
    asked = {form: path for form, path in files.items() if path is not None}
    stage = stage or ("model" if asked else "code")
    _refuse(stage, level, asked, console)
    artefact = compile_spec(read_spec(spec), choices, "show")
    if asked:
        from ..compiler import draw

        sketch = artefact.sketch(stage, nodes=level == "node")
        for form, path in asked.items():
            _write(path, draw.svg(sketch) if form == "svg" else draw.html(sketch))
        paths = [Path(path).as_posix() for path in asked.values() if path != "-"]
        if console.json:
            console.object(stage=stage, items=len(sketch.items), links=len(sketch.links), files=paths)
        elif paths:
            console.result("\n".join(paths))
        return
    text = artefact.stage(stage)
    if console.json:
        graph = {"graph": artefact.graph_data(stage)} if stage in GRAPHS else {}
        console.object(stage=stage, **graph, text=text)
    else:
        console.result(text.rstrip("\n"))


def _refuse(stage: str, level: str | None, asked: dict[str, str], console: Console) -> None:
    """What does not go together.

    Raises:
        UsageError: always for the same options.
    """
    if asked and stage not in DRAWN:
        raise click.UsageError(f"{stage} is text and cannot be drawn: --stage {', '.join(DRAWN)} can")
    if level is not None and not asked:
        raise click.UsageError("--level belongs to a drawing: add --svg FILE or --html FILE")
    if level == "node" and stage not in GRAPHS:
        raise click.UsageError(f"{stage} has no nodes: --level node draws --stage {', '.join(GRAPHS)}")
    outputs = [*asked.values(), *(["-"] if console.json else [])]
    if len({*outputs}) < len(outputs):
        raise click.UsageError("two outputs would have one place: give each drawing a file of its own")


def _write(path: str, text: str) -> None:
    """A drawing to a file or to standard output.

    Raises:
        Unreadable: the file cannot be written.
    """
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        write_atomic(Path(path), text.encode())
    except OSError as error:
        raise Unreadable(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
