"""Collections that are built of Debian's packages, here of small imitations of their files."""

from __future__ import annotations

import contextlib
import io
import json
import struct

import numpy as np
import pytest

from harness.core.errors import SourceError
from harness.data.sources.package import Unpacked
from harness.data.sources.texts import debian, pictures, wordnet
from harness.data.sources.texts.catalogue import lookup_texts

NOUNS = """\
  1 This software and database is being provided to you, the LICENSEE
00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is perceived or known
02084071 05 n 02 domestic_dog 0 dog 0 002 @ 02083346 n 0000 | a kind of Canis; "the dog barked; all night"; "a good dog"
"""
ADJECTIVES = """\
00003131 00 a 01 abaxial(p) 0 000 | facing away from the axis; "the abaxial surface"
00003356 00 s 02 x 0 y 1 000 | "only an example"
"""
TRANSLATION = """\
Package: abc
Description-md5: 0123
Description-en: short of abc
 The first line of a long description
 of abc.
 .
  * and more of it

Package: abc-doc
Description-md5: 4567
Description-en: short of abc
 Another long description, but the same short one.

Package: abd
Description-en: short of abd
 too little
"""


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def package_of(name):
    return lookup_texts(name).sources[0].value


def all_pairs(folder):
    return [pair for split in ("train", "dev") for pair in read(folder / f"{split}.jsonl")]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a folder that stands for whatever package is asked for."""
    folder = tmp_path / "package"
    folder.mkdir()
    for module in (wordnet, pictures):
        monkeypatch.setattr(
            module, "unpacked_debian", lambda name, *, console: contextlib.nullcontext(Unpacked(folder, "1.0"))
        )
    monkeypatch.setattr(debian, "debian_lists", lambda *, language, console: contextlib.nullcontext(folder))
    return folder


@pytest.fixture
def out(tmp_path):
    """Return the folder to fill."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_wordnet(package, out, console):
    """Words and examples each make a pair with the definition; markers and underscores go."""
    for part, text in (("noun", NOUNS), ("adj", ADJECTIVES), ("verb", ""), ("adv", "")):
        (package / f"data.{part}").write_text(text)
    wordnet.write_wordnet_pairs(out, "wordnet", console=console)
    dog = "a kind of Canis"
    assert sorted(all_pairs(out), key=lambda pair: pair["id"]) == [
        {"id": "a00003131", "query": "abaxial", "positive": "facing away from the axis"},
        {"id": "a00003131-1", "query": "the abaxial surface", "positive": "facing away from the axis"},
        {"id": "n00001740", "query": "entity", "positive": "that which is perceived or known"},
        {"id": "n02084071", "query": "domestic dog, dog", "positive": dog},
        {"id": "n02084071-1", "query": "the dog barked; all night", "positive": dog},
        {"id": "n02084071-2", "query": "a good dog", "positive": dog},
    ]


@pytest.mark.parametrize("line", ["00001740 03 n zz entity 0 | what", "00001740 03 n 01 entity 0 what", "word"])
def test_broken_wordnet(package, out, console, line):
    """A line that is laid out in another way is told with its number."""
    (package / "data.noun").write_text(f"  1 licence\n{line}\n")
    with pytest.raises(SourceError, match=r"data\.noun:2: not a line of WordNet's data"):
        wordnet.write_wordnet_pairs(out, "wordnet", console=console)
    (package / "data.noun").unlink()
    with pytest.raises(SourceError, match=r"holds no data\.noun"):
        wordnet.write_wordnet_pairs(out, "wordnet", console=console)


def test_descriptions(package, out, console):
    """Paragraphs are joined; what says too little or repeats another package is left out."""
    (package / "host_dists_main_i18n_Translation-en").write_text(TRANSLATION)
    (package / "host_dists_main_Packages").write_text("Package: other\n")
    debian.write_debian_descriptions(out, "Translation-en", console=console)
    long = "The first line of a long description of abc. * and more of it"
    assert all_pairs(out) == [{"id": "abc", "query": "short of abc", "positive": long}]


def test_no_descriptions(package, out, console):
    """Lists without translations are told."""
    with pytest.raises(SourceError, match="without descriptions"):
        debian.write_debian_descriptions(out, "Translation-en", console=console)


def png(size, colour):
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGBA", size, colour).save(stream, "PNG")
    return stream.getvalue()


def test_emoji(package, out, console, monkeypatch):
    """Bitmaps are centred on a white square and scaled, and named as Unicode does."""
    (package / "NotoColorEmoji.ttf").touch()
    drawn = [("\u2603", png((128, 64), (255, 0, 0, 255))), ("\U0001f600", png((32, 32), (0, 0, 0, 0)))]
    monkeypatch.setattr(pictures, "_bitmaps", lambda font: iter(drawn))
    pictures.write_emoji(out, "emoji", console=console)
    images = np.load(out / "images.npy")
    assert (images.shape, images.dtype) == ((2, 64, 64, 3), np.uint8)
    assert images[0, 32, 32].tolist() == [255, 0, 0]
    assert images[0, 4, 32].tolist() == images[1, 32, 32].tolist() == [255, 255, 255]
    captions = read(out / "captions.jsonl")
    assert [(c["image"], c["text"], c["character"]) for c in captions] == [
        (0, "snowman", "\u2603"),
        (1, "grinning face", "\U0001f600"),
    ]
    assert {c["split"] for c in captions} <= {"train", "dev", "test"}


def test_what_is_no_font_of_emoji(package, out, console):
    """A package without the font, or a file that is none, is one line."""
    with pytest.raises(SourceError, match=r"holds no NotoColorEmoji\.ttf"):
        pictures.write_emoji(out, "emoji", console=console)
    (package / "NotoColorEmoji.ttf").write_bytes(b"no font")
    with pytest.raises(SourceError, match="no font with colour bitmaps"):
        pictures.write_emoji(out, "emoji", console=console)


def idx(values):
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def test_clothes(package, out, console):
    """Pictures keep their order, train before test, each with the words for its label."""
    rng = np.random.default_rng(1)
    parts = {"train": rng.integers(0, 256, (20, 4, 3), np.uint8), "t10k": rng.integers(0, 256, (5, 4, 3), np.uint8)}
    for name, images in parts.items():
        (package / f"{name}-images-idx3-ubyte").write_bytes(idx(images))
        (package / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(len(images), dtype=np.uint8) % 10))
    pictures.write_clothes(out, "clothes", console=console)
    written = np.load(out / "images.npy")
    np.testing.assert_array_equal(written, np.concatenate([*parts.values()])[..., None])
    captions = read(out / "captions.jsonl")
    assert captions[9] == {"image": 9, "text": "a picture of an ankle boot", "label": 9, "split": "train"}
    assert captions[22] == {"image": 22, "text": "a picture of a pullover", "label": 2, "split": "test"}
    assert len(captions) == 25


def test_clothes_without_their_labels(package, out, console):
    """As many labels as pictures are needed."""
    (package / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((3, 2, 2), np.uint8)))
    with pytest.raises(SourceError, match="holds no train-labels"):
        pictures.write_clothes(out, "clothes", console=console)
    (package / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(2, np.uint8)))
    with pytest.raises(SourceError, match="3 pictures of train, but 2 labels"):
        pictures.write_clothes(out, "clothes", console=console)


@pytest.mark.slow
def test_real_emoji(tmp_path, console):
    """Debian's font has as many emoji as README says, all different, and a snowman is mostly white."""
    try:
        pictures.write_emoji(tmp_path, package_of("noto-emoji"), console=console)
    except SourceError as problem:
        pytest.skip(f"offline or no Debian: {problem}")
    images, captions = np.load(tmp_path / "images.npy"), read(tmp_path / "captions.jsonl")
    assert len(images) == len(captions) >= 1_391
    assert len({image.tobytes() for image in images}) > 0.99 * len(images)
    mean = {c["text"]: images[c["image"]].mean(axis=(0, 1)) for c in captions}
    red, green, blue = (mean[f"{colour} heart"] for colour in ("black", "green", "blue"))
    assert red.max() < 200
    assert green.argmax() == 1
    assert blue.argmax() == 2


@pytest.mark.slow
def test_real_wordnet(tmp_path, console):
    """Debian's WordNet has the number of synsets that its authors state, all with a definition."""
    try:
        wordnet.write_wordnet_pairs(tmp_path, package_of("wordnet-pairs"), console=console)
    except SourceError as problem:
        pytest.skip(f"offline or no Debian: {problem}")
    pairs = all_pairs(tmp_path)
    assert len({pair["id"].split("-")[0] for pair in pairs}) == 117_659
    assert all(pair["query"] and pair["positive"] for pair in pairs)
