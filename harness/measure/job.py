"""The one message that crosses to a child process, and the events that come back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import ConfigError
from harness.registry import Entry, plugin_entries, read_config
from harness.spec import BuildSpec


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know."""

    kind: Literal["measure", "check", "serve"]
    build: BuildSpec
    config: str  # the plug-in's config.yml
    plugin: str  # its folder where it was given by hand, else ""
    data: str
    results: str
    passes: int
    pass_seconds: float
    least_pass_seconds: float
    cores: tuple[int, ...]
    search_cores: tuple[int, ...]
    parent: int
    checks: tuple[str, ...] = ()  # of a job of that kind: the rules by name
    anew: bool = False  # ignore what was measured before, and replace it with the first pass
    machine: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def entry(self) -> Entry:
        """Read the plug-in's entry again from its config."""
        config = Path(self.config)
        entries = plugin_entries(config) if self.plugin else read_config(config)
        for entry in entries:
            if entry.name == self.build.algorithm:
                return entry
        raise ConfigError(f"{config}: {self.build.algorithm!r} is gone from it")

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
