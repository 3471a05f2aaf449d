"""Which circuits and rules a file sees: its own, and those that it takes from others by `use`."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from ...diagnostics import Findings, Note, Span, did_you_mean
from .. import nodes as syntax
from ..domains import rules_of
from ..scope import Unresolvable
from .definition import KINDS, Definition

Read = Callable[[str], str]
"""The text of a file by its path from the spec's folder.  Raises OSError where it cannot be had, PermissionError where the
path leads out of the folder and nobody allowed that."""

Parse = Callable[[str, str], syntax.File]


@dataclass
class Visible:
    """What a file may call and use."""

    circuits: dict[str, Definition] = field(default_factory=dict[str, Definition])
    rules: dict[str, list[syntax.RuleDecl]] = field(default_factory=dict[str, "list[syntax.RuleDecl]"])
    failed: set[str] = field(default_factory=set[str])  # names that a `use` was to bring and could not


class Files:
    """Follows `use` from file to file.

    Args:
        standard: parses a file of the standard library, None where there is none of that name.
        read: reads a file beside the spec; None for a spec without a folder.
        parse: a text and its name to a file, with its findings recorded.
    """

    def __init__(
        self, standard: Callable[[str], syntax.File | None], read: Read | None, parse: Parse, findings: Findings
    ) -> None:
        self.standard, self.read, self.parse, self.findings = standard, read, parse, findings
        self.texts: dict[str, str] = {}
        self._known: dict[str, Visible] = {}
        self._open: list[str] = []

    def visible(self, file: syntax.File, path: str = "") -> Visible:
        """What a file sees; ``path`` is where it lies, from the folder of the spec."""
        found = Visible(rules=rules_of(file))
        for s in file.body:
            if isinstance(s, syntax.CircuitDecl):
                self._declare(s, found)
        for s in file.body:
            if isinstance(s, syntax.UseDecl):
                try:
                    self._use(s, found, path)
                except Unresolvable:
                    found.failed.update(name.name for name in s.names)
        return found

    def _declare(self, s: syntax.CircuitDecl, found: Visible) -> None:
        if s.name in found.circuits:
            place = Note(f"`{s.name}` is first declared here", found.circuits[s.name].decl.name_span)
            message = f"the circuit `{s.name}` is declared twice"
            self.findings.error("E0205", message, s.name_span, notes=[place], help="rename one of them")
            return
        odd = next((p for p in s.params if p.kind is not None and p.kind not in KINDS), None)
        if odd is not None:
            help = did_you_mean(odd.kind or "", KINDS) or f"write {odd.name}: {' or '.join(KINDS)}"
            message = f"`{odd.kind}` is no kind of parameter for a circuit"
            self.findings.error("E0243", message, odd.span, help=help)
            found.failed.add(s.name)
            return
        found.circuits[s.name] = Definition(s, found.circuits)

    def _use(self, s: syntax.UseDecl, found: Visible, path: str) -> None:
        other = self._of(s, path)
        for name in s.names:
            if name.name in other.circuits:
                place = found.circuits.get(name.name)
                if place is not None and place is not other.circuits[name.name]:
                    note = Note(f"`{name.name}` is declared here", place.decl.name_span)
                    message = f"`{name.name}` is a circuit of this file already"
                    self.findings.error("E0205", message, name.span, notes=[note], help="rename one of them")
                found.circuits.setdefault(name.name, other.circuits[name.name])
            elif name.name in other.rules:
                found.rules.setdefault(name.name, other.rules[name.name])
            else:
                known = [*other.circuits, *other.rules]
                help = did_you_mean(name.name, known) or f"it has {', '.join(known[:12]) or 'none'}"
                where = s.module or f'"{s.path}"'
                message = f"{where} has no circuit or rule `{name.name}`"
                self.findings.error("E0242", message, name.span, help=help)
                found.failed.add(name.name)

    def _of(self, s: syntax.UseDecl, path: str) -> Visible:
        """The circuits and rules of the file that a `use` names.

        Raises:
            Unresolvable: it cannot be read, has mistakes, or uses itself; reported.
        """
        key = s.module or posixpath.normpath(posixpath.join(posixpath.dirname(path), s.path or ""))
        if key in self._open:
            circle = " -> ".join([*self._open[self._open.index(key) :], key])
            help = "move what both need into a third file"
            self.findings.error("E0241", f"files that use each other in a circle: {circle}", s.span, help=help)
            raise Unresolvable
        if key not in self._known:
            self._open.append(key)
            try:
                self._known[key] = self._loaded(s, key)
            finally:
                self._open.pop()
        return self._known[key]

    def _loaded(self, s: syntax.UseDecl, key: str) -> Visible:
        if s.module is not None:
            file = self.standard(key.replace(".", "/") + ".dlt") if key.startswith("std.") else None
            if file is None:
                self._refuse(s.span, f"there is no module `{key}`", 'std.layers is one; a file is written "mine.dlt"')
            return self.visible(file, "")
        return self.visible(self._parsed(s, key), key)

    def _parsed(self, s: syntax.UseDecl, key: str) -> syntax.File:
        if self.read is None:
            self._refuse(s.span, f'"{s.path}" cannot be read: this text lies in no folder', "give the path of the spec")
        try:
            text = self.read(key)
        except PermissionError:
            message, help = f'"{s.path}" lies outside the folder of the spec', "pass --allow-path"
            self.findings.error("E0608", message, s.span, help=help)
            raise Unresolvable from None
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
            self._refuse(
                s.span, f'"{s.path}" cannot be read: {str(reason).lower()}', "paths start from the spec's folder"
            )
        self.texts[key] = text
        before = len(self.findings.errors)
        file = self.parse(text, key)
        if len(self.findings.errors) > before:
            raise Unresolvable
        return file

    def _refuse(self, span: Span, message: str, help: str) -> NoReturn:
        self.findings.error("E0240", message, span, help=help)
        raise Unresolvable
