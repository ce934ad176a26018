"""What is wrong with a file that people write is said in words of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness.core.errors import ConfigError
from harness.core.validation import describe, read_yaml

HARNESS = Path(__file__).resolve().parents[2] / "harness"


class Model(BaseModel):
    """One field for each kind of mistake."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(1, ge=1, lt=10)
    share: float = Field(0.5, gt=0, allow_inf_nan=False)
    names: list[str] = Field(default=["a"], min_length=1)
    mode: Literal["single", "batch"] = "single"
    table: dict[str, int] = Field(default_factory=dict)
    wanted: str = "x"

    @field_validator("wanted")
    @classmethod
    def _never_y(cls, value: str) -> str:
        if value == "y":
            raise ValueError("'y' is taken; give another")
        return value


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"count": "many"}, "count: should be a whole number (given: 'many')"),
        ({"count": 1.5}, "count: should be a whole number (given: 1.5)"),
        ({"count": 0}, "count: should be 1 or more (given: 0)"),
        ({"count": 10}, "count: should be less than 10 (given: 10)"),
        ({"share": 0}, "share: should be more than 0.0 (given: 0)"),
        ({"share": float("nan")}, "share: should be a finite number (given: nan)"),
        ({"names": "a"}, "names: should be a list (given: 'a')"),
        ({"names": []}, "names: should hold 1 or more, not 0 (given: [])"),
        ({"names": [1]}, "names.0: should be a text (given: 1)"),
        ({"mode": "both"}, "mode: should be 'single' or 'batch' (given: 'both')"),
        ({"table": 1}, "table: should be a table of keys (given: 1)"),
        ({"wanted": "y"}, "wanted: 'y' is taken; give another (given: 'y')"),
        ({"more": 1}, "more: is no key here (given: 1)"),
        ([], "document: should be a table of keys (given: [])"),
    ],
)
def test_mistakes_are_said_in_our_words(content: Any, told: str) -> None:
    """Each kind of mistake names the key, what it should be, and the value."""
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(content)
    assert describe(caught.value) == told


def test_no_other_place_takes_the_words_of_a_library() -> None:
    """What pydantic says of a value is read in one file, so that its phrases never reach a user."""
    found = [path.name for path in HARNESS.rglob("*.py") if '["msg"]' in path.read_text(encoding="utf-8")]
    assert found == ["validation.py"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is no YAML are told apart."""
    for path, told in ((tmp_path / "no.yml", "there is no such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=told):
            read_yaml(path)
    (tmp_path / "bad.yml").write_text("a: [1")
    with pytest.raises(ConfigError, match="can't be read as YAML: while parsing"):
        read_yaml(tmp_path / "bad.yml")
