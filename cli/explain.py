"""`dltc explain`: what a diagnostic code means, or what a spec costs and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from ..compiler.codes import CODES
from ..compiler.diagnostics import did_you_mean
from ..compiler.explanations import explanations
from .console import Console, escape
from .options import output_options, spec_options, target_option, without_option
from .specs import Choices, compile_spec, read_spec

_CODE = re.compile(r"[A-Za-z]\d+")


def _sizes(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """``batch=64`` texts as a dict."""
    result: dict[str, int] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not (equals and name.strip() and value.strip().isdecimal() and len(value.strip()) < 19):
            raise click.BadParameter(f"{text!r}: write name=size, for instance batch=64")
        result[name.strip()] = int(value)
    return result


@click.command("explain", short_help="Say what a spec costs and why, or what a diagnostic code means.")
@click.argument("what", nargs=-1, metavar="[SPEC | CODE...]")
@click.option(
    "--at",
    multiple=True,
    metavar="NAME=SIZE",
    callback=_sizes,
    help="A size that the data decides (batch, or an axis bound by it); may be repeated.",
)
@target_option
@without_option
@output_options
@spec_options
def command(console: Console, what: tuple[str, ...], at: dict[str, int], choices: Choices) -> None:
    """Say what a spec costs and why: nothing is run and no data is read.

    \b
      parameters   shape, domain, prior, initial value, rule, and what the rule keeps
      cost         FLOPs and bytes moved, summed over the emitted code; formulas in the
                   batch and in axes bound by the data; by phase and by line of the spec
      memory       at the peak of one step, and what it is made of
      sharing      the size of the expressions written out as trees, over the size of
                   the graph: the factor that sharing equal parts saves
      passes       what each pass of the optimizer did
      layout       the order of axes in memory

    FLOPs in products count 2 a multiply-add, as torch.utils.flop_counter does; other FLOPs count 1 an element of every
    elementwise operation and 1 an element that a reduction reads. The batch is that of `train`; other sizes that the data
    decides count as 128 unless --at gives them.

    With diagnostic codes, say what these mean, each with an example and its fix; with nothing, list all codes.

    \b
    Example:
      dltc explain digits.dlt
      dltc explain digits.dlt --at batch=256 --json
      dltc explain E0203
    """
    specs = [word for word in what if not _is_code(word)]
    if not specs:
        _codes(console, [word.upper() for word in what])
        return
    if len(what) > 1:
        raise click.UsageError("give one spec, or diagnostic codes")
    from ..compiler.explain import explain
    from ..compiler.explain_text import text

    artefact = compile_spec(read_spec(specs[0]), choices, "explain")
    try:
        data = explain(artefact, at)
    except ValueError as error:
        raise click.UsageError(f"--at: {error}") from error
    if console.json:
        console.object(**data)
    else:
        console.result(escape(text(data)))


def _is_code(word: str) -> bool:
    """Is a word meant as a code?  One that looks like it, unless there is such a file."""
    return bool(_CODE.fullmatch(word)) and not Path(word).exists()


def _codes(console: Console, wanted: Sequence[str]) -> None:
    for code in wanted:
        if code not in CODES:
            hint = did_you_mean(code, CODES) or "`dltc explain` lists all codes"
            raise click.UsageError(f"{code} is not a diagnostic code; {hint}")
    if not wanted and not console.json:
        console.result("\n".join(f"{code}  {title}" for code, title in CODES.items()))
        return
    known = explanations()
    if console.json:
        console.object(codes={code: known[code].to_json() for code in wanted or CODES})
    else:
        console.result(escape("\n\n\n".join(known[code].text() for code in wanted)))
