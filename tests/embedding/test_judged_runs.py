"""A corpus as a dataset, and what indexes answer on it, judged: from embedding to the joint table."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from harness import api
from harness.cli.main import main
from harness.dataset import read_dataset
from harness.embedding.cache import EmbeddingCache
from harness.embedding.corpus import embed_corpus
from harness.embedding.evaluation import evaluate
from harness.embedding.joint import joint_rows, onsets
from harness.embedding.judged import read_judged
from harness.embedding.tasks import Retrieval
from harness.embedding.variants import Variant
from harness.errors import ConfigError
from harness.metric import Metric
from harness.report.joint import joint_markdown
from harness.store import ResultStore

QUERIES, DOCUMENTS, DIM = 40, 300, 16


class Lookup:
    """An encoder whose embeddings are drawn, and given by the text's own number."""

    name = "drawn"
    dimension = DIM
    parameter_count = 0
    fingerprint = "drawn"

    def encode(self, items: Any, role: str = "document", *, progress: Any = None) -> Any:
        """Return a direction for each text; a query lies near the document of its number."""
        rng = np.random.default_rng(3)
        places = rng.standard_normal((DOCUMENTS, DIM)).astype(np.float32)
        noise = rng.standard_normal((DOCUMENTS, DIM)).astype(np.float32) * (0.6 if role == "query" else 0.0)
        found = (places + noise)[[int(text) for text in items]]
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def task(*, own: bool = False) -> Retrieval:
    """Return a task in which query i is answered by document i; with `own`, queries are documents themselves."""
    judgements = {f"d{i}" if own else f"q{i}": {f"d{i + own}": 1, f"d{i + 50}": 2} for i in range(QUERIES)}
    return Retrieval(
        name="toy",
        document_ids=[f"d{i}" for i in range(DOCUMENTS)],
        documents=[str(i) for i in range(DOCUMENTS)],
        query_ids=list(judgements),
        queries=[str(i) for i in range(QUERIES)],
        judgements=judgements,
    )


def measured(folder: Path, made: Path, algorithm: str = "brute_force") -> tuple[list[Any], Any]:
    """Measure an index on a dataset; return the joint rows and the judgements."""
    results = folder / "results"
    api.run(
        "smoke", dataset=made.stem, algorithm=algorithm, data=made.parent, results=results, passes=1, pass_seconds=0.01
    )
    judged = read_judged(made)
    assert judged is not None
    return joint_rows(ResultStore(results).results(), {made.stem: judged}), judged


@pytest.mark.parametrize("own", [False, True])
def test_exact_search_has_the_quality_that_evaluation_measures(tmp_path: Path, own: bool) -> None:
    """Brute force loses nothing, and its nDCG is that of `evaluate`, queries that are documents themselves left out."""
    asked = task(own=own)
    made = embed_corpus(asked, Lookup(), EmbeddingCache(None), tmp_path, variant=Variant())
    assert made.stem == "toy-drawn-16-angular"
    rows, _ = measured(tmp_path, made)
    (row,) = rows
    (record,) = evaluate(asked, Lookup(), EmbeddingCache(None), geometry=False)
    assert row.queries == QUERIES
    assert (row.loss, row.measurable, row.on_frontier) == (0.0, False, True)
    # One of k = 10 neighbours may be the query itself: the tenth document is then unknown, with a gain of 2 at most.
    assert row.ndcg == pytest.approx(record.quality.value, abs=0.2 if own else 1e-9)
    assert row.exact == row.ndcg


def test_binary_codes_are_a_hamming_dataset(tmp_path: Path) -> None:
    """Signs become bits; exact search over them ranks as evaluation of the variant does, up to ties."""
    variant = Variant.parse("binary")
    made = embed_corpus(task(), Lookup(), EmbeddingCache(None), tmp_path, variant=variant, name="bits")
    data = read_dataset(made)
    assert (data.metric, data.dimension, len(data.train), len(data.test)) == (Metric.HAMMING, DIM, DOCUMENTS, QUERIES)
    rows, judged = measured(tmp_path, made)
    assert (judged.model, judged.variant, judged.task) == ("drawn", "binary", "toy")
    assert rows[0].loss == pytest.approx(0.0, abs=0.1)


def test_a_loss_is_found_where_answers_are_wrong(tmp_path: Path) -> None:
    """An index that answers worse has a loss that the paired test sees, at the recall where it begins."""
    made = embed_corpus(task(), Lookup(), EmbeddingCache(None), tmp_path, variant=Variant())
    rows, judged = measured(tmp_path, made)
    result = next(iter(ResultStore(tmp_path / "results").results()))
    half = result.neighbors.copy()
    half[:, :5] = -1
    worse = replace(result, neighbors=half, distances=np.where(half < 0, np.inf, result.distances))
    both = joint_rows([result, worse], {made.stem: judged})
    assert [row.measurable for row in both] == [False, True]
    assert both[1].loss == pytest.approx(both[1].exact - both[1].ndcg)
    (onset,) = onsets(both)
    assert (onset.recall, onset.clean) == (both[1].recall, both[0].recall)
    assert rows[0].recall == 1.0


def test_names_of_models_are_no_markup(tmp_path: Path) -> None:
    """A name from a file stands in the table as it is read."""
    made = embed_corpus(task(), Lookup(), EmbeddingCache(None), tmp_path, variant=Variant())
    rows, _ = measured(tmp_path, made)
    said = joint_markdown([replace(rows[0], model="<script>|x")])
    assert "<script>" not in said
    assert "&lt;script&gt;\\|x" in said


def test_what_no_index_can_search_is_refused(tmp_path: Path) -> None:
    """Rescoring is no dataset, and a name must be a file's."""
    for options, message in (
        ({"variant": Variant.parse("binary+rescore")}, "can't rescore"),
        ({"variant": Variant(), "name": "../up"}, "can't be that of a dataset"),
    ):
        with pytest.raises(ConfigError, match=message):
            embed_corpus(task(), Lookup(), EmbeddingCache(None), tmp_path, **options)


def test_the_report_has_the_joint_table(tmp_path: Path) -> None:
    """`report` writes the table, its CSV and pictures beside the others, for judged datasets alone."""
    made = embed_corpus(task(), Lookup(), EmbeddingCache(None), tmp_path, variant=Variant())
    measured(tmp_path, made)
    files = api.report(tmp_path / "results", tmp_path / "plots", data=tmp_path)
    assert {"joint.md", "joint.csv", "joint.png"} <= {path.name for path in files}
    with (tmp_path / "plots" / "joint.csv").open() as stream:
        (line,) = csv.DictReader(stream)
    assert (line["model"], line["algorithm"], json.loads(line["build"])) == ("drawn", "brute_force", {})
    assert float(line["loss"]) == 0.0


def test_embed_asks_for_a_retrieval_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of pairs is refused in one line."""
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "test.csv").write_text("sentence1,sentence2,score\na,b,1\n")
    monkeypatch.setattr("sys.argv", ["annbench", "embed", "x", str(tmp_path / "pairs")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "is no retrieval task" in capsys.readouterr().err
