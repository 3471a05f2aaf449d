"""Compiled specs, from the compile cache where it holds them.

What a command needs to build, train or measure are the module's text, its manifest and the texts of used files.  They are kept
under a hash of everything they depend on: the spec's text and name, what was chosen, the sources of the compiler and the
versions of what it is written with.  Which files a spec uses is only known once it is compiled: their hashes are kept with the
result, and it counts only while they are the same.  The compiler reads no
data, but for the alphabet of a text that sizes an axis; that is among what was chosen.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.diagnostics import SpecError
from ..compiler.version import __version__
from ..runtime import cache as store
from ..runtime.errors import CacheError
from .specs import Choices, SpecText, compile_spec, used_text, with_sizes_of_text

if TYPE_CHECKING:
    from ..compiler.pipeline import Artefact
    from ..runtime.session import Job

_FORMAT = 1
"""Of an entry: what its fields mean."""

SOURCES = ("compiler", "grammar", "specs", "cli")
"""Folders of the package that what is emitted depends on."""

_WRITTEN_WITH = ("lark", "numpy", "jinja2")


@dataclass(frozen=True)
class Program:
    """A compiled spec.

    Attributes:
        source: text of the emitted module.
        manifest: its facts, as JSON gives them back.
        used: texts of the files that it uses, by path.
        earlier: source and manifest of every train block before the last.
        cached: whether it comes from the cache.
    """

    spec: SpecText
    choices: Choices
    verb: str
    source: str
    manifest: Mapping[str, Any]
    used: Mapping[str, str]
    earlier: Sequence[tuple[str, Mapping[str, Any]]]
    cached: bool

    def __post_init__(self) -> None:
        offer_python(self.spec, self.used)

    @cached_property
    def artefact(self) -> Artefact:
        """Everything else that the compiler knows of it: compiled when first asked for, where it was not."""
        return compile_spec(self.spec, self.choices, self.verb)

    def job(self) -> Job:
        """What the runtime trains or evaluates."""
        from ..runtime.session import Job

        spec, choices = self.spec, self.choices
        return Job(
            self.source,
            self.manifest,
            spec.text,
            spec.folder,
            choices.identity(),
            allow_path=choices.allow_path,
            used=self.used,
            earlier=self.earlier,
        )


def offer_python(spec: SpecText, used: Mapping[str, str]) -> None:
    """Let emitted modules call the Python files that a spec uses: whoever compiled it has allowed that."""
    if any(path.endswith(".py") for path in used):
        from ..runtime import externs

        externs.offer(spec.folder, used)


def silent(_: str) -> None:
    """Tell nobody."""


def program(
    spec: SpecText,
    choices: Choices,
    verb: str,
    detail: Callable[[str], None] = silent,
    note: Callable[[str], None] = silent,
) -> Program:
    """The compiled spec, from the cache if it is there; else it is compiled and kept.

    Args:
        verb: the command in the emitted header.
        detail: is told that it comes from the cache.
        note: is told when the cache cannot be used, or an entry is damaged.

    Raises:
        SpecError: with every finding.
    """
    choices = with_sizes_of_text(spec, choices)
    if not (choices.cached and store.enabled()):
        return _compiled(spec, choices, verb)
    key = key_of(spec, choices, verb)
    try:
        found = _found(key, spec, choices, verb, note)
    except CacheError as problem:
        note(f"nothing is kept: {problem}")
        return _compiled(spec, choices, verb)
    if found is not None:
        detail("from cache")
        return found
    made = _compiled(spec, choices, verb)
    hashes = {path: _hash(text) for path, text in made.used.items()}
    row = {"source": made.source, "manifest": made.manifest, "used": hashes, "earlier": made.earlier}
    try:
        store.write(key, json.dumps(row).encode())
    except CacheError as problem:
        note(f"nothing is kept: {problem}")
    return made


def of_artefact(artefact: Artefact, spec: SpecText, choices: Choices, verb: str) -> Program:
    """A program of what is compiled already."""
    choices = replace(choices, set=artefact.options.set)
    *earlier, (source, manifest) = [(block.source, _plain(block.manifest)) for block in artefact.phases]
    made = Program(spec, choices, verb, source, manifest, artefact.checked.used, earlier, cached=False)
    made.__dict__["artefact"] = artefact
    return made


def _plain(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes out of the cache, for what does not."""
    return json.loads(json.dumps(manifest))


def _compiled(spec: SpecText, choices: Choices, verb: str) -> Program:
    return of_artefact(compile_spec(spec, choices, verb), spec, choices, verb)


def _found(key: str, spec: SpecText, choices: Choices, verb: str, note: Callable[[str], None]) -> Program | None:
    """What is kept under a key, if the used files are still the same."""
    try:
        body = store.read(key)
    except store.Damaged as damaged:
        note(f"an entry of the compile cache is damaged and made again: {damaged}")
        return None
    if body is None:
        return None
    row: dict[str, Any] = json.loads(body)
    used: dict[str, str] = {}
    for path, digest in row["used"].items():
        try:
            used[path] = used_text(spec, path, allow_path=choices.allow_path)
        except (OSError, SpecError):
            return None  # compiling again says what is wrong with it
        if _hash(used[path]) != digest:
            return None
    earlier = [(source, manifest) for source, manifest in row["earlier"]]
    return Program(spec, choices, verb, row["source"], row["manifest"], used, earlier, cached=True)


def key_of(spec: SpecText, choices: Choices, verb: str) -> str:
    """The hash of all that a compilation depends on but the used files."""
    chosen = {**asdict(choices), "set": sorted(choices.set.items()), "cached": None}
    parts = [_FORMAT, spec.name, spec.text, verb, chosen, compiler_hash(), versions()]
    return _hash(json.dumps(parts, sort_keys=True))


@cache
def compiler_hash() -> str:
    """The hash of the compiler's sources: an edited compiler finds nothing that another one made."""
    root = Path(__file__).resolve().parent.parent
    return hash_of(root, (path for name in SOURCES for path in (root / name).rglob("*")))


def hash_of(root: Path, paths: Iterable[Path]) -> str:
    """The hash of files, byte code left out, by their paths from a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in paths if p.is_file() and p.suffix != ".pyc"):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


@cache
def versions() -> tuple[str, ...]:
    """Versions of dltc, Python and what the compiler is written with."""
    return (__version__, sys.version, *(f"{name} {version(name)}" for name in _WRITTEN_WITH))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
