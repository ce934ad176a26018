"""Towers in folders, as sentence-transformers lays them out: what others publish is read, and they read what is ours.

`modules.json` lists the parts, each in a folder with a `config.json`. A folder without it is a plain checkpoint of
transformers; it is pooled by the mean, a decoder by its last token. Weights are safetensors: a pickle is never opened.
Embeddings are those of sentence-transformers 6 (`encode_query`, `encode_document`).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.core.atomic import reason, replacing_folder, write_text
from harness.core.errors import AnnbenchError, ConfigError
from harness.embedding.image_layout import SETTINGS, load_image_tower, write_image_tower
from harness.embedding.towers.heads import Dense, Head
from harness.embedding.towers.image import ImageTower
from harness.embedding.towers.pooling import Pooling, check_pooling
from harness.embedding.towers.static import StaticTower
from harness.embedding.towers.tower import Role, Tower
from harness.embedding.towers.transformer import TransformerTower, longest

_MODULES = "modules.json"
_PROMPTS = "config_sentence_transformers.json"
_TEXT_SETTINGS = "sentence_bert_config.json"
_PREFIX = "sentence_transformers.models"
_WEIGHTS = "model.safetensors"
_ORDER = re.compile(r"(Transformer( Pooling)?|StaticEmbedding)( Dense)*( Normalize)*")
_ROLES: tuple[Role, ...] = ("query", "document")
# What publishers call the prompts of our roles.
_PROMPT_NAMES = {"query": ("query",), "document": ("document", "passage", "corpus")}
_OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def is_tower(folder: Path) -> bool:
    """Tell whether a folder holds a model that `load_tower` may read."""
    return any((folder / name).is_file() for name in (_MODULES, "config.json", SETTINGS))


def load_tower(folder: Path) -> Tower:
    """Load a tower for evaluation; raises ConfigError where the folder holds none, or parts that aren't known."""
    with explained(folder):
        if (folder / SETTINGS).is_file():
            return load_image_tower(folder).eval()
        if (folder / _MODULES).is_file():
            return _assembled(folder).eval()
        if (folder / "config.json").is_file():
            model, tokenizer = load_transformer(folder)
            pooling: Pooling = "lasttoken" if _is_decoder(model.config) else "mean"
            return TransformerTower(model, tokenizer, pooling=pooling).eval()
    raise ConfigError(f"{folder}: holds neither {_MODULES} nor config.json, so it is no model that can be loaded")


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Say in one line why a model can't be loaded."""
    try:
        yield
    except AnnbenchError:
        raise
    except Exception as problem:  # noqa: BLE001 - tokenizers and safetensors raise Exception itself
        raise ConfigError(f"{folder}: the model can't be loaded: {_cause(problem)}") from None


def _cause(problem: Exception) -> str:
    if isinstance(problem, KeyError):
        return f"{problem} is missing"
    if isinstance(problem, OSError) and problem.filename:
        return f"{Path(problem.filename).name}: {reason(problem)}"
    # The first line of torch says that there is a problem, the second one which.
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(problem).__name__


def load_transformer(folder: Path, gguf: str | None = None) -> tuple[Any, Any]:
    """Load a model without its language head, in float32, and its tokenizer; of T5's kind, the encoder alone.

    Raises ConfigError for weights that are a pickle or incomplete, and what transformers raises.
    """
    import transformers

    quiet(transformers)
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if gguf is not None:
        options["gguf_file"] = gguf
    else:
        _refuse_pickle(folder)
    config = transformers.AutoConfig.from_pretrained(folder, **options)
    kind: Any = transformers.AutoModel
    if config.model_type in ("t5", "mt5", "umt5", "longt5", "switch_transformers"):
        kind = transformers.AutoModelForTextEncoding
    safe = {"use_safetensors": True} if gguf is None else {}
    model, info = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **safe, **options)
    _check_complete(folder, model, info["missing_keys"])
    if model.config.is_encoder_decoder and hasattr(model, "get_encoder"):
        model = model.get_encoder()
    return model, transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, **options)


def _check_complete(folder: Path, model: Any, missing: Iterable[str]) -> None:
    """Refuse a model some of whose weights were drawn at random; only a pooler may lack them, which is then dropped."""
    if any(name.startswith("pooler.") for name in missing):
        model.pooler = None
    lost = sorted(name for name in missing if not name.startswith("pooler."))
    if lost:
        raise ConfigError(f"{folder}: {len(lost)} weights of a {type(model).__name__} are missing: {lost[0]}, ...")


def _refuse_pickle(folder: Path) -> None:
    if not list(folder.glob("*.safetensors")) and list(folder.glob("*.bin")):
        raise ConfigError(f"{folder}: holds weights as a pickle only, which may run code; save them as safetensors")


def quiet(transformers: Any) -> None:
    """Keep transformers from drawing bars of its own, and from warning about weights that are left out on purpose."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _is_decoder(config: Any) -> bool:
    architectures = config.architectures or []
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures)


def _assembled(folder: Path) -> Tower:
    """Put a tower together from the modules that are listed."""
    modules = [(entry["type"].rsplit(".", 1)[-1], folder / entry["path"]) for entry in _json(folder / _MODULES)]
    unknown = [
        name for name, _ in modules if name not in ("Transformer", "StaticEmbedding", "Pooling", "Dense", "Normalize")
    ]
    if unknown:
        raise ConfigError(
            f"{folder}: the module {unknown[0]!r} isn't supported; those are Transformer, StaticEmbedding, Pooling, "
            "Dense and Normalize"
        )
    names = " ".join(name for name, _ in modules)
    if _ORDER.fullmatch(names) is None:
        raise ConfigError(
            f"{folder}: its modules are {names or 'none'}; they should be Transformer or StaticEmbedding, then "
            "Pooling, Dense and Normalize"
        )
    head = Head(
        [_dense(path) for name, path in modules if name == "Dense"],
        normalised=any(name == "Normalize" for name, _ in modules),
    )
    prompts = _prompts(folder)
    kind, first = modules[0]
    if kind == "StaticEmbedding":
        return _static(first, head, prompts)
    pooling: Pooling = next((_pooling(path) for name, path in modules if name == "Pooling"), "mean")
    settings = _text_settings(first)
    model, tokenizer = load_transformer(first)
    return TransformerTower(
        model,
        tokenizer,
        pooling=pooling,
        head=head,
        max_length=settings.get("max_seq_length") or longest(model.config, tokenizer, published=True),
        prompts=prompts,
        lower_case=bool(settings.get("do_lower_case", False)),
    )


def _static(folder: Path, head: Head, prompts: Mapping[Role, str]) -> StaticTower:
    from tokenizers import Tokenizer

    weights = _weights(folder)
    # Model2Vec calls them "embeddings"; several tokens may share one, and each may have a weight of its own.
    vectors = next((weights[key] for key in ("embedding.weight", "embeddings") if key in weights), None)
    if vectors is None:
        raise ConfigError(f"{folder}: {_WEIGHTS} has no 'embedding.weight'; it has {', '.join(weights)}")
    if "mapping" in weights:
        vectors = vectors[weights["mapping"].long()]
    if "weights" in weights:
        vectors = vectors.float() * weights["weights"].float()[:, None]
    return StaticTower(Tokenizer.from_file(str(folder / "tokenizer.json")), vectors.float(), head=head, prompts=prompts)


def _text_settings(folder: Path) -> dict[str, Any]:
    """Read how texts are cut; older models name the file after their family, as in sentence_roberta_config.json."""
    for path in (folder / _TEXT_SETTINGS, *sorted(folder.glob("sentence_*_config.json"))):
        if path.is_file():
            settings: dict[str, Any] = _json(path)
            return settings
    return {}


def _weights(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    _refuse_pickle(folder)
    weights: dict[str, Tensor] = load_file(folder / _WEIGHTS)
    return weights


def _dense(folder: Path) -> Dense:
    settings = _json(folder / "config.json")
    if (found := settings.get("module_input_name") or "sentence_embedding") != "sentence_embedding":
        raise ConfigError(f"{folder}: maps {found!r}, which isn't supported; only what was pooled is mapped")
    dense = Dense(
        settings["in_features"],
        settings["out_features"],
        bias=settings.get("bias", True),
        activation=str(settings.get("activation_function", "Identity")).rsplit(".", 1)[-1],
    )
    dense.load_state_dict(_weights(folder))
    return dense


def _pooling(folder: Path) -> Pooling:
    settings = _json(folder / "config.json")
    if settings.get("include_prompt", True) is False:
        raise ConfigError(f"{folder}: leaves the prompt out of pooling, which isn't supported")
    found = settings.get("pooling_mode")
    if found is None:
        found = [ours for key, ours in _OLD_POOLINGS.items() if settings.get(key)] or "mean"
    return check_pooling(found[0] if isinstance(found, list) and len(found) == 1 else found)


def _prompts(folder: Path) -> dict[Role, str]:
    path = folder / _PROMPTS
    settings = _json(path) if path.is_file() else {}
    given: Mapping[str, str] = settings.get("prompts") or {}
    usual = settings.get("default_prompt_name") or ""
    roles = {name for names in _PROMPT_NAMES.values() for name in names}
    found: dict[Role, str] = {}
    for role in _ROLES:
        # What is usual is for both, unless it is meant for one of them.
        names = (*_PROMPT_NAMES[role], *([] if usual in roles else [usual]))
        text = next((given[name] for name in names if given.get(name)), "")
        if text:
            found[role] = text
    return found


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def save_tower(tower: Tower, folder: Path) -> None:
    """Save a tower so that `load_tower` and sentence-transformers read it; the folder appears whole."""
    with replacing_folder(folder) as temporary:
        write_tower(tower, temporary)


def write_tower(tower: Tower, folder: Path) -> None:
    """Write a tower into a folder that is there. Raises ConfigError for a tower that has no layout."""
    if isinstance(tower, ImageTower):
        write_image_tower(tower, folder)
        return
    if isinstance(tower, TransformerTower):
        parts = _save_transformer(tower, folder)
    elif isinstance(tower, StaticTower):
        parts = _save_static(tower, folder)
    else:
        raise ConfigError(f"a {type(tower).__name__} has no layout to be saved in")
    for projection in tower.head.projections:
        assert isinstance(projection, Dense)  # noqa: S101 - for the type checker: nothing else is put there
        path = folder / _add(parts, "Dense")
        path.mkdir()
        _save_dense(projection, path)
    if tower.head.normalised:
        (folder / _add(parts, "Normalize")).mkdir()
    _write(folder / _MODULES, parts)
    prompts = {role: tower.prompts.get(role, "") for role in _ROLES}
    settings = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    _write(folder / _PROMPTS, {"__version__": {}, **settings})


def _add(parts: list[dict[str, Any]], kind: str) -> str:
    """Add a module to the list, and return its folder; the first one's is the top."""
    number = len(parts)
    path = f"{number}_{kind}" if number else ""
    parts.append({"idx": number, "name": str(number), "path": path, "type": f"{_PREFIX}.{kind}"})
    return path


def _save_transformer(tower: TransformerTower, folder: Path) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    _add(parts, "Transformer")
    model: Any = tower.model
    model.save_pretrained(folder, safe_serialization=True)
    tower.tokenizer.save_pretrained(folder)
    _write(folder / _TEXT_SETTINGS, {"max_seq_length": tower.max_length, "do_lower_case": tower.lower_case})
    pooling = folder / _add(parts, "Pooling")
    config = model.config
    width = int(getattr(config, "hidden_size", 0) or config.d_model)
    old = {key: ours == tower.pooling for key, ours in _OLD_POOLINGS.items()}
    _write(pooling / "config.json", {"word_embedding_dimension": width, **old})
    return parts


def _save_static(tower: StaticTower, folder: Path) -> list[dict[str, Any]]:
    from safetensors.torch import save_file

    parts: list[dict[str, Any]] = []
    _add(parts, "StaticEmbedding")
    save_file({"embedding.weight": tower.embedding.weight.detach().contiguous()}, folder / _WEIGHTS)
    tower.tokenizer.save(str(folder / "tokenizer.json"))
    return parts


def _save_dense(dense: Dense, folder: Path) -> None:
    from safetensors.torch import save_file

    linear = dense.linear
    activation = f"torch.nn.modules.{'linear' if dense.activation_name == 'Identity' else 'activation'}"
    settings = {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": linear.bias is not None,
        "activation_function": f"{activation}.{dense.activation_name}",
    }
    _write(folder / "config.json", settings)
    save_file(
        {f"linear.{name}": value.contiguous() for name, value in linear.state_dict().items()},
        folder / _WEIGHTS,
    )


def _write(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")
