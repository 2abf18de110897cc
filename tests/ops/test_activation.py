"""Activations: values, derivatives and corners."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
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


WITH_ARGUMENTS = {
    "Hardtanh(min_val=-0.5, max_val=1.5)": nn.Hardtanh(-0.5, 1.5),
    "LeakyReLU(negative_slope=0.2)": nn.LeakyReLU(0.2),
    "ELU(alpha=2.0)": nn.ELU(2.0),
    "GELU(approximate='tanh')": nn.GELU("tanh"),
    "Softplus(beta=2.0, threshold=20.0)": nn.Softplus(2.0),
    "Softmax(axis=0)": nn.Softmax(0),
    "LogSoftmax(axis=1)": nn.LogSoftmax(1),
    "PReLU(num_parameters=1)": nn.PReLU(),
    "Swish()": nn.Swish(),
}


@pytest.mark.parametrize("text", WITH_ARGUMENTS)
def test_the_arguments_of_a_layer_are_shown(text):
    assert repr(WITH_ARGUMENTS[text]) == text


def test_a_changed_argument_of_a_layer_counts():
    layer, x = nn.LeakyReLU(), Tensor([-1.0, 2.0])
    compiled = lucid.jit(layer)
    for slope in (0.5, 0.25):
        layer.negative_slope = slope
        assert layer(x).tolist() == compiled(x).tolist() == [-slope, 2]
    assert repr(layer) == "LeakyReLU(negative_slope=0.25)"


def test_a_layer_of_ones_own_over_another():
    class Steep(nn.LeakyReLU):
        def __init__(self, tenths):
            super().__init__(tenths / 10)

    assert Steep(5)(Tensor([-1.0])).tolist() == [-0.5]
