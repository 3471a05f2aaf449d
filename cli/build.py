"""`dltc build`: the emitted module and its manifest, as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime.files import to_json, write_atomic
from .compiled import program
from .console import Console
from .options import cache_option, output_options, spec_options, target_option, without_option
from .specs import Choices, Unreadable, read_spec

if TYPE_CHECKING:
    from ..compiler.pipeline import Artefact
    from ..compiler.verify.passes import Checked


@click.command("build", short_help="Emit the PyTorch module and its manifest.")
@click.argument("spec", metavar="SPEC")
@click.option("-o", "--out", required=True, metavar="DIR", help="Folder to write to; made when missing.")
@click.option("--verify", "checked", is_flag=True, help="Check every pass and the emitted module on random data.")
@cache_option
@target_option
@without_option
@output_options
@spec_options
def command(console: Console, spec: str, out: str, checked: bool, choices: Choices) -> int:
    """Emit the PyTorch module of a spec, `<model>.py`, and `manifest.json` beside it.

    The module is one readable file with a class named like the model: an ordinary torch.nn.Module whose `step` does one
    learn step. It imports torch and dltc's runtime.

    With --verify every optimizer pass is checked: the graphs before and after it are evaluated on small random data in
    float64, and exactly in a prime field where the pass claims algebra; then the emitted module is compared with the
    graphs. What differs is a fault of dltc: exit 70, naming the pass, the output and the lines of the spec, and nothing
    is written. Exit 1 when something could not be compared; that is listed.

    \b
    Example:
      dltc build digits.dlt -o out --set hid=256
      dltc build digits.dlt -o out --verify
      python -c "from digits import Digits; print(Digits())"      (inside out/)
    """
    built = program(read_spec(spec), choices, "build", console.detail, console.note)
    verified = _verified(built.artefact) if checked else None
    folder = Path(out)
    files = {
        folder / built.manifest["module"]: built.source,
        folder / "manifest.json": to_json(built.manifest, indent=1) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            write_atomic(path, text.encode())
    except OSError as error:
        raise Unreadable(f"{out} cannot be written: {(error.strerror or str(error)).lower()}") from error
    paths = [path.as_posix() for path in files]
    if console.json:
        about = {"verified": verified.data()} if verified is not None else {}
        console.object(model=built.manifest["model"], target=built.manifest["target"], files=paths, **about)
    else:
        console.result("\n".join(paths))
    return verified.report(console) if verified is not None else 0


@dataclass(frozen=True)
class Verified:
    """What was compared, and what could not be."""

    graphs: tuple[Checked, ...]
    unclear: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"graphs": [graph.data() for graph in self.graphs], "not_compared": list(self.unclear)}

    def report(self, console: Console) -> int:
        """A line per graph on standard error, and what is not verified; the exit code."""
        for graph in self.graphs:
            console.note(graph.text())
        for text in self.unclear:
            console.error(f"not verified: {text}")
        return 1 if self.unclear else 0


def _verified(artefact: Artefact) -> Verified:
    """Compare whatever can be compared; torch is imported here.

    Raises:
        InternalError: something differs.
    """
    from .verify import NoDataError, verify

    try:
        graphs = verify(artefact)
    except NoDataError as problem:
        return Verified((), (f"the graphs cannot be interpreted on small random data: {problem}",))
    return Verified(tuple(graphs), tuple(f"{graph.name}: {text}" for graph in graphs for text in graph.unclear))
