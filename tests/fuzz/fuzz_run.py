"""Run a command in this process as the fuzzing tests do: with a limit of time, its answer taken as a value."""

from __future__ import annotations

import contextlib
import gc
import io
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from dltc.cli.main import main

LONGEST = 10
"""Seconds of processor time that an input may take."""


class TooSlow(BaseException):
    """An input used up its time; not an ``Exception``, so that nothing on the way takes it for an internal error."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Stop after :data:`LONGEST` seconds of this process's own time (other load does not count)."""

    def stop(_: int, frame: FrameType | None) -> None:
        places: list[str] = []
        while frame is not None and len(places) < 8:
            places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            frame = frame.f_back
        raise TooSlow(f"more than {LONGEST} s, in {' < '.join(places)}")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), in_time():
        code = main(arguments)
    gc.enable()  # a command switches it off, for a process that ends soon
    return code, out.getvalue(), err.getvalue()


def answer(command: tuple[str, ...], codes: tuple[int, ...]) -> tuple[int, str, str | None]:
    """Exit code and output of a command, and what is wrong with them: another exit code, a traceback, too long a time."""
    try:
        code, out, err = run(*command)
    except TooSlow as problem:
        return -1, "", f"{command}: {problem}"
    if code not in codes or "Traceback" in out + err or "internal error" in err:
        return code, out, f"{command}: exit code {code}: {err[-600:]}"
    return code, out, None
