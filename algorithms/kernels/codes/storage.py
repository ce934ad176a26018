"""The rows of an index: what searches compute distances on, and what those found are ranked again by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.scalar_quantizer import (
    DEFAULT_LOSS,
    Loss,
    ScalarQuantizer,
    allocate_codes,
    finest_quantizer,
    lower_bound_ratio,
    neighbours_kept,
    rounding,
    sample_rows,
    train_quantizer,
)
from algorithms.kernels.saved import Facts, check_array, named, part_of

Floats = NDArray[np.float32]
Rows = NDArray[Any]

# Below, codes can't tell near neighbours apart, and a search over them strays.
_MIN_KEPT = 0.9
# How much smaller steps than those of whole numbers must be to be worth a second copy of the rows.
_FINER = 1.5
# The share of neighbours that reranking must keep, the rerank factors tried for it, and the one that reranks all.
_SHARE_KEPT = 0.998
_RERANK_FACTORS = (2, 3, 4, 8)
_RERANK_ALL = 1_000_000


class Storage:
    """Rows in the order in which an index numbers them: codes, exact rows, or both.

    `codes` (n, stride) uint8 is empty where searches use float32 rows. `exact` is (n, dim) float32, or bytes to which
    `low` must be added, where that loses nothing: the codes themselves, or (n, dim) uint8 beside rotated codes. It is
    empty where only codes are kept. With d the distance of a pair and d' that of its codes, d^2 >= `bound_ratio` * d'^2
    - `bound_margin` for 99.9% of near pairs; a ratio of 0 is no bound.
    """

    def __init__(
        self,
        quantizer: ScalarQuantizer | None,
        plain: ScalarQuantizer | None,
        *,
        keep_exact: bool,
        inner: bool,
        bound_ratio: float = 0.0,
    ) -> None:
        """Rows are coded by `quantizer` (None: not at all), neighbours chosen by the unrotated `plain`."""
        self.quantizer, self._plain, self.keep_exact, self.inner = quantizer, plain, keep_exact, inner
        self.bound_ratio = bound_ratio
        self.codes = allocate_codes(0, 64)
        self._rows: Rows = np.empty((0, 0), np.float32)
        self._whole = plain is not None and plain.exact and keep_exact
        self.low = float(plain.mean[0]) - 128.0 if plain is not None and self._whole else 0.0

    @classmethod
    def choose(
        cls,
        rows: Floats,
        storage: str,
        n_components: int | str | None,
        *,
        rerank: bool,
        inner: bool,
        loss: Loss = DEFAULT_LOSS,
        fine: bool = False,
    ) -> Storage:
        """Choose how to hold rows like these: float32 where `storage` says so or codes lose too much, else codes.

        The codes are of `n_components`; those that "auto" chooses lose at most `loss`. With `fine`, small whole
        numbers, which are their own codes, get smaller steps all the same: centroids are no whole numbers.
        """
        if storage == "float32":
            return cls.floats_only(inner=inner)
        plain = train_quantizer(rows, None, inner=inner)
        sample = sample_rows(rows)
        if _strays(plain, sample):
            return cls.floats_only(inner=inner)
        if n_components == "auto" and not rerank:
            n_components = None  # nothing would make up for the components left out
        quantizer = plain if n_components is None else train_quantizer(rows, n_components, inner=inner, loss=loss)
        if fine and quantizer.exact:
            quantizer = _finer(quantizer, rows)
        return cls(quantizer, plain, keep_exact=rerank, inner=inner, bound_ratio=_bound_ratio(quantizer, sample))

    @classmethod
    def floats_only(cls, *, inner: bool) -> Storage:
        """Return what holds float32 rows and no codes."""
        return cls(None, None, keep_exact=True, inner=inner)

    @classmethod
    def nothing(cls, *, inner: bool) -> Storage:
        """Return what holds no rows at all."""
        return cls(None, None, keep_exact=False, inner=inner)

    def coded_by(self, quantizer: ScalarQuantizer) -> Storage:
        """Return a storage, empty yet, of this kind whose codes are another quantiser's; of float32 rows, the same."""
        if self.quantizer is None:
            return self
        return Storage(quantizer, self._plain, keep_exact=self.keep_exact, inner=self.inner)

    @property
    def holds_rows(self) -> bool:
        """Whether there is anything to rank by."""
        return self.quantizer is not None or self.keep_exact

    @property
    def exact(self) -> Rows:
        """What is ranked again by: one row a node, whose first `dim` columns count; empty where there is nothing."""
        return self.codes if self._shared else self._rows

    @property
    def rotated(self) -> bool:
        """Whether searches use fewer or other dimensions than the rows have."""
        return self.quantizer is not None and len(self.quantizer.basis) > 0

    @property
    def kind(self) -> str:
        """What searches compute distances on: "sq8" or "float32"."""
        return "float32" if self.quantizer is None else "sq8"

    @property
    def n_components(self) -> int | None:
        """How many principal components are coded; None where rows aren't rotated."""
        return len(self.quantizer.basis) or None if self.quantizer is not None else None

    @property
    def bound_margin(self) -> float:
        """What the lower bound leaves to rounding, in squared code units."""
        return rounding(self.quantizer) if self.quantizer is not None else 0.0

    def room(self, ef: int, k: int) -> int:
        """Return how many candidates a search of beam width `ef` keeps for reranking.

        Codes of fewer dimensions leave some of the k nearest just behind the first `ef`.
        """
        return ef + k if self.rotated and self.keep_exact else ef

    def rerank_factor(self, rows: Floats) -> int:
        """Return how many times k candidates must be reranked to keep nearly all of the k nearest.

        Judged on a sample of `rows` (n, dim); a number beyond all k where the codes lose too many.
        """
        if self.quantizer is None or len(rows) <= 2:
            return 1
        sample = sample_rows(rows)
        for factor in _RERANK_FACTORS:
            if neighbours_kept(self.quantizer, sample, factor) >= _SHARE_KEPT:
                return factor
        return _RERANK_ALL

    def encode(self, rows: Floats) -> tuple[Rows, Rows]:
        """Return the rows that building searches, and those that it chooses neighbours by; they may be one array."""
        if self.quantizer is None or self._plain is None:
            return rows, rows
        coarse = self.quantizer.encode(rows, packed=not self.keep_exact)
        return coarse, self._plain.encode(rows) if self.rotated else coarse

    def keep(self, rows: Floats, coarse: Rows, places: NDArray[np.int32]) -> None:
        """Keep `rows` and `coarse`, as `encode` gave it for them, in the order of `places`."""
        if self.quantizer is not None:
            self.codes = _room(coarse[:0], 0, len(places))
            np.take(coarse, places, axis=0, out=self.codes)
        if self.keep_exact and not self._shared:
            self._rows = self._exact_type(rows)[places]

    def append(self, rows: Floats, n: int) -> None:
        """Keep `rows` behind the first n."""
        if self._whole and not self._fits(rows):
            # The new rows aren't whole numbers as all before were, so all are float32 from now on.
            self._rows, self.low, self._whole, self.bound_ratio = self.floats(n), 0.0, False, 0.0
        if self.quantizer is not None:
            self.codes = _room(self.codes, n, len(rows))
            self.quantizer.encode_into(self.codes[n : n + len(rows)], rows)
        if self.keep_exact and not self._shared:
            self._rows = _room(self._rows, n, len(rows))
            self._rows[n : n + len(rows)] = self._exact_type(rows)

    def building_rows(self, n: int) -> tuple[Rows, Rows]:
        """Return what `encode` would for the first n rows kept."""
        if self.quantizer is None or self._plain is None:
            return self._rows, self._rows
        if not (self.rotated and self.keep_exact):
            return self.codes, self.codes  # without the rows, neighbours can only be chosen by the codes
        return self.codes, self._plain.encode(self.floats(n))

    def floats(self, n: int) -> Floats:
        """Return the first n rows as float32."""
        rows = self.exact[:n]
        if rows.dtype == np.float32 or self._plain is None:
            return rows
        return rows[:, : len(self._plain.mean)].astype(np.float32) + np.float32(self.low)

    def bytes(self, n: int) -> int:
        """Return the size of n rows, codes included."""
        return sum(n * array.strides[0] for array in (self.codes, self._rows) if len(array))

    def facts(self) -> dict[str, Any]:
        """Return what a file's header says of it; `arrays` has the rest."""
        return {
            "keep_exact": self.keep_exact,
            "inner": self.inner,
            "whole": self._whole,
            "bound_ratio": self.bound_ratio,
            "plain": self._plain.facts() if self._plain is not None else None,
            # None also where it is the plain one.
            "quantizer": self.quantizer.facts() if self.quantizer is not self._plain and self.quantizer else None,
        }

    def arrays(self, n: int) -> dict[str, Rows]:
        """Return the arrays that `restore` needs to hold the first n rows again."""
        arrays = {"codes": self.codes[:n], "rows": self._rows[:n]}
        if self._plain is not None:
            arrays |= named("plain", self._plain.arrays())
        if self.quantizer is not None and self.quantizer is not self._plain:
            arrays |= named("quantizer", self.quantizer.arrays())
        return arrays

    @classmethod
    def restore(cls, facts: Facts, arrays: dict[str, Rows]) -> Storage:
        """Make what `facts` and `arrays` describe; raises ValueError or KeyError where they don't fit."""
        plain, quantizer = (
            ScalarQuantizer.restore(facts.part(name), part_of(arrays, name)) if facts.values.get(name) else None
            for name in ("plain", "quantizer")
        )
        storage = cls(
            quantizer or plain,
            plain,
            keep_exact=facts.flag("keep_exact"),
            inner=facts.flag("inner"),
            bound_ratio=facts.number("bound_ratio"),
        )
        if not facts.flag("whole"):
            storage._whole, storage.low = False, 0.0
        storage._rows = arrays["rows"]
        if storage.quantizer is not None:
            codes = arrays["codes"]
            check_array("codes", codes, np.uint8, (len(codes), codes.shape[1]))
            storage.codes = allocate_codes(*codes.shape)
            storage.codes[:] = codes
        return storage

    def check(self, n: int, dim: int) -> None:
        """Raise ValueError where these can't be n rows of `dim` dimensions: for arrays that come from elsewhere."""
        for quantizer in (self.quantizer, self._plain):
            if quantizer is not None and (len(quantizer.mean) != dim or quantizer.inner != self.inner):
                raise ValueError(f"codes of {len(quantizer.mean)} dimensions are none of rows of {dim}")
        if self.quantizer is not None and (len(self.codes) != n or self.codes.shape[1] < self.quantizer.dim + 4):
            raise ValueError(f"codes of shape {self.codes.shape} are none of {n} rows of {self.quantizer.dim} codes")
        if not self.keep_exact:
            return
        exact = self.exact
        if exact.ndim != 2 or len(exact) != n or exact.dtype != (np.uint8 if self._whole else np.float32):
            raise ValueError(f"rows are {exact.dtype} of shape {exact.shape}, not {n}")
        if exact.shape[1] < dim if self._shared else exact.shape[1] != dim:
            raise ValueError(f"rows of shape {exact.shape} are not the {n} of dimension {dim}")

    @property
    def _shared(self) -> bool:
        """Whether the codes lose nothing, so that they are the exact rows, too."""
        return self._whole and self.quantizer is self._plain

    def _fits(self, rows: Floats) -> bool:
        shifted = rows - np.float32(self.low)
        return bool(((shifted >= 0.0) & (shifted <= 255.0) & (shifted == np.rint(shifted))).all())

    def _exact_type(self, rows: Floats) -> Rows:
        return (rows - np.float32(self.low)).astype(np.uint8) if self._whole else rows


def _strays(plain: ScalarQuantizer, sample: Floats) -> bool:
    """Say whether codes can't tell the near neighbours of a sample apart."""
    return not plain.exact and len(sample) > 2 and neighbours_kept(plain, sample) < _MIN_KEPT


def _finer(quantizer: ScalarQuantizer, rows: Floats) -> ScalarQuantizer:
    """Return a quantiser of smaller steps, where they are enough smaller to pay."""
    finer = finest_quantizer(rows, inner=quantizer.inner)
    return finer if finer.scale > _FINER * quantizer.scale else quantizer


def _bound_ratio(quantizer: ScalarQuantizer, sample: Floats) -> float:
    """Return the ratio of the lower bound; 0, no bound, where a rotation makes codes overestimate some distances."""
    return 0.0 if quantizer.inner or len(quantizer.basis) else lower_bound_ratio(quantizer, sample)


def _room(array: Rows, n: int, more: int) -> Rows:
    """Return the array, or a copy of its first n rows with room for `more`, and an eighth to spare if it held any."""
    if n + more <= len(array):
        return array
    wanted = n + more + (n + more) // 8 if n else more
    shape = (wanted, *array.shape[1:])
    larger = allocate_codes(*shape) if array.dtype == np.uint8 else np.empty(shape, array.dtype)
    larger[:n] = array[:n]
    return larger
