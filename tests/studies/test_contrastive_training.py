"""What a study of training says: intervals over seeds, and recipes that differ in one thing."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

pytest.importorskip("torch")

from harness.studies import contrastive_training as study
from harness.studies.contrastive_training import Settings


def rows(part: str, choices: dict[str, list[float]]) -> pd.DataFrame:
    """Make rows as they are measured."""
    return pd.DataFrame(
        [
            {"part": part, "choice": choice, "seed": seed, "ndcg": value, "minutes": 1.0, "queries": 9}
            for choice, values in choices.items()
            for seed, value in enumerate(values)
        ]
    )


def test_the_interval_is_students_t():
    """Mean and interval of each choice are scipy's; one seed alone has no interval."""
    values = [0.21, 0.25, 0.22]
    found = study.summarise(rows("loss", {"a": values, "b": [0.3]})).set_index("choice")
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert found.loc["a", ["ndcg", "low", "high"]].tolist() == pytest.approx([np.mean(values), low, high])
    assert math.isnan(found.loc["b", "low"])


def test_what_is_said_tells_sure_from_unsure():
    """Intervals that overlap are said to; the finding names best and worst of the losses."""
    apart = rows("loss", {"a": [0.10, 0.11, 0.10], "b": [0.30, 0.31, 0.30]})
    near = rows("batch", {"32": [0.10, 0.14, 0.12], "64": [0.11, 0.15, 0.13]})
    said = study.ContrastiveTraining().explain(pd.concat([apart, near]), Settings())
    assert said.finding == "b reaches an nDCG@10 of 0.303, a 0.103"
    assert "apart" in said.sentences[0]
    assert len({panel.y.title for panel in said.picture.panels}) == len(said.picture.panels) == 2
    assert "overlap" in said.sentences[1]
    assert [table.rows[0][0] for table in said.tables] == ["a", "32"]


@pytest.mark.parametrize(
    ("part", "choice", "changed"),
    [
        (study.BATCH, "32", {"optimiser": {"batch": 32}}),
        (study.TEMPERATURE, "0.2", {"loss": {"settings": {"temperature": 0.2, "symmetric": True}}}),
        (study.LOSS, "static-triplet", {"loss": {"name": "triplet"}}),
        (study.ADAPT, "upper", {"adapt": {"kind": "upper", "layers": 4}, "optimiser": {"rate": 5e-5}}),
    ],
)
def test_a_recipe_differs_in_one_thing(part, choice, changed):
    """Each step's recipe has what its choice says."""
    recipe = study._recipe(part, choice, 7, Settings()).model_dump(mode="json")
    assert recipe["seed"] == 7
    for key, values in changed.items():
        assert {name: recipe[key][name] for name in values} == values
