"""What a plug-in promises to people: parameters that are checked, and abilities that do what their names say."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import AnnbenchError
from harness.data.metric import Metric
from harness.engines.conformance.samples import DIM, fingerprint, join, sample
from harness.engines.conformance.subject import LEAST_RECALL, QUERIES, K, N, Trial, singly, true_distances
from harness.engines.contract import ExactNeighbors, Grows, Saves, as_neighbors

_TYPO = "no_such_parameter"
# Sizes of data for which grids are expanded: what suits a million vectors of 128 dimensions should be accepted.
_USUAL = {"n": 1_000_000, "dim": 128, "k": K}


def grids(trial: Trial) -> Iterator[str]:
    """Its constructor accepts the build parameters of every grid in its config."""
    for build in trial.subject.builds(_USUAL):
        try:
            trial.subject.make(trial.subject.metric, **build)
        except Exception as problem:  # noqa: BLE001 - whatever a plug-in raises is a finding
            shown = ", ".join(f"{name}={value!r}" for name, value in build.items())
            yield f"its own grid has ({shown}), which it refuses: {problem}"
            return


def unknown_build_parameter(trial: Trial) -> Iterator[str]:
    """A build parameter that it doesn't know is refused by name, not passed over in silence."""
    build, _ = trial.subject.resolve({"n": N, "dim": DIM, "k": K})
    yield from _refused(lambda: trial.subject.make(trial.subject.metric, **build, **{_TYPO: 1}), "build")


def unknown_search_parameter(trial: Trial) -> Iterator[str]:
    """A search parameter that it doesn't know is refused by name, not passed over in silence."""
    trial.bind()
    yield from _refused(lambda: trial.index.searcher(**{_TYPO: 1}), "search")


def _refused(call: Callable[[], Any], kind: str) -> Iterator[str]:
    """Yield a breach unless Python, by its TypeError, or the plug-in, by an error of ours, names the parameter."""
    try:
        call()
    except (TypeError, AnnbenchError) as problem:
        if _TYPO not in str(problem):
            yield f"an unknown {kind} parameter is refused without its name: {problem}"
    except Exception as problem:  # noqa: BLE001 - whatever a plug-in raises is a finding
        yield (
            f"an unknown {kind} parameter should raise ParameterError, not {type(problem).__name__}: {problem}; "
            "leave it out of the signature, and Python refuses it"
        )
    else:
        yield f"an unknown {kind} parameter {_TYPO!r} was passed over in silence: a misspelt one would be, too"


def unclaimed_metrics(trial: Trial) -> Iterator[str]:
    """Its constructor refuses every metric that its config doesn't claim."""
    build, _ = trial.subject.resolve({"n": N, "dim": DIM, "k": K})
    accepted = []
    for metric in (metric for metric in Metric if metric not in trial.subject.claimed):
        try:
            trial.subject.make(metric, **build)
        except (AnnbenchError, ValueError):
            continue
        except Exception as problem:  # noqa: BLE001 - whatever a plug-in raises is a finding
            yield f"metric {metric}, not claimed: should raise ParameterError, not {type(problem).__name__}: {problem}"
        else:
            accepted.append(str(metric))
    if accepted:
        yield (
            f"its config doesn't claim {', '.join(accepted)}, but its constructor accepts it: raise ParameterError "
            "there, or claim it"
        )


def saved_and_loaded(trial: Trial) -> Iterator[str]:
    """An index that was saved and loaded into a fresh one gives the same answers, and so does the one saved."""
    expected = singly(trial.bind(), trial.queries, K, N)
    folder = Path(tempfile.mkdtemp(prefix="annbench-save-"))
    try:
        target = folder / "index"
        saved, fresh = trial.index, trial.subject.construct(N)[0]
        if not (isinstance(saved, Saves) and isinstance(fresh, Saves)):
            return
        saved.save(target)
        if not target.exists():
            yield f"save wrote nothing at the path that it was given; the folder holds {_names(folder)}"
            return
        fresh.load(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    # What it was loaded from is gone by now: a search must not depend on it.
    searches = trial.subject.construct(N)[1]
    if (singly(fresh.searcher(**searches[-1]), trial.queries, K, N) != expected).any():
        yield "the index that was loaded gives other answers than the one that was saved"
    if (singly(trial.bind(), trial.queries, K, N) != expected).any():
        yield "saving changed the answers of the index that was saved"


def _names(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir())) or "no file"


def grown(trial: Trial) -> Iterator[str]:
    """Vectors that were added are found by ids that go on from the highest so far, and are left as they were."""
    metric = trial.subject.metric
    first, second = sample(metric, N // 2, seed=9), sample(metric, N // 2, seed=10)
    algorithm, _ = trial.subject.built(first)
    if not isinstance(algorithm, Grows):
        return
    before = fingerprint(second)
    algorithm.searcher(**trial.subject.construct(N // 2)[1][-1])(trial.queries, K)
    algorithm.add(second, threads=1)
    if fingerprint(second) != before:
        yield "add changed the vectors that it was given"
    search = algorithm.searcher(**trial.subject.construct(N)[1][-1])
    ids = as_neighbors(search(trial.queries, K), QUERIES, K, N)
    distances = true_distances(metric, trial.queries, join(first, second))
    # A query's k nearest, and which of them were added: of old and new ones, as many should be found.
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :K]
    hit = (nearest[:, :, None] == ids[:, None, :]).any(axis=2)
    for title, which in (("added", nearest >= N // 2), ("there before", nearest < N // 2)):
        share = float(hit[which].mean())
        if share < LEAST_RECALL:
            yield f"after add: {share:.3f} of the true neighbours that were {title} are found, near that of guessing"


def exact_neighbours(trial: Trial) -> Iterator[str]:
    """`nearest` gives the true neighbours with their distances, ascending, to 1e-5 of them; -1 and inf beyond n."""
    trial.bind()
    if not isinstance(trial.index, ExactNeighbors):
        return
    ids, found = trial.index.nearest(trial.queries, K, threads=1)
    true = np.sort(true_distances(trial.subject.metric, trial.queries, trial.train), axis=1)[:, :K]
    slack = 1e-5 * np.maximum(np.abs(true), 1e-3)
    if (np.abs(found - true) > slack).any():
        row, column = np.argwhere(np.abs(found - true) > slack)[0]
        yield f"nearest: query {row} has distance {found[row, column]:.7g} at {column}, not {true[row, column]:.7g}"
    if (np.abs(trial.distances(as_neighbors(ids, QUERIES, K, N)) - true) > slack).any():
        yield "nearest: ids and distances are not of the same vectors"
    ids, found = trial.index.nearest(trial.queries, N + 1, threads=1)
    if (ids[:, N] != -1).any() or not np.isposinf(found[:, N]).all():
        yield f"nearest: k = {N + 1} of {N} vectors should end in id -1 and distance inf"
