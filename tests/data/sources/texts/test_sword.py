"""Readers of SWORD modules, on small ones made here, and on real ones beside SWORD's own mod2imp."""

from __future__ import annotations

import re
import subprocess
from shutil import which

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import SourceError
from harness.data.sources.package import unpacked_debian
from harness.data.sources.texts.sword import read_bible, read_dictionary

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
GENESIS = [
    '<div canonical="true" osisID="Gen" sID="gen1" type="book"/> <title>Genesis</title>',
    '<div sID="gen2" type="x-p"/> <chapter n="1" osisID="Gen.1" sID="Gen.1"/> ',
    "In the <w>beginning</w>",
    "",
    'And God said <chapter eID="Gen.1"/> <div eID="gen2"/>',
    '<chapter n="2" osisID="Gen.2" sID="Gen.2"/>',
    'Thus <chapter eID="Gen.2"/><div canonical="true" eID="gen1" osisID="Gen" type="book"/> A glossary',
]
EXODUS = [
    '<div canonical="true" osisID="Exod" sID="gen3" type="book"/>',
    '<chapter n="1" osisID="Exod.1" sID="Exod.1"/>',
    "Now these…",
]
MATTHEW = [
    '<div canonical="true" osisID="Matt" sID="gen4" type="book"/>',
    '<chapter n="1" osisID="Matt.1" sID="Matt.1"/>',
    "The book",
    "Abraham",
]


@pytest.fixture
def bible(tmp_path, write_bible):
    """Return a module of three books, one to a block, behind a block of introductions."""
    return write_bible(tmp_path / "bible", {"ot": [["", "<milestone/>"], GENESIS, EXODUS], "nt": [["", ""], MATTHEW]})


def test_verses_are_numbered_from_their_chapter(bible):
    """Introductions are no verses, empty verses count but are left out, and what follows a chapter's end is cut."""
    assert read_bible(bible) == {
        "Gen.1.1": "In the <w>beginning</w>",
        "Gen.1.3": "And God said ",
        "Gen.2.1": "Thus ",
        "Exod.1.1": "Now these…",
        "Matt.1.1": "The book",
        "Matt.1.2": "Abraham",
    }


@pytest.mark.parametrize("name", ["ot.bzs", "ot.bzv", "nt.bzz"])
def test_a_broken_bible_is_one_line(bible, name):
    """A file that is cut short or missing is told, not read as fewer verses."""
    content = (bible / name).read_bytes()
    (bible / name).write_bytes(content[:-3])
    with pytest.raises(SourceError, match="not a whole SWORD module"):
        read_bible(bible)
    (bible / name).unlink()
    with pytest.raises(SourceError, match="No such file"):
        read_bible(bible)


def test_a_module_without_chapters_is_told(tmp_path, write_bible):
    """Entries that no chapter's introduction precedes are no verses."""
    with pytest.raises(SourceError, match="holds no verse"):
        read_bible(write_bible(tmp_path, {"ot": [["", "text"]], "nt": [["more"]]}))


@given(
    entries=st.lists(st.tuples(st.text("ABC ,Ä", min_size=1), st.text(CHARACTERS)), min_size=1),
    per_block=st.integers(1, 4),
)
def test_a_dictionary_is_read_as_written(tmp_path_factory, write_dictionary, entries, per_block):
    """Headwords and texts come back in order, however many share a block, also where a headword comes twice."""
    stem = tmp_path_factory.mktemp("zld") / "nave"
    assert read_dictionary(write_dictionary(stem, entries, per_block)) == entries


def test_an_empty_dictionary_is_told(tmp_path, write_dictionary):
    """A module without entries is no source of anything."""
    with pytest.raises(SourceError, match="holds no entry"):
        read_dictionary(write_dictionary(tmp_path / "nave", []))


@pytest.mark.parametrize("suffix", [".idx", ".dat", ".zdx", ".zdt"])
def test_a_broken_dictionary_is_one_line(tmp_path, write_dictionary, suffix):
    """A file that is cut short is told."""
    stem = write_dictionary(tmp_path / "nave", [("A", "one"), ("B", "two"), ("C", "three")])
    content = stem.with_suffix(suffix).read_bytes()
    stem.with_suffix(suffix).write_bytes(content[:-5])
    with pytest.raises(SourceError, match="not a whole SWORD module"):
        read_dictionary(stem)


def _imported(module, library):
    """Return what mod2imp says of a module: pairs of key and text."""
    done = subprocess.run(
        ["mod2imp", module], env={"SWORD_PATH": str(library)}, capture_output=True, text=True, check=True
    )
    return [(key, text.strip()) for key, _, text in (part.partition("\n") for part in done.stdout.split("$$$")[1:])]


@pytest.mark.slow
@pytest.mark.skipif(which("mod2imp") is None, reason="the oracle, mod2imp of Debian's libsword-utils, is not installed")
@pytest.mark.parametrize(
    ("package", "module"), [("sword-text-web", "engWEB2015eb"), ("sword-text-kjv", "engKJV2006eb")]
)
def test_real_bibles_beside_mod2imp(console, package, module):
    """Every verse of the real modules has the number and the markup that SWORD's own library finds."""
    try:
        with unpacked_debian(package, console=console) as (folder, _):
            ours = read_bible(next(folder.rglob("ot.bzs")).parent)
            theirs = _imported(module, folder / "usr/share/sword")
    except SourceError as problem:
        pytest.skip(f"offline or no Debian: {problem}")
    names: dict[str, str] = {}  # SWORD's name of a book -> OSIS's, from the chapter's introduction, which is verse 0
    expected: dict[str, str] = {}
    for key, text in theirs:
        name, _, place = key.strip().rpartition(" ")
        begun = re.search(r'<chapter n="\d+" osisID="(\w+)\.', text)
        if begun:
            names[name] = begun[1]
        elif re.fullmatch(r"\d+:[1-9]\d*", place) and (verse := text.partition('<chapter eID="')[0].strip()):
            expected[f"{names[name]}.{place.replace(':', '.')}"] = verse
    ours.pop("EsthGr.10.14", None)  # one more than SWORD's versification allows for, so its library can't reach it
    assert len(expected) > 30_000
    assert {verse: text.strip() for verse, text in ours.items()} == expected


@pytest.mark.slow
@pytest.mark.skipif(which("mod2imp") is None, reason="the oracle, mod2imp of Debian's libsword-utils, is not installed")
def test_real_dictionary_beside_mod2imp(console):
    """Every entry of Nave's is what SWORD's own library finds."""
    try:
        with unpacked_debian("sword-dict-naves", console=console) as (folder, _):
            ours = read_dictionary(next(folder.rglob("*.zdx")).with_suffix(""))
            theirs = _imported("Nave", folder / "usr/share/sword")
    except SourceError as problem:
        pytest.skip(f"offline or no Debian: {problem}")
    # mod2imp writes line breaks as blanks.
    assert [(key, text.split()) for key, text in ours] == [(key.strip(), text.split()) for key, text in theirs]
