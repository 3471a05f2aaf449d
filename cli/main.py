"""The process boundary: commands found by name, errors turned into exit codes, never a raw traceback.

Exit codes: 0 ok; 1 findings; 2 usage or unreadable input; 3 an optional dependency, compiler or device is missing;
4 the run diverged or failed; 70 internal error; 130 and 143 interrupted.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from ..compiler.diagnostics import did_you_mean
from ..compiler.version import __version__
from .console import escape
from .crash import write_report

# command -> (module beside this one, what `dltc --help` says)
COMMANDS: dict[str, tuple[str, str]] = {
    "check": ("check", "Report everything that is wrong with specs."),
    "fmt": ("fmt", "Lay out specs in the one canonical way."),
    "show": ("show", "Print or draw one stage of the compilation."),
    "build": ("build", "Emit the PyTorch module and its manifest."),
    "train": ("train", "Train the model of a spec in a run folder."),
    "eval": ("evaluate", "Measure a trained run on its test data."),
    "predict": ("predict", "Compute a trained run's outputs on new data."),
    "sample": ("sample", "Draw examples from the declared joint density."),
    "plot": ("plot", "Draw the curves of runs."),
    "diff": ("diff", "Compare what two specs or runs mean."),
    "explain": ("explain", "Say what a spec costs and why, or what a diagnostic code means."),
    "new": ("new", "Write a starter spec."),
    "cache": ("cache", "Show or clear the compile cache."),
    "doctor": ("doctor", "Say whether this machine has what dltc needs."),
}


class Commands(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            hint = did_you_mean(cmd_name, COMMANDS) or "`dltc --help` lists all commands"
            ctx.fail(f"`{cmd_name}` is no command; {hint}")
        return import_module(f".{entry[0]}", __package__).command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`dltc COMMAND --help` explains a command with an example.",
)
@click.version_option(__version__, prog_name="dltc", message="%(prog)s %(version)s")
def cli() -> None:
    """Compile declarative model specs (.dlt) to PyTorch modules, train them, compare them.

    A spec states tensor equations over named axes, densities, and how each parameter learns; dltc derives objective,
    gradients and update step from it.

    \b
      dltc check digits.dlt          what is wrong with it, if anything
      dltc train digits.dlt          train it, into runs/digits-1
      dltc build digits.dlt -o out   the PyTorch module, to read and to import
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (that of the process by default); returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    quiet_collector()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character gets an escape, not a traceback
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _invoke(given)
        sys.stdout.flush()
    except BrokenPipeError:
        return _closed_pipe()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except MemoryError:
        print("error: out of memory", file=sys.stderr)
        return 4
    except ModuleNotFoundError as error:
        if (error.name or "dltc").split(".")[0] == "dltc":
            return _internal(error, given)
        print(
            f"error: the package {error.name} is not installed (`dltc doctor` lists what is missing)", file=sys.stderr
        )
        return 3
    except Exception as error:  # noqa: BLE001 - the process boundary: whatever comes here is a fault of dltc itself
        return _internal(error, given)
    return code


def quiet_collector() -> None:
    """A compilation makes millions of objects and hardly a cycle: looking for cycles takes a third of its time.  What runs a
    model looks for them again (``_start`` in :mod:`.running`)."""
    gc.disable()


def _internal(error: Exception, given: list[str]) -> int:
    print(f"internal error: {type(error).__name__}: {escape(str(error))}", file=sys.stderr)
    print(f"please report it with this file: {write_report(error, given)}", file=sys.stderr)
    return 70


def _invoke(given: list[str]) -> int:
    try:
        with cli.make_context("dltc", given) as context:
            cli.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    return 0


def _closed_pipe() -> int:
    """The reader of our output went away (`| head`): what it wanted, it has."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
