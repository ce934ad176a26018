"""Parameters and files that no index from scratch can work with: refused in one line, and the index left as it was."""

from __future__ import annotations

import inspect

import h5py
import numba
import numpy as np
import pytest

from harness.core.errors import ParameterError, PluginError
from harness.data.metric import Metric
from harness.engines.contract import Saves
from harness.engines.registry import load_registry

# Hashes wrap around, which only the interpreter remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")

REGISTRY = load_registry()
OURS = {
    name: entry.load()
    for name, entry in REGISTRY.items()
    if entry.config.origin == "from-scratch" and entry.config.purpose == "index" and name != "pq-codes"
}
SAVED = [name for name, index_type in OURS.items() if issubclass(index_type, Saves)]
ODD = [True, 2.5, "8", "", [], float("nan"), float("-inf"), -1, 0]
"""Values that some parameter may take, and most can't."""
# What is fine for a parameter although it is fine for hardly another one.
FINE = {
    "seed": (0,),
    "n_rerank": (0,),
    "n_reorder": (0,),
    "reach": (0, 2.5),
    "bucket_width": (2.5,),
    "soar_lambda": (0, 2.5),
    **dict.fromkeys(("rerank", "opq", "spill", "spherical", "symmetric", "upper_layers"), (True,)),
}
N, DIM = 60, 8


def rows(n=N, dim=DIM, seed=0):
    """Draw rows (n, dim)."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def parameters(function, *, apart):
    """Return the names of a function's parameters that an index takes, and what each is unless it is given."""
    found = inspect.signature(function).parameters.values()
    return [p.name for p in found if p.kind is p.KEYWORD_ONLY and p.name not in apart]


def odd_values(name):
    """Return the values that a parameter should refuse."""
    fine = FINE.get(name, ())
    return [value for value in ODD if not any(type(value) is type(one) and value == one for one in fine)]


def built(name, metric=Metric.EUCLIDEAN, data=None):
    """Return an index over some rows."""
    index = OURS[name](metric)
    index.fit(rows() if data is None else data)
    return index


@pytest.mark.parametrize("name", OURS)
def test_a_constructor_refuses_what_it_cannot_use(name):
    """Each parameter refuses values of other types and beyond its range, by name; NumPy's integers are fine."""
    for parameter in parameters(OURS[name].__init__, apart=()):
        for value in odd_values(parameter):
            with pytest.raises(ParameterError, match=parameter):
                OURS[name](Metric.EUCLIDEAN, **{parameter: value})
    for parameter, value in (("M", 8), ("n_lists", 4), ("n_leaves", 4), ("n_tables", 2), ("leaf_size", 32)):
        if parameter in parameters(OURS[name].__init__, apart=()):
            OURS[name](Metric.EUCLIDEAN, **{parameter: np.int8(value)})


@pytest.mark.parametrize("name", OURS)
def test_a_searcher_refuses_what_it_cannot_use(name):
    """So does each search parameter; what was bound before stays."""
    index = built(name)
    for parameter in parameters(index.searcher, apart=("threads",)):
        for value in odd_values(parameter):
            with pytest.raises(ParameterError, match=parameter):
                index.searcher(**{parameter: value})


def foreign_files(folder, name):
    """Write files that are no saved index of this kind; yield a word for each, and its path."""
    good = folder / "good"
    built(name).save(good)
    content = good.read_bytes()
    for word, part in (("half", content[: len(content) // 2]), ("empty", b""), ("text", b"not an index")):
        (folder / word).write_bytes(part)
        yield word, folder / word
    at = len(content) // 3
    damaged = content[:at] + bytes(byte ^ 255 for byte in content[at : at + 40]) + content[at + 40 :]
    (folder / "damaged").write_bytes(damaged)
    yield "damaged", folder / "damaged"
    (folder / "folder").mkdir()
    yield "folder", folder / "folder"
    yield "absent", folder / "absent"
    with h5py.File(folder / "hdf5", "w") as file:
        file["train"] = rows()
    yield "hdf5", folder / "hdf5"
    np.savez(folder / "other.npz", rows=rows(), about=np.array("[1, 2]"))
    yield "npz", folder / "other.npz"
    np.save(folder / "array.npy", rows())
    yield "npy", folder / "array.npy"
    for other in SAVED:
        if other != name:
            built(other).save(folder / other)
            yield other, folder / other
    built(name, Metric.ANGULAR).save(folder / "angular")
    yield "angular", folder / "angular"


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing here is compiled")
@pytest.mark.parametrize("name", SAVED)
def test_load_refuses_foreign_files(name, tmp_path):
    """What another index, another metric or another program wrote is refused in one line; the index stays as it was."""
    index, queries = built(name, data=rows(90, 5)), rows(7, 5, seed=1)
    before, size = index.searcher()(queries, 3), index.index_bytes()
    effective = dict(index.effective)
    for word, path in foreign_files(tmp_path, name):
        with pytest.raises(PluginError, match="build the index again") as refused:
            index.load(path)
        assert "\n" not in str(refused.value), word
        np.testing.assert_array_equal(index.searcher()(queries, 3), before, err_msg=word)
        assert (index.index_bytes(), dict(index.effective)) == (size, effective), word
    # Rows of another dimension are another index, and it takes their place.
    index.load(tmp_path / "good")
    np.testing.assert_array_equal(index.searcher()(rows(), 1)[:, 0], built(name).searcher()(rows(), 1)[:, 0])
