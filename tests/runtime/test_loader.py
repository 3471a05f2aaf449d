"""The loader: a private cache, hashes before anything runs, and refusals with a reason."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from dltc.runtime.errors import AbiError, CacheError
from dltc.runtime.loader import load_class, spec_place
from dltc.runtime.private import cache_folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DLTC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def forget(source_class):
    sys.modules.pop(source_class.__module__)


def test_a_module_is_a_real_file_in_a_private_folder(cache, source):
    text = source + "# a text of its own\n"
    model = load_class(text, "Digits")
    file = Path(sys.modules[model.__module__].__file__)
    assert file.read_text() == text
    assert file.name == "digits.py"
    assert file.is_relative_to(cache)
    for folder in (cache, cache / "modules", file.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert load_class(text, "Digits") is model


def test_a_changed_file_is_not_run(cache, source):
    text = source + "# another text\n"
    model = load_class(text, "Digits")
    file = Path(sys.modules[model.__module__].__file__)
    forget(model)
    file.write_text(text + "raise SystemExit('ran')\n")
    with pytest.raises(CacheError, match="was changed: delete it"):
        load_class(text, "Digits")


def test_an_open_cache_is_closed_again(cache, source):
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    load_class(source + "# third\n", "Digits")
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ABI = 2\n", "emitted for module ABI 2, this runtime runs 1"),
        ("", "ABI None"),
        ("ABI = 1\nDigits = 3\n", "no model class `Digits`"),
        ("ABI = 1\n", "no model class `Digits`"),
    ],
)
def test_what_is_no_module_of_this_abi_is_refused(cache, text, message):
    with pytest.raises(AbiError, match=message):
        load_class(text, "Digits")


def test_a_module_that_fails_to_import_leaves_no_trace(cache):
    before = set(sys.modules)
    with pytest.raises(ZeroDivisionError):
        load_class("ABI = 1\n1 / 0\n", "Digits")
    assert not [m for m in set(sys.modules) - before if m.startswith("dltc_module_")]


def test_cache_that_cannot_be_made(tmp_path, monkeypatch, source):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLTC_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match="set DLTC_CACHE"):
        load_class(source + "# fourth\n", "Digits")


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("DLTC_CACHE", "/a/b")
    assert cache_folder() == Path("/a/b")
    monkeypatch.delenv("DLTC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "dltc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "dltc"


def test_an_error_in_emitted_code_names_the_place_in_the_spec(digits):
    model = digits()
    with pytest.raises(RuntimeError) as info:
        model._parameters["V"] = model.W
        model(x=[[0.0] * 64])
    assert spec_place(info.value, digits) == "digits.dlt:17"
    assert spec_place(ValueError("elsewhere"), digits) is None
