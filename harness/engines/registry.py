"""The plug-ins by name: each `config.yml` in `algorithms`, entry points, and paths given by hand.

Nothing of a plug-in is imported until `Entry.load`, so a missing library reads "not installed", not a traceback.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import ValidationError

from harness.core.errors import ConfigError, PluginError, UnknownNameError
from harness.core.places import place, place_of
from harness.core.validation import describe, read_yaml
from harness.engines.config import AlgorithmConfig
from harness.engines.contract import Algorithm

ENTRY_POINT_GROUP = "annbench.algorithms"
CONFIG_NAME = "config.yml"

# A name is a folder of the result store and a word on the command line.
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
_CODE = frozenset({".py", ".pyx", ".pxd", ".so", ".pyd", ".dylib", ".dll", ".c", ".cc", ".cpp", ".h", ".hpp", ".rs"})


@dataclass(frozen=True)
class Entry:
    """A named algorithm: what its config says, and where its source is."""

    name: str
    config: AlgorithmConfig
    folder: Path
    file: Path  # the config itself
    plugin: Path | None = None  # given by hand: its parent must be on sys.path before the import
    beside: tuple[Path, ...] = ()  # files and folders outside its own whose code it runs
    unusable: str = ""  # why it can't be used, where no distribution that it requires is missing

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads: the form in which an entry crosses to a child process."""
        return {
            "name": self.name,
            "config": self.config.model_dump(),
            "folder": str(self.folder),
            "file": str(self.file),
            "plugin": None if self.plugin is None else str(self.plugin),
            "beside": [str(path) for path in self.beside],
            "unusable": self.unusable,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Entry:
        """Read what `to_json` wrote."""
        return cls(
            document["name"],
            AlgorithmConfig.model_validate(document["config"]),
            Path(document["folder"]),
            Path(document["file"]),
            None if document["plugin"] is None else Path(document["plugin"]),
            tuple(Path(path) for path in document["beside"]),
            document["unusable"],
        )

    def missing(self) -> list[str]:
        """List required distributions that are not installed."""
        return [name for name in self.config.requires if _version(name) is None]

    def versions(self) -> dict[str, str]:
        """Return the installed version of each required distribution."""
        return {name: _version(name) or "missing" for name in self.config.requires}

    def why_not(self) -> str:
        """Say why the algorithm can't be used and how to mend that; empty where it can."""
        absent = self.missing()
        if not absent or self.unusable:
            return self.unusable
        remedy = (
            f"pip install 'annbench[{self.config.extra}]'" if self.config.extra else f"pip install {' '.join(absent)}"
        )
        return f"{', '.join(absent)} not installed; {remedy}"

    def source_hash(self) -> str:
        """Hash the plug-in's files, and the shared kernels where it is from scratch. Returns 16 hex digits.

        Sources and compiled libraries count; the config doesn't, as its parameters are part of a result's key.
        """
        folders = [self.folder, *self.beside]
        if self.config.origin == "from-scratch":
            folders.append(self._kernels())
        digest = hashlib.sha256(self.config.constructor.encode())
        if self.config.adapts is not None:
            digest.update(json.dumps(self.config.adapts, sort_keys=True).encode())
        for folder in folders:
            found = [folder] if folder.is_file() else sorted(folder.rglob("*"))
            files = [file for file in found if file.suffix in _CODE and file.is_file()]
            for file in files:
                content = file.read_bytes()
                name = file.relative_to(folder).as_posix()
                digest.update(f"{folder.name}/{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()[:16]

    def load(self) -> type[Algorithm]:
        """Import the class; raise PluginError in one line where that fails."""
        if why := self.why_not():
            raise PluginError(f"{self.name}: {why}")
        module_name, class_name = self.config.constructor.split(":")
        if self.plugin is not None:
            root = str(self._root())
            if root not in sys.path:
                sys.path.insert(0, root)
        try:
            module = importlib.import_module(module_name)
        except Exception as problem:
            where = place_of(problem, [self.folder])
            at = f" [{where}]" if where else ""
            raise PluginError(f"{self.name}: importing {module_name} failed: {problem!r}{at}") from problem
        self._came_from_plugin(module_name)
        found = getattr(module, class_name, None)
        if self.config.adapts is not None and callable(found):
            found = found(self.name, self.folder, **self.config.adapts)
        if not (isinstance(found, type) and issubclass(found, Algorithm)):
            raise PluginError(f"{self.name}: {self._not_a_class(module, class_name, found)}")
        return found

    def _not_a_class(self, module: ModuleType, name: str, found: object) -> str:
        """Say that the constructor is none, which one may be meant, and where the config names it."""
        what = f"{self.config.constructor} is not a subclass of harness.engines.contract.Algorithm"
        if found is None:
            near = difflib.get_close_matches(name, vars(module), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            what = f"{module.__name__} has no {name}{hint}"
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lines = self.file.read_text(encoding="utf-8").splitlines()
            numbers = [i for i, line in enumerate(lines, 1) if self.config.constructor in line]
            if numbers:
                what += f" [{place(self.file, numbers[0])}]"
        return what

    def _root(self) -> Path:
        """Return the folder from which the plug-in's module is imported: the parent of the package that holds it.

        That package may stand above the plug-in: `algorithms` of another checkout is one.
        """
        assert self.plugin is not None  # noqa: S101 - asked only of plug-ins
        top = self.config.constructor.partition(":")[0].partition(".")[0]
        holders = [folder for folder in (self.plugin, *self.plugin.parents) if folder.name == top]
        return holders[0].parent if holders else self.plugin.parent

    def _kernels(self) -> Path:
        """Return the kernels that an algorithm from scratch is made of: those beside it, where there are any."""
        beside = self.folder.parent / "kernels"
        return beside if self.plugin is not None and beside.is_dir() else _builtin_folder() / "kernels"

    def _came_from_plugin(self, module_name: str) -> None:
        """Raise PluginError where a module of the plug-in's name, but from elsewhere, was imported in its place."""
        top = module_name.split(".", maxsplit=1)[0]
        if self.plugin is None:
            return
        root = self._root()
        if not ((root / top).is_dir() or (root / f"{top}.py").exists()):
            return
        origin = getattr(sys.modules[top], "__file__", None) or next(
            iter(getattr(sys.modules[top], "__path__", "")), ""
        )
        if not Path(origin).resolve().is_relative_to(root.resolve()):
            raise PluginError(f"{self.name}: the name {top!r} belongs to {origin} already; rename the plug-in's folder")


@cache
def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


class Registry(Mapping[str, Entry]):
    """Algorithms by name; an unknown name suggests the nearest.

    Two entries of one name are an error unless they come from one file: an installed plug-in may be given by hand, too.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            if entry.name in self._entries and self._entries[entry.name].file != entry.file:
                raise ConfigError(
                    f"two algorithms are called {entry.name!r}: {self._entries[entry.name].folder} and {entry.folder}"
                )
            self._entries[entry.name] = entry

    def __getitem__(self, name: str) -> Entry:
        """Return the entry called `name`."""
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError("algorithm", name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        """Say whether an algorithm is called `name`."""
        return name in self._entries

    def get(self, name: str, default: Any = None) -> Any:
        """Return the entry called `name`, else `default`."""
        return self._entries.get(name, default)

    def __iter__(self) -> Any:
        """Iterate over names in order."""
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        """Count the algorithms."""
        return len(self._entries)


def load_registry(plugins: Sequence[Path] = (), more: Sequence[Entry] = ()) -> Registry:
    """Collect the built-in algorithms, those of installed packages, and those at `plugins`: folders or configs.

    `more` are entries that were read elsewhere, as those of ann-benchmarks are
    (`harness.engines.adapters.ann_benchmarks.plugins`).
    """
    entries = list(more)
    for config in sorted(_builtin_folder().rglob(CONFIG_NAME)):
        entries += read_config(config)
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        entries += read_config(_package_folder(point.module, point.name) / CONFIG_NAME)
    for path in plugins:
        entries += plugin_entries(path)
    return Registry(entries)


def _builtin_folder() -> Path:
    """Find `algorithms` by its import path, so that a wheel works as the checkout does; nothing in it is run."""
    spec = importlib.util.find_spec("algorithms")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("the package 'algorithms' is not installed beside 'harness'; reinstall annbench")
    return Path(next(iter(spec.submodule_search_locations)))


def _package_folder(module: str, name: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:  # the parent package of a dotted name is not there
        spec = None
    if spec is None or spec.origin is None:
        raise ConfigError(f"entry point {name!r} of {ENTRY_POINT_GROUP} names {module!r}, which can't be found")
    return Path(spec.origin).parent


def plugin_entries(path: Path) -> list[Entry]:
    """Read the plug-in at `path`: a folder that holds `config.yml`, or the config file itself."""
    config = path / CONFIG_NAME if path.is_dir() else path
    if not config.exists():
        raise ConfigError(f"plug-in {path}: no {CONFIG_NAME} there; see CONTRIBUTING.md for what it holds")
    return read_config(config, plugin=config.parent.resolve())


class _StrictLoader(yaml.SafeLoader):
    """YAML where the same key twice is an error: the first of two algorithms of one name would be lost in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _strict(text: str) -> Any:
    return _StrictLoader(text).get_single_data()


def check_name(name: str) -> None:
    """Raise ConfigError where `name` can't be an algorithm's."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} can't be an algorithm's name; use letters, digits, '-', '_', '.', '+'")


def read_config(path: Path, plugin: Path | None = None) -> list[Entry]:
    """Read one `config.yml`: a table of algorithm names; raise ConfigError that names file, key and value."""
    document = read_yaml(path, _strict)
    if not isinstance(document, dict) or not document:
        raise ConfigError(f"{path}: should be a table of algorithm names, each with its constructor")
    entries = []
    for name, content in document.items():
        try:
            check_name(str(name))
        except ConfigError as problem:
            raise ConfigError(f"{path}: {problem}") from None
        try:
            config = AlgorithmConfig.model_validate(content)
        except ValidationError as problem:
            raise ConfigError(f"{path}: {name}: {describe(problem)}") from None
        entries.append(Entry(str(name), config, path.parent.resolve(), path.resolve(), plugin))
    return entries
