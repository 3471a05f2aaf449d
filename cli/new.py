"""`dltc new`: a starter spec that checks, trains and says what to change."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

from ..runtime.files import write_atomic
from .console import Console
from .options import output_options
from .specs import Unreadable
from .words import OneOf

TEMPLATES = ("classification", "regression", "sequence")
"""Files of ``specs/templates``, whose model is called Starter."""


@click.command("new", short_help="Write a starter spec.")
@click.argument("name", metavar="NAME")
@click.option(
    "--template",
    type=OneOf(TEMPLATES),
    default="classification",
    help="classification (default), regression or sequence.",
)
@click.option("--force", is_flag=True, help="Replace a file of that name.")
@output_options
def command(console: Console, name: str, template: str, force: bool) -> None:
    """Write NAME.dlt: a small model with data, priors, rules and a train block, ready to be changed.

    \b
    Example:
      dltc new vision && dltc train vision.dlt
      dltc new walks/forecast --template regression
    """
    path = Path(name) if name.endswith(".dlt") else Path(f"{name}.dlt")
    if not re.fullmatch(r"[A-Za-z]\w*", path.stem, flags=re.ASCII):
        raise Unreadable(f"{path.stem!r} cannot name a model: use letters, digits and _, a letter first")
    if path.exists() and not force:
        raise Unreadable(f"{path} is there already: pass --force to replace it, or another name")
    if not path.parent.is_dir():
        raise Unreadable(f"the folder {path.parent} is not there")
    text = starter(template, path.stem)
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise Unreadable(f"{path} cannot be written: {error.strerror}") from error
    if console.json:
        console.object(spec=path.as_posix(), template=template)
        return
    console.result(path.as_posix())
    console.note(f"next: dltc train {path.as_posix()}")


def starter(template: str, stem: str) -> str:
    """The text of a template with the model and the file called after ``stem``."""
    text = files("dltc.specs").joinpath(f"templates/{template}.dlt").read_text(encoding="utf-8")
    model = "".join(part[:1].upper() + part[1:] for part in stem.split("_") if part)
    return text.replace("starter.dlt", f"{stem}.dlt").replace("Starter", model)
