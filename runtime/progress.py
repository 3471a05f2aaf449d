"""Progress of a run on standard error: a bar when rich is installed and a terminal looks on, plain lines otherwise.

The one file that touches rich.
"""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_PLAIN_SECONDS = 2.0  # at most one plain line in this time


class Progress(Protocol):
    """What the trainer tells about its steps."""

    def start(self, title: str, total: int, done: int) -> None:
        """A run of ``total`` steps, ``done`` of them before."""
        ...

    def step(self, done: int, text: str) -> None:
        """``done`` steps are made; ``text`` holds the newest numbers."""
        ...

    def stop(self) -> None:
        """The run ended, in whatever way."""
        ...


def make_progress(*, quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """The progress display that fits the stream (standard error by default)."""
    if quiet:
        return Silent()
    target: TextIO = sys.stderr if stream is None else stream
    if stream is None and target.isatty() and find_spec("rich") is not None:
        return Bar()
    return Lines(target)


class Silent:
    """No progress."""

    def start(self, title: str, total: int, done: int) -> None:
        pass

    def step(self, done: int, text: str) -> None:
        pass

    def stop(self) -> None:
        pass


class Clock:
    """Steps per second and time left, from the steps of this process."""

    def __init__(self, total: int, done: int) -> None:
        self._total, self._first, self._start = total, done, time.monotonic()

    def text(self, done: int) -> str:
        """``1520 steps/s, 0:03 left``."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        rate = (done - self._first) / seconds
        left = (self._total - done) / rate if rate > 0 else 0.0
        return f"{rate:.{0 if rate >= 10 else 2}f} steps/s, {duration(left)} left"


def duration(seconds: float) -> str:
    """``0:07``, ``12:40``, ``3:02:10``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Lines:
    """Plain lines, at most one every two seconds and one at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._clock = Clock(0, 0)
        self._title, self._total = "", 0
        self._next = 0.0

    def start(self, title: str, total: int, done: int) -> None:
        self._title, self._total, self._clock = title, total, Clock(total, done)
        self._next = time.monotonic() + _PLAIN_SECONDS

    def step(self, done: int, text: str) -> None:
        now = time.monotonic()
        if now >= self._next or done == self._total:
            self._next = now + _PLAIN_SECONDS
            numbers = f"  {text}" if text else ""
            print(f"{self._title}: step {done}/{self._total}{numbers}  ({self._clock.text(done)})", file=self._stream)

    def stop(self) -> None:
        pass


class Bar:
    """A bar with steps per second, time left and the newest numbers."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._clock = Clock(0, 0)
        self._next = 0.0

    def start(self, title: str, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        text = TextColumn("{task.fields[numbers]}", markup=False)
        bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}", markup=False),
            text,
            console=Console(stderr=True),
        )
        self._clock = Clock(total, done)
        self._task = bar.add_task(title, total=total, completed=done, speed="", numbers="")
        self._bar = bar
        bar.start()

    def step(self, done: int, text: str) -> None:
        now = time.monotonic()
        if self._bar is None or self._task is None or (now < self._next and done != self._bar.tasks[0].total):
            return
        self._next = now + 0.1
        self._bar.update(self._task, completed=done, speed=self._clock.text(done), numbers=text)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
