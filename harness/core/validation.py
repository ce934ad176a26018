"""Files that people write, and what is wrong with them, in words of ours: path, key, value."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.core.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError

# By the kind that pydantic names, which stays; its sentences differ by version.
_PHRASES = {
    "missing": "is missing",
    "extra_forbidden": "is no key here",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "string_type": "should be a text",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be a table of keys",
    "mapping_type": "should be a table of keys",
    "model_type": "should be a table of keys",
    "model_attributes_type": "should be a table of keys",
    "json_invalid": "is no JSON",
    "greater_than": "should be more than {gt}",
    "greater_than_equal": "should be {ge} or more",
    "less_than": "should be less than {lt}",
    "less_than_equal": "should be {le} or less",
    "too_short": "should hold {min_length} or more, not {actual_length}",
    "too_long": "should hold {max_length} or fewer, not {actual_length}",
    "string_too_short": "should have {min_length} letters or more",
    "literal_error": "should be {expected}",
    "enum": "should be {expected}",
}


def read_yaml(path: Path, load: Callable[[str], Any] = yaml.safe_load) -> Any:
    """Read a YAML file; raises ConfigError in one line that names the file, and says whether it is there at all."""
    try:
        return load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except OSError as problem:
        raise ConfigError(f"{path}: can't be read: {os.strerror(problem.errno or 0)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path}: can't be read as YAML: {' '.join(str(problem).split())}") from None


def describe(problem: ValidationError) -> str:
    """Put all that a model refused in one line: where, what, and the value that was given."""
    return "; ".join(
        f"{where(error)}: {said(error)}" + ("" if error["type"] == "missing" else f" (given: {error['input']!r:.80})")
        for error in problem.errors(include_url=False)
    )


def where(error: Mapping[str, Any]) -> str:
    """Name the key that an error is about, with those that it lies in."""
    return ".".join(str(step) for step in error["loc"]) or "document"


def said(error: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, without naming it."""
    phrase = _PHRASES.get(error["type"])
    if phrase is not None:
        return phrase.format_map(error.get("ctx", {}))
    return str(error["msg"]).removeprefix("Value error, ").replace("Input should", "should")
