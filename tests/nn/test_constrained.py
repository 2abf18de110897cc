"""Convolutions under a constraint, against NumPy in float64."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import Tensor, nn
from tests.helpers import leaf, spaced

LAYERS = {1: nn.ConstrainedConv1d, 2: nn.ConstrainedConv2d, 3: nn.ConstrainedConv3d}
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
EPS = 1e-12


def middle(sizes):
    at = np.zeros(sizes)
    at[tuple(n // 2 for n in sizes)] = 1
    return at


def total(w, rank):
    return w.sum(axis=tuple(range(-rank, 0)), keepdims=True)


def ring(w, rank, to, center):
    at = middle(w.shape[-rank:])
    around = w * (1 - at)
    return around / (total(around, rank) + EPS) * to + at * center


CONSTRAINTS = {  # by name: arguments, and the kernels by NumPy
    "none": ({}, lambda w, d: w),
    "nonneg": ({}, lambda w, d: np.maximum(w, 0)),
    "sum_to_one": ({}, lambda w, d: w / (total(w, d) + EPS)),
    "zero_mean": ({}, lambda w, d: w - w.mean(axis=tuple(range(-d, 0)), keepdims=True)),
    "nonneg_sum1": ({}, lambda w, d: np.maximum(w, 0) / (total(np.maximum(w, 0), d) + EPS)),
    "unit_l2": ({}, lambda w, d: w / np.sqrt(total(w * w, d) + EPS)),
    "max_l2": ({"max_l2": 1.5},
               lambda w, d: w * np.minimum(1.5 / np.sqrt(total(w * w, d) + EPS), 1)),
    "fixed_center": ({"center_value": -2.0, "neighbor_sum": 3.0},
                     lambda w, d: ring(w, d, 3.0, -2.0)),
}  # fmt: skip


def made(rank, name, **more):
    layer = LAYERS[rank](4, 6, 3, stride=2, padding=1, groups=2, constraint=name,
                         **CONSTRAINTS[name][0], **more)  # fmt: skip
    layer.weight.data = spaced(*layer.weight.shape, seed=3)
    return layer


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("rank", LAYERS)
def test_it_convolves_with_the_constrained_weight(rank, name):
    with jax.enable_x64(True):
        layer = made(rank, name)
        x = Tensor(spaced(2, 4, *(5, 6, 7)[:rank]))
        weight = Tensor(CONSTRAINTS[name][1](layer.weight.numpy(), rank))
        expected = CONV[rank](x, weight, layer.bias, 2, 1, 1, 2).numpy()
        np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(lucid.jit(layer)(x).numpy(), expected, rtol=1e-10, atol=1e-12)
        before = layer.weight
        assert layer.project_() is layer
        assert layer.weight is before and before.requires_grad and before.is_leaf
        np.testing.assert_allclose(before.numpy(), weight.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_gradients_flow_through_the_constraint(name):
    with jax.enable_x64(True):
        layer, x = made(1, name), leaf(2, 4, 6)
        weights = spaced(2, 6, 3, seed=5)
        (layer(x) * weights).sum().backward()

        def loss(w):
            kernels = Tensor(CONSTRAINTS[name][1](w, 1))
            return (F.conv1d(x, kernels, layer.bias, 2, 1, 1, 2) * weights).sum().item()

        w, step = layer.weight.numpy(), 1e-6
        numeric = np.zeros_like(w)
        for at in np.ndindex(w.shape):
            shift = np.zeros_like(w)
            shift[at] = step
            numeric[at] = (loss(w + shift) - loss(w - shift)) / (2 * step)
        np.testing.assert_allclose(layer.weight.grad.numpy(), numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_post_step_leaves_the_weight_to_project(name):
    layer, x = made(2, name, enforce="post_step"), leaf(1, 4, 5, 5)
    assert (layer(x) == F.conv2d(x, layer.weight, layer.bias, 2, 1, 1, 2)).all()
    optimizer = lucid.optim.SGD(layer.parameters(), lr=0.1)

    @lucid.jit
    def train():
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()
        layer.project_()

    for _ in range(2):
        train()
    again = CONSTRAINTS[name][1](layer.weight.numpy().astype(float), 2)
    np.testing.assert_allclose(layer.weight.numpy(), again, rtol=1e-4, atol=1e-5)


def test_half_precision_keeps_eps():
    layer = nn.ConstrainedConv2d(1, 1, 3, constraint="unit_l2").to("float16")
    layer.weight.zero()
    assert layer(lucid.ones(1, 1, 3, 3, dtype="float16")).dtype == np.float16
    assert layer.project_().weight.numpy().any() == False  # noqa: E712  zeros, no NaN


def test_repr():
    layer = nn.ConstrainedConv1d(1, 1, 3, constraint="max_l2", max_l2=2.0, bias=False)
    assert repr(layer) == (
        "ConstrainedConv1d(1, 1, kernel_size=(3,), bias=False, constraint='max_l2', "
        "enforce='forward', max_l2=2.0)"
    )
    assert repr(nn.ConstrainedConv1d(1, 1, 3, constraint="fixed_center")).endswith(
        "enforce='forward', center_value=-1.0, neighbor_sum=1.0)"
    )


@pytest.mark.parametrize("arguments, text", [
    ({"constraint": "odd"}, "ConstrainedConv2d: constraint is one of none, nonneg, sum_to_one, "
     "zero_mean, nonneg_sum1, unit_l2, max_l2, fixed_center, got 'odd'."),
    ({"enforce": "never"},
     "ConstrainedConv2d: enforce is one of forward, post_step, got 'never'."),
    ({"constraint": "max_l2"}, "ConstrainedConv2d: max_l2 must be above 0, got None."),
    ({"constraint": "max_l2", "max_l2": 0.0},
     "ConstrainedConv2d: max_l2 must be above 0, got 0.0."),
    ({"constraint": "fixed_center", "kernel_size": (3, 2)},
     "ConstrainedConv2d: fixed_center needs odd kernel sizes, got (3, 2)."),
])  # fmt: skip
def test_errors(arguments, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        nn.ConstrainedConv2d(1, 1, **{"kernel_size": 3, **arguments})
