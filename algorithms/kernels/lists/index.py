"""What indexes over an inverted file have in common: how they grow, are saved, and count."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.scalar_quantizer import Loss, ScalarQuantizer
from algorithms.kernels.codes.scaling import typical_length
from algorithms.kernels.lists.inverted_file import Coder, InvertedFile, Spill
from algorithms.kernels.lists.worker import Effort, Worker, bind
from algorithms.kernels.parameters import check_components, check_seed, whole
from algorithms.kernels.saved import Arrays, Saved, SavedIndex
from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Grows, Search, Vectors

Auto = Literal["auto"]

LOSS = Loss(factor=3, share=0.998)
"""What the codes that rank candidates may lose, as the rows rank again."""
LISTS_SHARE = 0.025
"""A share of the lists that finds nine in ten neighbours of common data."""
ITERATIONS = 10
"""Iterations of k-means for the lists."""
MAX_POSITIONS = 1024
"""Tables of more code positions lose precision: their sums have 16 bits."""


class ListIndex(SavedIndex, Grows):
    """An inverted file, under euclidean, angular and ip: a subclass builds it, and says how rows are coded."""

    def __init__(self, metric: Metric, *, n_components: int | Auto | None, seed: int) -> None:
        self._metric = Metric(metric)
        if not self._metric.is_dense:
            raise ParameterError(f"{self.name}: metric {metric} is not supported; use euclidean, angular or ip")
        check_components(self.name, n_components)
        check_seed(self.name, seed)
        self._n_components, self._seed = whole(n_components), int(seed)
        self._workers: list[Worker] = []
        self.effective: dict[str, Any] = {}

    @property
    def _inner(self) -> bool:
        """Whether rows are compared by inner products: under angular they have length 1."""
        return self._metric is not Metric.EUCLIDEAN

    @abstractmethod
    def _coder(self) -> Coder:
        """Return what codes rows; called when the index is built or loaded."""

    def _spill(self) -> Spill | None:
        """Return what chooses second lists; None for no second lists."""
        return None

    def _hold(self, index: InvertedFile, dim: int, length: float, factor: int) -> None:
        """Hold an index of rows of `dim` dimensions: queries are scaled to `length`, factor * k ranked by rows."""
        self._index, self._dim, self._length, self._factor = index, dim, length, factor
        self._workers = []

    def _bind(self, n_lists: int, n_again: int, threads: int, *, symmetric: bool = False) -> Search:
        """Return the search that visits so many lists, and ranks so many again; 0 for none."""
        self._workers = []
        effort = Effort(n_lists, n_again, n_again > 0, self._factor, self._length, self._inner, symmetric)
        return bind(self._index, effort, self._dim, threads, self._workers, self.name)

    def add(self, vectors: Vectors, *, threads: int = 1) -> None:
        """Add `vectors` (m, dim) float32 to the lists as they are; their ids go on from the highest.

        Raises ParameterError where the dimension differs.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self._dim:
            raise ParameterError(
                f"{self.name}: vectors of shape {vectors.shape} given, but the index has dimension {self._dim}"
            )
        if self._index.size == 0:
            self.fit(vectors, threads=threads)
            return
        self._index.add(self._rows(vectors), self._coder(), self._spill(), threads)
        self._workers = []

    def decode(self) -> NDArray[np.float32]:
        """Return the rows (n, dim) float32 as the codes say, in the order of their ids; under angular of length 1."""
        return self._index.decode()

    def index_bytes(self) -> int:
        """Return the size of lists and codes, centroids, codebooks, ids, and what is kept of the rows."""
        return self._index.nbytes()

    def counters(self) -> Mapping[str, int]:
        """Return, since the last bind, vectors scanned, and those ranked by codes of 8 bits and by rows."""
        totals = sum((worker.counters for worker in self._workers), np.zeros(3, np.int64))
        scanned, by_codes, by_rows = totals.tolist()
        return {"scanned": scanned, "ranked_by_codes": by_codes, "distance_computations": by_rows}

    def _parameters(self) -> dict[str, Any]:
        return {"n_components": self._n_components, "seed": self._seed}

    def _state(self) -> dict[str, Any]:
        return {"length": self._length, "factor": self._factor, "index": self._index.facts()}

    def _arrays(self) -> Arrays:
        return self._index.arrays()

    def _restore(self, saved: Saved) -> None:
        index = InvertedFile.restore(saved.state.part("index"), saved.arrays)
        if len(index.quantizer.mean) != saved.dim or index.inner != self._inner:
            raise ValueError(f"its rows are not of dimension {saved.dim} under {self._metric}")
        self._hold(index, saved.dim, saved.state.number("length"), saved.state.integer("factor", 1))

    def _query_length(self, rows: NDArray[np.float32], quantizer: ScalarQuantizer) -> float:
        """Return the length at which queries' codes fill a byte, 0 where queries stay as they are.

        That is the length of rows, whose codes do, but for small whole numbers, which are their own codes.
        """
        if not self._inner:
            return 0.0
        most = max(float(rows.max(initial=0.0)), -float(rows.min(initial=0.0)))
        stretch = 127.0 / most if quantizer.exact and most > 0.0 else 1.0
        return typical_length(rows) * stretch

    def _rows(self, vectors: Vectors) -> NDArray[np.float32]:
        """Return what is indexed: the vectors, under angular scaled to length 1."""
        return normalise(vectors) if self._metric is Metric.ANGULAR else vectors
