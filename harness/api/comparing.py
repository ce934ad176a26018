"""`harness.compare`: which of two is faster at equal recall, as a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import ConfigError
from harness.core.folders import data_folder, results_folder

if TYPE_CHECKING:
    from harness.analyse.clock import Clock
    from harness.report.verdicts import Verdicts

DEFAULT_DATASET = "fashion-mnist-784-euclidean"


def compare(
    a: str,
    b: str | None = None,
    *,
    dataset: str | None = None,
    recall: float | Sequence[float] | None = None,
    group: str = "quick",
    pairs: int = 5,
    most_pairs: int | None = None,
    passes: int | None = None,
    queries: int | None = None,
    threads: int | None = None,
    build_threads: int | None = None,
    clock: Clock = "wall",
    holdout: bool = False,
    save_baseline: Path | str | None = None,
    other_machine: bool = False,
    timeout: float | None = None,
    memory: int | None = None,
    plugins: Sequence[Path | str] = (),
    ann_benchmarks: Sequence[Path | str] = (),
    data: Path | str | None = None,
    results: Path | str | None = None,
    listener: Callable[[str, str, dict[str, Any]], None] | None = None,
    **own: Any,
) -> Verdicts:
    """Say which of two is faster at equal recall, by how much, and how sure that is.

    A side is an algorithm ("hnsw"), one with parameters ("hnsw(M=16, ef=40)"), a folder of a plug-in, a folder of
    results, or a baseline file. Two algorithms are measured in turns, in pairs of pinned children; the same call goes
    on where it stopped. `recall` None compares two single settings as they are, and else at .9, .95 and .99. `timeout`
    is in seconds, `memory` in bytes, `own` are the workload's own fields, such as k and mode: of results they choose
    among those that are there. Without `b`, A's baseline is written to `save_baseline`. `listener` is told of every
    event, with the side that it is about. Raises ConfigError for what can't be compared.
    """
    from harness.compare.request import DEFAULT_PASSES, Asked, Request, compare_suite
    from harness.compare.session import compare as compare_sides
    from harness.compare.sides import LiveSide, read_side
    from harness.data.sources.prepare import prepare
    from harness.engines.adapters.ann_benchmarks.plugins import plugin_entries
    from harness.engines.registry import load_registry
    from harness.measure.session import Options
    from harness.report.verdicts import Verdicts

    most = 2 * pairs if most_pairs is None else most_pairs
    if most < pairs:
        raise ConfigError(f"most_pairs = {most} is less than pairs = {pairs}; give at least as many")
    if b is None and save_baseline is None:
        raise ConfigError("a comparison has two sides; with one alone name the file for its baseline: save_baseline")
    more = [entry for path in ann_benchmarks for entry in plugin_entries(Path(path))]
    registry = load_registry([Path(path) for path in plugins], more)
    sides = tuple(read_side(text, registry, group) for text in (a, b) if text is not None)
    live = all(isinstance(side, LiveSide) for side in sides)
    options = Options(
        data=data_folder(Path(data) if data else None),
        results=results_folder(Path(results) if results else None),
        threads=threads or 1,
        build_threads=build_threads,
        memory=memory,
    )
    asked = {name: value for name, value in own.items() if value is not None}
    wanted = dataset or (DEFAULT_DATASET if live else "*")
    suite = compare_suite(
        wanted, group=group, queries=queries, passes=passes or DEFAULT_PASSES, timeout=timeout, **asked
    )
    if live:
        prepare(wanted, folder=options.data)
    targets = None if recall is None else (recall,) if isinstance(recall, int | float) else tuple(recall)
    request = Request(
        sides=sides,
        suite=suite,
        options=options,
        targets=targets,
        pairs=pairs,
        most_pairs=most,
        holdout=holdout,
        other_machine=other_machine,
        save=None if save_baseline is None else Path(save_baseline),
        clock=clock,
        asked=Asked(asked, threads, queries),
    )
    return Verdicts(compare_sides(request, listener or (lambda *_: None)))
