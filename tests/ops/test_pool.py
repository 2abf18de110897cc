"""Pools: what is special in their values."""

from __future__ import annotations

import numpy as np

from lucid import Tensor
from lucid.nn import functional as F


def test_max_pool_passes_on_nan_and_infinity():
    x = Tensor(np.array([[1.0, np.nan, 2.0, -np.inf, -np.inf, -np.inf]], np.float32))
    np.testing.assert_array_equal(F.max_pool1d(x, 2).numpy(), [[np.nan, 2, -np.inf]])
    integers = F.max_pool1d(Tensor([[3, -5, 2, 7]]), 2, padding=1)
    assert integers.tolist() == [[3, 2, 7]]
