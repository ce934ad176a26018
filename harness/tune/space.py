"""What may be tried: the ranges that an algorithm's own grids span, or what its config says under `space`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.errors import ConfigError
from harness.engines.registry import Entry
from harness.plan.expression import resolve

if TYPE_CHECKING:
    import optuna

# A range that spans this factor is walked in steps of its logarithm.
_LOG_FROM = 8.0
_ABSENT = "(left out)"


@dataclass(frozen=True)
class Axis:
    """One parameter: numbers from `low` to `high`, or one of `choices`; `optional` where it may be left out."""

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = True
    optional: bool = False

    @property
    def settled(self) -> bool:
        """Say whether there is nothing to choose."""
        return len(self.choices) == 1 and not self.optional


@dataclass(frozen=True)
class Space:
    """The parameters of a build, or those of a search."""

    axes: tuple[Axis, ...]

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw one setting."""
        return {axis.name: value for axis in self.axes if (value := _draw(axis, trial)) is not _ABSENT}

    def as_trial(self, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what `suggest` would have drawn to give `params`; None where that lies outside."""
        drawn: dict[str, Any] = {}
        if set(params) - {axis.name for axis in self.axes}:
            return None
        for axis in self.axes:
            if axis.name not in params and not axis.optional:
                return None
            if axis.optional:
                drawn[f"with {axis.name}"] = axis.name in params
            if axis.name not in params or axis.settled:
                continue
            value = params[axis.name]
            if axis.choices:
                if value not in axis.choices:
                    return None
                drawn[axis.name] = axis.choices.index(value)
            elif not isinstance(value, int | float) or not axis.low <= value <= axis.high:
                return None
            else:
                drawn[axis.name] = value
        return drawn

    @property
    def settled(self) -> bool:
        """Say whether there is one setting alone."""
        return all(axis.settled for axis in self.axes)


def _draw(axis: Axis, trial: optuna.Trial) -> Any:
    if axis.optional and not trial.suggest_categorical(f"with {axis.name}", [False, True]):
        return _ABSENT
    if axis.choices:
        if len(axis.choices) == 1:
            return axis.choices[0]
        # By number: Optuna's storage takes no lists.
        return axis.choices[trial.suggest_categorical(axis.name, range(len(axis.choices)))]
    log = axis.low > 0 and axis.high / axis.low >= _LOG_FROM
    if axis.whole:
        return trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=log)
    return trial.suggest_float(axis.name, axis.low, axis.high, log=log)


def spaces(entry: Entry, metric: str, variables: Mapping[str, int]) -> tuple[Space, Space]:
    """Return what builds and searches of an algorithm may be tried on data of a metric, n, dim and k.

    Numbers span the range of all groups; words, and numbers that follow from the data, are choices. Raises ConfigError
    where there is nothing to choose.
    """
    found = tuple(Space(tuple(_axes(list(_grids(entry, metric, kind)), variables))) for kind in ("build", "search"))
    if all(space.settled for space in found):
        raise ConfigError(f"{entry.name} has nothing to tune: the groups of its config differ in no parameter")
    return found[0], found[1]


def defaults(entry: Entry, metric: str, variables: Mapping[str, int], kind: str) -> list[dict[str, Any]]:
    """Return the first setting of each of its grids: what its author would try."""
    firsts = [{key: _listed(values)[0] for key, values in grid.items()} for grid in _grids(entry, metric, kind)]
    resolved = [{key: resolve(value, variables) for key, value in setting.items()} for setting in firsts]
    return list({repr(sorted(setting.items(), key=str)): setting for setting in resolved}.values())


def _grids(entry: Entry, metric: str, kind: str) -> Iterator[Mapping[str, Any]]:
    for grids in entry.config.groups.values():
        for group in grids:
            if group.metrics is None or metric in group.metrics:
                grid = getattr(group, kind)
                yield from grid if isinstance(grid, list) else [grid]


def _axes(grids: Sequence[Mapping[str, Any]], variables: Mapping[str, int]) -> Iterator[Axis]:
    for name in dict.fromkeys(key for grid in grids for key in grid):
        given = [value for grid in grids if name in grid for value in _listed(grid[name])]
        optional = any(name not in grid for grid in grids)
        distinct = tuple({repr(value): value for value in (resolve(value, variables) for value in given)}.values())
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in given)
        if numbers and len(distinct) > 1:
            whole = all(isinstance(value, int) for value in given)
            yield Axis(name, low=min(distinct), high=max(distinct), whole=whole, optional=optional)
        else:
            yield Axis(name, choices=distinct, optional=optional)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
