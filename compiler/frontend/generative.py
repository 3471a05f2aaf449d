"""A model read forward: what its densities say is drawn, latents among it; nothing is inferred or measured."""

from __future__ import annotations

from dataclasses import replace

from .model import Expr, Input, Model, Posterior, Read, Term
from .typed_walk import children

_KINDS = {"label": "label", "bool": "bool"}
"""Kinds of inputs by the domain of a latent; everything else is real."""


def generative(model: Model) -> Model:
    """The model whose latents are inputs like any other, each with the density that its prior is.

    What needs the outcome of an inference (a posterior) is left out, and with it all reports, probes and assertions.
    """
    latents = {
        name: Input(replace(x.tensor, kind="input"), _KINDS.get(x.domain, "real"), x.doc, x.domain)
        for name, x in model.latents.items()
    }
    gone = _inferred(model)
    terms = [t for t in model.terms if not _reads_inferred(_arguments(t), gone)]
    return replace(
        model,
        inputs=latents | model.inputs,
        latents={},
        values={name: value for name, value in model.values.items() if name not in gone},
        recurrences=[r for r in model.recurrences if not gone.intersection(r.names())],
        terms=[replace(t, kind="likelihood") if t.kind == "latent" else t for t in terms],
        probes={},
        asserts=[],
        outputs=tuple(name for name in model.outputs if name not in gone | model.latents.keys()),
        train=replace(model.train, metrics=(), watch=None) if model.train is not None else None,
    )


def _inferred(model: Model) -> set[str]:
    """The values that read a posterior, through other values too; a recurrence goes as a whole."""
    needs: dict[str, list[Expr]] = {name: [value.expr] for name, value in model.values.items()}
    for recurrence in model.recurrences:
        starts = [start for r in recurrence.everywhere() for start in r.starts.values()]
        together = [x for name in recurrence.names() for x in needs[name]] + starts
        needs |= dict.fromkeys(recurrence.names(), together)
    gone: set[str] = set()
    while found := {name for name, roots in needs.items() if name not in gone and _reads_inferred(roots, gone)}:
        gone |= found
    return gone


def _reads_inferred(roots: list[Expr], gone: set[str]) -> bool:
    stack = list(roots)
    while stack:
        x = stack.pop()
        if isinstance(x, Posterior) or (isinstance(x, Read) and x.tensor.name in gone):
            return True
        stack.extend(children(x))
    return False


def _arguments(term: Term) -> list[Expr]:
    return [term.target, *term.dist.args.values(), *([term.power] if term.power is not None else [])]
