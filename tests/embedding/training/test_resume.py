"""A run that is interrupted and gone on with ends in the same weights, bit for bit, as one that isn't."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import toy

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.core.errors import ConfigError, StoreError  # noqa: E402
from harness.embedding.curve import CURVE  # noqa: E402
from harness.embedding.training import checkpoint  # noqa: E402

BERT = {"kind": "transformer", "checkpoint": "toy-bert"}  # its layers have dropout
SHORT = {"epochs": 2, "batch": 30, "rate": 0.003}  # 5 steps an epoch
MINED = {"kind": "mined", "window": [1, 20], "count": 2, "algorithm": "brute_force"}

CASES: dict[str, dict[str, Any]] = {
    "a bag, a learnt temperature": {
        "loss": {"name": "info_nce", "learn": ["temperature"]},
        "optimiser": {"epochs": 2, "batch": 30},
    },
    "dropout, learnt scale and bias": {
        "tower": BERT,
        "loss": {"name": "siglip", "learn": ["log_scale", "bias"]},
        "optimiser": SHORT,
    },
    "dropout by chunks, two towers": {"tower": BERT, "asymmetric": True, "optimiser": {**SHORT, "chunk": 7}},
    "mined negatives": {"tower": BERT, "negatives": MINED, "optimiser": SHORT},
    "negatives kept over epochs": {
        "negatives": {**MINED, "refresh": 2},
        "optimiser": {"epochs": 3, "batch": 30},
    },
    "LoRA with dropout": {
        "tower": {**BERT, "projection": 8},
        "adapt": {"kind": "lora", "rank": 2, "dropout": 0.1},
        "optimiser": SHORT,
    },
    "labels, P x K": {
        "data": {"train": "labelled", "dev": "toy"},
        "loss": {"name": "batch_all"},
        "optimiser": {"epochs": 2, "batch": 12, "labels_a_batch": 3},
    },
}


class Stop:
    """A listener that interrupts at the n-th event of a kind."""

    def __init__(self, event: str, number: int) -> None:
        self.event, self.left = event, number

    def __call__(self, event: str, _content: dict[str, Any]) -> None:
        self.left -= event == self.event
        if self.left == 0:
            raise KeyboardInterrupt


def interrupt(world: Any, recipe: Any, *stops: Stop) -> None:
    """Begin, or go on, and be interrupted, once for each stop."""
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            world.train(recipe, stop)


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_run_ends_in_the_same_weights(worlds: Any, name: str) -> None:
    """Before the first checkpoint, within an epoch, between epochs, and where negatives are drawn: nothing is lost."""
    recipe = toy.recipe(**CASES[name], save_every=2, seed=3)
    straight, broken = worlds("straight"), worlds("broken")
    whole = straight.train(recipe)
    interrupt(broken, recipe, Stop("step", 1), Stop("step", 5), Stop("dev", 1), Stop("step", 4))
    resumed = broken.train(recipe)
    assert toy.same_weights(whole, resumed)
    first, second = (json.loads((folder / "dual_encoder.json").read_text()) for folder in (whole, resumed))
    assert {**first, "minutes": 0} == {**second, "minutes": 0}
    assert (whole / CURVE).read_text() == (resumed / CURVE).read_text()
    done = [content["done"] for content in broken.said("start")]
    assert done[:3] == [0, 0, 4]
    assert done == sorted(done)
    assert done[-1] > 4
    assert not (broken.results / "models" / ".toy-model.run").exists()


@pytest.mark.parametrize("name", ["a bag, a learnt temperature", "mined negatives", "negatives kept over epochs"])
def test_a_run_goes_on_between_epochs(worlds: Any, name: str) -> None:
    """With a checkpoint after each epoch, the usual one, later negatives are those of a run without stops, too."""
    recipe = toy.recipe(**CASES[name])
    straight, broken = worlds("straight"), worlds("broken")
    whole = straight.train(recipe)
    stops = [Stop("step", 3), Stop("step", 6)]
    if "negatives" in CASES[name]:
        stops.append(Stop("negatives", 1))
    if recipe.negatives.refresh == 1:
        stops.append(Stop("step", 2))
    interrupt(broken, recipe, *stops)
    assert toy.same_weights(whole, broken.train(recipe))
    assert [content["done"] for content in broken.said("start")][:3] == [0, 0, 5]


def test_a_teachers_scores_come_back_with_the_checkpoint(worlds: Any, materials: Path) -> None:
    """Scores of a cross-encoder depend on what they are padded with; a run that goes on reads them, exactly."""
    if not (materials / "cross").exists():
        toy.save_bert(materials / "cross", head="AutoModelForSequenceClassification", num_labels=1)
    recipe = toy.recipe(
        loss={"name": "margin_mse"},
        teacher={"model": "cross", "cross": True},
        negatives={"kind": "random", "count": 2},
        optimiser={"epochs": 2, "batch": 30},
        save_every=2,
    )
    straight, broken = worlds("straight"), worlds("broken")
    whole = straight.train(recipe)
    interrupt(broken, recipe, Stop("step", 3), Stop("step", 2))
    assert toy.same_weights(whole, broken.train(recipe))


def test_other_weights_than_from_another_seed(worlds: Any) -> None:
    """The comparison would see a difference: another seed gives other weights."""
    one, other = (worlds(str(seed)).train(toy.recipe(seed=seed, optimiser={"epochs": 1})) for seed in (1, 2))
    assert not toy.same_weights(one, other)


CHILD = """
import os, signal, sys
from pathlib import Path
from harness.embedding.training.recipe import read_recipe
from harness.embedding.training.session import train_recipe

def listen(event, content):
    if event == "step" and content["step"] == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

train_recipe(read_recipe(Path(sys.argv[1])), data=Path("."), results=Path(sys.argv[2]), listener=listen)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_run_that_was_killed_goes_on(worlds: Any, tmp_path: Path) -> None:
    """A process that is killed leaves its last checkpoint, and no lock that would keep the next one out."""
    recipe = toy.recipe(tower=BERT, optimiser=SHORT, save_every=2)
    path = tmp_path / "toy-model.yml"
    path.write_text(json.dumps(recipe.model_dump(mode="json")))
    killed, straight = worlds("killed"), worlds("straight")
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(killed.results), "9"],
        env={**os.environ, **threads, "PYTHONPATH": str(Path(__file__).parents[3])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    resumed = killed.train(recipe)
    assert killed.said("start")[0]["done"] == 8
    assert toy.same_weights(resumed, straight.train(recipe))


def test_a_checkpoint_of_another_recipe_is_not_used(worlds: Any) -> None:
    """One that differs in the rate, or in the data, begins anew; what only tells of it doesn't."""
    world = worlds("world")
    recipe = toy.recipe(save_every=2)
    interrupt(world, recipe, Stop("step", 4))
    told = recipe.model_copy(update={"about": "another word for it"})
    interrupt(world, told, Stop("step", 1))
    interrupt(world, toy.recipe(save_every=2, optimiser={"rate": 0.01}), Stop("step", 1))
    interrupt(world, toy.recipe(save_every=2, data={"examples": 100}), Stop("step", 1))
    assert [content["done"] for content in world.said("start")] == [0, 2, 0, 0]


def test_a_finished_run_is_left_as_it_is(world: Any) -> None:
    """The same recipe again trains nothing, unless it is forced to; another one of that name replaces the model."""
    folder = world.train(toy.recipe(optimiser={"epochs": 1}))
    before = (folder / "dual_encoder.json").stat().st_mtime_ns
    assert world.train(toy.recipe(optimiser={"epochs": 1})) == folder
    assert (folder / "dual_encoder.json").stat().st_mtime_ns == before
    assert len(world.said("known")) == 1
    world.train(toy.recipe(optimiser={"epochs": 1}), force=True)
    world.train(toy.recipe(optimiser={"epochs": 2}))
    assert len(world.said("done")) == 3
    assert [path.name for path in (world.results / "models").iterdir()] == ["toy-model"]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "another program's"])
def test_a_damaged_checkpoint_is_told_in_one_line(world: Any, damage: str) -> None:
    """The message names the file and says that deleting it begins anew, which it does."""
    recipe = toy.recipe(save_every=2)
    interrupt(world, recipe, Stop("step", 3))
    path = world.results / "models" / ".toy-model.run" / "checkpoint.pt"
    whole = path.read_bytes()
    half = len(whole) // 2
    content = {"cut": whole[:half], "changed": whole[:200] + b"\0" * 200 + whole[400:], "empty": b""}
    if damage in content:
        path.write_bytes(content[damage])
    else:
        torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(StoreError, match=r"checkpoint\.pt: the checkpoint can't be read .*delete it") as told:
        world.train(recipe)
    assert "\n" not in str(told.value)
    path.unlink()
    assert world.train(recipe).is_dir()


def test_two_processes_do_not_train_one_model(world: Any) -> None:
    """While a recipe is trained, a second one of its name is refused."""

    def again(event: str, _content: dict[str, Any]) -> None:
        if event == "start":
            with pytest.raises(ConfigError, match="toy-model is being trained by another process"):
                world.train(toy.recipe())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.train(toy.recipe(), again)


@pytest.mark.parametrize("what", ["checkpoint", "best"])
def test_a_full_disk_leaves_what_was_there(world: Any, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Where the disk takes no more, one line says so, and the checkpoint and the model before are whole."""
    recipe = toy.recipe(save_every=2)
    interrupt(world, recipe, Stop("step", 3))
    work = world.results / "models" / ".toy-model.run"
    before = (work / "checkpoint.pt").read_bytes()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        if what == "checkpoint":
            full.setattr(checkpoint.torch, "save", refuse)
        else:
            full.setattr("harness.embedding.training.loop.save_dual_encoder", refuse)
        with pytest.raises(StoreError, match=r"could not be written \(No space left on device\).*the same command"):
            world.train(recipe)
    assert (what == "best") or (work / "checkpoint.pt").read_bytes() == before
    assert not (work / "best").exists()
    assert not list(work.glob(".*.tmp"))
    assert world.train(recipe).is_dir()
    assert world.said("start")[-1]["done"] >= 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root mounts a small file system")
def test_a_disk_that_is_really_full(materials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that holds one checkpoint but not two, the first one stays whole."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.decode().strip()}")
    monkeypatch.chdir(materials)
    world = toy.World(tmp_path, materials)
    world.results = small
    # Weights, and AdamW's two averages: some 170 KB.
    recipe = toy.recipe(
        data={"dev": None}, tower={"kind": "static", "tokenizer": "toy-static", "dimension": 160}, save_every=2
    )
    try:
        with pytest.raises(StoreError, match="could not be written"):
            world.train(recipe)
        path = small / "models" / ".toy-model.run" / "checkpoint.pt"
        assert torch.load(path, weights_only=True)["progress"]["step"] == 2
        assert not list(path.parent.glob(".*.tmp"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
