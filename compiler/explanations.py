"""What `dltc explain CODE` says, read from ``explanations.toml``: meaning, an example that raises the code, the fix."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .codes import CODES


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code: ``wrong`` raises it, ``right`` is the same mended; both are whole specs for :func:`spec_of`."""

    code: str
    means: str
    wrong: str
    right: str
    whole: bool
    set: str | None
    files: dict[str, str]

    def text(self) -> str:
        """For a terminal: title, meaning, the snippet and its fix."""
        option = f"   (with --set {self.set})" if self.set else ""
        parts = [f"{self.code}  {CODES[self.code]}", self.means]
        parts += [f"wrong:{option}\n{_indented(self.wrong)}", f"right:\n{_indented(self.right)}"]
        return "\n\n".join(parts)

    def to_json(self) -> dict[str, object]:
        """The same as data."""
        return {"title": CODES[self.code], "means": self.means, "wrong": self.wrong, "right": self.right}

    def spec_of(self, snippet: str) -> str:
        """The snippet as a whole spec: statements of a model get one around them."""
        return snippet + "\n" if self.whole else f"dlt 1\nmodel M {{\n{_indented(snippet, 2)}\n}}\n"


def _indented(text: str, width: int = 4) -> str:
    return "\n".join(" " * width + line if line else "" for line in text.splitlines())


@cache
def explanations() -> dict[str, Explanation]:
    """All explanations by code."""
    path = Path(__file__).with_name("explanations.toml")
    rows: dict[str, dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        code: Explanation(
            code,
            row["means"],
            row["wrong"],
            row["right"],
            row.get("whole", row["wrong"].startswith("dlt ")),
            row.get("set"),
            row.get("files", {}),
        )
        for code, row in rows.items()
    }
