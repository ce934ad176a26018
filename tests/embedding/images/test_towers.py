"""Image towers: shapes, what an embedding depends on, and saving."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from harness.core.errors import ConfigError, PluginError, UnknownNameError
from harness.embedding.encoder import encode
from harness.embedding.layout import is_tower, load_tower, save_tower
from harness.embedding.towers.image import ImageConfig, ImageShape, ImageTower

CONFIGS = {
    "conv": ImageConfig("conv", width=32, depth=3),
    "vit": ImageConfig("vit", width=24, depth=2, heads=3, patch=4),
}
SHAPE = ImageShape(12, 16, 3)


def make(body, dimension=10, **options):
    torch.manual_seed(0)
    return ImageTower.projected(CONFIGS[body], SHAPE, dimension, **options).eval()


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 16, 3), np.uint8)


@pytest.mark.parametrize(("body", "tokens"), [("conv", 2 * 2), ("vit", 3 * 4)])
def test_shapes_are_as_promised(body, tokens):
    """A tower makes a token a place or patch, and of each image an embedding of length 1."""
    tower = make(body)
    inputs = tower.collate(tower.prepare(images(5)))
    assert inputs["pixels"].shape == (5, 3, 12, 16)
    assert inputs["pixels"].min() >= -1
    assert inputs["pixels"].max() <= 1
    assert tower.tokens(inputs).shape == (5, tokens, CONFIGS[body].width)
    embedded = encode(tower, images(5))
    assert embedded.shape == (5, 10)
    assert np.linalg.norm(embedded, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("body", CONFIGS)
def test_an_image_is_embedded_alike_in_any_company(body):
    """No embedding depends on the other images of a batch, in training or not."""
    tower, shown = make(body), images(6)
    together = encode(tower, shown)
    assert encode(tower, shown[2:3])[0] == pytest.approx(together[2], abs=1e-5)
    tower.train()
    in_training = tower(tower.collate(tower.prepare(shown))).detach().numpy()
    assert in_training == pytest.approx(together, abs=1e-5)


@pytest.mark.parametrize("body", CONFIGS)
def test_what_is_where_matters(body):
    """An image turned upside down, or with channels swapped, is another image."""
    shown = images(1)
    tower = make(body)
    as_is, turned, swapped = encode(tower, [shown[0], shown[0][::-1], shown[0][..., ::-1]])
    assert np.abs(as_is - turned).max() > 1e-3
    assert np.abs(as_is - swapped).max() > 1e-3


@pytest.mark.parametrize("body", CONFIGS)
@pytest.mark.parametrize("options", [{}, {"normalised": False}])
def test_a_saved_tower_comes_back(body, options, tmp_path):
    """A tower that was saved and loaded embeds the same, and has the same fingerprint."""
    tower = make(body, **options)
    save_tower(tower, tmp_path / "tower")
    assert is_tower(tmp_path / "tower")
    loaded = load_tower(tmp_path / "tower")
    assert not loaded.training
    assert np.array_equal(encode(loaded, images(3)), encode(tower, images(3)))
    assert loaded.fingerprint() == tower.fingerprint()
    assert loaded.fingerprint() != make(body, dimension=11).fingerprint()


def test_a_broken_folder_is_told(tmp_path):
    """Settings that don't fit the weights give one line that names the folder."""
    save_tower(make("conv"), tmp_path / "tower")
    settings = tmp_path / "tower" / "image_tower.json"
    settings.write_text(settings.read_text().replace('"depth": 3', '"depth": 2'))
    with pytest.raises(ConfigError, match=r"tower: the model can't be loaded"):
        load_tower(tmp_path / "tower")


@pytest.mark.parametrize(
    "item",
    ["a text", np.zeros((16, 12, 3), np.uint8), np.zeros((12, 16, 3), np.float32)],
    ids=["text", "shape", "type"],
)
def test_what_is_no_image_is_refused(item):
    """Texts, other shapes and other types are refused, by number."""
    with pytest.raises(PluginError, match=r"item 1: this tower embeds images, uint8 \(12, 16, 3\)"):
        make("conv").prepare([images(1)[0], item])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ImageConfig("conv", width=36, depth=3), "multiple of 32"),
        (ImageConfig("conv", width=64, depth=4), "can't be halved 4 times"),
        (ImageConfig("vit", width=24, patch=5), "patch 5 does not divide"),
        (ImageConfig("vit", width=25, patch=4), "multiple of heads"),
    ],
)
def test_architectures_that_do_not_fit_are_refused(config, message):
    """Errors say what doesn't fit."""
    with pytest.raises(ConfigError, match=message):
        ImageTower(config, SHAPE)


def test_an_unknown_body_is_refused():
    """The error suggests the nearest."""
    with pytest.raises(UnknownNameError, match="did you mean conv"):
        ImageTower(ImageConfig("cov"), SHAPE)


def test_shapes_are_read_off_arrays():
    """Only uint8 arrays of four axes are images."""
    assert ImageShape.of(images(2)) == SHAPE
    with pytest.raises(ConfigError, match=r"given float32 \(2, 3\)"):
        ImageShape.of(np.zeros((2, 3), np.float32))
