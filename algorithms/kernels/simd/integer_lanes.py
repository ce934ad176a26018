"""Vectors of 32 integers that live in registers: products of bytes, comparisons, and the lanes that a mask chooses.

`Integers` is a numba type for LLVM's own vector of 32 int32, as `Lanes` is for floats
(`algorithms.kernels.simd.lanes`). Without the compiler, the same kernels run on NumPy arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from algorithms.kernels.jit import target_has
from algorithms.kernels.simd.byte_lanes import Words

LANES = 32
"""Integers a vector."""
DOT_BYTES = 4 * LANES
"""Bytes that `add_dots` takes: four for each lane."""

_HALF = LANES // 2
_INTEGER = ir.IntType(32)
_INTEGERS = ir.VectorType(_INTEGER, LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)
_HAS_COMPRESS = target_has("avx512f")
_HAS_VNNI = target_has("avx512vnni")


class Integers(types.Type):  # type: ignore[misc]
    """The numba type of 32 int32 in vector registers."""

    def __init__(self) -> None:
        super().__init__(name="int32x32")


_integers = Integers()


@register_model(Integers)
class _IntegersModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _INTEGERS)


def _order(lanes: Any) -> Any:
    chosen = list(lanes)
    return ir.Constant(ir.VectorType(_INTEGER, len(chosen)), chosen)


def _nothing(kind: Any) -> Any:
    return ir.Constant(kind, ir.Undefined)


def _spread(builder: Any, value: Any) -> Any:
    """Copy an integer of any width into all lanes."""
    kind = ir.VectorType(_INTEGER, LANES)
    narrow = value if value.type == _INTEGER else builder.trunc(value, _INTEGER)
    one = builder.insert_element(_nothing(kind), narrow, _INTEGER(0))
    return builder.shuffle_vector(one, _nothing(kind), _order([0] * LANES))


def _item(context: Any, builder: Any, kind: Any, array: Any, start: Any) -> Any:
    """Point to an item of a contiguous array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [start])


def _no_integers_twin() -> Any:
    return np.zeros(LANES, np.int32)


@intrinsic  # type: ignore[untyped-decorator]
def _no_integers_intrinsic(typingctx: Any) -> Any:
    """Make 32 zeros."""
    del typingctx

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, builder, signature, args
        return ir.Constant(_INTEGERS, [0] * LANES)

    return _integers(), codegen


def _load_integers_twin(array: Any, start: int) -> Any:
    return array[start : start + LANES].copy()


@intrinsic  # type: ignore[untyped-decorator]
def _load_integers_intrinsic(typingctx: Any, array: Any, start: Any) -> Any:
    """Load 32 integers."""
    del typingctx, start

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _item(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(pointer, _INTEGERS.as_pointer()), align=4)

    return _integers(array, types.intp), codegen


def _store_integers_twin(array: Any, start: int, value: Any) -> None:
    array[start : start + LANES] = value


@intrinsic  # type: ignore[untyped-decorator]
def _store_integers_intrinsic(typingctx: Any, array: Any, start: Any, value: Any) -> Any:
    """Store 32 integers."""
    del typingctx, start, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _item(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(pointer, _INTEGERS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, _integers), codegen


def _widen_twin(value: Any, offset: int) -> Any:
    return value.astype(np.int32) + np.int32(offset)


@intrinsic  # type: ignore[untyped-decorator]
def _widen_intrinsic(typingctx: Any, value: Any, offset: Any) -> Any:
    """Zero-extend 32 words and add."""
    del typingctx, offset

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.add(builder.zext(args[0], _INTEGERS), _spread(builder, args[1]))

    return (_integers(value, types.int64), codegen) if isinstance(value, Words) else None


def _numbered_twin(first: int) -> Any:
    return np.arange(first, first + LANES, dtype=np.int32)


@intrinsic  # type: ignore[untyped-decorator]
def _numbered_intrinsic(typingctx: Any, first: Any) -> Any:
    """Add the number of each lane."""
    del typingctx, first

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.add(_spread(builder, args[0]), _order(range(LANES)))

    return _integers(types.int64), codegen


def _difference_twin(left: Any, right: Any) -> Any:
    return left - right


@intrinsic  # type: ignore[untyped-decorator]
def _difference_intrinsic(typingctx: Any, left: Any, right: Any) -> Any:
    """Subtract lane by lane."""
    del typingctx, left, right

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.sub(*args)

    return _integers(_integers, _integers), codegen


def _at_most_twin(value: Any, limit: Any) -> int:
    return sum(1 << lane for lane, one in enumerate(value.tolist()) if one <= limit)


@intrinsic  # type: ignore[untyped-decorator]
def _at_most_intrinsic(typingctx: Any, value: Any, limit: Any) -> Any:
    """Compare every lane with an integer, and give the answers as the bits of another."""
    del typingctx, value, limit

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        mask = builder.icmp_signed("<=", args[0], _spread(builder, args[1]))
        return builder.zext(builder.bitcast(mask, _INTEGER), ir.IntType(64))

    return types.int64(_integers, types.int32), codegen


def _append_twin(array: Any, count: int, value: Any, mask: int) -> None:
    chosen = [one for lane, one in enumerate(value) if int(mask) >> lane & 1]
    array[count : count + len(chosen)] = chosen


@intrinsic  # type: ignore[untyped-decorator]
def _append_intrinsic(typingctx: Any, array: Any, count: Any, value: Any, mask: Any) -> Any:
    """Move the chosen lanes to the front and store them with what lies behind, half a vector at a time."""
    del typingctx, count, value, mask

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, count, value, mask = args
        kind, bits = ir.VectorType(_INTEGER, _HALF), ir.VectorType(ir.IntType(1), _HALF)
        compress = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind, kind, bits]), "llvm.x86.avx512.mask.compress.v16i32"
        )
        popcount = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.IntType(16), [ir.IntType(16)]), "llvm.ctpop.i16"
        )
        for half in range(2):
            part = builder.shuffle_vector(value, _nothing(_INTEGERS), _order(range(half * _HALF, (half + 1) * _HALF)))
            shifted = builder.lshr(mask, ir.Constant(mask.type, half * _HALF))
            chosen = builder.trunc(shifted, ir.IntType(16))
            front = builder.call(compress, [part, ir.Constant(kind, [0] * _HALF), builder.bitcast(chosen, bits)])
            pointer = _item(context, builder, signature.args[0], array, count)
            builder.store(front, builder.bitcast(pointer, kind.as_pointer()), align=4)
            count = builder.add(count, builder.zext(builder.call(popcount, [chosen]), count.type))
        return context.get_dummy_value()

    return types.none(array, types.intp, _integers, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _append_portable(typingctx: Any, array: Any, count: Any, value: Any, mask: Any) -> Any:
    """Store all lanes, then move the chosen ones down one by one: each goes to where it lies, or before."""
    del typingctx, count, value, mask

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, count, value, mask = args
        start = _item(context, builder, signature.args[0], array, count)
        builder.store(value, builder.bitcast(start, _INTEGERS.as_pointer()), align=4)
        left = cgutils.alloca_once_value(builder, mask)
        place = cgutils.alloca_once_value(builder, ir.Constant(count.type, 0))
        trailing = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(mask.type, [mask.type, ir.IntType(1)]), "llvm.cttz.i64"
        )
        one = ir.Constant(mask.type, 1)

        def remaining() -> Any:
            return builder.icmp_unsigned("!=", builder.load(left), ir.Constant(mask.type, 0))

        with builder.if_then(remaining()):
            body = builder.append_basic_block("lane")
            end = builder.append_basic_block("lanes.end")
            builder.branch(body)
            builder.position_at_end(body)
            bits = builder.load(left)
            lane = builder.call(trailing, [bits, ir.Constant(ir.IntType(1), 1)])
            builder.store(builder.load(builder.gep(start, [lane])), builder.gep(start, [builder.load(place)]))
            builder.store(builder.add(builder.load(place), ir.Constant(count.type, 1)), place)
            builder.store(builder.and_(bits, builder.sub(bits, one)), left)
            builder.cbranch(remaining(), body, end)
            builder.position_at_end(end)
        return context.get_dummy_value()

    return types.none(array, types.intp, _integers, types.int64), codegen


def _add_dots_twin(sums: Any, codes: Any, at: int, query: Any, first: int) -> Any:
    factors = query[first : first + 4].astype(np.int32)
    return sums + (codes[at : at + DOT_BYTES].reshape(LANES, 4).astype(np.int32) * factors).sum(1, np.int32)


@intrinsic  # type: ignore[untyped-decorator]
def _add_dots_intrinsic(typingctx: Any, sums: Any, codes: Any, at: Any, query: Any, first: Any) -> Any:
    """Multiply and add by `vpdpbusd`, or in 32 bits where the processor hasn't got it."""
    del typingctx, sums, at, first

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, codes, at, query, first = args
        pointer = _item(context, builder, signature.args[1], codes, at)
        four = _item(context, builder, signature.args[3], query, first)
        if not _HAS_VNNI:
            narrow, wide = (ir.VectorType(ir.IntType(bits), DOT_BYTES) for bits in (8, 32))
            rows = builder.zext(builder.load(builder.bitcast(pointer, narrow.as_pointer()), align=1), wide)
            quarter = ir.VectorType(ir.IntType(8), 4)
            factors = builder.load(builder.bitcast(four, quarter.as_pointer()), align=1)
            everywhere = builder.shuffle_vector(factors, _nothing(quarter), _order([0, 1, 2, 3] * LANES))
            products = builder.mul(rows, builder.sext(everywhere, wide))
            for j in range(4):
                part = builder.shuffle_vector(products, _nothing(wide), _order(range(j, DOT_BYTES, 4)))
                total = builder.add(total, part)
            return total
        kind = ir.VectorType(_INTEGER, _HALF)
        number = builder.load(builder.bitcast(four, _INTEGER.as_pointer()), align=1)
        one = builder.insert_element(_nothing(kind), number, _INTEGER(0))
        factors = builder.shuffle_vector(one, _nothing(kind), _order([0] * _HALF))
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind, kind, kind]), "llvm.x86.avx512.vpdpbusd.512"
        )
        whole, halves = builder.bitcast(pointer, kind.as_pointer()), []
        for half in range(2):
            part = builder.shuffle_vector(total, _nothing(_INTEGERS), _order(range(half * _HALF, (half + 1) * _HALF)))
            rows = builder.load(builder.gep(whole, [_INTEGER(half)]), align=1)
            halves.append(builder.call(multiply_add, [part, rows, factors]))
        return builder.shuffle_vector(*halves, _order(range(LANES)))

    return _integers(_integers, codes, types.intp, query, types.intp), codegen


no_integers = _no_integers_twin if config.DISABLE_JIT else _no_integers_intrinsic
"""no_integers() -> Integers: zeros."""

load_integers = _load_integers_twin if config.DISABLE_JIT else _load_integers_intrinsic
"""load_integers(array (n,) int32, contiguous, start) -> Integers: array[start : start + 32], which must exist."""

store_integers = _store_integers_twin if config.DISABLE_JIT else _store_integers_intrinsic
"""store_integers(array (n,) int32, contiguous, start, value: Integers): write array[start : start + 32]."""

widen = _widen_twin if config.DISABLE_JIT else _widen_intrinsic
"""widen(value: Words, offset: int32) -> Integers: value + offset, which wraps round beyond int32."""

numbered = _numbered_twin if config.DISABLE_JIT else _numbered_intrinsic
"""numbered(first: int32) -> Integers: first, first + 1, ..."""

difference = _difference_twin if config.DISABLE_JIT else _difference_intrinsic
"""difference(left: Integers, right: Integers) -> Integers: left - right, which wraps round beyond int32."""

at_most = _at_most_twin if config.DISABLE_JIT else _at_most_intrinsic
"""at_most(value: Integers, limit: int32) -> int64: bit j says whether lane j is at most the limit."""

append = _append_twin if config.DISABLE_JIT else _append_intrinsic if _HAS_COMPRESS else _append_portable
"""append(array (n,) int32, contiguous, count, value: Integers, mask): write the lanes that the mask names, in order.

They go to array[count], array[count + 1], ...; what follows them up to array[count + 31], all of which must exist, is
overwritten.
"""

add_dots = _add_dots_twin if config.DISABLE_JIT else _add_dots_intrinsic
"""add_dots(sums: Integers, codes (n,) uint8, at, query (m,) int8, first) -> Integers: adds products of four bytes.

Lane j gets the sum of codes[at + 4 j + i] * query[first + i] over i = 0 ... 3.
"""
