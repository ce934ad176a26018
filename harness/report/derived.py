"""What a report needs of each result file, read once: its row of the tidy table, and its detail."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.analyse.table import MEASURED, failure_row, result_row, tidy_frame
from harness.errors import UnknownNameError
from harness.report.detail import Detail, describe, describe_failure
from harness.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd


class Derived(NamedTuple):
    """The tidy table of a store, and by the path of each row what the table doesn't hold."""

    table: pd.DataFrame
    details: dict[str, Detail]

    def only(self, dataset: str | None) -> Derived:
        """Keep the rows of one dataset, or all for None; an unknown name suggests the nearest with results."""
        if dataset is None:
            return self
        mine = self.table[self.table["dataset"] == dataset].reset_index(drop=True)
        if mine.empty and len(self.table):
            raise UnknownNameError("dataset with results", dataset, set(self.table["dataset"]))
        return Derived(mine, self.details)

    def paths_of(self, datasets: Collection[str]) -> list[Path]:
        """Return the files of what was measured on some datasets."""
        rows = self.table[(self.table["status"] == MEASURED) & self.table["dataset"].isin(list(datasets))]
        return [Path(path) for path in rows["path"]]


def derive(store: ResultStore) -> Derived:
    """Read every result and failure of a store; raises StoreError for a file that can't be read."""
    rows: list[dict[str, Any]] = []
    details: dict[str, Detail] = {}
    for result in store.results():
        rows.append(result_row(result))
        details[str(result.path)] = describe(result)
    for failure in store.failures():
        rows.append(failure_row(failure))
        details[str(failure.path)] = describe_failure(failure)
    return Derived(tidy_frame(rows), details)
