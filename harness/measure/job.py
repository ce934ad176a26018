"""The one message that crosses to a child process, and the events that come back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.engines.registry import Entry
from harness.store.spec import BuildSpec


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know."""

    kind: Literal["measure", "check", "serve"]
    build: BuildSpec
    plugin: Mapping[str, Any]  # the algorithm, as `Entry.to_json` gives it
    data: str
    results: str
    passes: int
    pass_seconds: float
    least_pass_seconds: float
    cores: tuple[int, ...]
    search_cores: tuple[int, ...]
    parent: int
    checks: tuple[str, ...] = ()  # of a job of that kind: the rules by name
    since: float = 0.0  # ignore results written before (seconds of the epoch), and replace them with the first pass
    until: int = 0  # passes that each setting should have in the end, disturbed or not; 0: `passes` undisturbed ones
    keep: str = ""  # a folder to save the index into for the processes of later rounds; empty: it isn't kept
    saved: str = ""  # an index that an earlier process saved, to be loaded and not built; empty: there is none
    machine: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def entry(self) -> Entry:
        """Return the algorithm's entry."""
        return Entry.from_json(self.plugin)

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return json.dumps({**asdict(self), "build": self.build.to_json()})

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read a job."""
        content = json.loads(text)
        content["build"] = BuildSpec.from_json(content["build"])
        for key in ("cores", "search_cores", "checks"):
            content[key] = tuple(content[key])
        return cls(**content)


class Events:
    """The pipe on which a worker reports, a JSON line an event; plug-ins are free to print elsewhere."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, event: str, **content: Any) -> None:
        """Send one event. Lines are short enough to be written whole."""
        line = json.dumps({"event": event, **content}, default=str) + "\n"
        os.write(self._descriptor, line.encode())
