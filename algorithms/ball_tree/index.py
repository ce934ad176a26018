"""The ball tree: cells are balls, split across the direction of the largest variance (Omohundro 1989).

Its kernels are shared with the kd-tree: `algorithms.kernels.trees.balls` has what is the ball tree's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from algorithms.kernels.trees.index import TreeIndex
from algorithms.kernels.trees.tree import BALL, BALL_IP
from harness.data.metric import Metric


class BallTree(TreeIndex):
    """A ball tree with `leaf_size` rows a leaf, rounded up to whole vectors; exact, or with a budget of `max_leaves`.

    Under ip it searches for the greatest dot products by the bound of Ram and Gray (2012).
    """

    name = "ball_tree"
    kinds: ClassVar[Mapping[Metric, int]] = {Metric.EUCLIDEAN: BALL, Metric.ANGULAR: BALL, Metric.IP: BALL_IP}
