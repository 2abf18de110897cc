"""Activations: values, derivatives and corners."""

from __future__ import annotations

import numpy as np
import pytest

from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import HAS_TORCH, check_op, spaced

if HAS_TORCH:
    import torch
else:
    torch = None

X = spaced(3, 4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "relu": (F.relu, nn.ReLU, lambda x: np.maximum(x, 0), "relu"),
    "sigmoid": (F.sigmoid, nn.Sigmoid, sigmoid, "sigmoid"),
    "tanh": (F.tanh, nn.Tanh, np.tanh, "tanh"),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    function, layer, reference, torch_name = ACTIVATIONS[name]
    torch_fn = torch and getattr(torch, torch_name)
    check_op(function, reference, X, torch_fn=torch_fn)
    check_op(layer(), reference, X, torch_fn=torch_fn)


def test_activations_at_corners():
    x = Tensor([0.0, -0.0, -1e4, 1e4], requires_grad=True)
    F.relu(x).backward()
    assert x.grad.tolist() == [0, 0, 0, 1]
    y = F.sigmoid(x)
    assert y.tolist() == [0.5, 0.5, 0, 1]
    x.zero_grad()
    y.backward()
    assert x.grad.tolist() == [0.25, 0.25, 0, 0]
