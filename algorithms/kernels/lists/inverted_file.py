"""Lists of coded vectors, with the rows that candidates are ranked by: what `pq` and `anisotropic_vq` share.

All happens in one space: rows less their mean, rotated to fewer dimensions where the scalar quantiser does so
(`algorithms.kernels.codes.scalar_quantizer`). Vectors in it are *points*; they are padded with zeros to whole blocks of
dimensions, one a code position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.codebooks import decode
from algorithms.kernels.codes.kmeans import assign
from algorithms.kernels.codes.scalar_quantizer import ScalarQuantizer
from algorithms.kernels.codes.storage import Storage
from algorithms.kernels.lists.coded_centroids import code_centroids
from algorithms.kernels.lists.partition import (
    NARROW,
    WIDE,
    Entries,
    Lists,
    join,
    pack,
    padded_positions,
    unpack,
)
from algorithms.kernels.lists.points import BLOCK, half_squares, to_points
from algorithms.kernels.saved import Facts, check_array, check_permutation, named, part_of
from harness.data.metric import normalise

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
Codes = NDArray[np.uint8]

ERROR_SHARE = 0.25
"""How much of a code's squared error counts as distance: see `algorithms.kernels.lists.search`."""
MAX_BIAS = 65_535
"""The largest bias, in steps."""

# Room for the biases of vectors added later, as a share of the range of those that are there.
_BIAS_ROOM = 1.25


class Coder(Protocol):
    """How residuals become codes: `points` and `residuals` are (n, width) float32, width = positions * block."""

    def train(self, points: Floats, residuals: Floats, block: int, threads: int) -> Floats:
        """Return the codebooks (positions, block, words) for a sample."""

    def encode(self, points: Floats, residuals: Floats, codebooks: Floats, threads: int) -> Codes:
        """Return the codes (n, positions) uint8."""


Spill = Callable[[Floats, Floats, Integers, int], Integers]
"""Gives the second list (n,) of points (n, width) for centroids (lists, width), own lists (n,) and threads."""


@dataclass(eq=False)
class InvertedFile:
    """A searchable set of rows; `algorithms.kernels.lists.worker` searches it.

    `quantizer` makes the space, and codes centroids and queries; `storage` holds the rows, in the order of the lists.
    `centroids` (lists, width) and `codebooks` (positions, block, words) float32, of 16 words or 256; positions of the
    codes are padded to a multiple of four where there are 16. `ids` (n,) int32 by row. Biases come in steps of
    `bias_step` from shifts[list] (lists,) on. `copies` is in how many lists each row lies; `spherical` and
    `by_direction` are those of `Shape`.
    """

    storage: Storage
    quantizer: ScalarQuantizer
    centroids: Floats
    codebooks: Floats
    lists: Lists
    ids: Integers
    shifts: Floats
    bias_step: float
    spherical: bool
    by_direction: bool
    copies: int

    @property
    def inner(self) -> bool:
        """Whether scores are inner products."""
        return self.quantizer.inner

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.ids)

    def facts(self) -> dict[str, Any]:
        """Return what a file's header says of it; `arrays` has the rest."""
        return {
            "bias_step": self.bias_step,
            "spherical": self.spherical,
            "by_direction": self.by_direction,
            "copies": self.copies,
            "quantizer": None if self.storage.quantizer is not None else self.quantizer.facts(),
            "storage": self.storage.facts(),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that `restore` needs."""
        arrays = {name: getattr(self, name) for name in ("centroids", "codebooks", "ids", "shifts")}
        if self.storage.quantizer is None:
            arrays |= named("quantizer", self.quantizer.arrays())
        return arrays | named("lists", self.lists._asdict()) | named("storage", self.storage.arrays(self.size))

    @classmethod
    def restore(cls, facts: Facts, arrays: dict[str, NDArray[Any]]) -> InvertedFile:
        """Make what `facts` and `arrays` describe; raises ValueError or KeyError where they don't fit."""
        storage = Storage.restore(facts.part("storage"), part_of(arrays, "storage"))
        quantizer = storage.quantizer
        if quantizer is None:
            quantizer = ScalarQuantizer.restore(facts.part("quantizer"), part_of(arrays, "quantizer"))
        index = cls(
            storage=storage,
            quantizer=quantizer,
            centroids=arrays["centroids"],
            codebooks=arrays["codebooks"],
            lists=Lists(**part_of(arrays, "lists")),
            ids=arrays["ids"],
            shifts=arrays["shifts"],
            bias_step=facts.number("bias_step"),
            spherical=facts.flag("spherical"),
            by_direction=facts.flag("by_direction"),
            copies=facts.integer("copies", 1, 2),
        )
        index.check()
        return index

    def check(self) -> None:
        """Raise ValueError where an array has another type or shape than a search, which checks nothing, reads."""
        n_lists, (positions, block, words) = len(self.centroids), self.codebooks.shape
        dim = len(self.quantizer.mean)
        check_array("centroids", self.centroids, np.float32, (n_lists, positions * block))
        check_array("codebooks", self.codebooks, np.float32, (positions, block, WIDE if words != NARROW else NARROW))
        check_permutation("ids", self.ids, self.size)
        check_array("shifts", self.shifts, np.float32, (n_lists,))
        self.lists.check(self.size, n_lists, padded_positions(positions, words), words, biased=not self.inner)
        self.storage.check(self.size, dim)
        if self.storage.inner != self.inner:
            raise ValueError("rows and lists are not scored alike")
        if self.quantizer.dim > positions * block:
            raise ValueError(f"{positions} codewords of {block} can't stand for {self.quantizer.dim} dimensions")

    def add(self, rows: Floats, coder: Coder, spill: Spill | None, threads: int) -> None:
        """Add `rows` (m, dim) to the lists as they were trained; their ids go on from the highest."""
        n = self.size
        points, rest = to_points(self.quantizer, rows, self.codebooks.shape[0] * self.codebooks.shape[1])
        # Spherical clusters are of directions, but what is kept of them is the means of their rows.
        centroids = normalise(self.centroids) if self.spherical else self.centroids
        labels, _ = assign(points, centroids, spherical=self.spherical, threads=threads)
        assignments = assignments_of(points, self.centroids, labels, spill, threads)
        new, biases = self.entries(
            points, rest, assignments, np.arange(n, n + len(rows), dtype=np.int32), coder, threads
        )
        words = self.codebooks.shape[2]
        old = unpack(self.lists, padded_positions(len(self.codebooks), words), words)
        known = self.shifts[old.lists] + self.bias_step * old.biases.astype(np.float64) if not self.inner else biases
        self.storage.append(rows, n)
        self.keep(join(old._replace(biases=new.biases), new), np.concatenate([known, biases]))
        self.ids = np.concatenate([self.ids, np.arange(n, n + len(rows), dtype=np.int32)])

    def nbytes(self) -> int:
        """Return the size of all that a search touches."""
        coded = code_centroids(self.centroids, self.quantizer, by_direction=self.by_direction)
        tables = self.codebooks.nbytes + coded.codes.nbytes + coded.norms.nbytes + 2 * self.shifts.nbytes
        return self.lists.nbytes + self.ids.nbytes + tables + self.storage.bytes(self.size)

    def decode(self) -> Floats:
        """Return the rows (n, dim) as the codes say, by id: centroid and codewords, rotated back, and the mean.

        Of a row in two lists, the code in one of them counts.
        """
        positions, block, words = self.codebooks.shape
        entries = unpack(self.lists, padded_positions(positions, words), words)
        rows = np.empty((self.size, len(self.quantizer.mean)), np.float32)
        for start in range(0, len(entries.rows), BLOCK):
            part = slice(start, start + BLOCK)
            points = np.empty((len(entries.rows[part]), positions * block), np.float32)
            decode(entries.codes[part, :positions], self.codebooks, points)
            points += self.centroids[entries.lists[part]]
            kept = points[:, : self.quantizer.dim]
            centred = kept @ self.quantizer.basis if len(self.quantizer.basis) else kept
            rows[self.ids[entries.rows[part]]] = centred + self.quantizer.mean
        return rows

    def entries(
        self, points: Floats, rest: Floats, assignments: list[Integers], rows: Integers, coder: Coder, threads: int
    ) -> tuple[Entries, NDArray[np.float64]]:
        """Code points, with the `rest` of `to_points`, for each list: `assignments` are one or two (n,) labels.

        Returns the entries (m,) without biases, and the biases (m,), none under inner products.
        """
        coded = [self._coded(points, rest, labels, rows, coder, threads) for labels in assignments]
        entries = coded[0][0]
        for second, _ in coded[1:]:
            entries = join(entries, second)
        return entries, np.concatenate([biases for _, biases in coded])

    def _coded(
        self, points: Floats, rest: Floats, labels: Integers, rows: Integers, coder: Coder, threads: int
    ) -> tuple[Entries, NDArray[np.float64]]:
        """Code points by their residuals from the centroids of the lists given."""
        n, positions = len(points), padded_positions(len(self.codebooks), self.codebooks.shape[2])
        codes, biases = np.zeros((n, positions), np.uint8), np.zeros(0 if self.inner else n)
        for start in range(0, n, BLOCK):
            part = slice(start, start + BLOCK)
            residuals = points[part] - self.centroids[labels[part]]
            found = coder.encode(points[part], residuals, self.codebooks, threads)
            codes[part, : found.shape[1]] = found
            if not self.inner:
                biases[part] = _biases(points[part], rest[part], residuals, found, self.codebooks)
        return Entries(labels, rows, codes, np.zeros(0, np.uint16)), biases

    def keep(self, entries: Entries, biases: NDArray[np.float64]) -> None:
        """Pack entries (m,) with their `biases` (m,), in new steps where the present ones don't reach all of them."""
        if not self.inner and len(biases):
            steps = self._steps(entries.lists, biases)
            if not -0.5 <= steps.min() <= steps.max() < MAX_BIAS + 0.5:
                self.shifts, self.bias_step = _bias_range(entries.lists, biases, len(self.centroids))
                steps = self._steps(entries.lists, biases)
            entries = entries._replace(biases=np.clip(np.rint(steps), 0, MAX_BIAS).astype(np.uint16))
        self.lists = pack(entries, len(self.centroids), self.codebooks.shape[2])

    def _steps(self, lists: Integers, biases: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how many steps biases (m,) lie above the shifts of their lists (m,)."""
        above: NDArray[np.float64] = biases - self.shifts[lists]
        # Without a step there is nothing but the shifts: what differs from them lies beyond all steps.
        return above / self.bias_step if self.bias_step > 0.0 else np.where(above == 0.0, 0.0, np.inf)


def _bias_range(lists: Integers, biases: NDArray[np.float64], n_lists: int) -> tuple[Floats, float]:
    """Return where the biases of each list begin, and the step in which 16 bits hold all of them, with some room."""
    least = np.full(n_lists, np.inf)
    np.minimum.at(least, lists, biases)
    least = np.where(np.isfinite(least), least, 0.0)
    widest = float((biases - least[lists]).max())
    room = _BIAS_ROOM * widest
    return (least - (room - widest) / 2.0).astype(np.float32), room / MAX_BIAS


def _biases(points: Floats, rest: Floats, residuals: Floats, codes: Codes, codebooks: Floats) -> NDArray[np.float64]:
    """Return b of `algorithms.kernels.lists.search`, (n,), with half of the rest."""
    decoded = np.empty_like(points)
    decode(codes, codebooks, decoded)
    products: NDArray[np.float64] = np.einsum("ij,ij->i", points - residuals, decoded, dtype=np.float64)
    errors = half_squares(residuals - decoded)
    return products + half_squares(decoded) + ERROR_SHARE * errors + rest / 2.0


def assignments_of(
    points: Floats, centroids: Floats, labels: Integers, spill: Spill | None, threads: int
) -> list[Integers]:
    """Return the labels (n,) of the lists that points lie in: their own, and second ones where `spill` says so."""
    if spill is None or len(centroids) < 2:
        return [labels]
    return [labels, spill(points, centroids, labels, threads)]
