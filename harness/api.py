"""The Python face of annbench, for notebooks and scripts: the verbs of the command line as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError, UnstatedMetricError
from harness.folders import data_folder, plots_folder, results_folder

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from harness.plan.suites import Suite
    from harness.report.choice import Choice
    from harness.studies.study import Explanation


def suite_for(
    name: str | None = None,
    *,
    dataset: str | Sequence[str] | None = None,
    algorithm: str | Sequence[str] | None = None,
    **changes: Any,
) -> Suite:
    """Return a suite by name with changes on top; without a name, `default` narrowed to what is given.

    `changes` are fields of `harness.plan.suites.Suite`: group, k, mode, queries, passes, ...; None = no change.
    """
    from pydantic import ValidationError

    from harness.plan.suites import Suite, find_suite
    from harness.validation import describe

    base = find_suite(name or "default")
    fields = {key: value for key, value in changes.items() if value is not None}
    for key, value in (("datasets", dataset), ("algorithms", algorithm)):
        if value is not None and value != []:
            fields[key] = (value,) if isinstance(value, str) else tuple(value)
    try:
        return Suite.model_validate({**base.model_dump(), **fields})
    except ValidationError as problem:
        raise ConfigError(describe(problem)) from None


def run(
    suite: str | None = None,
    *,
    dataset: str | Sequence[str] | None = None,
    algorithm: str | Sequence[str] | None = None,
    plugins: Sequence[Path | str] = (),
    ann_benchmarks: Sequence[Path | str] = (),
    data: Path | str | None = None,
    results: Path | str | None = None,
    threads: int = 1,
    build_threads: int | None = None,
    memory: int | None = None,
    force: bool = False,
    listener: Callable[[str, dict[str, Any]], None] | None = None,
    **changes: Any,
) -> pd.DataFrame:
    """Measure what is missing of a suite, and return all its results as a tidy table, a row a search setting.

    `dataset` and `algorithm` narrow or widen the suite (names or the words all, from-scratch, core), `changes` are
    fields of a suite: group, k, mode, queries, passes, pass_seconds, timeout. A dataset that isn't there is prepared.
    `memory` is in bytes. `ann_benchmarks` are folders of its plug-ins, which are called `annb-<name>` (all of them:
    the word ann-benchmarks).
    """
    from harness.interop.plugins import plugin_entries
    from harness.measure.session import Options, execute, plan_run
    from harness.registry import load_registry
    from harness.sources.prepare import prepare

    wanted = suite_for(suite, dataset=dataset, algorithm=algorithm, **changes)
    options = Options(
        data=data_folder(Path(data) if data else None),
        results=results_folder(Path(results) if results else None),
        threads=threads,
        build_threads=build_threads,
        memory=memory,
        force=force,
    )
    theirs = [entry for path in ann_benchmarks for entry in plugin_entries(Path(path))]
    registry = load_registry([Path(p) for p in plugins], theirs)
    for name in wanted.datasets:
        prepare(name, folder=options.data, progress=False)
    execute(wanted, registry, plan_run(wanted, registry, options), options, listener or (lambda *_: None))
    table = load_results(options.results)
    return table[table["dataset"].isin(wanted.datasets) & (table["k"] == wanted.k) & (table["mode"] == wanted.mode)]


def choose(
    vectors: str | Path | ArrayLike,
    *,
    recall: float = 0.95,
    minutes: float = 5.0,
    memory: int | None = None,
    build_seconds: float | None = None,
    metric: str | None = None,
    queries: str | Path | int | ArrayLike | None = None,
    algorithm: str | Sequence[str] = "all",
    k: int = 10,
    plugins: Sequence[Path | str] = (),
    data: Path | str | None = None,
    results: Path | str | None = None,
    plots: Path | str | None = None,
    listener: Callable[[str, dict[str, Any]], None] | None = None,
) -> Choice:
    """Choose an index: the fastest at a recall that can be found within `minutes` of wall time.

    `vectors` is an array (n, dim), a file of vectors, or a dataset by name; `metric` and `queries` are those of
    `prepare`, but where nothing says the metric it is euclidean. `memory` bounds the index in bytes, `build_seconds` a
    build. What was measured is kept in `results`, so that an interrupted call goes on. Returns the decision with a
    snippet that uses it and a page; print it, or let a notebook show it.
    """
    import time

    from harness.choosing.request import PASS_SECONDS, QUERIES, Request, Wish
    from harness.choosing.session import choose as search
    from harness.compare.request import compare_suite
    from harness.dataset import read_header
    from harness.measure.session import Options, settings_for
    from harness.plan.expand import chosen
    from harness.registry import load_registry
    from harness.report.choice import Choice, write_choice_page

    since = time.monotonic()
    wish = Wish(recall, minutes * 60, memory, build_seconds)
    told = listener or (lambda *_: None)
    folder = data_folder(Path(data) if data else None)
    try:
        path = prepare(vectors, data=folder, metric=metric, queries=queries)
    except UnstatedMetricError:
        told("note", {"text": "metric: euclidean, since nothing says another; choose one with --metric"})
        path = prepare(vectors, data=folder, metric="euclidean", queries=queries)
    header = read_header(folder, path.stem)
    options = Options(data=folder, results=results_folder(Path(results) if results else None))
    names = (algorithm,) if isinstance(algorithm, str) else tuple(algorithm)
    suite = compare_suite(header.name, k=k, queries=QUERIES, pass_seconds=PASS_SECONDS, algorithms=names)
    entries = chosen(load_registry([Path(plugin) for plugin in plugins]), names)
    decision = search(Request(wish, header, entries, suite, settings_for(options), options), told, since=since)
    if decision.best is None:
        return Choice(decision, "", None)
    page = write_choice_page(decision, plots_folder(Path(plots) if plots else None), folder)
    return Choice(decision, "", page)


def load_results(results: Path | str | None = None) -> pd.DataFrame:
    """Return every result of a store as a tidy table, a row a search setting, with its measures and intervals.

    Rows of ann-benchmarks' tables that were merged into the store are among them.
    """
    from harness.analyse.table import joined, tidy
    from harness.interop.tables import foreign_rows
    from harness.store import ResultStore

    folder = results_folder(Path(results) if results else None)
    store = ResultStore(folder)
    table = joined(tidy(store.results()), foreign_rows(store))
    table["path"] = [str(Path(path).relative_to(folder)) for path in table["path"]]
    return table.drop(columns=["qps_samples", "recall_samples"])


def report(
    results: Path | str | None = None,
    plots: Path | str | None = None,
    *,
    dataset: str | None = None,
    data: Path | str | None = None,
    pictures: bool = True,
    listener: Callable[[str, dict[str, Any]], None] | None = None,
) -> list[Path]:
    """Write `report.html`, which shows all, then the plots and tables of a store; return the files, it first.

    Those of embedding quality are among them where models were evaluated, and the joint table where indexes were
    measured on what a model embedded and that dataset is still in `data`. Without `pictures` no index is plotted apart
    from the page. `listener` is told of the page and of each group of results before it is drawn.
    """
    from harness.embedding.joint import joint_rows
    from harness.embedding.records import read_records
    from harness.interop.tables import foreign_rows
    from harness.report.derived import derive
    from harness.report.html.page import Content, write_page
    from harness.report.html.studies import study_cards
    from harness.report.joint import judged_datasets, write_joint
    from harness.report.quality import write_quality
    from harness.report.write import check_some, write_report
    from harness.store import ResultStore

    chosen = results_folder(Path(results) if results else None)
    store = ResultStore(chosen)
    folder = plots_folder(Path(plots) if plots else None)
    datasets = data_folder(Path(data) if data else None)
    records = list(read_records(chosen))
    quality = write_quality(records, folder) if records else []
    derived = derive(store, foreign_rows(store)).only(dataset)
    if not records:
        check_some(derived.table, dataset)
    judged = judged_datasets(set(derived.table["dataset"]), datasets)
    joint = joint_rows((store.read(path) for path in derived.paths_of(judged)), judged)
    page = write_page(
        Content(derived.table, derived.details, records, joint, study_cards(folder), datasets),
        folder,
    )
    if listener is not None:
        listener("page", {"path": page})
    formats = ("png", "svg") if pictures else ()
    paths = (
        []
        if derived.table.empty
        else write_report(derived.table, folder, dataset=dataset, formats=formats, listener=listener)
    )
    return [page, *paths, *quality, *write_joint(joint, folder)]


def prepare(
    what: str | Path | ArrayLike,
    *,
    metric: str | None = None,
    name: str | None = None,
    queries: str | Path | int | ArrayLike | None = None,
    neighbors: int | None = None,
    data: Path | str | None = None,
    force: bool = False,
    progress: bool = True,
) -> Path:
    """Put a dataset into the data folder and return its path, whose stem is its name for `run(dataset=...)`.

    `what` is a dataset's name, a file of vectors, or an array (n, dim) of numbers; of the latter two, `queries` are a
    file or an array (q, dim), or how many rows to split off (None: a tenth). What is there and was made of the same is
    returned at once: an array is known again by a hash of its content. `progress` shows on standard error what takes
    long. Raises AnnbenchErrors in one line.

    Example: `run(dataset=prepare(X, metric="angular", name="mine").stem)`
    """
    from harness.sources.prepare import prepare as prepare_dataset

    return prepare_dataset(
        what,
        folder=data_folder(Path(data) if data else None),
        metric=metric,
        queries=queries,
        name=name,
        neighbors=neighbors,
        force=force,
        progress=progress,
    )


def study(
    name: str,
    *,
    quick: bool = False,
    data: Path | str | None = None,
    results: Path | str | None = None,
    plots: Path | str | None = None,
    plugins: Sequence[Path | str] = (),
    force: bool = False,
    listener: Callable[[str, dict[str, Any]], None] | None = None,
    **changes: Any,
) -> tuple[Explanation, list[Path]]:
    """Measure what is missing of a study; return what it says, and the files with its picture, tables and rows.

    `changes` are fields of the study's settings. Files of a `quick` study are named so, and don't replace a full one's.
    """
    from harness.registry import load_registry
    from harness.report.studies import write_study
    from harness.studies.catalogue import find_study
    from harness.studies.session import run_study, settings_for

    wanted = find_study(name)
    outcome = run_study(
        wanted,
        settings_for(wanted, quick=quick, changes=changes),
        load_registry([Path(p) for p in plugins]),
        data=data_folder(Path(data) if data else None),
        results=results_folder(Path(results) if results else None),
        force=force,
        listener=listener,
    )
    folder = plots_folder(Path(plots) if plots else None)
    return outcome.explain(), write_study(outcome, folder, suffix="-quick" if quick else "")
