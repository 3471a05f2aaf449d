"""Parquet files, grids, `permute` and comparisons in columns: from the text of a spec to the arrays."""

from __future__ import annotations

import importlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dltc.cli.main import main
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.columns import Column
from dltc.runtime.data import Dataset, schema
from dltc.runtime.errors import DataError
from dltc.runtime.philox import permutation
from dltc.runtime.session import Job, load_data

HEAD = "dlt 1\nmodel M {\n  axis d = 3, k = 4, dr = 1..2\n  param w ~ Normal(0, var = 1)\n"


def dataset(tmp_path, inputs: str, data: str) -> Dataset:
    """What a data block makes of its source, in the order of the rows."""
    artefact = compile_spec(f"{HEAD}  {inputs}\n  data from {data}\n}}\n", "m.dlt")
    return load_data(Job(artefact.source, artefact.manifest, artefact.text, tmp_path, {}))


@pytest.fixture
def parquet(tmp_path):
    rng = np.random.default_rng(0)
    table = {
        "x": pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=30)), 3),
        "ragged": pa.array([[1, 2]] * 9 + [[1, 2, 3]]),
        "pair": pa.array([[1, 2]] * 10, type=pa.list_(pa.int32())),
        "small": pa.array(np.arange(10), type=pa.int8()),
        "half": pa.array(np.linspace(0, 1, 10), type=pa.float32()),
        "flag": pa.array([True, False] * 5),
        "gap": pa.array([1, None] * 5),
        "name": pa.array(["a"] * 10),
    }
    pq.write_table(pa.table(table), tmp_path / "d.parquet")
    return {"kind": "parquet", "path": "d.parquet"}, tmp_path, table


def test_parquet_header(parquet) -> None:
    source, folder, _ = parquet
    found = schema(source, folder)
    assert found == {
        "x": Column((3,), "real", 10),
        "ragged": Column((2,), "int", 10),
        "pair": Column((2,), "int", 10),
        "small": Column((), "int", 10),
        "half": Column((), "real", 10),
        "flag": Column((), "bool", 10),
        "gap": Column((), "int", 10),
        "name": Column((), "text", 10),
    }


def test_parquet_values(parquet) -> None:
    _, folder, table = parquet
    block = 'parquet("d.parquet") { x = x * 2; y = small % 4; b = flag; r = pair[1] + half }'
    found = dataset(folder, "input x[d]\n  input y: k\n  input b: bool\n  input r", block).inputs
    np.testing.assert_array_equal(found["x"], 2 * np.array(table["x"].to_pylist()))
    np.testing.assert_array_equal(found["y"], np.arange(10) % 4)
    assert found["b"].dtype == bool and found["b"].tolist() == [True, False] * 5
    np.testing.assert_array_equal(found["r"], 2 + np.linspace(0, 1, 10).astype(np.float32).astype(float))


@pytest.mark.parametrize(
    ("column", "code", "message"),
    [
        ("gap", "E0606", "the values of `r` hold 5 numbers that are not finite, the first in row 2"),
        ("name", "E0606", "the column `name` holds text, not numbers"),
        ("ragged[0]", "E0604", "the column `ragged` has 2 numbers in row 1 and 3 in row 10"),
        ("nope", "E0602", "there is no column `nope`"),
    ],
)
def test_parquet_findings(parquet, column: str, code: str, message: str) -> None:
    with pytest.raises(DataError) as refused:
        dataset(parquet[1], "input r", f'parquet("d.parquet") {{ r = {column} }}')
    (problem,) = refused.value.problems
    assert (problem.code, problem.message.split("; did")[0]) == (code, message)


def test_a_damaged_parquet_file(tmp_path) -> None:
    (tmp_path / "d.parquet").write_bytes(b"PAR1 is not enough PAR1")
    with pytest.raises(DataError) as refused:
        schema({"kind": "parquet", "path": "d.parquet"}, tmp_path)
    assert refused.value.problems[0].code == "E0607"


SPEC = """dlt 1
model M {
  input x
  param w ~ Normal(0, var = 1)
  x ~ Normal(w, var = 1)
  learn { w : SGD(lr = 0.1) }
  data from parquet("d.parquet") { x = half }
  train { epochs 1 }
}
"""


def test_without_pyarrow_training_says_what_to_install(parquet, capsys, monkeypatch) -> None:
    """Exit code 3 for `train`, a warning for `check`, no traceback."""
    folder = parquet[1]
    (folder / "m.dlt").write_text(SPEC)
    assert main(["check", str(folder / "m.dlt")]) == 0
    assert main(["train", str(folder / "m.dlt"), "-q", "-o", str(folder / "r")]) == 0
    capsys.readouterr()
    real = importlib.import_module

    def missing(name: str, package: str | None = None):
        if name.split(".")[0] == "pyarrow":
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
        return real(name, package)

    monkeypatch.setattr("dltc.runtime.parquet_source.import_module", missing)
    assert main(["train", str(folder / "m.dlt"), "-q", "-o", str(folder / "r2")]) == 3
    err = capsys.readouterr().err
    assert 'parquet("...") needs the package pyarrow: install it, or dltc with its extra `data`' in err
    assert main(["check", str(folder / "m.dlt")]) == 0
    assert "W0601" in capsys.readouterr().out


def test_every_combination_of_labels_once(tmp_path) -> None:
    found = dataset(
        tmp_path, "input a: k\n  input b: dr\n  input r", "grid(k, dr) { a = k; b = dr; r = k * dr }"
    ).inputs
    assert list(zip(found["a"].tolist(), found["b"].tolist(), strict=True)) == [
        (a, b) for a in range(4) for b in (1, 2)
    ]
    np.testing.assert_array_equal(found["r"], found["a"] * found["b"])


def test_a_grid_is_split_like_other_data(tmp_path) -> None:
    made = dataset(tmp_path, "input a: k\n  input b: d", "grid(k, d) { a = k; b = d; test 0.25 }")
    assert (made.count("train"), made.count("test")) == (9, 3)


def test_permute_moves_the_numbers_of_every_row_alike(tmp_path) -> None:
    x = np.arange(24.0).reshape(4, 6)
    np.savez(tmp_path / "d.npz", x=x, i=x.reshape(4, 2, 3))
    inputs = "axis p = 6, q = 2\n  input x[p]\n  input z[p]\n  input i[q, d]\n  input s[d]"
    block = 'npz("d.npz") { x = permute(x, seed = 3); z = permute(2 * x, seed = 4); i = permute(i, seed = 3); s = x[0..2] > 1 }'
    found = dataset(tmp_path, inputs, block).inputs
    order = permutation(3, "data.permute", 6)
    assert sorted(order.tolist()) == list(range(6)) and order.tolist() != list(range(6))
    np.testing.assert_array_equal(found["x"], x[:, order])
    np.testing.assert_array_equal(found["z"], 2 * x[:, permutation(4, "data.permute", 6)])
    np.testing.assert_array_equal(found["i"].reshape(4, 6), x[:, order])
    np.testing.assert_array_equal(found["s"], x[:, :3] > 1)


def test_chained_comparisons_and_single_places(tmp_path) -> None:
    x = np.arange(12.0).reshape(4, 3)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(4))
    inputs = "input b[d]: bool\n  input one\n  input z: bool"
    found = dataset(tmp_path, inputs, 'npz("d.npz") { b = 2 < x <= 7; one = x[1]; z = 1 <= y < 3 }').inputs
    np.testing.assert_array_equal(found["b"], (x > 2) & (x <= 7))
    np.testing.assert_array_equal(found["one"], x[:, 1])
    assert found["z"].tolist() == [False, True, True, False]


def test_standardize_reads_the_training_rows(tmp_path) -> None:
    x = np.random.default_rng(0).normal(5, 3, size=(50, 3))
    np.savez(tmp_path / "d.npz", x=x)
    made = dataset(tmp_path, "input x[d]", 'npz("d.npz") { x = standardize(log1p(abs(x))); test 0.3; valid 0.2 }')
    train = np.log1p(np.abs(x))[made.parts["train"]]
    np.testing.assert_allclose(made.inputs["x"], (np.log1p(np.abs(x)) - train.mean(0)) / train.std(0))
    assert {name: made.count(name) for name in made.parts} == {"train": 25, "valid": 10, "test": 15}


def test_permute_of_one_number_per_row_is_refused(tmp_path) -> None:
    np.savez(tmp_path / "d.npz", y=np.arange(4.0))
    with pytest.raises(DataError, match="`permute` reorders the numbers of each row; this has one per row"):
        dataset(tmp_path, "input y", 'npz("d.npz") { y = permute(y, seed = 1) }')


def test_a_chain_of_many_comparisons(tmp_path) -> None:
    np.savez(tmp_path / "d.npz", y=np.arange(4.0))
    found = dataset(tmp_path, "input z: bool", f'npz("d.npz") {{ z = 1 {"<= y " * 1500}}}').inputs
    assert found["z"].tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("data[0..9]", "its column has 10 numbers"),
        ("data[60..64]", "the column has 64 numbers per row"),
        ("images[0..2]", "its column has 24 numbers"),
        ("data + images", "columns with [64] and [8, 8] numbers per row do not go together"),
        ("permute(target, seed = 1) + data", "this has one per row"),
        ("permute(data, seed = 1) * target", ""),
        ("images[0..7] - target", ""),
    ],
)
def test_shapes_of_known_columns_are_checked_without_data(column, words, tmp_path, capsys) -> None:
    """`check` alone tells, also of data that it need not read."""
    spec = tmp_path / "m.dlt"
    spec.write_text(
        f'dlt 1\nmodel M {{\naxis d = 64\ninput x[d]\nh = sum(x)\ndata from sklearn("digits") {{ x = {column} }}\n}}\n'
    )
    code = main(["check", str(spec)])
    said = capsys.readouterr()
    assert (code, words in said.out + said.err) == (1 if words else 0, True)
