"""Result files: round trips, kills and full disks, damage, versions of the format, and merging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import DamagedResult, StoreError
from harness.store.document import SCHEMA_VERSION, Document, Process
from harness.store.envelope import read_result
from harness.store.failures import Failure
from harness.store.result import Result
from harness.store.results import ResultStore
from harness.store.spec import BuildSpec, Provenance, SearchSpec, freeze, label, slug
from harness.workloads.knn.companion import companion

ROOT = Path(__file__).resolve().parents[2]
PLACE = "set/10/a/x.hdf5"
TIMES = ("latencies_ns", "repetition_pass", "pass_disturbed", "pass_process")
ARRAYS = ("neighbors", "distances", "kth_distance", "kth_distance_file")


def _spec(params: dict[str, Any] | None = None, search: dict[str, Any] | None = None, **changed: Any) -> BuildSpec:
    fields: dict[str, Any] = {
        "dataset": "digits-64-euclidean",
        "metric": "euclidean",
        "workload": "knn",
        "terms": freeze({"k": 3, "mode": "single"}),
        "folder": "digits-64-euclidean/3/hnsw",
        "threads": 1,
        "build_threads": 2,
        "queries": 5,
        "algorithm": "hnsw",
        "params": freeze(params if params is not None else {"M": 16}),
        "provenance": Provenance("ab" * 32, "cd" * 8, (("numpy", "2.0"),), "machine-1"),
        "searches": (SearchSpec(freeze(search or {"ef": 40})),),
    }
    return BuildSpec(**{**fields, **changed})


def _result(spec: BuildSpec | None = None, passes: int = 2, q: int = 5, repeats: int = 2, seed: int = 0) -> Result:
    spec = spec or _spec()
    rng = np.random.default_rng(seed)
    columns = q if spec.mode == "single" else 1
    k = dict(spec.terms)["k"]
    distances = np.sort(rng.random((q, k)), axis=1)
    neighbors = np.argsort(rng.random((q, 50)), axis=1)[:, :k].astype(np.int64)
    neighbors[-1, -1], distances[-1, -1] = -1, np.inf
    process = Process(pid=1, started="2025-01-01", build_seconds=1.5, index_bytes=2048)
    said: Any = {"workload": "knn", "queries": q, "spec": spec.identity(spec.searches[0]), "arrays": sorted(ARRAYS)}
    return Result(
        document=Document(schema_version=SCHEMA_VERSION, **said, processes=[process], notes=["ä"]),
        latencies_ns=rng.integers(1, 10**9, (passes * repeats, columns)),
        repetition_pass=np.repeat(np.arange(passes, dtype=np.int32), repeats),
        pass_disturbed=rng.random(passes) < 0.5,
        pass_process=np.zeros(passes, np.int32),
        arrays={
            "neighbors": neighbors,
            "distances": distances,
            "kth_distance": distances[:, 0].copy(),
            "kth_distance_file": distances[:, 0].astype(np.float32),
        },
    )


def _same(a: Result, b: Result) -> None:
    assert set(a.arrays) == set(b.arrays) == set(ARRAYS)
    pairs = {key: (getattr(a, key), getattr(b, key)) for key in TIMES}
    pairs |= {key: (a.arrays[key], b.arrays[key]) for key in ARRAYS}
    for key, (x, y) in pairs.items():
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype, key
    assert a.document == b.document


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    passes=st.integers(1, 5),
    repeats=st.integers(1, 3),
    q=st.integers(1, 9),
    k=st.integers(1, 12),
    mode=st.sampled_from(["single", "batch"]),
    seed=st.integers(0, 99),
)
def test_results_round_trip(tmp_path: Path, passes: int, repeats: int, q: int, k: int, mode: str, seed: int) -> None:
    """Every shape of result comes back as it was, and the tidy counts agree."""
    store = ResultStore(tmp_path)
    written = _result(_spec(terms=freeze({"k": k, "mode": mode})), passes, q, repeats, seed)
    store.write(tmp_path / PLACE, written, companion(written))
    read = store.read(tmp_path / PLACE)
    _same(read, written)
    assert (read.passes, read.queries, read.path) == (passes, q, tmp_path / PLACE)
    assert read.undisturbed == passes - int(written.pass_disturbed.sum())
    with h5py.File(tmp_path / PLACE) as file:  # what ann-benchmarks reads
        assert file["times"].shape == (q,)
        assert file.attrs["best_search_time"] == pytest.approx(written.latencies_ns.sum(axis=1).min() / 1e9 / q)
        assert file["times"][:].mean() == pytest.approx(file.attrs["best_search_time"])
        assert bool(file.attrs["batch_mode"]) is (mode == "batch")


def test_numbers_that_json_lacks_round_trip(tmp_path: Path) -> None:
    """NaN and infinity, in the spec and in what a process said, come back, and so does a very long document."""
    written = _result(_spec({"threshold": float("inf"), "window": [1, -1]}))
    written.document.processes[0].build_seconds = float("nan")
    written.document.notes.append("x" * 200_000)
    ResultStore(tmp_path).write(tmp_path / PLACE, written)
    read = read_result(tmp_path / PLACE)
    assert read.spec["build"] == {"threshold": float("inf"), "window": [1, -1]}
    assert np.isnan(read.document.processes[0].build_seconds)
    assert len(read.document.notes[1]) == 200_000
    assert read.name == "hnsw (threshold=inf, window=[1, -1], ef=40)"


_ENDLESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import importlib.util
spec = importlib.util.spec_from_file_location("t", sys.argv[2] + "/store/test_results.py")
t = importlib.util.module_from_spec(spec)
spec.loader.exec_module(t)
store = t.ResultStore(Path(sys.argv[1]))
i = 0
while True:
    store.write(Path(sys.argv[1]) / f"d/{i % 7}.hdf5", t._result(passes=20, q=400, seed=i))
    if i == 7:
        print("started", flush=True)
    i += 1
"""


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.031, 0.057])
def test_a_kill_amid_writing_leaves_whole_files(tmp_path: Path, delay: float) -> None:
    """After SIGKILL in the middle of many writes, every result opens, and no other name ends in `.hdf5`."""
    child = subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(tmp_path), str(ROOT / "tests")],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    results = list(ResultStore(tmp_path).results())
    assert [r.path.name for r in results if r.path] == [f"{i}.hdf5" for i in range(7)]
    assert all(r.queries == 400 and r.passes == 20 for r in results)
    assert len([name for name in os.listdir(tmp_path / "d") if name.endswith(".hdf5")]) == 7  # noqa: PTH208


_FULL = """
import importlib.util, resource, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("t", sys.argv[2] + "/store/test_results.py")
t = importlib.util.module_from_spec(spec)
spec.loader.exec_module(t)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
for write in (t.ResultStore.write, t.ResultStore.write_failure):
    try:
        thing = t._result(passes=9, q=300, seed=5) if write is t.ResultStore.write else t.Failure({}, "x" * 200_000)
        write(t.ResultStore(Path(".")), Path(sys.argv[1]), thing)
    except t.StoreError as refused:
        print(refused)
"""


@pytest.mark.parametrize("room", [0, 100, 2_000, 9_000, 30_000])
def test_a_full_disk_leaves_the_old_result_whole(tmp_path: Path, room: int) -> None:
    """When the disk refuses, at whatever byte, the error is one clear line, and the old file is still there."""
    path = tmp_path / "old.hdf5"
    ResultStore(tmp_path).write(path, _result())
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(path), str(ROOT / "tests"), str(room)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{path}: could not be written (File too large); earlier results are whole")
    assert second == f"{path}: could not be written (File too large)"
    _same(read_result(path), _result())
    assert os.listdir(tmp_path) == ["old.hdf5"]  # noqa: PTH208 - hidden files, too


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (json.dumps({"schema_version": SCHEMA_VERSION + 1}), "newer than this annbench's.*pip install -U annbench"),
        (json.dumps({"schema_version": 0}), "older than this annbench's.*annbench run --force"),
        (json.dumps({"schema_version": "2"}), "no version number"),
        (json.dumps({"schema_version": SCHEMA_VERSION}), "damaged at workload: is missing"),
        ("{", "'annbench' is damaged; remove the file"),
        ("[1]", "'annbench' is damaged"),
        (b"\xff\xfe{", "damaged"),
        (7, "'annbench' is damaged"),
        (None, "not written by annbench; import it with: annbench results merge --foreign"),
    ],
)
def test_an_unreadable_document_says_what_to_do(tmp_path: Path, value: Any, complaint: str) -> None:
    """Newer and older schemas, damage and files of others are errors in one line that name the command to run."""
    path = tmp_path / "r.hdf5"
    ResultStore(tmp_path).write(path, _result())
    with h5py.File(path, "r+") as file:
        del file.attrs["annbench"]
        if value is not None:
            file.attrs["annbench"] = value
    with pytest.raises(StoreError, match=complaint) as caught:
        read_result(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(list(ResultStore(tmp_path).paths())) == 1
    if value is None:
        assert list(ResultStore(tmp_path).results()) == []


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_result_is_an_error_in_one_line(tmp_path: Path, share: float) -> None:
    """A file cut anywhere is refused by name, and passed over by `results`, which names it; a missing one, too."""
    path = tmp_path / "r.hdf5"
    store = ResultStore(tmp_path)
    store.write(path, _result())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(StoreError, match=r"truncated or not a result file.*run again") as caught:
        store.read(path)
    assert "\n" not in str(caught.value)
    with pytest.warns(DamagedResult, match=r"r\.hdf5: truncated or not a result file"):
        assert list(store.results()) == []
    with pytest.raises(StoreError, match="no such result"):
        read_result(tmp_path / "none.hdf5")


@pytest.mark.parametrize("key", ARRAYS)
def test_a_result_without_one_of_its_arrays_is_refused(tmp_path: Path, key: str) -> None:
    """A missing array, or a group in its place, is an error in one line."""
    path = tmp_path / "r.hdf5"
    for replace_it in (False, True):
        ResultStore(tmp_path).write(path, _result())
        with h5py.File(path, "r+") as file:
            del file[key]
            if replace_it:
                file.create_group(key)
        with pytest.raises(StoreError, match="not a result file"):
            read_result(path)


def test_groups_that_others_add_are_tolerated(tmp_path: Path) -> None:
    """The `metrics` group that ann-benchmarks' plot script leaves in a file doesn't disturb reading."""
    path = tmp_path / "r.hdf5"
    ResultStore(tmp_path).write(path, _result())
    with h5py.File(path, "r+") as file:
        knn = file.create_group("metrics").create_group("knn")
        knn.attrs["mean"], knn["recalls"] = 0.5, np.zeros(5)
        file["metrics"].attrs["rel"] = 1.0
    before = path.read_bytes()
    _same(read_result(path), _result())
    assert path.read_bytes() == before


def test_a_result_of_nothing_is_refused(tmp_path: Path) -> None:
    """A result without passes is no result: it is refused, and no file appears."""
    empty = replace(_result(), latencies_ns=np.empty((0, 5), np.int64))
    with pytest.raises(StoreError, match="nothing was measured"):
        ResultStore(tmp_path).write(tmp_path / "r.hdf5", empty)
    assert not list(tmp_path.iterdir())


def test_failures_round_trip_and_strangers_are_skipped(tmp_path: Path) -> None:
    """What did not finish comes back; other JSON in the folder is no failure."""
    store = ResultStore(tmp_path)
    failure = Failure(_spec().identity(None), "timeout", "after 60 s", "build", "2025", {"seconds": 60})
    store.write_failure(tmp_path / "a/f.json", failure)
    for name, text in (("b.json", "[]"), ("c.json", "{"), ("d.json", '{"spec": 1}'), ("e.json", '"spec"')):
        (tmp_path / name).write_text(text)
    assert list(store.failures()) == [replace(failure, path=tmp_path / "a/f.json")]


def test_merging_copies_what_is_missing_and_the_longer_measurement(tmp_path: Path) -> None:
    """Missing results and failures are copied, more passes win, fewer don't, and JSON of others stays away."""
    ours, theirs = ResultStore(tmp_path / "a"), ResultStore(tmp_path / "b")
    ours.write(ours.folder / "d/both.hdf5", _result(passes=2))
    ours.write(ours.folder / "d/longer.hdf5", _result(passes=2))
    theirs.write(theirs.folder / "d/both.hdf5", _result(passes=2, seed=1))
    theirs.write(theirs.folder / "d/longer.hdf5", _result(passes=3))
    theirs.write(theirs.folder / "d/new.hdf5", _result())
    theirs.write_failure(theirs.folder / "d/f.json", Failure(_spec().identity(None), "timeout"))
    (theirs.folder / "summary.json").write_text("{}")
    (theirs.folder / ".hidden.hdf5").write_text("")
    assert ours.merge(theirs.folder) == (3, 1)
    assert ours.merge(theirs.folder) == (0, 4)
    _same(ours.read(ours.folder / "d/both.hdf5"), _result(passes=2))
    assert ours.read(ours.folder / "d/longer.hdf5").passes == 3
    assert [p.name for p in ours.paths()] == ["both.hdf5", "longer.hdf5", "new.hdf5"]
    assert len(list(ours.failures())) == 1
    assert not (ours.folder / "summary.json").exists()
    with pytest.raises(StoreError, match="no such folder"):
        ours.merge(tmp_path / "c")


def test_a_broken_source_is_refused_by_name(tmp_path: Path) -> None:
    """Merging from a folder with a broken file names it, and the broken file is not copied."""
    ours, theirs = ResultStore(tmp_path / "a"), tmp_path / "b"
    theirs.mkdir()
    (theirs / "bad.hdf5").write_bytes(b"\x89HDF")
    with pytest.warns(DamagedResult, match=r"bad\.hdf5: truncated"), pytest.raises(StoreError, match="holds no result"):
        ours.merge(theirs)
    assert ours.paths() == []


PARAMS = st.dictionaries(
    st.text("abM_/.- é", min_size=1, max_size=4),
    st.one_of(
        st.integers(-3, 3),
        st.floats(allow_nan=False),
        st.booleans(),
        st.none(),
        st.text(max_size=120),
        st.lists(st.integers(-2, 2), max_size=3),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(PARAMS, PARAMS, PARAMS, PARAMS)
def test_different_settings_never_share_a_file(a: Any, b: Any, c: Any, d: Any) -> None:
    """Two identities have the same stem only if they are the same, and a stem is a plain, short file name."""
    one, two = _spec(a, b or {"ef": 1}), _spec(c, d or {"ef": 1})
    same = json.dumps(one.identity(one.searches[0])) == json.dumps(two.identity(two.searches[0]))
    stems = [spec.stem(spec.searches[0]) for spec in (one, two)]
    assert (stems[0] == stems[1]) is same
    for stem in stems:
        assert stem.isascii()
        assert len(stem) < 100
        assert not set(stem) & set("/\\ \0:*?")
        assert not stem.startswith(".")


def test_a_minus_sign_and_provenance_stay_visible() -> None:
    """[1, -1] and [1, 1] have names of their own; another machine, version or source has another key."""
    assert slug(freeze({"w": [1, -1]})) != slug(freeze({"w": [1, 1]}))
    base = _spec()
    stems = {base.stem(None), base.stem(base.searches[0])}
    for changed in ("dataset_sha256", "plugin_hash", "machine"):
        stems.add(_spec(provenance=base.provenance._replace(**{changed: "other"})).stem(None))
    stems.add(_spec(provenance=base.provenance._replace(versions=(("numpy", "2.1"),))).stem(None))
    assert len(stems) == 6
    assert label({"M": 16, "ef": 40}) == "M=16, ef=40"


@settings(max_examples=80, deadline=None)
@given(PARAMS, PARAMS)
def test_specs_cross_to_the_child_unchanged(build: Any, search: Any) -> None:
    """A spec that went through JSON text is the same spec, hashable, with the same stem and identity."""
    spec = _spec(build, search)
    back = BuildSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert back == spec
    assert hash(back) == hash(spec)
    assert back.stem(back.searches[0]) == spec.stem(spec.searches[0])
    identity = spec.identity(spec.searches[0])
    assert json.loads(json.dumps(identity)) == identity


@pytest.mark.parametrize("longest", [60_000, 2**32 - 1, 2**32, 2**40])
def test_latencies_are_kept_exactly_in_few_bytes(tmp_path: Path, longest: int) -> None:
    """Latencies that differ in their lowest bits take about a byte each, and any length comes back exactly."""
    rng = np.random.default_rng(0)
    latencies = 300 + rng.integers(0, 64, (500, 1000))
    latencies[7, 9] = longest
    written = replace(
        _result(q=1000), latencies_ns=latencies, repetition_pass=np.repeat(np.arange(2, dtype=np.int32), 250)
    )
    ResultStore(tmp_path).write(tmp_path / PLACE, written)
    _same(read_result(tmp_path / PLACE), written)
    assert (tmp_path / PLACE).stat().st_size < 1.3 * latencies.size


def test_a_file_of_the_first_layout_is_read_alike(tmp_path: Path) -> None:
    """Arrays stored contiguous and as int64, as the first files have them, read as the compressed ones do."""
    written = _result(q=1000)
    ResultStore(tmp_path).write(tmp_path / PLACE, written)
    with h5py.File(tmp_path / PLACE, "r+") as file:
        assert file["latencies_ns"].compression == "gzip"
        for name, values in [*((name, getattr(written, name)) for name in TIMES), *written.arrays.items()]:
            del file[name]
            file[name] = values.astype(np.int32) if name == "neighbors" else values
    _same(read_result(tmp_path / PLACE), written)
