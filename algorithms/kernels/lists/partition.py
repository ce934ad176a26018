"""Lists of coded vectors: which vectors lie in each, packed as scans read them.

Codes of 4 bits are packed for `algorithms.kernels.codes.fast_scan`, those of 8 bits for
`algorithms.kernels.codes.wide_scan`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.fast_scan import BLOCK, GROUP
from algorithms.kernels.jit import kernel
from algorithms.kernels.saved import check_array

Array = Any

NARROW = 16
"""Words that codes of 4 bits can name."""
WIDE = 256
"""Words that codes of 8 bits can name."""
# What a scan may ask for ahead of the codes, or read behind them.
_BEHIND = 4096


class Entries(NamedTuple):
    """Vectors to be packed: `lists` and `rows` (m,) int32, `codes` (m, positions) uint8, `biases` (m,).

    Of codes below 16, `positions` is a multiple of `GROUP`. One row may lie in several lists. `biases` are uint16, or
    there are none.
    """

    lists: NDArray[np.int32]
    rows: NDArray[np.int32]
    codes: NDArray[np.uint8]
    biases: NDArray[np.uint16]


class Lists(NamedTuple):
    """Vectors by list: that of list l are `sizes[l]` of those in the blocks from starts[l] to starts[l + 1].

    `starts` (lists + 1,) int32, `sizes` (lists,) int32; `rows` (32 * blocks,) int32 is which row lies at a place, 0
    where there is none; `codes` (bytes,) uint8 and `biases` (32 * blocks,) uint16, or empty, are as `scan_list` takes
    them.
    """

    starts: NDArray[np.int32]
    sizes: NDArray[np.int32]
    rows: NDArray[np.int32]
    codes: NDArray[np.uint8]
    biases: NDArray[np.uint16]

    @classmethod
    def empty(cls) -> Lists:
        """Return no lists."""
        none = np.zeros(0, np.int32)
        return cls(none, none, none, np.zeros(0, np.uint8), np.zeros(0, np.uint16))

    @property
    def nbytes(self) -> int:
        """The size of all arrays."""
        return sum(array.nbytes for array in self)

    def check(self, n: int, n_lists: int, positions: int, words: int, *, biased: bool) -> None:
        """Raise ValueError where these can't be the lists of n rows: for arrays that come from elsewhere."""
        blocks = len(self.rows) // BLOCK
        check_array("starts", self.starts, np.int32, (n_lists + 1,))
        check_array("sizes", self.sizes, np.int32, (n_lists,))
        check_array("rows", self.rows, np.int32, (blocks * BLOCK,))
        check_array("codes", self.codes, np.uint8, (_code_bytes(blocks, positions, words) + _BEHIND,))
        check_array("biases", self.biases, np.uint16, (blocks * BLOCK if biased else 0,))
        ends = np.cumsum(-(-self.sizes.astype(np.int64) // BLOCK))
        if (self.sizes < 0).any() or (self.starts != np.append(0, ends)).any() or self.starts[-1] != blocks:
            raise ValueError("a list doesn't begin where the one before it ends")
        if not 0 <= self.rows.min(initial=0) <= self.rows.max(initial=0) < max(n, 1):
            raise ValueError(f"lists name rows that are not among the {n}")


@kernel
def _pack(places: Array, codes: Array, packed: Array) -> None:
    """Write `codes` (m, positions) at their places into `packed` (bytes,), which holds 0 there."""
    positions = codes.shape[1]
    for e in range(codes.shape[0]):
        block, lane = places[e] // BLOCK, places[e] % BLOCK
        start = 16 * positions * block + (lane & 15)
        shift = np.uint8(4 * (lane >> 4))
        for m in range(positions):
            packed[start + 16 * m] |= codes[e, m] << shift


@kernel
def _unpack(places: Array, packed: Array, codes: Array) -> None:
    """Fill `codes` (m, positions) with what `_pack` wrote at these places."""
    positions = codes.shape[1]
    for e in range(codes.shape[0]):
        block, lane = places[e] // BLOCK, places[e] % BLOCK
        start = 16 * positions * block + (lane & 15)
        for m in range(positions):
            codes[e, m] = (packed[start + 16 * m] >> np.uint8(4 * (lane >> 4))) & np.uint8(15)


def padded_positions(positions: int, words: int) -> int:
    """Return the positions that are packed where codes are below `words`: of 16, the next multiple of `GROUP`."""
    return -(-positions // GROUP) * GROUP if words == NARROW else positions


def _code_bytes(blocks: int, positions: int, words: int) -> int:
    """Return how long the codes of so many blocks are."""
    return blocks * BLOCK * positions // (2 if words == NARROW else 1)


def pack(entries: Entries, n_lists: int, words: int) -> Lists:
    """Pack entries whose codes are below `words`, 16 or 256, into lists, within each in the order given."""
    sizes = np.bincount(entries.lists, minlength=n_lists).astype(np.int32)
    starts = np.zeros(n_lists + 1, np.int32)
    np.cumsum(-(-sizes // BLOCK), out=starts[1:])
    order = np.argsort(entries.lists, kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = _places(starts, sizes)
    blocks, positions = int(starts[-1]), entries.codes.shape[1]
    rows = np.zeros(blocks * BLOCK, np.int32)
    rows[places] = entries.rows
    length = _code_bytes(blocks, positions, words)
    codes = np.zeros(length + _BEHIND, np.uint8)
    if words == NARROW:
        _pack(places, entries.codes, codes)
    else:
        codes[:length].reshape(blocks * BLOCK, positions)[places] = entries.codes
    biases = np.zeros(blocks * BLOCK if len(entries.biases) else 0, np.uint16)
    if len(biases):
        biases[places] = entries.biases
    return Lists(starts, sizes, rows, codes, biases)


def unpack(lists: Lists, positions: int, words: int) -> Entries:
    """Return the entries that `pack` packed, list by list."""
    places = _places(lists.starts, lists.sizes)
    codes = np.empty((len(places), positions), np.uint8)
    if words == NARROW:
        _unpack(places, lists.codes, codes)
    else:
        length = len(lists.rows) * positions
        codes[:] = lists.codes[:length].reshape(len(lists.rows), positions)[places]
    own = np.repeat(np.arange(len(lists.sizes), dtype=np.int32), lists.sizes)
    biases = lists.biases[places] if len(lists.biases) else lists.biases
    return Entries(own, lists.rows[places], codes, biases)


def join(first: Entries, second: Entries) -> Entries:
    """Return the entries of both."""
    pairs: list[Any] = list(zip(first, second, strict=True))
    return Entries(*(np.concatenate(pair) for pair in pairs))


def _places(starts: NDArray[np.int32], sizes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the places of all entries, list by list."""
    before = np.cumsum(sizes, dtype=np.int64) - sizes
    within = np.arange(int(sizes.sum()), dtype=np.int64) - np.repeat(before, sizes)
    return within + np.repeat(starts[:-1].astype(np.int64) * BLOCK, sizes)
