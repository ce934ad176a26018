"""Optional requirements: a library that is missing is one line that names the extra to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.core.errors import ConfigError


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Import libraries of the extra `name` in the block; raise ConfigError, "`what` needs ...", if one is missing."""
    try:
        yield
    except ModuleNotFoundError as missing:
        library = (missing.name or str(missing)).partition(".")[0]
        raise ConfigError(f"{what} needs {library}; install it with: pip install 'annbench[{name}]'") from None
