"""Files that earlier versions wrote: results, failures and baselines are read as what they were, for ever.

`written/<month>/` holds files as annbench wrote them then, and `expected.json` the table that it made of them. They are
never written anew: a change that can't read them is wrong.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from harness.analyse.table import tidy
from harness.compare.stored import read_baseline
from harness.store.results import ResultStore

WRITTEN = sorted((Path(__file__).parent / "written").iterdir())
# Intervals come from redrawn passes and queries, whose sums may differ by processor in the last digits.
REDRAWN = {"qps_low", "qps_high", "recall_low", "recall_high"}


@pytest.fixture(params=WRITTEN, ids=lambda folder: folder.name)
def written(request: pytest.FixtureRequest) -> Path:
    """Return the folder of one month."""
    return Path(request.param)


def test_every_figure_of_a_stored_result_is_what_it_was(written: Path) -> None:
    """The table of stored results and failures has every figure that the version that wrote them gave."""
    store = ResultStore(written / "results")
    rows = tidy(store.results(), store.failures()).to_dict("records")
    expected = json.loads((written / "expected.json").read_text(encoding="utf-8"))
    assert len(rows) == len(expected)
    for row, was in zip(rows, expected, strict=True):
        for name, value in was.items():
            assert _same(row[name], value, 1e-6 if name in REDRAWN else 1e-12), (row["path"], name)


@pytest.mark.parametrize("name", ["base.json", "base-batch.json"])
def test_a_baseline_of_before_is_read(written: Path, name: str) -> None:
    """A baseline file keeps its terms, its settings and the speed of each pass."""
    baseline = read_baseline(written / name)
    assert baseline.terms.dataset == "digits-64-euclidean"
    assert baseline.terms.mode == ("batch" if "batch" in name else "single")
    assert [setting.search for setting in baseline.settings] == [{"ef": 10}, {"ef": 40}]
    assert all(setting.recall > 0.9 and min(setting.qps) > 1000 for setting in baseline.settings)


def _same(value: Any, was: Any, slack: float) -> bool:
    if was is None:
        return isinstance(value, float) and math.isnan(value)
    return value == pytest.approx(was, rel=slack) if isinstance(was, float) else value == was
