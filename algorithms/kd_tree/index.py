"""The kd-tree: cells are boxes, each split at the median of its widest side (Bentley 1975; Friedman et al. 1977).

Its kernels are shared with the ball tree: `algorithms.kernels.boxes` has what is the kd-tree's own.
"""

from __future__ import annotations

from algorithms.kernels.tree import BOX
from algorithms.kernels.tree_index import TreeIndex
from harness.metric import Metric


class KDTree(TreeIndex):
    """A kd-tree with `leaf_size` rows a leaf, rounded up to whole vectors; exact, or with a budget of `max_leaves`."""

    name = "kd_tree"
    kinds = {Metric.EUCLIDEAN: BOX, Metric.ANGULAR: BOX}  # noqa: RUF012 - a constant, declared so in the base
