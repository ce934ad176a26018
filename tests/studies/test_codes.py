"""The studies of codes: bounds against closed forms, what codes lose, and differences query by query."""

from __future__ import annotations

import numpy as np
import pytest

from harness.studies import quantisation as codes
from harness.studies import rate_distortion as theory
from harness.studies import score_aware_loss as aware

# --- quantisation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0.0, 3.0, 40.0])
def test_water_filling_of_equal_variances_is_the_white_bound(bits):
    """Where all variances are alike, all directions are coded, and the bound is 2^(-2R/d)."""
    assert theory.water_filling(np.full(8, 2.5), bits) == pytest.approx(theory.white_bound(bits, 8))


@pytest.mark.parametrize("level", [0.05, 0.3, 1.0, 3.9])
def test_water_filling_is_its_definition(level):
    """With R = sum max(0, log2(v / t) / 2) bits the distortion is sum min(v, t), for any level t."""
    v = np.array([4.0, 2.0, 1.0, 1.0, 0.25, 0.0])
    bits = np.maximum(0, 0.5 * np.log2(np.maximum(v, 1e-300) / level)).sum()
    assert theory.water_filling(v, bits) == pytest.approx(np.minimum(v, level).sum() / v.sum())


def test_no_variance_is_no_distortion():
    """Rows that are all the same lose nothing."""
    assert theory.water_filling(np.zeros(3), 1.0) == 0.0


def test_spectrum_is_numpys():
    """The variances along principal components are the eigenvalues of NumPy's covariance."""
    rows = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32) + 7
    expected = np.linalg.eigvalsh(np.cov(rows.astype(float).T, bias=True))
    assert theory.spectrum(rows) == pytest.approx(expected, rel=1e-5)


def test_scalar_codes_of_a_gaussian_lose_what_uniform_steps_do():
    """Best uniform quantisers of a Gaussian lose 0.3634, 0.1188 and 0.01154 of its variance (Max 1960, table II)."""
    rng = np.random.default_rng(0)
    rows, unseen = (rng.standard_normal((5000, 3)) * [1, 5, 0.2] + 9).astype(np.float32).reshape(2, 2500, 3)
    for bits, expected in ((1, 0.3634), (2, 0.1188), (4, 0.01154)):
        decoded, new = theory.scalar_codes(rows, unseen, bits)
        assert np.square(rows - decoded).sum() / rows.var(axis=0).sum() / 2500 == pytest.approx(expected, rel=0.1)
        assert np.square(unseen - new).sum() / rows.var(axis=0).sum() / 2500 == pytest.approx(expected, rel=0.15)
        assert all(len(np.unique(column)) <= 2**bits for column in decoded.T)


@pytest.mark.parametrize("dataset", ["synthetic-clusters-1500-8-euclidean", "synthetic-clusters-1500-8-angular"])
def test_more_bits_lose_less(tiny, dataset):
    """Distortion falls and recall rises with bits; OPQ loses no more than PQ, but for chance; the bounds fall."""
    table = tiny.run("quantisation", datasets=[dataset], queries=60).table
    coded = table[table["method"] != codes.GAUSSIAN]
    assert len(coded) == 2 + 5 * 2
    for _, rows in coded.groupby("method"):
        for _, line in rows.groupby("code_bits") if rows["method"].iloc[0] != codes.SCALAR else [(0, rows)]:
            falling = line.sort_values("bits")
            assert (falling["distortion"].diff().dropna() < 0).all()
            assert (falling["recall_10"].diff().dropna() > 0).all()
    lost = coded.set_index(["method", "code_bits", "block"])["distortion_trained"]
    for bits in codes.BITS:
        for block in (bits // 4, bits // 2):
            assert lost[codes.ROTATED, bits, block] <= 1.02 * lost[codes.PRODUCT, bits, block]
    bound = table[table["method"] == codes.GAUSSIAN].sort_values("bits")
    assert (bound["gaussian"].diff().dropna() < 0).all()
    assert (bound["gaussian"] <= bound["white"] + 1e-9).all()


def test_codes_are_explained_with_their_numbers(tiny):
    """The finding and the table quote the rows, and the picture has a line for each kind beside the bound."""
    outcome = tiny.read("quantisation")
    said = outcome.explain()
    scalar = outcome.table[outcome.table["method"] == codes.SCALAR].iloc[-1]
    assert said.tables[0].rows[1][3] == f"{100 * scalar['distortion']:.3g}%"
    assert "bits a dimension" in said.finding
    assert "score-aware loss has" in " ".join(said.sentences)
    assert len(said.picture.panels) == 2
    assert [line.name for line in said.picture.panels[1].lines] == [
        *("scalar", "PQ, 4 bits", "OPQ, 4 bits", "PQ, 8 bits", "OPQ, 8 bits", "anisotropic"),
    ]
    assert said.picture.panels[0].lines[0].kind == "curve"


def test_scalar_codes_need_no_index(tiny):
    """Where no index is there, scalar codes stand beside the bound all the same."""
    outcome = tiny.run("quantisation", product="no-such", aware="nor-this", scalar_bits=[2], k=[1])
    assert set(outcome.table["method"]) == {codes.GAUSSIAN, codes.SCALAR}
    said = outcome.explain()
    assert "(scalar)" in said.finding
    assert not any("OPQ" in text for text in said.sentences)


# --- score-aware loss ------------------------------------------------------------------------------------------------


def test_the_score_aware_loss_finds_more(tiny):
    """At equal bits, on unit vectors near a plane, the nearest is found first more often; sides are paired."""
    table = tiny.run("score-aware-loss", queries=300).table
    losses = table[table["part"] == aware.LOSS]
    assert sorted(losses["leaves"]) == [1, 1, 20, 20]
    flat = losses[losses["leaves"] == 1].set_index("threshold")
    assert flat.loc[0.4, "1@1"] > flat["1@1"].iloc[0]
    for m in aware.MEASURES:
        assert (losses[f"{m} low"] <= losses[m]).all()
        assert (losses[m] <= losses[f"{m} high"]).all()
        assert flat.loc[0.4, f"gain {m}"] == pytest.approx(flat.loc[0.4, m] - flat[m].iloc[0])
        assert (losses[losses["threshold"].isna()][f"gain {m}"] == 0).all()
    assert (losses["1@10"] >= losses["1@1"]).all()


def test_what_leaves_meet_grows_with_what_is_scanned(tiny):
    """More leaves meet more; with second leaves about twice as many vectors are scanned for as many leaves."""
    table = tiny.read("score-aware-loss").table
    spills = table[table["part"] == aware.SPILL]
    for _, side in spills.groupby("spill"):
        assert (side["met"].diff().dropna() > 0).all()
        assert (side["scanned"].diff().dropna() > 0).all()
    single, double = (spills[spills["spill"] == spill].set_index("probes") for spill in (False, True))
    assert (double["scanned"] / single["scanned"]).between(1.5, 2.5).all()
    assert single["gain met"].isna().all()
    assert double.loc[1, "gain met"] == pytest.approx(0, abs=0.2)


def test_cost_lies_between_what_was_measured():
    """Halfway in logarithms the shares are halfway; beyond what was measured there are none."""
    measured = [(400.0, np.array([1.0, 0.5])), (100.0, np.array([0.0, 0.5]))]
    assert aware.at_cost(measured, 200.0) == pytest.approx([0.5, 0.5])
    assert aware.at_cost(measured, 100.0) == pytest.approx([0.0, 0.5])
    assert aware.at_cost(measured, 99.0) is None
    assert aware.at_cost(measured, 401.0) is None


def test_losses_are_explained_with_their_numbers(tiny):
    """Sentences and tables quote the rows; the sides of both comparisons are drawn."""
    outcome = tiny.run("score-aware-loss", thresholds=[0.4, 0.3])
    said = outcome.explain()
    row = outcome.table[outcome.table["threshold"] == 0.4].iloc[0]
    assert f"{row['1@1']:.3f} against" in said.sentences[0]
    assert said.tables[0].rows[1][4].startswith(f"{row['1@1']:.3f} (")
    assert "best 1@1" in said.sentences[1]
    assert len(said.picture.panels) == 4
    assert len({panel.y.title for panel in said.picture.panels}) == len(said.picture.panels)
    assert [line.name for line in said.picture.panels[1].lines] == ["64 bits, flat", "64 bits, leaves"]


@pytest.mark.parametrize(("gain", "expected"), [(0.1, "raises"), (-0.1, "lowers"), (0.0, "no sure difference")])
def test_the_finding_is_no_more_than_sure(tiny, gain, expected):
    """The finding names a direction where the interval of the difference has one."""
    study = aware.ScoreAwareLoss()
    table = tiny.read("score-aware-loss").table
    table = table.assign(**{"gain 1@1": gain, "gain 1@1 low": gain - 0.05, "gain 1@1 high": gain + 0.05})
    assert expected in study.explain(table, aware.Settings(thresholds=(0.4,))).finding


@pytest.mark.parametrize("part", [aware.LOSS, aware.SPILL])
def test_one_comparison_is_explained_alone(tiny, part):
    """Either half of the rows gives a finding and a picture."""
    table = tiny.read("score-aware-loss").table
    said = aware.ScoreAwareLoss().explain(table[table["part"] == part], aware.Settings(thresholds=(0.4,)))
    assert said.finding
    assert len(said.picture.panels) == 2
