"""A user's own files: each format reads back what was written, and a broken file says where."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.core.errors import DatasetError
from harness.data.sources.files import FORMATS, FileSpec, looks_like_file, parse_spec, read_vectors

TABLES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
FLAT = {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4", ".fbin": "<f4", ".u8bin": "u1", ".i8bin": "i1"}


def vecs(array):
    lengths = np.full((len(array), 1), array.shape[1], "<i4").view(np.uint8)
    return np.hstack([lengths, np.ascontiguousarray(array).view(np.uint8)]).tobytes()


def flat(suffix, array):
    if suffix.endswith("bin"):
        return np.array(array.shape, "<u4").tobytes() + array.tobytes()
    return vecs(array)


def read(path, key=None):
    return read_vectors(FileSpec(path, key))


def refuses(path, why, key=None):
    with pytest.raises(DatasetError, match=why) as caught:
        read(path, key)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # how slow a core is says nothing
@given(
    st.sampled_from(sorted(FLAT)).flatmap(lambda s: st.tuples(st.just(s), hnp.arrays(np.dtype(FLAT[s]), TABLES))),
)
def test_flat_round_trip(tmp_path_factory, case):
    """What is written in a flat format is read back, bit for bit and of the same type."""
    suffix, array = case
    path = tmp_path_factory.mktemp("flat") / f"x{suffix}"
    path.write_bytes(flat(suffix, array))
    found = read(path)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # how slow a core is says nothing
@given(
    st.sampled_from(["f2", "f4", ">f4", "f8", "u1", "i8", "?"]).flatmap(lambda d: hnp.arrays(np.dtype(d), TABLES)),
    st.sampled_from(["C", "F"]),
)
def test_npy_round_trip(tmp_path_factory, array, order):
    """Any numeric .npy is read back, whatever its byte order and layout."""
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    np.save(path, np.asarray(array, order=order))
    np.testing.assert_array_equal(read(path), array)


def test_npy_is_mapped(tmp_path, rows):
    """A .npy isn't loaded whole to be looked at."""
    np.save(tmp_path / "x.npy", rows)
    assert isinstance(read(tmp_path / "x.npy").base, np.memmap)


@pytest.mark.parametrize("suffix", sorted(FLAT))
def test_flat_is_mapped(tmp_path, suffix):
    """Flat formats are mapped into memory."""
    path = tmp_path / f"x{suffix.upper()}"
    path.write_bytes(flat(suffix, np.ones((4, 3), FLAT[suffix])))
    found = read(path)
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        (slice(0, 2), "truncated in record 0, at byte 2"),
        (slice(0, 30), "truncated in record 1, at byte 30: it starts at byte 16 and needs 16 bytes for 3 dimensions"),
        (slice(0, 39), "truncated in record 2, at byte 39"),
        (slice(4, None), "record 0 states 1065353216 dimensions: not a .fvecs file"),
    ],
)
def test_broken_fvecs(save, cut, why):
    """A broken .fvecs says at which record and byte."""
    refuses(save("x.fvecs", vecs(np.ones((3, 3), "<f4"))[cut]), why)


@pytest.mark.parametrize("tail", [b"", b"xyz"])
def test_fvecs_of_two_widths(save, tail):
    """A row of another length is named, also where the file's size doesn't fit either."""
    content = vecs(np.ones((2, 3), "<f4")) + vecs(np.ones((2, 5), "<f4")) + tail
    refuses(save("x.fvecs", content), "record 2, at byte 32, states 5 dimensions; record 0 states 3")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\0\0\0", "truncated in its header, at byte 3 of 8"),
        (np.array([0, 4], "<u4").tobytes(), "states 0 vectors of 4 dimensions"),
        (np.array([3, 4], "<u4").tobytes() + b"\0" * 40, "truncated in record 2 of 3, at byte 48"),
        (
            np.array([3, 4], "<u4").tobytes() + b"\0" * 49,
            "the header states 3 x 4, 56 bytes, but it holds 57",
        ),
    ],
)
def test_broken_fbin(save, content, why):
    """A broken .fbin says at which record and byte."""
    refuses(save("x.fbin", content), why)


def test_broken_npy(tmp_path, save, rows):
    """Truncated, foreign, pickled and oddly shaped .npy files are refused."""
    np.save(tmp_path / "x.npy", rows)
    whole = (tmp_path / "x.npy").read_bytes()
    refuses(save("cut.npy", whole[:-5]), "not a whole .npy file")
    refuses(save("head.npy", whole[:20]), "not a whole .npy file")
    refuses(save("empty.npy", b""), "is empty: fetch it again")
    refuses(save("foreign.npy", b"hello world"), "not a .npy file: it begins with b'hello '")
    np.save(tmp_path / "pickled.npy", np.array([{}, 1], object))
    refuses(tmp_path / "pickled.npy", "holds Python objects, that is a pickle: save numbers by numpy.save")
    np.save(tmp_path / "flat.npy", rows.ravel())
    refuses(tmp_path / "flat.npy", re.escape("holds shape (300,)"))
    np.save(tmp_path / "none.npy", rows[:0])
    refuses(tmp_path / "none.npy", re.escape("holds shape (0, 5)"))
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    refuses(tmp_path / "words.npy", "holds <U1; vectors are numbers")


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed"])
@pytest.mark.parametrize("value", [pa.float32(), pa.float64(), pa.float16(), pa.int8()])
def test_parquet_kinds(tmp_path, rows, kind, value):
    """Lists, large lists and lists of fixed size, of floats and integers, are read over row groups."""
    rows = np.round(rows * 4)
    make = {"list": pa.list_, "large_list": pa.large_list, "fixed": lambda v: pa.list_(v, 5)}[kind]
    table = [[value.to_pandas_dtype()(x) for x in row] for row in rows]
    column = pa.array(table, make(value))
    pq.write_table(pa.table({"id": range(60), "v": column}), tmp_path / "x.parquet", row_group_size=7)
    np.testing.assert_array_equal(read(tmp_path / "x.parquet", "v"), rows)
    np.testing.assert_array_equal(read(tmp_path / "x.parquet"), rows)


def test_parquet_choices(tmp_path):
    """Where the column isn't clear, the error lists those that could be meant."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": [1], "a": [[1.0]], "b": [[2.0]], "t": ["x"]}), path)
    refuses(path, "x.parquet:COLUMN; there are: a, b")
    refuses(path, "no column is called 'c'; columns of vectors: a, b", "c")
    refuses(path, "column 't' holds string, not lists of numbers; columns of vectors: a, b", "t")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([[1.0, 2.0], None], "is null in row 1"),
        ([[1.0, 2.0], [1.0, None]], "holds a null in row 1"),
        ([[1.0, 2.0], [1.0, 2.0], [1.0]], "has 1 numbers in row 2, 2 in row 0"),
    ],
)
def test_ragged_parquet(tmp_path, values, why):
    """Null and ragged rows are named, counted over row groups."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"v": pa.array(values, pa.list_(pa.float32()))}), path, row_group_size=1)
    refuses(path, why)


def test_foreign_parquet(save):
    """A file that isn't Parquet is refused, and an empty column too."""
    refuses(save("x.parquet", b"hello"), "can't be read as Parquet")


def test_empty_parquet(tmp_path):
    """A column without rows is refused."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"v": pa.array([], pa.list_(pa.float32()))}), path)
    refuses(path, "has no rows")


def test_hdf5_keys(tmp_path, rows):
    """A single table is found; among several the user chooses by key; the error lists them."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["deep/vectors"] = rows
        file["labels"] = np.arange(60)
    np.testing.assert_array_equal(read(path), rows)
    with h5py.File(path, "a") as file:
        file["other"] = rows * 2
    np.testing.assert_array_equal(read(path, "other"), rows * 2)
    refuses(path, "x.h5:KEY; there are: deep/vectors, other")
    refuses(path, "no dataset is called 'deep'; datasets of vectors: deep/vectors, other", "deep")


def test_foreign_hdf5(save, tmp_path, rows):
    """A file that isn't HDF5, or is cut short, is refused."""
    refuses(save("x.hdf5", b"<html>"), "is a web page, not the file itself")
    with h5py.File(tmp_path / "y.hdf5", "w") as file:
        file["v"] = rows
    refuses(save("z.hdf5", (tmp_path / "y.hdf5").read_bytes()[:-100]), "truncated, or not an HDF5 file")


def test_specs(tmp_path, save):
    """Paths with and without a key are told apart; a colon in a file's name is no key."""
    save("x.h5", b"")
    save("odd.h5:name.npy", b"")
    assert parse_spec(tmp_path / "x.h5") == FileSpec(tmp_path / "x.h5")
    assert parse_spec(f"{tmp_path}/x.h5:a/b") == FileSpec(tmp_path / "x.h5", "a/b")
    assert parse_spec(f"{tmp_path}/odd.h5:name.npy") == FileSpec(tmp_path / "odd.h5:name.npy")
    assert FileSpec(Path("a/x y.h5"), "b/c").stem == "x-y-b-c"
    assert str(FileSpec(Path("x.h5"), "b")) == "x.h5:b"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x.npy", "no such file"),
        ("x.odd", "suffix '.odd'; formats known: .hdf5, .h5, .npy, .npz, .csv"),
        ("x", "no suffix"),
    ],
)
def test_refused_specs(save, tmp_path, name, why):
    """A missing file is named; an unknown suffix lists the formats known."""
    path = tmp_path / name if name == "x.npy" else save(name, b"1,2")
    with pytest.raises(DatasetError, match=why):
        parse_spec(path)
    with pytest.raises(DatasetError, match="is a folder"):
        parse_spec(tmp_path)


def test_what_looks_like_a_file():
    """Names and paths are told apart."""
    assert all(looks_like_file(f"x{suffix}") for suffix in FORMATS)
    assert looks_like_file("a/b")
    assert looks_like_file("x.h5:key")
    assert not looks_like_file("fashion-mnist-784-euclidean")
