"""Asking for memory ahead of its use: a search knows what it will read long before it gets there."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 64
"""Bytes of a cache line."""


def _prefetch_twin(array: Any, first: int, count: int) -> None:
    """Do nothing: only time is at stake."""


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch_intrinsic(typingctx: Any, array: Any, first: Any, count: Any) -> Any:
    """Emit a `prefetch` to all levels of the cache for each line of array[first : first + count]."""
    del typingctx, first, count  # whatever integers come are converted to the signature's

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, number = ir.IntType(8), ir.IntType(32)
        kind = signature.args[0]
        size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        function = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), number, number, number])
        instruction = cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0")
        data = builder.bitcast(context.make_array(kind)(context, builder, args[0]).data, byte.as_pointer())
        start = builder.gep(data, [builder.mul(args[1], ir.Constant(args[1].type, size))])
        lines = builder.add(builder.mul(args[2], ir.Constant(args[2].type, size)), ir.Constant(args[2].type, LINE - 1))
        lines = builder.lshr(lines, ir.Constant(lines.type, 6))
        with cgutils.for_range(builder, lines) as loop:
            address = builder.gep(start, [builder.shl(loop.index, ir.Constant(loop.index.type, 6))])
            builder.call(instruction, [address, number(0), number(1), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


prefetch = _prefetch_twin if config.DISABLE_JIT else _prefetch_intrinsic
"""prefetch(array, first, count): ask for the memory of items first ... first + count - 1 of a contiguous array.

Items are counted as in array.ravel(). Addresses outside the array do no harm.
"""
