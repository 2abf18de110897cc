"""Rows of a table, and classes as rows."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F


def test_max_norm_scales_the_rows_that_are_used():
    weight = nn.Parameter(np.array([[3.0, 4.0], [6.0, 8.0], [0.3, 0.4]]))
    rows = F.embedding(Tensor([1, 2]), weight, max_norm=5.0)
    np.testing.assert_allclose(rows.numpy(), [[3, 4], [0.3, 0.4]], rtol=1e-5)
    np.testing.assert_allclose(weight.numpy(), [[3, 4], [3, 4], [0.3, 0.4]], rtol=1e-5)
    with pytest.raises(TypeError, match="must be a Tensor, got ndarray"):
        F.embedding(Tensor([1]), np.ones((2, 2)), max_norm=1.0)


def test_one_hot_finds_the_number_of_classes():
    assert F.one_hot(Tensor([[0, 2]])).tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert F.one_hot(Tensor([1]), 2, "float32").dtype == "float32"
    with pytest.raises(lucid.JitError):
        lucid.jit(F.one_hot)(Tensor([1]))


def test_one_hot_refuses_numbers_of_classes():
    text = "one_hot: num_classes must be positive, or -1 for one more than the largest integer of"
    for ids, classes in (([1], 0), ([1], -2), (np.zeros((0, 2), int), -1)):
        with pytest.raises(ValueError, match=f"^{text} an input that is not empty, got {classes}"):
            F.one_hot(Tensor(ids), classes)
    with pytest.raises(TypeError, match=r"^one_hot: num_classes must be an integer, got 2\.5\.$"):
        F.one_hot(Tensor([1]), 2.5)
    assert F.one_hot(Tensor(np.zeros((0, 2), int)), 3).shape == (0, 2, 3)
