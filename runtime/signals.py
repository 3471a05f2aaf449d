"""Ctrl-C and SIGTERM during training: noted, so that the step in progress ends and the state is saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Stop:
    """A context manager; ``received`` is the number of the first signal, or None.  A second signal ends at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
