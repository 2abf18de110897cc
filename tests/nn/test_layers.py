"""Linear, activations, losses and the layers that only rearrange."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import HAS_TORCH, check_op, count_compiles, spaced

if HAS_TORCH:
    import torch
    import torch.nn.functional as TF
else:
    torch = TF = None

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


@pytest.mark.parametrize("reduction", ["mean", "sum", None, "none"])
def test_mse_loss(reduction):
    def reference(x, y):
        values = (x - y) ** 2
        return {"mean": values.mean(), "sum": values.sum()}.get(reduction, values)

    torch_fn = torch and (lambda x, y: TF.mse_loss(x, y, reduction=reduction or "none"))
    check_op(nn.MSELoss(reduction), reference, X, spaced(3, 4, seed=1), torch_fn=torch_fn)


def test_mse_loss_refuses():
    text = "mse_loss: input and target must have one shape, got (3, 4) and (4,)."
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        F.mse_loss(Tensor(X), lucid.zeros(4))
    with pytest.raises(
        ValueError, match=r'^mse_loss: reduction must be "mean", "sum" or None, got'
    ):
        F.mse_loss(Tensor(X), Tensor(X), "avg")


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


def test_functional_of_arrays_is_plain_jax():
    x, w = jnp.asarray(X, jnp.float32), jnp.ones((2, 4))
    assert isinstance(F.linear(x, w), jax.Array)
    dx = jax.grad(lambda x: F.mse_loss(F.tanh(F.linear(x, w)), jnp.zeros((3, 2))))(x)
    assert dx.shape == x.shape
    rows = jax.vmap(lambda row: F.relu(row))(x)
    np.testing.assert_array_equal(jax.jit(F.relu)(x), rows)


def test_a_layer_met_again_compiles_nothing():
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2), nn.Sigmoid())
    target = Tensor(spaced(3, 2))

    def step():
        net.zero_grad()
        F.mse_loss(net(Tensor(X)), target).backward()

    step()
    with count_compiles(expect=0):
        step()
