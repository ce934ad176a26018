"""The rows of an HNSW index: what searches compute distances on, and what they are ranked again by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.scalar_quantizer import (
    ScalarQuantizer,
    allocate_codes,
    neighbours_kept,
    sample_rows,
    train_quantizer,
)

Floats = NDArray[np.float32]
Rows = NDArray[Any]

# Below, codes can't tell near neighbours apart, and a search over them strays.
_LEAST_KEPT = 0.9


class Storage:
    """Rows of `dim` dimensions in the order of the nodes: codes, exact rows, or both.

    `codes` (n, stride) uint8 is empty where searches use float32 rows. `exact` (n, dim) is float32, or uint8 to which
    `low` must be added, where that loses nothing; it is empty where only codes are kept.
    """

    def __init__(
        self, quantizer: ScalarQuantizer | None, plain: ScalarQuantizer | None, *, keep_exact: bool, inner: bool
    ) -> None:
        """Rows are coded by `quantizer` (None: not at all), neighbours chosen by the unrotated `plain`."""
        self.quantizer, self._plain, self.keep_exact, self.inner = quantizer, plain, keep_exact, inner
        self.codes = allocate_codes(0, 64)
        self.exact: Rows = np.empty((0, 0), np.float32)
        self._compact = plain is not None and plain.exact and keep_exact
        self.low = float(plain.mean[0]) - 128.0 if plain is not None and self._compact else 0.0

    @classmethod
    def choose(
        cls, rows: Floats, storage: str, n_components: int | str | None, *, rerank: bool, inner: bool
    ) -> Storage:
        """Choose how to hold rows like these: a sample says whether codes, and how many components, will do."""
        if storage == "float32":
            return cls(None, None, keep_exact=True, inner=inner)
        plain = train_quantizer(rows, None, inner=inner)
        if not plain.exact and len(rows) > 2 and neighbours_kept(plain, sample_rows(rows)) < _LEAST_KEPT:
            return cls(None, None, keep_exact=True, inner=inner)
        if n_components == "auto" and not rerank:
            n_components = None  # nothing would make up for the components left out
        quantizer = plain if n_components is None else train_quantizer(rows, n_components, inner=inner)
        return cls(quantizer, plain, keep_exact=rerank, inner=inner)

    @property
    def rotated(self) -> bool:
        """Whether searches use fewer or other dimensions than the rows have."""
        return self.quantizer is not None and self.quantizer is not self._plain

    @property
    def kind(self) -> str:
        """What searches compute distances on: "sq8" or "float32"."""
        return "float32" if self.quantizer is None else "sq8"

    @property
    def n_components(self) -> int | None:
        """How many principal components are coded; None where rows aren't rotated."""
        return len(self.quantizer.basis) or None if self.quantizer is not None else None

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
        if self.keep_exact:
            self.exact = self._exact_type(rows)[places]

    def append(self, rows: Floats, n: int) -> None:
        """Keep `rows` behind the first n."""
        if self.quantizer is not None:
            self.codes = _room(self.codes, n, len(rows))
            self.quantizer.encode_into(self.codes[n : n + len(rows)], rows)
        if self.keep_exact:
            added = self._exact_type(rows)
            if added.dtype != self.exact.dtype:
                # The new rows aren't whole numbers as all before were, so all are float32 from now on.
                self.exact, self.low = self.floats(n), 0.0
                self._compact = False
                added = rows
            self.exact = _room(self.exact, n, len(rows))
            self.exact[n : n + len(rows)] = added

    def building_rows(self, n: int) -> tuple[Rows, Rows]:
        """Return what `encode` would for the first n rows kept."""
        if self.quantizer is None or self._plain is None:
            return self.exact, self.exact
        return self.codes, self._plain.encode(self.floats(n)) if self.rotated else self.codes

    def floats(self, n: int) -> Floats:
        """Return the first n rows as float32."""
        rows = self.exact[:n]
        return rows if rows.dtype == np.float32 else rows.astype(np.float32) + np.float32(self.low)

    def bytes(self, n: int) -> int:
        """Return the size of n rows, codes included."""
        return sum(n * array.strides[0] for array in (self.codes, self.exact) if len(array))

    def arrays(self, n: int) -> dict[str, Rows]:
        """Return all that `of_arrays` needs to hold the first n rows again."""
        arrays = {"codes": self.codes[:n], "exact": self.exact[:n]}
        arrays["keeps_and_inner"] = np.array([self.keep_exact, self.inner])
        for name, quantizer in (("quantizer", self.quantizer), ("plain", self._plain)):
            if quantizer is not None:
                arrays[f"{name}_mean"], arrays[f"{name}_basis"] = quantizer.mean, quantizer.basis
                arrays[f"{name}_scale"] = np.array([quantizer.scale, float(quantizer.exact)])
        return arrays

    @classmethod
    def of_arrays(cls, arrays: dict[str, Rows]) -> Storage:
        """Make what `arrays` took apart; raises KeyError where one is missing."""
        quantizers: list[ScalarQuantizer | None] = []
        keep_exact, inner = (bool(value) for value in arrays["keeps_and_inner"])
        for name in ("quantizer", "plain"):
            if f"{name}_scale" not in arrays:
                quantizers.append(None)
                continue
            scale, exact = arrays[f"{name}_scale"]
            mean, basis = arrays[f"{name}_mean"], arrays[f"{name}_basis"]
            quantizers.append(ScalarQuantizer(mean, basis, float(scale), exact=bool(exact), inner=inner))
        quantizer, plain = quantizers
        rotated = quantizer is not None and len(quantizer.basis) > 0
        storage = cls(quantizer if rotated else plain, plain, keep_exact=keep_exact, inner=inner)
        storage.exact = arrays["exact"]
        if quantizer is not None:
            storage.codes = allocate_codes(*arrays["codes"].shape)
            storage.codes[:] = arrays["codes"]
        return storage

    def _exact_type(self, rows: Floats) -> Rows:
        if not self._compact:
            return rows
        shifted = rows - np.float32(self.low)
        small = np.clip(np.rint(shifted), 0.0, 255.0)
        return small.astype(np.uint8) if bool((small == shifted).all()) else rows


def _room(array: Rows, n: int, more: int) -> Rows:
    """Return the array, or a copy of its first n rows with room for `more`, and an eighth to spare if it held any."""
    if n + more <= len(array):
        return array
    wanted = n + more + (n + more) // 8 if n else more
    shape = (wanted, *array.shape[1:])
    larger = allocate_codes(*shape) if array.dtype == np.uint8 else np.empty(shape, array.dtype)
    larger[:n] = array[:n]
    return larger
