"""How kernels are compiled: whose code the cache may serve, and which instructions a target gets."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import pytest
from numba.core.codegen import get_host_cpu_features

from algorithms.kernels import jit
from algorithms.kernels.jit import cache_folder, kernel_sources

ROOT = Path(__file__).resolve().parents[3]
ALGORITHMS = ROOT / "algorithms"

# Decorators that make numba compile a function, here or where a kernel calls it.
COMPILED = {"kernel", "njit", "jit", "intrinsic", "overload", "vectorize", "guvectorize", "register_jitable"}
COMPILED |= {"register_model", "lower_builtin", "overload_method", "stencil"}

# Sorts more keys than there are: silent where bounds aren't checked, as long as the memory is the process's own.
SORT_TOO_MANY = """
import numpy as np
from algorithms.kernels.graph.pool import sort_keys
sort_keys(np.zeros(1000, np.int64)[:3], 9)
"""

# Compiles everything that names an instruction of one kind of processor, and checks a sum by each.
SPECIAL_INSTRUCTIONS = """
import numpy as np
from algorithms.kernels.codes.fast_scan import scan_block
from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.instructions import dot_bytes

@kernel
def both(rows, query, codes, tables, sums):
    scan_block(codes, 0, tables, 65535, sums)
    return dot_bytes(rows, 1, query)

sums = np.zeros(32, np.uint16)
rows, query = np.full((3, 64), 255, np.uint8), np.full(64, -128, np.int8)
assert both(rows, query, np.zeros(512, np.uint8), np.ones(512, np.uint8), sums) == -128 * 255 * 64
assert (sums == 32).all()
"""


def run(script, cache, **environment):
    """Run a script in an interpreter with these settings of compilation in its environment, all others removed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "ANNBENCH_"))}
    file = cache / "script.py"  # numba caches no kernel that lies in no file
    file.write_text(script)
    return subprocess.run(
        [sys.executable, str(file)],
        env={**inherited, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_bounds_are_checked_though_unchecked_kernels_are_cached(tmp_path):
    """Kernels that were compiled without checks aren't taken where NUMBA_BOUNDSCHECK asks for them."""
    unchecked = run(SORT_TOO_MANY, tmp_path)
    assert unchecked.returncode == 0, unchecked.stderr
    checked = run(SORT_TOO_MANY, tmp_path, NUMBA_BOUNDSCHECK="1")
    assert "IndexError" in checked.stderr
    assert len(list((tmp_path / "annbench").glob("kernels-*"))) == 2


def compiles(path):
    """Say whether a file has a function that numba compiles: by its decorator, called or not."""
    for node in ast.walk(ast.parse(path.read_text())):
        for decorator in getattr(node, "decorator_list", []):
            maker = decorator.func if isinstance(decorator, ast.Call) else decorator
            if getattr(maker, "attr", getattr(maker, "id", None)) in COMPILED:
                return True
    return False


def imported(path):
    """Return the modules of `algorithms` that a file imports from: kernels have their constants compiled in."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and node.module]
    assert all(node.level == 0 for node in nodes), f"{path}: the key follows absolute imports only"
    named = [node.module for node in nodes] + [f"{n.module}.{alias.name}" for n in nodes for alias in n.names]
    files = {ROOT / f"{name.replace('.', '/')}.py" for name in named if name.startswith("algorithms.")}
    return {file for file in files if file.is_file()}


def test_the_cache_key_covers_every_kernel():
    """Each file with a function that numba compiles, and each that it imports from, is part of the cache's key."""
    kernels = {path for path in ALGORITHMS.rglob("*.py") if compiles(path)}
    assert len(kernels) > 30
    looked_at = set(kernel_sources())
    assert not kernels - looked_at
    assert not {file for path in looked_at for file in imported(path)} - looked_at
    assert ALGORITHMS / "kernels" / "simd" / "aligned.py" in looked_at, "a constant of it is compiled into kernels"


def test_another_kernel_in_any_folder_is_another_key(monkeypatch, tmp_path):
    """A change of one file, a new one in a room of the kernels, and a moved one each lead to another cache."""
    copy = tmp_path / "algorithms"
    for path in [ALGORITHMS / "kernels" / "jit.py", ALGORITHMS / "hnsw" / "build_kernels.py"]:
        (copy / path.relative_to(ALGORITHMS)).parent.mkdir(parents=True)
        shutil.copy(path, copy / path.relative_to(ALGORITHMS))
    monkeypatch.setattr(jit, "_ROOT", copy)
    keys = [cache_folder().name]
    with (copy / "hnsw" / "build_kernels.py").open("a") as file:
        file.write("# changed\n")
    keys.append(cache_folder().name)
    room = copy / "kernels" / "a" / "b"
    room.mkdir(parents=True)
    (room / "new.py").write_text("from algorithms.kernels import jit\n\n@jit.kernel\ndef one():\n    return 1\n")
    keys.append(cache_folder().name)
    (room / "new.py").rename(copy / "kernels" / "new.py")
    keys.append(cache_folder().name)
    assert len(set(keys)) == 4
    (copy / "sizes.py").write_text("SIZE = 5\n")
    assert cache_folder().name == keys[-1], "no kernel knows of it"
    with (copy / "kernels" / "new.py").open("a") as file:
        file.write("from algorithms.sizes import SIZE\n")
    keys.append(cache_folder().name)
    (copy / "sizes.py").write_text("SIZE = 6\n")
    assert cache_folder().name not in keys


def test_each_setting_that_changes_code_has_a_cache_of_its_own(monkeypatch):
    """Bounds checks, optimisation and vectorisation each lead to another folder, the number of threads doesn't."""
    folders = {cache_folder()}
    for name, value in (("BOUNDSCHECK", 7), ("OPT", 1), ("LOOP_VECTORIZE", 0), ("SLP_VECTORIZE", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(numba.config, name, value)
            folders.add(cache_folder())
    assert len(folders) == 5
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1)
    assert cache_folder() in folders


def test_the_cache_lies_where_the_environment_says(monkeypatch, tmp_path):
    """A folder named for numba's caches is used, and within it the hash still keeps kernels apart."""
    before = cache_folder()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path / before.name


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("setting", [{"NUMBA_CPU_NAME": "generic"}, {"NUMBA_ENABLE_AVX": "0"}], ids=str)
def test_a_lesser_processor_gets_no_instruction_that_it_lacks(setting, tmp_path):
    """Told to compile for another processor than this one, or without AVX, kernels run on portable code."""
    done = run(SPECIAL_INSTRUCTIONS, tmp_path, **setting)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("level", ["portable", "avx2", "avx512"])
def test_kernels_are_held_to_less_than_the_processor_has(level, tmp_path):
    """ANNBENCH_SIMD chooses which instructions kernels use, with the same results; what can't be had is an error."""
    done = run(
        SPECIAL_INSTRUCTIONS + f"\nfrom algorithms.kernels.jit import SIMD_LEVEL\nassert SIMD_LEVEL == {level!r}",
        tmp_path,
        ANNBENCH_SIMD=level,
    )
    needed = {"portable": None, "avx2": "avx2", "avx512": "avx512bw"}[level]
    if needed is None or f"+{needed}" in get_host_cpu_features().split(","):
        assert done.returncode == 0, done.stderr
    else:
        assert f"this processor has no {needed}" in done.stderr


def test_an_unknown_level_is_an_error_that_names_those_that_exist(tmp_path):
    """A misspelt ANNBENCH_SIMD is told so, before anything is compiled."""
    done = run("import algorithms.kernels.jit", tmp_path, ANNBENCH_SIMD="sse9")
    assert "ANNBENCH_SIMD = 'sse9' is not known; use one of portable, avx2, avx512" in done.stderr


# Another user than root, to whom no file here belongs.
_NOBODY = 65534
_COMPILES = """
import sys, tempfile
if len(sys.argv) > 1:
    tempfile.tempdir = sys.argv[1]
import numpy as np
from algorithms.kernels.graph.pool import sort_keys
keys = np.array([3, 1, 2])
sort_keys(keys, 3)
print(keys.tolist())
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may become another user")
def test_kernels_run_where_nothing_can_be_written():
    """Where neither install nor home can be written, kernels are cached in the temporary folder, else not at all."""
    with tempfile.TemporaryDirectory() as temporary:  # pytest's own folders can't be read by others
        Path(temporary).chmod(0o777)

        def as_nobody(code, *arguments):
            return subprocess.run(
                [*("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"),
                 *(sys.executable, "-c", code, *arguments)],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "TMPDIR": temporary},
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )  # fmt: skip

        if as_nobody("import harness, tempfile; tempfile.TemporaryFile()").returncode:
            pytest.skip("another user can't run this interpreter")
        cached = as_nobody(_COMPILES)
        assert cached.stdout == "[1, 2, 3]\n", cached.stderr
        assert list(Path(temporary).glob(f"annbench-{_NOBODY}/kernels-*/*/*.nbi"))
        nowhere = as_nobody(_COMPILES, "/proc")
        assert nowhere.stdout == "[1, 2, 3]\n", nowhere.stderr
        assert "compiled anew in each process; set NUMBA_CACHE_DIR" in nowhere.stderr
