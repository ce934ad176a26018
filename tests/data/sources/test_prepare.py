"""The one entrance: names and files become whole datasets, once."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest

from harness.core.errors import AnnbenchError, ConfigError, DatasetError, SourceError, UnknownNameError
from harness.data.checks import check_dataset
from harness.data.dataset import read_dataset
from harness.data.metric import Metric
from harness.data.sources import catalogue, content
from harness.data.sources.catalogue import Entry, Shape, Source
from harness.data.sources.content import split_rows, write_content
from harness.data.sources.prepare import prepare
from harness.data.sources.synthetic import generate, parse


def get(what, folder, **options):
    return prepare(what, folder=folder, progress=False, **options)


def seen(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "datasets"


@pytest.fixture
def listed(monkeypatch):
    """A function that puts one dataset with the given sources into the catalogue."""

    def put(name, *sources, metric="euclidean"):
        entry = Entry(
            name=name,
            metric=Metric(metric),
            shape=Shape(None, None, None),
            licence="MIT",
            about="a test",
            publisher="test",
            sources=tuple(Source(kind=kind, value=value) for kind, value in sources),
        )
        monkeypatch.setattr(catalogue, "load_catalogue", lambda: {name: entry})

    return put


@pytest.fixture
def published(tmp_path):
    """The bytes of a small dataset file without a hash of its own, as another project would publish it."""

    def make(name="synthetic-clusters-300-6-angular", change=None):
        path = tmp_path / "published.hdf5"
        write_content(path, generate(parse(name)), depth=100, progress=False)
        with h5py.File(path, "a") as file:
            for key in ("sha256", "source", "licence", "created_by"):
                del file.attrs[key]
            if change:
                change(file)
        return path.read_bytes()

    return make


def test_digits_end_to_end(folder):
    """Digits come out of scikit-learn with exact neighbours, and a second call changes nothing."""
    path = get("digits-64-euclidean", folder)
    dataset = read_dataset(path)
    check_dataset(dataset)
    assert (dataset.train.shape, dataset.test.shape, dataset.neighbors.shape) == ((1597, 64), (200, 64), (200, 100))
    away = np.linalg.norm(dataset.train - dataset.test[7], axis=1)
    np.testing.assert_allclose(dataset.distances[7], np.sort(away)[:100], rtol=1e-5)
    assert dataset.attributes["licence"] == "CC BY 4.0"
    before = path.stat()
    assert get("digits-64-euclidean", folder) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert seen(folder) == [path.name]
    assert read_dataset(get("digits-64-euclidean", folder, force=True)).sha256 == dataset.sha256


@pytest.mark.parametrize(
    "name",
    [
        "synthetic-clusters-150-5-angular",
        "synthetic-lowdim-150-9-2-ip",
        "synthetic-bits-150-13-hamming",
        "synthetic-sets-150-60-jaccard",
    ],
)
def test_every_metric(folder, name):
    """Synthetic data of each metric passes all checks."""
    dataset = read_dataset(get(name, folder))
    check_dataset(dataset)
    assert dataset.name == name


def test_fewer_rows_than_neighbours(folder):
    """With fewer vectors than neighbours asked for, all of them are the ground truth."""
    assert read_dataset(get("synthetic-uniform-30-4-euclidean", folder)).neighbors.shape == (100, 30)


def test_download_is_kept_byte_for_byte(folder, site, listed, published, console):
    """A download that passes the checks is stored as it came, and isn't fetched again."""
    site.content = published()
    listed("some", ("url", site.url), metric="angular")
    path = prepare("some", folder=folder, progress=False, console=console)
    assert path.read_bytes() == site.content
    assert get("some", folder) == path
    assert len(site.requests) == 1
    assert site.url in console.file.getvalue()


def test_broken_download_goes_on_to_the_next_source(folder, site, listed, console):
    """A captive portal's page isn't a dataset: one line, then the next source."""
    site.content = b"<html>please log in</html>"
    listed("digits", ("url", site.url), ("builtin", "digits"))
    path = prepare("digits", folder=folder, progress=False, console=console)
    assert len(read_dataset(path).train) == 1597
    text = console.file.getvalue()
    assert text.count("skipped") == 1
    assert "not an HDF5 file" in text
    assert seen(folder) == ["digits.hdf5"]


def test_wrong_content_is_refused(folder, site, listed, published):
    """A download whose distances are of another metric isn't left under the final name."""

    def lie(file):
        file.attrs["distance"] = "euclidean"

    site.content = published(change=lie)
    listed("some", ("url", site.url))
    with pytest.raises(SourceError, match="they are angular distances"):
        get("some", folder)
    assert list(folder.iterdir()) == []


def test_published_zero_vectors_are_kept(folder, site, listed, published, console):
    """All-zero vectors in a published file (nytimes) earn a line, but NaN is refused."""

    def blank(file):
        file["train"][3] = 0

    site.content = published(change=blank)
    listed("some", ("url", site.url), metric="angular")
    path = prepare("some", folder=folder, progress=False, console=console)
    assert path.read_bytes() == site.content
    assert "as published, train[3] is all zeros" in console.file.getvalue()

    def spoil(file):
        file["train"][3] = 0
        file["test"][2, 1] = np.nan

    site.content = published(change=spoil)
    with pytest.raises(SourceError, match="could not be had"):
        get("some", folder, force=True)
    assert path.exists()


def test_total_failure_tells_all(folder, site, listed, monkeypatch, console):
    """When nothing works, each try is one line, followed by how to supply the file by hand."""
    monkeypatch.delenv("ANNBENCH_IDX", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    site.status = 404
    listed("some", ("url", site.url), ("debian-package", "pkg"), ("npm-package", "q@1"), ("idx-folder", "ANNBENCH_IDX"))
    with pytest.raises(SourceError) as caught:
        prepare("some", folder=folder, progress=False, console=console)
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert "404" in lines[1]
    assert "debian-package pkg: apt-get is not on this machine" in lines[2]
    assert str(folder / "some.hdf5") in lines[-1]
    assert "ANNBENCH_IDX" in lines[-1]
    assert console.file.getvalue().count("skipped:") == 4


def test_present_but_broken_file_is_replaced(folder, console):
    """A file under the final name that can't be read is prepared anew, and that is said."""
    path = folder / "digits-64-euclidean.hdf5"
    folder.mkdir()
    path.write_bytes(b"half")
    prepare("digits-64-euclidean", folder=folder, progress=False, console=console)
    check_dataset(read_dataset(path))
    assert "preparing it anew" in console.file.getvalue()


def test_unlisted_name_in_the_folder(folder):
    """A dataset that lies in the folder needs no entry; a broken or absent one is explained."""
    made = get("synthetic-uniform-50-3-euclidean", folder)
    mine = made.rename(folder / "mine-3-euclidean.hdf5")
    assert get("mine-3-euclidean", folder) == mine
    mine.write_bytes(b"x")
    with pytest.raises(DatasetError, match="supply it again"):
        get("mine-3-euclidean", folder)
    with pytest.raises(UnknownNameError, match="no dataset is called 'yours'"):
        get("yours", folder)


def test_options_that_names_don_t_take(folder):
    """Metric, queries and name of a catalogue's dataset are fixed."""
    with pytest.raises(ConfigError, match="its metric is euclidean, not angular"):
        get("digits-64-euclidean", folder, metric="cosine")
    with pytest.raises(ConfigError, match="for your own files"):
        get("digits-64-euclidean", folder, queries=5)
    with pytest.raises(ConfigError, match="neighbors"):
        get("digits-64-euclidean", folder, neighbors=0)


def test_own_npy(folder, tmp_path, rows, console):
    """A .npy is split, cached under stem, dimension and metric, and prepared anew once it is edited."""
    source = tmp_path / "my vectors.npy"
    np.save(source, rows)
    path = prepare(source, folder=folder, metric="l2", progress=False, console=console)
    assert path.name == "my-vectors-5-euclidean.hdf5"
    dataset = read_dataset(path)
    assert (len(dataset.train), len(dataset.test), dataset.neighbors.shape) == (54, 6, (6, 54))
    both = np.concatenate([dataset.train, dataset.test])
    np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(rows, axis=0))
    before = path.stat().st_mtime_ns
    assert get(str(source), folder, metric="euclidean") == path
    assert path.stat().st_mtime_ns == before
    np.save(source, rows[:50])
    assert len(read_dataset(get(source, folder, metric="euclidean")).train) == 45
    assert len(read_dataset(get(source, folder, metric="euclidean", queries=10)).test) == 10
    assert read_dataset(get(source, folder, metric="euclidean", neighbors=3)).neighbors.shape == (5, 3)


def test_own_queries(folder, tmp_path, rows):
    """Queries may come from another file of another format; their width is checked."""
    np.save(tmp_path / "x.npy", rows)
    with h5py.File(tmp_path / "q.h5", "w") as file:
        file["a"], file["b"] = rows[:7] + 1, rows[:7, :4]
    dataset = read_dataset(get(tmp_path / "x.npy", folder, metric="ip", queries=f"{tmp_path}/q.h5:a", name="both"))
    assert dataset.name == "both"
    np.testing.assert_array_equal(dataset.train, rows)
    np.testing.assert_array_equal(dataset.test, rows[:7] + 1)
    with pytest.raises(DatasetError, match=r"q\.h5:b: queries have 4 dimensions, .*x\.npy has 5"):
        get(tmp_path / "x.npy", folder, metric="ip", queries=f"{tmp_path}/q.h5:b")


@pytest.mark.parametrize(
    ("value", "metric", "why"),
    [
        (np.nan, "euclidean", r"x\.npy\[7, 2\] is nan"),
        (1e300, "ip", r"x\.npy\[7, 2\] is 1e\+300, too large for float32"),
    ],
)
def test_own_bad_values(folder, tmp_path, rows, value, metric, why):
    """NaN and what doesn't fit float32 are named with their place, and nothing is written."""
    wide = rows.astype(np.float64)
    wide[7:9, 2] = value
    np.save(tmp_path / "x.npy", wide)
    with pytest.raises(DatasetError, match=why) as caught:
        get(tmp_path / "x.npy", folder, metric=metric)
    assert "x.npy" in str(caught.value)
    assert not folder.exists() or not list(folder.iterdir())


def test_own_zero_vector(folder, tmp_path, rows):
    """A zero vector is named by its row in the file, where the metric can't bear it."""
    rows[11] = 0
    np.save(tmp_path / "x.npy", rows)
    with pytest.raises(DatasetError, match=r"x\.npy\[11\] is all zeros, which has no angle"):
        get(tmp_path / "x.npy", folder, metric="angular")
    assert get(tmp_path / "x.npy", folder, metric="euclidean").exists()


def test_own_layout(folder, tmp_path):
    """A file in the ann-benchmarks layout keeps its split and metric, and its neighbours where they fit."""
    made = get("synthetic-clusters-300-6-euclidean", folder)
    other = tmp_path / "copy.hdf5"
    other.write_bytes(made.read_bytes())
    original = read_dataset(made)
    same = read_dataset(get(other, folder))
    assert same.name == "copy-6-euclidean"
    np.testing.assert_array_equal(same.neighbors, original.neighbors)
    angular = read_dataset(get(other, folder, metric="angular"))
    check_dataset(angular)
    np.testing.assert_array_equal(angular.test, original.test)
    with h5py.File(other, "a") as file:
        del file["neighbors"], file["distances"]
    again = read_dataset(get(other, folder))
    np.testing.assert_array_equal(again.neighbors, original.neighbors)
    with h5py.File(other, "a") as file:
        del file["test"], file.attrs["distance"]
    with pytest.raises(ConfigError, match="doesn't say its metric; choose one of euclidean, angular"):
        get(other, folder)
    assert len(read_dataset(get(other, folder, metric="ip")).test) == 30


def test_own_layout_in_place(folder):
    """A dataset that lies in the folder already is checked and left as it is."""
    made = get("synthetic-clusters-300-6-euclidean", folder)
    assert get(made, folder) == made
    with pytest.raises(ConfigError, match="its metric is euclidean"):
        get(made, folder, metric="ip")


def test_own_sets(folder, tmp_path):
    """Sets come in the layout of ann-benchmarks, or not at all."""
    made = get("synthetic-sets-100-50-jaccard", folder)
    copy = tmp_path / "s.hdf5"
    copy.write_bytes(made.read_bytes())
    assert read_dataset(get(copy, folder)).metric is Metric.JACCARD
    np.save(tmp_path / "x.npy", np.ones((10, 3)))
    with pytest.raises(DatasetError, match="jaccard needs sets"):
        get(tmp_path / "x.npy", folder, metric="jaccard")


def test_own_bits(folder, tmp_path):
    """Bits come as one a column, or packed in bytes."""
    bits = np.random.default_rng(0).random((40, 16)) < 0.5
    np.save(tmp_path / "loose.npy", bits)
    np.save(tmp_path / "tight.npy", np.packbits(bits, axis=1))
    loose = read_dataset(get(tmp_path / "loose.npy", folder, metric="hamming"))
    tight = read_dataset(get(tmp_path / "tight.npy", folder, metric="hamming"))
    assert loose.dimension == tight.dimension == 16
    np.testing.assert_array_equal(loose.train, tight.train)
    np.testing.assert_array_equal(loose.distances, tight.distances)
    np.save(tmp_path / "other.npy", np.full((10, 3), 0.5))
    with pytest.raises(DatasetError, match=r"other\.npy: hamming data must be bits"):
        get(tmp_path / "other.npy", folder, metric="hamming")


def test_names_that_clash(folder, tmp_path, rows):
    """A file may not silently take the place of another's dataset, or a published name."""
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "other" / "x.npy", rows * 2)
    path = get(tmp_path / "x.npy", folder, metric="ip")
    with pytest.raises(ConfigError, match=r"was made from file:.*x\.npy"):
        get(tmp_path / "other" / "x.npy", folder, metric="ip")
    assert get(tmp_path / "other" / "x.npy", folder, metric="ip", force=True) == path
    np.testing.assert_array_equal(np.sort(read_dataset(path).train[:, 0])[:1] >= (rows * 2).min(), [True])
    for name in ("digits-64-euclidean", "a/b", "x.hdf5", ".x", ""):
        with pytest.raises(ConfigError, match="name"):
            get(tmp_path / "x.npy", folder, metric="ip", name=name)


@pytest.mark.parametrize(("n", "queries"), [(1, None), (3, 3), (3, 0), (3, -1)])
def test_too_few_rows(folder, tmp_path, n, queries):
    """A split that leaves nothing on one side is refused."""
    np.save(tmp_path / "x.npy", np.ones((n, 2)))
    with pytest.raises(AnnbenchError, match=r"x\.npy: can't set|queries"):
        get(tmp_path / "x.npy", folder, metric="ip", queries=queries)


def test_split_is_disjoint_and_seeded():
    """Train and test rows cover all rows once, the same each time."""
    train, test = split_rows(1000, 100)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(1000))
    assert len(test) == 100
    assert np.array_equal(test, split_rows(1000, 100)[1])
    assert not np.array_equal(test, split_rows(1000, 100, seed=2)[1])
    assert content.default_queries(10) == 1
    assert content.default_queries(10**7) == 10_000


def test_library_is_silent(folder, capfd):
    """Nothing is printed where no console was passed and no progress wanted."""
    get("synthetic-uniform-50-3-euclidean", folder)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(AnnbenchError, match=re.escape("synthetic-")):
        get("synthetic-uniform-50-euclidean", folder)
