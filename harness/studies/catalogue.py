"""The studies by name; nothing of a study is imported until it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from harness.core.errors import UnknownNameError
from harness.studies.study import Study

_STUDIES = {
    "contrastive-training": "contrastive_training:ContrastiveTraining",
    "curse-of-dimensionality": "curse_of_dimensionality:CurseOfDimensionality",
    "lsh-collisions": "lsh_collisions:LSHCollisions",
    "quantisation": "quantisation:Quantisation",
    "score-aware-loss": "score_aware_loss:ScoreAwareLoss",
    "small-world": "small_world:SmallWorld",
}


def study_names() -> list[str]:
    """List the names of all studies."""
    return sorted(_STUDIES)


def find_study(name: str) -> Study[Any]:
    """Return the study called `name`; raise UnknownNameError that suggests the nearest."""
    if name not in _STUDIES:
        raise UnknownNameError("study", name, _STUDIES)
    module, _, cls = _STUDIES[name].partition(":")
    found: type[Study[Any]] = getattr(importlib.import_module(f"{__package__}.{module}"), cls)
    return found()
