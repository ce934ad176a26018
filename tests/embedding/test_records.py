"""Records: they come back as they were, each from a file of its own, and damage is said in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import StoreError
from harness.embedding.records import Figure, Kind, Record, path_of, read_record, read_records, write_record

NAN = math.nan


def record(**changes: Any) -> Record:
    """Return a record with some fields changed."""
    fields: dict[str, Any] = {
        "model": "some/model",
        "fingerprint": "f",
        "task": "a-task",
        "task_hash": "h",
        "kind": "retrieval",
        "main": "ndcg@10",
        "figures": {"ndcg@10": Figure(value=0.5, low=0.4, high=0.6)},
    }
    return Record(**(fields | changes))


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every field survives, NaN and infinity among them."""
    figures = {"ndcg@10": Figure(value=NAN), "other": Figure(value=math.inf, low=-math.inf, high=0.1 + 0.2)}
    written = record(
        figures=figures,
        values=[0.1 + 0.2, NAN, 1e-300],
        geometry={"two_nn": NAN, "hubness": 3.5},
        dimension=3,
        seconds=1.5,
        items=6,
        notes=["<é>"],
        versions={"numpy": "2"},
    )
    read = read_record(write_record(tmp_path, written))
    assert repr(read) == repr(written)
    assert math.isnan(read.quality.value)
    assert read.sentences_a_second == 4.0
    assert record().sentences_a_second is None


def test_the_same_model_task_and_variant_is_replaced(tmp_path: Path) -> None:
    """A second evaluation takes the first one's place; variants and kinds stand beside it."""
    for changes in ({"dimension": 1}, {"dimension": 2}, {"variant": "pca-2/int8"}, {"kind": "clustering"}):
        write_record(tmp_path, record(**changes))
    (tmp_path / "quality" / "some--model" / ".hidden.json").write_text("{")
    assert [(one.variant, one.kind, one.dimension) for one in read_records(tmp_path)] == [
        ("full", "clustering", None),
        ("full", "retrieval", 2),
        ("pca-2/int8", "retrieval", None),
    ]
    assert list(read_records(tmp_path / "none")) == []


def test_usual_names_stay_readable() -> None:
    """The names that people choose can be read off the files."""
    path = path_of(Path(), record(model="org/model-v1.5", task="sts/dev", kind="similarity", variant="pca-8/int8"))
    assert path.as_posix() == "quality/org--model-v1.5/sts--dev.similarity@pca-8--int8.json"


_names = st.one_of(
    st.text(alphabet="a-/.@~\\é :", max_size=6),
    st.text(max_size=300),
    st.sampled_from(["x", *(f"x.{kind}" for kind in get_args(Kind)), ".", "..", "a" * 300, "a" * 301]),
)
_parts = st.tuples(_names, _names, st.sampled_from(get_args(Kind)), st.sampled_from(["full", "int8", "pca-1/int8"]))


@settings(deadline=None)
@given(first=_parts, second=_parts)
def test_different_records_have_different_files(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    """Whatever the names, no two share a file, none leaves its folder, and every name is one a disk takes."""
    keys = ("model", "task", "kind", "variant")
    paths = [path_of(Path("top"), record(**dict(zip(keys, parts, strict=True)))) for parts in (first, second)]
    assert (paths[0] == paths[1]) == (first == second)
    for path in paths:
        assert path.parts[:2] == ("top", "quality")
        assert len(path.parts) == 4
        assert all(part not in ("..", ".") and len(part.encode()) < 256 for part in path.parts)
        assert not path.name.startswith(".")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "can't be read"),
        ("{", "can't be read"),
        ("[]", "can't be read"),
        ("\xff", "can't be read"),
        ("{}", "has format None, this annbench reads 1"),
        ('{"schema_version": 2}', "has format 2, this annbench reads 1; evaluate the model again"),
        ('{"schema_version": 1}', r"\(model: is missing\)"),
    ],
)
def test_damaged_records_are_refused(tmp_path: Path, content: str, words: str) -> None:
    """The line names the file, what is wrong with it, and what to do."""
    path = tmp_path / "quality" / "m" / "t.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StoreError, match=words) as refused:
        list(read_records(tmp_path))
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_fields_of_the_wrong_kind_are_named(tmp_path: Path) -> None:
    """A figure that isn't one, a kind that isn't known, and a main figure that isn't there are refused by name."""
    path = write_record(tmp_path, record())
    content = json.loads(path.read_text())
    for change, words in (
        ({"figures": {"ndcg@10": {"value": "high"}}}, r"figures\.ndcg@10\.value"),
        ({"kind": "guess"}, r"\(kind: "),
        ({"main": "mrr"}, "has no figure 'mrr'"),
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(StoreError, match=words):
            read_record(path)
    path.write_text(json.dumps(content | {"later": "field"}))
    assert read_record(path) == record(created=content["created"])
