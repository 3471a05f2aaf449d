"""Where the front end writes the mistakes of one file: with a limit, so that junk does not flood the reader."""

from __future__ import annotations

from collections.abc import Iterable

from ..diagnostics import Findings, Note, Span

MOST_ERRORS = 200


class Reporter:
    """Errors of one source.  After :data:`MOST_ERRORS` a last one says that there are more; the rest is dropped."""

    def __init__(self, findings: Findings, name: str) -> None:
        self._findings = findings
        self.name = name
        self._count = 0

    @property
    def full(self) -> bool:
        """Nothing more is recorded; reading on is of no use."""
        return self._count > MOST_ERRORS

    def error(
        self,
        code: str,
        message: str,
        start: int,
        end: int,
        *,
        label: str = "",
        help: str | None = None,
        notes: Iterable[Note] = (),
    ) -> None:
        """Record one error at ``[start, end)``."""
        self._count += 1
        span = Span(self.name, start, end)
        if self._count == MOST_ERRORS + 1:
            message = f"more than {MOST_ERRORS} mistakes: the file is not read further"
            self._findings.error("E0110", message, span, help="mend the ones above first")
        elif not self.full:
            self._findings.error(code, message, span, label=label, help=help, notes=notes)

    def note(self, message: str, start: int, end: int) -> Note:
        """A remark that points into this source."""
        return Note(message, Span(self.name, start, end))
