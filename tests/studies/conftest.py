"""Stand-ins for the indexes that studies ask for, and a way to run a study in an empty folder."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.engines.registry import load_registry
from harness.studies.catalogue import find_study
from harness.studies.session import run_study, settings_for

STAND_INS = Path(__file__).parents[1] / "plugins" / "stand_ins"

TINY = {
    "contrastive-training": {
        "documents": 1,
        "seeds": [0, 1],
        "losses": ["static-infonce"],
        "batches": [64],
        "temperatures": [],
        "ways": [],
        "rates": [],
        "examples": 200,
        "epochs": 1,
    },
    "curse-of-dimensionality": {
        "algorithms": ["stand-in-tree", "sklearn-kd-tree"],
        "n": 300,
        "queries": 12,
        "ambient": [2, 8],
        "intrinsic": [1, 4],
        "embedding": 16,
        "real": [],
        "rounds": 2,
        "seconds": 0.0001,
    },
    "lsh-collisions": {
        "algorithm": "stand-in-lsh",
        "trials": 500,
        "dimension": 4,
        "angles": [30, 90],
        "distances": [0.5, 2],
        "hashes": [1, 2],
        "datasets": ["synthetic-clusters-400-8-euclidean"],
        "queries": 20,
        "n_tables": [1, 4],
        "probes": [1, 4],
        "search": {},
    },
    "quantisation": {
        "datasets": ["synthetic-clusters-600-8-euclidean"],
        "queries": 20,
        "dims_a_code": [1, 2],
        "scalar_bits": [1, 4],
        "k": [1, 10],
    },
    "score-aware-loss": {
        "datasets": ["synthetic-lowdim-2000-32-12-angular"],
        "queries": 100,
        "thresholds": [0.4],
        "dims_per_block": [2],
        "n_leaves": 20,
        "leaves_searched": 5,
        "probes": [1, 2, 4, 8],
    },
    "small-world": {
        "algorithm": "stand-in-graph",
        "datasets": ["synthetic-uniform-200-3-euclidean"],
        "sizes": [50, 100, 200, 400],
        "M": 4,
        "build": {},
        "ef": [5],
        "k": 3,
        "queries": 10,
    },
}


@pytest.fixture(scope="session")
def registry():
    """Return the registry with the stand-ins in it."""
    return load_registry([STAND_INS])


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """Return a folder for studies that several tests read: the first one measures, the others find the rows there."""
    return tmp_path_factory.mktemp("studies")


@pytest.fixture
def tiny(registry, tmp_path, kept):
    """Return functions that run a study at its tiny size: `run` in the test's own folders, `read` in shared ones."""

    def run(name, *, folder=tmp_path, force=False, listener=None, study=None, **changes):
        study = study or find_study(name)
        settings = settings_for(study, changes={**TINY.get(name, {}), **changes})
        folders = {"data": folder / "data", "results": folder / "results"}
        return run_study(study, settings, registry, **folders, force=force, listener=listener)

    read = functools.partial(run, folder=kept)
    return SimpleNamespace(run=run, read=read, results=tmp_path / "results", sizes=TINY, plugin=STAND_INS)
