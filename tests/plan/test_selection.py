"""Parameters given on the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import ConfigError, UnknownNameError
from harness.engines.registry import Entry, load_registry
from harness.plan.selection import grids_for, grids_of, read_selection, read_values


@pytest.fixture(scope="module")
def hnsw() -> Entry:
    """Return the entry of an algorithm with parameters of both kinds."""
    return load_registry()["hnsw"]


def test_values_are_yaml() -> None:
    """Numbers, words, null, lists and expressions arrive as a config file would give them."""
    read = read_values(["M=16", "storage=float32", "leaves=null", "ef=[10, 40]", "n_lists=4*sqrt(n)", "on=true"])
    assert read == dict(M=16, storage="float32", leaves=None, ef=[10, 40], n_lists="4*sqrt(n)", on=True)  # noqa: C408


@pytest.mark.parametrize("pair", ["M", "=16", "M 16", "1M=2", "M=[1", "a-b=1"])
def test_a_broken_pair_is_named(pair: str) -> None:
    """What can't be read is an error that shows what was given, and how to write it."""
    with pytest.raises(ConfigError, match="write it like"):
        read_values([pair])


def test_a_key_twice_is_refused() -> None:
    """The second value would silently win."""
    with pytest.raises(ConfigError, match="'M' stands twice"):
        read_values(["M=16", "M=32"])


def test_a_selection_tells_build_from_search(hnsw: Entry) -> None:
    """Names that the config knows go where they belong, and replace the group's grids whole."""
    (grid,) = grids_of(read_selection("hnsw(M=[12, 14], ef=40)"), hnsw, "quick")
    assert (grid.build, grid.search) == ({"M": [12, 14]}, {"ef": 40})


def test_what_is_not_given_is_the_groups(hnsw: Entry) -> None:
    """Search parameters alone leave the builds of the group as they are."""
    grids = grids_of(read_selection("hnsw(ef=40)"), hnsw, "quick")
    assert [grid.build for grid in grids] == [grid.build for grid in hnsw.config.groups["quick"]]
    assert all(grid.search == {"ef": 40} for grid in grids)


def test_names_that_the_config_lacks_are_those_of_the_class(hnsw: Entry) -> None:
    """A class may take parameters that no group of its config shows; what it doesn't take is refused."""
    with pytest.raises(ConfigError, match="'newcomer' belongs to the build or to the search"):
        grids_of(read_selection("hnsw(newcomer=1)"), hnsw, "quick")
    with pytest.raises(UnknownNameError, match="no build parameter of hnsw is called 'newcomer'"):
        grids_of(read_selection("hnsw(newcomer=1; ef=40)"), hnsw, "quick")
    (grid,) = grids_of(read_selection("hnsw(seed=1; ef=40)"), hnsw, "quick")
    assert (grid.build, grid.search) == ({"seed": 1}, {"ef": 40})
    grids = grids_of(read_selection("hnsw(upper_layers=false)"), hnsw, "quick")
    assert all(grid.search == {"upper_layers": False} for grid in grids)


def test_a_bare_name_keeps_the_group(hnsw: Entry) -> None:
    """Without parameters the grids are those of the config."""
    assert grids_of(read_selection("hnsw"), hnsw, "quick") == hnsw.config.groups["quick"]


def test_a_group_may_be_named(hnsw: Entry) -> None:
    """It comes before the one that is asked for, and may have parameters in place of some of its own."""
    assert grids_of(read_selection("hnsw@full"), hnsw, "quick") == hnsw.config.groups["full"]
    assert all(grid.search == {"ef": 40} for grid in grids_of(read_selection("hnsw@full(ef=40)"), hnsw, "quick"))
    with pytest.raises(ConfigError, match="no group 'huge'"):
        grids_of(read_selection("hnsw@huge"), hnsw, "quick")


def test_an_absent_group_is_named(hnsw: Entry) -> None:
    """The error lists the groups that there are; parameters for both kinds need none."""
    with pytest.raises(ConfigError, match="no group 'huge'; it has quick"):
        grids_of(read_selection("hnsw"), hnsw, "huge")
    assert len(grids_of(read_selection("hnsw(M=16, ef=40)"), hnsw, "huge")) == 1


@pytest.mark.parametrize("text", ["hnsw(", "hnsw)", "hnsw(M=1", "hnsw(M=1; ef=2; k=3)"])
def test_a_broken_selection_is_refused(text: str) -> None:
    """Half a bracket or a third part is an error, not an algorithm of an odd name."""
    with pytest.raises(ConfigError):
        read_selection(text)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_]\w{0,5}", fullmatch=True).filter(str.isascii),
        st.one_of(st.integers(), st.booleans(), st.none(), st.lists(st.integers(), max_size=3)),
        max_size=4,
    )
)
def test_a_selection_reads_what_was_written(params: dict[str, object]) -> None:
    """Commas within lists don't split, and values come back as they were."""
    import json

    text = ", ".join(f"{key}={json.dumps(value)}" for key, value in params.items())
    assert read_selection(f"some-name({text})").mixed == params


def test_options_are_for_the_algorithms_that_were_chosen(hnsw: Entry) -> None:
    """The floor has no parameters, so it keeps its own."""
    grids = grids_for([hnsw, load_registry()["null"]], "quick", ["M=16"], ["ef=40"])
    (defaults,) = grids_for([hnsw], "quick", [""], ["ef=40"])["hnsw"]
    assert (defaults.build, defaults.search) == ({}, {"ef": 40})
    assert {name: [(grid.build, grid.search) for grid in found] for name, found in grids.items()} == {
        "hnsw": [({"M": 16}, {"ef": 40})]
    }
