"""Vectors in memory, such as a notebook's, as what a dataset is made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.core.errors import ConfigError, DatasetError, UnstatedMetricError
from harness.data.metric import Metric
from harness.data.sources.content import SPLIT_SEED, Content
from harness.data.sources.own import content_of

_BLOCK = 65_536


@dataclass(frozen=True, eq=False)
class OwnArray:
    """An array (n, dim) of numbers, and its queries: another array (q, dim), a number of rows to split off, or None."""

    vectors: NDArray[Any]
    queries: NDArray[Any] | int | None = None

    @classmethod
    def of(cls, vectors: ArrayLike, queries: ArrayLike | int | None) -> OwnArray:
        """Check what was passed: anything that NumPy understands, such as a DataFrame or a tensor on the CPU."""
        if queries is None or isinstance(queries, int):
            if queries is not None and queries < 1:
                raise ConfigError(f"queries: {queries} should be 1 or more, or an array")
            return cls(_table(vectors, "vectors"), queries)
        return cls(_table(vectors, "vectors"), _table(queries, "queries"))

    @property
    def stem(self) -> str:
        """Name it by the first digits of its hash."""
        return f"array-{self._hash[:8]}"

    @property
    def about(self) -> str:
        """What messages call it."""
        return f"array of {len(self.vectors):,} x {self.vectors.shape[1]} {self.vectors.dtype}"

    @cached_property
    def _hash(self) -> str:
        return _sha256(self.vectors)

    def metric(self, asked: Metric | None) -> Metric:
        """Return the metric that the user asked for; an array doesn't say one."""
        if asked is None:
            raise UnstatedMetricError(f"{self.about}: doesn't say its metric; choose one of {', '.join(Metric)}")
        return asked

    def source(self, depth: int) -> str:
        """Describe what a prepared dataset depends on, by hashes of the content."""
        text = f"array:{self._hash}"
        if isinstance(self.queries, np.ndarray):
            text += f"; queries array:{_sha256(self.queries)}"
        elif self.queries is not None:
            text += f"; {self.queries} queries, seed {SPLIT_SEED}"
        return f"{text}; {depth} neighbours"

    def is_described_by(self, source: str) -> bool:
        """Tell whether a dataset was made of an array: a name in a notebook stands for what was passed last."""
        return source.startswith("array:")

    def read(self, metric: Metric, depth: int) -> Content:
        """Split the vectors, or take the queries that came with them."""
        if metric is Metric.JACCARD:
            raise DatasetError(f"{self.about}: jaccard needs sets: give an .hdf5 in the ann-benchmarks layout")
        return content_of(
            metric,
            self.vectors,
            self.queries,
            source=self.source(depth),
            names=("vectors", "queries"),
            about=self.about,
        )


def _table(values: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as problem:  # rows of unequal length; a tensor on another device
        raise ConfigError(f"{name}: no array can be made of them ({str(problem).splitlines()[0]})") from None
    if array.ndim != 2 or 0 in array.shape:
        raise ConfigError(f"{name}: have shape {array.shape}; vectors are a table of (rows, dimensions)")
    if array.dtype.kind not in "fiub":
        raise ConfigError(f"{name}: hold {array.dtype}; vectors are numbers")
    return array


def _sha256(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.shape}{array.dtype.str}".encode())
    for start in range(0, len(array), _BLOCK):
        digest.update(np.ascontiguousarray(array[start : start + _BLOCK]).data)
    return digest.hexdigest()
