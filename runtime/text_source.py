"""Text files as sequences of labels: one row a window of characters, a label its place in the alphabet.  Without torch.

The alphabet is what the spec's own text is written in: its distinct characters, in the order of their code points.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Column

Array = NDArray[Any]


def alphabet(path: Path) -> str:
    """The distinct characters of a text, in order.

    Raises:
        OSError, ValueError: it cannot be read, or is empty or not UTF-8.
    """
    return "".join(sorted(set(_read(path))))


def text_schema(path: Path, source: Mapping[str, Any], letters: str | None) -> dict[str, Column]:
    """``tok``: windows of ``length`` characters, ``stride`` apart; ``next``: the characters that follow each of them.

    Args:
        path: the file.
        source: the manifest's ``data.source``.
        letters: the alphabet, where it is another text's.

    Raises:
        OSError, ValueError: see :func:`text_columns`.
    """
    length, text = int(source["length"]), _read(path)
    column = Column((length,), "int", _windows(len(text), source), len(letters or set(text)))
    return {"tok": column, "next": column}


def text_columns(
    path: Path, source: Mapping[str, Any], letters: str | None, wanted: Collection[str]
) -> dict[str, Array]:
    """The labels of the wanted columns [rows, length]; see :func:`text_schema`.

    Raises:
        OSError, ValueError: the file cannot be read, is not UTF-8, is shorter than a window, or holds a character that the
            alphabet lacks.
    """
    text, length, stride = _read(path), int(source["length"]), int(source["stride"])
    rows = _windows(len(text), source)
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    known = np.frombuffer((letters or "".join(sorted(set(text)))).encode("utf-32-le"), dtype=np.uint32)
    labels = np.searchsorted(known, codes).clip(max=len(known) - 1)
    strange = np.flatnonzero(known[labels] != codes)
    if len(strange):
        place = int(strange[0])
        line = text.count("\n", 0, place) + 1
        raise ValueError(f"line {line} holds {text[place]!r}, which the text that the model learnt from does not hold")
    starts = stride * np.arange(rows)[:, None] + np.arange(length)
    return {name: labels[starts + (name == "next")].astype(np.int64) for name in wanted}


def overlap(source: Mapping[str, Any]) -> int:
    """How many windows after one share characters with it, or with what follows it."""
    return -(-(int(source["length"]) + 1) // int(source["stride"])) - 1


def _windows(characters: int, source: Mapping[str, Any]) -> int:
    """How many windows a text has; the last one still has a character after it."""
    count = (characters - 1 - int(source["length"])) // int(source["stride"]) + 1
    if count < 1:
        raise ValueError(f"it has {characters} characters, a window of {source['length']} and the one after need more")
    return count


def _read(path: Path) -> str:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"it is not UTF-8: line {line}") from error
    if not text:
        raise ValueError("it is empty")
    return text
