"""LLVM instructions that numba has no name for, each with a Python twin for runs without the compiler.

Vectors of floats, and what can be done with them, are in `algorithms.kernels.simd.lanes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from algorithms.kernels.jit import kernel, target_has
from algorithms.kernels.simd.aligned import CACHE_LINE

_BYTE_POINTER = ir.IntType(8).as_pointer()


def _byte_address(context: Any, builder: Any, kind: Any, array: Any, i: Any, offset: Any) -> Any:
    """Point to the byte that lies `offset` bytes after the start of array[i]."""
    parts = context.make_array(kind)(context, builder, array)
    place = builder.add(builder.mul(i, cgutils.unpack_tuple(builder, parts.strides)[0]), offset)
    return builder.gep(builder.bitcast(parts.data, _BYTE_POINTER), [place])


def _ask_for(builder: Any, address: Any, locality: int) -> None:
    """Emit the `prefetch` instruction for data to be read: `locality` 3 brings it into all caches, 1 past the first."""
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, number, number, number])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(prefetch, [address, number(0), number(locality), number(1)])


def _popcount_twin(word: Any) -> int:
    """Count the bits of a 64-bit word that are set."""
    return int(word).bit_count()


@intrinsic  # type: ignore[untyped-decorator]
def _popcount_intrinsic(typingctx: Any, word: Any) -> Any:
    """Count the bits of a uint64 that are set, by the `ctpop` instruction."""
    del typingctx

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        counter = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.IntType(64), [ir.IntType(64)]), "llvm.ctpop.i64"
        )
        return builder.call(counter, [args[0]])

    return types.int64(word), codegen


def _lowest_bit_twin(mask: int) -> int:
    """Return the position of the lowest bit that is set; the mask is not 0."""
    mask = int(mask)
    return (mask & -mask).bit_length() - 1


@intrinsic  # type: ignore[untyped-decorator]
def _lowest_bit_intrinsic(typingctx: Any, mask: Any) -> Any:
    """Return the position of the lowest bit of an int64 that is set, by the `cttz` instruction."""
    del typingctx

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        counter = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.IntType(64), [ir.IntType(64), ir.IntType(1)]), "llvm.cttz.i64"
        )
        return builder.call(counter, [args[0], ir.Constant(ir.IntType(1), 1)])

    return types.int64(mask), codegen


def _prefetch_twin(array: Any, i: int, offset: int) -> None:
    """Do nothing: a hint to the processor has no other effect."""


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch_intrinsic(typingctx: Any, array: Any, i: Any, offset: Any) -> Any:
    """Ask for the cache line that lies `offset` bytes after the start of array[i]."""
    del typingctx, i, offset

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _ask_for(builder, _byte_address(context, builder, signature.args[0], *args), 3)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


def _prefetch_items_twin(array: Any, first: int, count: int) -> None:
    """Do nothing: a hint to the processor has no other effect."""


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch_items_intrinsic(typingctx: Any, array: Any, first: Any, count: Any) -> Any:
    """Ask for a cache line every 64 bytes of some items: for one item that is one instruction, and no loop.

    Past the first cache: a span is used after other things, and would push those out. No search is faster with it
    brought all the way.
    """
    del typingctx, first, count  # whatever integers come are converted to the signature's

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, (array, first, count) = signature.args[0], args
        size = ir.Constant(count.type, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        data = builder.bitcast(context.make_array(kind)(context, builder, array).data, _BYTE_POINTER)
        start = builder.gep(data, [builder.mul(first, size)])
        bytes_and_line = builder.add(builder.mul(count, size), ir.Constant(count.type, CACHE_LINE - 1))
        lines = builder.udiv(bytes_and_line, ir.Constant(count.type, CACHE_LINE))
        with cgutils.for_range(builder, lines) as loop:
            _ask_for(builder, builder.gep(start, [builder.mul(loop.index, ir.Constant(count.type, CACHE_LINE))]), 1)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


def _shift_twin(array: Any, start: int, stop: int) -> None:
    """Move array[start:stop] one place up."""
    array[start + 1 : stop + 1] = array[start:stop].copy()


@intrinsic  # type: ignore[untyped-decorator]
def _shift_intrinsic(typingctx: Any, array: Any, start: Any, stop: Any) -> Any:
    """Move array[start:stop] one place up, by `memmove`."""
    del typingctx, start, stop

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = context.make_array(signature.args[0])(context, builder, args[0])
        source = builder.gep(parts.data, [args[1]])
        target = builder.gep(parts.data, [builder.add(args[1], ir.Constant(args[1].type, 1))])
        cgutils.raw_memmove(builder, target, source, builder.sub(args[2], args[1]), parts.itemsize)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


def _dot_bytes_twin(rows: Any, i: int, query: Any) -> int:
    """Sum rows[i] * query over the bytes of a row: see `dot_bytes`."""
    row = rows[i].astype(np.int64)
    return int(row @ query[: len(row)].astype(np.int64))


@kernel
def _dot_bytes_portable(rows: Any, i: int, query: Any) -> np.int32:
    """Do the same by a loop over 16-bit products, for processors without `vpdpbusd`."""
    total = np.int32(0)
    for j in range(rows.shape[1]):
        total += np.int32(np.int16(rows[i, j])) * np.int32(np.int16(query[j]))
    return total


@intrinsic  # type: ignore[untyped-decorator]
def _dot_bytes_vnni(typingctx: Any, rows: Any, i: Any, query: Any) -> Any:
    """Multiply 64 pairs of bytes at once and add each four of them, by the `vpdpbusd` instruction."""
    del typingctx, i
    sums = ir.VectorType(ir.IntType(32), 16)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        right = context.make_array(signature.args[2])(context, builder, args[2])
        width = cgutils.unpack_tuple(builder, right.shape)[0]
        zero, line = ir.Constant(width.type, 0), ir.Constant(width.type, 64)
        start = _byte_address(context, builder, signature.args[0], args[0], args[1], zero)
        query_start = builder.bitcast(right.data, _BYTE_POINTER)
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(sums, [sums, sums, sums]), "llvm.x86.avx512.vpdpbusd.512"
        )
        total = cgutils.alloca_once_value(builder, ir.Constant(sums, [0] * 16))
        with cgutils.for_range_slice(builder, zero, width, line, inc=True) as (offset, _):
            a, b = (
                builder.load(builder.bitcast(builder.gep(pointer, [offset]), sums.as_pointer()), align=1)
                for pointer in (start, query_start)
            )
            builder.store(builder.call(multiply_add, [builder.load(total), a, b]), total)
        add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.IntType(32), [sums]), "llvm.vector.reduce.add.v16i32"
        )
        return builder.call(add, [builder.load(total)])

    return types.int32(rows, types.intp, query), codegen


def _float_bits_twin(value: Any) -> int:
    """Return the bits of a float32 as an int32."""
    return int(np.float32(value).view(np.int32))


@intrinsic  # type: ignore[untyped-decorator]
def _float_bits_intrinsic(typingctx: Any, value: Any) -> Any:
    """Take a float32's bits for an int32: no instruction at all."""
    del typingctx, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


def _load_int32_twin(rows: Any, i: int, offset: int) -> int:
    """Read the int32 that begins at byte `offset` of rows[i]."""
    return int(rows[i, offset : offset + 4].view(np.int32)[0])


@intrinsic  # type: ignore[untyped-decorator]
def _load_int32_intrinsic(typingctx: Any, rows: Any, i: Any, offset: Any) -> Any:
    """Read an int32 from within a row of bytes by one load."""
    del typingctx, i, offset

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _byte_address(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(address, ir.IntType(32).as_pointer()), align=1)

    return types.int32(rows, types.intp, types.intp), codegen


popcount = _popcount_twin if config.DISABLE_JIT else _popcount_intrinsic
"""popcount(word: uint64) -> int64: how many bits are set."""

lowest_bit = _lowest_bit_twin if config.DISABLE_JIT else _lowest_bit_intrinsic
"""lowest_bit(mask: int64) -> int64: the position of the lowest bit that is set; the mask must not be 0."""

prefetch = _prefetch_twin if config.DISABLE_JIT else _prefetch_intrinsic
"""prefetch(array, i, offset): ask for the cache line `offset` bytes after the start of array[i].

Addresses outside the array do no harm, here and below.
"""

prefetch_items = _prefetch_items_twin if config.DISABLE_JIT else _prefetch_items_intrinsic
"""prefetch_items(array, first, count): ask for the memory of items first ... first + count - 1 of a contiguous array.

Items are counted as in array.ravel(); a last line that they only reach into may be left out.
"""

shift = _shift_twin if config.DISABLE_JIT else _shift_intrinsic
"""shift(array (n,), start, stop): move array[start:stop] one place up; stop < n, start <= stop."""

float_bits = _float_bits_twin if config.DISABLE_JIT else _float_bits_intrinsic
"""float_bits(value: float32) -> int32: the bits of the float, which order as floats do that are not negative."""

load_int32 = _load_int32_twin if config.DISABLE_JIT else _load_int32_intrinsic
"""load_int32(rows (n, stride) uint8, i, offset) -> int32: the four bytes of rows[i] from `offset` on, one number."""

_HAS_VNNI = target_has("avx512vnni")

dot_bytes = _dot_bytes_twin if config.DISABLE_JIT else _dot_bytes_vnni if _HAS_VNNI else _dot_bytes_portable
"""dot_bytes(rows (n, stride) uint8, i, query (width,) int8) -> int32: the sum of their products.

`width` is the next multiple of 64 from `stride` on; the query holds zeros where a row holds no factor. Reads up to 63
bytes past the row: the last one must have them behind it (`scalar_quantizer.allocate_codes`).
"""
