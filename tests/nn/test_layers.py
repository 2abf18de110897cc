"""Linear and the layers that only rearrange."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import count_compiles, spaced

X = spaced(3, 4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_linear(shape, bias):
    layer = nn.Linear(4, 2, bias=bias)
    x = Tensor(spaced(*shape))
    expected = x.numpy() @ layer.weight.numpy().T
    if bias:
        expected += layer.bias.numpy()
    assert layer(x).shape == (*shape[:-1], 2)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert [tuple(p.shape) for p in layer.parameters()] == [(2, 4), (2,)][: 1 + bias]
    assert (layer.bias is None) == (not bias)


LINEAR_ERRORS = {
    "zero": ((0, 3), ValueError, "Linear: in_features must be at least 1, got 0."),
    "negative": ((3, -2), ValueError, "Linear: out_features must be at least 1, got -2."),
    "float": ((3.0, 2), TypeError, "Linear: in_features must be an integer, got 3.0."),
}


@pytest.mark.parametrize("case", LINEAR_ERRORS.values(), ids=LINEAR_ERRORS)
def test_linear_refuses(case):
    arguments, error, text = case
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        nn.Linear(*arguments)


def test_linear_refuses_an_input_and_stays():
    layer = nn.Linear(4, 2)
    before = layer.weight.numpy()
    text = "got input (3, 5) and weight (2, 4)."
    with pytest.raises(ValueError, match=re.escape(text)):
        layer(lucid.zeros(3, 5))
    np.testing.assert_array_equal(layer.weight.numpy(), before)
    assert layer(lucid.zeros(3, 4)).shape == (3, 2)


def test_flatten_and_identity():
    x = lucid.zeros(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Flatten(end_axis=-2)(x).shape == (2, 12, 5)
    assert nn.Identity(1, anything="goes")(x) is x


def test_a_layer_met_again_compiles_nothing():
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2), nn.Sigmoid())
    target = Tensor(spaced(3, 2))

    def step():
        net.zero_grad()
        F.mse_loss(net(Tensor(X)), target).backward()

    step()
    with count_compiles(expect=0):
        step()
