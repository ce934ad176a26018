"""Collections of texts by name: of which kind each is, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.core.errors import ConfigError, UnknownNameError
from harness.core.validation import describe, read_yaml
from harness.data.sources.catalogue import split_pair

CATALOGUE = Path(__file__).with_name("texts.yml")
_FROZEN = ConfigDict(extra="forbid", frozen=True)

Kind = Literal["retrieval", "similarity", "pairs", "labels", "images"]
Way = Literal["archive", "packages", "lists", "url"]


class TextSource(BaseModel):
    """One way to a collection: a committed `archive: F`, Debian's `packages: A B`, its `lists: F`, or a `url: URL`."""

    model_config = _FROZEN

    kind: Way
    value: str = Field(min_length=1)

    _from_pair = model_validator(mode="before")(split_pair)


class _Text(BaseModel):
    model_config = _FROZEN

    kind: Kind
    licence: str = Field(min_length=1)
    about: str = Field(min_length=1)
    sources: tuple[TextSource, ...] = ()


class _Collection(BaseModel):
    model_config = _FROZEN

    publisher: str
    site: str = ""
    sources: tuple[TextSource, ...] = ()
    texts: dict[str, _Text]


class _Document(BaseModel):
    model_config = _FROZEN

    collections: tuple[_Collection, ...]


class TextEntry(BaseModel):
    """A named collection, with its sources in the order in which they are tried."""

    model_config = _FROZEN

    name: str
    kind: Kind
    licence: str
    about: str
    publisher: str
    site: str
    sources: tuple[TextSource, ...] = Field(min_length=1)


def read_texts(path: Path) -> Mapping[str, TextEntry]:
    """Read a catalogue of texts; raise ConfigError in one line that names the file, the key and the value."""
    try:
        document = _Document.model_validate(read_yaml(path))
        entries: dict[str, TextEntry] = {}
        for collection in document.collections:
            for name, text in collection.texts.items():
                if name in entries:
                    raise ConfigError(f"{path}: {name!r} stands in two collections; give one of them another name")
                entries[name] = _entry(name, text, collection)
    except ValidationError as problem:
        raise ConfigError(f"{path}: {describe(problem)}") from None
    return entries


def _entry(name: str, text: _Text, collection: _Collection) -> TextEntry:
    sources: list[dict[str, Any]] = [
        {source.kind: source.value.replace("{name}", name)} for source in (*collection.sources, *text.sources)
    ]
    return TextEntry.model_validate(
        {
            "name": name,
            **text.model_dump(include={"kind", "licence", "about"}),
            "publisher": collection.publisher,
            "site": collection.site,
            "sources": sources,
        }
    )


@cache
def load_texts() -> Mapping[str, TextEntry]:
    """Return the catalogue that comes with annbench, name -> entry."""
    return read_texts(CATALOGUE)


def lookup_texts(name: str) -> TextEntry:
    """Find the collection called `name`; raises UnknownNameError with the nearest."""
    known = load_texts()
    if name not in known:
        raise UnknownNameError("collection of texts", name, known)
    return known[name]
