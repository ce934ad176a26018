"""The parts of recipes, each checked by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.core.errors import UnknownNameError
from harness.embedding.losses.registry import LOSSES
from harness.embedding.towers.image import ImageConfig
from harness.embedding.towers.pooling import Pooling
from harness.embedding.training.checks import check_settings

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Part(BaseModel):
    """A part of a recipe: no unknown keys, never changed."""

    model_config = _STRICT

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, dict) else []
        if unknown:
            raise ValueError(str(UnknownNameError("key", str(unknown[0]), cls.model_fields)))
        return value


class DataPart(Part):
    """What is learnt from, and what progress is judged by.

    `train` are tasks by name or folder: BEIR folders (their split `train`), pairs and triplets, labelled texts, STS,
    images with captions.
    `examples` keeps the first so many in a drawn order. `dev` is a retrieval task, cut to `dev_documents` documents.
    """

    train: tuple[str, ...] = Field(min_length=1)
    examples: int | None = Field(default=None, ge=1)
    dev: str | None = None
    dev_split: str = "dev"
    dev_documents: int | None = Field(default=None, ge=1)

    @field_validator("train", mode="before")
    @classmethod
    def _in_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class TowerPart(Part):
    """What is trained: a static bag of tokens, or a transformer from a checkpoint or a configuration.

    `tokenizer` is a model whose tokens a static tower has; `start` says what its vectors are at first. `projection`
    adds a linear map to so many dimensions. `config` makes a transformer of that configuration with random weights: its
    `model_type` and settings, as transformers name them; its tokens are those of `tokenizer`.
    """

    kind: Literal["static", "transformer"]
    checkpoint: str | None = None
    config: Mapping[str, Any] | None = None
    tokenizer: str | None = None
    dimension: int = Field(default=256, ge=1)
    start: Literal["random", "teacher"] = "random"
    pooling: Pooling | None = None
    projection: int | None = Field(default=None, ge=1)
    max_length: int | None = Field(default=None, ge=2)
    normalised: bool = True
    prompts: Mapping[Literal["query", "document"], str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "transformer" and (self.checkpoint is None) == (self.config is None):
            raise ValueError("a transformer needs a checkpoint, a model by name or folder, or else a config")
        if self.config is not None and not isinstance(self.config.get("model_type"), str):
            raise ValueError("config needs a model_type, e.g. bert")
        if (self.kind == "static" or self.config is not None) and self.tokenizer is None:
            raise ValueError(f"a {self.kind} tower needs a tokenizer here, that of a model by name or folder")
        return self


class ImagePart(Part):
    """An image tower: its architecture (`ImageConfig`) with random weights, or that of a model that was trained here.

    `dimension` is that of its embeddings; left out, it is that of the captions' tower.
    """

    checkpoint: str | None = None
    body: Literal["conv", "vit"] = "conv"
    width: int = Field(default=64, ge=8)
    depth: int = Field(default=3, ge=1)
    heads: int = Field(default=4, ge=1)
    patch: int = Field(default=8, ge=1)
    dimension: int | None = Field(default=None, ge=1)

    @property
    def config(self) -> ImageConfig:
        """The architecture."""
        return ImageConfig(self.body, self.width, self.depth, self.heads, self.patch)


class ObjectivePart(Part):
    """What a step minimises: the loss of pairs, that loss and another, or another one.

    `mlm` guesses a share `masked` of the tokens (Devlin et al. 2019) and `simcse` embeds each text twice under dropout;
    both take every text of the data alone. `coca` adds `weight` times the loss of a small decoder, `layers` deep and
    with `heads` heads, that writes captions by looking at the image (Yu et al. 2022).
    """

    kind: Literal["contrastive", "mlm", "simcse", "coca"] = "contrastive"
    masked: float = Field(default=0.15, gt=0, lt=1)
    weight: float = Field(default=1.0, gt=0)
    layers: int = Field(default=1, ge=1)
    heads: int = Field(default=4, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


class LossPart(Part):
    """A loss of `harness.embedding.losses`, and its settings; `learn` are those that are learnt with the towers."""

    name: str = "info_nce"
    settings: Mapping[str, Any] = Field(default_factory=dict)
    learn: tuple[str, ...] = ()
    matryoshka: tuple[Annotated[int, Field(ge=1)], ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.name not in LOSSES:
            raise ValueError(str(UnknownNameError("loss", self.name, LOSSES)))
        loss = LOSSES[self.name]
        for name in self.settings:
            if name not in loss.settings:
                raise ValueError(str(UnknownNameError(f"setting of {self.name}", name, loss.settings)))
        check_settings(loss, self.settings)
        for name in self.learn:
            if name not in loss.learnable:
                raise ValueError(str(UnknownNameError(f"learnable setting of {self.name}", name, loss.learnable)))
            if name in self.settings:
                raise ValueError(f"{name} is both set and learnt; leave it out of one of the two")
        return self


class NegativesPart(Part):
    """Hard negatives: none but those of the data, random documents, or documents that rank high for the query.

    `count` of them for each query, drawn from ranks `window` of BM25's or the model's own ranking; the model's goes
    through an index of the registry. A document that scores above `ceiling` times the positive's score may be relevant
    and isn't taken (Moreira et al. 2024, NV-Retriever). They are drawn anew every `refresh` epochs (ANCE, Xiong et al.
    2021); the model's only from the second epoch on, unless `from_start`.
    """

    kind: Literal["given", "random", "bm25", "mined"] = "given"
    count: int = Field(default=1, ge=1)
    window: tuple[int, int] = (1, 50)
    ceiling: float | None = Field(default=0.95, gt=0)
    refresh: int = Field(default=1, ge=1)
    from_start: bool = False
    algorithm: str = "hnsw"
    build: Mapping[str, Any] = Field(default_factory=dict)
    search: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("window")
    @classmethod
    def _ascending(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1]:
            raise ValueError(f"the window {list(value)} should be the first and the last rank, from 1 on")
        return value


class AdaptPart(Part):
    """Which weights of a transformer learn: all, all but the embeddings and `layers` lowest layers, the head, or LoRA.

    LoRA (Hu et al. 2022) adds to each linear map one of rank `rank`, scaled by `alpha` / `rank`.
    """

    kind: Literal["full", "upper", "head", "lora"] = "full"
    layers: int = Field(default=0, ge=0)
    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ()


class TeacherPart(Part):
    """A model that scores or embeds what the student learns from; a `cross` one reads query and document at once."""

    model: str
    cross: bool = False


class OptimiserPart(Part):
    """AdamW (Loshchilov and Hutter 2019), warmed up, then down to 0 along a line or a cosine, or constant.

    Without `epochs` the model stays as it starts. `batch` examples a step; with `chunk`, by GradCache in chunks of so
    many. `rate` is the peak; `warmup` a share of all steps. Gradients are clipped to the norm `clip`.
    """

    epochs: int = Field(default=1, ge=0)
    batch: int = Field(default=64, ge=1)
    chunk: int | None = Field(default=None, ge=1)
    rate: float = Field(default=2e-5, gt=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    labels_a_batch: int | None = Field(default=None, ge=2)


class ClassifierPart(Part):
    """How labels are told: `frozen` fits a logistic regression to embeddings, `tuned` trains tower and layer together.

    `penalty` is the L2 penalty of the regression, scikit-learn's 1 / C.
    """

    ways: tuple[Literal["frozen", "tuned"], ...] = Field(default=("frozen", "tuned"), min_length=1)
    penalty: float = Field(default=0.1, gt=0)
