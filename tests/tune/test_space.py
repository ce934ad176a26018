"""What may be tried: read off the grids of a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.core.errors import ConfigError
from harness.engines.registry import Entry, load_registry, read_config
from harness.tune.probe import Point
from harness.tune.space import Space, defaults, spaces
from harness.tune.trials import score

WITHOUT = {"null", "brute_force", "faiss-flat", "scann-brute-force"}  # have no parameters that could be chosen
VARIABLES = {"n": 10_000, "dim": 64, "k": 10}


def entry(folder: Path, groups: str) -> Entry:
    """Write a config with these groups, and read it."""
    (folder / "config.yml").write_text(
        f"mine:\n  constructor: mine:Mine\n  origin: library\n  metrics: [euclidean, angular]\n  groups: {groups}\n",
        encoding="utf-8",
    )
    return read_config(folder / "config.yml")[0]


def drawn(space: Space, count: int = 60) -> list[dict[str, Any]]:
    """Draw settings from a space."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(count)]


def test_numbers_span_a_range_and_words_are_choices(tmp_path: Path) -> None:
    """Groups are taken together; what follows from the data stays among the values that were written."""
    groups = (
        "{quick: {build: {M: 16, kind: a}, search: {ef: [10, 20]}}, "
        "full: {build: {M: [8, 32], kind: [a, b], lists: ['sqrt(n)', '4*sqrt(n)'], fixed: 3}, search: {ef: 400}}}"
    )
    build, search = spaces(entry(tmp_path, groups), "euclidean", VARIABLES)
    found = drawn(build)
    assert {params["M"] for params in found} <= set(range(8, 33))
    assert len({params["M"] for params in found}) > 5
    assert {params["kind"] for params in found} == {"a", "b"}
    assert {params.get("lists") for params in found} == {None, 100, 400}
    assert {params.get("fixed") for params in found} == {None, 3}
    assert all(10 <= params["ef"] <= 400 for params in drawn(search))
    low = [params["ef"] for params in drawn(search, 400)]
    assert sorted(low)[200] < 120  # by its logarithm: half of the draws lie below the geometric middle


def test_grids_of_another_metric_don_t_count(tmp_path: Path) -> None:
    """A group may hold a grid for one metric alone."""
    groups = "{quick: [{build: {M: [1, 2]}}, {build: {M: [50, 60]}, metrics: [angular]}]}"
    build, _ = spaces(entry(tmp_path, groups), "euclidean", VARIABLES)
    assert {params["M"] for params in drawn(build)} == {1, 2}


def test_nothing_to_tune_is_told(tmp_path: Path) -> None:
    """An algorithm whose groups differ in nothing has no space."""
    with pytest.raises(ConfigError, match="mine has nothing to tune"):
        spaces(entry(tmp_path, "{quick: {build: {M: 16}, search: {ef: 10}}}"), "euclidean", VARIABLES)


def test_what_the_author_would_try_comes_first(tmp_path: Path) -> None:
    """The first value of each list, expressions computed."""
    groups = "{quick: {build: {lists: ['sqrt(n)', 5]}}, default: {build: {lists: [7, 9], M: 3}}}"
    assert defaults(entry(tmp_path, groups), "euclidean", VARIABLES, "build") == [{"lists": 100}, {"lists": 7, "M": 3}]


@pytest.mark.parametrize("name", [name for name in load_registry() if name not in WITHOUT])
def test_every_algorithm_can_be_given_back_what_was_drawn(name: str) -> None:
    """A kept trial, told to a new study, is the setting that it was; every default lies within."""
    found = load_registry()[name]
    metric = str(found.config.metrics[0])
    both = spaces(found, metric, VARIABLES)
    for space, kind in zip(both, ("build", "search"), strict=True):
        for params in [*drawn(space, 10), *defaults(found, metric, VARIABLES, kind)]:
            given_back = space.as_trial(params)
            assert given_back is not None, params
            study = optuna.create_study()
            study.enqueue_trial(given_back)
            assert space.suggest(study.ask()) == params


def test_params_from_outside_are_not_given_back(tmp_path: Path) -> None:
    """What a space can't draw is left out, not bent."""
    build, _ = spaces(entry(tmp_path, "{quick: {build: {M: [8, 16], kind: [a, b]}}}"), "euclidean", VARIABLES)
    for params in ({"M": 40, "kind": "a"}, {"M": 8, "kind": "c"}, {"M": 8}, {"M": 8, "kind": "a", "other": 1}):
        assert build.as_trial(params) is None


@settings(max_examples=50)
@example([(1.0, 117.0), (0.25, 121.0)], (0.5, 118.0))
@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.floats(1, 1e6)), min_size=1, max_size=8),
    st.tuples(st.floats(0.01, 1), st.floats(1, 1e6)),
)
def test_another_setting_never_makes_a_build_worse(
    points: list[tuple[float, float]], other: tuple[float, float]
) -> None:
    """The fastest setting at a recall counts: more settings can only add to it."""
    before = score([Point({}, *point) for point in points], (0.5, 0.9))
    after = score([Point({}, *point) for point in [*points, other]], (0.5, 0.9))
    assert after >= before - 1e-9


def test_a_missed_recall_ranks_below_every_speed() -> None:
    """However fast: nearer to the recall is better, and reaching it better than all."""
    slow = score([Point({}, 0.95, 1.0)], (0.9,))
    near = score([Point({}, 0.89, 1e6)], (0.9,))
    far = score([Point({}, 0.5, 1e6)], (0.9,))
    assert slow > near > far > score([], (0.9,))
