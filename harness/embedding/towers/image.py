"""Towers over images: a small convolutional net, and a small vision transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.core.errors import ConfigError, PluginError, UnknownNameError
from harness.embedding.towers.heads import Dense, Head
from harness.embedding.towers.tower import Inputs, Role, Tower

Pixels = NDArray[np.uint8]
Body = Literal["conv", "vit"]
_GROUPS = 8  # of channels that GroupNorm normalises together


@dataclass(frozen=True)
class ImageShape:
    """What an image of a set is: height and width in pixels, and how many channels."""

    height: int
    width: int
    channels: int

    @classmethod
    def of(cls, images: Pixels) -> ImageShape:
        """Return the shape of images (n, h, w, c); raises ConfigError for an array of another kind."""
        if images.ndim != 4 or images.dtype != np.uint8:
            raise ConfigError(
                f"images should be uint8 (n, height, width, channels): given {images.dtype} {images.shape}"
            )
        return cls(*images.shape[1:])


@dataclass(frozen=True)
class ImageConfig:
    """The architecture of an image tower.

    `conv`: `depth` stages, each of which halves the sides; channels double from stage to stage up to `width`. `vit`:
    `depth` layers of `heads` heads over patches of `patch` x `patch` pixels, `width` wide.
    """

    body: Body = "conv"
    width: int = 64
    depth: int = 3
    heads: int = 4
    patch: int = 8

    def check(self, shape: ImageShape) -> None:
        """Raise ConfigError or UnknownNameError where this is no architecture for images of that shape."""
        if self.body not in get_args(Body):
            raise UnknownNameError("body of an image tower", self.body, get_args(Body))
        if self.body == "conv":
            if self.width % (_GROUPS << (self.depth - 1)):
                least = _GROUPS << (self.depth - 1)
                raise ConfigError(f"width {self.width} with {self.depth} stages should be a multiple of {least}")
            if min(shape.height, shape.width) < 1 << self.depth:
                raise ConfigError(f"{shape.height} x {shape.width} pixels can't be halved {self.depth} times")
        elif shape.height % self.patch or shape.width % self.patch:
            raise ConfigError(f"patch {self.patch} does not divide images of {shape.height} x {shape.width} pixels")
        elif self.width % self.heads:
            raise ConfigError(f"width {self.width} should be a multiple of heads, {self.heads}")


class ConvBody(nn.Module):
    """Stages of two convolutions, the first of which halves the sides.

    Groups of channels are normalised, not batches: an image's embedding then depends on no other image.
    """

    def __init__(self, config: ImageConfig, shape: ImageShape) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = shape.channels
        for stage in range(config.depth):
            outputs = config.width >> (config.depth - 1 - stage)
            for stride, read in ((2, inputs), (1, outputs)):
                convolution = nn.Conv2d(read, outputs, 3, stride=stride, padding=1, bias=False)
                layers += [convolution, nn.GroupNorm(_GROUPS, outputs), nn.GELU()]
            inputs = outputs
        self.stages = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels (b, c, h, w) to tokens (b, t, width), one a place of the last map."""
        tokens: Tensor = self.stages(pixels).flatten(2).transpose(1, 2)
        return tokens


class VitBody(nn.Module):
    """A transformer over patches with learnt places (Dosovitskiy et al. 2021), norms first, without a class token."""

    def __init__(self, config: ImageConfig, shape: ImageShape) -> None:
        super().__init__()
        self.patches = nn.Conv2d(shape.channels, config.width, config.patch, stride=config.patch)
        count = (shape.height // config.patch) * (shape.width // config.patch)
        self.places = nn.Parameter(torch.randn(count, config.width) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.width,
                config.heads,
                4 * config.width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels (b, c, h, w) to tokens (b, t, width), one a patch."""
        tokens = self.patches(pixels).flatten(2).transpose(1, 2) + self.places
        for layer in self.layers:
            tokens = layer(tokens)
        normed: Tensor = self.norm(tokens)
        return normed


class ImageTower(Tower):
    """A body that makes tokens of an image, their mean, and a head. Images are uint8 (h, w, c) of one shape."""

    def __init__(self, config: ImageConfig, shape: ImageShape, *, head: Head | None = None) -> None:
        super().__init__()
        config.check(shape)
        self.config = config
        self.shape = shape
        self.body: nn.Module = ConvBody(config, shape) if config.body == "conv" else VitBody(config, shape)
        self.head = head if head is not None else Head()
        self.prompts = {}
        self.dimension = self.head.outputs(config.width)

    @classmethod
    def projected(
        cls, config: ImageConfig, shape: ImageShape, dimension: int, *, normalised: bool = True
    ) -> ImageTower:
        """Make a tower whose head is a linear map to `dimension`; weights are random, from torch's generator."""
        return cls(config, shape, head=Head([Dense(config.width, dimension, bias=False)], normalised=normalised))

    def prepare(self, items: Sequence[Any], role: Role = "document") -> list[Pixels]:  # noqa: ARG002 - the contract's
        """Check images (h, w, c), and list them as they are; raises PluginError for what is no such image."""
        wanted = (self.shape.height, self.shape.width, self.shape.channels)
        for number, item in enumerate(items):
            if not isinstance(item, np.ndarray) or item.shape != wanted or item.dtype != np.uint8:
                given = f"{item.dtype} {item.shape}" if isinstance(item, np.ndarray) else type(item).__name__
                raise PluginError(f"item {number}: this tower embeds images, uint8 {wanted}; given {given}")
        return list(items)

    def size(self, prepared: Pixels) -> int:
        """Return the number of pixels."""
        return int(prepared.shape[0] * prepared.shape[1])

    def collate(self, prepared: Sequence[Pixels]) -> Inputs:
        """Stack images: `pixels` (b, c, h, w) float32 in -1 .. 1."""
        stacked = torch.from_numpy(np.stack(prepared)).permute(0, 3, 1, 2)
        return {"pixels": stacked.float() / 127.5 - 1}

    def tokens(self, inputs: Inputs) -> Tensor:
        """Return what the body makes of each place or patch: (b, t, width)."""
        found: Tensor = self.body(inputs["pixels"])
        return found

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Pool tokens (b, t, width) and map them to embeddings (b, dimension)."""
        embedded: Tensor = self.head(tokens.mean(dim=1).float())
        return embedded

    def forward(self, inputs: Inputs) -> Tensor:
        """Embed a batch: (b, dimension) float32."""
        return self.embed_tokens(self.tokens(inputs))

    def settings(self) -> Mapping[str, Any]:
        """Return what embeddings depend on beside the weights."""
        return {
            "kind": "image",
            "config": asdict(self.config),
            "shape": asdict(self.shape),
            "projections": [one.linear.out_features for one in self.head.projections if isinstance(one, Dense)],
            "normalised": self.head.normalised,
        }
