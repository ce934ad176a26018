"""What a check is, and how checks are run one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.core.errors import AnnbenchError, HarnessFault, refused_by_system
from harness.core.places import folders_of, place_of, place_of_method
from harness.engines.conformance.subject import Subject, Trial


@dataclass(frozen=True)
class Check:
    """One rule of the contract, and the function that looks for breaches of it.

    `examine` yields a sentence for each breach, and its docstring is the rule. `needs` names the checks without which
    this one has nothing to look at. A rule on which the figures rest is checked before timing; the others are promises
    to people, checked by `annbench check` and `pytest --annbench`. `applies` says whether a subject made the promise.
    """

    name: str
    examine: Callable[[Trial], Iterator[str]]
    needs: tuple[str, ...] = ()
    before_timing: bool = True
    applies: Callable[[Subject], bool] = lambda _: True
    about: tuple[str, ...] = ("searcher",)
    """The methods that a breach is about, in whose source it is looked for first."""

    @property
    def rule(self) -> str:
        """The rule in a sentence."""
        return (self.examine.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True)
class Verdict:
    """What a check found: breaches of its rule, or why it wasn't run; neither means that the rule is kept."""

    check: str
    breaches: tuple[str, ...] = ()
    not_run: str = ""
    promised: bool = True
    """Whether the plug-in is held to the rule; one that can't be saved owes nobody a file."""

    @property
    def kept(self) -> bool:
        """Whether the rule was checked, and is kept."""
        return not self.breaches and not self.not_run


def examine(
    subject: Subject, checks: Sequence[Check], before: Callable[[Check], None] = lambda _: None
) -> Iterator[Verdict]:
    """Run checks in order; `before` is told of each before it starts, so that a crash can be placed.

    Whatever a plug-in raises is a breach of the rule that was being checked. Raises HarnessFault where the system
    refused something, as where the disk is full.
    """
    trial = Trial(subject)
    failed: set[str] = set()
    for check in checks:
        if not check.applies(subject):
            yield Verdict(check.name, not_run="it makes no such promise", promised=False)
            continue
        if broken := [name for name in check.needs if name in failed]:
            failed.add(check.name)
            yield Verdict(check.name, not_run=f"{broken[0]!r} failed")
            continue
        before(check)
        breaches = tuple(_breaches(check, trial))
        if breaches:
            failed.add(check.name)
        yield Verdict(check.name, breaches)


def _breaches(check: Check, trial: Trial) -> Iterator[str]:
    make = trial.subject.make
    try:
        where = place_of_method(make, check.about)
        yield from (_at(breach, where) for breach in check.examine(trial))
    except Exception as problem:
        own = isinstance(problem, AnnbenchError)
        if refused_by_system(problem):
            raise HarnessFault(str(problem) if own else f"{type(problem).__name__}: {problem}") from problem
        what = str(problem) if own else f"raised {type(problem).__name__}: {problem}"
        yield _at(f"{check.name}: {what}", place_of(problem, folders_of(make)) or where)


def _at(breach: str, where: str) -> str:
    return f"{breach} [{where}]" if where else breach
