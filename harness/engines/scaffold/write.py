"""Write the skeleton of a plug-in: the folder `my_index` beside this file, under another name."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path

from harness.core.atomic import reason, replacing_folder
from harness.core.errors import ConfigError
from harness.engines.registry import check_name, load_registry

# What Python can import and pip can install.
_PACKAGE = re.compile(r"[A-Za-z](\w*[A-Za-z0-9])?", re.ASCII)
_TEMPLATE = Path(__file__).parent / "my_index"
# Names that the skeleton uses already, and that a class of its own would hide from it.
_USED = {"Algorithm", "Search", "Vectors", "Metric", "ParameterError"}
_FILES = ("__init__.py", "config.yml", "README.md", "pyproject.toml")


def write_plugin(name: str, folder: Path | None = None) -> Path:
    """Write a working plug-in called `name` into a new folder, and return the folder.

    The folder's name is that of the Python package, and is by default `name` with underscores for what Python doesn't
    allow. Raises ConfigError for a name that can't be used or is taken, and for a folder that exists or can't be made.
    """
    check_name(name)
    target = (folder or Path(re.sub(r"[.+-]", "_", name))).absolute()
    if name in load_registry():
        raise ConfigError(f"there is an algorithm called {name!r} already; annbench list shows them all")
    _check_package(target.name, by_hand=folder is not None)
    if target.exists():
        raise ConfigError(f"{target} exists already; remove it, or give another one by --folder")
    names = {"my_index": target.name, "my-index": name, "MyIndex": _class_name(target.name)}
    try:
        with replacing_folder(target) as temporary:
            for file in _FILES:
                text = (_TEMPLATE / file).read_text(encoding="utf-8")
                text = re.sub("|".join(names), lambda found: names[found[0]], text)
                (temporary / file).write_text(text, encoding="utf-8")
    except OSError as refused:
        raise ConfigError(f"{target} could not be written ({reason(refused)}); give another one by --folder") from None
    return target


def _class_name(package: str) -> str:
    title = "".join(part[:1].upper() + part[1:] for part in package.split("_"))
    return f"{title}Index" if title in _USED or keyword.iskeyword(title) else title


def _check_package(package: str, *, by_hand: bool) -> None:
    """Refuse a name under which Python would import nothing, or something else."""
    way_out = "choose another folder" if by_hand else "choose another name, or a folder of another name by --folder"
    if not _PACKAGE.fullmatch(package):
        raise ConfigError(
            f"{package!r} can't be a package: use letters, digits and '_', a letter first and no '_' last; {way_out}"
        )
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        raise ConfigError(f"{package!r} is a word of Python itself; {way_out}")
    if package in sys.stdlib_module_names:
        raise ConfigError(f"{package!r} is a module of Python's standard library; {way_out}")
    if _imports(package):
        raise ConfigError(
            f"{package!r} is the name of an installed package, which would be imported instead; {way_out}"
        )


def _imports(package: str) -> bool:
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    # A folder without __init__.py, met by chance, is no package: one with it comes first.
    return found is not None and found.origin is not None
