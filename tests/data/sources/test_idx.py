"""IDX files: read as written, or refused with a reason."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.core.errors import DatasetError
from harness.data.sources.idx import read_idx

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(array):
    header = struct.pack(">HBB", 0, CODES[array.dtype.name], array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda d: hnp.arrays(np.dtype(d), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0))
    ),
    st.booleans(),
)
def test_round_trip(tmp_path_factory, array, packed):
    """Any type and shape comes back, gzipped or not."""
    path = tmp_path_factory.mktemp("idx") / "x"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    found = read_idx(path)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it starts with nothing"),
        (b"\x89HDF\r\n", "not an IDX file: it starts with 89 48 44 46"),
        (b"\0\0\x08\x03\0\0\0\x01", "truncated in its header, at byte 8 of 16"),
        (idx(np.zeros((3, 4), np.uint8))[:-1], "truncated: 3 x 4 values need 24 bytes, it holds 23"),
        (idx(np.zeros((3, 4), np.uint8)) + b"x", "too long"),
        (gzip.compress(idx(np.zeros(999, np.uint8)), mtime=0)[:-12], "gzip stream ends early"),
        (b"\x1f\x8bnonsense, not gzip", "can't be read"),
    ],
)
def test_broken_files(save, content, why):
    """A broken file is one line that names it and says where."""
    path = save("x", content)
    with pytest.raises(DatasetError, match=why) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_file(tmp_path):
    """A missing file is named."""
    with pytest.raises(DatasetError, match="no such file"):
        read_idx(tmp_path / "x")
