"""Data files made from a seed: NPZ archives (damaged, pickled, of odd shapes), CSV and Parquet, and specs that read them."""

from __future__ import annotations

import io
import random
import zipfile
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SPEC = """dlt 1
model M {{
  axis i = {size}, c = 3
  input x[i]
  input y{kind}
  h = sum[i](x[i])
  h ~ Normal(0, var = 1)
  data from {source}("{file}") {{ x = {x}; y = {y}; test {test} }}
}}
"""
COLUMNS = [
    "a",
    "b",
    "a / 2",
    "a[0..1]",
    "standardize(a)",
    "log1p(b)",
    "a > 0",
    "a[99]",
    "b[0]",
    "nope",
    "a + b",
    "a % 0",
]
CELLS = [
    "1",
    "2.5",
    "-3",
    "nan",
    "inf",
    "1e999",
    "",
    " ",
    '"',
    '""',
    '"a,b"',
    "x",
    "é",
    "\0",
    "0x10",
    "1_0",
    "9" * 400,
    "=1+1",
]
DTYPES = ["f8", "f4", "i8", "u1", "?", "c16", "U3", "S3", "M8[D]", "f2", ">f8", "O"]


@dataclass(frozen=True, slots=True)
class DataCase:
    """A spec and the file that it reads."""

    kind: str
    spec: str
    name: str
    content: bytes


def case(r: random.Random) -> DataCase:
    """A spec with a data file that is odd in one way or in several."""
    kind, make = r.choice((("npz", archive), ("npz", archive), ("csv", table), ("parquet", parquet)))
    if r.random() < 0.3:
        return sound(r)
    content = damaged(r, make(r)) if r.random() < 0.6 else make(r)
    fields = {
        "size": r.choice((1, 2, 3, 64)),
        "kind": r.choice(("", ": c", ": bool", ": int")),
        "x": r.choice(COLUMNS),
        "y": r.choice(COLUMNS),
        "test": r.choice(("0.2", "0.5")),
    }
    return DataCase(kind, SPEC.format(source=kind, file=f"d.{kind}", **fields), f"d.{kind}", content)


def sound(r: random.Random) -> DataCase:
    """Columns that fit, in files that are right but for at most one byte."""
    rows, kind = r.choice((1, 6, 40)), r.choice(("npz", "csv", "parquet"))
    a, b = [r.random() for _ in range(rows)], [r.randrange(3) for _ in range(rows)]
    stream = io.BytesIO()
    if kind == "npz":
        np.savez(stream, a=np.array(a), b=np.array(b))
    elif kind == "parquet":
        pq.write_table(pa.table({"a": a, "b": b}), stream)
    else:
        stream.write("\n".join(["a,b", *(f"{u},{v}" for u, v in zip(a, b, strict=True))]).encode())
    data = bytearray(stream.getvalue())
    if r.random() < 0.3:
        data[r.randrange(len(data))] = r.randrange(256)
    columns = {"x": r.choice(("a", "2 * a", "standardize(a)", "a + b")), "y": "b", "test": "0.2"}
    spec = SPEC.format(size=1, kind=r.choice(("", ": c", ": int")), source=kind, file=f"d.{kind}", **columns)
    return DataCase(kind, spec, f"d.{kind}", bytes(data))


def damaged(r: random.Random, content: bytes) -> bytes:
    """Bytes replaced, cut, repeated, or other bytes altogether."""
    data = bytearray(content)
    for _ in range(r.randint(0, 6) if data else 0):
        data[r.randrange(len(data))] = r.randrange(256)
    if r.random() < 0.3:
        data = data[: r.randint(0, len(data))]
    return r.randbytes(r.choice((0, 4, 200))) if r.random() < 0.1 else bytes(data)


def archive(r: random.Random) -> bytes:
    """An NPZ archive; now and then with pickles, with names that leave the folder, or with a size that its data lack."""
    stream = io.BytesIO()
    if r.random() < 0.2:
        with zipfile.ZipFile(stream, "w") as zipped:
            for name in ("a", "b"):
                inside = r.choice((f"{name}.npy", f"../{name}.npy", f"/{name}.npy", name, f"{name}.npy/"))
                zipped.writestr(inside, _lying(r) if r.random() < 0.5 else r.randbytes(60))
        return stream.getvalue()
    arrays = {name: _array(r) for name in ("a", "b")}
    np.savez(stream, **arrays)
    return stream.getvalue()


def _array(r: random.Random) -> np.ndarray:
    shape = r.choice(((6,), (6, 2), (6, 64), (0,), (), (6, 0), (6, 1), (1, 1, 1), (5, 2)))
    values = np.arange(int(np.prod(shape))).reshape(shape)
    dtype = r.choice(DTYPES)
    if dtype == "O":
        return values.astype(object)  # numpy stores it as a pickle
    made = values.astype("f8").astype(dtype) if dtype != "M8[D]" else values.astype("M8[D]")
    if made.dtype.kind == "f" and made.size and r.random() < 0.3:
        made.flat[0] = r.choice((np.nan, np.inf, -1.0))
    return made


def _lying(r: random.Random) -> bytes:
    """An array whose header promises more than follows, or is no header."""
    shape = r.choice(("(10**9,)", "(999999999999,)", "(-1,)", "(6,", "('a',)", "(2, 3, 4)"))
    header = f"{{'descr': '{r.choice(DTYPES)}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 48


def table(r: random.Random) -> bytes:
    """A CSV file: other separators, quotes, lengths of lines, line ends and encodings."""
    separator = r.choice((",", ",", ",", ";", "\t", ", "))
    head = r.choice((["a", "b"], ["a", "a"], ["b"], [""], ['"a"', "b"], ["a", "b", "c"], [" a", "b "], ["a\0", "b"]))
    plain = r.random() < 0.5
    rows = [
        [r.choice("0123") if plain else r.choice(CELLS) for _ in range(len(head) + r.choice((0, 0, 0, 1, -1)))]
        for _ in range(r.choice((0, 1, 6, 40)))
    ]
    end = r.choice(("\n", "\n", "\r\n", "\r"))
    text = end.join(separator.join(row) for row in [head, *rows]) + r.choice((end, "", end * 3))
    return text.encode(r.choice(("utf-8",) * 4 + ("utf-8-sig", "utf-16", "latin-1")), "replace")


def parquet(r: random.Random) -> bytes:
    """A Parquet file, or what begins and ends like one."""
    if r.random() < 0.3:
        middle = r.randbytes(r.choice((0, 12, 300)))
        return b"PAR1" + middle + len(middle).to_bytes(4, "little") + b"PAR1"
    columns = {
        "a": r.choice(([1.0, 2.0, None], [[1.0, 2.0]] * 3, [[1.0], [], None], ["x", "y", "z"], [1, 2, 3])),
        "b": r.choice(([0, 1, 2], [True, False, None], [-1, 5, 2**40], [b"\0", b"", b"a"], [{"k": 1}] * 3)),
    }
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()
