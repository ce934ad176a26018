"""The rooms of the kernels: which may import which."""

import ast
from pathlib import Path

KERNELS = Path(__file__).resolve().parents[3] / "algorithms" / "kernels"

# From the bottom up: a room imports those before it, and those at the end none of each other.
ORDER = ("simd", "select", "graph", "codes")
ENDS = ("lists", "trees")


def test_rooms_import_one_way():
    """No room of the kernels imports one that comes after it, and none imports an algorithm."""
    rooms = [path.name for path in KERNELS.iterdir() if (path / "__init__.py").exists()]
    assert sorted(rooms) == sorted([*ORDER, *ENDS])
    wrong = []
    for path in KERNELS.rglob("*.py"):
        room = path.parent.name
        allowed = ORDER if room in ENDS else ORDER[: ORDER.index(room)] if room in ORDER else ()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("algorithms."):
                _, package, *rest = node.module.split(".")
                target = rest[0] if rest else node.names[0].name
                if package != "kernels" or (target in rooms and target not in (room, *allowed)):
                    wrong.append(f"{path.relative_to(KERNELS)}: {node.module}")
    assert not wrong
