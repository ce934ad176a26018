"""LLVM instructions that numba has no name for, each with a Python twin for runs without the compiler."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


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


popcount = _popcount_twin if config.DISABLE_JIT else _popcount_intrinsic
