"""Activations by name, and functions applied part by part."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn
from lucid.nn.utils import (
    apply_chunking_to_forward,
    get_activation_from_name,
    get_activation_module_from_name,
)
from tests.helpers import leaf


def test_activations_by_name():
    for name in ("relu", "gelu", "silu", "tanh", "leaky_relu", "softmax", "hard_swish"):
        assert get_activation_from_name(name) is getattr(F, name)
    for name in ("conv2d", "ReLU", "", "Callable", "op"):
        assert get_activation_from_name(name) is None


def test_activation_layers_by_name():
    layers = {"relu": nn.ReLU, "ReLU": nn.ReLU, "leaky_relu": nn.LeakyReLU, "silu": nn.SiLU,
              "swish": nn.Swish, "hard_sigmoid": nn.HardSigmoid, "TANH": nn.Tanh}  # fmt: skip
    for name, layer in layers.items():
        assert get_activation_module_from_name(name) is layer
    for name in ("linear", "module", "", "functional"):
        assert get_activation_module_from_name(name) is None


@pytest.mark.parametrize("axis", [1, -2])
def test_chunks(axis):
    a, b = leaf(2, 6, 3), leaf(4, 6, 3, seed=1)[:2]
    sizes = []

    def fn(x, y):
        sizes.append(x.shape)
        return x * y + x

    whole = fn(a, b)
    chunked = apply_chunking_to_forward(fn, 2, axis, a, b)
    assert sizes[1:] == [(2, 2, 3)] * 3
    assert (chunked == whole).all()
    grads = []
    for y in (whole, chunked):
        a.grad = None
        y.square().sum().backward(retain_graph=True)  # both read b
        grads.append(a.grad.numpy())
    np.testing.assert_allclose(*grads, rtol=1e-6)
    assert (apply_chunking_to_forward(fn, 0, axis, a, b) == whole).all()
    assert sizes[-1] == (2, 6, 3)


@pytest.mark.parametrize("arguments, text", [
    ((2, 0), "at least one input is needed."),
    ((-1, 0, (4,)), "chunk_size -1 does not divide the 4 of axis 0."),
    ((3, 0, (4,)), "chunk_size 3 does not divide the 4 of axis 0."),
    ((2, 1, (4,)), "the inputs must have as many axes and an axis 1, got (4,)."),
    ((2, 0, (4,), (4, 2)), "the inputs must have as many axes and an axis 0, got (4,), (4, 2)."),
    ((2, 0, (4,), (6,)), "the inputs differ along axis 0: [4, 6]."),
])  # fmt: skip
def test_chunks_that_do_not_fit(arguments, text):
    size, axis, *shapes = arguments
    with pytest.raises(ValueError, match=f"^apply_chunking_to_forward: {re.escape(text)}$"):
        apply_chunking_to_forward(F.relu, size, axis, *map(lucid.zeros, shapes))
