"""BEIR folders: what is read, what is left out, and which line is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import DatasetError
from harness.embedding.formats.beir import is_beir, read_beir, read_corpus, splits
from harness.embedding.formats.recognise import read_tasks

CORPUS: list[dict[str, Any]] = [
    {"_id": "d1", "title": "Cats", "text": "sit on mats"},
    {"_id": "d2", "title": "", "text": "Dogs run"},
    {"_id": "d3", "text": "no title", "metadata": {"url": "x"}},
]
QUERIES = [{"_id": "q2", "text": "who runs?"}, {"_id": "q1", "text": "who sits?"}, {"_id": "q3", "text": "unjudged"}]
QRELS = ["query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td3\t0", "q2\td2\t1"]


def write(path: Path, lines: Sequence[str], *, zipped: bool = False) -> None:
    """Write lines as UTF-8, gzipped or not."""
    data = "".join(f"{line}\n" for line in lines).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + (".gz" if zipped else "")).write_bytes(gzip.compress(data) if zipped else data)


def beir(
    folder: Path,
    *,
    corpus: Sequence[Any] = CORPUS,
    queries: Sequence[Any] = QUERIES,
    qrels: Sequence[str] = QRELS,
    split: str = "test",
    zipped: bool = False,
) -> Path:
    """Write a BEIR folder."""
    write(folder / "corpus.jsonl", [json.dumps(one) for one in corpus], zipped=zipped)
    write(folder / "queries.jsonl", [json.dumps(one, ensure_ascii=False) for one in queries], zipped=zipped)
    write(folder / "qrels" / f"{split}.tsv", qrels, zipped=zipped)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_is_read_as_it_stands(tmp_path: Path, zipped: bool) -> None:
    """Titles join texts, only judged queries are kept and in their order, and irrelevance is known."""
    folder = beir(tmp_path / "name", zipped=zipped)
    task = read_beir(folder)
    assert (task.name, task.about) == ("name", "")
    assert task.document_ids == ["d1", "d2", "d3"]
    assert task.documents == ["Cats sit on mats", "Dogs run", "no title"]
    assert (task.query_ids, task.queries) == (["q2", "q1"], ["who runs?", "who sits?"])
    assert task.judgements == {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}}
    assert read_corpus(folder) == (task.document_ids, task.documents)
    assert is_beir(folder)
    assert splits(folder) == ("test",)
    (found,) = read_tasks(folder)
    assert found.name == "name"


@pytest.mark.parametrize(
    "qrels",
    [
        ["q1\t0\td1\t2", "q1\tQ0\td3\t0", "q2\t0\td2\t1"],
        ["q1\td1\t2\r", "", "q1\td3\t-1", "q2\td2\t1", "q3\td1\t0"],
        ["q1\td1\t1", "q2\td2\t1", "q1\td3\t0", "q1\td1\t2"],
        ["\N{ZERO WIDTH NO-BREAK SPACE}query-id\tcorpus-id\tscore", *QRELS[1:]],
        ["qid\tpid\tlabel", *QRELS[1:]],
        ["query\titer\tdocument\trelevance", "q1\t0\td1\t2", "q1\t0\td3\t0", "q2\t0\td2\t1"],
        ['"query-id"\t"corpus-id"\t"score"', '"q1"\t"d1"\t"2"', 'q1\t"d3"\t0', 'q2\td2\t"1"'],
        ["query-id\tcorpus-id\tscore\tjudge", "q1\td1\t2\tann", "q1\td3\t0\t7", "q2\td2\t1\t"],
    ],
    ids=[
        *("trec", "no header, blank lines, negative", "judged twice", "byte-order mark"),
        *("another header", "trec with a header", "quoted cells", "a fourth column"),
    ],
)
def test_other_forms_of_judgements_mean_the_same(tmp_path: Path, qrels: list[str]) -> None:
    """TREC's columns, any header or none, quotes, relevance below 0 and repeated judgements come to the same task."""
    task = read_beir(beir(tmp_path, qrels=qrels))
    assert task.judgements == {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}}


def test_what_is_unknown_is_left_out_and_counted(tmp_path: Path) -> None:
    """Judgements of absent queries or documents are no error, but a task must have an answer left."""
    folder = beir(tmp_path, qrels=[*QRELS, "q9\td1\t1", "q1\td9\t1", "q9\td9\t1"])
    task = read_beir(folder)
    assert task.judgements == {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}}
    assert task.about == (
        "3 judgements left out: 'q9' of test.tsv:5 is not in queries.jsonl; 'd9' of test.tsv:6 is not in corpus.jsonl"
    )
    write(folder / "qrels" / "test.tsv", ["q1\td9\t1", "q2\td2\t0"])
    with pytest.raises(DatasetError, match=r"no query of queries\.jsonl has a relevant document"):
        read_beir(folder)


def test_splits_are_named(tmp_path: Path) -> None:
    """Another split has its name; one that isn't there is an error that lists those that are."""
    folder = beir(beir(tmp_path / "x", split="train", zipped=True), split="dev")
    assert splits(folder) == ("dev", "train")
    assert read_beir(folder, "train").name == "x/train"
    with pytest.raises(DatasetError, match=r"split 'test'; there are: dev, train"):
        read_beir(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corpus": []}, r"corpus\.jsonl: holds no document"),
        ({"corpus": [*CORPUS, CORPUS[1]]}, r"corpus\.jsonl:4: document 'd2' stands there twice"),
        ({"corpus": [{"_id": 5, "text": "x"}]}, r"corpus\.jsonl:1: '_id' should be a text; it is 5"),
        ({"corpus": [{"_id": "a"}]}, r"corpus\.jsonl:1: 'text' should be a text; it is missing"),
        ({"corpus": [["_id"]]}, r"corpus\.jsonl:1: should hold an object, such as {\.\.\.}, not list"),
        ({"corpus": [CORPUS[0], {"_id": "\ud800", "text": "x"}]}, r"corpus\.jsonl:2: not JSON \(.*surrogates"),
        ({"queries": [*QUERIES, QUERIES[0]]}, r"queries\.jsonl:4: query 'q2' stands there twice"),
        ({"queries": []}, "no query of queries.jsonl"),
        ({"qrels": []}, "no query of queries.jsonl"),
        ({"qrels": ["q1 0 d1 1"]}, r"test\.tsv:1: should hold query, document and relevance between tabs"),
        ({"qrels": ["q1\td1\t1", "q1\td2\t0.5"]}, r"test\.tsv:2: relevance '0\.5' is not a whole number"),
        ({"qrels": ["q1\td1\t99999999999999999999"]}, r"test\.tsv:1: relevance '9+' is not a whole number of at most"),
    ],
)
def test_wrong_content_is_named_by_file_and_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """Each error names the file, the line and what stands there."""
    with pytest.raises(DatasetError, match=words):
        read_beir(beir(tmp_path, **changes))


@pytest.mark.parametrize("line", ['{"_id": "a",', "[" * 100_000])
def test_broken_json_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    """A line that isn't JSON, or nested beyond reading, is named; blank lines before it count."""
    folder = beir(tmp_path)
    write(folder / "queries.jsonl", [json.dumps(QUERIES[0]), "", line])
    with pytest.raises(DatasetError, match=r"queries\.jsonl:3: not JSON"):
        read_beir(folder)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    """A file that isn't there, isn't UTF-8, isn't gzip or is cut short is named."""
    folder = beir(tmp_path)
    (folder / "queries.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"queries\.jsonl is missing; a BEIR folder holds"):
        read_beir(folder)
    zipped = gzip.compress(json.dumps(QUERIES[0]).encode() * 100)
    for content in (b"plain", zipped[:-20], zipped[:20] + b"\0" * 20 + zipped[40:]):
        (folder / "queries.jsonl.gz").write_bytes(content)
        with pytest.raises(DatasetError, match=r"queries\.jsonl\.gz: can't be read"):
            read_beir(folder)
    (folder / "queries.jsonl").write_bytes(b'{"_id": "\xff"}')
    with pytest.raises(DatasetError, match=r"queries\.jsonl: can't be read as UTF-8"):
        read_beir(folder)


_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_ids = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    documents=st.dictionaries(_ids, _texts, min_size=1, max_size=5),
    queries=st.dictionaries(_ids, _texts, min_size=1, max_size=4),
    zipped=st.booleans(),
    data=st.data(),
)
def test_what_is_written_is_read(
    tmp_path: Path, documents: dict[str, str], queries: dict[str, str], zipped: bool, data: st.DataObject
) -> None:
    """Any texts and ids that JSON can hold, in any script, come back; line ends within a text are no lines."""
    quoted = {name: f'"{name.replace(chr(34), 2 * chr(34))}"' for name in (*documents, *queries)}
    pair = st.tuples(st.sampled_from(sorted(queries)), st.sampled_from(sorted(documents)), st.integers(0, 3))
    pairs = data.draw(st.lists(pair, unique_by=lambda one: one[:2], min_size=1))
    folder = beir(
        tmp_path / str(zipped),
        corpus=[{"_id": name, "text": text} for name, text in documents.items()],
        queries=[{"_id": name, "text": text} for name, text in queries.items()],
        qrels=[f"{quoted[query]}\t{quoted[document]}\t{score}" for query, document, score in pairs],
        zipped=zipped,
    )
    answered = {query for query, _, score in pairs if score}
    if not answered:
        with pytest.raises(DatasetError, match="no query"):
            read_beir(folder)
        return
    task = read_beir(folder)
    assert dict(zip(task.document_ids, task.documents, strict=True)) == {
        k: f" {v}".strip() for k, v in documents.items()
    }
    assert list(zip(task.query_ids, task.queries, strict=True)) == [
        (name, text) for name, text in queries.items() if name in answered
    ]
    assert {(q, d, s) for q, by in task.judgements.items() for d, s in by.items()} == {
        one for one in pairs if one[0] in answered
    }
