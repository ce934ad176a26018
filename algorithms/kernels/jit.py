"""How kernels are compiled: the options they share, and a cache that notices every changed kernel.

numba's own cache looks only at the file of the function that it compiles, not at the functions that this one calls. So
the cache folder carries a hash of all kernel sources in its name: change one and all are compiled anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# Full fastmath would let LLVM assume that there is no inf and no nan, which kernels use as sentinels.
FASTMATH = {"reassoc", "contract", "nsz"}

_ROOT = Path(__file__).parent.parent


def cache_folder() -> Path:
    """Return where compiled kernels are kept: under the user's cache folder, named by a hash of all kernel sources."""
    digest = hashlib.sha256(numba.__version__.encode())
    for file in sorted([*_ROOT.glob("kernels/*.py"), *_ROOT.glob("*/*kernels.py")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "annbench" / f"kernels-{digest.hexdigest()[:12]}"


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(cache_folder())


def kernel(function: Function) -> Function:
    """Compile `function` in nopython mode, without the GIL, cached, with the fast mathematics sentinels survive."""
    compiled: Function = numba.njit(cache=True, nogil=True, fastmath=FASTMATH)(function)
    return compiled
