"""Range search: what `harness.engines.abilities.Ranges` says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.engines.conformance.subject import LEAST_RECALL, QUERIES, K, Trial, true_distances
from harness.engines.contract import Ranges
from harness.engines.ranges import as_ranges

# Distances of codes may call a row near that lies beyond the radius; most rows must lie within.
_LEAST_PRECISION = 0.5


def ranges(trial: Trial) -> Iterator[str]:
    """A range search returns most rows within the radius, few beyond it, and none where there are none."""
    index = trial.index
    if not isinstance(index, Ranges):
        return
    distances = true_distances(trial.subject.metric, trial.queries, trial.train)
    radius = float(np.median(np.sort(distances, axis=1)[:, K - 1]))
    search = index.range_searcher(**trial.settings[-1])
    together = as_ranges(search(trial.queries, radius), QUERIES, trial.n)
    singly = [as_ranges(search(trial.queries[i : i + 1], radius), 1, trial.n)[1] for i in range(QUERIES)]
    found = np.zeros(distances.shape, np.bool_)
    found[np.repeat(np.arange(QUERIES), np.diff(together[0])), together[1]] = True
    within = distances <= radius
    recall = float((found & within).sum() / within.sum())
    if recall < LEAST_RECALL:
        yield f"of {int(within.sum())} rows within the radius it finds {recall:.0%}"
    if found.any() and (found & within).sum() < _LEAST_PRECISION * found.sum():
        yield f"of {int(found.sum())} rows that it returns only {int((found & within).sum())} lie within the radius"
    counts = np.diff(together[0])
    unlike = [i for i in range(QUERIES) if abs(len(singly[i]) - counts[i]) > max(2, 0.2 * counts[i])]
    if unlike:
        i = unlike[0]
        yield f"query {i} finds {counts[i]} rows in a batch, and {len(singly[i])} alone"
    nearest = float(distances.min())
    nowhere = nearest - abs(nearest) / 2 - 1e-3
    indptr, _ = as_ranges(search(trial.queries, nowhere), QUERIES, trial.n)
    if indptr[-1]:
        yield f"within {nowhere:.4g}, where there is no row, it returns {indptr[-1]}"
