"""The rules of the tree: which module may import which, what stays light, and how large a file may get.

The rules are those of the design: `cli -> report -> analyse -> store` and
`cli -> measure -> plan -> {registry, store} -> {contract, dataset} -> metric`. They are read off the syntax tree, so an
import inside a function counts as one at the top.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("harness", "algorithms")

LEAVES = {
    "errors",
    "atomic",
    "console",
    "document",
    "folders",
    "free_cores",
    "lock",
    "places",
    "programs",
    "spec",
    "validation",
    "waiting",
}
LEAVES |= {"file_kind", "file_notes", "kernels"}
_DATA = {"metric", "contract", "hdf5_layout", "dataset", "truth_checks", "dataset_checks"}
_STORES = {*_DATA, "registry", "store"}
_TRUTH = {*_DATA, "registry", "groundtruth", "sources"}

# What each part of `harness` may import, leaves and itself aside. A part that isn't listed may import all but `cli`,
# and no listed one may import it.
MAY_IMPORT: dict[str, set[str]] = {
    **{leaf: set() for leaf in LEAVES},
    "metric": set(),
    "contract": {"metric"},
    "hdf5_layout": {"metric", "contract"},
    "dataset": {"metric", "contract", "hdf5_layout"},
    "truth_checks": {"metric", "contract", "dataset"},
    "dataset_checks": {"metric", "contract", "hdf5_layout", "dataset", "truth_checks"},
    "registry": _DATA,
    "store": _DATA,
    "conformance": {*_DATA, "registry"},
    "groundtruth": {*_DATA, "registry"},
    "sources": _TRUTH,
    "plan": {*_STORES, "sources"},
    "measure": {*_STORES, "sources", "groundtruth", "plan", "conformance"},
    "analyse": {*_DATA, "store"},
    "studies": {*_TRUTH, "measure", "store", "analyse", "embedding"},
    "compare": {*_STORES, "sources", "plan", "measure", "analyse"},
    "choosing": {*_STORES, "sources", "plan", "measure", "analyse", "tune"},
    "tune": {*_STORES, "sources", "plan", "measure", "analyse", "compare"},
    "report": {*_DATA, "registry", "store", "analyse", "studies", "embedding", "compare", "choosing"},
    "embedding": {*_TRUTH, "plan", "measure", "store", "analyse", "conformance"},
    "interop": {*_STORES, "sources", "plan", "analyse"},
}

# Libraries that belong to one part of the tree.
OWNED = {
    "matplotlib": ("harness", "report"),
    "torch": ("harness", "embedding"),
    "transformers": ("harness", "embedding"),
    "optuna": ("harness", "tune"),
}

_LIGHT = {
    *("matplotlib", "torch", "numba", "pandas", "h5py", "faiss", "scipy", "sklearn", "plotly", "jinja2"),
    *("hnswlib", "annoy", "scann", "pyarrow", "optuna"),
}


@cache
def _sources() -> tuple[Path, ...]:
    found = [p for package in PACKAGES for p in (ROOT / package).rglob("*.py") if "__pycache__" not in p.parts]
    return tuple(sorted(found))


def _module(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _imports(path: Path) -> Iterator[tuple[tuple[str, ...], int]]:
    return _imports_of(path.read_text(encoding="utf-8"), list(path.relative_to(ROOT).parts[:-1]))


def _imports_of(text: str, package: list[str]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield (dotted name as a tuple, line) of every import in the text of a file, relative ones resolved."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split(".")), node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            for alias in node.names:  # `from harness import store` imports harness.store
                yield (*base, alias.name), node.lineno


def _name(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_imports_within_the_harness_go_one_way() -> None:
    """No part of `harness` imports one that stands above it."""
    parts = {_module(path)[1] for path in _sources() if _module(path)[0] == "harness" and len(_module(path)) > 1}
    wrong = []
    for path in _sources():
        module = _module(path)
        if module[0] != "harness":
            continue
        part = module[1] if len(module) > 1 else ""
        for target, line in _imports(path):
            if target[0] != "harness" or len(target) < 2 or target[1] not in parts:
                continue
            allowed = MAY_IMPORT.get(part, parts - {"cli"}) | LEAVES | {part}
            if part in LEAVES:
                allowed = LEAVES
            if part not in ("cli", "__main__") and target[1] not in allowed:
                wrong.append(f"{_name(path, line)}: {part or 'harness'} imports {target[1]}")
    assert not wrong, "\n".join(wrong)


def test_the_rules_name_parts_that_could_exist() -> None:
    """The table of rules has no cycle, so that "one way" means something."""
    order: list[str] = []
    left = dict(MAY_IMPORT)
    while left:
        free = [part for part, needs in left.items() if not (needs - {part} - set(order))]
        assert free, f"a cycle among {sorted(left)}"
        order += free
        left = {part: needs for part, needs in left.items() if part not in free}


def test_algorithms_import_only_the_contract_and_their_own() -> None:
    """An algorithm imports a few modules of `harness`, its own folder and the shared kernels."""
    allowed = {"contract", "metric", "errors", "folders"}
    wrong = []
    for path in _sources():
        module = _module(path)
        if module[0] != "algorithms":
            continue
        own = module[1] if len(module) > 1 else ""
        for target, line in _imports(path):
            foreign = target[0] == "harness" and (len(target) < 2 or target[1] not in allowed)
            sibling = target[0] == "algorithms" and (len(target) < 2 or target[1] not in {own, "kernels"})
            if foreign or sibling:
                wrong.append(f"{_name(path, line)}: {'.'.join(target)}")
    assert not wrong, "\n".join(wrong)


def test_the_harness_never_names_an_algorithm() -> None:
    """`harness` reaches `algorithms` through the registry alone: no import, and no import by a string."""
    wrong = [
        f"{_name(path, line)}: {'.'.join(target)}"
        for path in _sources()
        if _module(path)[0] == "harness"
        for target, line in _imports(path)
        if target[0] == "algorithms"
    ]
    for path in _sources():
        if _module(path)[0] != "harness":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {
                "import_module",
                "__import__",
            }:
                named = node.args and isinstance(node.args[0], ast.Constant) and str(node.args[0].value)
                if named and str(named).startswith("algorithms"):
                    wrong.append(f"{_name(path, node.lineno)}: {named}")
    assert not wrong, "\n".join(wrong)


def test_each_heavy_library_has_one_owner() -> None:
    """Only `harness/report` imports matplotlib, and only `harness/embedding` torch and transformers."""
    wrong = [
        f"{_name(path, line)}: {target[0]}"
        for path in _sources()
        for target, line in _imports(path)
        if target[0] in OWNED and _module(path)[:2] != OWNED[target[0]]
    ]
    assert not wrong, "\n".join(wrong)


def test_data_folders_hold_no_python() -> None:
    """`datasets/`, `results/` and `plots/` hold no Python: `datasets` would shadow a library of that name."""
    found = [str(p) for folder in ("datasets", "results", "plots") for p in (ROOT / folder).rglob("*.py")]
    assert not found


def test_no_file_has_a_name_that_says_nothing() -> None:
    """No module is a drawer for odds and ends."""
    names = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    found = [path for path in [*_sources(), *(ROOT / "tests").rglob("*.py")] if path.stem in names]
    assert not found


def test_every_public_module_says_what_it_is_for() -> None:
    """Each module that holds anything starts with a docstring."""
    bare = []
    for path in _sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and not ast.get_docstring(tree):
            bare.append(str(path.relative_to(ROOT)))
    assert not bare


def test_no_file_outgrows_its_reader() -> None:
    """No Python file of ours, tests included, is longer than 400 lines."""
    long = {
        str(path.relative_to(ROOT)): count
        for path in [*_sources(), *(ROOT / "tests").rglob("*.py")]
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long


@pytest.mark.parametrize("module", ["harness", "harness.store", "harness.dataset", "harness.plan", "harness.analyse"])
def test_importing_the_harness_is_light(module: str) -> None:
    """The package and its data modules load no heavy library: those wait until they are used."""
    code = f"import {module}, sys; print(*sorted({{n.split('.')[0] for n in sys.modules}} & {_LIGHT!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_every_form_of_import_is_seen() -> None:
    """The rules see imports inside functions, relative ones, and `from harness import x`."""
    text = "def f():\n    from harness import store\n    import matplotlib.pyplot as p\nfrom . import index\n"
    text += "from ..kernels.topk import push\n"
    assert {target for target, _ in _imports_of(text, ["algorithms", "hnsw"])} == {
        ("harness", "store"),
        ("matplotlib", "pyplot"),
        ("algorithms", "hnsw", "index"),
        ("algorithms", "kernels", "topk", "push"),
    }
