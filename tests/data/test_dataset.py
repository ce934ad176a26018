"""Dataset files: round trips, foreign layouts, damage, and what the checks find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import DatasetError
from harness.data.checks import check_dataset
from harness.data.dataset import Dataset, content_sha256, dataset_path, open_dataset, read_dataset, write_dataset
from harness.data.metric import Metric, neighbour_distances, pack_bits
from harness.engines.contract import Sets

ROOT = Path(__file__).resolve().parents[2]


def _truth(metric: Metric, train: Any, test: Any, depth: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    every = np.tile(np.arange(len(train)), (len(test), 1))
    distances = neighbour_distances(metric, test, train, every) * scale
    order = np.argsort(distances, axis=1, kind="stable")[:, :depth]
    return order, np.take_along_axis(distances, order, axis=1)


def _vectors(metric: Metric, n: int, dim: int, rng: np.random.Generator) -> Any:
    if metric is Metric.JACCARD:
        return Sets.of([rng.choice(dim, rng.integers(0, min(dim, 5) + 1), replace=False) for _ in range(n)])
    if metric is Metric.HAMMING:
        return pack_bits(rng.integers(0, 2, (n, dim)))
    return rng.normal(size=(n, dim)).astype(np.float32)


def _write(path: Path, metric: Metric = Metric.EUCLIDEAN, n: int = 30, q: int = 4, dim: int = 6, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    train, test = _vectors(metric, n, dim, rng), _vectors(metric, q, dim, rng)
    scale = 8 * train.shape[1] / dim if metric is Metric.HAMMING else 1.0
    neighbors, distances = _truth(metric, train, test, min(n, 5), scale)
    write_dataset(
        path,
        metric=metric,
        train=train,
        test=test,
        neighbors=neighbors,
        distances=distances,
        dimension=dim,
        source="made up",
        licence="CC0",
    )
    return path


def _arrays(part: Any) -> list[np.ndarray]:
    return [part.indptr, part.indices] if isinstance(part, Sets) else [part]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metric=st.sampled_from(list(Metric)),
    n=st.integers(1, 40),
    q=st.integers(1, 6),
    dim=st.integers(1, 70),
    seed=st.integers(0, 999),
)
def test_what_is_written_is_read_back(tmp_path: Path, metric: Metric, n: int, q: int, dim: int, seed: int) -> None:
    """Every metric and shape round-trips: vectors, truth, attributes and hash; the checks find nothing."""
    path = _write(tmp_path / "x-1.hdf5", metric, n, q, dim, seed)
    read = read_dataset(path)
    rng = np.random.default_rng(seed)
    train, test = _vectors(metric, n, dim, rng), _vectors(metric, q, dim, rng)
    for wanted, got in ((train, read.train), (test, read.test)):
        for a, b in zip(_arrays(wanted), _arrays(got), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
            assert not b.flags.writeable
            assert b.flags.c_contiguous
    assert (read.name, read.metric, read.dimension) == ("x-1", metric, dim)
    assert read.sha256 == content_sha256(metric, train, test) == content_sha256(metric, read.train, read.test)
    assert read.neighbors.dtype == np.int32
    assert not read.neighbors.flags.writeable
    assert not read.distances.flags.writeable
    np.testing.assert_allclose(read.distances_to(read.neighbors), read.distances, rtol=1e-6, atol=1e-7)
    assert read.attributes["licence"] == "CC0"
    check_dataset(read)


def _foreign(path: Path, **changed: Any) -> Path:
    """Write a small euclidean file as ann-benchmarks does (int64 ids, float64 distances), with parts changed."""
    rng = np.random.default_rng(5)
    parts: dict[str, Any] = {"train": rng.normal(size=(20, 3)), "test": rng.normal(size=(4, 3))}
    parts["neighbors"], parts["distances"] = _truth(
        Metric.EUCLIDEAN, parts["train"].astype(np.float32), parts["test"].astype(np.float32), 5, 1.0
    )
    attributes = {"distance": "euclidean", "dimension": 3, "type": "dense", "point_type": "float"}
    attributes.update(changed.pop("attrs", {}))
    with h5py.File(path, "w") as file:
        for key, value in {**parts, **changed}.items():
            if value is not None:
                file[key] = value
        file.attrs.update({key: value for key, value in attributes.items() if value is not None})
    return path


def test_foreign_files_of_wide_types_are_read(tmp_path: Path) -> None:
    """Int64 ids, float64 vectors and distances, big-endian ones, and bytes as attributes are all understood."""
    read = read_dataset(_foreign(tmp_path / "a.hdf5", attrs={"distance": np.bytes_(b"euclidean"), "dimension": None}))
    assert read.train.dtype == np.float32
    assert read.distances.dtype == np.float64
    check_dataset(read)
    wide = _foreign(tmp_path / "b.hdf5", distances=np.asarray(read.distances, ">f8"), neighbors=read.neighbors)
    assert read_dataset(wide).distances.dtype.isnative


@pytest.mark.parametrize("dim", [16, 64, 13])
def test_packed_bits_as_vibe_stores_them_are_read(tmp_path: Path, dim: int) -> None:
    """Packed uint8 columns with `dimension` in bits, and distances as counts of bits, equal one column a bit."""
    rng = np.random.default_rng(0)
    bits, queries = rng.integers(0, 2, (50, dim)), rng.integers(0, 2, (3, dim))
    counts = (queries[:, None, :] != bits[None, :, :]).sum(axis=2)
    order = np.argsort(counts, axis=1, kind="stable")[:, :10]
    packed = pack_bits(bits)
    if dim % 8:
        packed[:, -1] |= 1  # rubbish in the padding must not count
    path = _foreign(
        tmp_path / "v.hdf5",
        train=packed,
        test=pack_bits(queries),
        neighbors=order,
        distances=np.take_along_axis(counts, order, 1).astype(float),
        attrs={"distance": "hamming", "dimension": dim, "point_type": "binary", "type": None},
    )
    read = read_dataset(path)
    assert (read.dimension, read.train.shape) == (dim, (50, -(-dim // 8)))
    np.testing.assert_array_equal(read.train, pack_bits(bits))
    np.testing.assert_allclose(read.distances, np.take_along_axis(counts, order, 1) / dim)
    np.testing.assert_allclose(read.distances_to(read.neighbors), read.distances)
    check_dataset(read)


def test_unsorted_foreign_sets_are_sorted(tmp_path: Path) -> None:
    """Sets whose members don't ascend, or repeat, are put in order; empty ones stay."""
    path = _foreign(
        tmp_path / "s.hdf5",
        train=np.array([3, 1, 2, 2, 9]),
        size_train=np.array([2, 0, 2, 1]),
        test=np.array([1]),
        size_test=np.array([1]),
        neighbors=np.array([[0, 1, 2, 3]]),
        distances=np.array([[0.5, 1.0, 1.0, 1.0]]),
        attrs={"distance": "jaccard", "type": "sparse", "dimension": None},
    )
    read = read_dataset(path)
    assert [row.tolist() for row in read.train] == [[1, 3], [], [2], [9]]
    assert read.dimension == 10
    check_dataset(read)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"train": None}, "not in the ann-benchmarks layout, train missing"),
        ({"attrs": {"distance": None}}, "attribute 'distance' is missing"),
        ({"attrs": {"distance": "euclidian"}}, "did you mean euclidean"),
        ({"attrs": {"distance": "hamming"}}, "other than 0 and 1"),
        ({"attrs": {"distance": "hamming", "dimension": "many"}}, "'many', not a number"),
        ({"attrs": {"distance": "jaccard"}}, "needs size_train"),
        ({"test": np.zeros((4, 2))}, "train has 3 dimensions, test has 2"),
        ({"train": np.zeros(5)}, "train should be (n, dimension), not (5,)"),
        ({"train": np.zeros((0, 3))}, "train should be (n, dimension), not (0, 3)"),
        ({"train": np.array([["a", "b", "c"]], "S1")}, "train holds |S1, not numbers"),
        ({"neighbors": np.zeros((3, 5), int)}, "should both be (4, depth)"),
        ({"distances": np.zeros((4, 6))}, "should both be (4, depth)"),
        ({"neighbors": np.zeros((4, 5))}, "not integers and numbers"),
        ({"neighbors": np.full((4, 5), 2**32 + 1)}, "neighbors[0, 0] is 4294967297"),
        ({"distances": h5py.Empty("f")}, "should both be (4, depth)"),
    ],
)
def test_a_foreign_file_that_cannot_be_used_says_why(tmp_path: Path, changed: dict[str, Any], complaint: str) -> None:
    """Missing parts, wrong shapes and unknown metrics are errors in one line that names the file."""
    path = _foreign(tmp_path / "f.hdf5", **changed)
    with pytest.raises(DatasetError) as caught:
        read_dataset(path)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "members", "complaint"),
    [
        ([2, 1], [1, 2], "adds up to 3, but train has 2 members"),
        ([3, -1], [1, 2], "adds up to 2"),
        ([1, 1], [1, 2**33], "8589934592, which is no 32-bit"),
        ([1, 1], [1.0, 2.0], "not integers"),
    ],
)
def test_broken_sets_say_why(tmp_path: Path, sizes: list[int], members: list[Any], complaint: str) -> None:
    """Set sizes that don't fit their members, and members beyond int32, are errors in one line."""
    path = _foreign(
        tmp_path / "s.hdf5",
        train=np.array(members),
        size_train=np.array(sizes),
        test=np.array([1]),
        size_test=np.array([1]),
        attrs={"distance": "jaccard"},
    )
    with pytest.raises(DatasetError, match=complaint):
        read_dataset(path)


def test_groups_where_arrays_should_be(tmp_path: Path) -> None:
    """An HDF5 file of another layout, with groups of our names, is told apart."""
    path = tmp_path / "g.hdf5"
    with h5py.File(path, "w") as file:
        for key in ("train", "test", "neighbors", "distances"):
            file.create_group(key)
        file.attrs["distance"] = "euclidean"
    with pytest.raises(DatasetError, match="not in the ann-benchmarks layout"):
        read_dataset(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_an_error_in_one_line(tmp_path: Path, share: float) -> None:
    """A download that broke off anywhere, even at its first byte, is refused with the way out."""
    path = _write(tmp_path / "t.hdf5", n=500)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DatasetError, match=r"truncated, or not an HDF5 file.*fetch it again") as caught:
        read_dataset(path)
    assert "\n" not in str(caught.value)


def test_other_files_and_none_are_errors(tmp_path: Path) -> None:
    """A text file, a folder and a missing file are each refused; a missing name says how to get it."""
    text = tmp_path / "text.hdf5"
    text.write_text("word 0.1 0.2\n" * 100)
    for path, complaint in ((text, "not an HDF5 file"), (tmp_path, "directory"), (tmp_path / "no", "no such file")):
        with pytest.raises(DatasetError, match=complaint):
            read_dataset(path)
    with pytest.raises(DatasetError, match="get it with: annbench prepare mnist"):
        open_dataset(tmp_path, "mnist")


def _changed(path: Path, **arrays: Any) -> Dataset:
    return replace(read_dataset(path), **arrays)


def _with(array: np.ndarray, place: Any, value: float) -> np.ndarray:
    out = array.copy()
    out[place] = value
    return out


def test_each_check_names_the_place(tmp_path: Path) -> None:
    """NaN, inf, zero rows, ids out of range and descents are found, each in one line with its place and value."""
    path = _write(tmp_path / "c.hdf5", n=30)
    good = read_dataset(path)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"train": _with(good.train, (7, 2), np.nan)}, "train[7, 2] is nan"),
        ({"test": _with(good.test, (3, 0), -np.inf)}, "test[3, 0] is -inf"),
        ({"train": _with(good.train, 9, 0.0), "metric": Metric.ANGULAR}, "train[9] is all zeros"),
        ({"train": good.train[:0]}, "there are 0 vectors in train"),
        ({"test": good.test[:, :2].copy()}, "train has 6 columns, test has 2"),
        ({"neighbors": good.neighbors[:2]}, "need 4 rows each"),
        ({"neighbors": good.neighbors[:, :0], "distances": good.distances[:, :0]}, "no ground truth"),
        ({"neighbors": _with(good.neighbors, (1, 4), 30)}, "neighbors[1, 4] is 30, outside 0..29"),
        ({"neighbors": _with(good.neighbors, (1, 4), -1)}, "neighbors[1, 4] is -1, outside"),
        ({"distances": _with(good.distances, (2, 1), np.nan)}, "distances[2, 1] is NaN"),
        ({"distances": _with(good.distances, (2, 4), np.inf)}, "distances[2, 4] is inf, though"),
        ({"distances": good.distances[:, ::-1], "neighbors": good.neighbors[:, ::-1]}, "must be ascending"),
        ({"distances": good.distances * 2}, "the euclidean distance of query 0 and neighbour"),
        ({"distances": good.distances**2}, "they are squared: store their roots"),
    ]
    for changed, complaint in cases:
        with pytest.raises(DatasetError) as caught:
            check_dataset(replace(good, **changed))
        assert complaint in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    huge = np.full_like(good.train, 3e38)
    with pytest.raises(
        DatasetError, match="the euclidean distance of query"
    ):  # sums that overflow are no inf in the data
        check_dataset(replace(good, train=huge))


def test_neighbours_after_padding_are_not_ascending(tmp_path: Path) -> None:
    """Rows padded with -1 and inf at their end pass; a neighbour after the padding does not."""
    good = read_dataset(_write(tmp_path / "p.hdf5"))
    padded = replace(good, neighbors=_with(good.neighbors, (0, 4), -1), distances=_with(good.distances, (0, 4), np.inf))
    check_dataset(padded)
    wrong = replace(good, neighbors=_with(good.neighbors, (0, 1), -1), distances=_with(good.distances, (0, 1), np.inf))
    with pytest.raises(DatasetError, match=r"distances\[0, 2\].*must be ascending"):
        check_dataset(wrong)


@pytest.mark.parametrize("true", [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP])
@pytest.mark.parametrize("declared", [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP])
def test_a_wrong_metric_gives_itself_away(tmp_path: Path, true: Metric, declared: Metric) -> None:
    """A file made for one metric and declared as another is caught, and the right one is named."""
    path = _write(tmp_path / "m.hdf5", true)
    with h5py.File(path, "r+") as file:
        file.attrs["distance"] = str(declared)
    if true is declared:
        check_dataset(read_dataset(path))
        return
    with pytest.raises(DatasetError, match=f"the {declared} distance of query 0 .*they are {true} distances"):
        check_dataset(read_dataset(path))


_LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from harness.data.dataset import write_dataset
from harness.core.errors import DatasetError
from harness.data.metric import Metric
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
rows = np.random.default_rng(0).random((3000, 20), np.float32)
truth = {"neighbors": np.zeros((10, 5), int), "distances": np.zeros((10, 5))}
try:
    write_dataset(
        Path(sys.argv[1]), metric=Metric.EUCLIDEAN, train=rows, test=rows[:10], dimension=20, source="s", **truth
    )
except DatasetError as refused:
    print(refused)
"""


@pytest.mark.parametrize("room", [0, 100, 3_000, 100_000, 241_000])
def test_a_full_disk_is_a_clear_error_and_leaves_the_old_file(tmp_path: Path, room: int) -> None:
    """When the disk refuses, at whatever byte, the old file stands untouched and nothing else is left."""
    path = _write(tmp_path / "full.hdf5")
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path), str(room)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"{path}: could not be written (File too large); no part of it is left behind\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["full.hdf5"]  # noqa: PTH208 - hidden files, too


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    """The hash stays the same for the same vectors however they lie in memory, and changes with any of them."""
    first = read_dataset(_write(tmp_path / "a.hdf5"))
    assert read_dataset(_write(tmp_path / "b.hdf5")).sha256 == first.sha256
    assert content_sha256(first.metric, np.asfortranarray(first.train), first.test) == first.sha256
    assert read_dataset(_write(tmp_path / "c.hdf5", seed=1)).sha256 != first.sha256
    assert content_sha256(Metric.ANGULAR, first.train, first.test) != first.sha256
    assert content_sha256(first.metric, _with(first.train, (29, 5), 0), first.test) != first.sha256
    write_dataset(
        tmp_path / "d.hdf5", metric=first.metric, train=first.train.astype(np.float64), test=first.test,
        neighbors=first.neighbors, distances=first.distances, dimension=6, source="",
    )  # fmt: skip
    assert read_dataset(tmp_path / "d.hdf5").sha256 == first.sha256
    with h5py.File(tmp_path / "d.hdf5", "r") as file:
        assert (file["train"].dtype, file["neighbors"].dtype, file["distances"].dtype) == ("<f4", "<i4", "<f4")


def test_a_foreign_file_is_hashed_once_and_again_when_it_changes(tmp_path: Path) -> None:
    """The hash of a file without one is remembered beside it, and not trusted once the file has changed."""
    path = _foreign(tmp_path / "f.hdf5")
    sidecar = tmp_path / ".f.hdf5.sha256.json"
    first = read_dataset(path).sha256
    note = json.loads(sidecar.read_text())
    assert note["sha256"] == first
    sidecar.write_text(json.dumps({**note, "sha256": "remembered"}))
    assert read_dataset(path).sha256 == "remembered"
    for damaged in ("", "[]", "{}", "\xff\xfe", json.dumps({**note, "size": 1})):
        sidecar.write_text(damaged, encoding="latin-1")
        assert read_dataset(path).sha256 == first
    with h5py.File(path, "r+") as file:
        file["train"][0, 0] = 5.0
    assert read_dataset(path).sha256 != first
    assert dataset_path(tmp_path, "f") == path


@pytest.mark.parametrize("metric", [Metric.EUCLIDEAN, Metric.HAMMING])
def test_reading_keeps_one_copy(tmp_path: Path, metric: Metric) -> None:
    """Reading a file takes the memory of its vectors once; bits are packed block by block."""
    path = _write(tmp_path / "big.hdf5", metric, n=200_000 if metric is Metric.HAMMING else 40_000, q=2, dim=96)
    tracemalloc.start()
    read = read_dataset(path)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = read.train.nbytes
    assert kept < 1.1 * size + 500_000
    # 65,536 rows of 96 unpacked bits, a few times over while they are checked and packed
    assert peak < 1.1 * size + (65_536 * 96 * 4 if metric is Metric.HAMMING else 1_000_000)
