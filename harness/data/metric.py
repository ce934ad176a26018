"""Metrics (distances between vectors): their names, their exact values in float64, and normalisation.

A *metric* is a distance between two vectors; a figure such as recall is a *measure* (`harness.analyse.measures`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ConfigError, UnknownNameError

_ALIASES = {
    "l2": "euclidean",
    "cosine": "angular",
    "normalized": "angular",
    "dot": "ip",
    "dot_product": "ip",
    "inner_product": "ip",
    "mips": "ip",
}

# Rows normalised at once.
_GATHER_ROWS = 16_384
# Bytes of float64 gathered at once for the distances of pairs.
_GATHER_BYTES = 256 << 10


class Metric(StrEnum):
    """A distance: smaller is nearer.

    `euclidean` is not squared, `angular` is 1 - cos, `ip` is minus the dot product, `hamming` is the share of bits that
    differ and `jaccard` is 1 - |A and B| / |A or B|. `Metric("cosine")` and other common aliases are understood.
    """

    EUCLIDEAN = "euclidean"
    ANGULAR = "angular"
    IP = "ip"
    HAMMING = "hamming"
    JACCARD = "jaccard"

    @classmethod
    def _missing_(cls, value: object) -> Metric:
        name = str(value).lower()
        if name in _ALIASES:
            return cls(_ALIASES[name])
        if name in {m.value for m in cls}:
            return cls(name)
        raise UnknownNameError("metric", name, [m.value for m in cls] + list(_ALIASES))

    @property
    def is_dense(self) -> bool:
        """Whether vectors of this metric are rows of float32."""
        return self in (Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP)


def normalise(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Scale rows to unit length.

    `vectors` (n, dim) float; returns a new (n, dim) float32 array, C-contiguous. A row of zeros stays zeros. Norms are
    taken in float64, so that tiny and huge rows keep their direction.
    """
    rows = np.atleast_2d(vectors)
    out = np.empty(rows.shape, np.float32)
    for start in range(0, len(rows), _GATHER_ROWS):
        block = rows[start : start + _GATHER_ROWS].astype(np.float64)
        with np.errstate(over="ignore", under="ignore"):
            norm = np.sqrt(np.einsum("ij,ij->i", block, block))
        # Squares of float64 beyond 1e154 or below 1e-162 leave its range: such rows are scaled by their largest value.
        lost = np.flatnonzero((norm == 0.0) | np.isinf(norm))
        if lost.size:
            largest = np.abs(block[lost]).max(axis=1, initial=0.0)
            usable = (largest > 0.0) & np.isfinite(largest)
            lost, largest = lost[usable], largest[usable]
            block[lost] /= largest[:, None]
            norm[lost] = np.sqrt(np.einsum("ij,ij->i", block[lost], block[lost]))
        norm[norm == 0.0] = 1.0
        out[start : start + _GATHER_ROWS] = block / norm[:, None]
    return out


def pair_distances(
    metric: Metric, queries: Any, train: Any, query_rows: NDArray[np.integer[Any]], ids: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Compute exact distances of given pairs in float64.

    `query_rows` and `ids` are (p,) row numbers into `queries` and `train`; returns (p,) float64. For packed bits the
    share is over the stored bits: padding bits are equal on both sides, so callers with `dim` not a multiple of eight
    rescale (`Dataset.distances_to` does).
    """
    if metric is Metric.JACCARD:
        return _jaccard_pairs(queries, train, query_rows, ids)
    out = np.empty(len(ids), np.float64)
    # Blocks that stay in the cache: each is read several times over.
    step = max(16, _GATHER_BYTES // (8 * max(1, int(train.shape[1]))))
    for start in range(0, len(ids), step):
        part = slice(start, start + step)
        a, b = queries[query_rows[part]], train[ids[part]]
        if metric is Metric.HAMMING:
            out[part] = np.bitwise_count(np.bitwise_xor(a, b)).sum(axis=1, dtype=np.int64) / (8.0 * a.shape[1])
            continue
        a, b = a.astype(np.float64), b.astype(np.float64)
        if metric is Metric.EUCLIDEAN:
            np.subtract(a, b, out=a)
            out[part] = np.sqrt(np.einsum("ij,ij->i", a, a))
            continue
        dots = np.einsum("ij,ij->i", a, b)
        if metric is Metric.IP:
            out[part] = -dots
            continue
        # 1 - cos through the difference of unit vectors: |a/|a| - b/|b||^2 / 2 keeps its digits when cos is near 1.
        na = np.sqrt(np.einsum("ij,ij->i", a, a))
        nb = np.sqrt(np.einsum("ij,ij->i", b, b))
        null = (na == 0.0) | (nb == 0.0)
        na[na == 0.0] = 1.0
        nb[nb == 0.0] = 1.0
        a /= na[:, None]
        b /= nb[:, None]
        np.subtract(a, b, out=a)
        out[part] = np.where(null, 1.0, 0.5 * np.einsum("ij,ij->i", a, a))
    return out


def _jaccard_pairs(
    queries: Any, train: Any, query_rows: NDArray[np.integer[Any]], ids: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    out = np.empty(len(ids), np.float64)
    for i, (q, t) in enumerate(zip(query_rows, ids, strict=True)):
        a, b = queries.row(int(q)), train.row(int(t))
        both = np.intersect1d(a, b, assume_unique=True).size
        either = a.size + b.size - both
        out[i] = 1.0 - both / either if either else 1.0
    return out


def neighbour_distances(metric: Metric, queries: Any, train: Any, ids: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Compute exact float64 distances of returned neighbours.

    `ids` (m, k) row numbers into `train`, padded with -1; returns (m, k) float64 with inf where the id is -1.
    """
    out = np.full(ids.shape, np.inf)
    rows, columns = np.nonzero(ids >= 0)
    out[rows, columns] = pair_distances(metric, queries, train, rows, ids[rows, columns])
    return out


def pack_bits(bits: NDArray[Any]) -> NDArray[np.uint8]:
    """Pack a (n, dim) array of zeros and ones into (n, ceil(dim / 8)) uint8, the layout used under `hamming`.

    Raises ConfigError where a value is neither 0 nor 1.
    """
    array = np.asarray(bits)
    if array.dtype != np.bool_ and ((array != 0) & (array != 1)).any():
        raise ConfigError("hamming data must be bits: found a value other than 0 and 1; pass packed uint8 instead")
    return np.packbits(array.astype(np.bool_), axis=1)
