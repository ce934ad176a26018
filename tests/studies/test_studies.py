"""Each study at a tiny size: its rows against NumPy's, its formulas against integrals and brute-force counts."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from harness.data.metric import Metric
from harness.studies import curse_of_dimensionality as curse
from harness.studies import lsh_collisions as lsh
from harness.studies import small_world as world
from harness.studies.catalogue import study_names
from harness.studies.lab import Sample

# --- all of them -----------------------------------------------------------------------------------------------------


TRAINS = {"contrastive-training"}  # takes a minute and more


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in TRAINS)) for name in study_names()]
)
def test_what_is_counted_does_not_change(tiny, name):
    """A second measurement of the same study gives the same rows, all but the times."""
    timed = ["qps", "speedup", "speedup_low", "speedup_high", "minutes"]
    first = tiny.read(name).table.drop(columns=timed, errors="ignore")
    again = tiny.run(name).table.drop(columns=timed, errors="ignore")
    assert first.equals(again)
    assert len(first)


# --- curse of dimensionality -----------------------------------------------------------------------------------------


def test_the_scan_is_as_fast_as_itself_and_visits_all(tiny):
    """The scan's speed-up is 1 in every round; a tree's share is what it counted, and grows with the dimension."""
    table = tiny.read("curse-of-dimensionality").table
    scan = table[table["algorithm"] == curse.SCAN]
    assert (scan[["speedup", "speedup_low", "speedup_high", "visited"]] == 1.0).all(axis=None)
    assert len(table) == 3 * 4
    tree = table[(table["algorithm"] == "stand-in-tree") & (table["data"] == curse.UNIFORM)].sort_values("ambient")
    assert 0 < tree["visited"].iloc[0] < tree["visited"].iloc[1] <= 1
    assert (table["speedup_low"] <= table["speedup"]).all()
    assert (table["speedup"] <= table["speedup_high"]).all()


def test_the_curse_is_explained_with_its_numbers(tiny):
    """Sentences and tables quote the rows; the picture has a line for each tree and a mark for the scan."""
    outcome = tiny.read("curse-of-dimensionality")
    said = outcome.explain()
    rows = outcome.table.set_index(["data", "ambient", "algorithm"]).sort_index()
    seen = float(rows.loc[(curse.UNIFORM, 8, "stand-in-tree"), "visited"])
    uniform = said.tables[0]
    assert [row[0] for row in uniform.rows] == ["2", "8"]
    assert uniform.rows[1][list(uniform.header).index("visits")] == f"{100 * seen:.3g}%"
    assert "Among 300 uniform points" in said.sentences[0]
    assert [line.name for line in said.picture.panels[1].lines] == ["sklearn-kd-tree", "stand-in-tree"]
    assert said.picture.panels[0].level[0] == 1.0


def test_the_curse_is_explained_with_whatever_was_measured(tiny):
    """One dimension of each kind, and a tree that visits all points, still give a finding and a picture."""
    said = tiny.run("curse-of-dimensionality", ambient=[64], intrinsic=[16], algorithms=["sklearn-kd-tree"]).explain()
    assert "dimension" in said.finding
    assert not any("correlation" in text for text in said.sentences)
    assert len(said.picture.panels) == 4
    assert len({panel.y.title for panel in said.picture.panels}) == len(said.picture.panels)


def test_a_tree_that_visits_all_points_does_not_pay(tiny):
    """A tree that prunes nothing owes its speed to another layout, and the finding doesn't call that paying."""
    outcome = tiny.read("curse-of-dimensionality")
    tree = outcome.table["algorithm"] != curse.SCAN
    for visited, expected in ((1.0, "In no dimension"), (0.1, "beats a scan in all dimensions")):
        table = outcome.table.assign(
            visited=outcome.table["visited"].mask(tree, visited), speedup=outcome.table["speedup"].mask(tree, 1.5)
        )
        said = dataclasses.replace(outcome, table=table).explain()
        assert expected in said.finding
        assert any("another way" in text for text in said.sentences) == (visited == 1.0)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_intrinsic_dimension_is_that_of_a_plane(dimension):
    """Points on a plane in 20 dimensions are estimated to fill as many dimensions as the plane has."""
    rng = np.random.default_rng(dimension)
    flat = rng.random((4200, dimension)) @ rng.standard_normal((dimension, 20))
    rows = flat.astype(np.float32)
    found = curse.intrinsic_dimension(Sample("plane", Metric.EUCLIDEAN, rows[200:], rows[:200]))
    assert found == pytest.approx(dimension, rel=0.15)


def test_intrinsic_dimension_of_nothing_is_not_known():
    """Copies of one point have no dimension."""
    rows = np.ones((50, 3), np.float32)
    assert math.isnan(curse.intrinsic_dimension(Sample("point", Metric.EUCLIDEAN, rows, rows[:5])))


@pytest.mark.parametrize(
    ("speedups", "expected"),
    [
        ([100, 10, 0.1, 0.01], 2**2.5),  # half-way, in logarithms, from 4 to 8
        ([0.5, 0.4, 0.2, 0.1], 0.0),
        ([9, 8, 7, 6], math.inf),
        ([0.5, 4, 0.25, 0.1], 2**2.5),  # the last crossing counts
    ],
)
def test_crossing(speedups, expected):
    """The crossing is found between points, whatever their order."""
    x = [2, 4, 8, 16]
    assert curse.crossing(x, speedups) == pytest.approx(expected)
    assert curse.crossing(x[::-1], speedups[::-1]) == pytest.approx(expected)


# --- LSH -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.05, 0.5, 1.0, 4.0])
def test_p_stable_probability_is_its_integral(ratio):
    """Datar et al. define the probability as an integral over the density of |a.(x - y)|; the closed form equals it."""

    def density(t):
        return 2 * stats.norm.pdf(t / ratio) / ratio * (1 - t)

    expected, _ = integrate.quad(density, 0, 1, points=[min(ratio, 1)])
    assert lsh.p_stable_probability(ratio) == pytest.approx(expected, abs=1e-8)


def test_probabilities_at_their_ends():
    """Equal points collide always, opposite ones never, and distant ones hardly."""
    assert lsh.p_stable_probability(0.0) == pytest.approx(1.0)
    assert lsh.p_stable_probability(1e6) == pytest.approx(0.0, abs=1e-6)
    assert [lsh.hyperplane_probability(a) for a in (0.0, math.pi / 2, math.pi)] == [1.0, 0.5, 0.0]
    assert lsh.found_by_tables(np.array([0.0, 0.5, 1.0]), 2, 2).tolist() == [0.0, 1 - 0.75**2, 1.0]


@given(st.integers(1, 400), st.data())
@settings(max_examples=50, deadline=None)
def test_binomial_interval_is_scipys(trials, data):
    """The interval is that of `scipy.stats.binomtest`, at both ends too."""
    hits = data.draw(st.integers(0, trials))
    expected = stats.binomtest(hits, trials).proportion_ci(0.95, method="exact")
    assert lsh.binomial_interval(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_collisions_are_counted_as_theory_says(tiny):
    """Measured probabilities agree with theory: by chance, of eight 99.99% intervals none misses it."""
    table = tiny.run("lsh-collisions", trials=4000).table
    hashed = table[table["part"] != lsh.SEARCH]
    assert len(hashed) == 8
    for row in hashed.to_dict("records"):
        hits = round(row["measured"] * row["trials"])
        low, high = lsh.binomial_interval(hits, int(row["trials"]), 0.9999)
        assert low <= row["theory"] <= high
        assert row["low"] <= row["measured"] <= row["high"]


def test_certain_collisions_are_certain():
    """A pair at no angle, or no distance, always collides; an opposite pair never does."""
    rng = np.random.default_rng(0)
    assert lsh.collide_hyperplanes(rng, 0.0, 3, 50, 2) == 50
    assert lsh.collide_hyperplanes(rng, math.pi, 1, 50, 7) == 0
    assert lsh.collide_p_stable(rng, 0.0, 3, 50, 2) == 50


@pytest.mark.parametrize("dataset", ["synthetic-clusters-2000-8-euclidean", "synthetic-clusters-2000-8-angular"])
def test_recall_of_one_probe_is_foretold(tiny, dataset):
    """The recall of an index that hashes as theory assumes is the mean of 1 - (1 - p^k)^L over its true neighbours."""
    outcome = tiny.run("lsh-collisions", datasets=[dataset], k=10, n_tables=[1, 8, 32])
    searched = outcome.table[outcome.table["part"] == lsh.SEARCH]
    single = searched[searched["probes"] == 1]
    assert (single["recall"] - single["predicted"]).abs().max() < 0.08  # the hash functions are one draw of few
    assert searched[searched["probes"] > 1]["predicted"].isna().all()
    many = searched.set_index(["n_tables", "probes"])
    assert many.loc[(32, 4), "recall"] > many.loc[(32, 1), "recall"] > many.loc[(1, 1), "recall"]
    assert (searched["scored"] <= 1).all()
    assert dataset in " ".join(outcome.explain().sentences)


def test_a_broken_hash_is_found_out(tiny, monkeypatch):
    """Where theory and measurement differ, the finding says so."""
    monkeypatch.setattr(lsh, "hyperplane_probability", lambda angle: 0.5 * (1 - angle / math.pi))
    assert tiny.run("lsh-collisions").explain().finding.startswith("Hashes collide otherwise than theory says")


def test_probes_without_a_theory(tiny):
    """Where no index was asked with one probe, nothing is foretold, and the rest is told all the same."""
    said = tiny.run("lsh-collisions", probes=[2, 4]).explain()
    assert "2 probes each find" in said.sentences[1]
    assert "foretells" not in said.sentences[1]


def test_theory_needs_no_index(tiny):
    """Where the index isn't there, the collisions are measured all the same."""
    outcome = tiny.run("lsh-collisions", algorithm="no-such")
    assert set(outcome.table["part"]) == {lsh.HYPERPLANES, lsh.P_STABLE}
    assert len(outcome.explain().picture.panels) == 2


# --- small world -----------------------------------------------------------------------------------------------------


def brute_clustering(n, links):
    """Count the linked pairs among each node's neighbours, one by one; links go both ways."""
    known = {frozenset(link) for link in links if link[0] != link[1]}
    out = []
    for node in range(n):
        near = [other for other in range(n) if frozenset((node, other)) in known and other != node]
        pairs = list(itertools.combinations(near, 2))
        out.append(sum(frozenset(pair) in known for pair in pairs) / len(pairs) if pairs else 0.0)
    return float(np.mean(out))


def as_csr(n, links):
    """Return (indptr, indices) of a set of directed links."""
    ordered = sorted(links)
    counts = np.bincount([a for a, _ in ordered], minlength=n)
    return np.concatenate([[0], np.cumsum(counts)]), np.array([b for _, b in ordered], np.int32)


@given(st.integers(1, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_clustering_is_the_brute_force_count(n, data):
    """The clustering coefficient of any graph, with loops and one-way links, is that of counting pairs."""
    node = st.integers(0, n - 1)
    links = data.draw(st.sets(st.tuples(node, node), max_size=30))
    shape = world.describe_graph(*as_csr(n, links), rng=np.random.default_rng(0))
    assert shape.clustering == pytest.approx(brute_clustering(n, links))
    assert shape.degree == pytest.approx(len(links) / n)


def test_blocks_make_no_difference(monkeypatch):
    """Triangles are the same counted in blocks of few rows."""
    rng = np.random.default_rng(3)
    links = {(int(a), int(b)) for a, b in rng.integers(0, 30, (200, 2))}
    whole = world.describe_graph(*as_csr(30, links), rng=rng)
    monkeypatch.setattr(world, "_ROWS_AT_ONCE", 7)
    parts = world.describe_graph(*as_csr(30, links), rng=rng)
    assert whole.clustering == pytest.approx(parts.clustering)


def test_a_ring_and_a_clique():
    """A one-way ring of n has paths of n / 2 on average and no triangle; a clique has nothing else."""
    ring = {(i, (i + 1) % 10) for i in range(10)}
    shape = world.describe_graph(*as_csr(10, ring), rng=np.random.default_rng(0))
    assert (shape.degree, shape.highest_in_degree, shape.clustering, shape.path_length, shape.reached) == (
        1,
        1,
        0,
        5,
        1,
    )
    clique = {(a, b) for a in range(6) for b in range(6) if a != b}
    shape = world.describe_graph(*as_csr(6, clique), rng=np.random.default_rng(0))
    assert (shape.clustering, shape.random_clustering, shape.path_length) == (1.0, 1.0, 1.0)


def test_nodes_out_of_reach_are_told():
    """Two parts without a link between them: half of the others can be reached, or none."""
    shape = world.describe_graph(*as_csr(4, {(0, 1), (1, 0), (2, 3), (3, 2)}), rng=np.random.default_rng(0))
    assert shape.reached == pytest.approx(1 / 3)
    assert math.isnan(world.describe_graph(*as_csr(3, set()), rng=np.random.default_rng(0)).path_length)


def test_growth_is_recognised():
    """A logarithm and a power are each found again, with their numbers, and told apart."""
    n = np.array([1e3, 2e3, 4e3, 8e3, 16e3, 64e3])
    log = world.growth(n, 3 + 2.5 * np.log2(n))
    assert (log.base, log.per_doubling, log.log_left) == pytest.approx((3, 2.5, 0), abs=1e-9)
    assert log.verdict == "like log n"
    power = world.growth(n, 0.5 * n**0.7)
    assert (power.factor, power.exponent, power.power_left) == pytest.approx((0.5, 0.7, 0), abs=1e-9)
    assert power.verdict == "like n^0.70, faster than log n"
    rng = np.random.default_rng(0)
    assert "can't tell" in world.growth(n, 20 + rng.standard_normal(6)).verdict


def test_hops_are_counted_with_and_without_upper_layers(tiny):
    """Each size has a row for either way; sizes beyond the data are left out, and the table tells what was counted."""
    outcome = tiny.read("small-world")
    table = outcome.table
    assert sorted(set(table["n"])) == [50, 100, 200]
    assert table.groupby("upper_layers").size().tolist() == [3, 3]
    assert (table["distance_computations"] > table["hops"]).all()
    assert table["recall"].between(0.3, 1).all()
    said = outcome.explain()
    assert len(said.tables[0].rows) == 6
    assert any("each doubling of n adds" in text for text in said.sentences)
    assert len(said.picture.panels) == 3
    assert len({panel.y.title for panel in said.picture.panels}) == len(said.picture.panels)
