"""What the libraries of this very process run: the kernels that each BLAS picked, the instructions of others."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

DECLARATION = "__kernels__"
"""A module says by this name which instructions its compiled code runs with, such as "avx2"."""

# A wheel keeps its shared libraries in a folder of its own: numpy.libs, faiss_cpu.libs, torch/lib.
_WHEEL = re.compile(r"site-packages/([\w]+?)(?:\.libs|\.dylibs)?/")
_NAMES = {"faiss_cpu": "faiss", "scikit_learn": "sklearn"}


def loaded_kernels() -> list[dict[str, str]]:
    """List what runs: `library`, `runs` (openblas, mkl, faiss, ...), `version` and `architecture`, "" where not known.

    By what is loaded, so call it after an index was built. Nothing is imported for it.
    """
    from threadpoolctl import threadpool_info

    found = [
        _kernel(_owner(str(pool.get("filepath", ""))), pool["internal_api"], pool.get("version"), pool["architecture"])
        for pool in threadpool_info()
        if pool.get("architecture")
    ]
    # A module that is loaded may still be broken: then it tells nothing.
    for name, tells in (("faiss", _faiss), ("torch", _torch)):
        with contextlib.suppress(Exception):
            found += [_kernel(name, name, *tells())] if name in sys.modules else []
    for name, module in sorted(sys.modules.items()):
        declared = getattr(module, "__dict__", {}).get(DECLARATION)
        if isinstance(declared, str):
            found.append(_kernel(name.partition(".")[0], name, "", declared))
    return sorted(found, key=lambda one: (one["library"], one["runs"]))


def _kernel(library: str, runs: object, version: object, architecture: object) -> dict[str, str]:
    return {
        "library": library,
        "runs": str(runs),
        "version": str(version or ""),
        "architecture": str(architecture or ""),
    }


def _owner(path: str) -> str:
    """Name the distribution that a shared library came with; where there is none, the library's file."""
    match = _WHEEL.search(path)
    name = match[1] if match else Path(path).name
    return _NAMES.get(name, name)


def _faiss() -> tuple[str, str]:
    """Say which of its builds the loader took, and with which options it was compiled."""
    faiss = sys.modules["faiss"]
    builds = [name.removeprefix("faiss.swigfaiss").strip("_") or "generic" for name in sys.modules if _is_build(name)]
    level = faiss.SIMDConfig.get_level_name() if hasattr(faiss, "SIMDConfig") else ""
    options = " ".join(str(faiss.get_compile_options()).split())
    return faiss.__version__, f"{level or '+'.join(sorted(builds))} ({options})"


def _is_build(name: str) -> bool:
    return name.startswith("faiss.swigfaiss")


def _torch() -> tuple[str, str]:
    torch = sys.modules["torch"]
    return torch.__version__, torch.backends.cpu.get_cpu_capability()
