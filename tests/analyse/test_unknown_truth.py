"""Results whose true distances are not known: an import from another tool without its dataset."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.analyse.measures import MEASURES
from support import factory


@pytest.mark.parametrize("name", ["recall", "recall_annb", "eps0.01", "eps0.1", "recall_worst5"])
def test_recall_is_unknown_where_the_truth_is(name):
    """Without true distances every recall is nan, not 0."""
    result = factory.make_result()
    unknown = np.full(result.queries, np.nan)
    result = factory.with_arrays(result, kth_distance=unknown, kth_distance_file=unknown)
    assert math.isnan(MEASURES[name](result))
    assert MEASURES["qps"](result) > 0
