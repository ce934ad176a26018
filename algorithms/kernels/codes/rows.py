"""Distances that a search computes on float32 rows or on scalar-quantised codes alike, by the type of the rows.

The codes are those of `algorithms.kernels.codes.scalar_quantizer`, which makes them and knows no search.

A distance is a *rank*, an int32 that orders as the distances do: squared euclidean, or minus the inner product where a
kernel is told `inner`.

A row of codes is bytes: its codes c, shifted by 128 into uint8, padding, and in the last four bytes |c|^2 as int32, or
0 where inner products are wanted. The query's own codes q are int8, followed by zeros to a multiple of 64. Then
|c - q|^2 = |c|^2 - 2 (c + 128).q + (|q|^2 + 256 sum(q)); the last bracket, the query's *offset*, is computed once.
With float32 rows there is nothing to compute once: there the offset is what tells the two distances apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from algorithms.kernels.bundle import matrix, vector
from algorithms.kernels.jit import FASTMATH, kernel
from algorithms.kernels.simd.distance import dot, squared_l2
from algorithms.kernels.simd.instructions import dot_bytes, float_bits, load_int32, prefetch
from algorithms.kernels.simd.lanes import LANES, largest, load, maximum, spread, store, store_bytes

Array = Any

_OPTIONS = {"fastmath": FASTMATH}


@kernel
def float_rank(rows: Array, i: int, query: Array, inner: int) -> Any:
    """Return the rank of row i, (n, dim) of any type, for a float32 query (dim,)."""
    if inner:
        bits = float_bits(-dot(rows, i, query))
        # The bits of a float order as the float does; of a negative one, the other way round.
        return bits if bits >= 0 else bits ^ np.int32(0x7FFFFFFF)
    return float_bits(squared_l2(rows, i, query))


@kernel
def code_rank(rows: Array, i: int, query: Array, offset: int) -> Any:
    """Return the rank of row i of the codes (n, stride) uint8 for a query's codes with their offset."""
    return load_int32(rows, i, rows.shape[1] - 4) - 2 * dot_bytes(rows, i, query) + offset


@kernel
def query_offset(query: Array, inner: bool) -> Any:
    """Return the offset of a query's codes (width,) int8: |q|^2 + 256 sum(q), or the second term alone."""
    squares, total = np.int32(0), np.int32(0)
    for j in range(query.shape[0]):
        code = np.int32(query[j])
        squares += code * code
        total += code
    if inner:
        squares = np.int32(0)
    return np.int64(squares + np.int32(256) * total)


@kernel
def quantize(values: Array, scale: float, codes: Array) -> None:
    """Fill the first codes, (dim or more,) int8, with values (dim,) times `scale`, rounded and cut off at 8 bits."""
    dim, factor = values.shape[0], np.float32(scale)
    whole = dim - dim % LANES
    for start in range(0, whole, LANES):
        store_bytes(codes, start, load(values, start) * spread(factor))
    for j in range(whole, dim):
        codes[j] = np.int8(min(max(np.rint(values[j] * factor), np.float32(-128.0)), np.float32(127.0)))


@kernel
def centre(query: Array, mean: Array, centred: Array) -> Any:
    """Fill `centred` (dim,) float32 with query - mean, and return its largest magnitude."""
    dim, zero = query.shape[0], spread(np.float32(0.0))
    whole, most = dim - dim % LANES, zero
    for start in range(0, whole, LANES):
        values = load(query, start) - load(mean, start)
        store(centred, start, values)
        most = maximum(most, maximum(values, zero - values))
    magnitude = largest(most)
    for j in range(whole, dim):
        centred[j] = query[j] - mean[j]
        magnitude = max(magnitude, abs(centred[j]))
    return magnitude


@kernel
def rotate_query(centred: Array, magnitude: float, basis: Array, basis_scales: Array, whole: Array, out: Array) -> None:
    """Fill out[:p] float32 with the products of a query `centred` (dim,) and the rows of a basis in codes, (p, stride).

    Each row has a scale of its own, (p,) float32. The query, whose largest `magnitude` is given, is rounded to 8 bits,
    too, in `whole` (width,) int8, zeros behind dim: with many dimensions the errors of one product cancel out, and far
    less is lost than by the codes of the rotated query.
    """
    if magnitude == 0.0:
        out[: basis.shape[0]] = np.float32(0.0)
        return
    quantize(centred, 127.0 / magnitude, whole)
    total = np.int32(0)
    for j in range(centred.shape[0]):
        total += np.int32(whole[j])
    unit = magnitude / 127.0
    for i in range(basis.shape[0]):
        out[i] = np.float32((dot_bytes(basis, i, whole) - 128 * total) * unit / basis_scales[i])


class Encoder(NamedTuple):
    """A scalar quantiser as queries are coded by it (`scalar_quantizer.make_encoder`), and the buffers for one query.

    `mean` (dim,) float32; `basis` (p, stride) uint8, p = 0 for no rotation, with its scales (p,) float32. Buffers:
    `centred` (dim,) and `rotated` (p,) float32, `whole` int8 of `rotate_query`, and `codes` (width,) int8, zeros behind
    the last one: the coded query.
    """

    mean: Array
    basis: Array
    basis_scales: Array
    centred: Array
    whole: Array
    rotated: Array
    codes: Array


@kernel
def unbundle_encoder(table: Array, first: int) -> Encoder:
    """Return the encoder whose arrays are bundled from the one numbered `first` on."""
    return Encoder(
        mean=vector(table, first, np.float32),
        basis=matrix(table, first + 1, np.uint8),
        basis_scales=vector(table, first + 2, np.float32),
        centred=vector(table, first + 3, np.float32),
        whole=vector(table, first + 4, np.int8),
        rotated=vector(table, first + 5, np.float32),
        codes=vector(table, first + 6, np.int8),
    )


@kernel
def encode_query(query: Array, inner: bool, scale: float, encoder: Encoder) -> Any:
    """Fill `encoder.codes` with a query's codes in steps of 1 / `scale`, and return their offset; `query` (dim,)."""
    magnitude = centre(query, encoder.mean, encoder.centred)
    if encoder.basis.shape[0] == 0:
        quantize(encoder.centred, scale, encoder.codes)
    else:
        rotate_query(encoder.centred, magnitude, encoder.basis, encoder.basis_scales, encoder.whole, encoder.rotated)
        quantize(encoder.rotated, scale, encoder.codes)
    return query_offset(encoder.codes, inner)


@kernel
def _load_codes(rows: Array, i: int, query: Array, inner: bool) -> Any:
    query[:] = 0
    for j in range(rows.shape[1] - 4):
        query[j] = np.int8(np.int16(rows[i, j]) - np.int16(128))
    return query_offset(query, inner)


@kernel
def _load_floats(rows: Array, i: int, query: Array, inner: bool) -> Any:
    for j in range(rows.shape[1]):
        query[j] = rows[i, j]
    return np.int64(inner)


def rank(rows: Any, i: int, query: Any, offset: int) -> int:
    """Return the rank of row i for a query: float32 rows go with a float32 query, codes with int8 codes."""
    return int(code_rank(rows, i, query, offset) if rows.dtype == np.uint8 else float_rank(rows, i, query, offset))


@overload(rank, jit_options=_OPTIONS)  # type: ignore[untyped-decorator]
def _rank(rows: Any, i: Any, query: Any, offset: Any) -> Any:
    del i, query, offset

    def of_codes(rows: Any, i: Any, query: Any, offset: Any) -> Any:
        return code_rank(rows, i, query, offset)

    def of_floats(rows: Any, i: Any, query: Any, offset: Any) -> Any:
        return float_rank(rows, i, query, offset)

    return of_codes if rows.dtype is types.uint8 else of_floats


def load_row(rows: Any, i: int, query: Any, inner: bool) -> int:
    """Make row i the query: fill `query`, of the type that goes with the rows, and return its offset."""
    return int(_load_codes(rows, i, query, inner) if rows.dtype == np.uint8 else _load_floats(rows, i, query, inner))


@overload(load_row, jit_options=_OPTIONS)  # type: ignore[untyped-decorator]
def _load_row(rows: Any, i: Any, query: Any, inner: Any) -> Any:
    del i, query, inner

    def codes(rows: Any, i: Any, query: Any, inner: Any) -> Any:
        return _load_codes(rows, i, query, inner)

    def floats(rows: Any, i: Any, query: Any, inner: Any) -> Any:
        return _load_floats(rows, i, query, inner)

    return codes if rows.dtype is types.uint8 else floats


@kernel
def prefetch_row(rows: Array, i: int) -> None:
    """Ask for all cache lines of row i."""
    for offset in range(0, rows.strides[0], 64):
        prefetch(rows, i, offset)
