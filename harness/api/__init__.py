"""The Python face of annbench, for notebooks and scripts: the verbs of the command line as functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.comparing import compare
from harness.core.errors import ConfigError, UnstatedMetricError
from harness.core.folders import data_folder, plots_folder, results_folder
from harness.store.failures import FAILURE_SUFFIX
from harness.store.results import RESULT_SUFFIX

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from harness.plan.expand import Plan
    from harness.plan.suites import Suite
    from harness.report.choice import Choice
    from harness.studies.study import Explanation

__all__ = ["choose", "compare", "load_results", "prepare", "report", "run", "study", "suite_for"]


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

    from harness.core.validation import describe
    from harness.plan.suites import find_suite

    fields = dict(changes)
    for key, value in (("datasets", dataset), ("algorithms", algorithm)):
        if value is not None and value != []:
            fields[key] = (value,) if isinstance(value, str) else tuple(value)
    try:
        return find_suite(name or "default").changed(**fields)
    except ValidationError as problem:
        raise ConfigError(describe(problem)) from None


def run(
    suite: str | None = None,
    *,
    dataset: str | Sequence[str] | None = None,
    vectors: str | Path | ArrayLike | None = None,
    metric: str | None = None,
    algorithm: str | Sequence[str] | None = None,
    plugins: Sequence[Path | str] = (),
    ann_benchmarks: Sequence[Path | str] = (),
    data: Path | str | None = None,
    results: Path | str | None = None,
    threads: int = 1,
    build_threads: int | None = None,
    memory: int | None = None,
    force: bool = False,
    progress: bool = True,
    listener: Callable[[str, dict[str, Any]], None] | None = None,
    **changes: Any,
) -> pd.DataFrame:
    """Measure what is missing of a suite, and return what was asked for: a row for each of its search settings.

    `dataset` and `algorithm` narrow or widen the suite (names or the words all, from-scratch, core), `changes` are
    fields of a suite: group, workload, passes, queries, ..., and the workload's own, such as k and mode. A dataset that
    isn't there is prepared; `vectors`, an array or a file, becomes one under `metric`. `memory` is in bytes.
    `ann_benchmarks` are folders of its plug-ins, which are called `annb-<name>` (all of them: the word ann-benchmarks).
    `progress` shows a bar, in a notebook too; `listener` is told of every event instead.

    The table is that of `load_results`, of these settings as they are measured now: by the present source, libraries
    and machine. Settings that failed have their reason as `status`; the no-op baseline isn't among them.
    """
    from dataclasses import replace

    from harness.core.console import Lines
    from harness.engines.adapters.ann_benchmarks.plugins import plugin_entries
    from harness.engines.registry import load_registry
    from harness.measure.progress import estimates, watching
    from harness.measure.session import Options, execute, plan_run

    folder = data_folder(Path(data) if data else None)
    if vectors is not None:
        if dataset is not None:
            raise ConfigError("vectors are a dataset of their own; leave the dataset out, or prepare them apart")
        dataset = prepare(vectors, metric=metric, data=folder, progress=progress).stem
    wanted = suite_for(suite, dataset=dataset, algorithm=algorithm, **changes)
    options = Options(
        data=folder,
        results=results_folder(Path(results) if results else None),
        threads=threads,
        build_threads=build_threads,
        memory=memory,
        force=force,
    )
    theirs = [entry for path in ann_benchmarks for entry in plugin_entries(Path(path))]
    registry = load_registry([Path(p) for p in plugins], theirs)
    for name in wanted.datasets:
        prepare(name, data=folder, progress=progress)
    plans = plan_run(wanted, registry, options)
    console = Lines(stderr=True, quiet=not progress or listener is not None)
    with watching(console, plans, estimates(plans, wanted, options), wanted.passes) as shown:
        execute(wanted, registry, plans, options, listener or shown)
    asked = plan_run(wanted, registry, replace(options, force=True))
    return load_results(options.results, only=_files_of(asked))


def _files_of(plans: Sequence[tuple[str, Plan]]) -> set[str]:
    """Return where the results and failures of plans are kept, relative to the store."""
    found = set()
    for _, plan in plans:
        for build in plan.builds:
            for search in (None, *build.searches):
                found |= {f"{build.folder}/{build.stem(search)}{suffix}" for suffix in (RESULT_SUFFIX, FAILURE_SUFFIX)}
    return found


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
    from harness.data.dataset import read_header
    from harness.engines.registry import load_registry
    from harness.measure.session import Options, settings_for
    from harness.plan.expand import chosen
    from harness.report.choice import Choice, write_choice_page
    from harness.report.snippet import application

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
    registry = load_registry([Path(plugin) for plugin in plugins])
    entries = chosen(registry, names)
    decision = search(Request(wish, header, entries, suite, settings_for(options), options), told, since=since)
    best = decision.best
    if best is None:
        return Choice(decision, "", None)
    page = write_choice_page(decision, plots_folder(Path(plots) if plots else None), folder)
    lines = application(registry, best.algorithm, header.metric, k, best.build, best.search)
    return Choice(decision, lines, page)


def load_results(results: Path | str | None = None, *, only: Collection[str] | None = None) -> pd.DataFrame:
    """Return every result of a store as a tidy table, a row a search setting, with its measures and intervals.

    `build`, `search` and `versions` are dicts; each of their entries has a column of its own, too: `build.M`,
    `search.ef`, `version.hnswlib`. Rows are in order of dataset, algorithm and parameters, numbers as numbers. Failures
    and rows of ann-benchmarks' tables that were merged into the store are among them. `only` names the files to keep,
    relative to the store, and leaves the no-op baseline out.
    """
    from harness.analyse.columns import in_order, with_columns
    from harness.analyse.table import FLOOR
    from harness.interop.tables import foreign_rows
    from harness.report.derived import derive
    from harness.store.results import ResultStore

    folder = results_folder(Path(results) if results else None)
    store = ResultStore(folder)
    table = derive(store, foreign_rows(store)).table
    table["path"] = [str(Path(path).relative_to(folder)) for path in table["path"]]
    if only is not None:
        table = table[table["path"].isin(only) & (table["purpose"] != FLOOR)]
    return with_columns(in_order(table).drop(columns=["qps_samples", "recall_samples"]))


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
    from harness.core.folders import MODELS
    from harness.embedding.joint import joint_rows
    from harness.embedding.records import read_records
    from harness.interop.tables import foreign_rows
    from harness.report.derived import derive
    from harness.report.html.page import Content, write_page
    from harness.report.html.studies import study_cards
    from harness.report.html.training import training_curves
    from harness.report.joint import judged_datasets, write_joint
    from harness.report.quality import write_quality
    from harness.report.write import check_some, write_report
    from harness.store.results import ResultStore

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
    curves, untrained = training_curves(chosen / MODELS)
    content = Content(derived.table, derived.details, records, joint, study_cards(folder), datasets, curves, untrained)
    page = write_page(content, folder)
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
    from harness.data.sources.prepare import prepare as prepare_dataset

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
    from harness.engines.registry import load_registry
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
