"""Losses of classes."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F


def test_an_impossible_class_costs_nothing_without_smoothing():
    logits = Tensor([[0.0, -np.inf, 0.0]], requires_grad=True)
    loss = F.cross_entropy(logits, Tensor([0]))
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(logits.grad.numpy(), [[-0.5, 0, 0.5]], atol=1e-6)


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, np.float32(2)])
def test_label_smoothing_out_of_range(smoothing):
    text = f"cross_entropy: label_smoothing must be from 0 to 1, got {smoothing}."
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        F.cross_entropy(lucid.zeros(1, 3), Tensor([0]), label_smoothing=smoothing)
