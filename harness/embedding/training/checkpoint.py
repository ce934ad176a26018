"""Where a run stands: all that going on from there depends on, in one file that is only ever whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from harness.core.atomic import reason, replacing
from harness.core.errors import StoreError
from harness.embedding.curve import Step
from harness.embedding.training.dual_encoder import DualEncoder


@dataclass
class Progress:
    """How far a run has come: `epoch` and `batch` are the next to be trained, `step` counts batches so far.

    `history` has an entry an evaluation, `steps` one a step: all of them, but where an older checkpoint has none.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float = float("-inf")
    best_step: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


def save_checkpoint(
    path: Path,
    key: str,
    progress: Progress,
    model: DualEncoder,
    optimiser: torch.optim.Optimizer,
    scalars: Mapping[str, Tensor],
    negatives: NDArray[np.int64] | None,
) -> None:
    """Write a checkpoint whole. `key` is the hash of recipe and data that the run belongs to."""
    content = {
        "key": key,
        "progress": {**vars(progress), "steps": [tuple(step) for step in progress.steps]},
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "scalars": {name: scalar.detach() for name, scalar in scalars.items()},
        "generator": torch.get_rng_state(),
        "negatives": None if negatives is None else torch.from_numpy(negatives),
    }
    with kept_whole(path), replacing(path) as temporary:
        torch.save(content, temporary)


@contextlib.contextmanager
def kept_whole(path: Path) -> Iterator[None]:
    """Say in one line that something of a run could not be written, and that the run goes on from its checkpoint."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as refused:  # torch turns a full disk into a RuntimeError
        raise StoreError(
            f"{path}: could not be written ({reason(refused)}); what was there before is whole. Free disk space, then "
            "give the same command again: it goes on from the last checkpoint"
        ) from None


def load_checkpoint(
    path: Path,
    key: str,
    model: DualEncoder,
    optimiser: torch.optim.Optimizer,
    scalars: Mapping[str, Tensor],
) -> tuple[Progress, NDArray[np.int64] | None] | None:
    """Bring a run to where its checkpoint stands; None where there is none, or it is of other recipe or data.

    Returns the progress, and the negatives in use. Raises StoreError for a file that can't be read.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["key"] != key:
            return None
        model.load_state_dict(content["model"])
        optimiser.load_state_dict(content["optimiser"])
        with torch.no_grad():
            for name, scalar in scalars.items():
                scalar.copy_(content["scalars"][name])
        torch.set_rng_state(content["generator"])
        negatives = content["negatives"]
        progress = Progress(**content["progress"])
        progress.steps = [Step(*step) for step in progress.steps]
    except Exception as problem:  # noqa: BLE001 - what a damaged file makes torch raise depends on which byte is damaged
        raise StoreError(f"{path}: the checkpoint can't be read ({reason(problem)}); delete it to begin anew") from None
    return progress, None if negatives is None else negatives.numpy()
