"""How kernels are compiled: the options they share, and a cache that notices every changed kernel and setting.

numba's own cache looks only at the file of the function that it compiles, not at the functions that this one calls,
and not at how it was told to compile. So the cache folder carries a hash of all kernel sources and of those settings in
its name: change one and all are compiled anew. The processor's name and features are numba's own business: it indexes
by them. Kernels have the constants of other modules compiled in, too, so the files that they import from count as well.

ANNBENCH_SIMD in the environment holds kernels to less than the processor has: `avx2` compiles as for one without
AVX-512, and `portable` leaves out every instruction that kernels ask for by name, for the loops that stand in
elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.codegen import get_host_cpu_features
from numpy.typing import NDArray

from harness.core import folders
from harness.core.errors import ParameterError

Function = TypeVar("Function", bound=Callable[..., Any])

# Full fastmath would let LLVM assume that there is no inf and no nan, which kernels use as sentinels.
FASTMATH = {"reassoc", "contract", "nsz"}

_ROOT = Path(__file__).parent.parent

# Functions that numba compiles, and modules of ours that a text names.
_COMPILED = re.compile(
    r"^\s*@(?:\w+\.)*(?:kernel|n?jit|intrinsic|overload\w*|lower_\w+|register_\w+|typeof_impl|\w*vectorize|stencil)\b",
    re.MULTILINE,
)
_NAMED = re.compile(r"\balgorithms\.([a-z_0-9]+(?:\.[a-z_0-9]+)*)")

# The settings of numba, each read from the environment, that change the code which comes of one source.
_SETTINGS = (
    *("BOUNDSCHECK", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DISABLE_INTEL_SVML"),
    *(
        "DEBUGINFO_DEFAULT",
        "ENABLE_PROFILING",
        "JIT_COVERAGE",
        "DEBUG_NRT",
        "LLVM_REFPRUNE_PASS",
        "LLVM_REFPRUNE_FLAGS",
    ),
)

# What ANNBENCH_SIMD may say, and the feature that the processor must have for it.
_LEVELS = {"portable": None, "avx2": "avx2", "avx512": "avx512bw"}


def _features() -> list[str]:
    """Return the features of the processor that numba compiles for, as "+avx2" and "-avx512f"."""
    told = numba.config.CPU_FEATURES
    features: str = get_host_cpu_features() if told is None else told
    return features.split(",")


def _simd_level() -> str | None:
    """Return what ANNBENCH_SIMD holds kernels to; compile for it. Raises ParameterError where that can't be had."""
    level = os.environ.get("ANNBENCH_SIMD") or None
    if level is None:
        return None
    if level not in _LEVELS:
        raise ParameterError(f"ANNBENCH_SIMD = {level!r} is not known; use one of {', '.join(_LEVELS)}, or unset it")
    needed = _LEVELS[level]
    if needed is not None and f"+{needed}" not in _features():
        raise ParameterError(f"ANNBENCH_SIMD = {level}, but this processor has no {needed}; use portable, or unset it")
    if level == "avx2":
        without = [f"-{feature[1:]}" if feature.startswith("+avx512") else feature for feature in _features()]
        numba.config.CPU_FEATURES = ",".join(without)
    return level


SIMD_LEVEL = _simd_level()
"""What ANNBENCH_SIMD holds kernels to: "portable", "avx2" or "avx512"; None where it says nothing."""


def target_has(feature: str) -> bool:
    """Return whether kernels may use a feature, such as "avx2", of the processor that numba compiles for."""
    return SIMD_LEVEL != "portable" and f"+{feature}" in _features()


__kernels__ = "avx512" if target_has("avx512bw") else "avx2" if target_has("avx2") else "portable"
"""Which of the kernels' instructions are in force: results keep it."""


def kernel_sources() -> list[Path]:
    """Return the files whose content decides what kernels compile to, sorted.

    Those are all files with a function that numba compiles, and those of `algorithms` that they name, and so on.
    """
    texts = {file: file.read_text(encoding="utf-8") for file in _ROOT.rglob("*.py")}
    found = {Path(__file__)} & texts.keys()
    found |= {file for file, text in texts.items() if _COMPILED.search(text)}
    reached = list(found)
    while reached:
        for name in _NAMED.findall(texts[reached.pop()]):
            module = _ROOT.joinpath(*name.split("."))
            named = {module.with_suffix(".py"), module / "__init__.py", *module.glob("*.py")} & texts.keys() - found
            found |= named
            reached += named
    return sorted(found)


def cache_folder() -> Path:
    """Return where compiled kernels belong: in the user's cache folder, under a hash of all sources and settings.

    Where the environment names a folder for numba's caches (NUMBA_CACHE_DIR), it lies in there.
    """
    digest = hashlib.sha256(f"{numba.__version__} {SIMD_LEVEL}".encode())
    for name in _SETTINGS:
        digest.update(f"{name}={getattr(numba.config, name, None)!r}\0".encode())
    for file in kernel_sources():
        content = file.read_bytes()
        digest.update(f"{file.relative_to(_ROOT).as_posix()}\0{len(content)}\0".encode() + content)
    base = folders.cache_folder()
    return Path(os.environ.get("NUMBA_CACHE_DIR") or base) / f"kernels-{digest.hexdigest()[:12]}"


def _open_cache() -> bool:
    """Let numba cache in a folder that can be written; say where kernels are compiled anew in each process."""
    wanted = cache_folder()
    base = folders.writable_cache(wanted.parent)
    if base is None:
        warnings.warn(
            f"{wanted.parent} can't be written, nor can the temporary folder: kernels are compiled anew in each process"
            "; set NUMBA_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    numba.config.CACHE_DIR = str(base / wanted.name)
    return True


_CACHED = _open_cache()


def kernel(function: Function) -> Function:
    """Compile `function` in nopython mode, without the GIL, cached, with the fast mathematics sentinels survive."""
    compiled: Function = numba.njit(cache=_CACHED, nogil=True, fastmath=FASTMATH)(function)
    return compiled


def read_only(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return rows as kernels take them: C-contiguous float32, read-only, as numba compiles for writable ones apart."""
    flags = rows.flags
    if not flags.writeable and flags.c_contiguous and rows.dtype == np.float32:
        return rows
    view = np.ascontiguousarray(rows, np.float32).view()
    view.flags.writeable = False
    return view
