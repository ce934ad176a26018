"""Formats that users bring: each is read, or refused in one line that says what to do; damage is told as damage."""

from __future__ import annotations

import pickle
import re

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.core.errors import AnnbenchError, DatasetError
from harness.data.dataset import read_dataset
from harness.data.metric import Metric
from harness.data.sources.files import FileSpec, parse_spec, read_vectors
from harness.data.sources.own import OwnFile
from harness.data.sources.prepare import prepare

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def read(path, key=None):
    return read_vectors(FileSpec(path, key))


def refuses(path, why, key=None):
    with pytest.raises(DatasetError, match=why) as caught:
        read_vectors(parse_spec(f"{path}:{key}" if key else path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("separator", "names"), [(",", True), (",", False), ("\t", True), (";", False), (" ", False)])
def test_text(tmp_path, rows, separator, names):
    """Tables of numbers are read with and without names above them, whatever separates the numbers."""
    path = tmp_path / "x.csv"
    header = separator.join("abcde") + "\n" if names else ""
    lines = "\n".join(separator.join(str(x) for x in row) for row in rows.tolist())
    path.write_text("\ufeff" + header + lines + "\n", encoding="utf-8")
    np.testing.assert_array_equal(read(path).astype(np.float32), rows)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('id,vector\n1,"[1.0, 2.0]"\n', r"column 2 \('vector'\) holds text"),
        ("a b,1,2\nc,3,4\n", r"column 1 \('a b'\) holds text"),
        ("id,x,y\n0,1.5,2\n1,3,4\n2,5,6\n", "column 1 counts the rows"),
        ("1,2,3\n4,5\n6,7,8,9\n", "not a table of numbers"),
        ("", "is empty"),
        ("1,2\n3,\n", "is nan"),
        (POINTER.decode(), "Git LFS pointer"),
    ],
)
def test_text_that_is_no_table(tmp_path, text, why):
    """Columns that are no dimension, ragged lines, gaps and stand-ins are each named."""
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=why) as caught:
        prepare(path, folder=tmp_path / "d", metric="ip", queries=1, progress=False)
    assert "\n" not in str(caught.value)


def test_npz(tmp_path, rows):
    """The only table of an archive is found, others are chosen by name, and pickles in it are never read."""
    path = tmp_path / "x.npz"
    np.savez_compressed(path, vectors=rows, labels=np.arange(60), odd=np.array([{}], object))
    np.testing.assert_array_equal(read(path), rows)
    refuses(path, "'odd' holds Python objects, that is a pickle", "odd")
    refuses(path, "no array is called 'no'; there are: vectors, labels, odd", "no")
    refuses(path, r"holds shape \(60,\)", "labels")
    np.savez(path, a=rows, b=rows * 2)
    refuses(path, "x.npz:KEY; there are: a, b")
    np.testing.assert_array_equal(read_vectors(parse_spec(f"{path}:b")), rows * 2)


@pytest.mark.parametrize(("suffix", "kind"), [(".ibin", "<i4"), (".f16bin", "<f2")])
def test_flat(tmp_path, suffix, kind):
    """Integers of 32 bits and floats of 16 are read as they are stored."""
    table = np.arange(12).reshape(4, 3).astype(kind)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(np.array(table.shape, "<u4").tobytes() + table.tobytes())
    found = read(path)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, table)


@pytest.mark.parametrize("stated", [4, 1000])
def test_crops(tmp_path, stated):
    """A crop of big-ann's is read whether its header was mended or is that of the whole file."""
    table = np.arange(12, dtype="<f4").reshape(4, 3)
    path = tmp_path / "base.1B.fbin.crop_nb_4"
    path.write_bytes(np.array([stated, 3], "<u4").tobytes() + table.tobytes())
    np.testing.assert_array_equal(read_vectors(parse_spec(path)), table)
    path.write_bytes(path.read_bytes()[:-4])
    refuses(path, "truncated in record 3 of 4")


def write_parts(folder, rows, numbers, count=3, stem="train"):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        part = rows[number::count]
        table = pa.table({"id": np.arange(60)[number::count], "emb": list(part)})
        pq.write_table(table, folder / f"{stem}-{number:02}-of-{count:02}.parquet")


def test_parts_of_a_table(tmp_path, rows):
    """A folder as VectorDBBench has it gives train from its parts, in order, and the queries beside them."""
    folder = tmp_path / "cohere"
    write_parts(folder, rows, (2, 0, 1))
    pq.write_table(pa.table({"id": [0, 1], "emb": list(rows[:2] + 1)}), folder / "test.parquet")
    pq.write_table(pa.table({"id": [0, 1], "neighbors_id": [[1], [2]]}), folder / "neighbors.parquet")
    path = prepare(folder, folder=tmp_path / "d", metric="cosine", progress=False)
    assert path.name == "cohere-5-angular.hdf5"
    found = read_dataset(path)
    np.testing.assert_array_equal(found.train, np.concatenate([rows[i::3] for i in range(3)]))
    np.testing.assert_array_equal(found.test, rows[:2] + 1)
    before = path.stat().st_mtime_ns
    prepare(f"{folder}:emb", folder=tmp_path / "d", metric="cosine", name="key", progress=False)
    assert prepare(folder, folder=tmp_path / "d", metric="cosine", progress=False).stat().st_mtime_ns == before
    again = prepare("cohere-5-angular", folder=tmp_path / "d", neighbors=7, force=True, progress=False)
    assert read_dataset(again).neighbors.shape == (2, 7)


def test_parts_that_are_missing(tmp_path, rows):
    """One part alone, a part that is missing, and a folder of other files are explained."""
    folder = tmp_path / "x"
    write_parts(folder, rows, (0, 2))
    refuses(folder, "part 1 of 3 is missing; fetch them again")
    one = folder / "train-00-of-03.parquet"
    refuses(one, "is one of 3 parts; name their folder to read all, or rename this one")
    write_parts(folder, rows, (1,), stem="other")
    one.unlink()
    (folder / "train-02-of-03.parquet").unlink()
    refuses(folder, "part 0 of 3 is missing")
    (folder / "a.parquet").write_bytes(b"")
    refuses(folder, r"Parquet files of several names \(a, other\); name one of them")
    refuses(tmp_path, "is a folder without Parquet files")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x.pkl", "is a Python pickle, which runs code when it is read"),
        ("x.pickle", "is a Python pickle"),
        ("x.pt", "is a pickle of PyTorch's"),
        ("x.npy.gz", "is compressed: unpack it first"),
        ("x.txt", "is text of no one layout: save the vectors by numpy.save"),
        ("x.jsonl", "is text of no one layout"),
        ("x.safetensors", "is not read: save the vectors by numpy.save"),
        ("x.bin", r"rename it to \.fbin \(float32\)"),
        ("x.faiss", "is an index"),
    ],
)
def test_formats_that_are_not_read(tmp_path, save, name, why):
    """What can't be read, or never will be, says what to do, also on the way through `prepare`."""
    path = save(name, pickle.dumps([1, 2]))
    refuses(path, why)
    with pytest.raises(DatasetError, match=why):
        prepare(str(path), folder=tmp_path / "d", metric="ip", progress=False)


@pytest.fixture
def whole(tmp_path, rows):
    """A small sound file of each format."""
    files = {suffix: tmp_path / f"whole{suffix}" for suffix in (".npy", ".npz", ".csv", ".parquet", ".hdf5", ".h5")}
    np.save(files[".npy"], rows)
    np.savez(files[".npz"], rows)
    np.savetxt(files[".csv"], rows, delimiter=",")
    pq.write_table(pa.table({"v": list(rows)}), files[".parquet"])
    with h5py.File(files[".h5"], "w") as file:
        file["v"] = rows
    made = prepare("synthetic-clusters-60-5-euclidean", folder=tmp_path / "made", progress=False)
    files[".hdf5"].write_bytes(made.read_bytes())
    flat = {".fbin": "<f4", ".f16bin": "<f2", ".ibin": "<i4", ".u8bin": "u1", ".fvecs": "<f4", ".bvecs": "u1"}
    for suffix, kind in flat.items():
        files[suffix] = tmp_path / f"whole{suffix}"
        table = rows.astype(kind)
        if suffix.endswith("bin"):
            content = np.array(rows.shape, "<u4").tobytes() + table.tobytes()
        else:
            lengths = np.full((60, 1), 5, "<i4").view(np.uint8)
            content = np.hstack([lengths, table.view(np.uint8).reshape(60, -1)]).tobytes()
        files[suffix].write_bytes(content)
    return files


MISLEADING = re.compile(r"allow_pickle|NoneType|object at 0x|Traceback|can't be read as YAML")


def test_stand_ins_are_named(whole):
    """A Git LFS pointer, a web page and nothing at all are told as such, whatever the file's name."""
    for path in whole.values():
        for content, why in (
            (POINTER, "Git LFS pointer, not the file itself: get that by git lfs pull"),
            (b"<!DOCTYPE html><html><body>Please log in</body></html>" * 9, "a web page, not the file itself"),
            (b"", "empty: fetch it again"),
        ):
            path.write_bytes(content)
            refuses(path, why)


def test_names_that_belie_their_content(whole):
    """A file under the suffix of another format is told by what it is."""
    for here, there, why in (
        (".npy", ".npz", "is a zip archive: name it .npz"),
        (".npz", ".npy", "is a NumPy array: name it .npy"),
        (".parquet", ".h5", "is an HDF5 file: name it .hdf5"),
        (".h5", ".parquet", "it is a Parquet file: name it .parquet|is a Parquet file"),
    ):
        kept = whole[here].read_bytes()
        whole[here].write_bytes(whole[there].read_bytes())
        refuses(whole[here], why)
        whole[here].write_bytes(kept)
    for protocol in (2, 3, 4, 5):
        whole[".npy"].write_bytes(pickle.dumps(np.ones(3), protocol))
        refuses(whole[".npy"], "is a Python pickle, which runs code when it is read: save the array by numpy.save")


def test_damage_is_an_error_in_one_line(whole, tmp_path):
    """Files cut short, with bytes turned, or overwritten with zeros are read or refused in one line with their name."""
    rng = np.random.default_rng(0)
    refused = []
    for suffix, path in whole.items():
        content = path.read_bytes()
        damaged = [content[: int(len(content) * share)] for share in (0.01, 0.1, 0.5, 0.9, 0.999)]
        damaged += [bytes(len(content)), content + b"more", content[8:], rng.bytes(len(content))]
        for place in [*range(0, 40, 4), *rng.integers(0, len(content), 12)]:
            one = bytearray(content)
            one[place % len(content)] ^= 0xFF
            damaged.append(bytes(one))
        for number, piece in enumerate(damaged):
            broken = tmp_path / f"broken-{number}{suffix}"
            broken.write_bytes(piece)
            try:
                OwnFile.of(broken, 5).read(Metric.EUCLIDEAN, 10)
            except AnnbenchError as problem:
                refused.append((broken, str(problem)))
    assert len(refused) > 100
    unclear = [text for broken, text in refused if str(broken) not in text or "\n" in text or MISLEADING.search(text)]
    assert not unclear


def test_damaged_datasets_are_an_error_in_one_line(whole, tmp_path):
    """So are files in the layout of ann-benchmarks, which keep their own queries and neighbours."""
    content = whole[".hdf5"].read_bytes()
    rng = np.random.default_rng(1)
    folder = tmp_path / "datasets"
    folder.mkdir()
    path, refused = folder / "mine.hdf5", []
    for place in rng.integers(0, len(content), 60):
        one = bytearray(content)
        one[place] ^= 0xFF
        path.write_bytes(bytes(one))
        try:
            prepare("mine", folder=folder, progress=False)
        except AnnbenchError as problem:
            refused.append(str(problem))
    assert not [text for text in refused if str(path) not in text or "\n" in text]


@pytest.mark.parametrize("stated", [None, 2])
def test_packed_bits_without_their_number(tmp_path, stated):
    """Packed bits whose number isn't stated, or is that of bytes, are refused with the attribute to set."""
    made = prepare("synthetic-bits-60-16-hamming", folder=tmp_path, progress=False)
    with h5py.File(made, "r+") as file:
        for key in ("train", "test"):
            packed = np.packbits(file[key][:], axis=1)
            del file[key]
            file[key] = packed
        del file.attrs["dimension"]
        if stated is not None:
            file.attrs["dimension"] = stated
    path = made.rename(tmp_path / "mine.hdf5")
    with pytest.raises(
        DatasetError, match=r"2 columns of bytes, which look like packed bits.*: set it to .* 16"
    ) as caught:
        prepare("mine", folder=tmp_path, progress=False)
    assert str(path) in str(caught.value)
    with h5py.File(path, "r+") as file:
        file.attrs["dimension"] = 16
    assert read_dataset(prepare("mine", folder=tmp_path, progress=False)).dimension == 16


def test_what_float32_cannot_hold_is_told_as_such(tmp_path):
    """A dataset in float64 with 1e200 is refused by its place and value, not as infinite."""
    made = prepare("synthetic-clusters-60-5-euclidean", folder=tmp_path, progress=False)
    with h5py.File(made, "r+") as file:
        wide = file["train"][:].astype(np.float64)
        wide[7, 2] = 1e200
        del file["train"]
        file["train"] = wide
    made.rename(tmp_path / "mine.hdf5")
    with pytest.raises(DatasetError, match=r"train\[7, 2\] is 1e\+200, too large for float32"):
        prepare("mine", folder=tmp_path, progress=False)
