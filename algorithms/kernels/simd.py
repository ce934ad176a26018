"""LLVM instructions that numba has no name for, each with a Python twin for runs without the compiler.

The vector types are LLVM's own, so that one text serves every processor: LLVM splits a vector of 32 floats into what
the machine has (two registers of AVX-512, four of AVX2, eight of NEON).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32


def _popcount_twin(word: int) -> int:
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


def _below_twin(products: Any, i: int, offsets: Any, start: int, threshold: float) -> int:
    """Return a mask of the lanes whose score is below the threshold: see `below`."""
    scores = offsets[start : start + LANES] - products[i, start : start + LANES]
    return sum(1 << lane for lane, score in enumerate(scores) if score < threshold)


@intrinsic  # type: ignore[untyped-decorator]
def _below_intrinsic(typingctx: Any, products: Any, i: Any, offsets: Any, start: Any, threshold: Any) -> Any:
    """Compare LANES scores at once: a vector subtraction, a vector comparison, and its bits as an integer."""
    del typingctx, i, start, threshold  # whatever integers and floats come are converted to the signature's
    floats, bits = ir.VectorType(ir.FloatType(), LANES), ir.IntType(LANES)

    def load(context: Any, builder: Any, kind: Any, array: Any, indices: list[Any]) -> Any:
        """Load LANES floats that begin at `indices`; the array's data is aligned to its items only."""
        parts = context.make_array(kind)(context, builder, array)
        shape, strides = cgutils.unpack_tuple(builder, parts.shape), cgutils.unpack_tuple(builder, parts.strides)
        item = cgutils.get_item_pointer2(context, builder, parts.data, shape, strides, kind.layout, indices)
        return builder.load(builder.bitcast(item, floats.as_pointer()), align=4)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left = load(context, builder, signature.args[2], args[2], [args[3]])
        right = load(context, builder, signature.args[0], args[0], [args[1], args[3]])
        one = builder.insert_element(ir.Constant(floats, ir.Undefined), args[4], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        limit = builder.shuffle_vector(one, ir.Constant(floats, ir.Undefined), zeros)
        mask = builder.fcmp_ordered("<", builder.fsub(left, right), limit)
        return builder.zext(builder.bitcast(mask, bits), ir.IntType(64))

    signature = types.int64(products, types.intp, offsets, types.intp, types.float32)
    return signature, codegen


popcount = _popcount_twin if config.DISABLE_JIT else _popcount_intrinsic
"""popcount(word: uint64) -> int64: how many bits are set."""

lowest_bit = _lowest_bit_twin if config.DISABLE_JIT else _lowest_bit_intrinsic
"""lowest_bit(mask: int64) -> int64: the position of the lowest bit that is set; the mask must not be 0."""

below = _below_twin if config.DISABLE_JIT else _below_intrinsic
"""below(products (m, n) float32, i, offsets (n,) float32, start, threshold: float32) -> int64.

Bit j of the mask says whether offsets[start + j] - products[i, start + j] < threshold, for j < LANES; all of them must
lie within the arrays. Nothing compares as below a NaN, or where the score is one.
"""
