"""Vectors of 64 bytes and of 32 words that live in registers: look-ups in tables of 16 bytes, and sums of them.

`Bytes` and `Words` are numba types for LLVM's own vectors, as `Lanes` is (`algorithms.kernels.simd.lanes`), which LLVM
splits into what the processor has; without the compiler, the same kernels run on NumPy arrays. What is found for a
block of vectors goes on as `Integers` (`algorithms.kernels.simd.integer_lanes`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from algorithms.kernels.jit import target_has

BYTES = 64
"""Bytes a vector: four tables of 16."""
WORDS = 32
"""Words a vector."""

_BYTES = ir.VectorType(ir.IntType(8), BYTES)
_WORDS = ir.VectorType(ir.IntType(16), WORDS)
_INDEX = ir.IntType(32)


class Bytes(types.Type):  # type: ignore[misc]
    """The numba type of 64 uint8 in vector registers."""

    def __init__(self) -> None:
        super().__init__(name="uint8x64")


class Words(types.Type):  # type: ignore[misc]
    """The numba type of 32 uint16 in vector registers."""

    def __init__(self) -> None:
        super().__init__(name="uint16x32")


_bytes, _words = Bytes(), Words()


@register_model(Bytes)
class _BytesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _BYTES)


@register_model(Words)
class _WordsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _WORDS)


def _shuffle_instruction() -> tuple[str, int] | None:
    """Return the name and width in bytes of the target's byte shuffle; None where there is none that we know."""
    for feature, name, width in (
        ("avx512bw", "llvm.x86.avx512.pshuf.b.512", 64),
        ("avx2", "llvm.x86.avx2.pshuf.b", 32),
        ("ssse3", "llvm.x86.ssse3.pshuf.b.128", 16),
        ("neon", "llvm.aarch64.neon.tbl1.v16i8", 16),
    ):
        if target_has(feature):
            return name, width
    return None


SHUFFLE = None if config.DISABLE_JIT else _shuffle_instruction()
"""The target's byte shuffle: its name in LLVM and its width in bytes; None where there is none that we know."""


def _order(lanes: Any) -> Any:
    chosen = list(lanes)
    return ir.Constant(ir.VectorType(_INDEX, len(chosen)), chosen)


def _splat(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _nothing(kind: Any) -> Any:
    return ir.Constant(kind, ir.Undefined)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, start: Any, to: Any) -> Any:
    """Point to an item of a contiguous array as to a vector."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [start]), to.as_pointer())


def _load_bytes_twin(array: Any, start: int) -> Any:
    return array[start : start + BYTES].copy()


@intrinsic  # type: ignore[untyped-decorator]
def _load_bytes_intrinsic(typingctx: Any, array: Any, start: Any) -> Any:
    """Load 64 bytes."""
    del typingctx, start

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], args[0], args[1], _BYTES), align=1)

    return _bytes(array, types.intp), codegen


def _low_halves_twin(value: Any) -> Any:
    return value & np.uint8(15)


@intrinsic  # type: ignore[untyped-decorator]
def _low_halves_intrinsic(typingctx: Any, value: Any) -> Any:
    """Mask the lower four bits of each byte."""
    del typingctx, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.and_(args[0], _splat(_BYTES, 15))

    return _bytes(_bytes), codegen


def _high_halves_twin(value: Any) -> Any:
    return value >> np.uint8(4)


@intrinsic  # type: ignore[untyped-decorator]
def _high_halves_intrinsic(typingctx: Any, value: Any) -> Any:
    """Shift the upper four bits of each byte down."""
    del typingctx, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.lshr(args[0], _splat(_BYTES, 4))

    return _bytes(_bytes), codegen


def _look_up_twin(tables: Any, indices: Any) -> Any:
    rows = np.arange(BYTES) & ~15
    return tables[rows + indices]


@intrinsic  # type: ignore[untyped-decorator]
def _look_up_intrinsic(typingctx: Any, tables: Any, indices: Any) -> Any:
    """Shuffle bytes in pieces as wide as the machine has them."""
    del typingctx, tables, indices

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        assert SHUFFLE is not None  # noqa: S101 - kernels that need it have a portable form where there is none
        name, width = SHUFFLE
        part = ir.VectorType(ir.IntType(8), width)
        instruction = cgutils.get_or_insert_function(builder.module, ir.FunctionType(part, [part, part]), name)

        def piece(vector: Any, start: int) -> Any:
            return builder.shuffle_vector(vector, _nothing(_BYTES), _order(range(start, start + width)))

        parts = [builder.call(instruction, [piece(v, s) for v in args]) for s in range(0, BYTES, width)]
        while len(parts) > 1:
            order = _order(range(2 * parts[0].type.count))
            parts = [builder.shuffle_vector(a, b, order) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    return _bytes(_bytes, _bytes), codegen


def _no_words_twin() -> Any:
    return np.zeros(WORDS, np.uint16)


@intrinsic  # type: ignore[untyped-decorator]
def _no_words_intrinsic(typingctx: Any) -> Any:
    """Make 32 zeros."""
    del typingctx

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, builder, signature, args
        return _splat(_WORDS, 0)

    return _words(), codegen


def _add_pairs_twin(sums: Any, value: Any) -> Any:
    return sums + value.view(np.uint16)


@intrinsic  # type: ignore[untyped-decorator]
def _add_pairs_intrinsic(typingctx: Any, sums: Any, value: Any) -> Any:
    """Add pairs of bytes as they lie in memory."""
    del typingctx, sums, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.add(args[0], builder.bitcast(args[1], _WORDS))

    return _words(_words, _bytes), codegen


def _add_odd_twin(sums: Any, value: Any) -> Any:
    return sums + (value.view(np.uint16) >> np.uint16(8))


@intrinsic  # type: ignore[untyped-decorator]
def _add_odd_intrinsic(typingctx: Any, sums: Any, value: Any) -> Any:
    """Add the odd bytes, widened."""
    del typingctx, sums, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.add(args[0], builder.lshr(builder.bitcast(args[1], _WORDS), _splat(_WORDS, 8)))

    return _words(_words, _bytes), codegen


def _fold_twin(pairs: Any, odd: Any) -> Any:
    even = pairs - (odd << np.uint16(8))
    return np.stack([even.reshape(4, 8).sum(0, np.uint16), odd.reshape(4, 8).sum(0, np.uint16)], 1).ravel()


def _fold(builder: Any, pairs: Any, odd: Any) -> Any:
    """Add up the four groups of lanes of two accumulators; interleave their sums, 16 of them."""

    def columns(vector: Any) -> Any:
        while vector.type.count > 8:
            half = vector.type.count // 2
            low = builder.shuffle_vector(vector, _nothing(vector.type), _order(range(half)))
            high = builder.shuffle_vector(vector, _nothing(vector.type), _order(range(half, 2 * half)))
            vector = builder.add(low, high)
        return vector

    even = builder.sub(pairs, builder.shl(odd, _splat(_WORDS, 8)))
    order = _order(lane for i in range(8) for lane in (i, i + 8))
    return builder.shuffle_vector(columns(even), columns(odd), order)


def _totals_twin(pairs_low: Any, odd_low: Any, pairs_high: Any, odd_high: Any) -> Any:
    return np.concatenate([_fold_twin(pairs_low, odd_low), _fold_twin(pairs_high, odd_high)])


@intrinsic  # type: ignore[untyped-decorator]
def _totals_intrinsic(typingctx: Any, pairs_low: Any, odd_low: Any, pairs_high: Any, odd_high: Any) -> Any:
    """Fold what was found by the lower halves of codes, and by the upper ones."""
    del typingctx, pairs_low, odd_low, pairs_high, odd_high

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        halves = _fold(builder, *args[:2]), _fold(builder, *args[2:])
        return builder.shuffle_vector(*halves, _order(range(WORDS)))

    return _words(_words, _words, _words, _words), codegen


def _add_words_twin(left: Any, right: Any) -> Any:
    return np.minimum(left.astype(np.int64) + right, 65535).astype(np.uint16)


@intrinsic  # type: ignore[untyped-decorator]
def _add_words_intrinsic(typingctx: Any, left: Any, right: Any) -> Any:
    """Add with saturation: no sum wraps round."""
    del typingctx, left, right

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        kind = ir.FunctionType(_WORDS, [_WORDS, _WORDS])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.uadd.sat.v32i16"), args)

    return _words(_words, _words), codegen


def _load_words_twin(array: Any, start: int) -> Any:
    return array[start : start + WORDS].copy()


@intrinsic  # type: ignore[untyped-decorator]
def _load_words_intrinsic(typingctx: Any, array: Any, start: Any) -> Any:
    """Load 32 words."""
    del typingctx, start

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], args[0], args[1], _WORDS), align=2)

    return _words(array, types.intp), codegen


def _scale_words_twin(value: Any, factor: int) -> Any:
    return (value.astype(np.uint32) * np.uint32(factor) >> np.uint32(16)).astype(np.uint16)


@intrinsic  # type: ignore[untyped-decorator]
def _scale_words_intrinsic(typingctx: Any, value: Any, factor: Any) -> Any:
    """Multiply by a word and keep the upper half of each product."""
    del typingctx, value, factor
    wide = ir.VectorType(ir.IntType(32), WORDS)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        one = builder.insert_element(_nothing(_WORDS), builder.trunc(args[1], ir.IntType(16)), _INDEX(0))
        everywhere = builder.shuffle_vector(one, _nothing(_WORDS), _order([0] * WORDS))
        product = builder.mul(builder.zext(args[0], wide), builder.zext(everywhere, wide))
        return builder.trunc(builder.lshr(product, _splat(wide, 16)), _WORDS)

    return _words(_words, types.int64), codegen


def _store_words_twin(array: Any, start: int, value: Any) -> None:
    array[start : start + WORDS] = value


@intrinsic  # type: ignore[untyped-decorator]
def _store_words_intrinsic(typingctx: Any, array: Any, start: Any, value: Any) -> Any:
    """Store 32 words."""
    del typingctx, start, value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1], _WORDS)
        builder.store(args[2], pointer, align=2)
        return context.get_dummy_value()

    return types.none(array, types.intp, _words), codegen


def _words_below_twin(value: Any, limit: int) -> int:
    return sum(1 << lane for lane, one in enumerate(value.tolist()) if one < limit)


@intrinsic  # type: ignore[untyped-decorator]
def _words_below_intrinsic(typingctx: Any, value: Any, limit: Any) -> Any:
    """Compare every lane with a word, and give the answers as the bits of an integer."""
    del typingctx, value, limit

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        one = builder.insert_element(_nothing(_WORDS), builder.trunc(args[1], ir.IntType(16)), _INDEX(0))
        everywhere = builder.shuffle_vector(one, _nothing(_WORDS), _order([0] * WORDS))
        mask = builder.icmp_unsigned("<", args[0], everywhere)
        return builder.zext(builder.bitcast(mask, ir.IntType(WORDS)), ir.IntType(64))

    return types.int64(_words, types.int64), codegen


load_bytes = _load_bytes_twin if config.DISABLE_JIT else _load_bytes_intrinsic
"""load_bytes(array (n,) uint8, contiguous, start) -> Bytes: array[start : start + 64], all of which must exist."""

low_halves = _low_halves_twin if config.DISABLE_JIT else _low_halves_intrinsic
"""low_halves(value: Bytes) -> Bytes: the lower four bits of each byte."""

high_halves = _high_halves_twin if config.DISABLE_JIT else _high_halves_intrinsic
"""high_halves(value: Bytes) -> Bytes: the upper four bits of each byte."""

look_up = _look_up_twin if config.DISABLE_JIT else _look_up_intrinsic
"""look_up(tables: Bytes, indices: Bytes) -> Bytes: each index, below 16, in the table of its own 16 bytes.

Only where `SHUFFLE` is not None, or without the compiler.
"""

no_words = _no_words_twin if config.DISABLE_JIT else _no_words_intrinsic
"""no_words() -> Words: zeros."""

add_pairs = _add_pairs_twin if config.DISABLE_JIT else _add_pairs_intrinsic
"""add_pairs(sums: Words, value: Bytes) -> Words: adds even bytes + 256 * odd bytes to 16 bits, and may wrap round."""

add_odd = _add_odd_twin if config.DISABLE_JIT else _add_odd_intrinsic
"""add_odd(sums: Words, value: Bytes) -> Words: adds the odd bytes.

The sums of pairs, less 256 times those of odd bytes, are the sums of even ones: one instruction less than masking.
"""

totals = _totals_twin if config.DISABLE_JIT else _totals_intrinsic
"""totals(pairs_low, odd_low, pairs_high, odd_high: Words) -> Words: the sums of `add_pairs` and `add_odd`, by vector.

The four quarters of each are added up. Lanes 0-15 come from the first two, even and odd bytes in turn, 16-31 from the
last two.
"""

add_words = _add_words_twin if config.DISABLE_JIT else _add_words_intrinsic
"""add_words(left: Words, right: Words) -> Words: sums, 65535 at most."""

load_words = _load_words_twin if config.DISABLE_JIT else _load_words_intrinsic
"""load_words(array (n,) uint16, contiguous, start) -> Words: array[start : start + 32], all of which must exist."""

scale_words = _scale_words_twin if config.DISABLE_JIT else _scale_words_intrinsic
"""scale_words(value: Words, factor) -> Words: value * factor >> 16, the factor below 2^16."""

store_words = _store_words_twin if config.DISABLE_JIT else _store_words_intrinsic
"""store_words(array (n,) uint16, contiguous, start, value: Words): write array[start : start + 32]."""

words_below = _words_below_twin if config.DISABLE_JIT else _words_below_intrinsic
"""words_below(value: Words, limit) -> int64: bit j says whether lane j is below the limit, which is below 2^16."""
