"""What is remembered of a large file: its hash, and whether its content was checked.

A note lies beside its file as `.NAME.sha256.json`, or in the user's cache folder where the file's own can't be written.
It holds while size and modification time stand; a file that was merely copied or touched is known again by its hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.atomic import write_text
from harness.core.folders import cache_folder

_STAMP = ("size", "mtime_ns")


def note_path(path: Path) -> Path:
    """Return where the note of a file lies, where its folder can be written."""
    return path.with_name(f".{path.name}.sha256.json")


def file_sha256(path: Path) -> str:
    """Return the hash of a file's bytes, as 64 hex digits; computed once for each version of the file."""
    known = facts(path).get("sha256")
    if known is None:
        known = _digest(path)
        remember(path, sha256=known)
    return str(known)


def facts(path: Path) -> Mapping[str, Any]:
    """Return what is remembered of a file as it is now; empty where it is new or was changed."""
    stamp = _stamp(path)
    for note in _places(path):
        known = _read(note)
        if all(known.get(key) == stamp[key] for key in _STAMP):
            return known
        if known.get("size") == stamp["size"] and known.get("sha256") == _digest(path):
            _write(path, {**known, **stamp})
            return known
    return {}


def remember(path: Path, **more: Any) -> None:
    """Add facts to the note of a file, beside its hash; where no folder can be written, nothing is remembered."""
    known = facts(path)
    sha256 = more.get("sha256") or known.get("sha256") or _digest(path)
    _write(path, {**known, **more, **_stamp(path), "sha256": sha256})


def _places(path: Path) -> tuple[Path, Path]:
    where = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    return note_path(path), cache_folder() / "files" / f"{where}.json"


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _read(note: Path) -> dict[str, Any]:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(path: Path, known: Mapping[str, Any]) -> None:
    for note in _places(path):
        try:
            write_text(note, json.dumps(known))
        except OSError:
            continue
        return


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
