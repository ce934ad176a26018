"""The wrappers of other people's libraries: what they promise to the harness, against brute force in NumPy."""

import inspect
from functools import cache

import numpy as np
import pytest

from harness.core.errors import ParameterError
from harness.data.metric import Metric, neighbour_distances, normalise, pack_bits
from harness.engines.config import GROUPS
from harness.engines.contract import Grows, Saves, as_neighbors
from harness.engines.registry import load_registry
from harness.plan.grid import expand

K = 10
DIM = 24
EXACT = {"faiss-flat", "scann-brute-force", "sklearn-kd-tree", "sklearn-ball-tree"}

# What finds less, by its nature: signs of projections know nothing of norms.
LEAST = dict.fromkeys(EXACT, 1.0) | {"faiss-lsh-codes": 0.5}

# The parameters that suit 2,000 vectors, and a search that should find nearly everything.
SETTINGS = {
    "hnswlib": ({}, {"ef": 200}),
    "faiss-flat": ({}, {}),
    "faiss-ivf-flat": ({"n_lists": 45}, {"nprobe": 30}),
    "faiss-ivf-sq8": ({"n_lists": 45}, {"nprobe": 45}),
    "faiss-ivf-pq-fs": ({"n_lists": 45, "n_subspaces": DIM // 2}, {"nprobe": 30, "k_factor": 20}),
    "faiss-hnsw": ({}, {"ef": 200}),
    "faiss-lsh": ({"n_bits": 512}, {"k_factor": 50}),
    "faiss-lsh-codes": ({"n_bits": 2048}, {}),
    "scann": ({"num_leaves": 45}, {"leaves_to_search": 30, "reorder": 200}),
    "scann-brute-force": ({}, {}),
    "annoy": ({"n_trees": 20}, {"search_k": 10_000}),
    "sklearn-kd-tree": ({}, {}),
    "sklearn-ball-tree": ({}, {}),
    "usearch": ({}, {"expansion_search": 200}),
    "usearch-half": ({"dtype": "f16"}, {"expansion_search": 200}),
    "voyager": ({}, {"ef": 200}),
    "pynndescent": ({}, {"epsilon": 0.3}),
    "symphonyqg": ({"ef_construction": 200}, {"ef": 200}),
    "vsag-hgraph": ({"ef_construction": 100}, {"ef": 200}),
    "svs-vamana": ({"window_size": 100}, {"search_window_size": 200}),
    "ngt-onng": ({"edge": 40}, {"epsilon": 0.2}),
    "lorann": ({"n_clusters": 45}, {"clusters_to_search": 45, "points_to_rerank": 400}),
}
# A setting that differs from the one above, to be bound in between.
OTHER = {
    "faiss-ivf-pq-fs": {"nprobe": 1, "k_factor": 1},
    "scann": {"leaves_to_search": 1, "reorder": 10},
    "pynndescent": {"epsilon": 0.0},
    "ngt-onng": {"epsilon": -0.3},
    "lorann": {"clusters_to_search": 1, "points_to_rerank": 10},
}
# numba compiles pynndescent for a minute.
SLOW = {"pynndescent"}

REGISTRY = load_registry()
WRAPPERS = [name for name in REGISTRY if REGISTRY[name].config.origin == "library"]
INDEXES = [name for name in WRAPPERS if REGISTRY[name].config.purpose == "index"]


def cases(names, *, metrics=True):
    """Make a parameter set for each name, or each name and metric: skipped where the library isn't installed."""
    sets = []
    for name in names:
        entry = REGISTRY[name]
        marks = [pytest.mark.slow] if name in SLOW else []
        if why := entry.why_not():
            marks.append(pytest.mark.skip(reason=why))
        for metric in entry.config.metrics if metrics else [None]:
            values = (name, metric) if metrics else (name,)
            sets.append(pytest.param(*values, marks=marks, id="-".join(str(v) for v in values)))
    return sets


def frozen(array):
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


@cache
def data(metric, n=2000, m=50):
    rng = np.random.default_rng(7)
    if metric is Metric.HAMMING:
        centres = rng.random((20, 96)) < 0.5
        rows = centres[rng.integers(0, 20, n + m)] ^ (rng.random((n + m, 96)) < 0.2)
        packed = pack_bits(rows)
        return frozen(packed[:n]), frozen(packed[n:])
    rows = rng.standard_normal((n + m, DIM)).astype(np.float32)
    return frozen(rows[:n]), frozen(rows[n:])


def make(name, metric, train, threads=2):
    build, _ = SETTINGS[name]
    index = REGISTRY[name].load()(metric, **build)
    index.fit(train, threads=threads)
    return index


@cache
def built(name, metric):
    return make(name, metric, data(metric)[0])


def true_distances(metric, train, queries, k):
    ids = np.tile(np.arange(len(train)), (len(queries), 1))
    return np.sort(neighbour_distances(metric, queries, train, ids), axis=1)[:, :k]


def recall(metric, train, queries, ids):
    truth = true_distances(metric, train, queries, ids.shape[1])[:, -1:]
    found = neighbour_distances(metric, queries, train, ids)
    return np.mean(found <= truth + 1e-5 * np.maximum(np.abs(truth), 1e-3))


def batch(search, queries, k, n):
    return as_neighbors(search(queries, k), len(queries), k, n)


def singles(search, queries, k, n):
    return np.vstack([as_neighbors(search(queries[i : i + 1], k), 1, k, n) for i in range(len(queries))])


def test_settings_cover_the_wrappers():
    """Every wrapped index in the registry is tested here."""
    assert set(SETTINGS) == set(INDEXES)


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in WRAPPERS])
def test_config_has_every_group(name):
    """Each wrapper offers the groups quick, default and full."""
    assert set(REGISTRY[name].config.groups) == set(GROUPS)


@pytest.mark.parametrize("name", cases(WRAPPERS, metrics=False))
def test_config_names_real_parameters(name):
    """What config.yml varies, the constructor and the searcher take by keyword."""
    entry = REGISTRY[name]
    algorithm = entry.load()
    for group in (g for groups in entry.config.groups.values() for g in groups):
        for grid, function in ((group.build, algorithm), (group.search, algorithm.searcher)):
            known = set(inspect.signature(function).parameters) - {"self", "metric", "threads"}
            for table in grid if isinstance(grid, list) else [grid]:
                assert set(table) <= known


@pytest.mark.parametrize(("name", "metric"), cases(INDEXES))
def test_finds_neighbours(name, metric):
    """The best setting finds most neighbours, an exact method all; one query and a batch agree, on any threads."""
    train, queries = data(metric)
    search = SETTINGS[name][1]
    index = built(name, metric)
    alone = singles(index.searcher(**search), queries, K, len(train))
    together = batch(index.searcher(**search), queries, K, len(train))
    threaded = batch(index.searcher(threads=2, **search), queries, K, len(train))
    share = recall(metric, train, queries, alone)
    for ids in (alone, together, threaded):
        assert recall(metric, train, queries, ids) >= LEAST.get(name, 0.8)
        # Libraries may scan a batch in another order, so approximate answers need not be the same to the last id.
        assert recall(metric, train, queries, ids) == pytest.approx(share, abs=0.02)
    if REGISTRY[name].config.ordered:
        found = neighbour_distances(metric, queries, train, alone)
        assert (np.diff(found, axis=1) >= -1e-5).all()


@pytest.mark.parametrize(("name", "metric"), cases(INDEXES))
def test_answers_are_stable(name, metric):
    """The same call gives the same answer, after another setting too, and later calls leave it as it was."""
    train, queries = data(metric)
    setting = SETTINGS[name][1]
    other = OTHER.get(name, dict.fromkeys(setting, 1))
    index = built(name, metric)
    search = index.searcher(**setting)
    raw = search(queries[:1], K)
    first = as_neighbors(raw, 1, K, len(train))
    search(queries[1:2], K)
    np.testing.assert_array_equal(as_neighbors(raw, 1, K, len(train)), first)
    everything = singles(search, queries, K, len(train))
    singles(index.searcher(**other), queries, K, len(train))
    np.testing.assert_array_equal(singles(index.searcher(**setting), queries, K, len(train)), everything)


@pytest.mark.parametrize(("name", "metric"), cases(INDEXES))
def test_norm_of_a_query_does_not_matter_under_angular(name, metric):
    """A query's length changes no answer under angular, whether or not the wrapper scales it."""
    if metric is not Metric.ANGULAR:
        pytest.skip("only angular ignores norms")
    train, queries = data(metric)
    search = built(name, metric).searcher(**SETTINGS[name][1])
    longer = frozen(8 * queries)
    before, after = (singles(search, q, K, len(train)) for q in (queries, longer))
    assert recall(metric, train, queries, after) == pytest.approx(recall(metric, train, queries, before), abs=0.02)


@pytest.mark.parametrize(("name", "metric"), cases(INDEXES))
@pytest.mark.parametrize("n", [1, 2, 5, 17, 40])
def test_few_vectors(name, metric, n):
    """A handful of vectors can be indexed, and k beyond their number gives what there is."""
    train, queries = (frozen(part) for part in (data(metric)[0][:n], data(metric)[1][:3]))
    search = make(name, metric, train).searcher(**SETTINGS[name][1])
    for k in (1, K, n + 5):
        for ids in (singles(search, queries, k, n), batch(search, queries, k, n)):
            assert ((ids >= 0).sum(axis=1) <= min(k, n)).all()
            assert (ids[:, 0] >= 0).all()
            if name in EXACT or n == 1:
                assert ((ids >= 0).sum(axis=1) == min(k, n)).all()


@pytest.mark.parametrize(("name", "metric"), cases(INDEXES))
@pytest.mark.parametrize("kind", ["copies", "constant"])
def test_degenerate_data(name, metric, kind):
    """Ten copies of each vector, or one vector repeated, give valid answers, and the copies are found."""
    rows = data(metric)[0]
    train = frozen(np.repeat(rows[:40] if kind == "copies" else rows[:1], 10 if kind == "copies" else 300, axis=0))
    queries = frozen(train[:3])
    search = make(name, metric, train).searcher(**SETTINGS[name][1])
    for ids in (singles(search, queries, K, len(train)), batch(search, queries, K, len(train))):
        assert (ids >= 0).all()
        assert recall(metric, train, queries, ids) >= LEAST.get(name, 0.8)
    singles(search, queries, 100, len(train))


@pytest.mark.parametrize(("name", "metric"), cases(INDEXES))
def test_reads_what_it_saved(name, metric, tmp_path):
    """An index that is saved and loaded elsewhere gives the same answers."""
    train, queries = data(metric)
    build, search = SETTINGS[name]
    index = make(name, metric, train)
    if not isinstance(index, Saves):
        pytest.skip("can't be saved")
    expected = singles(index.searcher(**search), queries, K, len(train))
    index.save(tmp_path / "index")
    (tmp_path / "index").rename(tmp_path / "moved")
    other = REGISTRY[name].load()(metric, **build)
    other.load(tmp_path / "moved")
    np.testing.assert_array_equal(singles(other.searcher(**search), queries, K, len(train)), expected)
    size = other.index_bytes()
    assert size is None or size > 0


@pytest.mark.parametrize(("name", "metric"), cases(INDEXES))
def test_grows(name, metric):
    """Vectors added later are found under the ids that follow."""
    train, queries = data(metric)
    index = make(name, metric, frozen(train[:1500]))
    if not isinstance(index, Grows):
        pytest.skip("can't be added to")
    index.add(frozen(train[1500:]), threads=2)
    ids = singles(index.searcher(**SETTINGS[name][1]), queries, K, len(train))
    assert recall(metric, train, queries, ids) >= LEAST.get(name, 0.8)


@pytest.mark.parametrize(("name", "metric"), cases(INDEXES))
def test_index_bytes(name, metric):
    """The size of an index is known or None, and is that of its vectors at least, if codes may stand for them."""
    train, _ = data(metric)
    size = built(name, metric).index_bytes()
    least = train.nbytes // {"faiss-ivf-sq8": 4, "usearch-half": 2, "faiss-lsh-codes": 4}.get(name, 1)
    assert size is None or least <= size < 100 * train.nbytes


@pytest.mark.parametrize("name", cases(INDEXES, metrics=False))
def test_refuses_an_unsupported_metric(name):
    """A metric that the library lacks is refused in one line that names the ones it has."""
    entry = REGISTRY[name]
    with pytest.raises(ParameterError, match=r"jaccard is not supported; use one of .*euclidean"):
        entry.load()(Metric.JACCARD)


@pytest.mark.parametrize("name", cases(INDEXES, metrics=False))
def test_refuses_bad_numbers(name):
    """Zero, where a count is asked for, is refused with its name."""
    algorithm = REGISTRY[name].load()
    for parameter in inspect.signature(algorithm).parameters.values():
        if type(parameter.default) is int and parameter.name != "seed":
            with pytest.raises(ParameterError, match=f"{parameter.name} = 0"):
                algorithm(Metric.EUCLIDEAN, **{parameter.name: 0})


@pytest.mark.parametrize("name", cases(["symphonyqg", "lorann", "faiss-ivf-pq-fs"], metrics=False))
@pytest.mark.parametrize("dim", [1, 7, 65, 128])
def test_dimensions(name, dim):
    """Libraries that are choosy about dimensions get what they need."""
    rng = np.random.default_rng(3)
    train = frozen(rng.standard_normal((1000, dim)).astype(np.float32))
    queries = frozen(rng.standard_normal((20, dim)).astype(np.float32))
    build, setting = SETTINGS[name]
    if "n_subspaces" in build:
        build = build | {"n_subspaces": max(1, dim // 2)}
    for metric in (Metric.EUCLIDEAN, Metric.ANGULAR):
        index = REGISTRY[name].load()(metric, **build)
        index.fit(train)
        ids = singles(index.searcher(**setting), queries, K, len(train))
        # A line has no low-rank structure to learn, so there LoRANN need only answer.
        assert dim == 1 or recall(metric, train, queries, ids) > 0.8
        np.testing.assert_array_equal(batch(index.searcher(**setting), queries, K, len(train)), ids)


def test_faiss_tells_the_subspaces_it_took():
    """A number of subspaces that doesn't divide the dimension gives way to one near it, over padded vectors."""
    if why := REGISTRY["faiss-ivf-pq-fs"].why_not():
        pytest.skip(why)
    index = REGISTRY["faiss-ivf-pq-fs"].load()(Metric.EUCLIDEAN, n_lists=10, n_subspaces=11)
    index.fit(data(Metric.EUCLIDEAN)[0])
    assert index.effective == {"n_lists": 10, "n_subspaces": 12}
    rows, queries = data(Metric.EUCLIDEAN)
    for dim in (16, 17, 18):
        index = REGISTRY["faiss-ivf-pq-fs"].load()(Metric.EUCLIDEAN, n_lists=20, n_subspaces=dim // 2)
        index.fit(frozen(rows[:, :dim]))
        ids = batch(index.searcher(nprobe=20, k_factor=10), frozen(queries[:, :dim]), K, len(rows))
        assert recall(Metric.EUCLIDEAN, rows[:, :dim], queries[:, :dim], ids) > 0.9
        assert index.effective["n_subspaces"] in (8, 9)


def quick(name, n, dim):
    """Return the first build of the quick grid for such data, and its most thorough search."""
    grid = REGISTRY[name].config.groups["quick"][0]
    sizes = {"n": n, "dim": dim, "k": K}
    return dict(expand(grid.build, sizes)[0]), dict(expand(grid.search, sizes)[-1])


@pytest.mark.parametrize("name", cases(INDEXES, metrics=False))
def test_quick_grids_suit_odd_dimensions_and_few_rows(name):
    """Prime and tiny dimensions, and a handful of rows, give as many neighbours as there are, mostly the right ones."""
    rng = np.random.default_rng(5)
    for n, dim in [(300, dim) for dim in (1, 2, 3, 17, 31, 97)] + [(n, 17) for n in (1, 2, 5, 17)]:
        rows = rng.standard_normal((n + 10, dim)).astype(np.float32)
        train, queries = frozen(rows[:n]), frozen(rows[n:])
        build, search = quick(name, n, dim)
        index = REGISTRY[name].load()(Metric.EUCLIDEAN, **build)
        index.fit(train)
        k = min(K, n)
        ids = singles(index.searcher(**search), queries, k, n)
        assert (ids >= 0).mean() > 0.9, (n, dim)
        # One subspace of 16 words and one model of a line tell little; codes alone, what they can.
        assert dim < 3 or name in LEAST or recall(Metric.EUCLIDEAN, train, queries, ids) > 0.7, (n, dim)


def test_unreachable_nodes_are_left_out():
    """Where hnswlib reaches fewer than k nodes, it answers with those instead of an error."""
    if why := REGISTRY["hnswlib"].why_not():
        pytest.skip(why)
    train = frozen(np.repeat(data(Metric.EUCLIDEAN)[0][:2], 400, axis=0))
    index = REGISTRY["hnswlib"].load()(Metric.EUCLIDEAN, M=2, ef_construction=2)
    index.fit(train)
    found = (batch(index.searcher(ef=10), train[:1], 700, len(train)) >= 0).sum()
    assert 1 <= found < 700


@pytest.mark.parametrize("metric", list(Metric))
def test_null_answers_at_once(metric):
    """The floor's answer is the first k ids, padded, from an array that can't be written to."""
    index = REGISTRY["null"].load()(metric)
    index.fit(np.zeros((5, 3), np.float32))
    search = index.searcher()
    np.testing.assert_array_equal(as_neighbors(search(np.zeros((1, 3)), 3), 1, 3, 5), [[0, 1, 2]])
    np.testing.assert_array_equal(as_neighbors(search(np.zeros((2, 3)), 6), 2, 6, 5), [[0, 1, 2, 3, 4, -1]] * 2)
    assert search(np.zeros((1, 3)), 3) is search(np.zeros((1, 3)), 3)
    assert index.index_bytes() == 0


def test_normalised_rows_keep_zero_vectors():
    """Angular indexes take a row of zeros, which is as far as a right angle from everything."""
    if why := REGISTRY["faiss-flat"].why_not():
        pytest.skip(why)
    train = data(Metric.ANGULAR)[0].copy()
    train[3] = 0
    index = make("faiss-flat", Metric.ANGULAR, frozen(train))
    ids = batch(index.searcher(), frozen(normalise(train[:1])), len(train), len(train))
    assert 3 in ids


@pytest.mark.parametrize("name", ["sklearn-kd-tree", "sklearn-ball-tree"])
def test_scikit_learns_trees_count_distances_since_the_last_bind(name):
    """In two dimensions a tree looks at some rows, not all; binding starts the count anew."""
    index = REGISTRY[name].load()(Metric.EUCLIDEAN)
    rows = np.random.default_rng(0).random((2000, 2), dtype=np.float32)
    index.fit(rows)
    search = index.searcher()
    search(rows[:1], 1)
    once = index.counters()["distance_computations"]
    assert 1 <= once < 1000
    search(rows[:1], 1)
    assert index.counters()["distance_computations"] == 2 * once
    index.searcher()
    assert index.counters()["distance_computations"] == 0
