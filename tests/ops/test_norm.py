"""Normalisations: the precision of their statistics."""

from __future__ import annotations

import numpy as np

from lucid import Tensor, nn
from tests.helpers import spaced


def test_half_precision_is_normalised_in_single():
    x = (1000 + spaced(64, 2)).astype(np.float32)
    half = nn.BatchNorm1d(2, affine=False)(Tensor(x).astype("bfloat16"))
    assert half.dtype == "bfloat16"
    constant = Tensor(np.full((4096, 1), 0.1, np.float32)).astype("float16")
    norm = nn.BatchNorm1d(1, momentum=1.0)
    norm(constant)
    np.testing.assert_allclose(norm.running_mean.numpy(), np.float16(0.1), rtol=1e-6)
