"""Files from anywhere: whatever the bytes, a refusal with a code, never another error."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dltc.runtime.data import DataPlan, load, schema
from dltc.runtime.errors import CheckpointError, DataError
from dltc.runtime.run_record import read_record
from dltc.runtime.tables import Input

EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROW = Input("x", (), (), "real")


def archive() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.arange(6.0), b=np.zeros((6, 2)))
    return stream.getvalue()


GOOD_NPZ = archive()
GOOD_CSV = b"a,b\n" + b"1,2\n3,4\n" * 3


def damaged(good: bytes):
    """The good bytes with a few replaced, cut or repeated; or any bytes at all."""
    edit = st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255))

    def apply(edits, cut):
        data = bytearray(good)
        for position, value in edits:
            data[position] = value
        return bytes(data[:cut])

    return st.builds(apply, st.lists(edit, max_size=6), st.integers(0, len(good))) | st.binary(max_size=200)


def read_everything(kind, content, folder):
    (folder / f"d.{kind}").write_bytes(content)
    source = {"kind": kind, "path": f"d.{kind}"}
    with suppress(DataError):
        header = schema(source, folder)
        for name in header:
            with suppress(DataError):
                load(DataPlan(source, {"x": ["column", name]}), (ROW,), folder, 0)


@EXAMPLES
@given(damaged(GOOD_NPZ))
def test_npz(tmp_path, content):
    read_everything("npz", content, tmp_path)


@EXAMPLES
@given(damaged(GOOD_CSV) | st.text(max_size=80).map(str.encode))
def test_csv(tmp_path, content):
    read_everything("csv", content, tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["spec", "options", "text", "name"]), inner)
    ),
    max_leaves=6,
)


@EXAMPLES
@given(
    st.fixed_dictionaries({"checkpoint": st.just(1), "spec": JSON, "options": JSON, "folder": JSON}),
    st.binary(max_size=40),
)
def test_run_records(tmp_path, state, junk):
    from dltc.runtime.files import to_json

    folder = tmp_path / "checkpoint"
    folder.mkdir(exist_ok=True)
    for content in (to_json(state).encode(), junk):
        (folder / "state.json").write_bytes(content)
        with suppress(CheckpointError):
            record = read_record(tmp_path)
            assert isinstance(record.text, str)
