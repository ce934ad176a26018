"""Which kernels a library picks for the processor: what chooses them, and a warning where they are too old for it.

A BLAS holds code for many processors and picks one kind when it is loaded. One that is older than the processor doesn't
know it, and may pick what runs at a third of the speed. Variables of the environment choose in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

KERNEL_VARIABLES = (
    "ANNBENCH_SIMD",
    "ATEN_CPU_CAPABILITY",
    "BLIS_ARCH_TYPE",
    "DNNL_MAX_CPU_ISA",
    "FAISS_DISABLE_CPU_FEATURES",
    "FAISS_OPT_LEVEL",
    "FAISS_SIMD_LEVEL",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NUMBA_CPU_FEATURES",
    "NUMBA_CPU_NAME",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
)
"""Variables that choose the kernels of a library; one that is set is part of a result's key."""

_REMEDY = "OPENBLAS_CORETYPE"

# The widest instructions that OpenBLAS's kernels of each name use, and the year of the processor that they are named
# after. A name that isn't here says nothing, such as those of other kinds of processor.
_SSE, _AVX, _AVX2, _AVX512 = range(4)
_KNOWN = {
    _SSE: "Katmai 1999, Coppermine 1999, Northwood 2002, Banias 2003, Prescott 2004, Core2 2006, Penryn 2007, "
    "Dunnington 2008, Nehalem 2008, Atom 2008, Nano 2008, Athlon 1999, Opteron 2003, Opteron_SSE3 2005, "
    "Barcelona 2007, Bobcat 2011",
    _AVX: "Sandybridge 2011, Bulldozer 2011, Piledriver 2012, Steamroller 2014, Excavator 2015",
    _AVX2: "Haswell 2013, Zen 2017",
    _AVX512: "SkylakeX 2017, Cooperlake 2020, SapphireRapids 2023",
}
_BY_NAME = {
    name.lower(): (name, level, year)
    for level, names in _KNOWN.items()
    for name, year in (one.split() for one in names.split(", "))
}
_NEEDED = {_AVX2: {"avx2", "fma"}, _AVX512: {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}}
_BEST = {_AVX2: "Haswell", _AVX512: "SkylakeX"}


def kernel_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those variables of an environment that choose kernels and are set, by name."""
    return {name: environment[name] for name in KERNEL_VARIABLES if environment.get(name)}


def in_words(variables: Mapping[str, str]) -> str:
    """Write variables as a shell takes them."""
    return " ".join(f"{name}={value}" for name, value in sorted(variables.items()))


def warning(kernel: Mapping[str, Any], flags: Iterable[str]) -> str:
    """Say that a library took kernels older than the processor, and what to do; empty where it did not.

    `kernel` is one of those that `harness.measure.loaded.loaded_kernels` lists, `flags` are the processor's.
    """
    known = _BY_NAME.get(str(kernel.get("architecture") or "").lower())
    if kernel.get("runs") != "openblas" or known is None:
        return ""
    name, level, year = known
    here = set(flags)
    best = max((have for have, needed in _NEEDED.items() if needed <= here), default=_SSE)
    if level >= best:
        return ""
    version = f" {kernel['version']}" if kernel.get("version") else ""
    return (
        f"{kernel['library']}'s OpenBLAS{version} took its kernels for {name}, a processor of {year}; "
        f"{_REMEDY}={_BEST[best]} before the command makes it faster"
    )
