"""What a student learns from: scores and embeddings as transformers computes them, kept, and drawn nearer to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import toy

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from harness.core.errors import ConfigError  # noqa: E402
from harness.embedding.cache import EmbeddingCache  # noqa: E402
from harness.embedding.models import load_model  # noqa: E402
from harness.embedding.training.examples import Examples, read_examples  # noqa: E402
from harness.embedding.training.recipe import TeacherPart  # noqa: E402
from harness.embedding.training.teacher import CrossTeacher, EmbeddingTeacher, load_teacher  # noqa: E402

STATIC = {"kind": "static", "tokenizer": "toy-static", "dimension": 16}


@pytest.fixture(scope="module")
def cross(materials: Path) -> Path:
    """Return the folder of a cross-encoder with random weights."""
    found: Path = toy.save_bert(materials / "cross-encoder", head="AutoModelForSequenceClassification", num_labels=1)
    return found


@pytest.fixture
def examples(materials: Path) -> Examples:
    """Return the task's examples."""
    return read_examples([materials / "toy"])


def test_a_cross_encoders_scores_are_transformers_own(cross: Path, examples: Examples, tmp_path: Path) -> None:
    """Each score is the logit of the two texts read together, whatever was scored beside them."""
    teacher = CrossTeacher(str(cross), tmp_path, examples, None)
    rng = np.random.default_rng(0)
    queries = rng.integers(0, len(examples.queries), 40)
    documents = rng.integers(0, len(examples.documents), (40, 3))
    found = teacher.scores(queries, documents)
    assert (found.shape, found.dtype) == ((40, 3), np.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(cross)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(cross).eval()
    for row, column in [(0, 0), (7, 2), (39, 1)]:
        pair = examples.queries[queries[row]], examples.documents[documents[row, column]]
        with torch.no_grad():
            wanted = model(**tokenizer(*pair, return_tensors="pt")).logits.item()
        assert found[row, column] == pytest.approx(wanted, abs=1e-5)
    assert found.std() > 1e-3


def test_scores_are_computed_once_and_kept(cross: Path, examples: Examples, tmp_path: Path, monkeypatch: Any) -> None:
    """Neither asking again nor another run of the same examples scores a pair twice; a damaged file is scored anew."""
    read: list[int] = []
    score = CrossTeacher._read

    def count(self: CrossTeacher, pairs: Any) -> Any:
        read.append(len(pairs))
        return score(self, pairs)

    monkeypatch.setattr(CrossTeacher, "_read", count)
    queries, documents = np.array([0, 1, 0]), np.array([[0, 1], [2, 3], [0, 4]])
    first = CrossTeacher(str(cross), tmp_path, examples, tmp_path)
    wanted = first.scores(queries, documents)
    assert sum(read) == 5
    assert np.array_equal(first.scores(queries[::-1], documents[::-1]), wanted[::-1])
    first.keep()
    (path,) = tmp_path.glob("*.npy")
    written = path.stat().st_mtime_ns
    first.keep()
    second = CrossTeacher(str(cross), tmp_path, examples, tmp_path)
    assert np.array_equal(second.scores(queries, documents), wanted)
    assert sum(read) == 5
    second.keep()
    assert path.stat().st_mtime_ns == written
    for damage in (path.read_bytes()[:-9], b"", b"PK\3\4 not an array"):
        path.write_bytes(damage)
        again = CrossTeacher(str(cross), tmp_path, examples, tmp_path).scores(queries, documents)
        assert again == pytest.approx(wanted, abs=1e-6)
    assert sum(read) == 20


def test_other_weights_or_texts_have_other_scores(cross: Path, examples: Examples, tmp_path: Path) -> None:
    """What is kept of one teacher or of other texts isn't taken for this one's."""
    other = toy.save_bert(tmp_path / "other", head="AutoModelForSequenceClassification", num_labels=1, seed=1)
    fewer = Examples(examples.queries, examples.documents[:-1], examples.pairs[:5])
    for model, texts in [(cross, examples), (other, examples), (cross, fewer)]:
        teacher = CrossTeacher(str(model), tmp_path, texts, tmp_path / "kept")
        teacher.scores(np.array([0]), np.array([[0]]))
        teacher.keep()
    assert len(list((tmp_path / "kept").glob("*.npy"))) == 3


def test_a_model_of_several_outputs_scores_nothing(tmp_path: Path, examples: Examples) -> None:
    """A classifier isn't taken for a cross-encoder."""
    three = toy.save_bert(tmp_path / "three", head="AutoModelForSequenceClassification", num_labels=3)
    with pytest.raises(ConfigError, match="has 3 outputs; a cross-encoder has one"):
        CrossTeacher(str(three), tmp_path, examples, None)


def test_an_embedding_teacher(materials: Path, examples: Examples, tmp_path: Path) -> None:
    """Scores are inner products; fewer dimensions are principal ones, which keep what products they can."""
    encoder = load_model(str(materials / "toy-bert"), tmp_path)
    teacher = EmbeddingTeacher(encoder, examples, EmbeddingCache(tmp_path))
    queries, documents = encoder.encode(examples.queries, "query"), encoder.encode(examples.documents)
    asked, offered = np.array([3, 0]), np.array([[1, 2, 3], [0, 5, 1]])
    wanted = [[queries[q] @ documents[d] for d in row] for q, row in zip(asked, offered, strict=True)]
    assert teacher.scores(asked, offered) == pytest.approx(np.array(wanted), abs=1e-5)
    same = teacher.embeddings(16)[0]
    assert same == pytest.approx(queries, abs=1e-6)
    reduced, others = teacher.embeddings(12)
    assert others is not None
    assert reduced.shape == (len(queries), 12)
    whole = queries @ documents.T
    assert np.abs(reduced @ others.T - whole).max() < np.abs(queries[:, :12] @ documents[:, :12].T - whole).max()
    with pytest.raises(ConfigError, match="the teacher embeds in 16 dimensions, the student in 20"):
        teacher.embeddings(20)


def test_what_loads_which_teacher(materials: Path, cross: Path, examples: Examples, tmp_path: Path) -> None:
    """A cross-encoder has no encoder; an embedding one is loaded at once, and embeds when it is asked to."""
    cache = EmbeddingCache(tmp_path)
    encoder, make = load_teacher(TeacherPart(model=str(cross), cross=True), tmp_path, examples, cache, tmp_path)
    assert encoder is None
    assert isinstance(make(), CrossTeacher)
    encoder, make = load_teacher(TeacherPart(model=str(materials / "toy-bert")), tmp_path, examples, cache, None)
    assert encoder is not None
    assert not list(tmp_path.glob("*.npy"))
    assert isinstance(make(), EmbeddingTeacher)
    assert len(list(tmp_path.glob("*.npy"))) == 2


@pytest.mark.parametrize("start", ["random", "teacher"])
def test_a_distilled_student_comes_nearer(worlds: Any, start: str) -> None:
    """After training, the mean cosine with the teacher's embeddings is far higher than before."""
    tower = {**STATIC, "start": start}
    cosines = []
    for name, epochs in (("before", 0), ("after", 30)):
        world = worlds(name)
        folder = world.train(
            toy.recipe(
                data={"dev": None},
                tower=tower,
                teacher={"model": "toy-bert"},
                loss={"name": "embedding_cosine"},
                optimiser={"epochs": epochs, "batch": 20},
            )
        )
        texts = ["d0a d0b d0c", "q4a q4b", "d9b d9d"]
        teacher = load_model("toy-bert", world.data).encode(texts)
        cosines.append(float((load_model(str(folder), folder).encode(texts) * teacher).sum(axis=1).mean()))
    assert cosines[1] > 0.85
    assert cosines[1] > cosines[0] + 0.1


@pytest.mark.parametrize(("loss", "crossed"), [("margin_mse", True), ("list_kl", True), ("margin_mse", False)])
def test_a_student_learns_a_teachers_scores(
    world: Any, cross: Path, examples: Examples, loss: str, crossed: bool
) -> None:
    """Its margins between candidates correlate with the teacher's afterwards, and didn't before."""
    model = str(cross) if crossed else "toy-bert"
    recipe = {
        "data": {"dev": None},
        "tower": {**STATIC, "normalised": False},
        "teacher": {"model": model, "cross": crossed},
        "loss": {"name": loss},
        "negatives": {"kind": "random", "count": 4},
        "optimiser": {"epochs": 30, "batch": 30, "rate": 0.02},
    }
    rng = np.random.default_rng(0)
    queries, documents = np.arange(40), rng.integers(0, len(examples.documents), (40, 6))
    _, make = load_teacher(TeacherPart(model=model, cross=crossed), world.data, examples, EmbeddingCache(None), None)
    wanted = make().scores(queries, documents)
    found = []
    for epochs in (0, 30):
        folder = world.train(toy.recipe(**{**recipe, "optimiser": {**recipe["optimiser"], "epochs": epochs}}))
        student = EmbeddingTeacher(load_model(str(folder), folder), examples, EmbeddingCache(None))
        margins = [
            scores - scores.mean(axis=1, keepdims=True) for scores in (student.scores(queries, documents), wanted)
        ]
        found.append(np.corrcoef(margins[0].ravel(), margins[1].ravel())[0, 1])
    assert abs(found[0]) < 0.3
    assert found[1] > 0.6
