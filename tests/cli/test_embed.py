"""From a model to the joint table: `annbench embed`, `annbench run` on what it wrote, `annbench report`."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import toy

pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.embedding.cache import EmbeddingCache
from harness.embedding.evaluation import evaluate
from harness.embedding.formats.beir import read_beir
from harness.embedding.judged import read_judged
from harness.embedding.models import load_model

ROOT = Path(__file__).parents[2]
RUN = ["--passes", "1", "--group", "quick"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with a model and two tasks, in one of which queries are documents."""
    toy.write_beir(tmp_path / "datasets" / "toy")
    toy.write_beir(tmp_path / "datasets" / "asking", asks_documents=True)
    toy.save_static(tmp_path / "bag")
    return tmp_path


@pytest.fixture
def cli(annbench: Any, home: Path) -> Any:
    """Return a function that runs `annbench` there: (exit status, stdout, stderr)."""
    return annbench


def joint(home: Path) -> list[dict[str, str]]:
    """Return the rows of the joint table."""
    with (home / "plots" / "joint.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_model_an_index_and_what_it_costs(cli: Any, home: Path) -> None:
    """The table's exact nDCG is evaluation's, brute force loses nothing, and the report needs no torch."""
    for task in ("toy", "asking"):
        status, out, err = cli("embed", "bag", task)
        assert (status, out) == (0, f"{home / 'datasets' / f'{task}-bag-16-angular.hdf5'}\n")
        assert f"annbench run quick --dataset {task}-bag-16-angular" in err
        status, _, err = cli("run", "-d", f"{task}-bag-16-angular", "-a", "brute_force", "--k", "20", *RUN)
        assert status == 0, err
    without = "import sys; sys.modules['torch'] = None; from harness.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, "report"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {"joint.md", "joint.csv", "joint.png", "joint.svg"} <= {Path(line).name for line in done.stdout.splitlines()}
    rows = {row["dataset"]: row for row in joint(home)}
    assert len(rows) == 2
    encoder = load_model("bag", home)
    for task in ("toy", "asking"):
        row = rows[f"{task}-bag-16-angular"]
        record = evaluate(read_beir(home / "datasets" / task), encoder, EmbeddingCache(None), geometry=False)[0]
        assert float(row["exact"]) == pytest.approx(record.quality.value, abs=1e-6)
        assert float(row["loss"]) == 0.0
        assert (row["model"], row["algorithm"], row["queries"]) == ("bag", "brute_force", str(len(record.values)))


def test_binary_codes_are_measured_too(cli: Any, home: Path) -> None:
    """Their dataset is one under Hamming, brute force answers it exactly, and --dataset narrows the table."""
    for variant in ("binary", "full"):
        assert cli("embed", "bag", "toy", "--variant", variant, "--name", f"bag-{variant}")[0] == 0
        status, _, err = cli("run", "-d", f"bag-{variant}", "-a", "brute_force", *RUN)
        assert status == 0, err
    assert cli("report", "--no-pictures", "--dataset", "bag-binary")[0] == 0
    (row,) = joint(home)
    assert (row["dataset"], row["variant"], row["dimension"]) == ("bag-binary", "binary", "16")
    assert float(row["loss"]) == pytest.approx(0.0, abs=1e-9)
    assert 0 < float(row["exact"]) < 1


def test_embedding_anew_leaves_old_results_out(cli: Any, home: Path) -> None:
    """Results of other vectors by the same name aren't judged by the new ones' documents."""
    cli("embed", "bag", "toy", "--name", "mine")
    assert cli("run", "-d", "mine", "-a", "brute_force", *RUN)[0] == 0
    cli("embed", "bag", "toy", "--name", "mine", "--variant", "prefix-4")
    status, out, _ = cli("report", "--no-pictures")
    assert status == 0
    assert "joint" not in out
    assert cli("run", "-d", "mine", "-a", "brute_force", *RUN)[0] == 0
    assert "joint.csv" in cli("report", "--no-pictures")[1]
    (row,) = joint(home)
    assert row["dimension"] == "4"


def test_some_documents_and_another_split(cli: Any, home: Path) -> None:
    """All judged documents are kept, and the split's queries are the dataset's."""
    status, out, _ = cli("embed", "bag", "toy", "--split", "dev", "--documents", "30")
    judged = read_judged(Path(out.strip()))
    assert status == 0
    assert judged is not None
    assert judged.task.startswith("toy/dev")
    assert {query.split("-")[0] for query in judged.judgements.queries} == {"dev"}
    assert Path(out.strip()).parent == home / "datasets"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bag", "labels"], "labels: is no retrieval task"),
        (["bag", "toy", "--variant", "binary+rescore"], "an index can't rescore"),
        (["bag", "toy", "--variant", "tiny"], "variant 'tiny': use full, prefix-DIMS"),
        (["bag", "toy", "--name", "../up"], "can't be that of a dataset"),
        (["bog", "toy"], "no model is called 'bog'"),
        (["bag", "toy", "--split", "later"], "no judgements for the split 'later'"),
    ],
)
def test_a_mistake_is_told_in_one_line(cli: Any, home: Path, arguments: list[str], words: str) -> None:
    """Exit status 2, no traceback, and no dataset."""
    toy.write_pairs(home / "labels", toy.labelled())
    (home / "labels" / "test.jsonl").write_bytes((home / "labels" / "train.jsonl").read_bytes())
    status, out, err = cli("embed", *arguments)
    assert (status, out) == (2, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("annbench: ")
    assert words in last
    assert "Traceback" not in err
    assert not list((home / "datasets").glob("*.hdf5"))


def test_without_torch_the_way_out_is_said(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra isn't installed, one line says how to get it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, err = cli("embed", "bag", "toy")
    assert status == 2
    assert err.strip() == "annbench: torch is not installed; encoders need it: pip install 'annbench[embed]'"
