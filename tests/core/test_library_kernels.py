"""Which kernels a library's BLAS picked, and what is said of those that are older than the processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.core.library_kernels import kernel_variables, warning
from harness.store.spec import BuildSpec, Provenance, SearchSpec, freeze

SSE = ("popcnt", "sse4_1", "sse4_2")
AVX2 = (*SSE, "avx", "avx2", "f16c", "fma")
AVX512 = (*AVX2, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl", "avx512_vnni")


def kernel(architecture: str, **changes: str) -> dict[str, str]:
    """Return a kernel as the wheel of faiss brings it."""
    return {"library": "faiss", "runs": "openblas", "version": "0.3.15", "architecture": architecture, **changes}


@pytest.mark.parametrize(
    ("architecture", "flags", "remedy"),
    [
        *((name, AVX512, "SkylakeX") for name in ("Barcelona", "Nehalem", "Prescott", "Sandybridge", "Haswell", "Zen")),
        *((name, AVX2, "Haswell") for name in ("Barcelona", "Nehalem", "Prescott", "Sandybridge", "Excavator")),
        *((name, AVX2, "") for name in ("Haswell", "Zen", "SkylakeX")),
        *((name, AVX512, "") for name in ("SkylakeX", "Cooperlake", "SapphireRapids", "sapphirerapids")),
        # Part of AVX-512, as the first Xeon Phi has it, is not what SkylakeX's kernels need.
        ("Haswell", (*AVX2, "avx512f", "avx512cd"), ""),
        ("Barcelona", SSE, ""),
        # Names that nobody knows say nothing: other kinds of processor, and those to come.
        *((name, AVX512, "") for name in ("neoversen1", "ARMV8", "unknown", "Zen9", "")),
    ],
)
def test_kernels_older_than_the_processor_are_told(architecture: str, flags: tuple[str, ...], remedy: str) -> None:
    """With the remedy that this processor can run; nothing is said where they fit."""
    said = warning(kernel(architecture), flags)
    assert (f"OPENBLAS_CORETYPE={remedy} " in said) if remedy else (said == "")


def test_the_warning_names_the_library_and_the_processor() -> None:
    """It is the sentence that a reader of the figures needed; of what is no OpenBLAS it says nothing."""
    assert warning(kernel("Barcelona"), AVX2) == (
        "faiss's OpenBLAS 0.3.15 took its kernels for Barcelona, a processor of 2007; "
        "OPENBLAS_CORETYPE=Haswell before the command makes it faster"
    )
    assert warning(kernel("Barcelona", runs="mkl"), AVX2) == ""


def test_variables_count_where_they_are_set() -> None:
    """An empty one is as good as none."""
    environment = {"OPENBLAS_CORETYPE": "Haswell", "ANNBENCH_SIMD": "", "HOME": "/root"}
    assert kernel_variables(environment) == {"OPENBLAS_CORETYPE": "Haswell"}


def spec(**changes: Any) -> BuildSpec:
    """Return a build of brute_force."""
    fields: dict[str, Any] = {
        "dataset": "digits-64-euclidean",
        "metric": "euclidean",
        "workload": "knn",
        "terms": freeze({"k": 10, "mode": "single"}),
        "folder": "mine/10/block",
        "threads": 1,
        "build_threads": 2,
        "queries": 50,
        "algorithm": "brute_force",
        "params": freeze({"block": 32}),
        "provenance": Provenance("ab" * 32, "cd" * 8, (("numpy", "2.0"),), "5f2a9c01"),
        "searches": (SearchSpec(freeze({"ef": 40})),),
    }
    return BuildSpec(**{**fields, **changes})


def test_keys_of_stored_results_stay_where_nothing_is_set() -> None:
    """The name is that of a file which an earlier version wrote; a variable that is set makes another one."""
    plain = spec()
    (search,) = plain.searches
    assert plain.stem(search) == "block-32_ef-40-a0ad6ebb"
    chosen = spec(provenance=plain.provenance._replace(kernels=(("OPENBLAS_CORETYPE", "Haswell"),)))
    own = spec(environment=(("OPENBLAS_CORETYPE", "Haswell"),))
    assert len({one.stem(search) for one in (plain, chosen, own)}) == 3
    for one in (plain, chosen, own):
        assert BuildSpec.from_json(one.to_json()) == one


@pytest.mark.skipif(sys.platform != "linux", reason="reads which libraries a process has loaded")
def test_what_is_loaded_is_listed() -> None:
    """By the library that brought it; what from-scratch kernels run is declared by them."""
    code = (
        "import json, faiss, algorithms.kernels.jit\n"
        "from harness.measure.loaded import loaded_kernels\n"
        "print(json.dumps(loaded_kernels()))"
    )
    environment = {**os.environ, "ANNBENCH_SIMD": "portable", "OPENBLAS_CORETYPE": "Nehalem"}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, env=environment
    )
    import json

    found = {(one["library"], one["runs"]): one for one in json.loads(done.stdout)}
    assert found["algorithms", "algorithms.kernels.jit"]["architecture"] == "portable"
    assert found["faiss", "faiss"]["version"]
    assert "OPTIMIZE" in found["faiss", "faiss"]["architecture"]
    if ("faiss", "openblas") in found:
        assert found["faiss", "openblas"]["architecture"] == "Nehalem"
