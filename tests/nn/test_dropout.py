"""Layers that drop at random: their modes, and how they compile."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn

LAYERS = [nn.Dropout, nn.AlphaDropout, nn.DropPath]


@pytest.mark.parametrize("make", LAYERS)
def test_probability_zero_and_evaluation_pass_on(make):
    x = lucid.randn(4, 5)
    before = lucid.random.default_generator().state.numpy()
    for layer in (make(0.0), make(0.5).eval()):
        np.testing.assert_array_equal(layer(x).numpy(), x.numpy())
    np.testing.assert_array_equal(lucid.random.default_generator().state.numpy(), before)


@pytest.mark.parametrize("make", LAYERS)
def test_probability_one_leaves_one_value(make):
    x = Tensor(np.array([[1.0, np.inf], [np.nan, 2.0]], np.float32))
    assert len(set(make(1.0)(x).numpy().ravel())) == 1


def test_a_compiled_layer_draws_anew_and_as_the_eager_one():
    layer, x = nn.Dropout(0.5), lucid.ones(64)
    compiled = lucid.jit(layer)
    lucid.random.seed(5)
    eager = [layer(x).numpy() for _ in range(3)]
    lucid.random.seed(5)
    for expected in eager:
        np.testing.assert_array_equal(compiled(x).numpy(), expected)
    assert (eager[0] != eager[1]).any()
