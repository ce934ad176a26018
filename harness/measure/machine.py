"""The machine that measures: what it is, how it is set up, and a key that keeps its results apart from others'."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from harness.core.version import __version__
from harness.measure.cgroups import allowed

NAME_VARIABLE = "ANNBENCH_MACHINE"

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


@cache
def describe_machine() -> dict[str, Any]:
    """Describe the hardware and the operating system: what a reader needs to judge a figure."""
    info = _cpu()
    memory = psutil.virtual_memory().total
    identity = {
        "cpu": info["cpu"],
        "cores": psutil.cpu_count(logical=False) or 0,
        "threads": psutil.cpu_count() or 0,
        # Rounded, since virtual machines of one kind differ by a few megabytes.
        "memory_gib": round(memory / 2**30),
        "system": platform.system(),
        "architecture": platform.machine(),
    }
    container = allowed()
    if container.cpus is not None:
        # A quota makes another machine of it, for builds by several threads above all. A limit of memory does not: it
        # decides what ends, and not how fast it is. Where there is no quota the key is what it always was.
        identity["cpu_quota"] = round(container.cpus, 2)
    name = os.environ.get(NAME_VARIABLE, "")
    text = repr(sorted({**identity, "flags": info["flags"], "name": name}.items()))
    return {
        "key": hashlib.sha256(text.encode()).hexdigest()[:12],
        "name": name,
        **identity,
        "flags": info["flags"],
        "memory_limit": container.memory,
        "caches": _caches(),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "transparent_huge_pages": _chosen(_first_line("/sys/kernel/mm/transparent_hugepage/enabled")),
        "kernel": platform.release(),
        "pinning": hasattr(os, "sched_setaffinity"),
    }


def _cpu() -> dict[str, Any]:
    """Read the processor's name and vector flags; from /proc where there is one, as py-cpuinfo takes a second."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        import cpuinfo

        found = cpuinfo.get_cpu_info()
        return {"cpu": found.get("brand_raw", platform.processor()), "flags": _vector_flags(found.get("flags", []))}
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return {"cpu": fields.get("model name") or platform.machine(), "flags": _vector_flags(flags)}


def _vector_flags(flags: list[str]) -> list[str]:
    telling = ("sse4", "avx", "fma", "f16c", "amx", "asimd", "sve", "neon", "popcnt")
    return sorted({flag for flag in flags if flag.startswith(telling)})


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_first_line(str(index / name)) for name in ("level", "type", "size"))
        if level and size:
            found[f"L{level} {kind.lower()}"] = size
    return found


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip().split("\n")[0]
    except OSError:
        return ""


def _chosen(line: str) -> str:
    """Pick the bracketed word of `always [madvise] never`."""
    return line.partition("[")[2].partition("]")[0] or "unknown"


def describe_libraries() -> dict[str, Any]:
    """Describe the software of this very process: Python, NumPy, and every BLAS and OpenMP with its threads."""
    from threadpoolctl import threadpool_info

    pools = [
        {
            "library": pool.get("internal_api"),
            "version": pool.get("version"),
            "threads": pool.get("num_threads"),
            "architecture": pool.get("architecture"),
        }
        for pool in threadpool_info()
    ]
    return {"python": platform.python_version(), "numpy": version("numpy"), "thread_pools": pools}


@cache
def describe_code() -> dict[str, Any]:
    """Describe this code: its version, and in a checkout the commit and whether it was changed since."""
    found: dict[str, Any] = {"annbench": __version__}
    root = Path(__file__).resolve().parents[2]
    if (root / ".git").exists():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            found["git_commit"] = _git_output(root, "rev-parse", "--short=12", "HEAD")
            found["git_dirty"] = bool(_git_output(root, "status", "--porcelain", "-uno"))
    return found


def _git_output(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()


def thread_environment(threads: int) -> dict[str, str]:
    """Return the variables that hold every common thread pool to `threads`, for a child's environment."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def steal_ticks(cores: list[int]) -> int:
    """Return the hypervisor's steal on `cores` since boot, in clock ticks; 0 where the system doesn't say."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    wanted = {f"cpu{core}" for core in cores}
    rows = (line.split() for line in lines if line.startswith("cpu"))
    return sum(int(fields[8]) for fields in rows if fields[0] in wanted and len(fields) > 8)
