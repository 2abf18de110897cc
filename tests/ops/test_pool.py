"""Pools: what is special in their values."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F


def test_max_pool_passes_on_nan_and_infinity():
    x = Tensor(np.array([[1.0, np.nan, 2.0, -np.inf, -np.inf, -np.inf]], np.float32))
    np.testing.assert_array_equal(F.max_pool1d(x, 2).numpy(), [[np.nan, 2, -np.inf]])
    integers = F.max_pool1d(Tensor([[3, -5, 2, 7]]), 2, padding=1)
    assert integers.tolist() == [[3, 2, 7]]


@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
@pytest.mark.parametrize("size", [1, 2, 4, (None, 3)])
def test_adaptive_pools_of_no_samples_and_no_channels(pool, size):
    for shape in ((0, 4, 6, 6), (2, 0, 6, 6), (0, 6, 6)):
        height, width = pool(lucid.zeros(1, 6, 6), size).shape[1:]
        assert pool(lucid.zeros(shape), size).shape == (*shape[:-2], height, width)
