"""What lies in the folder: kept where it is what was asked for, checked once, mended by the advised command."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from harness import api
from harness.core.errors import AnnbenchError, ConfigError, DatasetError
from harness.data import checks as dataset_checks
from harness.data.dataset import read_dataset
from harness.data.metric import Metric, neighbour_distances
from harness.data.sources import present
from harness.data.sources.prepare import prepare

SYNTHETIC = "synthetic-clusters-300-6-euclidean"


def get(what, folder, **options):
    return prepare(what, folder=folder, progress=False, **options)


def advised(caught):
    """Return the arguments of the command that a message ends with."""
    command = re.search(r"annbench prepare (.*)$", str(caught.value))
    assert command is not None, caught.value
    return shlex.split(command[1])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "datasets"


@pytest.fixture
def mine(tmp_path, rows):
    path = tmp_path / "mine.npy"
    np.save(path, rows)
    return path


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def permute(file):
    order = np.random.default_rng(0).permutation(len(file["train"]))
    file["train"][:] = file["train"][:][order]


def lose_truth(file):
    del file["neighbors"], file["distances"]


def test_another_metric_is_prepared_anew(folder, mine, console):
    """Under one name, data of another metric don't stay: the file is made again, and that is said."""
    path = get(mine, folder, metric="angular", name="c1")
    prepare(mine, folder=folder, metric="l2", name="c1", progress=False, console=console)
    assert read_dataset(path).metric is Metric.EUCLIDEAN
    assert "is angular, not euclidean; preparing it anew" in console.file.getvalue()


@pytest.mark.parametrize("change", [{"queries": 9}, {"neighbors": 7}, {"metric": "ip"}])
def test_whatever_decides_the_content_is_compared(folder, mine, change):
    """Another number of queries or of neighbours, or another metric, gives another file under the same name."""
    options = {"metric": "euclidean", "queries": 8, "neighbors": 5, "name": "x"}
    path = get(mine, folder, **options)
    before = path.stat().st_mtime_ns
    assert get(mine, folder, **options).stat().st_mtime_ns == before
    again = read_dataset(get(mine, folder, **options | change))
    wanted = options | change
    assert (str(again.metric), again.neighbors.shape) == (wanted["metric"], (wanted["queries"], wanted["neighbors"]))


def test_a_name_s_metric_is_compared_though_its_file_is_there(folder, mine):
    """`prepare NAME --metric` doesn't return a file of another metric, be it the catalogue's or the user's."""
    get(SYNTHETIC, folder)
    with pytest.raises(ConfigError, match="its metric is euclidean, not ip"):
        get(SYNTHETIC, folder, metric="ip")
    get(mine, folder, metric="angular", name="c1")
    with pytest.raises(ConfigError, match="its metric is angular, not euclidean") as caught:
        get("c1", folder, metric="l2")
    name, *options = advised(caught)
    assert options == ["--metric", "euclidean", "--force"]
    assert read_dataset(get(name, folder, metric=options[1], force=True)).metric is Metric.EUCLIDEAN


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ("synthetic-clusters-300-6-angular", "holds angular data, but .* is euclidean"),
        ("synthetic-clusters-200-6-euclidean", "holds 200 x 100 x 6, but .* is 300 x 100 x 6"),
        (None, "holds what was made from file:.*mine.npy"),
    ],
)
def test_a_name_stands_for_its_content(folder, tmp_path, held, why):
    """A file under a generated data set's name that is something else is refused, and `--force` replaces it."""
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).random((400, 6)))
    made = get(held or tmp_path / "mine.npy", folder, **({} if held else {"metric": "l2", "queries": 100}))
    made.rename(folder / f"{SYNTHETIC}.hdf5")
    with pytest.raises(ConfigError, match=why) as caught:
        get(SYNTHETIC, folder)
    name, *options = advised(caught)
    assert options == ["--force"]
    assert read_dataset(get(name, folder, force=True)).attributes["source"] == f"generator:{SYNTHETIC}"


def test_taken_names(folder, mine):
    """The user's data can't take the name of generated data, or of a collection of texts."""
    for name, why in ((SYNTHETIC, "stand for generated data"), ("nave-web", "name of a published dataset")):
        with pytest.raises(ConfigError, match=why):
            get(mine, folder, metric="ip", name=name)


@pytest.mark.parametrize("force", [True, False])
def test_more_neighbours_by_name(folder, mine, force):
    """`prepare NAME --neighbors` works for generated data, the user's own, and files whose origin isn't known."""
    get(SYNTHETIC, folder)
    get(mine, folder, metric="ip", name="own", neighbors=4)
    (folder / "foreign.hdf5").write_bytes((folder / f"{SYNTHETIC}.hdf5").read_bytes())
    edit(folder / "foreign.hdf5", lambda file: [file.attrs.pop(key, None) for key in ("source", "sha256")])
    for name, depth in ((SYNTHETIC, 200), ("own", 30), ("foreign", 150)):
        before = read_dataset(folder / f"{name}.hdf5")
        after = read_dataset(get(name, folder, neighbors=depth, force=force))
        assert after.neighbors.shape == (len(before.test), depth)
        np.testing.assert_array_equal(after.neighbors[:, :4], before.neighbors[:, :4])
        np.testing.assert_array_equal(after.train, before.train)
        assert name == "foreign" or after.sha256 == before.sha256


def test_own_data_are_made_again_from_their_file(folder, mine, rows, console):
    """`prepare NAME --force` reads the file anew, with the queries of before; where it is gone, the vectors stay."""
    np.save(mine.with_name("q.npy"), rows[:9])
    path = get(mine, folder, metric="ip", name="own", queries=mine.with_name("q.npy"))
    np.save(mine, rows * 2)
    again = read_dataset(get("own", folder, force=True))
    np.testing.assert_array_equal(again.train, rows * 2)
    assert len(again.test) == 9
    assert again.attributes["source"] == read_dataset(get(mine, folder, metric="ip", name="own",
        queries=mine.with_name("q.npy"))).attributes["source"]  # fmt: skip
    mine.unlink()
    prepare("own", folder=folder, force=True, neighbors=20, progress=False, console=console)
    assert read_dataset(path).neighbors.shape == (9, 20)
    assert "is gone, so its own vectors are used" in console.file.getvalue()


@pytest.mark.parametrize("by_path", [True, False])
def test_truth_is_added_to_a_file_without(folder, by_path):
    """A train/test file in the folder is given its neighbours, by its name and by its path; the rest of it stays."""
    made = get(SYNTHETIC, folder)
    original = read_dataset(made)
    path = made.rename(folder / "mine.hdf5")
    edit(path, lose_truth)
    edit(path, lambda file: file.create_dataset("extra", data=[1, 2]))
    assert get(path if by_path else "mine", folder) == path
    again = read_dataset(path)
    np.testing.assert_array_equal(again.neighbors, original.neighbors)
    assert again.sha256 == original.sha256
    with h5py.File(path) as file:
        assert list(file["extra"]) == [1, 2]


def test_truth_is_added_once_the_metric_is_known(folder):
    """A file that doesn't say its metric is explained by a command that works."""
    path = get(SYNTHETIC, folder).rename(folder / "mine.hdf5")
    edit(path, lose_truth)
    edit(path, lambda file: file.attrs.pop("distance"))
    with pytest.raises(ConfigError, match="doesn't say its metric") as caught:
        get("mine", folder)
    name, option, _ = advised(caught)
    assert option == "--metric"
    assert read_dataset(get(name, folder, metric="angular")).metric is Metric.ANGULAR
    dataset_checks.check_dataset(read_dataset(path))


def test_a_file_of_train_alone_is_split_by_the_advised_command(folder):
    """Where there are no queries either, the message says how to split them off, and that works."""
    path = get(SYNTHETIC, folder).rename(folder / "mine.hdf5")
    edit(path, lose_truth)
    edit(path, lambda file: file.pop("test"))
    with pytest.raises(DatasetError, match="test missing") as caught:
        get("mine", folder)
    where, option, _ = advised(caught)
    assert option == "--queries"
    assert read_dataset(get(where, folder, queries=50)).test.shape == (50, 6)


def test_wrong_truth_is_refused_at_the_door(folder):
    """A file with permuted rows is refused by name, by path and as a source, and the advised command mends it."""
    path = get(SYNTHETIC, folder).rename(folder / "mine.hdf5")
    outside = folder.parent / "outside.hdf5"
    edit(path, permute)
    outside.write_bytes(path.read_bytes())
    for what in ("mine", path, outside):
        with pytest.raises(DatasetError, match=r"in another order.*computed anew by") as caught:
            get(what, folder)
        where, option = advised(caught)
        assert option == "--force"
        dataset_checks.check_dataset(read_dataset(get(where, folder, force=True)))
        edit(path, permute)


def lie(**attributes):
    return lambda file: file.attrs.update(attributes)


def turn(*keys, by=lambda values: values[:, ::-1]):
    def change(file):
        for key in keys:
            file[key][:] = by(file[key][:])

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (turn("neighbors", by=lambda ids: ids + 1), "ids count from 1: subtract 1"),
        (lie(distance="euclidean"), "they are angular distances: set the attribute 'distance' to 'angular'"),
        (turn("distances", by=np.square), "they are squared: store their roots"),
        (turn("neighbors"), "in reverse order"),
        (turn("neighbors", "distances"), "must be ascending"),
        (turn("train", by=lambda rows: np.where(np.arange(len(rows))[:, None] == 7, np.nan, rows)), r"train\[7, 0\]"),
        (turn("train", by=lambda rows: rows * (np.arange(len(rows)) != 7)[:, None]), r"train\[7\] is all zeros"),
        (turn("neighbors", by=lambda ids: ids + 1000), r"is \d+, outside 0\.\.299"),
    ],
)
def test_each_fault_is_refused_by_name(folder, change, why):
    """What is wrong with a file is found, with its place, when its name is asked for, though it was sound before."""
    path = get("synthetic-clusters-300-6-angular", folder).rename(folder / "mine.hdf5")
    get("mine", folder)
    edit(path, change)
    with pytest.raises(DatasetError, match=why) as caught:
        get("mine", folder)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_nearest_name_may_be_one_s_own(folder, mine):
    """A misspelt name is compared with what lies in the folder, too."""
    get(mine, folder, metric="ip", name="my-vectors")
    with pytest.raises(AnnbenchError, match="my-vectors"):
        get("my-vector", folder)


def test_published_names_are_checked_when_put_there_by_hand(folder):
    """A file under a published name is checked, too; zero vectors are borne only there."""
    made = get("synthetic-clusters-300-16-angular", folder)
    edit(made, lambda file: file["train"].__setitem__(3, 0))
    path = made.rename(folder / "nytimes-16-angular.hdf5")
    ids = read_dataset(path).neighbors
    assert (ids == 3).any()
    assert get("nytimes-16-angular", folder) == path
    path.rename(folder / "mine.hdf5")
    with pytest.raises(DatasetError, match=r"train\[3\] is all zeros"):
        get("mine", folder)
    edit(folder / "mine.hdf5", permute)
    (folder / "mine.hdf5").rename(path)
    with pytest.raises(DatasetError, match="in another order"):
        get("nytimes-16-angular", folder)


def test_a_file_is_checked_once(folder, monkeypatch):
    """The check is remembered for a file's content: not repeated after a copy, but after an edit."""
    path = get(SYNTHETIC, folder).rename(folder / "mine.hdf5")
    calls = []
    monkeypatch.setattr(present, "check_dataset", lambda *_, **__: calls.append(1))
    for _ in range(2):
        get("mine", folder)
    assert len(calls) == 1
    os.utime(path, ns=(1, 1))
    get("mine", folder)
    assert len(calls) == 1
    edit(path, lambda file: file["train"].__setitem__(0, 1))
    get("mine", folder)
    assert len(calls) == 2


def test_a_folder_that_cannot_be_written(folder, tmp_path, monkeypatch):
    """Where the folder of data is read-only, what was checked is remembered in the user's cache folder."""
    path = get(SYNTHETIC, folder).rename(folder / "mine.hdf5")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    note = folder / ".mine.hdf5.sha256.json"
    note.mkdir()  # stands for a folder in which not even root may write
    present.check_once(path)
    monkeypatch.setattr(present, "check_dataset", lambda *_, **__: pytest.fail("checked again"))
    present.check_once(path)
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 1


def test_a_notebook_prepares_arrays(folder, rows, capfd):
    """`harness.api.prepare` takes an array, and shows what takes long on standard error only."""
    path = api.prepare(rows, metric="ip", name="mine", data=folder, queries=rows[:4])
    assert len(read_dataset(path).test) == 4
    assert api.prepare(rows, metric="ip", name="mine", data=folder, queries=rows[:4], progress=False) == path
    out, err = capfd.readouterr()
    assert out == ""
    assert "array of 60 x 5 float32" in err


def test_arrays(folder, rows):
    """An array is known again by its content; what differs is prepared anew, and names as everywhere."""
    path = get(rows, folder, metric="cosine")
    assert re.fullmatch(r"array-[0-9a-f]{8}-5-angular\.hdf5", path.name)
    before = path.stat().st_mtime_ns
    assert get(rows.copy(), folder, metric="angular").stat().st_mtime_ns == before
    assert get(rows.astype(np.float64), folder, metric="angular") != path
    mine = get(rows, folder, metric="ip", name="mine", queries=rows[:7] + 1, neighbors=5)
    read = read_dataset(mine)
    np.testing.assert_array_equal(read.train, rows)
    np.testing.assert_array_equal(read.test, rows[:7] + 1)
    every = neighbour_distances(Metric.IP, read.test, read.train, np.tile(np.arange(60), (7, 1)))
    np.testing.assert_allclose(read.distances, np.sort(every, axis=1)[:, :5], rtol=1e-5)
    assert len(read_dataset(get(rows * 2, folder, metric="ip", name="mine", queries=6)).test) == 6
    assert read_dataset(get("mine", folder, neighbors=9, force=True)).neighbors.shape == (6, 9)
    assert read_dataset(get(rows.tolist(), folder, metric="l2", name="list")).dimension == 5


@pytest.mark.parametrize(
    ("what", "options", "why"),
    [
        (np.ones(3), {"metric": "ip"}, r"shape \(3,\)"),
        (np.array([["a"]]), {"metric": "ip"}, "hold <U1"),
        ([[1.0, 2.0], [3.0]], {"metric": "ip"}, "no array can be made"),
        (np.ones((9, 2)), {}, "choose one of euclidean"),
        (np.ones((9, 2)), {"metric": "jaccard"}, "jaccard needs sets"),
        (np.ones((9, 2)), {"metric": "ip", "queries": "q.npy"}, "an array takes an array of queries"),
        (np.ones((9, 2)), {"metric": "ip", "queries": np.ones((2, 3))}, "queries have 3 dimensions"),
        (np.full((9, 2), np.nan), {"metric": "ip"}, r"vectors\[0, 0\] is nan"),
        (np.full((9, 2), 1e200), {"metric": "ip"}, r"vectors\[0, 0\] is 1e\+200, too large for float32"),
        (np.full((9, 2), 1e-200), {"metric": "angular"}, r"vectors\[0\] is all zeros in float32"),
    ],
)
def test_arrays_that_are_none(folder, what, options, why):
    """What can't be vectors is refused in one line."""
    with pytest.raises(AnnbenchError, match=why) as caught:
        get(what, folder, **options)
    assert "\n" not in str(caught.value)
    assert not folder.exists() or not list(Path(folder).iterdir())
