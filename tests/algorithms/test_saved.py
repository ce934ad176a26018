"""Saved indexes: all that an index is comes back, and what is no such index is refused and changes nothing."""

from __future__ import annotations

import json

import h5py
import numba
import numpy as np
import pytest

from algorithms.kernels.saved import SavedIndex, _digest
from harness.core.errors import PluginError
from harness.data.metric import Metric
from harness.engines.registry import load_registry

# Hashes wrap around, which only the interpreter remarks on.
pytestmark = [
    pytest.mark.filterwarnings("ignore:overflow encountered"),
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="many small indexes; nothing here is compiled"),
]

REGISTRY = load_registry()
OURS = {
    name: entry.load()
    for name, entry in REGISTRY.items()
    if entry.config.origin == "from-scratch" and issubclass(entry.load(), SavedIndex) and name != "pq-codes"
}
# Parameters that are not the defaults: after a load they are in force.
OTHER = {
    "hnsw": [
        {"M": 5, "ef_construction": 30, "seed": 3},
        {"storage": "float32"},
        {"rerank": False},
        {"n_components": 3},
    ],
    "lsh": [{"n_tables": 3, "n_bits": 4, "target_recall": 0.8, "seed": 2}],
    "kd_tree": [{"leaf_size": 32}],
    "ball_tree": [{"leaf_size": 32}],
    "pq": [{"bits": 8, "n_lists": 3}, {"storage": None, "seed": 4}, {"opq": True}, {"storage": "float32"}],
    "anisotropic_vq": [{"spill": True, "threshold": 0.3}, {"dims_per_block": 3, "rerank": False}, {"spherical": True}],
}
CASES = [(name, parameters) for name in OURS for parameters in [{}, *OTHER[name]]]


def rows(n=60, dim=8, seed=0):
    """Draw rows (n, dim)."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def built(name, metric=Metric.EUCLIDEAN, data=None, **parameters):
    """Return an index over some rows."""
    index = OURS[name](metric, **parameters)
    index.fit(rows() if data is None else data)
    return index


def parts_of(path):
    """Return the header and the arrays of a file."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("header"))), arrays


def write(path, header, arrays, *, sealed=True):
    """Write a header and arrays as an index does; `sealed`, with a digest that fits them."""
    if sealed:
        header = {key: value for key, value in header.items() if key != "digest"}
        header["digest"] = _digest(header, arrays)
    with path.open("wb") as file:
        np.savez(file, header=np.array(json.dumps(header)), **arrays)
    return path


def refused(index, path):
    """Load a file that must be refused; return the message."""
    with pytest.raises(PluginError, match="build the index again") as problem:
        index.load(path)
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_every_index_that_saves_is_here():
    """All indexes from scratch but the exhaustive one can be saved, and by this one module."""
    assert sorted(OURS) == sorted(OTHER)


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
@pytest.mark.parametrize("metric", ["euclidean", "angular", "ip"])
def test_all_of_an_index_comes_back(name, parameters, metric, tmp_path):
    """Answers, `effective`, parameters and size are those of the index that was saved, whatever was there before."""
    if metric not in REGISTRY[name].config.metrics:
        pytest.skip("not a metric of this index")
    index, queries = built(name, metric, **parameters), rows(5, 8, seed=1)
    index.save(tmp_path / "index")
    for other in (OURS[name](metric), built(name, metric, rows(40, 5))):
        other.load(tmp_path / "index")
        np.testing.assert_array_equal(other.searcher()(queries, 4), index.searcher()(queries, 4))
        assert dict(other.effective) == dict(index.effective)
        assert other._parameters() == index._parameters()
        assert other.index_bytes() == index.index_bytes()
        other.save(tmp_path / "again")
        assert parts_of(tmp_path / "again")[0] == parts_of(tmp_path / "index")[0]
        # And what is built next, is built by those parameters.
        other.fit(rows(50, 6))
        index_of_them = built(name, metric, rows(50, 6), **parameters)
        np.testing.assert_array_equal(other.searcher()(queries[:, :6], 4), index_of_them.searcher()(queries[:, :6], 4))


def foreign_files(folder, name):
    """Write files that are no saved index of this kind; yield a word for each, and its path."""
    good = folder / "good"
    content = good.read_bytes()
    for word, part in (
        *(("half", content[: len(content) // 2]), ("but for a byte", content[:-1]), ("start", content[:64])),
        *(("empty", b""), ("text", b"not an index")),
    ):
        (folder / word).write_bytes(part)
        yield word, folder / word
    (folder / "folder").mkdir()
    yield "folder", folder / "folder"
    yield "absent", folder / "absent"
    with h5py.File(folder / "hdf5", "w") as file:
        file["train"] = rows()
    yield "hdf5", folder / "hdf5"
    np.savez(folder / "other.npz", rows=rows(), header=np.array("[1, 2]"))
    yield "npz", folder / "other.npz"
    np.savez(folder / "earlier.npz", rows=rows(), about=np.array('{"format": 3}'))
    yield "earlier", folder / "earlier.npz"
    np.savez(folder / "pickle.npz", header=np.array([{"format": 1}], object))
    yield "pickle", folder / "pickle.npz"
    np.save(folder / "array.npy", rows())
    yield "npy", folder / "array.npy"
    for other in OURS:
        if other != name:
            built(other).save(folder / other)
            yield other, folder / other
    built(name, Metric.ANGULAR).save(folder / "angular")
    yield "angular", folder / "angular"


def changed_headers(header):
    """Yield headers that no index of this version writes."""
    for key in header:
        yield f"no {key}", {name: value for name, value in header.items() if name != key}
    for key, value in (
        *(("format", 0), ("format", 2), ("format", "1"), ("index", "nothing"), ("metric", "hamming")),
        *(("dim", 7), ("dim", 8.0), ("dim", 0), ("dim", None), ("state", {}), ("state", None), ("effective", 3)),
        *(("parameters", {"speed": 9}), ("parameters", [1])),
    ):
        yield f"{key} = {value}", {**header, key: value}
    for part in ("parameters", "state"):
        for key in header[part]:
            odd = {"nested": "table"}
            yield f"{part}.{key} = {odd}", {**header, part: {**header[part], key: odd}}


@pytest.mark.parametrize("name", OURS)
def test_load_refuses_what_is_no_such_index(name, tmp_path):
    """Foreign, earlier, later, truncated and edited files are refused in one line; the index goes on as it was."""
    index, queries = built(name, data=rows(90, 5)), rows(7, 5, seed=1)
    before, size, effective = index.searcher()(queries, 3), index.index_bytes(), dict(index.effective)
    parameters, search = index._parameters(), index.searcher()

    def check_unchanged(word):
        np.testing.assert_array_equal(index.searcher()(queries, 3), before, err_msg=word)
        assert (index.index_bytes(), dict(index.effective), index._parameters()) == (size, effective, parameters), word

    built(name).save(tmp_path / "good")
    for word, path in foreign_files(tmp_path, name):
        refused(index, path)
        check_unchanged(word)
    header, arrays = parts_of(tmp_path / "good")
    for word, other in changed_headers(header):
        refused(index, write(tmp_path / "edited", other, arrays, sealed="no digest" not in word))
        check_unchanged(word)
    for word, value in (("later", 2), ("earlier", 0)):
        message = refused(index, write(tmp_path / word, {**header, "format": value}, arrays))
        assert word in message
    # A search that was bound before a load goes on, too.
    np.testing.assert_array_equal(search(queries, 3), before)
    # Rows of another dimension are another index, and it takes their place.
    index.load(tmp_path / "good")
    np.testing.assert_array_equal(index.searcher()(rows(), 1)[:, 0], built(name).searcher()(rows(), 1)[:, 0])


@pytest.mark.parametrize("name", OURS)
def test_a_damaged_file_is_refused_or_read_as_it_was(name, tmp_path):
    """Wherever bytes of a file change, it is refused, or, where nothing reads them, holds the same index."""
    index, queries = built(name), rows(5, 8, seed=1)
    index.save(tmp_path / "good")
    content, before = (tmp_path / "good").read_bytes(), index.searcher()(queries, 3)
    kept = 0
    for at in range(0, len(content), max(1, len(content) // 150)):
        (tmp_path / "damaged").write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        other = OURS[name](Metric.EUCLIDEAN)
        try:
            other.load(tmp_path / "damaged")
        except PluginError:
            continue
        kept += 1
        np.testing.assert_array_equal(other.searcher()(queries, 3), before)
    assert kept < 40


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
def test_load_refuses_arrays_that_do_not_fit(name, parameters, tmp_path):
    """Whichever array is missing, cut short, of another type or full of nonsense, no search ever reads beyond it."""
    built(name, data=rows(150), **parameters).save(tmp_path / "good")
    header, arrays = parts_of(tmp_path / "good")
    index = OURS[name](Metric.EUCLIDEAN, **parameters)
    counted = 0
    for array, value in arrays.items():
        if not value.size:
            continue
        counted += 1
        others = [None, value[:-1], value.astype(np.complex64), value.reshape(*value.shape, 1)]
        if np.issubdtype(value.dtype, np.signedinteger):
            others += [np.full_like(value, 10**6), np.full_like(value, -7)]
        for other in others:
            edited = {key: one for key, one in {**arrays, array: other}.items() if one is not None}
            refused(index, write(tmp_path / "edited", header, edited))
            refused(index, write(tmp_path / "edited", header, edited, sealed=False))
    assert counted >= 4
    index.load(tmp_path / "good")
