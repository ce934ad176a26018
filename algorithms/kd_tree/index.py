"""The kd-tree: cells are boxes, split at the median of the axis of the largest variance (Bentley 1975; Friedman 1977).

Its kernels are shared with the ball tree: `algorithms.kernels.trees.boxes` has what is the kd-tree's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from algorithms.kernels.trees.index import TreeIndex
from algorithms.kernels.trees.tree import BOX
from harness.data.metric import Metric


class KDTree(TreeIndex):
    """A kd-tree with `leaf_size` rows a leaf, rounded up to whole vectors; exact, or with a budget of `max_leaves`."""

    name = "kd_tree"
    kinds: ClassVar[Mapping[Metric, int]] = {Metric.EUCLIDEAN: BOX, Metric.ANGULAR: BOX}
