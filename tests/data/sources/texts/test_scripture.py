"""The archive of verses and topics: written, read, and the one that is committed."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest

from harness.core.errors import SourceError
from harness.data.sources.package import Unpacked
from harness.data.sources.texts import scripture as module
from harness.data.sources.texts.catalogue import lookup_texts
from harness.data.sources.texts.nave import Topic, headword_family
from harness.data.sources.texts.nave_web import HELD_OUT
from harness.data.sources.texts.prepare import prepare_texts
from harness.data.sources.texts.scripture import from_packages, read_archive, write_archive

ARCHIVE, PACKAGES = (source.value for source in lookup_texts("nave-web").sources)
COMMITTED = Path(__file__).parents[4] / "datasets" / ARCHIVE


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def judgements(path):
    found = {}
    for line in path.read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        found.setdefault(query, set()).add(document)
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return the three collections as prepared from the committed archive, name -> folder."""
    folder = tmp_path_factory.mktemp("datasets")
    names = ("nave-web", "nave-web-heldout", "kjv-web-pairs")
    return {name: prepare_texts(name, folder=folder, progress=False) for name in names}


def test_an_archive_comes_back(scripture, tmp_path):
    """What is written is read again, and the same content is the same bytes."""
    write_archive(scripture, tmp_path / "one.tar.xz")
    write_archive(scripture, tmp_path / "two.tar.xz")
    assert read_archive(tmp_path / "one.tar.xz") == scripture
    assert (tmp_path / "one.tar.xz").read_bytes() == (tmp_path / "two.tar.xz").read_bytes()


def test_a_broken_archive_is_one_line(scripture, tmp_path):
    """Missing, cut short or something else, it is told."""
    path = tmp_path / ARCHIVE
    with pytest.raises(SourceError, match="No such file"):
        read_archive(path)
    write_archive(scripture, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"PK\3\4"):
        path.write_bytes(content)
        with pytest.raises(SourceError, match="not a whole archive"):
            read_archive(path)


def small_bible(markup):
    books = []
    for book in ("Gen", "Job"):
        verses = [markup.format(verse=verse) for verse in range(1, 7)]
        intro = [f'<div osisID="{book}" sID="g" type="book"/>', f'<chapter osisID="{book}.1" sID="{book}.1"/>']
        books.append([*intro, *verses])
    return {"ot": books, "nt": [["", ""]]}


@pytest.fixture
def small_packages(tmp_path, monkeypatch, write_bible, write_dictionary):
    """Let packages called web, kjv and nave hold twelve verses and three topics."""
    write_bible(tmp_path / "web" / "modules", small_bible("<w>you</w> {verse}<note>n</note>"))
    write_bible(tmp_path / "kjv" / "modules", small_bible("thou {verse}"))
    lines = [f'<lb/>→ Label of {i} <ref osisRef="{ref}">x</ref>' for i, ref in enumerate(["Gen.1.1-Gen.1.4", "Job.1"])]
    lines.append('<lb/>→ Label of 2 <ref osisRef="Gen.1.1">x</ref>, <ref osisRef="Gen.9.1">x</ref>')
    write_dictionary(tmp_path / "nave" / "nave", [("HEAD", f"<def>{line}</def>") for line in lines])
    monkeypatch.setattr(
        module,
        "unpacked_debian",
        lambda name, *, console: contextlib.nullcontext(Unpacked(tmp_path / name, f"1.0-{name}")),
    )
    return ["web", "kjv", "nave"]


def test_packages_become_verses_and_topics(small_packages, console):
    """Verses of both Bibles stand side by side, without markup; the README states versions and counts."""
    made = from_packages(small_packages, console=console)
    assert list(made.verses) == [f"{book}.1.{verse}" for book in ("Gen", "Job") for verse in range(1, 7)]
    assert made.verses["Job.1.6"] == ("thou 6", "you 6")
    assert made.topics == (Topic("HEAD", "Head: Label of 0", ("Gen.1.1-Gen.1.4",)),)
    for stated in ("| 1.0-nave |", "1 of 4 references", "- 1: fewer than 3 verses", "- 1: names a whole chapter"):
        assert stated in made.readme
    assert "{" not in made.readme


def test_a_package_of_something_else_is_told(small_packages, console):
    """A package that is laid out in another way is one line."""
    with pytest.raises(SourceError, match=r"holds no ot\.bzs"):
        from_packages(["nave", "kjv", "web"], console=console)


def test_the_command_says_what_it_can_not_do(tmp_path, monkeypatch, capsys):
    """Without Debian's packages the command ends with a line and a status, and writes nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["scripture", str(tmp_path)])
    assert module.main() == 2
    assert "apt-get is not on this machine" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_committed_archive_is_small():
    """Two megabytes are what a repository may be asked to carry."""
    assert COMMITTED.stat().st_size < 2_000_000


def test_counts_are_those_of_the_readme(folders):
    """What README states of verses, queries and splits is what is there."""
    text = (folders["nave-web"] / "README.md").read_text(encoding="utf-8")
    documents, queries = (read(folders["nave-web"] / f"{name}.jsonl") for name in ("corpus", "queries"))
    assert len(documents) == 31_095
    assert len(queries) == 6_476
    for name in ("nave-web", "nave-web-heldout"):
        for path in (folders[name] / "qrels").iterdir():
            assert f"{len(judgements(path)):,} for {path.stem}" in text
    assert re.search(r"which WEB has 31,095\b", text)
    assert f"the {len(read(folders['nave-web-heldout'] / 'corpus.jsonl')):,} verses of held-out books" in text


@pytest.mark.parametrize("name", ["nave-web", "nave-web-heldout"])
def test_ids_are_unique_and_judgements_point_at_something(folders, name):
    """No id stands twice, every judgement names a query and a document that exist, every query is judged."""
    documents = [line["_id"] for line in read(folders[name] / "corpus.jsonl")]
    queries = [line["_id"] for line in read(folders[name] / "queries.jsonl")]
    assert len(set(documents)) == len(documents)
    assert len(set(queries)) == len(queries)
    judged = [judgements(path) for path in (folders[name] / "qrels").iterdir()]
    assert set().union(*judged) == set(queries)
    assert sum(map(len, judged)) == len(queries)
    assert set().union(*(verses for split in judged for verses in split.values())) <= set(documents)


def test_queries_are_what_was_promised(folders):
    """Queries have three words or more and no markup; those of dev and test have 3 to 100 judgements."""
    texts = {line["_id"]: line["text"] for line in read(folders["nave-web"] / "queries.jsonl")}
    assert all(len(text.split()) >= 3 for text in texts.values())
    assert not [text for text in texts.values() if re.search(r"[<>→]|\s\s|: *$|: :|\d+:\d+", text)]
    for split in ("dev", "test"):
        found = judgements(folders["nave-web"] / "qrels" / f"{split}.tsv")
        assert all(3 <= len(verses) <= 100 for verses in found.values())


def test_texts_are_clean(folders):
    """No markup, footnote, paragraph sign or glossary is left in a verse."""
    texts = [line["text"] for line in read(folders["nave-web"] / "corpus.jsonl")]
    for name in ("train", "heldout"):
        texts += [line["query"] for line in read(folders["kjv-web-pairs"] / f"{name}.jsonl")]
    assert not [text for text in texts if re.search(r"[<>\\¶&#…]|\s\s|\d[.:]\d| [,.;:?!]", text)]
    assert max(map(len, texts)) < 700
    assert min(map(len, texts)) > 8


def test_no_headword_is_in_two_splits(folders):
    """Headwords up to a comma or bracket part the queries."""
    family = {q["_id"]: headword_family(q["metadata"]["headword"]) for q in read(folders["nave-web"] / "queries.jsonl")}
    splits = [{family[q] for q in judgements(path)} for path in (folders["nave-web"] / "qrels").iterdir()]
    assert len(splits) == 3
    assert sum(map(len, splits)) == len(set().union(*splits))


def test_training_has_no_test_document(folders):
    """No training pair and no training judgement names a document of nave-web-heldout, nor holds its text."""
    heldout = {line["_id"]: line["text"] for line in read(folders["nave-web-heldout"] / "corpus.jsonl")}
    pairs = read(folders["kjv-web-pairs"] / "train.jsonl")
    trained = set().union(*judgements(folders["nave-web"] / "qrels" / "train.tsv").values())
    assert {verse.split(".")[0] for verse in heldout} == HELD_OUT
    assert not set(heldout) & ({pair["id"] for pair in pairs} | trained)
    assert {line["id"] for line in read(folders["kjv-web-pairs"] / "heldout.jsonl")} == set(heldout)
    assert 0.15 < len(heldout) / 31_095 < 0.2
    # A formula such as "Yahweh spoke to Moses, saying," may stand in several books; a long verse doesn't.
    known = {pair["positive"] for pair in pairs}
    assert not [text for text in heldout.values() if len(text) > 60 and text in known]


def test_known_verses_and_topics(folders):
    """A few texts and judgements, checked by hand against the books."""
    documents = {line["_id"]: line["text"] for line in read(folders["nave-web"] / "corpus.jsonl")}
    assert documents["John.11.35"] == "Jesus wept."
    assert documents["Ps.23.1"] == "Yahweh is my shepherd; I shall lack nothing."
    assert documents["Rev.22.21"] == "The grace of the Lord Jesus Christ be with all the saints. Amen."
    pairs = {line["id"]: line["query"] for line in read(folders["kjv-web-pairs"] / "train.jsonl")}
    assert pairs["Exod.32.14"] == "And the LORD repented of the evil which he thought to do unto his people."
    queries = {line["text"]: line["_id"] for line in read(folders["nave-web"] / "queries.jsonl")}
    found = {}
    for path in (folders["nave-web"] / "qrels").iterdir():
        found |= judgements(path)
    noah = found[queries["Faith: instances of: Noah, in building the ark"]]
    assert noah == {*(f"Gen.6.{verse}" for verse in range(14, 23)), "Heb.11.7"}


@pytest.mark.slow
def test_the_archive_is_that_of_the_packages(tmp_path, console):
    """The same packages give the same bytes; other versions of them, a sound archive."""
    try:
        made = from_packages(PACKAGES.split(), console=console)
    except SourceError as problem:
        pytest.skip(f"offline or no Debian: {problem}")
    write_archive(made, tmp_path / ARCHIVE)
    if made.readme != read_archive(COMMITTED).readme:
        pytest.skip("Debian has other versions of the packages by now")
    assert (tmp_path / ARCHIVE).read_bytes() == COMMITTED.read_bytes()
