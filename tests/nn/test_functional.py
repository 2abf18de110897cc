"""Functions of layers: pure on jax arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import spaced

X = jnp.asarray(spaced(2, 4, 6, 6).astype(np.float32))
CLASSES = jnp.asarray(np.arange(2 * 6 * 6).reshape(2, 6, 6) % 4)

FUNCTIONS = [
    lambda x: F.gelu(x, "tanh"),
    lambda x: F.softmax(x, axis=1),
    lambda x: F.prelu(x, jnp.ones(4)),
    lambda x: F.batch_norm(x, jnp.zeros(4), jnp.ones(4)),
    lambda x: F.batch_norm(x, jnp.zeros(4), jnp.ones(4), training=False),
    lambda x: F.layer_norm(x, [6, 6]),
    lambda x: F.group_norm(x, 2),
    lambda x: F.instance_norm(x),
    lambda x: F.max_pool2d(x, [2, 2]),
    lambda x: F.avg_pool2d(x, 3, stride=[1, 2], padding=1),
    lambda x: F.adaptive_avg_pool2d(x, [2, None]),
    lambda x: F.interpolate(x, [3, 9]),
    lambda x: F.pixel_shuffle(x, 2),
    lambda x: F.cross_entropy(x, CLASSES, label_smoothing=0.1),
    lambda x: F.embedding(CLASSES, x[0, 0]),
    lambda x: F.binary_cross_entropy_with_logits(x, 1.0),
    lambda x: F.normalize(x),
]


@pytest.mark.parametrize("fn", FUNCTIONS)
def test_arrays_in_arrays_out(fn):
    y = fn(X)
    assert isinstance(y, jax.Array)
    np.testing.assert_allclose(jax.jit(fn)(X), y, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(fn(x) ** 2))(X)
    x = Tensor(X, requires_grad=True)
    (fn(x) ** 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-4, atol=1e-5)
    batched = jax.vmap(fn)(jnp.stack([X, 2 * X]))
    np.testing.assert_allclose(batched[0], y, rtol=1e-4, atol=1e-5)
    directional = jax.jvp(fn, (X,), (jnp.ones_like(X),))[1]
    assert directional.shape == y.shape


def test_functional_of_arrays_is_plain_jax():
    x, w = jnp.asarray(spaced(3, 4), jnp.float32), jnp.ones((2, 4))
    assert isinstance(F.linear(x, w), jax.Array)
    dx = jax.grad(lambda x: F.mse_loss(F.tanh(F.linear(x, w)), jnp.zeros((3, 2))))(x)
    assert dx.shape == x.shape
    rows = jax.vmap(lambda row: F.relu(row))(x)
    np.testing.assert_array_equal(jax.jit(F.relu)(x), rows)


def test_arguments_of_a_pool_set_later_count():
    x = Tensor(np.arange(48.0).reshape(1, 2, 4, 6) % 7)
    layer = nn.MaxPool2d(1)
    layer.padding, layer.kernel_size, layer.stride, layer.ceil_mode = 1, 3, [2, 1], True
    expected = F.max_pool2d(x, 3, (2, 1), 1, ceil_mode=True)
    np.testing.assert_array_equal(layer(x).numpy(), expected.numpy())
    layer.stride = 0
    with pytest.raises(
        ValueError, match=r"^MaxPool2d: stride must be at least 1 on each axis, got"
    ):
        layer(x)
    layer = nn.AvgPool2d(3, padding=1)
    layer.count_include_pad, layer.padding = False, (1, 0)
    expected = F.avg_pool2d(x, 3, padding=(1, 0), count_include_pad=False)
    np.testing.assert_array_equal(layer(x).numpy(), expected.numpy())
