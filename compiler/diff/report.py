"""What a comparison found: one object, its JSON form, and the text, which is rendered from the JSON alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

SCHEMA = 1

CLASSES = ("semantic", "params", "structure", "prior", "learning", "schedule", "rename", "cosmetic")
"""What a change touches, gravest first: equations and likelihoods; parameters; sparsity; priors and initial values; rules; data and
training settings; names that callers and checkpoints use; words."""

NEUTRAL = ("rename", "cosmetic")
"""Classes that leave the meaning as it is."""

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.  ``what`` says what kind of thing differs, ``path`` which one; ``a`` and ``b`` are places, None
    where that side has no such thing; ``note`` is a consequence, or what the reader must do."""

    cls: str
    what: str
    path: str
    a: str | None
    b: str | None
    before: str | None
    after: str | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As in the ``changes`` of a diff."""
        return {
            "class": self.cls,
            "what": self.what,
            "path": self.path,
            "a": self.a,
            "b": self.b,
            "before": self.before,
            "after": self.after,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Diff:
    """A comparison of spec ``a`` with spec ``b``.  Renames and words leave ``same`` true: it is about meaning."""

    a: str
    b: str
    changes: list[Change]
    level: str = "graph"

    @property
    def same(self) -> bool:
        """Whether both mean the same."""
        return all(change.cls in NEUTRAL for change in self.changes)

    def of_class(self, cls: str) -> list[Change]:
        """The changes of one class."""
        return [change for change in self.changes if change.cls == cls]

    def to_json(self) -> dict[str, Any]:
        """The versioned form."""
        changes = [change.to_json() for change in self.changes]
        return {"schema": SCHEMA, "same": self.same, "a": self.a, "b": self.b, "level": self.level, "changes": changes}

    def __str__(self) -> str:
        return render(self.to_json())


def arranged(changes: Iterable[Change]) -> list[Change]:
    """Gravest class first, else as they came; one entry for things that changed alike in the same line."""
    merged: dict[Change, list[str]] = {}
    for change in changes:
        merged.setdefault(replace(change, path=""), []).append(change.path)
    found = [replace(change, path=", ".join(dict.fromkeys(paths))) for change, paths in merged.items()]
    return sorted(found, key=lambda change: CLASSES.index(change.cls))


def render(diff: Mapping[str, Any]) -> str:
    """The text of a diff's JSON form."""
    changes: list[dict[str, Any]] = diff["changes"]
    count = Counter(change["class"] for change in changes)
    kinds = ", ".join(f"{count[cls]} {cls}" for cls in CLASSES if count[cls])
    verdict = "same meaning" if diff["same"] else "different"
    head = f"{diff['a']} -> {diff['b']}: {verdict}" + (f" ({kinds})" if kinds else "")
    lines, said = [head], ""
    for change in changes:
        lines += _lines(change, change["note"] if change["note"] != said else "")
        said = change["note"]
    return "\n".join(lines)


def _lines(change: Mapping[str, Any], note: str) -> list[str]:
    places = [p for p in (change["a"], change["b"]) if p]
    where = " -> ".join(places) if places else ""
    before, after = change["before"], change["after"]
    path = change["path"] if change["path"] not in (before, after) else ""
    name = f"{change['what']} {path}".rstrip()
    head = f"  {change['class']:<8}  {name}"
    if before is not None and after is not None and len(head) + len(before) + len(after) + 6 <= _WIDTH:
        lines = [f"{head}: {before} -> {after}"]
    elif before is None and after is not None and len(head) + len(after) + 9 <= _WIDTH:
        lines = [f"{head}: added {after}"]
    elif after is None and before is not None and len(head) + len(before) + 11 <= _WIDTH:
        lines = [f"{head}: removed {before}"]
    else:
        lines = [head]
        lines += [f"            - {before}"] if before is not None else []
        lines += [f"            + {after}"] if after is not None else []
    if where:
        lines[0] += f"   [{where}]"
    return lines + ([f"            {note}"] if note else [])
