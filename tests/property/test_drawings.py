"""Drawings of generated specs: whole files of every stage, every node and every read in them."""

from __future__ import annotations

from xml.etree import ElementTree

from spec_strategy import corpus

from dltc.compiler import draw
from dltc.compiler.frontend.typed_walk import reads
from dltc.compiler.graph.node import everywhere
from dltc.compiler.pipeline import DRAWN, GRAPHS, compile_spec


def test_every_stage_of_generated_specs_is_drawn() -> None:
    for k, spec in enumerate(corpus(3, 24)):
        artefact = compile_spec(spec.text, f"{k}.dlt")
        sketches = [artefact.sketch(stage) for stage in DRAWN]
        for stage in GRAPHS:
            sketches.append(artefact.sketch(stage, nodes=True))
            assert len(sketches[-1].items) == len(everywhere(artefact.graph(stage)))
        for sketch in sketches:
            assert all(link.source in sketch.items and link.target in sketch.items for link in sketch.links)
            elements = [*ElementTree.fromstring(draw.svg(sketch)).iter()]
            assert sum("item" in e.get("class", "").split() for e in elements) == len(sketch.items)
            assert sum("edge" in e.get("class", "").split() for e in elements) == len(sketch.links)
        linked = {(link.source, link.target) for link in sketches[0].links}
        for name, value in artefact.model.values.items():
            assert {(read.tensor.name, name) for read in reads([value.expr])} <= linked
