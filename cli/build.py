"""`dltc build`: the emitted module and its manifest, as files."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtime.files import to_json, write_atomic
from .console import Console
from .options import output_options, spec_options, target_option, without_option
from .specs import Choices, Unreadable, compile_spec, read_spec


@click.command("build", short_help="Emit the PyTorch module and its manifest.")
@click.argument("spec", metavar="SPEC")
@click.option("-o", "--out", required=True, metavar="DIR", help="Folder to write to; made when missing.")
@target_option
@without_option
@output_options
@spec_options
def command(console: Console, spec: str, out: str, choices: Choices) -> None:
    """Emit the PyTorch module of a spec, `<model>.py`, and `manifest.json` beside it.

    The module is one readable file with a class named like the model: an ordinary torch.nn.Module whose `step` does one
    learn step. It imports torch and dltc's runtime.

    \b
    Example:
      dltc build digits.dlt -o out --set hid=256
      python -c "from digits import Digits; print(Digits())"      (inside out/)
    """
    artefact = compile_spec(read_spec(spec), choices, "build")
    folder = Path(out)
    files = {
        folder / artefact.manifest["module"]: artefact.source,
        folder / "manifest.json": to_json(artefact.manifest, indent=1) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            write_atomic(path, text.encode())
    except OSError as error:
        raise Unreadable(f"{out} cannot be written: {(error.strerror or str(error)).lower()}") from error
    paths = [path.as_posix() for path in files]
    if console.json:
        console.object(model=artefact.manifest["model"], target=artefact.manifest["target"], files=paths)
    else:
        console.result("\n".join(paths))
