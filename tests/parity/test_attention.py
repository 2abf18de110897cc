"""Attention against PyTorch's: values, gradients and second derivatives in float64."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lucid import Tensor
from lucid.nn import functional as F
from tests.helpers import check_torch, spaced

torch = pytest.importorskip("torch")

SEEN = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 0, 1]], bool)


@pytest.mark.parametrize(
    "mask, options",
    [
        (None, {}),
        (None, {"is_causal": True}),
        (None, {"scale": 0.3}),
        (SEEN, {}),
        (spaced(3, 5), {}),
        (np.where(SEEN, 0.5, -np.inf), {}),
        (spaced(2, 1, 3, 5), {"scale": -1.0}),
        (None, {"enable_gqa": True}),
        (spaced(4, 3, 5), {"enable_gqa": True}),
        (None, {"enable_gqa": True, "is_causal": True}),
    ],
)
def test_scaled_dot_product_attention(mask, options):
    heads = 2 if "enable_gqa" in options else 4
    arrays = spaced(2, 4, 3, 6), spaced(2, heads, 5, 6, seed=1), spaced(2, heads, 5, 7, seed=2)
    with jax.enable_x64(True):
        ours = None if mask is None else Tensor(mask)
    theirs = None if mask is None else torch.tensor(mask)
    check_torch(
        lambda *xs: F.scaled_dot_product_attention(*xs, ours, **options),
        lambda *xs: torch.nn.functional.scaled_dot_product_attention(*xs, theirs, **options),
        *arrays,
        rtol=1e-9,
    )
