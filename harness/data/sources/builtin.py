"""Datasets that are always there, because an installed library brings them."""

from __future__ import annotations

import numpy as np

from harness.core.errors import SourceError
from harness.data.metric import Metric
from harness.data.sources.content import Content, split_rows

_DIGITS_QUERIES = 200


def from_builtin(name: str, *, licence: str) -> Content:
    """Load a dataset that scikit-learn contains; only `digits` is known."""
    if name != "digits":
        raise SourceError(f"nothing built in is called {name!r}")
    from sklearn.datasets import load_digits

    rows = load_digits().data.astype(np.float32)
    train, test = split_rows(len(rows), _DIGITS_QUERIES)
    return Content(
        Metric.EUCLIDEAN, rows[train], rows[test], rows.shape[1], source="builtin:scikit-learn digits", licence=licence
    )
