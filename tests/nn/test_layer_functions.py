"""Functions of layers: pure on jax arrays, and what no other table covers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
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


@pytest.mark.parametrize("momentum", [0.3, None])
def test_running_statistics_of_several_passes_in_one_compiled_step(momentum):
    def step(norm, a, b):
        norm(a)
        return norm(b * 3)

    eager, jitted = (nn.BatchNorm1d(4, momentum=momentum) for _ in range(2))
    compiled = lucid.jit(lambda a, b: step(jitted, a, b))
    for i in range(3):
        a, b = (Tensor(spaced(5, 4, seed=i + k).astype(np.float32)) for k in (0, 7))
        expected, found = step(eager, a, b), compiled(a, b)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
    for name, value in eager.state_dict().items():
        np.testing.assert_allclose(jitted.state_dict()[name].numpy(), value.numpy(), rtol=1e-5)
    assert jitted.num_batches_tracked.item() == 6


def test_statistics_of_frozen_and_evaluated_layers_stay():
    norm = nn.BatchNorm1d(3).eval()
    norm(lucid.randn(4, 3))
    assert norm.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(norm.running_var.numpy(), 1)
    norm.train()(lucid.randn(4, 3))
    norm.reset_running_stats()
    assert norm.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(norm.running_mean.numpy(), 0)


def test_half_precision_is_normalised_in_single():
    x = (1000 + spaced(64, 2)).astype(np.float32)
    half = nn.BatchNorm1d(2, affine=False)(Tensor(x).astype("bfloat16"))
    assert half.dtype == "bfloat16"
    constant = Tensor(np.full((4096, 1), 0.1, np.float32)).astype("float16")
    norm = nn.BatchNorm1d(1, momentum=1.0)
    norm(constant)
    np.testing.assert_allclose(norm.running_mean.numpy(), np.float16(0.1), rtol=1e-6)


def test_one_number_is_a_target_for_all():
    x = Tensor(spaced(3, 2).astype(np.float32))
    for loss in (nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.HingeLoss(), nn.L1Loss()):
        np.testing.assert_allclose(loss(x, 1).item(), loss(x, lucid.ones(3, 2)).item(), rtol=1e-6)


def test_saturated_probabilities_have_finite_losses_and_gradients():
    p = Tensor(np.array([0.0, 1.0, 1e-12], np.float32), requires_grad=True)
    loss = F.binary_cross_entropy(p, Tensor([1.0, 0.0, 1.0]), reduction="sum")
    loss.backward()
    assert np.isfinite(loss.item())
    np.testing.assert_allclose(p.grad.numpy(), [-1e7, 1e7, -1e7], rtol=0.3)
    x = Tensor([-1000.0, 1000.0], requires_grad=True)
    F.binary_cross_entropy_with_logits(x, Tensor([1.0, 0.0]), reduction="sum").backward()
    np.testing.assert_array_equal(x.grad.numpy(), [-1, 1])


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


def test_max_pool_passes_on_nan_and_infinity():
    x = Tensor(np.array([[1.0, np.nan, 2.0, -np.inf, -np.inf, -np.inf]], np.float32))
    np.testing.assert_array_equal(F.max_pool1d(x, 2).numpy(), [[np.nan, 2, -np.inf]])
    integers = F.max_pool1d(Tensor([[3, -5, 2, 7]]), 2, padding=1)
    assert integers.tolist() == [[3, 2, 7]]


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
