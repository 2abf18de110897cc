"""Losses of classes."""

from __future__ import annotations

import numpy as np

import lucid
from lucid import Tensor
from lucid.nn import functional as F


def test_a_class_that_does_not_exist_gives_nan():
    logits = Tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    for bad in (3, -1):
        assert np.isnan(F.cross_entropy(logits, Tensor([0, bad])).item())
        rows = F.embedding(Tensor([0, bad]), lucid.ones(3, 2)).numpy()
        np.testing.assert_array_equal(np.isnan(rows), [[False] * 2, [True] * 2])
