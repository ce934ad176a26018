"""`annbench evaluate` as a person meets it: a table, files, a cache, and errors in one line."""

from __future__ import annotations

import csv
import html
import io
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.embedding import session  # noqa: E402
from harness.embedding.encoder import TowerEncoder  # noqa: E402
from harness.embedding.layout import save_tower  # noqa: E402
from harness.embedding.records import read_records  # noqa: E402
from harness.embedding.towers.static import StaticTower  # noqa: E402

WORDS = ["cat", "dog", "mat", "tree", "red", "green", "sits", "runs", "the", "on"]
TABLE = ("embedding-quality.md", "embedding-quality.csv", "embedding-quality.html", "embedding-quality.tex")


def tower(folder: Path, seed: int = 0, dimension: int = 8) -> Path:
    """Save a static tower of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["?", *WORDS])}, unk_token="?"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    save_tower(StaticTower.random(tokenizer, dimension, seed=seed), folder)
    return folder


def beir(folder: Path) -> Path:
    """Write 30 documents of a few words each, and 5 queries of which each is a document's words."""
    rng = np.random.default_rng(1)
    documents = {f"d{i}": " ".join(rng.choice(WORDS, 4)) for i in range(30)}
    (folder / "qrels").mkdir(parents=True)
    lines = {
        "corpus.jsonl": [json.dumps({"_id": name, "title": "", "text": text}) for name, text in documents.items()],
        "queries.jsonl": [json.dumps({"_id": f"q{i}", "text": documents[f"d{i}"]}) for i in range(5)],
        "qrels/test.tsv": ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(5))],
    }
    for name, content in lines.items():
        (folder / name).write_text("\n".join(content) + "\n")
    return folder


def sts(folder: Path) -> Path:
    """Write pairs of texts with scores, as STS-B has them."""
    rng = np.random.default_rng(2)
    rows = [
        f"g\tf\ty\t{i}\t{i % 6}\t{' '.join(rng.choice(WORDS, 3))}\t{' '.join(rng.choice(WORDS, 3))}" for i in range(20)
    ]
    folder.mkdir(parents=True)
    (folder / "test.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def cli(annbench: Any, tmp_path: Path) -> Any:
    """Return a function that runs `annbench evaluate` beside models and tasks: (exit status, stdout, stderr)."""
    tower(tmp_path / "small")
    beir(tmp_path / "pets")
    sts(tmp_path / "datasets" / "alike")
    return partial(annbench, "evaluate")


def test_a_table_is_printed_and_written(cli: Any, tmp_path: Path) -> None:
    """Folders and names of the data folder are tasks; the table is printed, and written in four forms."""
    status, out, err = cli("small", "--tasks", "pets", "-t", "alike", "--all")
    assert status == 0, err
    assert out.splitlines()[0].startswith("| model | variant | pets ndcg@10 | alike spearman |")
    assert out.splitlines()[2].startswith("| small | full | 1.0000 (1.000-1.000) | ")
    assert [(tmp_path / "plots" / name).is_file() for name in TABLE] == [True] * 4
    assert (tmp_path / "plots" / TABLE[0]).read_text() == out
    assert all(name in err for name in TABLE)
    records = {record.task: record for record in read_records(tmp_path / "results")}
    assert set(records) == {"pets", "alike"}
    assert records["pets"].versions["torch"] == torch.__version__
    assert records["pets"].geometry


def test_the_table_fits_a_terminal(cli: Any, tmp_path: Path) -> None:
    """Five columns for each task, the best model first and marked; what is left out of them is in the files."""
    tower(tmp_path / "static-infonce-mined", seed=1)
    models = ("small", "static-infonce-mined", "bm25")
    status, out, err = cli(*models, "--tasks", "pets", "-t", "alike", "--variant", "binary+rescore")
    assert status == 0, err
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith(("pets", "alike"))] == ["pets ndcg@10", "alike spearman"]
    assert lines[1].split("  ")[0] == "model"
    pets, alike = (out.split("\n\n")[part].splitlines()[2:] for part in (0, 1))
    assert (len(pets), len(alike)) == (5, 4)
    assert " *" in pets[0]
    figures = [float(line.partition(" (")[0].split()[-1]) for line in pets]
    assert figures == sorted(figures, reverse=True)


def test_what_is_left_out_of_a_task_is_said(cli: Any, tmp_path: Path) -> None:
    """A judgement of a document that isn't there, and judged documents beyond those asked for, stand in every table."""
    with (tmp_path / "pets" / "qrels" / "test.tsv").open("a") as stream:
        stream.write("q0\tgone\t1\n")
    status, _, err = cli("small", "--tasks", "pets", "--documents", "3")
    assert status == 0, err
    said = (
        "pets-5: 1 judgement left out: 'gone' of test.tsv:7 is not in corpus.jsonl; "
        "5 documents, not 3, since all that have judgements are kept"
    )
    assert said in err
    texts = [html.unescape((tmp_path / "plots" / name).read_text()) for name in TABLE]
    assert all(said.partition(": ")[2] in text for text in texts)


def test_a_second_run_embeds_nothing(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was embedded is kept and gives the same figures; without the cache it is embedded again."""
    options = ("small", "-t", "pets", "--no-geometry", "--format", "json")
    status, first, _ = cli(*options)
    assert status == 0
    calls = []
    encode = TowerEncoder.encode

    def counting(self: TowerEncoder, *arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        return encode(self, *arguments, **named)

    monkeypatch.setattr(TowerEncoder, "encode", counting)
    status, second, _ = cli(*options)
    assert (status, calls) == (0, [])
    assert json.loads(first)[0]["figures"] == json.loads(second)[0]["figures"]
    assert cli(*options, "--no-cache")[0] == 0
    assert len(calls) == 2
    tower(tmp_path / "small", seed=9)
    assert cli(*options)[0] == 0
    assert len(calls) == 4


def test_variants_have_rows_of_their_own(cli: Any) -> None:
    """The full embeddings come along, each variant once, with its dimensions and bytes."""
    variants = [part for text in ("prefix-4/int8", "binary", "full", "binary") for part in ("--variant", text)]
    status, out, err = cli("small", "-t", "pets", *variants, "--format", "csv", "--no-geometry")
    assert status == 0, err
    rows = [row for row in csv.DictReader(io.StringIO(out)) if row["measure"] == "ndcg@10"]
    assert {(row["variant"], row["dimension"], row["bytes_a_vector"]) for row in rows} == {
        ("full", "8", "32"),
        ("prefix-4/int8", "4", "4"),
        ("binary", "8", "1"),
    }
    assert len(rows) == 3


def test_a_smaller_corpus_says_so(cli: Any) -> None:
    """`--documents` keeps so many, all judged ones among them, and the task's name tells."""
    status, out, err = cli("small", "-t", "pets", "--documents", "12", "--format", "json")
    assert status == 0, err
    (found,) = json.loads(out)
    assert (found["task"], found["items"]) == ("pets-12", 12 + 5)
    assert json.loads(cli("small", "-t", "pets", "--documents", "30", "--format", "json")[1])[0]["task"] == "pets"


def test_bm25_ranks_beside_models(cli: Any, tmp_path: Path) -> None:
    """BM25 is a model like others where documents are ranked, and is left out, with a word, elsewhere."""
    pytest.importorskip("bm25s")
    pytest.importorskip("Stemmer")
    status, out, err = cli("bm25", "small", "-t", "pets", "-t", "alike", "--all")
    assert status == 0, err
    assert "bm25 left out of alike" in err
    row = next(line for line in out.splitlines() if line.startswith("| bm25"))
    assert row.split("|")[4].strip() == "-"
    assert (tmp_path / "results" / "quality" / "bm25" / "pets.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("smal", "-t", "pets"), "no model is called 'smal'"),
        (("pets", "-t", "pets"), "holds no model"),
        (("small", "-t", "small"), "no task is recognised"),
        (("small", "-t", "pets", "--split", "dev"), "no judgements for the split 'dev'; there are: test"),
        (("small", "-t", "pets", "--variant", "int4"), "variant 'int4': use full"),
        (("small", "-t", "pets", "--variant", "pca-9"), "variant pca-9: the model has only 8 dimensions"),
        (("small", "-t", "alike", "--documents", "5"), "none of these tasks is a retrieval task"),
        (("bm25", "-t", "alike"), "nothing was evaluated"),
        (("small", "other/small", "-t", "pets"), "two models are called small"),
        (("small", "-t", "pets", "-t", "other/pets"), "two tasks are called pets (retrieval)"),
    ],
)
def test_mistakes_end_in_one_line(cli: Any, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """A mistake is exit status 2 and one line on standard error; nothing is printed or written."""
    tower(tmp_path / "other" / "small", seed=5)
    beir(tmp_path / "other" / "pets")
    (tmp_path / "other" / "pets" / "qrels" / "test.tsv").write_text("q0\td1\t1\n")
    status, out, err = cli(*arguments)
    assert (status, out) == (2, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("annbench: ")
    assert words in last
    assert "Traceback" not in err
    assert not (tmp_path / "plots").exists()
    assert list(read_records(tmp_path / "results")) == []


def test_without_torch_the_way_out_is_said(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra isn't installed, one line says how to get it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, err = cli("small", "-t", "pets")
    assert status == 2
    assert err.strip() == "annbench: torch is not installed; encoders need it: pip install 'annbench[embed]'"


def test_an_interruption_keeps_what_was_embedded(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is exit status 130; what was evaluated before is there."""
    evaluate = session.evaluate

    def interrupted(task: Any, *arguments: Any, **named: Any) -> Any:
        if task.name == "alike":
            raise KeyboardInterrupt
        return evaluate(task, *arguments, **named)

    monkeypatch.setattr(session, "evaluate", interrupted)
    status, out, err = cli("small", "-t", "pets", "-t", "alike", "--no-geometry")
    assert (status, out) == (130, "")
    assert "the same command goes on from here" in err
    assert [record.task for record in read_records(tmp_path / "results")] == ["pets"]
