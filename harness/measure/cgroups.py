"""What a container may use: limits that control groups set on this process, of version 1 and of version 2.

Limits hold for a group and all groups below it, so the smallest one on the way up to the root counts. Within a
container the way ends where the mount begins: what lies above can't be seen, and its limits are usually on the group of
the container itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
# Version 1 writes the greatest multiple of a page that a long holds for "no limit".
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class Allowed:
    """What this process may use: `memory` in bytes, `cpus` as a number of cores; None where nothing limits it."""

    memory: int | None = None
    cpus: float | None = None


@dataclass(frozen=True)
class _Hierarchy:
    """One mounted tree of groups: its version, its controllers, which part of it is mounted, and where."""

    version: int
    controllers: frozenset[str]
    top: str
    mount: Path


def allowed(root: Path = _ROOT) -> Allowed:
    """Read the limits of this process; `root` is the folder in which `proc` and `sys` lie."""
    memory = [size for folder, version in _groups("memory", root) for size in _memory_limits(folder, version)]
    cpus = [quota for folder, version in _groups("cpu", root) if (quota := _quota(folder, version)) is not None]
    return Allowed(min(memory, default=None), min(cpus, default=None))


def throttled_ns(root: Path = _ROOT) -> int:
    """Return for how long the groups of this process were throttled since they were made, in ns, all added.

    0 where nobody says. A group above may have a quota of its own, so that its time counts, too.
    """
    return sum(_throttled(folder, version) for folder, version in _groups("cpu", root))


def _groups(controller: str, root: Path) -> Iterator[tuple[Path, int]]:
    """Yield the folders of this process's groups, from its own up to the mount, in every tree with the controller."""
    member = _membership(root)
    for tree in _hierarchies(root):
        if tree.version == 1 and controller not in tree.controllers:
            continue
        path = member.get("" if tree.version == 2 else controller)
        if path is None:
            continue
        below = _below(path, tree.top)
        for part in (below, *below.parents):
            yield tree.mount / part.relative_to("/"), tree.version


def _membership(root: Path) -> dict[str, str]:
    """Read /proc/self/cgroup: the path of this process's group, by controller; by "" for version 2."""
    found: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):  # 4:cpu,cpuacct:/docker/1a of version 1, 0::/docker/1a of version 2
        _, _, rest = line.partition(":")
        names, colon, path = rest.partition(":")
        if colon:
            found |= dict.fromkeys(names.split(","), path)
    return found


def _hierarchies(root: Path) -> Iterator[_Hierarchy]:
    """Read /proc/self/mountinfo: `36 35 0:30 /docker/1a /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu`."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        mount = root / PurePosixPath(_unescaped(fields[4])).relative_to("/")
        names = frozenset(kind[2].split(",")) if kind[0] == "cgroup" else frozenset()
        yield _Hierarchy(1 if kind[0] == "cgroup" else 2, names, _unescaped(fields[3]), mount)


def _unescaped(text: str) -> str:
    """Undo how the kernel writes blanks in a path."""
    return text.replace("\\040", " ")


def _below(path: str, top: str) -> PurePosixPath:
    """Return where a group stands below what is mounted.

    A container without a name space of its own sees its path from the host's root, while its mount begins at its own
    group; and a process that was moved out of its name space sees `/..`. Both stand at the top of the mount.
    """
    parts = PurePosixPath(path)
    if ".." in parts.parts:
        return PurePosixPath("/")
    with contextlib.suppress(ValueError):
        return PurePosixPath("/") / parts.relative_to(top)
    return PurePosixPath("/") if top != "/" else parts


def _memory_limits(folder: Path, version: int) -> Iterator[int]:
    """Yield the limits of one group; above memory.high it is slowed down until it is below, so that counts, too."""
    names = ("memory.limit_in_bytes",) if version == 1 else ("memory.max", "memory.high")
    for name in names:
        with contextlib.suppress(ValueError):
            size = int(_text(folder / name))
            if 0 < size < _NO_LIMIT:
                yield size


def _quota(folder: Path, version: int) -> float | None:
    """Return the cores that a group may use on average; None where it may use all."""
    if version == 1:
        texts = [_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    else:
        texts = _text(folder / "cpu.max").split()
    with contextlib.suppress(ValueError):
        quota, period = (int(text) for text in texts)
        return quota / period if quota > 0 and period > 0 else None
    return None


def _throttled(folder: Path, version: int) -> int:
    name, unit = ("throttled_time", 1) if version == 1 else ("throttled_usec", 1000)
    for line in _lines(folder / "cpu.stat"):
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value) * unit
    return 0


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
