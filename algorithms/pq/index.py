"""Product quantisation (Jegou, Douze and Schmid 2011): a few bits for each block of a vector's dimensions.

Vectors lie in lists, by their nearest centroid; codes are of what that leaves over. A query is compared with codes by
tables of its products with all codewords.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.scalar_quantizer import ScalarQuantizer, rotated_quantizer, sample_rows, train_quantizer
from algorithms.kernels.codes.scaling import angle_limit, length_limit
from algorithms.kernels.codes.storage import Storage
from algorithms.kernels.lists.build import Shape, build
from algorithms.kernels.lists.index import (
    ITERATIONS,
    LISTS_SHARE,
    LOSS,
    MAX_POSITIONS,
    Auto,
    ListIndex,
)
from algorithms.kernels.lists.points import to_points
from algorithms.kernels.parameters import check_choice, check_flag, check_whole, is_auto, whole
from algorithms.kernels.saved import Saved
from algorithms.pq.coder import PlainCoder, train_rotation
from harness.core.errors import ParameterError
from harness.data.metric import Metric
from harness.engines.contract import Search, Vectors

_STORAGES = ("sq8", "float32", None)
# Dimensions a code, unless told otherwise, and rows that train the codebooks for each codeword of one, by the bits.
_BLOCKS = {4: 2, 8: 4}
_ROWS_A_WORD = {4: 1000, 8: 256}
# Candidates ranked again, unless told otherwise.
_RERANKED = 100


class PQ(ListIndex):
    """Product quantisation, flat (`n_lists=1`) or of residuals in lists, under euclidean, angular and ip.

    `n_lists` lists ("auto": twice the root of n), `n_subspaces` codes a vector of 4 `bits`, looked up in registers
    (Andre et al. 2015), or 8. Where `n_subspaces` doesn't divide the dimensions, blocks are rounded up, and there may
    be fewer codes (`effective` tells). `opq` rotates vectors so that codes lose less (Ge et al. 2013). What candidates
    are ranked again by is held as in `hnsw`: `storage` "sq8", a byte a dimension of `n_components` principal
    components, beside the rows themselves if `rerank`; "float32", the rows alone; or None: nothing but the codes.
    """

    name = "pq"

    def __init__(
        self,
        metric: Metric,
        *,
        n_lists: int | Auto = "auto",
        n_subspaces: int | Auto = "auto",
        bits: int = 4,
        opq: bool = False,
        storage: str | None = "sq8",
        rerank: bool = True,
        n_components: int | Auto | None = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(metric, n_components=n_components, seed=seed)
        if not is_auto(n_lists):
            check_whole(self.name, "n_lists", n_lists, 1, "usually 1 (flat) or 1 to 4 times sqrt(n)")
        if not is_auto(n_subspaces):
            check_whole(self.name, "n_subspaces", n_subspaces, 1, "usually dim/2 or dim/4")
        check_choice(self.name, "bits", bits, tuple(_BLOCKS))
        check_choice(self.name, "storage", storage, _STORAGES)
        check_flag(self.name, "opq", opq)
        check_flag(self.name, "rerank", rerank)
        self._n_lists: int | Auto = whole(n_lists)
        self._n_subspaces: int | Auto = whole(n_subspaces)
        self._bits, self._opq = bits, opq
        self._wanted, self._rerank = storage, rerank

    def compile(self, sample: Vectors) -> None:
        """Compile all kernels that building and searching rows like the sample call."""
        warm = PQ(
            self._metric,
            bits=self._bits,
            opq=self._opq,
            storage=self._wanted,
            rerank=self._rerank,
            n_components=self._n_components,
        )
        warm.fit(sample)
        warm.searcher()(sample[:1], 1)

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build over `train` (n, dim) float32."""
        n, dim = train.shape
        rows = self._rows(train)
        n_lists = max(1, min(round(2 * n**0.5) if self._n_lists == "auto" else self._n_lists, n))
        storage, quantizer = self._choose(rows, n_lists, threads)
        block = self._block(quantizer.dim)
        shape = Shape(
            n_lists,
            block,
            ITERATIONS,
            _ROWS_A_WORD[self._bits] << self._bits,
            spherical=False,
            by_direction=self._metric is Metric.ANGULAR,
            seed=self._seed,
        )
        index = build(rows, storage, quantizer, shape, self._coder(), None, threads)
        self._hold(index, dim, self._query_length(rows, quantizer), storage.rerank_factor(rows))
        self.effective = {"n_lists": n_lists, "n_subspaces": len(index.codebooks)}
        if len(quantizer.basis):
            self.effective["n_components"] = quantizer.dim
        if self._wanted is not None and storage.kind != self._wanted:
            self.effective["storage"] = storage.kind
        if self._metric is Metric.ANGULAR:
            self.effective |= angle_limit(rows)
        else:
            self.effective |= length_limit(rows, centred=self._metric is Metric.EUCLIDEAN)

    def _choose(self, rows: NDArray[np.float32], n_lists: int, threads: int) -> tuple[Storage, ScalarQuantizer]:
        """Choose how rows are held, and the space of the codes."""
        inner = self._inner
        if self._wanted is None:
            storage = Storage.nothing(inner=inner)
            quantizer = train_quantizer(rows, self._n_components, inner=inner, loss=LOSS)
        else:
            storage = Storage.choose(
                rows, self._wanted, self._n_components, rerank=self._rerank, inner=inner, loss=LOSS, fine=True
            )
            quantizer = storage.quantizer or train_quantizer(rows, None, inner=inner)
        if self._opq and len(rows):
            sample = sample_rows(rows)
            points, _ = to_points(quantizer, sample, quantizer.dim)
            words, block = 1 << self._bits, self._block(quantizer.dim)
            turned = train_rotation(points, n_lists, block, words, self._seed, threads)
            basis = turned @ quantizer.basis if len(quantizer.basis) else turned
            quantizer = rotated_quantizer(sample, np.ascontiguousarray(basis, np.float32), inner=inner)
            storage = storage.coded_by(quantizer)
        return storage, quantizer

    def _block(self, dim: int) -> int:
        """Return the dimensions of a code."""
        if self._n_subspaces == "auto":
            return min(max(_BLOCKS[self._bits], -(-dim // MAX_POSITIONS)), dim)
        return max(1, -(-dim // self._n_subspaces))

    def searcher(  # type: ignore[override]
        self,
        *,
        threads: int = 1,
        n_probe: int | Auto = "auto",
        n_rerank: int | Auto = "auto",
        symmetric: bool = False,
    ) -> Search:
        """Bind how many lists are searched, and how many of the vectors in them are ranked again.

        `n_rerank` is at least k, 100 where there is something to rank by, unless it is given; with 0, codes alone rank.
        `symmetric` compares codes with the code of the query, not with the query. Where the lists hold fewer than k
        vectors, more are searched. What is bound searches the index as it is now: bind again after `fit`, `add` and
        `load`.
        """
        check_flag(self.name, "symmetric", symmetric)
        if not is_auto(n_probe):
            check_whole(self.name, "n_probe", n_probe, 1, "usually 1 to 10% of the lists")
        if not is_auto(n_rerank):
            check_whole(self.name, "n_rerank", n_rerank, 0, "usually 3 to 30 times k")
        holds_rows = self._index.storage.holds_rows
        if n_rerank != "auto" and n_rerank > 0 and not holds_rows:
            raise ParameterError(f"pq: n_rerank = {n_rerank}, but with storage null only codes are kept; use 0")
        usual = max(1, round(LISTS_SHARE * len(self._index.centroids)))
        again = _RERANKED if holds_rows else 0
        return self._bind(
            usual if n_probe == "auto" else n_probe,
            again if n_rerank == "auto" else n_rerank,
            threads,
            symmetric=symmetric,
        )

    def _coder(self) -> PlainCoder:
        return PlainCoder(1 << self._bits, self._seed)

    def _parameters(self) -> dict[str, Any]:
        return {
            **super()._parameters(),
            "n_lists": self._n_lists,
            "n_subspaces": self._n_subspaces,
            "bits": self._bits,
            "opq": self._opq,
            "storage": self._wanted,
            "rerank": self._rerank,
        }

    def _restore(self, saved: Saved) -> None:
        super()._restore(saved)
        words = self._index.codebooks.shape[2]
        if words != 1 << self._bits:
            raise ValueError(f"codebooks of {words} words are not those of {self._bits} bits")
