"""`dltc show`: one stage of the compilation, readable and deterministic."""

from __future__ import annotations

import click

from .console import Console
from .options import output_options, spec_options, target_option, without_option
from .specs import Choices, compile_spec, read_spec
from .words import OneOf

STAGES = ("syntax", "model", "graph", "step", "optimized", "plan", "code")
GRAPHS = ("graph", "step", "optimized")


@click.command("show", short_help="Print one stage of the compilation.")
@click.argument("spec", metavar="SPEC")
@click.option("--stage", type=OneOf(STAGES), default="code", help="Which stage (default: code).")
@target_option
@without_option
@output_options
@spec_options
def command(console: Console, spec: str, stage: str, choices: Choices) -> None:
    """Print one stage of the compilation of a spec.

    \b
      syntax      the statements as parsed
      model       the typed model: every name resolved, axes and domains known
      graph       the circuit graph, equal sub-expressions shared
      step        with gradients and the update rules derived
      optimized   after all passes
      plan        kernels, layouts and buffers
      code        the emitted module

    \b
    Example:
      dltc show digits.dlt --stage optimized
    """
    artefact = compile_spec(read_spec(spec), choices, "show")
    text = artefact.stage(stage)
    if console.json:
        graph = {"graph": artefact.graph_data(stage)} if stage in GRAPHS else {}
        console.object(stage=stage, **graph, text=text)
    else:
        console.result(text.rstrip("\n"))
