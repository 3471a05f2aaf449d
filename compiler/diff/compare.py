"""Compare two specs under a pairing of their names: every difference becomes a change.

Two specs are the same when this finds no change that touches the meaning, and for nothing less: the search for a
renaming only proposes pairings.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .declared import declared
from .equations import equations
from .learning import inference, learning
from .match import Common, Match
from .pairing import Pairing, Search
from .report import NEUTRAL, Change, arranged
from .schedule import schedule, training
from .side import Artefact, Side


def differences(a: Artefact, b: Artefact) -> list[Change]:
    """The changes from a to b, under a pairing of names that needs none if there is such a pairing; those of a model that
    the data are drawn from are changes of the data."""
    return arranged([*_own(a, b), *_taught(a, b)])


def _taught(a: Artefact, b: Artefact) -> list[Change]:
    """The changes of the model that the data are drawn from, where both sides have one."""
    if a.teacher is None or b.teacher is None:
        return []
    name, note = b.teacher.model.name, "the data are drawn from it"
    return [
        replace(
            change,
            cls="schedule" if change.cls not in NEUTRAL else change.cls,
            path=f"{change.path} of {name}",
            note=note,
        )
        for change in _own(a.teacher, b.teacher)
    ]


def _own(a: Artefact, b: Artefact) -> list[Change]:
    """The changes of what learns."""
    common = Common(Side(a), Side(b))
    earlier = [Common(Side(x), Side(y)) for x, y in zip(a.phases[:-1], b.phases[:-1], strict=False)]
    tried: list[tuple[Pairing, list[Change]]] = []

    def changes(pairing: Pairing) -> list[Change]:
        found = next((done for known, done in tried if known == pairing), None)
        if found is None:
            found = [*_changes(common, pairing), *_blocks(a, b, earlier, pairing)]
            tried.append((pairing, found))
        return found

    direct = _by_name(common)
    if direct is not None and not _differs(changes(direct)):
        return changes(direct)
    search = Search(common.a, common.b)
    for pairing in search.pairings():
        if not _differs(changes(pairing)):
            return changes(pairing)
    found = changes(search.likeliest())
    if search.exhausted:
        note = "the names were paired in many ways, none of which made the specs equal; not all ways were tried"
        found = [*found, _general(common, "pairing", note)]
    return found


def _by_name(common: Common) -> Pairing | None:
    """Everything keeps its name; None when names came or went."""
    a, b = common.a, common.b
    models = a.model, b.model
    kinds = [(s.params.keys(), s.inputs.keys()) for s in models]
    if kinds[0] != kinds[1] or a.axes.keys() != b.axes.keys() or Counter(a.draws) != Counter(b.draws):
        return None
    same = [dict(zip(names, names, strict=True)) for names in (b.axes, b.model.params, b.model.inputs, b.draws)]
    return Pairing(*same)


def _differs(changes: list[Change]) -> bool:
    return any(change.cls not in NEUTRAL for change in changes)


def _changes(common: Common, pairing: Pairing) -> list[Change]:
    """All changes under a pairing.  What differs as a whole is never silent, even where no statement shows it."""
    m = Match(common, pairing)
    changes = [*declared(m), *equations(m), *learning(m), *inference(m), *schedule(m)]
    if not _differs(changes) and not (m.agree and m.start and m.learned):
        changes.append(_general(common, "graph", "no single statement shows the difference"))
    return changes


def _blocks(a: Artefact, b: Artefact, earlier: list[Common], pairing: Pairing) -> list[Change]:
    """Changes of the train blocks before the last: how they learn, infer and train, and how many there are."""
    found: list[Change] = []
    for k, common in enumerate(earlier, 1):
        m = Match(common, pairing)
        changes = [*learning(m), *inference(m), *training(m)]
        found += [replace(change, path=f"{change.path} (train block {k})".lstrip()) for change in changes]
    counts = [str(len(x.phases)) for x in (a, b)]
    if counts[0] != counts[1]:
        places = (x.place((x.model.train and x.model.train.span) or x.model.span) for x in (a, b))
        found.append(Change("schedule", "train blocks", "", *places, *counts))
    return found


def _general(common: Common, what: str, note: str) -> Change:
    a, b = common.a, common.b
    names = a.model.name, b.model.name
    return Change("semantic", what, names[1], a.place(a.model.span), b.place(b.model.span), *names, note)
