"""What a study is: settings, steps that are measured one by one, and an explanation read off the rows.

A new study is one file with one subclass of `Study`, and a line in `harness.studies.catalogue`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from harness.studies.picture import Picture

if TYPE_CHECKING:
    import pandas as pd

    from harness.studies.lab import Lab

Step = Mapping[str, str | int | float]
"""The least that is measured in one go and kept across an interruption; its fields stand in each of its rows."""

Row = dict[str, Any]
"""What was measured, by column: numbers, words and None."""


class Settings(BaseModel):
    """The parameters of a study: the defaults are the full size, `quick` is done within seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def quick(cls) -> Self:
        """Return settings whose study takes seconds."""
        return cls()


S = TypeVar("S", bound=Settings)


class Needs(NamedTuple):
    """The algorithms and datasets that a study would like to have; it goes on without those that aren't there."""

    algorithms: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A table for people: cells are text already, the first column's to the left."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Explanation:
    """What the rows say: the finding in a line, sentences with its numbers, tables and a picture."""

    finding: str
    sentences: tuple[str, ...]
    tables: tuple[Shown, ...]
    picture: Picture


class Study(ABC, Generic[S]):
    """An experiment. Instances hold no state: everything is a function of the settings and what is in the lab."""

    name: ClassVar[str]
    about: ClassVar[str]
    revision: ClassVar[int] = 1
    """Counts changes of what is measured: rows of another revision are not taken up again."""

    settings: type[S]

    @abstractmethod
    def needs(self, settings: S) -> Needs:
        """Name what the study would like to have."""

    @abstractmethod
    def steps(self, settings: S, lab: Lab) -> Sequence[Step]:
        """Return what is to be measured with what the lab has, in order; none where too little is there.

        A step that stays the same when the lab gains an algorithm is measured anew all the same: sides that are
        compared are measured together.
        """

    @abstractmethod
    def measure(self, step: Step, settings: S, lab: Lab) -> list[Row]:
        """Measure one step; the step's own fields are added to each row."""

    @abstractmethod
    def explain(self, table: pd.DataFrame, settings: S) -> Explanation:
        """Read the finding off all rows; must work with any subset of the steps that a lab may allow."""
