"""Folders of images with captions: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import DatasetError
from harness.embedding.formats.images import is_images, read_image_classes, read_image_text, read_images
from harness.embedding.formats.recognise import read_tasks

IMAGES = np.arange(5 * 2 * 2 * 1, dtype=np.uint8).reshape(5, 2, 2, 1)
LINES = [
    {"image": 4, "text": "a dog", "split": "train", "label": 1},
    {"image": 0, "text": "a cat", "split": "test", "label": 0},
    {"image": 1, "text": "a dog", "split": "test", "label": 1},
    {"image": 3, "text": "a dog", "split": "test", "label": 1},
    {"image": 3, "text": "a wet dog", "split": "test", "label": 1},
    {"image": 2, "text": "a cat", "split": "train", "label": 0},
]


def test_a_split_has_its_own_images_only(write_images, tmp_path):
    """Images are those of the split, and captions point to them by their new rows."""
    found = read_images(write_images(tmp_path, IMAGES, LINES), "test")
    assert np.array_equal(found.images, IMAGES[[0, 1, 3]])
    assert found.captions == ["a cat", "a dog", "a dog", "a wet dog"]
    assert found.image.tolist() == [0, 1, 2, 2]
    assert found.labels == ["0", "1", "1", "1"]


def test_equal_captions_are_one_with_several_images(write_images, tmp_path):
    """The task joins equal captions, and an image may have several; it is recognised by its files."""
    folder = write_images(tmp_path / "pets", IMAGES, LINES)
    assert is_images(folder)
    (task,) = read_tasks(folder)
    assert (task.name, task.captions) == ("pets", ["a cat", "a dog", "a wet dog"])
    assert task.pairs.tolist() == [[0, 0], [1, 1], [1, 2], [2, 2]]
    assert task.by_caption().judgements == {
        "caption-0": {"image-0": 1},
        "caption-1": {"image-1": 1, "image-2": 1},
        "caption-2": {"image-2": 1},
    }
    assert task.by_image().judgements == {
        "image-0": {"caption-0": 1},
        "image-1": {"caption-1": 1},
        "image-2": {"caption-1": 1, "caption-2": 1},
    }
    assert read_image_text(folder, "train").name == "pets/train"


def test_labels_make_a_classification(write_images, tmp_path):
    """Labels are told from images, learnt from train."""
    task = read_image_classes(write_images(tmp_path, IMAGES, LINES))
    # Each caption is an item: the rows are in the order of the file.
    assert (task.train_labels, task.test_labels) == (["1", "0"], ["0", "1", "1", "1"])
    assert np.array_equal(task.train, IMAGES[[4, 2]])
    assert np.array_equal(task.test, IMAGES[[0, 1, 3, 3]])
    bare = [{key: line[key] for key in ("image", "text", "split")} for line in LINES]
    with pytest.raises(DatasetError, match="no label, so there is nothing to classify"):
        read_image_classes(write_images(tmp_path, IMAGES, bare))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{**LINES[1], "image": 5}], r"captions.jsonl:1: image 5 is no row of images.npy, which has 5"),
        ([LINES[1], {**LINES[2], "image": "3"}], r"captions.jsonl:2: image '3' is no row"),
        ([{**LINES[1], "image": True}], "image True is no row"),
        ([LINES[0]], "no image of the split 'test'; there are: train"),
        ([LINES[1], {"image": 1, "text": "x", "split": "test"}], "1 of 2 lines have no label"),
    ],
)
def test_captions_that_do_not_fit_are_refused(write_images, tmp_path, lines, message):
    """Errors name the file, and the line where it is one."""
    with pytest.raises(DatasetError, match=message):
        read_images(write_images(tmp_path, IMAGES, lines), "test")


def test_arrays_that_are_no_images_are_refused(write_images, tmp_path):
    """Arrays of other types or axes, and files that hold none, are refused."""
    with pytest.raises(DatasetError, match=r"it is float32 \(5, 2, 2, 1\)"):
        read_images(write_images(tmp_path, IMAGES.astype(np.float32), LINES), "test")
    (tmp_path / "images.npy").write_bytes(b"no array")
    with pytest.raises(DatasetError, match=r"images.npy: can't be read as an array"):
        read_images(tmp_path, "test")
