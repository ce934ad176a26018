"""Which examples stand in which batch: drawn by seed and epoch, alike in length, or balanced over labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ConfigError

Ids = NDArray[np.int64]
# Batches whose examples are sorted by length together: few enough that batches of an epoch differ from the next.
_SORTED_BATCHES = 16


def batches(sizes: Ids, batch: int, *, seed: int, epoch: int) -> list[Ids]:
    """Draw the batches of an epoch: every example once, but for an incomplete last batch.

    `sizes` (n,) are lengths; examples of like length share a batch, so that little is padded. The last batch is left
    out where it isn't whole, since losses over a batch depend on its size, unless it is the only one.
    """
    rng = np.random.default_rng((seed, 1, epoch))
    order = rng.permutation(len(sizes))
    whole = max(1, len(sizes) // batch)
    order = order[: whole * batch]
    parts: list[Ids] = []
    for start in range(0, len(order), batch * _SORTED_BATCHES):
        some = order[start : start + batch * _SORTED_BATCHES]
        some = some[np.argsort(sizes[some], kind="stable")]
        parts += [some[first : first + batch] for first in range(0, len(some), batch)]
    return [parts[number] for number in rng.permutation(len(parts))]


def labelled_batches(labels: Ids, batch: int, labels_a_batch: int, *, seed: int, epoch: int) -> list[Ids]:
    """Draw batches that hold equally many examples of `labels_a_batch` labels each (Hermans et al. 2017, P x K).

    A label with fewer examples gives some of them twice. Raises ConfigError where there are too few labels, or fewer
    than two examples of each would fit.
    """
    rng = np.random.default_rng((seed, 1, epoch))
    each = batch // labels_a_batch
    names, counts = np.unique(labels, return_counts=True)
    if each < 2 or len(names) < labels_a_batch:
        raise ConfigError(
            f"a batch of {batch} with {labels_a_batch} labels needs two examples of each or more, and so many labels: "
            f"there are {len(names)}"
        )
    members = {int(name): np.flatnonzero(labels == name) for name in names}
    found = []
    for _ in range(max(1, len(labels) // (each * labels_a_batch))):
        chosen = rng.choice(names, labels_a_batch, replace=False, p=counts / counts.sum())
        rows = [rng.choice(members[int(name)], each, replace=len(members[int(name)]) < each) for name in chosen]
        found.append(np.concatenate(rows))
    return found
