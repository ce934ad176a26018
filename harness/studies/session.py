"""Run a study: measure the steps that are missing, keep each as it ends, and hand over the whole table.

Rows are kept in `results/studies/<name>-<8 hex>.jsonl`: the first line says what they depend on (of which the hash in
the name is taken), each further line is a step with its rows. A file is used again while all of that is the same.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from harness.core.atomic import reason, write_text
from harness.core.errors import AnnbenchError, ConfigError, PluginError, StoreError
from harness.core.lock import held_alone
from harness.core.validation import describe
from harness.engines.registry import Registry
from harness.measure.machine import describe_code, describe_libraries, describe_machine
from harness.studies.lab import Lab
from harness.studies.study import Explanation, Row, Settings, Step, Study

if TYPE_CHECKING:
    import pandas as pd

Listener = Callable[[str, dict[str, Any]], None]
"""Called with `missing` (name, why), `steps` (total, done) and `step` (the step's fields), in that order."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A study's rows with all that is needed to judge them; `header` is what its CSV begins with."""

    study: Study[Any]
    settings: Settings
    table: pd.DataFrame
    header: Mapping[str, Any]
    missing: Mapping[str, str]

    def explain(self) -> Explanation:
        """Read the finding off the rows."""
        return self.study.explain(self.table, self.settings)


def settings_for(study: Study[Any], *, quick: bool = False, changes: Mapping[str, Any] | None = None) -> Settings:
    """Return the study's settings, full or quick, with `changes` by field; raise ConfigError for one it hasn't."""
    base: Settings = study.settings.quick() if quick else study.settings()
    try:
        chosen: Settings = study.settings.model_validate({**base.model_dump(), **(changes or {})})
    except ValidationError as problem:
        raise ConfigError(f"{study.name}: {describe(problem)}") from None
    return chosen


def run_study(
    study: Study[Any],
    settings: Settings,
    registry: Registry,
    *,
    data: Path,
    results: Path,
    force: bool = False,
    listener: Listener | None = None,
) -> Outcome:
    """Measure what is missing of a study and return all its rows.

    Datasets are looked for in `data`; rows are kept in `results`/studies as each step ends, so that an interrupted
    study goes on where it stopped, and a finished one is only read. `force` measures anew. Raises AnnbenchError where
    nothing can be measured with what is there.
    """
    listen = listener or (lambda *_: None)
    needs = study.needs(settings)
    lab = Lab.of(registry, data, needs.algorithms, needs.datasets)
    for name, why in lab.missing.items():
        listen("missing", {"name": name, "why": why})
    steps = list({json.dumps(step): step for step in study.steps(settings, lab)}.values())  # a size given twice is one
    if not steps:
        reasons = "; ".join(f"{name}: {why}" for name, why in lab.missing.items())
        raise AnnbenchError(f"{study.name} has nothing to measure ({reasons or 'no setting suits the data'})")
    journal = _Journal.open(_identity(study, settings, lab), results, force=force)
    todo = [step for step in steps if step not in journal]
    listen("steps", {"total": len(steps), "done": len(steps) - len(todo)})
    if todo:
        with _alone(results):
            for step in todo:
                listen("step", dict(step))
                journal.keep(step, [{**step, **row} for row in _measure(study, step, settings, lab)])
    rows = [row for step in steps for row in journal.rows(step)]
    return Outcome(study, settings, _table(rows), journal.header, lab.missing)


def _measure(study: Study[Any], step: Step, settings: Settings, lab: Lab) -> list[Row]:
    """Measure a step; what an index that can't serve the study raises becomes one line."""
    try:
        return study.measure(step, settings, lab)
    except AnnbenchError:
        raise
    except Exception as problem:
        where = ", ".join(f"{key} = {value}" for key, value in step.items())
        raise PluginError(f"{study.name} could not be measured at {where}: {problem!r}") from problem


def _table(rows: list[Row]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows)
    # None among numbers has become nan; a column of nothing else must be one of numbers, too.
    return table.astype({column: float for column in table if table[column].isna().all()})


def _identity(study: Study[Any], settings: Settings, lab: Lab) -> dict[str, Any]:
    """Return all that the rows depend on, as JSON gives it back."""
    identity = {
        "study": study.name,
        "revision": study.revision,
        "settings": settings.model_dump(mode="json"),
        **lab.identity(),
        "machine": describe_machine()["key"],
    }
    found: dict[str, Any] = json.loads(json.dumps(identity))
    return found


@contextlib.contextmanager
def _alone(results: Path) -> Iterator[None]:
    """Measure while no run and no other study does: they would share cores, and disturb each other's figures."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with held_alone(results / ".lock", f"{results} is being written", StoreError):
            yield
    except OSError as refused:
        raise StoreError(
            f"{results}: could not be written ({reason(refused)}); choose another folder or free space"
        ) from None


class _Journal:
    """The rows measured so far, in a file that is replaced whole after each step."""

    def __init__(self, path: Path, header: dict[str, Any], kept: list[tuple[dict[str, Any], list[Row]]]) -> None:
        self._path, self.header, self._kept = path, header, kept

    @classmethod
    def open(cls, identity: dict[str, Any], results: Path, *, force: bool) -> _Journal:
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
        path = results / "studies" / f"{identity['study']}-{digest}.jsonl"
        if path.exists() and not force:
            try:
                header, *lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
                kept = [(line["step"], line["rows"]) for line in lines]
            except (OSError, ValueError, KeyError, TypeError) as problem:
                raise StoreError(f"{path}: can't be read ({reason(problem)}); remove it, or add --force") from None
            return cls(path, header, kept)
        return cls(path, {**identity, **_provenance()}, [])

    def __contains__(self, step: Step) -> bool:
        return any(kept == step for kept, _ in self._kept)

    def rows(self, step: Step) -> list[Row]:
        return next(rows for kept, rows in self._kept if kept == step)

    def keep(self, step: Step, rows: list[Row]) -> None:
        self._kept.append((dict(step), [{key: _plain(value) for key, value in row.items()} for row in rows]))
        lines = [self.header, *({"step": step, "rows": rows} for step, rows in self._kept)]
        write_text(self._path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))


def _plain(value: Any) -> Any:
    """Turn NumPy's numbers into Python's, and what is no number into None, as JSON has neither."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _provenance() -> dict[str, Any]:
    """Say where and with what the rows are measured; of no weight for whether they are used again."""
    machine, libraries = describe_machine(), describe_libraries()
    return {
        "cpu": machine["cpu"],
        "cores": machine["cores"],
        "python": libraries["python"],
        "numpy": libraries["numpy"],
        **describe_code(),
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
