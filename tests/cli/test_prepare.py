"""`annbench prepare` and what other verbs say of data: the advised command works, and wrong truth isn't measured."""

from __future__ import annotations

import re
import shlex

import h5py
import numpy as np

SMALL = ("-a", "brute_force", "--dry-run")


def advised(message):
    """Return the arguments of the command that a message ends with."""
    command = re.search(r"annbench (prepare .*)$", message.strip())
    assert command is not None, message
    return shlex.split(command[1])


def test_more_neighbours_than_there_are(annbench, tmp_path):
    """Where k is beyond the true neighbours of the user's own data, the command in the message gets more."""
    np.save(tmp_path / "own.npy", np.random.default_rng(0).random((300, 4)))
    assert annbench("prepare", "own.npy", "--metric", "ip", "--name", "own", "--neighbors", "20")[0] == 0
    status, _, err = annbench("run", "-d", "own", "-k", "30", *SMALL)
    assert status == 2
    assert annbench(*advised(err))[0] == 0
    assert annbench("run", "-d", "own", "-k", "30", *SMALL)[0] == 0
    assert annbench("prepare", "own", "--neighbors", "40", "--force")[0] == 0
    assert annbench("run", "-d", "own", "-k", "40", *SMALL)[0] == 0
    status, _, err = annbench("run", "-d", "own", "-k", "300", *SMALL)
    assert status == 2
    assert advised(err)[1:] == ["own", "--neighbors", "300"]
    assert annbench(*advised(err))[0] == 0
    assert "or: annbench" not in annbench("run", "-d", "own", "-k", "300", *SMALL)[2]


def test_wrong_truth_is_not_measured(annbench, tmp_path):
    """`run` and `compare` refuse a file whose rows were permuted, in one line whose command mends it."""
    assert annbench("prepare", "synthetic-uniform-300-4-ip")[0] == 0
    path = tmp_path / "datasets" / "mine.hdf5"
    (tmp_path / "datasets" / "synthetic-uniform-300-4-ip.hdf5").rename(path)
    with h5py.File(path, "r+") as file:
        file["train"][:] = file["train"][:][::-1]
    for verb in (("run", "-d", "mine", *SMALL), ("compare", "brute_force", "brute_force", "-d", "mine")):
        status, _, err = annbench(*verb)
        assert status == 2
        assert "in another order" in err
        assert "Traceback" not in err
    assert annbench(*advised(err))[0] == 0
    assert annbench("run", "-d", "mine", *SMALL)[0] == 0
