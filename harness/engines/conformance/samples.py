"""Small sets of vectors in the form of each metric, and a checksum that shows whether somebody wrote to them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from harness.data.metric import Metric, pack_bits
from harness.engines.contract import Sets

DIM = 16


def sample(metric: Metric, n: int, seed: int) -> Any:
    """Draw `n` vectors in clusters, read-only, in the form of the metric."""
    rng = np.random.default_rng(seed)
    if metric is Metric.JACCARD:
        return Sets.of([rng.choice(40, rng.integers(3, 15), replace=False) for _ in range(n)])
    centres = np.random.default_rng(0).standard_normal((12, DIM)) * 2
    rows = centres[rng.integers(0, len(centres), n)] + rng.standard_normal((n, DIM))
    found: Any = pack_bits(rows > 0) if metric is Metric.HAMMING else rows.astype(np.float32)
    found.flags.writeable = False
    return found


def twice(data: Any) -> Any:
    """Return every vector two times, copies after the originals."""
    return data[np.concatenate([np.arange(len(data))] * 2)]


def repeat(data: Any, times: int) -> Any:
    """Return the first vector `times` times."""
    return data[np.zeros(times, np.int64)]


def join(first: Any, second: Any) -> Any:
    """Return the vectors of both, one after the other."""
    if isinstance(first, Sets):
        return Sets.of([*first, *second])
    return np.concatenate([first, second])


def fingerprint(data: Any) -> int:
    """Return a checksum of vectors, to see whether somebody wrote to them."""
    if isinstance(data, Sets):
        return zlib.crc32(data.indices.tobytes(), zlib.crc32(data.indptr.tobytes()))
    return zlib.crc32(np.ascontiguousarray(data).data)
