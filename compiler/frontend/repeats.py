"""One cause, one message: what the same missing name raises in several places becomes one finding that lists them."""

from __future__ import annotations

from dataclasses import replace

from ..diagnostics import Diagnostic, Findings, Note, Span

NAMED = frozenset({"E0201", "E0202", "E0212", "E0303", "E0402"})
"""Codes of names that are declared nowhere: the same name twice is one mistake."""

MOST_PLACES = 3


def merge_repeats(findings: Findings) -> None:
    """Keep the first finding, in the order of the text, of those that name the same thing; notes show the other places."""
    groups: dict[tuple[str, str, str], list[Diagnostic]] = {}
    for item in findings.sorted():
        if item.code in NAMED and item.span is not None:
            groups.setdefault((item.code, item.message, item.span.file), []).append(item)
    kept: dict[int, Diagnostic] = {}
    gone: set[int] = set()
    for first, *others in groups.values():
        if others:
            spans = [item.span for item in others if item.span is not None]
            kept[id(first)] = replace(first, notes=(*first.notes, *_places(spans)))
            gone.update(map(id, others))
    findings.items[:] = [kept.get(id(item), item) for item in findings.items if id(item) not in gone]


def _places(spans: list[Span]) -> list[Note]:
    """Notes for further places: the first few, and how many more."""
    notes = [Note("also here", span) for span in spans[:MOST_PLACES]]
    rest = len(spans) - MOST_PLACES
    return [*notes, Note(f"and in {rest} more place{'s' if rest > 1 else ''}")] if rest > 0 else notes
