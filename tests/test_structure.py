"""The rules of the tree: which module may import which, what stays light, and how large a file may get.

The rules are those of the design. They are read off the syntax tree, so an import inside a function counts as one at
the top.
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

# The rooms of `harness` from the top down. A room may import those that stand in a row below its own, as far as
# `MAY_IMPORT` names them: what nobody uses is no permission.
ORDER: tuple[tuple[str, ...], ...] = (
    ("cli", "testing"),
    ("api",),
    ("report",),
    ("choosing",),
    ("tune", "studies"),
    ("compare", "embedding", "interop"),
    ("measure",),
    ("plan",),
    ("analyse",),
    ("workloads",),
    ("store",),
    ("engines",),
    ("data",),
    ("core",),
)

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "data": {"core"},
    "engines": {"core", "data"},
    "store": {"core", "data"},
    "workloads": {"core", "data", "engines", "store"},
    "analyse": {"core", "store", "workloads"},
    "plan": {"core", "data", "engines", "store", "workloads"},
    "measure": {"core", "data", "engines", "store", "workloads", "plan"},
    "interop": {"core", "data", "store", "workloads", "analyse"},
    "compare": {"core", "data", "engines", "store", "workloads", "analyse", "plan", "measure"},
    "embedding": {"core", "data", "engines", "store", "analyse"},
    "studies": {"core", "data", "engines", "workloads", "analyse", "measure", "embedding"},
    "tune": {"core", "data", "engines", "store", "workloads", "analyse", "plan", "measure", "compare"},
    "choosing": {"core", "data", "engines", "store", "analyse", "plan", "measure", "tune"},
    "report": {
        *("core", "data", "engines", "store", "workloads"),
        *("analyse", "studies", "embedding", "compare", "choosing"),
    },
    "testing": {"core", "engines", "measure"},
}

# Files at the top of `harness`: what a plug-in of the first contract imports, and the package itself.
DOORS = {"contract": "engines", "metric": "data", "errors": "core"}

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
            for alias in node.names:  # `from harness import store` imports harness.store.results
                yield (*base, alias.name), node.lineno


def _name(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def _arrows() -> Iterator[tuple[str, str, str]]:
    """Yield (room, imported room, where) of each import of one room of `harness` by another."""
    for path in _sources():
        module = _module(path)
        if module[0] != "harness" or len(module) < 2:
            continue
        for target, line in _imports(path):
            if target[0] == "harness" and len(target) > 1 and target[1] not in (module[1], "__version__"):
                yield module[1], target[1], _name(path, line)


def test_imports_within_the_harness_go_one_way() -> None:
    """No room of `harness` imports one that it has no permission for."""
    free = {"cli", "api", "__main__"}
    wrong = [
        f"{where}: {room} imports {target}"
        for room, target, where in _arrows()
        if (target in {"cli", "testing", *DOORS} and room != "__main__")
        or (room in DOORS and target != DOORS[room])
        or (room not in free and room not in DOORS and target not in MAY_IMPORT[room])
    ]
    assert not wrong, "\n".join(wrong)


def test_every_permission_points_downward() -> None:
    """A room may import from rows below its own only, so that there is no circle and no arrow back."""
    row = {room: number for number, rooms in enumerate(ORDER) for room in rooms}
    assert set(MAY_IMPORT) | {"cli", "api"} == set(row)
    back = [(room, target) for room, allowed in MAY_IMPORT.items() for target in allowed if row[target] <= row[room]]
    assert not back


def test_every_permission_is_used() -> None:
    """A permission that no import uses is taken away."""
    used: dict[str, set[str]] = {}
    for room, target, _ in _arrows():
        used.setdefault(room, set()).add(target)
    unused = {room: allowed - used.get(room, set()) for room, allowed in MAY_IMPORT.items()}
    assert not {room: names for room, names in unused.items() if names}


def test_every_room_is_in_the_order() -> None:
    """Each package of `harness` stands in the order, and nothing else lies at its top but doors and the verbs."""
    rooms = {room for row in ORDER for room in row}
    found = {path.name.removesuffix(".py") for path in (ROOT / "harness").iterdir() if path.name != "__pycache__"}
    assert found - {"__init__", "__main__", "py.typed"} == rooms | set(DOORS)


def rooms_table() -> str:
    """Make the table of rooms that CONTRIBUTING shows: from their own docstrings, and what they may import."""
    lines = ["| room | what | may import |", "|---|---|---|"]
    for room in (room for row in ORDER for room in row):
        path = ROOT / "harness" / room
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        about = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
        allowed = MAY_IMPORT.get(room)
        names = "all below" if allowed is None else ", ".join(r for row in ORDER for r in row if r in allowed)
        lines.append(f"| `harness/{room}` | {' '.join(about.split())} | {names or 'nothing of ours'} |")
    return "\n".join(lines) + "\n"


def test_the_table_in_contributing_is_the_rules() -> None:
    """CONTRIBUTING shows the rooms as these rules have them; `python tests/test_structure.py` writes its table."""
    assert rooms_table() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_algorithms_import_only_the_contract_and_their_own() -> None:
    """An algorithm or wrapper imports a few modules of `harness`, its own folder and the shared kernels."""
    allowed = {("engines", "contract"), ("data", "metric"), ("core", "errors"), ("core", "folders")}
    wrong = []
    for path in _sources():
        module = _module(path)
        if module[0] != "algorithms":
            continue
        inside = 3 if module[1:2] == ("libraries",) else 2
        own = module[1:inside]
        for target, line in _imports(path):
            foreign = target[0] == "harness" and target[1:3] not in allowed
            sibling = target[0] == "algorithms" and target[1:inside] != own and target[1:2] != ("kernels",)
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


_LIGHT_MODULES = (
    "harness",
    "harness.store.results",
    "harness.data.dataset",
    "harness.engines.registry",
    "harness.plan",
)


@pytest.mark.parametrize("module", _LIGHT_MODULES)
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


def write_table() -> None:
    """Put the table of rooms in the place of the one in CONTRIBUTING."""
    page = ROOT / "CONTRIBUTING.md"
    text = page.read_text(encoding="utf-8")
    start = text.index("| room |")
    page.write_text(text[:start] + rooms_table() + text[text.index("\n\n", start) + 1 :], encoding="utf-8")


if __name__ == "__main__":
    write_table()
