"""Sums of table look-ups for codes of 4 bits, 32 vectors at a time in registers (Andre, Kermarrec, Le Scouarnec 2015).

A block holds the codes of 32 vectors: for each group of 4 code positions 64 bytes, of which 16 belong to each position.
Byte i of the 16 has the code of vector i in its lower half and that of vector i + 16 in its upper half. The tables of a
query, 16 bytes a position, lie in the same order, so that one shuffle of 64 bytes looks up 64 codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from algorithms.kernels.jit import kernel, target_has

Array = Any

BLOCK = 32
"""Vectors a block."""
SEGMENT = 32
"""Code positions come in segments of so many, after each of which a block may be abandoned."""
LARGEST_CODE = 256
"""Code positions whose bytes can be summed in 16 bits."""

_BYTES = ir.VectorType(ir.IntType(8), 64)
_WORDS = ir.VectorType(ir.IntType(16), 32)


def _scan_block_twin(codes: Any, at: int, tables: Any, threshold: int, sums: Any) -> int:
    """Add up the looked-up bytes of one block in NumPy: see `scan_block`."""
    positions = tables.shape[0] >> 4
    packed = codes[at : at + 16 * positions].reshape(positions, 16)
    indices = np.concatenate([packed & 15, packed >> 4], axis=1)
    totals = np.take_along_axis(tables.reshape(positions, 16), indices, axis=1).sum(axis=0, dtype=np.int64)
    sums[:] = totals
    return sum(1 << i for i in range(BLOCK) if totals[i] < threshold)


def _scan_block_loop(codes: Any, at: int, tables: Any, threshold: int, sums: Any) -> int:
    """Add up the looked-up bytes of one block by a loop, for processors without a byte shuffle: see `scan_block`."""
    mask = 0
    for i in range(BLOCK):
        total = np.int64(0)
        for j in range(tables.shape[0] >> 4):
            byte = np.int64(codes[at + 16 * j + (i & 15)])
            total += np.int64(tables[16 * j + ((byte >> 4) if i >= 16 else (byte & 15))])
        sums[i] = total
        if total < threshold:
            mask |= 1 << i
    return mask


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


def _shuffle(builder: Any, tables: Any, indices: Any) -> Any:
    """Emit a look-up of 64 indices below 16, each in the table of its own 16 bytes, in pieces that the machine has."""
    assert SHUFFLE is not None  # noqa: S101 - the twin stands in where there is no such instruction
    name, width = SHUFFLE
    part = ir.VectorType(ir.IntType(8), width)
    instruction = cgutils.get_or_insert_function(builder.module, ir.FunctionType(part, [part, part]), name)

    def piece(vector: Any, start: int) -> Any:
        return builder.shuffle_vector(vector, ir.Constant(_BYTES, ir.Undefined), _lanes(range(start, start + width)))

    parts = [builder.call(instruction, [piece(tables, s), piece(indices, s)]) for s in range(0, 64, width)]
    while len(parts) > 1:
        lanes = _lanes(range(2 * parts[0].type.count))
        parts = [builder.shuffle_vector(a, b, lanes) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _lanes(lanes: Any) -> Any:
    chosen = list(lanes)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(chosen)), chosen)


def _splat(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _columns(builder: Any, even: Any, odd: Any) -> Any:
    """Add up the four groups of lanes of two accumulators; interleave their sums, 16 of them."""

    def fold(vector: Any) -> Any:
        while vector.type.count > 8:
            half = vector.type.count // 2
            nothing = ir.Constant(vector.type, ir.Undefined)
            low = builder.shuffle_vector(vector, nothing, _lanes(range(half)))
            vector = builder.add(low, builder.shuffle_vector(vector, nothing, _lanes(range(half, 2 * half))))
        return vector

    order = [lane for i in range(8) for lane in (i, i + 8)]
    return builder.shuffle_vector(fold(even), fold(odd), _lanes(order))


@intrinsic  # type: ignore[untyped-decorator]
def _scan_block_intrinsic(typingctx: Any, codes: Any, at: Any, tables: Any, threshold: Any, sums: Any) -> Any:
    """Emit `scan_block`: 64 bytes of codes a step, sums of even and odd bytes in 16 bits, comparison to a mask."""
    del typingctx, at, threshold  # whatever integers come are converted to the signature's

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def data(i: int) -> Any:
            return context.make_array(signature.args[i])(context, builder, args[i]).data

        def load(pointer: Any) -> Any:
            return builder.load(builder.bitcast(pointer, _BYTES.as_pointer()), align=1)

        length = cgutils.unpack_tuple(builder, context.make_array(signature.args[2])(context, builder, args[2]).shape)[
            0
        ]
        first, table = builder.gep(data(0), [args[1]]), data(2)
        accumulators = [cgutils.alloca_once_value(builder, _splat(_WORDS, 0)) for _ in range(4)]

        one = builder.insert_element(
            ir.Constant(_WORDS, ir.Undefined), builder.trunc(args[3], ir.IntType(16)), ir.Constant(ir.IntType(32), 0)
        )
        limit = builder.shuffle_vector(one, ir.Constant(_WORDS, ir.Undefined), _lanes([0] * BLOCK))

        def gather(looked_up: Any, whole: Any, odd: Any) -> None:
            # A 16-bit lane holds an even byte and an odd one. The sum of lanes, less 256 times that of the odd
            # bytes, is the sum of the even ones: one instruction less than masking.
            words = builder.bitcast(looked_up, _WORDS)
            builder.store(builder.add(builder.load(whole), words), whole)
            builder.store(builder.add(builder.load(odd), builder.lshr(words, _splat(_WORDS, 8))), odd)

        segments = builder.lshr(length, ir.Constant(length.type, 9))
        mask = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(BLOCK), 0))
        with cgutils.for_range(builder, segments) as segment:
            start = builder.shl(segment.index, ir.Constant(segment.index.type, 9))
            for group in range(SEGMENT // 4):
                offset = builder.add(start, ir.Constant(start.type, 64 * group))
                packed, entries = load(builder.gep(first, [offset])), load(builder.gep(table, [offset]))
                lower = builder.and_(packed, _splat(_BYTES, 15))
                upper = builder.lshr(packed, _splat(_BYTES, 4))
                gather(_shuffle(builder, entries, lower), *accumulators[:2])
                gather(_shuffle(builder, entries, upper), *accumulators[2:])
            halves = []
            for whole, odd in (accumulators[:2], accumulators[2:]):
                odd_sums = builder.load(odd)
                even_sums = builder.sub(builder.load(whole), builder.shl(odd_sums, _splat(_WORDS, 8)))
                halves.append(_columns(builder, even_sums, odd_sums))
            totals = builder.shuffle_vector(*halves, _lanes(range(BLOCK)))
            below = builder.bitcast(builder.icmp_unsigned("<", totals, limit), ir.IntType(BLOCK))
            builder.store(below, mask)
            builder.store(totals, builder.bitcast(data(4), _WORDS.as_pointer()), align=2)
            with builder.if_then(builder.icmp_unsigned("==", below, ir.Constant(below.type, 0)), likely=False):
                segment.do_break()
        return builder.zext(builder.load(mask), ir.IntType(64))

    return types.int64(codes, types.intp, tables, types.int64, sums), codegen


if config.DISABLE_JIT:
    scan_block = _scan_block_twin
elif SHUFFLE is None:
    scan_block = kernel(_scan_block_loop)
else:
    scan_block = _scan_block_intrinsic
"""scan_block(codes (bytes,) uint8, at, tables (16 * positions,) uint8, threshold, sums (32,) uint16) -> int64.

Sums, for each of the 32 vectors of the block that begins at byte `at`, the table entries that its codes select, into
`sums`. Bit i of the mask says whether sums[i] < threshold, which is below 2^16. The number of positions is a multiple
of `SEGMENT`, `LARGEST_CODE` at most. Sums only grow, so a block may be left after a segment that puts all of them above
the threshold: `sums` mean something only where the mask isn't 0.
"""


@kernel
def pack_block(sketches: Array, ids: Array, first: int, codes: Array, at: int) -> None:
    """Write the codes of sketches[ids[first : first + 32]] as the block at byte `at` of `codes`.

    `sketches` (n, positions) uint8, each below 16. Vectors beyond the end of `ids` get codes of 0.
    """
    positions = sketches.shape[1]
    for i in range(min(BLOCK, ids.shape[0] - first)):
        sketch = sketches[ids[first + i]]
        shift = np.uint8(4 * (i >> 4))
        place = at + (i & 15)
        for j in range(positions):
            codes[place + 16 * j] |= sketch[j] << shift
