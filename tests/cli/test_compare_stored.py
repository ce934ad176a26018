"""Sides of `annbench compare` that are results already: folders and baseline files, made up and not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.compare.stored import write_baseline


def baseline(path: Path, factory: Any, **changes: Any) -> dict[str, Any]:
    """Write a baseline of hnsw on digits, 50 queries at k = 10, and return what it holds."""
    terms = {"queries": 50, "processes": 5, "passes": 15, **changes}
    write_baseline(path, [factory.make_result(search={"ef": 10}, **terms)])
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"qps": [1000.0, 1010.0]}, "qps holds 2 passes, process 15: one child for each pass"),
        ({"process": [0]}, "qps holds 15 passes, process 1"),
        ({"qps": [-1000.0] * 15}, "settings.0.qps.0: Input should be greater than 0"),
        ({"qps": [0.0] * 15}, "settings.0.qps.0: Input should be greater than 0"),
        ({"qps": [float("inf")] * 15}, "settings.0.qps.0: Input should be a finite number"),
        ({"qps": [float("nan")] * 15}, "settings.0.qps.0: Input should be a finite number"),
        ({"process": [10**30] * 15}, "settings.0.process.0: Input should be less than"),
        ({"recall": float("nan")}, "settings.0.recall: Input should be a finite number"),
    ],
)
def test_a_baseline_edited_by_hand_is_refused_in_a_line(
    annbench: Any, tmp_path: Path, factory: Any, change: dict[str, Any], said: str
) -> None:
    """A traceback would end in status 1, which a gate reads as slower."""
    document = baseline(tmp_path / "base.json", factory)
    document["settings"][0] |= change
    (tmp_path / "edited.json").write_text(json.dumps(document), encoding="utf-8")
    status, _, err = annbench("compare", "base.json", "edited.json", "--fail-if-slower", "10%")
    assert status == 2
    assert "edited.json: is no baseline of annbench" in err
    assert said in err
    assert "Traceback" not in err


def test_a_baseline_of_a_later_version_is_told_by_its_version(annbench: Any, tmp_path: Path, factory: Any) -> None:
    """Whatever else it holds that this version doesn't know."""
    document = baseline(tmp_path / "base.json", factory)
    later = {**document, "schema_version": 2, "weather": "fine"}
    (tmp_path / "later.json").write_text(json.dumps(later), encoding="utf-8")
    status, _, err = annbench("compare", "base.json", "later.json")
    assert status == 2
    assert "later.json: schema 2, but this annbench reads 1; make it anew with: annbench compare" in err


@pytest.mark.parametrize("side", ["", " ", "::hnsw"])
def test_an_empty_side_is_not_the_current_folder(annbench: Any, tmp_path: Path, factory: Any, side: str) -> None:
    """It is what an unset variable leaves in a script."""
    factory.write_store(tmp_path, [factory.make_result(search={"ef": 10})])
    for sides in ((".", side), (side, ".")):
        status, _, err = annbench("compare", *sides)
        assert status == 2
        assert f"{side!r} names no algorithm and no path" in err
