"""The compile cache: a hit gives what compiling gives, and nothing stale is ever one."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dltc
from dltc.cli import compiled
from dltc.cli.specs import Choices, SpecText, read_spec
from dltc.compiler import pipeline
from dltc.compiler.diagnostics import SpecError
from dltc.runtime import cache as store
from dltc.runtime.loader import load_class

SPEC = """dlt 1
use "part.dlt" (Part)
model M {
  axis i = 3
  input x[i]
  input y
  h = Part(x)
  y ~ Normal(h, var = 1)
  learn { * : SGD(lr = 0.1) }
  data from npz("d.npz") { x = a; y = b }
  train { epochs 1; seed 0; report rmse(y, h) }
  train { epochs 1; learn { * : SGD(lr = 0.05) } }
}
model Other {
  axis i = 2
  input x[i]
  h = sum(x)
}
"""
PART = """dlt 1
use "deeper.dlt" (Deeper)
circuit Part() {
  input x[i]
  output y = Deeper(x)
}
"""
DEEPER = """dlt 1
circuit Deeper() {
  input x[i]
  param W[i] ~ Normal(0, var = 1)
  output y = W[i] * x[i]
}
"""


def save(**arrays: list[Any]) -> None:
    np.savez("d.npz", allow_pickle=False, **{name: np.array(rows) for name, rows in arrays.items()})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec that uses a file that uses another, and an empty cache."""
    monkeypatch.setenv("DLTC_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name, text in (("m.dlt", SPEC), ("part.dlt", PART), ("deeper.dlt", DEEPER)):
        Path(name).write_text(text)
    save(a=[[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]], b=[4.0, 5.0])
    return work


def compile_(choices: Choices | None = None, verb: str = "build", spec: SpecText | None = None) -> compiled.Program:
    return compiled.program(spec or read_spec("m.dlt"), choices or Choices(), verb)


def test_a_hit_is_what_compiling_gives_and_asks_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_()

    def refuse(*_: Any) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(compiled, "compile_spec", refuse)
    second = compile_()
    assert (first.cached, second.cached) == (False, True)
    assert (first.source, first.manifest, first.used) == (second.source, second.manifest, second.used)
    assert set(second.used) == {"part.dlt", "deeper.dlt"}
    assert first.job() == second.job() and len(second.earlier) == 1


def edit(name: str, old: str, new: str) -> Callable[[], None]:
    def change() -> None:
        text = Path(name).read_text()
        assert old in text
        Path(name).write_text(text.replace(old, new))

    return change


CHOICES: dict[str, Any] = {
    "set": {"i": "3"},
    "model": "Other",
    "seed": 1,
    "dtype": "float64",
    "allow_extern": True,
    "allow_path": True,
    "without": ("share",),
}
TEXTS = {
    "spec": edit("m.dlt", "lr = 0.1", "lr = 0.2"),
    "a comment (lines move)": edit("m.dlt", "model M", "# more\nmodel M"),
    "a used file": edit("part.dlt", "output y = Deeper(x)", "output y = 2 * Deeper(x)"),
    "a file used by a used file": edit("deeper.dlt", "var = 1", "var = 2"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_is_part_of_the_key(name: str) -> None:
    compile_()
    chosen = replace(Choices(), **{name: CHOICES[name]})
    assert not compile_(chosen).cached
    assert compile_(chosen).cached and compile_().cached


def test_no_choice_is_forgotten() -> None:
    """A new field of Choices is compared by itself; `target` has one value yet, `cached` changes nothing."""
    fields = set(Choices.__dataclass_fields__)
    assert fields == {*CHOICES, "target", "cached"}
    keys = {compiled.key_of(read_spec("m.dlt"), Choices(target=target), "build") for target in ("torch", "cpu")}
    assert len(keys) == 2


@pytest.mark.parametrize("change", TEXTS.values(), ids=TEXTS)
def test_every_text_is_part_of_the_key(change: Callable[[], None]) -> None:
    before = compile_()
    change()
    after = compile_()
    assert not after.cached
    assert (after.source, dict(after.used)) != (before.source, dict(before.used))
    assert compile_().cached


def test_name_command_versions_and_compiler_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_()
    assert not compile_(verb="train").cached
    assert not compile_(spec=replace(read_spec("m.dlt"), name="n.dlt")).cached
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "compiler_hash", lambda: "another")
        assert not compile_().cached
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "versions", lambda: ("another",))
        assert not compile_().cached
    assert compile_().cached


def test_the_hash_of_the_compiler_sees_every_file(tmp_path: Path) -> None:
    root = tmp_path / "sources"
    (root / "a").mkdir(parents=True)
    (root / "a" / "b.py").write_text("1")
    (root / "c.toml").write_text("2")

    def found() -> str:
        return compiled.hash_of(root, root.rglob("*"))

    hashes = [found()]
    for name, text in (("a/b.py", "3"), ("c.toml", "4"), ("a/new.lark", ""), ("a/b.py", "34")):
        (root / name).write_text(text)
        hashes.append(found())
    (root / "c.toml").rename(root / "d.toml")
    hashes.append(found())
    assert len({*hashes}) == len(hashes)
    (root / "a" / "b.pyc").write_text("byte code")
    assert found() == hashes[-1]
    package = Path(pipeline.__file__).parents[1]
    hashed = {p for name in compiled.SOURCES for p in (package / name).rglob("*")}
    assert {package / "compiler" / "pipeline.py", package / "specs" / "std" / "rules.dlt"} <= hashed


def test_data_files_are_no_part_of_a_program() -> None:
    """The compiler reads none: other data, the same program."""
    compile_()
    save(a=[[5.0, 6.0, 7.0, 8.0]], b=[1.0])
    assert compile_().cached
    Path("d.npz").unlink()
    again = compile_(Choices(cached=False))
    assert again.source == compile_().source


def test_a_used_file_that_is_gone_is_said_to_be() -> None:
    compile_()
    Path("deeper.dlt").unlink()
    with pytest.raises(SpecError):
        compile_()


def test_a_file_outside_needs_its_permission_on_a_hit_too(tmp_path: Path) -> None:
    (tmp_path / "out.dlt").write_text(DEEPER)
    Path("part.dlt").write_text(PART.replace('"deeper.dlt"', '"../out.dlt"'))
    assert not compile_(Choices(allow_path=True)).cached and compile_(Choices(allow_path=True)).cached
    with pytest.raises(SpecError):
        compile_()


def test_mistakes_are_not_kept() -> None:
    Path("m.dlt").write_text(SPEC.replace("sum(x)", "nothing"))
    for _ in range(2):
        with pytest.raises(SpecError):
            compile_(Choices(model="Other"))
    assert store.entries() == []


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff" * 100, None])
def test_a_damaged_entry_is_made_again_with_a_note(damage: bytes | None) -> None:
    first = compile_()
    (entry,) = store.entries()
    content = entry.path.read_bytes()
    entry.path.write_bytes(content[:-40] + b"x" * 40 if damage is None else damage)
    notes: list[str] = []
    again = compiled.program(read_spec("m.dlt"), Choices(), "build", note=notes.append)
    assert not again.cached and again.source == first.source
    assert len(notes) == 1 and "damaged" in notes[0] and str(entry.path) in notes[0]
    assert compile_().cached and entry.path.read_bytes() == content


def test_the_cache_is_private() -> None:
    compile_()
    (entry,) = store.entries()
    assert stat.S_IMODE(entry.path.stat().st_mode) == 0o600
    assert [stat.S_IMODE(p.stat().st_mode) for p in (entry.path.parent, entry.path.parent.parent)] == [0o700, 0o700]


def test_a_cache_that_cannot_be_used_is_said_and_does_not_stop_a_compilation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLTC_CACHE", str(tmp_path / "file" / "x"))
    notes: list[str] = []
    assert compiled.program(read_spec("m.dlt"), Choices(), "build", note=notes.append).source
    assert len(notes) == 1 and "set DLTC_CACHE" in notes[0]


def test_a_full_disk_compiles_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_atomic", full)
    count: list[int] = []
    original = compiled.compile_spec

    def counted(spec: SpecText, choices: Choices, verb: str) -> pipeline.Artefact:
        count.append(1)
        return original(spec, choices, verb)

    monkeypatch.setattr(compiled, "compile_spec", counted)
    notes: list[str] = []
    assert compiled.program(read_spec("m.dlt"), Choices(), "build", note=notes.append).source
    assert count == [1] and "no space" in notes[0].lower()


def test_switched_off_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_(Choices(cached=False))
    assert store.entries() == []
    compile_()
    assert not compile_(Choices(cached=False)).cached
    monkeypatch.setenv("DLTC_CACHE", "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path.cwd() / "home"))
    assert not compile_().cached
    load_class(compile_().source, "M")  # a module that runs needs a file, off or not
    assert not Path("off").exists()
    assert {e.path.parent.name for e in store.entries()} == {store.MODULES}


def test_what_was_not_used_for_longest_goes_first() -> None:
    for k in range(4):
        store.write(f"k{k}", b"x" * 1000)
        os.utime(store.entries()[0].path, ns=(k, k))
    for k, used in ((0, 50), (1, 10), (2, 20), (3, 40)):
        os.utime(store.cache_folder() / store.PROGRAMS / f"k{k}.json", ns=(used, used))
    assert store.read("k1") is not None  # used now
    store.trim(3300)
    assert sorted(e.path.stem for e in store.entries()) == ["k0", "k1", "k3"]
    store.write("big", b"x" * 9000, limit=5000)
    assert [e.path.stem for e in store.entries()] == ["big"]


def test_loaded_modules_count_and_go_too() -> None:
    load_class(compile_().source, "M")
    kinds = sorted(e.path.parent.name for e in store.entries())
    assert kinds == [store.MODULES, store.PROGRAMS]
    store.trim(0)
    assert store.entries() == []
    assert load_class(compile_().source, "M").__name__ == "M"


def test_a_link_in_the_cache_is_dropped_not_followed(tmp_path: Path) -> None:
    compile_()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    (store.cache_folder() / store.PROGRAMS / "link.json").symlink_to(tmp_path / "precious")
    store.clear()
    assert store.entries() == [] and (tmp_path / "precious" / "file").read_text() == "kept"


def test_the_commands(dltc: Any) -> None:
    empty = dltc("cache", "--json").json
    assert (empty["entries"], empty["bytes"], empty["enabled"]) == (0, 0, True)
    first = dltc("build", "m.dlt", "-o", "a", "-v")
    again = dltc("build", "m.dlt", "-o", "b", "-v")
    assert "from cache" not in first.err and "from cache" in again.err
    assert "from cache" not in dltc("build", "m.dlt", "-o", "c").err
    assert "from cache" not in dltc("build", "m.dlt", "-o", "c", "-v", "--no-cache").err
    for name in ("m.py", "manifest.json"):
        assert len({Path(out, name).read_bytes() for out in "abc"}) == 1
    held = dltc("cache", "--json").json
    assert (held["schema"], held["place"], held["programs"], held["modules"]) == (1, os.environ["DLTC_CACHE"], 1, 0)
    assert held["bytes"] == sum(e.size for e in store.entries()) > 1000
    shown = dltc("cache")
    assert shown.out.splitlines() == [
        os.environ["DLTC_CACHE"],
        "programs: 1, loaded modules: 0",
        f"bytes: {held['bytes']} of at most {store.LIMIT}",
    ]
    cleared = dltc("cache", "clear")
    assert (cleared.code, cleared.out) == (0, f"entries cleared: 1 ({held['bytes']} bytes)\n")
    assert dltc("cache", "--json").json["entries"] == 0
    assert dltc("cache", "clean").code == 2


def test_training_measuring_and_predicting_share_a_program(dltc: Any) -> None:
    assert "from cache" not in dltc("train", "m.dlt", "-o", "run", "-v").err
    for arguments in (["train", "m.dlt", "-o", "run2"], ["eval", "run"], ["predict", "run", "d.npz", "-o", "o.jsonl"]):
        done = dltc(*arguments, "-v")
        assert done.code == 0 and "from cache" in done.err, arguments
    assert Path("run/metrics.jsonl").exists()
    assert json.loads(Path("o.jsonl").read_text().splitlines()[0])


def test_findings_about_data_have_their_place_on_a_hit(dltc: Any) -> None:
    assert dltc("train", "m.dlt", "-o", "run").code == 0
    save(a=[[1.0, 2.0, 3.0]], c=[1.0])
    found = dltc("train", "m.dlt", "-o", "run2", "--json").json["diagnostics"]
    fresh = dltc("train", "m.dlt", "-o", "run2", "--json", "--no-cache").json["diagnostics"]
    assert found == fresh and found[0]["line"] == 10


def test_the_python_door_uses_it_too() -> None:
    first, second = (dltc.compile("m.dlt") for _ in range(2))
    assert (first.source, first.manifest) == (second.source, second.manifest)
    assert len(store.entries()) == 1
    assert second.graph("graph").roots


def test_the_alphabet_of_a_text_is_part_of_the_key() -> None:
    """It sizes an axis: another alphabet is another program, other words in the same letters are not."""
    text = "dlt 1\nmodel M {\n  axis letter, t = 4\n  input tok[t]: letter\n  param E[letter] ~ Normal(0, var = 1)\n"
    text += '  h = sum(E[tok[t]])\n  data from text("a.txt", length = 4) { tok = tok }\n}\n'
    Path("t.dlt").write_text(text)
    sizes: list[int] = []
    for letters in ("abcabcabcabc", "abcdabcdabcd", "ddcbaabcdabc", "abcabcabcabc"):
        Path("a.txt").write_text(letters)
        sizes.append(dltc.compile("t.dlt").manifest["axes"]["letter"])
    assert sizes == [3, 4, 4, 3]
