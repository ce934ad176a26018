"""Tables and JSONL of pairs and labelled texts: with a header and without, between tabs and commas."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import DatasetError
from harness.embedding.formats.pairs import read_pairs
from harness.embedding.formats.recognise import read_tasks
from harness.embedding.tasks import Classification, Clustering, Pairs, Similarity


def put(folder: Path, **files: str) -> Path:
    """Write files; an underscore in a name is its dot."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_bytes(text.encode())
    return folder


# --- kinds ---------------------------------------------------------------------------------------------------------


def test_stsb_has_no_header_and_quotes_mean_nothing(tmp_path: Path) -> None:
    """STS-B as published: score, first and second are columns 5 to 7, and licences may follow."""
    lines = (
        'news\tf\t2012\t0001\t5.000\tA "man" plays\tHe said "no\r\nnews\tf\t2012\t2\t0.2\tx, y\tz\tlicence\tmore\n\n'
    )
    task = read_pairs(put(tmp_path / "sts", test_csv=lines))
    assert isinstance(task, Similarity)
    assert task.name == "sts"
    assert list(task.first) == ['A "man" plays', "x, y"]
    assert list(task.second) == ['He said "no', "z"]
    np.testing.assert_array_equal(task.scores, [5.0, 0.2])


def test_headers_may_stand_in_any_order_and_case(tmp_path: Path) -> None:
    """With a header, columns are known by name, and cells may be quoted and hold commas, quotes and lines."""
    text = '\ufeffid,Similarity_Score, SENTENCE2 ,sentence1\n1,2.5,"a, ""b""\nc",d\n\n2,0,e,f\n'
    task = read_pairs(put(tmp_path, dev_csv=text), "dev")
    assert isinstance(task, Similarity)
    assert task.name == f"{tmp_path.name}/dev"
    assert (list(task.first), list(task.second)) == (["d", "f"], ['a, "b"\nc', "e"])
    np.testing.assert_array_equal(task.scores, [2.5, 0.0])


def test_pairs_by_label(tmp_path: Path) -> None:
    """Two texts and 0 or 1 make pairs, in JSONL as in tables, gzipped or not."""
    lines = [
        {"question1": a, "question2": b, "is_duplicate": label} for a, b, label in (("a", "b", 1), ("c", "d", False))
    ]
    (tmp_path / "test.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    task = read_pairs(tmp_path)
    assert isinstance(task, Pairs)
    assert (list(task.first), list(task.second), task.labels.tolist()) == (["a", "c"], ["b", "d"], [True, False])
    table = read_pairs(put(tmp_path / "t", test_tsv="text1\ttext2\tlabel\na\tb\tTrue\nc\td\t0\n"))
    assert isinstance(table, Pairs)
    assert table.labels.tolist() == [True, False]


def test_labelled_texts_make_two_tasks(tmp_path: Path) -> None:
    """Texts with labels are classified, learnt from the training file, and clustered."""
    put(tmp_path, train_tsv="text\tlabel\na\tx\nb\ty\nc\tz\n", test_csv='category,sentence\nx,"d, e"\ny,f\n')
    classified, clustered = read_tasks(tmp_path)
    assert isinstance(classified, Classification)
    assert (list(classified.train), list(classified.train_labels)) == (["a", "b", "c"], ["x", "y", "z"])
    assert (list(classified.test), list(classified.test_labels)) == (["d, e", "f"], ["x", "y"])
    assert isinstance(clustered, Clustering)
    assert (list(clustered.texts), list(clustered.labels)) == (["d, e", "f"], ["x", "y"])


# --- errors --------------------------------------------------------------------------------------------------------


_PAIR = '{"text1": "a", "text2": "b", "score": 1}'
_NULL = _PAIR.replace('"a"', "null")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("test_csv", "", r"test\.csv: is empty"),
        ("test_csv", "\n\n", r"test\.csv: holds no rows"),
        ("test_tsv", "\t\n \n", r"test\.tsv: holds no rows"),
        ("test_jsonl", "\n", r"test\.jsonl: holds no rows"),
        ("test_csv", "sentence1,sentence2,score\n", r"test\.csv: holds no rows"),
        ("test_tsv", "a\tb\tc\n", r"test\.tsv:1: 3 columns; without a header"),
        ("test_csv", "text1,score\na,1\n", r"test\.csv: columns should be .*; found first, score"),
        ("test_csv", "text1,text2,score\na,b,1\na,b\n", r"test\.csv:3: 2 cells under 3 columns"),
        ("test_csv", "text1,text2,score\na,b,high\n", r"test\.csv:2: the score 'high' is not a number"),
        ("test_csv", "text1,text2,score\na,b,nan\n", r"test\.csv:2: the score 'nan' is not a number"),
        ("test_csv", "text1,text2,label\na,b,1\nc,d,2\n", r"test\.csv:3: the label of a pair is 0 or 1, not '2'"),
        ("test_csv", f'text1,text2,label\n"{"x" * 200_000}",b,1\n', r"test\.csv:2: not CSV \(field larger"),
        ("test_jsonl", f"{_PAIR}\n{_NULL}", r"test\.jsonl:2: has no first"),
        ("test_jsonl", '{"text1": "a", "text2": ["b"], "score": 1}', r"test\.jsonl: columns should be"),
        ("test_csv", "text,label\na,x\n", "labels are learnt from train.csv"),
    ],
)  # fmt: skip
def test_wrong_tables_are_named_by_file_and_line(tmp_path: Path, name: str, content: str, words: str) -> None:
    """Each error names the file, the line and what stands there."""
    with pytest.raises(DatasetError, match=words):
        read_tasks(put(tmp_path, **{name: content}))


def test_labels_that_were_not_learnt_are_refused(tmp_path: Path) -> None:
    """A label of the test file that no training text has can't be told."""
    put(tmp_path, train_csv="text,label\na,x\nb,y\n", test_csv="text,label\nc,x\nd,q\n")
    with pytest.raises(DatasetError, match=r"label 'q' is not among those of train\.csv"):
        read_pairs(tmp_path)


def test_folders_without_a_task_are_refused(tmp_path: Path) -> None:
    """A folder that isn't there or holds nothing that is known says what it should hold."""
    with pytest.raises(DatasetError, match="no such folder"):
        read_tasks(tmp_path / "none")
    with pytest.raises(DatasetError, match=r"no task is recognised; it should hold corpus\.jsonl"):
        read_tasks(tmp_path)
    with pytest.raises(DatasetError, match=r"holds no dev\.csv, dev\.tsv or dev\.jsonl"):
        read_pairs(tmp_path, "dev")


# --- round trips ---------------------------------------------------------------------------------------------------

_any = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_one_line = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=12)


def _rows(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str, float]]]:
    scores = st.floats(allow_nan=False, allow_infinity=False)
    return st.lists(st.tuples(texts, texts, scores), min_size=1, max_size=6)


def check(folder: Path, rows: list[tuple[str, str, float]]) -> None:
    """Assert that a folder holds these pairs and scores."""
    task = read_pairs(folder)
    assert isinstance(task, Similarity)
    assert list(zip(task.first, task.second, task.scores.tolist(), strict=True)) == rows


_patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_patient
@given(rows=_rows(_any), end=st.sampled_from(["\n", "\r\n"]))
def test_csv_comes_back(tmp_path: Path, rows: list[tuple[str, str, float]], end: str) -> None:
    """What Python's csv writes is read: quotes, commas, and line ends of every kind within cells."""
    with (tmp_path / "test.csv").open("w", encoding="utf-8", newline="") as stream:
        # Left to itself, the writer quotes a carriage return only where it ends lines with one.
        writer = csv.writer(stream, lineterminator=end, quoting=csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL)
        writer.writerow(["sentence1", "sentence2", "score"])
        writer.writerows((first, second, repr(score)) for first, second, score in rows)
    check(tmp_path, rows)


@_patient
@given(rows=_rows(_any))
def test_jsonl_comes_back(tmp_path: Path, rows: list[tuple[str, str, float]]) -> None:
    """Any text that JSON can hold is read, written with escapes or without."""
    lines = [
        json.dumps({"sentence1": first, "sentence2": second, "score": score}, ensure_ascii=len(first) % 2 == 0)
        for first, second, score in rows
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(lines), encoding="utf-8")
    check(tmp_path, rows)


@_patient
@given(rows=_rows(_one_line))
def test_tables_between_tabs_come_back(tmp_path: Path, rows: list[tuple[str, str, float]]) -> None:
    """Between tabs nothing is quoted: any text of one line is read as it stands, blanks at its ends included."""
    lines = ["sentence1\tsentence2\tscore", *(f"{first}\t{second}\t{score!r}" for first, second, score in rows)]
    (tmp_path / "test.tsv").write_text("\n".join(lines), encoding="utf-8")
    check(tmp_path, rows)
