"""Where the engines stand at the recall: which lead, which are out, which go to the finals, and why others don't."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.choosing.candidates import Build, Candidate
from harness.choosing.journal import Journal, Tried
from harness.choosing.request import Wish
from harness.choosing.sample import sample_rows

# An engine whose upper bound is below this share of the best lower bound is dropped: another build, or a pass that was
# disturbed, doesn't make up for more.
_HOPELESS = 0.7
# One that reaches the recall at less than this share of the best QPS is dropped even if nothing bounds it from above.
_FAR_BEHIND = 0.05
# Finalists: no slower than this share of the best, by one pass each.
_CLOSE = 0.8
_MAX_FINALISTS = 3
# After the sample the better half goes on, but no fewer than this: so few engines aren't worth a sample.
MIN_KEPT = 4

NO_TIME = "no time was left; give more --minutes"

Standing = tuple[Candidate, Build, Tried]


def hopeless(tried: Tried, rivals: Iterable[Tried], target: float) -> bool:
    """Return whether a build can't come near the best of its rivals, whatever else is measured of it."""
    best = max((one.bounds(target).low for one in rivals if one is not tried), default=0.0)
    low, high = tried.bounds(target)
    return bool(tried.points) and (high < _HOPELESS * best or 0 < low < _FAR_BEHIND * best)


def ranked(tried: Iterable[Tried], target: float) -> list[Tried]:
    """Order what was tried: builds that reach the recall by their QPS, then the others by their upper bound."""

    def key(one: Tried) -> tuple[bool, float]:
        low, high = one.bounds(target)
        return low == 0, -(low or high)

    return sorted((one for one in tried if one.points), key=key)


@dataclass(frozen=True)
class Standings:
    """What the journal says of the candidates, by the present sources and within the limits."""

    journal: Journal
    candidates: Sequence[Candidate]
    wish: Wish
    rows: int
    """Rows of the whole dataset."""

    def known(self, candidate: Candidate, build: Build) -> Tried | None:
        """Return what was tried of a build on all rows."""
        return self.journal.find(candidate.entry.name, build.params, candidate.stamp)

    def on_sample(self, candidate: Candidate) -> Tried | None:
        """Return what was tried of an engine on the sample."""
        return self.journal.on_sample(candidate.entry.name, candidate.stamp, sample_rows(self.rows))

    def sampled(self) -> list[Tried]:
        """Return what was tried on the sample."""
        return [found for one in self.candidates if (found := self.on_sample(one)) is not None]

    def each(self) -> Iterator[Standing]:
        """Yield the builds that were measured on all rows and are within the limits."""
        for candidate in self.candidates:
            for build in candidate.builds:
                tried = self.known(candidate, build)
                if tried is not None and tried.points and not self.refusal(tried):
                    yield candidate, build, tried

    def tried(self) -> list[Tried]:
        """Return what was measured on all rows within the limits."""
        return [tried for _, _, tried in self.each()]

    def refusal(self, tried: Tried) -> str:
        """Say which limit of the wish an index breaks; empty for none."""
        if self.wish.memory is not None and (tried.index_bytes or 0) > self.wish.memory:
            return "its index is larger than --memory"
        if self.wish.build_seconds is not None and tried.build_seconds > self.wish.build_seconds:
            return "it takes longer to build than --build"
        return ""

    def in_order(self) -> tuple[list[Candidate], list[Candidate]]:
        """Return the engines to build on all rows, and those to build if time is left; each with the best first.

        Among the first are the better half of the sample and the engines that weren't built on it. Those that failed on
        it come last. Engines that were hopeless on it are in neither, unless they are in its better half.
        """
        sampled = self.sampled()
        names = [one.algorithm for one in ranked(sampled, self.wish.recall)]
        kept = names[: max(MIN_KEPT, (len(names) + 1) // 2)]
        by_name = {candidate.entry.name: candidate for candidate in self.candidates}
        out = {one.algorithm for one in sampled if hopeless(one, sampled, self.wish.recall)}
        failed = [one.algorithm for one in sampled if not one.points]
        later = [name for name in names if name not in kept and name not in out]
        first = [by_name[name] for name in kept]
        first += [one for one in self.candidates if one.entry.name not in {*names, *failed}]
        return first, [by_name[name] for name in [*later, *failed]]

    def reaching(self) -> list[Candidate]:
        """Return the engines that reach the recall on all rows, the fastest first."""
        best: dict[str, float] = {}
        for candidate, _, tried in self.each():
            name = candidate.entry.name
            best[name] = max(best.get(name, 0.0), tried.bounds(self.wish.recall).low)
        found = [candidate for candidate in self.candidates if best.get(candidate.entry.name, 0.0) > 0]
        return sorted(found, key=lambda candidate: -best[candidate.entry.name])

    def best_of(self, candidate: Candidate) -> Tried:
        """Return the best build of an engine that was measured."""
        mine = [tried for one, _, tried in self.each() if one is candidate]
        return max(mine, key=lambda tried: tried.bounds(self.wish.recall).low)

    def finalists(self) -> list[Standing]:
        """Return the best build of each of the fastest engines, and the fastest of half the winner's memory."""
        wanted = self.wish.recall
        order = sorted(self.each(), key=lambda one: -one[2].bounds(wanted).low)
        order = [one for one in order if one[2].bounds(wanted).low > 0]
        if not order:
            return []
        top = order[0][2]
        found: list[Standing] = []
        for one in order:
            close = one[2].bounds(wanted).low >= _CLOSE * top.bounds(wanted).low
            if close and all(one[0] is not other[0] for other in found) and len(found) < _MAX_FINALISTS:
                found.append(one)
        half = (top.index_bytes or 0) / 2
        lean = next((one for one in order if one[2].index_bytes and one[2].index_bytes <= half), None)
        if lean is not None and all(lean[2] is not other[2] for other in found):
            found.append(lean)
        return found

    def not_tried(self) -> dict[str, str]:
        """Return the engines of which nothing was measured on all rows within the limits, with the reason."""
        measured = {tried.algorithm for tried in self.tried()}
        return {
            candidate.entry.name: self._why_not(candidate)
            for candidate in self.candidates
            if candidate.entry.name not in measured
        }

    def _why_not(self, candidate: Candidate) -> str:
        builds = [tried for build in candidate.builds if (tried := self.known(candidate, build)) is not None]
        on_sample = self.on_sample(candidate)
        for tried in [*builds, *([on_sample] if on_sample is not None else [])]:
            if why := tried.failure or self.refusal(tried):
                # A failure begins with the engine's name, which stands before the reason.
                return why.removeprefix(f"{candidate.entry.name}: ")
        if on_sample is None or not on_sample.points:
            return NO_TIME
        where = f"on a sample of {on_sample.rows:,} rows"
        if hopeless(on_sample, self.sampled(), self.wish.recall):
            return f"far behind {where}"
        return f"in the slower half {where}, and {NO_TIME}"
