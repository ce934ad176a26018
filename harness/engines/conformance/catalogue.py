"""Every check by name, in the order in which they are run: the cheap and telling ones first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.core.errors import UnknownNameError
from harness.engines.conformance import abilities, answers, edges, promises, ranges
from harness.engines.conformance.check import Check
from harness.engines.conformance.subject import Subject
from harness.engines.contract import (
    Closes,
    Concurrent,
    Deletes,
    ExactNeighbors,
    Explains,
    Filters,
    Flushes,
    Grows,
    Ranges,
    Saves,
)

_BUILT = ("builds",)
_MADE = ("__init__",)
_ANSWERS = ("builds", "inputs unchanged", "valid ids")
_REPEATABLE = (*_ANSWERS, "same answer twice")


def _can(ability: type) -> Callable[[Subject], bool]:
    return lambda subject: issubclass(subject.make, ability)


def _is_index(subject: Subject) -> bool:
    """Say whether its answers are meant to be near; those of the floor are not."""
    return not subject.is_floor


def _is_ordered(subject: Subject) -> bool:
    return subject.ordered and not subject.is_floor


def _is_ours(subject: Subject) -> bool:
    """Say whether it was written for this contract, edges included; the floor was."""
    return subject.edges


def _promises(subject: Subject) -> bool:
    return subject.edges and not subject.is_floor


CHECKS: tuple[Check, ...] = (
    Check("builds", answers.builds, about=("fit",)),
    Check("inputs unchanged", answers.inputs_unchanged, needs=_BUILT, about=("fit",)),
    Check("valid ids", answers.valid_ids, needs=_BUILT),
    Check("finds neighbours", answers.finds_neighbours, needs=_ANSWERS, applies=_is_index),
    Check("k ids where there are k", answers.k_answers, needs=_ANSWERS, applies=_promises),
    Check("nearest first", answers.nearest_first, needs=_ANSWERS, applies=_is_ordered),
    Check("same answer twice", answers.same_answer_twice, needs=_ANSWERS),
    Check("settings kept apart", answers.settings_apart, needs=_REPEATABLE),
    Check("earlier answers stay", answers.earlier_answers_stay, needs=_ANSWERS),
    Check("index_bytes", answers.counts_bytes, needs=_BUILT, about=("index_bytes",)),
    Check("counters", answers.counts_work, needs=_ANSWERS, applies=_is_ours, about=("counters",)),
    Check("k > n", edges.more_than_there_are, needs=_BUILT, applies=_is_ours),
    Check("one vector", edges.one_vector, needs=_BUILT, applies=_is_ours),
    Check("every vector twice", edges.every_vector_twice, needs=_BUILT, applies=_is_ours),
    Check("constant data", edges.constant_data, needs=_BUILT, applies=_is_ours),
    Check("another k", edges.another_k, needs=_REPEATABLE, before_timing=False, applies=_is_ours),
    Check("read-only views", edges.views, needs=_BUILT, before_timing=False, applies=_is_ours),
    Check("several threads", edges.several_threads, needs=_BUILT, before_timing=False, applies=_is_ours),
    Check("its grids", promises.grids, before_timing=False, applies=_is_ours, about=_MADE),
    Check(
        "unknown build parameter",
        promises.unknown_build_parameter,
        before_timing=False,
        applies=_is_ours,
        about=_MADE,
    ),
    Check(
        "unknown search parameter",
        promises.unknown_search_parameter,
        needs=_BUILT,
        before_timing=False,
        applies=_is_ours,
    ),
    Check(
        "unclaimed metrics",
        promises.unclaimed_metrics,
        before_timing=False,
        applies=_promises,
        about=_MADE,
    ),
    Check(
        "exact neighbours",
        promises.exact_neighbours,
        needs=_BUILT,
        before_timing=False,
        applies=_can(ExactNeighbors),
        about=("nearest",),
    ),
    Check("grows", promises.grown, needs=_ANSWERS, before_timing=False, applies=_can(Grows), about=("add",)),
    Check(
        "saves and loads",
        promises.saved_and_loaded,
        needs=_REPEATABLE,
        before_timing=False,
        applies=_can(Saves),
        about=("load",),
    ),
    *(
        Check(name, examine, needs=needs, before_timing=False, applies=_can(ability), about=(method,))
        for name, examine, needs, ability, method in (
            ("ranges", ranges.ranges, _ANSWERS, Ranges, "range_searcher"),
            ("deletes", abilities.deletes, _ANSWERS, Deletes, "delete"),
            ("filters", abilities.filters, _ANSWERS, Filters, "filtered_searcher"),
            ("flushes", abilities.flushes, _ANSWERS, Flushes, "flush"),
            ("clients at once", abilities.concurrent, _REPEATABLE, Concurrent, "client"),
            ("explains", abilities.explains, _ANSWERS, Explains, "evidence"),
            ("closes", abilities.closes, _ANSWERS, Closes, "close"),
        )
    ),
)


def find_checks(names: Sequence[str]) -> list[Check]:
    """Return checks by name, in the order of the catalogue. Raises UnknownNameError where one doesn't exist."""
    known = {check.name: check for check in CHECKS}
    for name in names:
        if name not in known:
            raise UnknownNameError("check", name, known)
    return [check for check in CHECKS if check.name in names]
