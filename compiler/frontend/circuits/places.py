"""A mistake inside a circuit is shown with a call that led there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...diagnostics import Diagnostic, Findings, Note, Span


def note_calls(findings: Findings, called: Sequence[tuple[Span, Span]]) -> None:
    """Add to every error within a circuit where it is called.

    Args:
        findings: changed in place.
        called: where a circuit stands and where it is called, in the order of the calls.
    """
    for k, finding in enumerate(findings.items):
        found = _call_of(finding, called)
        if found is not None:
            findings.items[k] = replace(finding, notes=(*finding.notes, Note("the circuit is called here", found)))


def _call_of(finding: Diagnostic, called: Sequence[tuple[Span, Span]]) -> Span | None:
    """The first call of the circuit in which a finding lies, unless the finding shows a call already."""
    span = finding.span
    if span is None or any(note.span is not None and "called here" in note.message for note in finding.notes):
        return None
    inside = (
        call for body, call in called if body.file == span.file and body.start <= span.start and span.end <= body.end
    )
    return next(inside, None)
