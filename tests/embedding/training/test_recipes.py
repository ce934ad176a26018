"""Recipes: those that come with annbench are read, and what is wrong in one is told in a line that says where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from harness.core.errors import AnnbenchError, ConfigError, UnknownNameError  # noqa: E402
from harness.embedding.training.optimise import make_optimiser, rate_at  # noqa: E402
from harness.embedding.training.recipe import (  # noqa: E402
    RECIPES,
    OptimiserPart,
    find_recipes,
    read_recipe,
    recipe_names,
    recipe_sets,
)

STATIC = {"kind": "static", "tokenizer": "some-model"}
BERT = {"kind": "transformer", "checkpoint": "some-model"}
TEACHER = {"model": "some-model"}


def write(folder: Path, **parts: Any) -> Path:
    """Write a recipe of a bag of vectors, with other parts; return its file."""
    path = folder / "mine.yml"
    path.write_text(yaml.safe_dump({"data": {"train": "some-texts"}, "tower": STATIC, **parts}))
    return path


@pytest.mark.parametrize("name", [path.stem for path in RECIPES.glob("*.yml") if path.stem != "sets"])
def test_a_committed_recipe_is_read(name: str) -> None:
    """It is found by its name, which is that of its file, says what it is about, and survives a round trip."""
    (recipe,) = find_recipes(name)
    assert recipe.name == name
    assert recipe.about
    assert type(recipe).model_validate(recipe.model_dump(mode="json")) == recipe


def test_sets_hold_recipes() -> None:
    """Every set names recipes that are there, and is found by its name."""
    assert recipe_sets()
    for name, members in recipe_sets().items():
        assert [recipe.name for recipe in find_recipes(name)] == list(members)
        assert set(members) <= set(recipe_names())


def test_a_recipe_by_its_file(tmp_path: Path) -> None:
    """A file's recipe is called like the file, unless it says otherwise."""
    path = write(tmp_path)
    assert find_recipes(str(path))[0].name == "mine"
    assert read_recipe(write(tmp_path, name="other")).name == "other"
    assert read_recipe(path).data.train == ("some-texts",)


def test_an_unknown_name_suggests() -> None:
    """Recipes and sets are suggested alike."""
    with pytest.raises(UnknownNameError, match="no recipe is called 'static-infonc'; did you mean static-infonce"):
        find_recipes("static-infonc")
    with pytest.raises(UnknownNameError, match="quick"):
        find_recipes("quik")
    with pytest.raises(UnknownNameError):
        find_recipes("sets")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"optimizer": {"batch": 3}}, "no key is called 'optimizer'; did you mean optimiser"),
        ({"optimiser": {"batchsize": 3}}, "optimiser: .*no key is called 'batchsize'; did you mean batch"),
        ({"optimiser": {"batch": 0}}, r"optimiser\.batch: should be 1 or more \(given: 0\)"),
        ({"optimiser": {"rate": -1}}, "optimiser.rate"),
        ({"optimiser": {"schedule": "cosin"}}, "optimiser.schedule: .*'cosine'"),
        ({"loss": {"name": "infonce"}}, "no loss is called 'infonce'; did you mean info_nce"),
        ({"loss": {"settings": {"temprature": 1}}}, "no setting of info_nce is called 'temprature'; did you mean"),
        ({"loss": {"settings": {"temperature": "hot"}}}, "temperature of info_nce can't be 'hot'"),
        ({"loss": {"settings": {"similarity": "cos"}}}, "similarity of info_nce can't be 'cos': .*'cosine' or 'dot'"),
        ({"loss": {"learn": ["symmetric"]}}, "learnable setting of info_nce is called 'symmetric'"),
        ({"loss": {"learn": ["temperature"], "settings": {"temperature": 0.1}}}, "both set and learnt"),
        ({"loss": {"matryoshka": [8, 0]}}, "loss.matryoshka.1"),
        ({"loss": {"matryoshka": [512]}}, "more dimensions than the tower's 256"),
        ({"negatives": {"kind": "hard"}}, "negatives.kind: .*'mined'"),
        ({"negatives": {"window": [5, 2]}}, r"the window \[5, 2\]"),
        ({"negatives": {"kind": "mined"}, "loss": {"name": "sup_con"}}, "sup_con takes no negatives"),
        ({"adapt": {"kind": "lora"}}, "adapt: lora is for transformers"),
        ({"tower": {**STATIC, "pooling": "cls"}}, "pooling is for transformers"),
        ({"tower": {**STATIC, "checkpoint": "some-model"}}, "checkpoint is for transformers"),
        ({"tower": {"kind": "static"}}, "tower: .*needs a tokenizer"),
        ({"tower": {"kind": "transformer"}}, "tower: .*needs a checkpoint"),
        ({"tower": {**STATIC, "start": "teacher"}}, "start: teacher needs a teacher that embeds"),
        ({"tower": {**STATIC, "start": "teacher"}, "teacher": {**TEACHER, "cross": True}}, "teacher that embeds"),
        ({"tower": {**BERT, "start": "teacher"}, "teacher": TEACHER}, "start: teacher is for static towers"),
        ({"tower": {**BERT, "pooling": "average"}}, "tower.pooling: .*'mean'"),
        ({"tower": {**BERT, "prompts": {"passage": "x"}}}, "tower.prompts"),
        ({"tower": BERT, "asymmetric": True, "adapt": {"kind": "lora"}}, "leave asymmetric out"),
        ({"loss": {"name": "margin_mse"}}, "margin_mse needs a teacher"),
        ({"loss": {"name": "embedding_mse"}, "teacher": {**TEACHER, "cross": True}}, "needs a teacher that embeds"),
        ({"loss": {"name": "embedding_mse"}, "teacher": TEACHER, "asymmetric": True}, "trains one tower"),
        ({"teacher": TEACHER}, "the teacher would be ignored"),
        ({"optimiser": {"labels_a_batch": 4}}, "labels_a_batch is for losses over labelled texts"),
        ({"evaluate_every": 10}, "evaluate_every needs something to judge by; add dev"),
        ({"data": {"train": []}}, "data.train"),
        ({"data": {"train": "x", "example": 3}}, "did you mean examples"),
        ({"name": "../elsewhere"}, "name: "),
        ({"seed": -1}, "seed: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, parts: dict[str, Any], words: str) -> None:
    """The line names the file and the key, and what was given or what could have been."""
    path = write(tmp_path, **parts)
    with pytest.raises(ConfigError, match=words) as told:
        read_recipe(path)
    assert str(told.value).startswith(f"{path}: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", [b"a: [", b"\xff", b"- 1\n", b"", b"a: !!python/object:os.system {}\n"])
def test_what_is_no_recipe_at_all(tmp_path: Path, content: bytes) -> None:
    """Broken YAML, a list, nothing, and YAML that would make objects are refused in one line."""
    path = tmp_path / "mine.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mine\.yml: ") as told:
        read_recipe(path)
    assert "\n" not in str(told.value)
    with pytest.raises(AnnbenchError, match="there is no such file"):
        find_recipes(str(tmp_path / "absent.yml"))


# --- the optimiser ---------------------------------------------------------------------------------------------------


@given(
    steps=st.integers(1, 300),
    warmup=st.floats(0, 0.99),
    schedule=st.sampled_from(["linear", "cosine", "constant"]),
)
def test_the_rate_rises_to_its_peak_and_falls(steps: int, warmup: float, schedule: Any) -> None:
    """It rises by equal steps to the peak, never exceeds it, never falls to 0 before the end, and then only falls."""
    part = OptimiserPart(rate=2.0, warmup=warmup, schedule=schedule)
    rates = [rate_at(step, steps, part) for step in range(steps)]
    peak = rates.index(max(rates))
    assert max(rates) <= 2.0
    assert max(rates) == pytest.approx(2.0)
    assert all(rate > 0 for rate in rates)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if peak:
        assert rates[: peak + 1] == pytest.approx([2.0 * (step + 1) / (peak + 1) for step in range(peak + 1)])


def test_the_rate_is_that_of_transformers() -> None:
    """Between warm-up and end, lines and cosines are those of transformers' schedules, one step shifted in warm-up."""
    transformers = pytest.importorskip("transformers")
    for schedule in ("linear", "cosine"):
        optimiser = torch.optim.SGD([torch.zeros(1)], lr=3.0)
        theirs = getattr(transformers, f"get_{schedule}_schedule_with_warmup")(optimiser, 10, 100)
        part = OptimiserPart(rate=3.0, warmup=0.1, schedule=schedule)
        for step in range(100):
            if step >= 10:
                assert rate_at(step, 100, part) == pytest.approx(theirs.get_last_lr()[0])
            optimiser.step()
            theirs.step()


def test_only_matrices_decay() -> None:
    """Biases, norms and a loss's own scalars don't; a shared weight stands once; frozen ones don't stand at all."""
    layer, norm = torch.nn.Linear(3, 2), torch.nn.LayerNorm(2)
    frozen = torch.nn.Linear(2, 2).requires_grad_(requires_grad=False)
    scalar = torch.nn.Parameter(torch.tensor(1.0))
    optimiser = make_optimiser([layer, norm, layer, frozen], {"temperature": scalar}, OptimiserPart(decay=0.3))
    groups = {group["weight_decay"]: group["params"] for group in optimiser.param_groups}
    assert groups.keys() == {0.3, 0.0}
    assert [id(weight) for weight in groups[0.3]] == [id(layer.weight)]
    assert {id(weight) for weight in groups[0.0]} == {id(w) for w in (layer.bias, norm.weight, norm.bias, scalar)}
    with pytest.raises(ConfigError, match="no weight is left that learns"):
        make_optimiser([frozen], {}, OptimiserPart())
