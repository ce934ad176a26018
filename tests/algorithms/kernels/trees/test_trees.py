"""Kernels of the trees against NumPy: vectors in registers, blocks, cells and their bounds, shape and build."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd import lanes
from algorithms.kernels.simd.lanes import LANES, lanes_below, load, maximum, root, spread, store
from algorithms.kernels.trees.balls import ball_bounds, ball_ip_bounds, enclose_in_ball, mean, principal_direction
from algorithms.kernels.trees.blocks import CHUNK, ROUNDING, SHORT, negative_dot_lanes, squared_l2_lanes
from algorithms.kernels.trees.boxes import box_bounds, enclose_in_box, widest_axis
from algorithms.kernels.trees.build import build, halves, shape_of
from algorithms.kernels.trees.tree import BALL, BALL_IP, BOX

DIMS = [1, 7, CHUNK, 65, SHORT + CHUNK + 3]
KINDS = [BOX, BALL, BALL_IP]


def draw(n, dim, seed=0, scale=1.0):
    """Draw read-only rows, the form in which every kernel gets them."""
    rows = (scale * np.random.default_rng(seed).standard_normal((n, dim))).astype(np.float32)
    rows.flags.writeable = False
    return rows


def block_of(rows):
    """Lay up to LANES rows side by side."""
    out = np.zeros((rows.shape[1], LANES), np.float32)
    out[:, : len(rows)] = rows.T
    return out.ravel()


@kernel
def distances_in_kernel(block, query, limit, out):
    """Store what `squared_l2_lanes` gives, which only compiled code can hold."""
    store(out, 0, squared_l2_lanes(block, query, limit))


@kernel
def dots_in_kernel(block, query, out):
    """Store what `negative_dot_lanes` gives."""
    store(out, 0, negative_dot_lanes(block, query))


@kernel
def every_operation(a, b, start, value, out):
    """Use each operation of `lanes` once, and return the mask."""
    left, right = load(a, start), load(b, start)
    total = spread(value)
    total += left * right
    total -= right
    store(out, 0, root(maximum(total + left, spread(np.float32(0.0)))) - left)
    return lanes_below(left, value)


@given(st.integers(0, 9), st.integers(0, 99), st.floats(-2, 2, width=32))
@settings(deadline=None, max_examples=40)
def test_lanes_equal_their_twins(start, seed, value):
    """Arithmetic on vectors in registers is that of NumPy on arrays, at any offset."""
    a, b = np.random.default_rng(seed).standard_normal((2, LANES + 9)).astype(np.float32)
    out = np.empty(LANES, np.float32)
    mask = every_operation(a, b, start, np.float32(value), out)
    left, right = lanes._load_twin(a, start), lanes._load_twin(b, start)
    total = operator.isub(lanes._spread_twin(np.float32(value)) + left * right, right)
    expected = lanes._root_twin(lanes._maximum_twin(total + left, lanes._spread_twin(0.0))) - left
    # Compiled code fuses a multiplication with an addition, and a root of nearly nothing shows the difference.
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=2e-3)
    assert mask == lanes._lanes_below_twin(left, value)


def test_lanes_below_with_infinity_and_nan():
    """A NaN is below nothing, and infinity not below itself."""
    values = np.zeros(LANES, np.float32)
    values[:4] = [np.nan, np.inf, -np.inf, 1.0]
    out = np.empty(LANES, np.float32)
    with np.errstate(invalid="ignore"):
        mask = every_operation(values, values, 0, np.float32(np.inf), out)
    assert mask == ((1 << LANES) - 1) & ~0b11 == lanes._lanes_below_twin(values, np.inf)


@pytest.mark.parametrize("dim", DIMS)
def test_distances_of_a_block(dim):
    """Each lane is the distance of its point, and the promised rounding error holds; so for dot products."""
    rows, query = draw(LANES, dim), draw(1, dim, seed=1)[0].copy()
    out, wide = np.empty(LANES, np.float32), rows.astype(np.float64)
    distances_in_kernel(block_of(rows), query, np.float32(np.inf), out)
    np.testing.assert_allclose(out, ((wide - query) ** 2).sum(1), rtol=float(ROUNDING) / 2)
    dots_in_kernel(block_of(rows), query, out)
    np.testing.assert_allclose(out, -wide @ query.astype(np.float64), atol=1e-5 * dim)


@pytest.mark.parametrize("dim", DIMS)
def test_a_block_that_is_given_up_is_not_below(dim):
    """With a limit that no point is below, no lane comes back below it."""
    rows, query = draw(LANES, dim), draw(1, dim, seed=1)[0] + np.float32(5.0)
    out = np.empty(LANES, np.float32)
    limit = np.float32(0.5 * ((rows.astype(np.float64) - query) ** 2).sum(1).min())
    distances_in_kernel(block_of(rows), query, limit, out)
    assert (out >= limit).all()


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_bounds_are_below_every_point(dim, scale):
    """No computed distance of a cell's point is less than the computed bound of the cell, far from the origin too."""
    rng = np.random.default_rng(dim)
    cells = [draw(9, dim, seed, scale) + np.float32(scale * seed) for seed in range(LANES)]
    order = np.arange(9, dtype=np.int32)
    low, high, centres = np.zeros((3, dim * LANES), np.float32)
    radii, reaches, bounds, ranks, out = np.zeros((5, LANES), np.float32)
    for lane, rows in enumerate(cells):
        rows.flags.writeable = False
        enclose_in_box(rows, order, lane, low, high)
        for inner_product, sizes in ((True, reaches), (False, radii)):
            enclose_in_ball(rows, order, inner_product, lane, centres, sizes)
        np.testing.assert_array_equal(low[lane::LANES], rows.min(0))
        np.testing.assert_array_equal(high[lane::LANES], rows.max(0))
        away = np.sqrt(((rows.astype(np.float64) - rows.mean(0, dtype=np.float64)) ** 2).sum(1)).max()
        assert radii[lane] == pytest.approx(away, rel=1e-3)
    for query in (cells[3][0].copy(), (scale * rng.standard_normal(dim) * 9).astype(np.float32)):
        norm, inf = np.float32(np.linalg.norm(query.astype(np.float64))), np.float32(np.inf)
        for kind in KINDS:
            if kind == BOX:
                mask = box_bounds(low, high, query, inf, bounds, ranks)
            elif kind == BALL:
                mask = ball_bounds(centres, radii, query, inf, bounds, ranks)
            else:
                mask = ball_ip_bounds(centres, reaches, query, norm, inf, bounds, ranks)
            assert mask == (1 << LANES) - 1
            assert (ranks >= bounds).all()
            for lane, rows in enumerate(cells):
                block = block_of(rows)
                if kind == BALL_IP:
                    dots_in_kernel(block, query, out)
                else:
                    distances_in_kernel(block, query, inf, out)
                assert bounds[lane] <= out[:9].min()


def test_box_bound_is_the_distance_to_the_box():
    """The bound is tight: it is the distance to the box itself, and 0 inside it."""
    rows, order = np.array([[0, 0], [2, 1]], np.float32), np.arange(2, dtype=np.int32)
    rows.flags.writeable = False
    low, high = np.zeros((2, 2 * LANES), np.float32)
    bounds, ranks = np.zeros((2, LANES), np.float32)
    enclose_in_box(rows, order, 0, low, high)
    for query, away in (([5, 5], 25.0), ([-3, 0.5], 9.0), ([1, 0.5], 0.0)):
        box_bounds(low, high, np.array(query, np.float32), np.float32(np.inf), bounds, ranks)
        assert bounds[0] == pytest.approx(away, rel=1e-4)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_widest_axis_and_principal_direction(offset):
    """Splits go across the axis, or the direction, of the most variance, wherever the data lie."""
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((200, 5)) * [1, 1, 4, 1, 1]).astype(np.float32)
    turned = rng.standard_normal((200, 1)) * [3, -3, 0, 0, 0] + rng.standard_normal((200, 5)) * 0.3
    order = np.arange(200, dtype=np.int32)
    for data in (rows := (rows + offset).astype(np.float32), turned := (turned + offset).astype(np.float32)):
        data.flags.writeable = False
    assert widest_axis(rows, order) == 2
    line = principal_direction(turned, order)
    assert abs(line @ [1, -1, 0, 0, 0]) / np.linalg.norm(line) / np.sqrt(2) > 0.99
    np.testing.assert_allclose(mean(rows, order, 1), rows.mean(0, dtype=np.float64), rtol=1e-6)


def test_constant_rows_have_some_direction():
    """Without any variance there is an axis and a direction all the same, and no NaN."""
    rows = np.full((40, 3), 7.5, np.float32)
    rows.flags.writeable = False
    order = np.arange(40, dtype=np.int32)
    assert widest_axis(rows, order) == 0
    assert np.isfinite(principal_direction(rows, order)).all()


@given(st.integers(0, 200_000), st.sampled_from([LANES, 2 * LANES, 8 * LANES]))
@settings(deadline=None, max_examples=60)
def test_shape_covers_every_row_once(n, leaf_size):
    """Leaves are full but for the last, children cover their parent, and no node has more than LANES."""
    shape = shape_of(n, leaf_size)
    inner = len(shape.first) - 1
    sizes = (shape.stops - shape.starts)[inner:]
    assert sizes.sum() == n
    assert (sizes[:-1] == leaf_size).all()
    assert len(shape.starts) == shape.first[-1]
    for node in range(inner):
        children = np.arange(shape.first[node], shape.first[node + 1])
        assert 1 <= len(children) <= LANES
        assert (shape.parents[children] == node).all()
        assert (shape.starts[children[0]], shape.stops[children[-1]]) == (shape.starts[node], shape.stops[node])
        assert (shape.stops[children[:-1]] == shape.starts[children[1:]]).all()
    low, middle, high = halves(shape.first, 0, 1)
    assert low < middle <= high
    assert (middle == high) == (inner == 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "dim"), [(0, 3), (1, 1), (LANES, 2), (LANES + 1, 7), (5000, 3)])
def test_a_tree_holds_every_row_in_its_cell(kind, n, dim):
    """The order is a permutation, the points are the rows in it, and both sides of every split are apart."""
    rows = draw(n, dim)
    tree = build(kind, rows, LANES, 1)
    np.testing.assert_array_equal(np.sort(tree.order), np.arange(n))
    held = tree.points.reshape(-1, dim, LANES).transpose(0, 2, 1).reshape(-1, dim)
    np.testing.assert_array_equal(held[:n], rows[tree.order])
    if kind == BOX and n > LANES:
        _, middle, _ = halves(tree.first, 0, 1)
        start = shape_of(n, LANES).starts[middle]
        axis = widest_axis(rows, np.arange(n, dtype=np.int32))
        assert rows[tree.order[:start], axis].max() <= rows[tree.order[start:], axis].min()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [40, 3000])
def test_a_tree_is_the_same_for_any_number_of_threads(kind, n):
    """Threads split different subtrees, and the arrays come out equal."""
    rows = draw(n, 6)
    one, three = build(kind, rows, LANES, 1), build(kind, rows, LANES, 3)
    for left, right in zip(one, three, strict=True):
        np.testing.assert_array_equal(left, right)
