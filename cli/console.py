"""What a command prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

from ..compiler.diagnostics import Diagnostic, Source, render, to_json
from ..compiler.version import JSON_SCHEMA
from ..runtime import files

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLOR = re.compile(r"\x1b\[\d+m")


@dataclass(frozen=True, slots=True)
class Console:
    """The output of one command."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    def result(self, text: str) -> None:
        """A line (or more) of the result."""
        print(text, file=sys.stdout)

    def object(self, **fields: object) -> None:
        """The result of ``--json``: one object, with its schema number first."""
        print(files.to_json({"schema": JSON_SCHEMA, **fields}, indent=1), file=sys.stdout)

    def note(self, text: str) -> None:
        """A remark; silent with ``--quiet``."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def detail(self, text: str) -> None:
        """A remark for ``-v``."""
        if self.verbose:
            print(text, file=sys.stderr)

    def error(self, text: str) -> None:
        """What went wrong; always printed."""
        print(f"{paint('error', '31;1', sys.stderr)}: {escape(text)}", file=sys.stderr)

    def failure(self, text: str, exit_code: int) -> None:
        """:meth:`error`, and with ``--json`` the object that stands for the missing result."""
        if self.json:
            self.object(error={"message": text, "exit": exit_code})
        self.error(text)

    def diagnostics(
        self, items: Iterable[Diagnostic], sources: Mapping[str, Source], *, stream: TextIO | None = None
    ) -> None:
        """Findings: one JSON object on standard output, or text on the stream (standard error by default)."""
        if self.json:
            self.object(diagnostics=[to_json(item, sources) for item in items])
            return
        target: TextIO = sys.stderr if stream is None else stream
        texts = [escape(render(item, sources, color=colored(target))) for item in items]
        if texts:
            print("\n\n".join(texts), file=target)


def colored(stream: TextIO) -> bool:
    """Whether colours are wanted: a terminal, and ``NO_COLOR`` not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, code: str, stream: TextIO) -> str:
    """The text in a colour, where colours are wanted."""
    if not colored(stream):
        return text
    return "".join(f"\x1b[{part}m" for part in code.split(";")) + text + "\x1b[0m"


def escape(text: str) -> str:
    """Control characters of foreign text made visible, so that a spec cannot drive the terminal; our colours stay."""
    parts: list[str] = []
    end = 0
    for match in _COLOR.finditer(text):
        parts += [_CONTROL.sub(_visible, text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, _CONTROL.sub(_visible, text[end:])])


def _visible(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"
