"""Which results of a stored side are meant, and which of one side meet which of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.analyse.kernels import unlike_kernels
from harness.compare.request import ANY_DATASET, Request
from harness.compare.sides import Side, StoredSide
from harness.compare.stored import Stored, Terms, differences, read_stored
from harness.core.errors import ConfigError, DatasetError
from harness.data.dataset import read_header
from harness.plan.expand import queries_of
from harness.store.spec import label

_Pair = tuple[Stored, Stored]


@dataclass
class Meeting:
    """What is compared, pair by pair, and what a reader should know of it.

    `missing` says what the first side has, and the second one should have but hasn't.
    """

    pairs: list[_Pair]
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_asked(side: StoredSide, request: Request) -> list[Stored]:
    """Read what is meant of a stored side: that of the datasets, and under the terms, that were asked for.

    Raises ConfigError where nothing is, with what is there.
    """
    wanted = request.suite.datasets
    found = [one for one in read_stored(side) if wanted == ANY_DATASET or one.terms.dataset in wanted]
    if not found:
        raise ConfigError(f"{side.text}: no result there is of {', '.join(wanted)}")
    fitting = [one for one in found if _fits(one.terms, request)]
    if not fitting:
        asked = " ".join([*request.asked.options(), *(["--holdout"] if request.holdout else [])])
        there = "; ".join(dict.fromkeys(in_words(one.terms) for one in found))
        raise ConfigError(
            f"{side.text}: no result there was measured with {asked}; what is there has {there}: ask for that, or "
            "leave the options out"
        )
    return fitting


def _fits(terms: Terms, request: Request) -> bool:
    asked = request.asked
    return (
        all(terms.own.get(name) == value for name, value in asked.own.items())
        # One query a call is asked by one thread, whatever --threads says: so it is for what is measured, too.
        and (terms.mode == "single" or asked.threads in (None, terms.threads))
        and (asked.queries in (None, terms.queries) or _all_there_are(terms, request))
        and (not request.holdout or terms.half is not None)
    )


def _all_there_are(terms: Terms, request: Request) -> bool:
    """Say whether more queries were asked for than the dataset has, and results are of all of them."""
    if request.asked.queries is None or request.asked.queries < terms.queries:
        return False
    try:
        header = read_header(request.options.data, terms.dataset)
    except DatasetError:  # it isn't here, so that can't be known
        return False
    return header.sha256 == terms.dataset_sha256 and queries_of(header, terms.half) == terms.queries


def in_words(terms: Terms) -> str:
    """Say under which terms results were measured, the dataset and the machine apart."""
    threads = f", {terms.threads} threads" if terms.mode == "batch" else ""
    own = [value if name == "mode" else f"{name}={value}" for name, value in terms.own.items()]
    return f"{', '.join(own)}{threads}, {_queries(terms)}"


def _queries(terms: Terms) -> str:
    return f"{terms.queries} queries" + ("" if terms.half is None else f" of the {terms.half} half")


def meet(first: Sequence[Stored], second: Sequence[Stored], request: Request) -> Meeting:
    """Pair what can be compared: the same algorithm under like terms, or the one algorithm of each side.

    Where some of it has equal terms, that alone is paired; what has no counterpart is told. Raises ConfigError where no
    pair is left.
    """
    alike = any(len({one.algorithm for one in side}) > 1 for side in (first, second))
    groups: dict[tuple[object, ...], list[_Pair]] = {}
    for a in first:
        for b in second:
            if _key(a, by_name=alike) == _key(b, by_name=alike):
                groups.setdefault(_key(a, by_name=alike), []).append((a, b))
    if not groups:
        raise ConfigError(
            f"{request.sides[0].text} and {request.sides[1].text} have no algorithm on the same dataset, k and mode in "
            "common; choose with FOLDER::ALGORITHM"
        )
    why = {}
    found = Meeting([])
    for key, group in groups.items():
        # Two counts of queries, or machines, in both stores: each with its like, never across.
        equal = [pair for pair in group if not (differences(pair[0].terms, pair[1].terms) or _unlike(*pair))]
        allowed = equal or [pair for pair in group if not _refusal(*pair, other_machine=request.other_machine)]
        if not allowed:
            closest = min(group, key=lambda pair: len(differences(pair[0].terms, pair[1].terms)))
            why[key] = _refusal(*closest, other_machine=request.other_machine)
        found.pairs += allowed
    if not found.pairs:
        raise ConfigError(next(iter(why.values())))
    found.notes = [note for a, b in found.pairs if (note := _machines(a.terms, b.terms))]
    found.notes += [f"libraries ran unlike kernels: {unlike}" for pair in found.pairs if (unlike := _unlike(*pair))]
    expected = (
        [one for one in first if _expected(one, second, request.sides[1], by_name=alike)],
        [one for one in second if _expected(one, first, request.sides[0], by_name=alike)],
    )
    _tell_left_over(found, expected, why, by_name=alike)
    return found


def _key(one: Stored, *, by_name: bool) -> tuple[object, ...]:
    """Return what two must share to be compared at all."""
    terms = one.terms
    return (one.algorithm if by_name else "", terms.dataset, terms.workload, label(terms.own), terms.threads)


def _expected(one: Stored, others: Sequence[Stored], other: Side, *, by_name: bool) -> bool:
    """Say whether the other side should hold a counterpart: a folder should, of the algorithm if it is given by name.

    A baseline, or what is measured beside results, is of one data set and needs none of others.
    """
    if isinstance(other, StoredSide) and other.path.is_dir():
        return not by_name or other.algorithm is None or one.algorithm in {theirs.algorithm for theirs in others}
    return _key(one, by_name=by_name) in {_key(theirs, by_name=by_name) for theirs in others}


def _tell_left_over(
    found: Meeting,
    expected: tuple[Sequence[Stored], Sequence[Stored]],
    why: Mapping[tuple[object, ...], str],
    *,
    by_name: bool,
) -> None:
    """Note what is in no pair; what the first side has is missing where nothing of its kind is in one."""
    said = []
    for number, side in enumerate(expected):
        paired = {(pair[number].algorithm, pair[number].terms) for pair in found.pairs}
        kinds = {_key(pair[number], by_name=by_name) for pair in found.pairs}
        for one in side:
            kind = _key(one, by_name=by_name)
            if (one.algorithm, one.terms) in paired or (number == 1 and kind in why):  # told of the first side
                continue
            reason = f": {why[kind]}" if kind in why else f" has no counterpart in {'BA'[number]}"
            said.append(f"{'AB'[number]}'s {one.algorithm} on {one.terms.dataset} ({in_words(one.terms)}){reason}")
            if number == 0 and kind not in kinds:
                found.missing.append(said[-1])
    if said:
        found.notes.append(f"not compared: {'; '.join(said)}")


def _refusal(a: Stored, b: Stored, *, other_machine: bool) -> str:
    """Say why two must not be compared, and what to do; empty where they may."""
    differ = differences(a.terms, b.terms)
    name = a.terms.dataset
    if "dataset_sha256" in differ:
        return f"{name}: the sides have different versions of it, so their recalls can't be compared"
    if "queries" in differ or "half" in differ:
        return (
            f"{name}: {_queries(a.terms)} on one side, {_queries(b.terms)} on the other; measure both on the same "
            "(--queries)"
        )
    if "machine" in differ and not other_machine:
        return (
            f"the sides were {_machines(a.terms, b.terms)}: their speeds say nothing of the algorithms; "
            "--other-machine compares them all the same"
        )
    if (unlike := _unlike(a, b)) and not other_machine:
        return (
            f"{name}: libraries ran other kernels on one side than on the other ({unlike}): their speeds say nothing "
            "of the algorithms; measure one side anew, or --other-machine compares them all the same"
        )
    return ""


def _unlike(a: Stored, b: Stored) -> str:
    return "; ".join(unlike_kernels(setting.kernels for side in (a, b) for setting in side.settings))


def _machines(a: Terms, b: Terms) -> str:
    if a.machine == b.machine:
        return ""
    names = " and ".join(f"{terms.machine_name or 'unknown'} ({terms.machine})" for terms in (a, b))
    return f"measured on different machines, {names}"
