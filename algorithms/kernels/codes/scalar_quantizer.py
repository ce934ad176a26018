"""Scalar quantisation: float32 rows in one byte a dimension, after a rotation to fewer dimensions where that serves.

One step serves all dimensions, so that the squared distance between two rows of codes is an integer and, times the
square of the step, that between the vectors. `algorithms.kernels.codes.rows` says how a row lies in memory, and
computes the distances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.rows import Encoder
from algorithms.kernels.saved import Facts, check_array
from algorithms.kernels.simd.aligned import CACHE_LINE, aligned_zeros
from harness.core.errors import ParameterError

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]

# Beyond, a distance could leave int32.
_MAX_DIMENSIONS = 30_000
# Rows that the step, the rotation and the number of components are found on.
_SAMPLE = 10_000
_SAMPLE_QUERIES = 200
_NEIGHBOURS = 10
# Rows of the sample that the step is chosen on.
_SCALE_ROWS = 1_000
# Rows encoded at once.
_BLOCK = 16_384
# The step is 1/127 of the magnitude that this share of all values keeps within: what exceeds it is cut off.
_QUANTILES = (1.0, 0.9999, 0.9995, 0.999, 0.998, 0.995, 0.99)


class Loss(NamedTuple):
    """What codes may lose: of 10 nearest neighbours, this share must be among `factor` times as many by codes.

    Unless told otherwise nearly all: at the same effort, searches over codes then find what searches over the rows do.
    """

    factor: int = 2
    share: float = 0.9995


DEFAULT_LOSS = Loss()


@dataclass(frozen=True, eq=False)
class ScalarQuantizer:
    """Turns vectors x into the integers nearest to scale * basis (x - mean), cut off at -128 and 127.

    `mean` (dim,) float32; `basis` (p, dim) float32, orthonormal rows, or (0, dim) where vectors aren't rotated;
    `scale` is one over the step; `exact` says that the vectors were whole numbers that the codes hold without loss;
    `inner` that the codes are for inner products, where the mean must be 0.
    """

    mean: Floats
    basis: Floats
    scale: float
    exact: bool
    inner: bool

    @property
    def dim(self) -> int:
        """The number of codes a vector."""
        return len(self.basis) or len(self.mean)

    def facts(self) -> dict[str, Any]:
        """Return what a file's header says of it; `arrays` has the rest."""
        return {"dim": self.dim, "scale": float(self.scale), "exact": bool(self.exact), "inner": bool(self.inner)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the mean and the basis."""
        return {"mean": self.mean, "basis": self.basis}

    @classmethod
    def restore(cls, facts: Facts, arrays: Mapping[str, NDArray[Any]]) -> ScalarQuantizer:
        """Make what `facts` and `arrays` describe; raises ValueError or KeyError where they don't fit."""
        mean, basis, scale = arrays["mean"], arrays["basis"], facts.number("scale")
        check_array("mean", mean, np.float32, (len(mean),))
        check_array("basis", basis, np.float32, (len(basis), len(mean)))
        quantizer = cls(mean, basis, scale, exact=facts.flag("exact"), inner=facts.flag("inner"))
        if not (0.0 < scale < np.inf and len(mean) <= _MAX_DIMENSIONS and quantizer.dim == facts.integer("dim")):
            raise ValueError(f"a scale of {scale} for {quantizer.dim} codes of {len(mean)} dimensions can't be")
        return quantizer

    @cached_property
    def coded_basis(self) -> tuple[Codes, Floats]:
        """The basis in codes, (p, stride) uint8, and the scale of each row: products of bytes rotate queries."""
        p, dim = self.basis.shape
        codes = allocate_codes(p, code_stride(dim))
        scales = np.float32(127.0) / np.abs(self.basis).max(axis=1, initial=1e-30)
        codes[:] = 128
        codes[:, :dim] = (np.rint(self.basis * scales[:, None]) + 128.0).astype(np.uint8)
        codes[:, -4:] = 0
        return codes, scales.astype(np.float32)

    def encode(self, rows: Floats, *, packed: bool = False) -> Codes:
        """Encode `rows` (n, dim) as (n, stride) uint8; `packed` ones don't begin at cache lines, and are smaller."""
        codes = allocate_codes(len(rows), code_stride(self.dim, packed=packed))
        self.encode_into(codes, rows)
        return codes

    def encode_into(self, codes: Codes, rows: Floats) -> None:
        """Encode `rows` (n, dim) into `codes` (n, stride), which `allocate_codes` made."""
        for start in range(0, len(rows), _BLOCK):
            out = codes[start : start + _BLOCK]
            whole, rest = self._quantize(rows[start : start + _BLOCK])
            out[:] = 128
            out[:, : self.dim] = (whole + 128).astype(np.uint8)
            # What the rotation leaves out of a vector still counts in its norm.
            norms = np.einsum("ij,ij->i", whole, whole, dtype=np.float64) + rest
            norms = np.minimum(norms, np.iinfo(np.int32).max // 4).astype(np.int32)
            out[:, -4:] = 0 if self.inner else norms[:, None].view(np.uint8)

    def _quantize(self, rows: Floats) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
        """Return the integers (n, p), and the squared length of what the rotation leaves out, in code units."""
        centred = rows - self.mean
        kept = centred @ self.basis.T if len(self.basis) else centred
        whole = np.clip(np.rint(kept * np.float32(self.scale)), -128, 127).astype(np.int16)
        rest = np.zeros(len(rows))
        if len(self.basis):
            rest += np.einsum("ij,ij->i", centred, centred, dtype=np.float64)
            rest -= np.einsum("ij,ij->i", kept, kept, dtype=np.float64)
            np.maximum(rest, 0.0, out=rest)
            rest *= self.scale**2
        return whole, rest


def code_stride(dim: int, *, packed: bool = False) -> int:
    """Return the bytes a row of `dim` codes with its norm: whole cache lines, or the next multiple of four."""
    unit = 4 if packed else CACHE_LINE
    return -(-(dim + 4) // unit) * unit


def query_width(stride: int) -> int:
    """Return the length of a query's codes: the next multiple of 64 from the stride on."""
    return -(-stride // CACHE_LINE) * CACHE_LINE


def make_encoder(quantizer: ScalarQuantizer | None, dim: int, width: int) -> Encoder:
    """Return what codes queries of `dim` dimensions for kernels, in `width` codes; an empty one without a quantiser."""
    none = np.empty(0, np.float32)
    mean, basis, scales = none, np.empty((0, 0), np.uint8), none
    if quantizer is not None:
        mean, (basis, scales) = quantizer.mean, quantizer.coded_basis
    return Encoder(
        mean=mean,
        basis=basis,
        basis_scales=scales,
        centred=np.empty(dim, np.float32),
        whole=np.zeros(query_width(basis.shape[1]), np.int8),
        rotated=np.empty(len(basis), np.float32),
        codes=np.zeros(width, np.int8),
    )


def allocate_codes(n: int, stride: int) -> Codes:
    """Return (n, stride) uint8 that begins at a cache line, with one behind it that kernels may read."""
    return aligned_zeros(n, stride, np.uint8)


def train_quantizer(
    rows: Floats, n_components: int | str | None, *, inner: bool, loss: Loss = DEFAULT_LOSS
) -> ScalarQuantizer:
    """Fit a quantiser to `rows` (n, dim), for inner products or for squared euclidean distances.

    `n_components` is the number of principal components to keep, None for no rotation, or "auto": the fewest cache
    lines of components that lose no more than `loss` of the nearest neighbours of a sample, and no rotation where that
    saves none. Raises ParameterError where there are too many dimensions for integer distances.
    """
    dim = rows.shape[1]
    if dim > _MAX_DIMENSIONS:
        raise ParameterError(f"storage sq8 holds at most {_MAX_DIMENSIONS} dimensions, not {dim}; use storage float32")
    sample = sample_rows(rows)
    if n_components is None or len(sample) == 0 or (isinstance(n_components, int) and n_components >= dim):
        return _plain(rows, sample, inner=inner)
    lines = code_stride(dim) // CACHE_LINE
    if isinstance(n_components, int):
        return rotated_quantizer(sample, _principal(sample, inner=inner)[:n_components], inner=inner)
    if lines > 1 and len(sample) > 2 * _NEIGHBOURS:
        basis = _principal(sample, inner=inner)
        for fewer in range(1, lines):
            candidate = rotated_quantizer(sample, basis[: fewer * CACHE_LINE - 4], inner=inner)
            if neighbours_kept(candidate, sample, loss.factor) >= loss.share:
                return candidate
    return _plain(rows, sample, inner=inner)


def neighbours_kept(quantizer: ScalarQuantizer, sample: Floats, factor: int = 2) -> float:
    """Return the share of 10 nearest neighbours that are among `factor` times as many nearest by codes.

    Within a sample (n, dim).
    """
    distances, estimates = _sample_distances(quantizer, sample)
    k, twice = (min(count, distances.shape[1]) for count in (_NEIGHBOURS, factor * _NEIGHBOURS))
    kth = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    kept = np.argpartition(estimates, twice - 1, axis=1)[:, :twice]
    # Ties with the k-th count, or duplicates would look like losses.
    slack = 1e-9 * (1.0 + np.abs(kth))
    found = (np.take_along_axis(distances, kept, axis=1) <= kth + slack).sum(axis=1)
    return float(np.minimum(found, k).mean() / k)


def lower_bound_ratio(quantizer: ScalarQuantizer, sample: Floats) -> float:
    """Return the largest a <= 1 with d^2 >= a * d'^2 - `rounding` for 99.9% of near pairs of a sample (n, dim).

    d is the distance of a pair, d' that of its codes, both in code units. 0, which is no bound, for samples too small
    to tell.
    """
    if len(sample) < 2 * _SAMPLE_QUERIES:
        return 0.0
    distances, estimates = _sample_distances(quantizer, sample, fractions=quantizer.exact)
    near = min(2 * _NEIGHBOURS, distances.shape[1])
    kept = np.argpartition(estimates, near - 1, axis=1)[:, :near]
    true, estimated = (np.take_along_axis(values, kept, axis=1) for values in (distances, estimates))
    true = true * quantizer.scale**2 + rounding(quantizer)
    return float(min(1.0, np.quantile(true / np.maximum(estimated, 1.0), 0.001)))


def rounding(quantizer: ScalarQuantizer) -> float:
    """Return thrice the mean squared distance, in code units, that rounding gives a vector from itself."""
    # Two errors that are uniform over a step have a squared difference of 1/6.
    return quantizer.dim / 2.0


def _sample_distances(
    quantizer: ScalarQuantizer, sample: Floats, *, fractions: bool = False
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return distances from the first rows of a sample to the others, and what the codes say they are, in code units.

    They are squared, or minus the products where the codes are for inner products. With `fractions`, the first rows
    stand for queries that need not be whole numbers as the rows are.
    """
    m = min(_SAMPLE_QUERIES, len(sample) // 2)
    rows = sample.astype(np.float64) - quantizer.mean
    if fractions:
        rows[:m] += np.random.default_rng(1).uniform(-0.5, 0.5, (m, rows.shape[1]))
    distances = _distances(rows, np.einsum("ij,ij->i", rows, rows), m, inner=quantizer.inner)
    codes = quantizer.encode(sample)
    norms = codes[:, -4:].copy().view(np.int32)[:, 0].astype(np.float64)
    whole = codes[:, :-4].astype(np.float64) - 128.0
    return distances, _distances(whole, norms, m, inner=quantizer.inner)


def sample_rows(rows: Floats) -> Floats:
    """Return at most 10,000 of the rows (n, dim), in a random order that is the same every time."""
    return rows[np.random.default_rng(0).permutation(len(rows))[:_SAMPLE]]


def _distances(rows: NDArray[Any], norms: NDArray[Any], m: int, *, inner: bool) -> NDArray[Any]:
    """Return the distances of the first m rows to the others: squared, or minus the products."""
    products = rows[:m] @ rows[m:].T
    distances: NDArray[Any] = -products if inner else norms[:m, None] + norms[m:] - 2.0 * products
    return distances


def _plain(rows: Floats, sample: Floats, *, inner: bool) -> ScalarQuantizer:
    """Fit without a rotation: without loss where all rows are whole numbers that the codes hold."""
    dim = rows.shape[1]
    none = np.empty((0, dim), np.float32)
    if len(rows) == 0:
        return ScalarQuantizer(np.zeros(dim, np.float32), none, 1.0, exact=False, inner=inner)
    low, high = float(rows.min()), float(rows.max())
    within = (low >= -128 and high <= 127) if inner else abs(low) < 2**23 and high - low <= 255
    if within and _whole(sample) and _whole(rows):
        middle = 0.0 if inner else low + 128
        return ScalarQuantizer(np.full(dim, middle, np.float32), none, 1.0, exact=True, inner=inner)
    return finest_quantizer(rows, inner=inner)


def finest_quantizer(rows: Floats, *, inner: bool) -> ScalarQuantizer:
    """Fit to `rows` (n, dim), n >= 1, without a rotation, in steps of the least error, whole numbers or not."""
    sample = sample_rows(rows)
    mean, none = _mean(sample, inner=inner), np.empty((0, rows.shape[1]), np.float32)
    return ScalarQuantizer(mean, none, _best_scale(sample - mean), exact=False, inner=inner)


def rotated_quantizer(sample: Floats, basis: Floats, *, inner: bool) -> ScalarQuantizer:
    """Fit to a `sample` (m, dim) with a rotation to the rows of `basis` (p, dim), which are orthonormal."""
    mean = _mean(sample, inner=inner)
    scale = _best_scale((sample[:_SCALE_ROWS] - mean) @ basis.T)
    return ScalarQuantizer(mean, basis.copy(), scale, exact=False, inner=inner)


def _principal(sample: Floats, *, inner: bool) -> Floats:
    """Return all principal components, (dim, dim) float32, the first one first."""
    centred = sample - _mean(sample, inner=inner)
    _, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    return np.ascontiguousarray(vectors[:, ::-1].T, np.float32)


def _mean(sample: Floats, *, inner: bool) -> Floats:
    if inner:
        return np.zeros(sample.shape[1], np.float32)
    mean: Floats = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def _whole(rows: Floats) -> bool:
    blocks = (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
    return all(bool((block == np.rint(block)).all()) for block in blocks)


def _best_scale(values: NDArray[Any]) -> float:
    """Return the scale of the least squared error: a coarser step cuts off less."""
    magnitudes = np.abs(values[:_SCALE_ROWS])
    best, least = 1.0, np.inf
    for limit in np.quantile(magnitudes, _QUANTILES):
        if not 0.0 < limit < np.inf:
            continue
        scale = 127.0 / float(limit)
        error = float(np.square(np.minimum(np.rint(magnitudes * scale), 127.0) / scale - magnitudes).mean())
        if error < least:
            best, least = scale, error
    return best
