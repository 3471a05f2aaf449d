"""Options that commands share, and what becomes of the errors that all of them may meet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from ..compiler.diagnostics import Diagnostic, SpecError
from ..runtime.errors import Interrupted, RuntimeFault
from .console import Console
from .specs import PASSES, TARGETS, Choices, pass_hint
from .words import OneOf

Command = Callable[..., int | None]


def output_options(function: Command) -> Callable[..., None]:
    """Add ``--json``, ``--quiet`` and ``-v``; call ``function(console, ...)``; exit with what it returns.

    A :class:`SpecError` is printed and exits with 1 (2 when all of it is about options), a fault of the runtime with its own
    code.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
    @click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
    @click.option("-v", "--verbose", is_flag=True, help="Print more about what is done.")
    @functools.wraps(function)
    def run(as_json: bool, quiet: bool, verbose: bool, **arguments: Any) -> None:
        console = Console(as_json, quiet, verbose)
        try:
            code = function(console, **arguments)
        except SpecError as error:
            console.diagnostics(error.diagnostics, error.sources)
            code = 2 if about_options(error.diagnostics) else 1
        except Interrupted as error:
            console.failure(str(error), 128 + error.signal_number)
            code = 128 + error.signal_number
        except RuntimeFault as error:
            console.failure(str(error), error.exit_code)
            code = error.exit_code
        raise click.exceptions.Exit(code or 0)

    return run


def about_options(items: Sequence[Diagnostic]) -> bool:
    """Whether nothing is wrong but what was given on the command line: that is a matter of usage."""
    errors = [item for item in items if item.severity == "error"]
    return bool(errors) and all(item.code == "E0219" or (item.span is None and item.code == "E0702") for item in errors)


def _overrides(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``name=value`` texts as a dict."""
    result: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise click.BadParameter(f"{text!r}: write name=value, for instance hid=256")
        if name.strip() in result:
            raise click.BadParameter(f"`{name.strip()}` is set twice")
        result[name.strip()] = value.strip()
    return result


def spec_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a compilation; they arrive together as ``choices``."""

    @click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_overrides,
        help="Override an axis, a let or a setting (train.epochs=9); may be repeated.",
    )
    @click.option("--model", metavar="NAME", help="Which model of the file; else the one that trains, or the last.")
    @click.option("--seed", type=int, help="Seed of every draw, split and shuffle.")
    @click.option("--dtype", type=OneOf(["float32", "float64"]), help="dtype of real tensors.")
    @click.option("--allow-extern", is_flag=True, help="Allow `extern` operations, which run Python code.")
    @click.option("--allow-path", is_flag=True, help="Allow files outside the spec's folder.")
    @functools.wraps(function)
    def run(
        *args: Any,
        overrides: dict[str, str],
        model: str | None,
        seed: int | None,
        dtype: str | None,
        allow_extern: bool,
        allow_path: bool,
        **rest: Any,
    ) -> Any:
        target = rest.pop("target", None) or "torch"
        without = rest.pop("without", ())
        cached = rest.pop("cached", True)
        choices = Choices(target, overrides, model, seed, dtype, allow_extern, allow_path, without, cached)
        return function(*args, choices=choices, **rest)

    return run


def target_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--target``; it arrives inside ``choices``."""
    return click.option("--target", type=OneOf(TARGETS), default="torch", help="What to emit (default: torch).")(
        function
    )


def cache_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--no-cache``, which arrives as ``cached`` (with :func:`spec_options` inside ``choices``)."""
    return click.option(
        "--no-cache", "cached", is_flag=True, flag_value=False, default=True, help="Compile anew and keep nothing."
    )(function)


def _passes(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of passes, each once, sorted."""
    for name in names:
        if name not in PASSES:
            raise click.BadParameter(f"`{name}` is no pass; {pass_hint(name)}")
    return tuple(sorted({*names}))


def without_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--without``; it arrives inside ``choices``."""
    return click.option(
        "--without",
        multiple=True,
        metavar="PASS",
        callback=_passes,
        help=f"Switch an optimizer pass off: {', '.join(PASSES)}; may be repeated.",
    )(function)
