"""Option values out of a fixed set: a wrong one gets the one that was meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..compiler.diagnostics import did_you_mean

if TYPE_CHECKING:
    Base = click.ParamType[str]
else:
    Base = click.ParamType  # not generic in older versions of click


class OneOf(Base):
    """One of some words; the refusal names the nearest, else all of them."""

    name = "word"

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word itself.

        Raises:
            click.BadParameter: it is none of them.
        """
        word = str(value)
        if word not in self.words:
            hint = did_you_mean(word, self.words) or f"there are {', '.join(self.words)}"
            self.fail(f"`{word}` is unknown; {hint}", param, ctx)
        return word

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """``[a|b]`` in the help text."""
        return f"[{'|'.join(self.words)}]"
