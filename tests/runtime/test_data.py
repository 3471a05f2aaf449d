"""Data: headers, expressions, splits, and every finding with its code."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import numpy as np
import pytest

from dltc.compiler.pipeline import compile_spec
from dltc.runtime.columns import Column, evaluate, infer
from dltc.runtime.data import DataPlan, check_schema, inputs_of, load, schema, split
from dltc.runtime.errors import DataError
from dltc.runtime.session import Job, load_data
from dltc.runtime.sklearn_source import DATA_SETS, sklearn_columns, sklearn_schema
from dltc.runtime.tables import Input

X = Input("x", ("pix",), (3,), "real")
Y = Input("y", (), (), "label", labels=4)
DATA, TARGET = ["column", "data"], ["column", "target"]
EVERY_ROW = np.arange(4)


def npz(path, **arrays):
    np.savez(path / "d.npz", **arrays)
    return {"kind": "npz", "path": "d.npz"}


def csv(path, text):
    (path / "d.csv").write_text(text)
    return {"kind": "csv", "path": "d.csv"}


def plan(source, valid=0.0, test=0.0, **columns):
    return DataPlan(source, columns, valid, test)


def problems(call):
    with pytest.raises(DataError) as info:
        call()
    return [(p.code, p.message) for p in info.value.problems]


def test_reading_a_header_imports_neither_torch_nor_sklearn(tmp_path):
    np.savez(tmp_path / "d.npz", a=np.zeros((2, 3)))
    code = (
        "import sys; from pathlib import Path; from dltc.runtime.data import schema;"
        f"schema({{'kind': 'npz', 'path': 'd.npz'}}, Path({str(tmp_path)!r}));"
        "schema({'kind': 'sklearn', 'name': 'digits'}, Path('.'));"
        "print([m for m in ('torch', 'sklearn', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_table_of_bundled_sets_is_what_the_library_holds(name):
    header, arrays = sklearn_schema(name), sklearn_columns(name)
    assert list(header) == list(arrays)
    for column, info in header.items():
        assert arrays[column].shape == (info.rows, *info.shape), column
        assert info.kind == ("int" if arrays[column].dtype.kind == "i" else "real"), column


def test_feature_columns_carry_the_librarys_names():
    import sklearn.datasets as library

    for name in DATA_SETS:
        features = [str(f) for f in getattr(library, f"load_{name}")().feature_names]
        cleaned = ["_".join("".join(c if c.isalnum() else " " for c in f).split()) for f in features]
        ours = [c for c in sklearn_schema(name) if c not in ("data", "target", "images")]
        assert ours[: len(cleaned)] == cleaned


def test_npz_header(tmp_path):
    source = npz(
        tmp_path, a=np.zeros((5, 2, 3), "f4"), b=np.zeros(5, "u1"), c=np.zeros(5, bool), s=np.array(["x"]), k=3
    )
    assert schema(source, tmp_path) == {
        "a": Column((2, 3), "real", 5),
        "b": Column((), "int", 5),
        "c": Column((), "bool", 5),
        "s": Column((), "text", 1),
        "k": Column((), "scalar", None),
    }


def test_csv_header(tmp_path):
    source = csv(tmp_path, "\ufeffsepal length (cm),name,f0,f1,f2\n1,iris,1,2,3\n2,rose,4,5,6\n")
    assert schema(source, tmp_path) == {
        "sepal_length_cm": Column((), "real"),
        "name": Column((), "text"),
        "f0": Column((), "real"),
        "f1": Column((), "real"),
        "f2": Column((), "real"),
        "f": Column((3,), "real"),
    }


def test_csv_values_and_numbered_columns(tmp_path):
    source = csv(tmp_path, "y,f0,f1,f2\n0,1,2,3\n\n3,4,5,6.5\n")
    data = load(plan(source, x=["column", "f"], y=["column", "y"]), (X, Y), tmp_path, 0)
    assert data.inputs["x"].tolist() == [[1, 2, 3], [4, 5, 6.5]]
    assert data.inputs["y"].tolist() == [0, 3]
    assert data.inputs["y"].dtype == np.int64


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "E0607", "it is empty"),
        ("a;b\n1;2\n", "E0607", "cells are separated by commas"),
        ("1,2\n3,4\n", "E0607", "its first row holds numbers"),
        ("a,a\n1,2\n", "E0607", "`a` stands in the header twice"),
        ("a,b\n1,2\n3\n", "E0607", "line 3 has 1 cells, the header has 2"),
        ("a,b\n1,2\nx,4\n", "E0606", "`a` holds text"),
        ("a,b\n" + "1,2\n" * 30 + "x,4\n", "E0606", "`a` holds 'x' in line 32, not a number"),
        ("a,b\n1,2\n,4\n", "E0606", "the values of `x` hold one number that is not finite, the first in row 2"),
        ("a,b\n1,2\n1_0,4\n", "E0606", "text"),
        ("a,b\n\x00,2\n", "E06", ""),
    ],
)
def test_bad_csv(tmp_path, text, code, message):
    source = csv(tmp_path, text)
    scalar = Input("x", (), (), "real")
    found = problems(lambda: load(plan(source, x=["column", "a"]), (scalar,), tmp_path, 0))
    assert len(found) == 1
    assert found[0][0].startswith(code)
    assert message in found[0][1]


def test_text_that_no_input_reads_is_no_problem(tmp_path):
    source = csv(tmp_path, "a,name\n1,x\n2,y\n")
    data = load(plan(source, x=["column", "a"]), (Input("x", (), (), "real"),), tmp_path, 0)
    assert data.inputs["x"].tolist() == [1, 2]


def test_a_damaged_or_pickled_npz_is_refused(tmp_path):
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 not a zip")
    source = {"kind": "npz", "path": "d.npz"}
    assert problems(lambda: schema(source, tmp_path))[0][0] == "E0607"
    npz(tmp_path, a=np.array([{}, {}], dtype=object))
    found = problems(lambda: load(plan(source, x=["column", "a"]), (X,), tmp_path, 0))
    assert found == [("E0606", "the column `a` holds text, not numbers")]
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9, 3)}")
    assert problems(lambda: load(plan(source, x=["column", "a"]), (X,), tmp_path, 0))[0][0] == "E0607"


def test_a_missing_file_is_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'"d\.npz" is not there'):
        schema({"kind": "npz", "path": "d.npz"}, tmp_path)


def test_paths_outside_the_folder_need_permission(tmp_path):
    np.savez(tmp_path / "d.npz", a=np.zeros((2, 3)))
    folder = tmp_path / "spec"
    folder.mkdir()
    (folder / "link.npz").symlink_to(tmp_path / "d.npz")
    for path in ("../d.npz", str(tmp_path / "d.npz"), "link.npz"):
        source = {"kind": "npz", "path": path}
        assert problems(lambda source=source: schema(source, folder))[0][0] == "E0608"
        assert schema(source, folder, allow_path=True)["a"].shape == (3,)


def test_unknown_sources(tmp_path):
    assert problems(lambda: schema({"kind": "sklearn", "name": "digts"}, tmp_path)) == [
        ("E0601", "there is no bundled data set `digts`; did you mean `digits`?")
    ]
    assert problems(lambda: schema({"kind": "pickle", "path": "x"}, tmp_path))[0][0] == "E0601"


@pytest.mark.parametrize(
    ("expr", "shape", "kind", "expected"),
    [
        (["call", "div", DATA, ["num", 2]], (3,), "real", [[0, 0.5, 1], [1.5, 2, 2.5], [3, 3.5, 4], [4.5, 5, 5.5]]),
        (["slice", "data", 1, 2], (2,), "int", [[1, 2], [4, 5], [7, 8], [10, 11]]),
        (["call", "sub", TARGET, ["num", 1]], (), "int", [0, 1, 2, 3]),
        (["call", "add", DATA, TARGET], (3,), "int", [[1, 2, 3], [5, 6, 7], [9, 10, 11], [13, 14, 15]]),
        (["call", "gt", TARGET, ["num", 2]], (), "bool", [False, False, True, True]),
        (["call", "mod", TARGET, ["num", 2]], (), "int", [1, 0, 1, 0]),
        (["call", "floordiv", TARGET, ["num", 2]], (), "int", [0, 1, 1, 2]),
        (["call", "pow", TARGET, ["num", -1]], (), "int", [1, 0.5, 1 / 3, 0.25]),
        (["call", "neg", ["call", "sqrt", TARGET]], (), "real", [-1, -(2**0.5), -(3**0.5), -2]),
    ],
)
def test_expressions(expr, shape, kind, expected):
    arrays = {"data": np.arange(12, dtype=np.uint8).reshape(4, 3), "target": np.arange(1, 5)}
    header = {"data": Column((3,), "int", 4), "target": Column((), "int", 4)}
    assert infer(expr, header) == Column(shape, kind, 4)
    np.testing.assert_allclose(evaluate(expr, arrays, EVERY_ROW), expected)


def test_small_integers_do_not_wrap():
    arrays = {"a": np.array([200, 250], dtype=np.uint8)}
    assert evaluate(["call", "add", ["column", "a"], ["column", "a"]], arrays, EVERY_ROW).tolist() == [400, 500]


def test_standardize_uses_training_rows_only():
    arrays = {"a": np.array([[1.0, 5.0], [3.0, 5.0], [100.0, 7.0]])}
    values = evaluate(["call", "standardize", ["column", "a"]], arrays, np.array([0, 1]))
    assert values.tolist() == [[-1, 0], [1, 0], [98, 2]]  # a constant feature is only centred


def test_splits_are_keyed_disjoint_and_complete():
    parts = split(100, 0.1, 0.25, seed=3)
    assert {name: len(rows) for name, rows in parts.items()} == {"test": 25, "valid": 10, "train": 65}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    assert np.array_equal(parts["test"], split(100, 0.1, 0.25, seed=3)["test"])
    assert not np.array_equal(parts["test"], split(100, 0.1, 0.25, seed=4)["test"])
    assert list(split(10, 0, 0, seed=0)) == ["train"]


@pytest.mark.parametrize(("rows", "valid", "test"), [(10, 0.5, 0.5), (10, 0, -0.1), (3, 0, 0.1), (1, 0, 0.6)])
def test_splits_that_leave_a_part_empty_are_refused(rows, valid, test):
    assert problems(lambda: split(rows, valid, test, 0))[0][0] == "E0609"


def test_schema_findings(tmp_path):
    source = npz(tmp_path, data=np.zeros((6, 4)), target=np.zeros(5, int))
    header = schema(source, tmp_path)

    def found(inputs, **columns):
        return [
            (p.code, p.input, p.column, p.message, p.help)
            for p in check_schema(plan(source, **columns), inputs, header)
        ]

    assert found((X,), x=["column", "dat"]) == [
        ("E0602", "x", "dat", "there is no column `dat`; did you mean `data`?", "the columns are data, target")
    ]
    assert found((X,)) == [("E0603", "x", None, "the input `x` has no column", "add `x = ...` to the `data` block")]
    message = "`x[pix = 3]` takes 3 numbers per example; its column has 4 numbers (shape [rows, 4])"
    assert found((X,), x=DATA) == [("E0604", "x", "data", message, "declare `axis pix = 4`")]
    assert found((X,), x=["slice", "data", 0, 2]) == []
    assert found((X,), x=["slice", "data", 2, 4])[0][3] == "`data[2..4]`: the column has 4 numbers per row"
    both = found((Input("x", ("pix",), (4,), "real"), Y), x=DATA, y=TARGET)
    assert both == [("E0604", "y", "target", "the column `target` has 5 rows, but `data` has 6", None)]


def test_columns_in_another_arrangement_are_flattened(tmp_path):
    images = np.arange(24.0).reshape(2, 3, 4)
    source = npz(tmp_path, images=images)
    flat = Input("x", ("pix",), (12,), "real")
    data = load(plan(source, x=["column", "images"]), (flat,), tmp_path, 0)
    assert np.array_equal(data.inputs["x"], images.reshape(2, 12))
    grid = Input("x", ("row", "col"), (3, 4), "real")
    assert load(plan(source, x=["column", "images"]), (grid,), tmp_path, 0).inputs["x"].shape == (2, 3, 4)
    free = Input("x", ("t", "d"), (None, 4), "real")
    assert load(plan(source, x=["column", "images"]), (free,), tmp_path, 0).inputs["x"].shape == (2, 3, 4)
    wrong = Input("x", ("t", "d"), (None, 5), "real")
    assert problems(lambda: load(plan(source, x=["column", "images"]), (wrong,), tmp_path, 0))[0][0] == "E0604"


@pytest.mark.parametrize(
    ("values", "spec", "code", "message", "help"),
    [
        ([1, 2, 3, 4], Y, "E0605", "`y` takes 0..3; row 4 holds the label 4", "labels start at 0: write `y = ... - 1`"),
        ([0, 7, 1, 2], Y, "E0605", "`y` takes 0..3; row 2 holds the label 7", "the axis needs 8 labels"),
        ([0, -1, 1, 2], Y, "E0605", "row 2 holds the label -1", None),
        ([0, 0.5, 1, 2], Y, "E0605", "row 2 holds the label 0.5", "the axis needs 3 labels"),
        ([0, 2, 1, 0], Input("b", (), (), "bool"), "E0605", "`b` takes 0..1; row 2 holds 2", None),
        ([0.5, 2, 1, 0], Input("k", (), (), "int"), "E0605", "`k` takes whole numbers; row 1 holds 0.5", None),
        ([0, np.nan, np.inf, 0], Input("r", (), (), "real"), "E0606", "hold 2 numbers that are not finite", "clean"),
    ],
)
def test_value_findings(tmp_path, values, spec, code, message, help):
    source = npz(tmp_path, a=np.array(values))
    with pytest.raises(DataError) as info:
        load(plan(source, **{spec.name: ["column", "a"]}), (spec,), tmp_path, 0)
    (problem,) = info.value.problems
    assert (problem.code, problem.input) == (code, spec.name)
    assert message in problem.message
    assert problem.help is None if help is None else problem.help.startswith(help)


def test_the_digits_manifest_loads(manifest, tmp_path):
    data = load(DataPlan.from_manifest(manifest), inputs_of(manifest), tmp_path, 0)
    assert data.part("test")["x"].shape == (359, 64)
    assert data.part("train")["y"].shape == (1438,)
    assert data.inputs["x"].max() == 1
    assert len(data.sha256()) == 64
    other = load(DataPlan.from_manifest(manifest), inputs_of(manifest), tmp_path, 1)
    assert other.sha256() != data.sha256()


@pytest.mark.parametrize(
    ("density", "kind", "bad", "wanted"),
    [
        ("Poisson(2)", ": int", "-1", "at least 0"),
        ("Gamma(shape = 2, rate = 1)", "", "-0.5", "at least 0"),
        ("LogNormal(0, std = 1)", "", "0", "above 0"),
        ("Beta(a = 2, b = 2)", "", "1.5", "in 0..1"),
    ],
)
def test_values_that_their_density_excludes(tmp_path, density, kind, bad, wanted):
    """Found before training, with the row; a density with a power may weigh them with 0."""
    (tmp_path / "d.csv").write_text(f"c\n1\n{bad}\n1\n")
    spec = f'dlt 1\nmodel M {{\n  input y{kind}\n  y ~ {density}\n  data from csv("d.csv") {{ y = c }}\n}}\n'

    def load_of(text):
        artefact = compile_spec(text, "m.dlt")
        return load_data(Job(artefact.source, artefact.manifest, text, tmp_path, {}))

    with pytest.raises(DataError) as caught:
        load_of(spec)
    (problem,) = caught.value.problems
    assert (problem.code, wanted in problem.message, "row 2" in problem.message) == ("E0612", True, True)
    load_of(spec.replace(density, f"{density}^0.5"))
