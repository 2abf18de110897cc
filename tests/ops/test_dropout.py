"""Dropouts: what they keep, how often, and where their numbers come from."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F


def within_five_sigma(count: float, n: int, p: float) -> bool:
    return abs(count - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_dropout_zeros_a_share_and_scales_the_rest():
    lucid.random.seed(0)
    y = F.dropout(lucid.ones(20000), 0.3).numpy()
    assert within_five_sigma((y == 0).sum(), y.size, 0.3)
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_channels_drop_as_a_whole(rank):
    lucid.random.seed(0)
    layer = getattr(nn, f"Dropout{rank}d")(0.4)
    for lead in ((20, 100), (2000,)):
        y = layer(lucid.ones((*lead, *(2, 3, 2)[:rank]))).numpy().reshape(2000, -1)
        dropped = (y == 0).all(1)
        assert ((y != 0).all(1) | dropped).all()
        assert within_five_sigma(dropped.sum(), 2000, 0.4)


def test_drop_path_drops_samples():
    lucid.random.seed(0)
    for scale in (True, False):
        y = nn.DropPath(0.25, scale)(lucid.ones(2000, 3)).numpy()
        dropped = (y == 0).all(1)
        assert within_five_sigma(dropped.sum(), 2000, 0.25)
        np.testing.assert_allclose(y[~dropped], 1 / 0.75 if scale else 1.0, rtol=1e-6)


def test_drop_block_zeros_squares():
    lucid.random.seed(0)
    y = nn.DropBlock(3, 0.1)(lucid.ones(8, 4, 20, 20)).numpy()
    zero = y == 0
    assert 0.05 < zero.mean() < 0.15
    np.testing.assert_allclose(y.mean(), 1, rtol=1e-5)
    # Every zero lies in a square of zeros.
    square = np.lib.stride_tricks.sliding_window_view(zero, (3, 3), (2, 3)).all((4, 5))
    covered = np.zeros_like(zero)
    for i in range(3):
        for j in range(3):
            covered[:, :, i : i + 18, j : j + 18] |= square
    np.testing.assert_array_equal(covered, zero)


def test_alpha_dropout_keeps_mean_and_variance():
    lucid.random.seed(0)
    y = nn.AlphaDropout(0.3)(lucid.randn(50000)).numpy()
    assert abs(y.mean()) < 0.03
    assert abs(y.var() - 1) < 0.03


def test_the_gradient_sees_the_same_mask():
    x = Tensor(np.full(100, 3.0, np.float32), requires_grad=True)
    y = F.dropout(x, 0.5)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy() * 3, y.numpy())
