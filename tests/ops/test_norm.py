"""Normalisations: root mean squares, and the precision of statistics."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import check_op, spaced


def test_half_precision_is_normalised_in_single():
    x = (1000 + spaced(64, 2)).astype(np.float32)
    half = nn.BatchNorm1d(2, affine=False)(Tensor(x).astype("bfloat16"))
    assert half.dtype == "bfloat16"
    constant = Tensor(np.full((4096, 1), 0.1, np.float32)).astype("float16")
    norm = nn.BatchNorm1d(1, momentum=1.0)
    norm(constant)
    np.testing.assert_allclose(norm.running_mean.numpy(), np.float16(0.1), rtol=1e-6)


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_root_mean_square(shape):
    axes = tuple(range(-len(shape), 0))
    check_op(
        lambda x, weight: F.rms_norm(x, shape, weight, 0.1),
        lambda x, weight: weight * x / np.sqrt((x**2).mean(axes, keepdims=True) + 0.1),
        spaced(2, 3, 4),
        spaced(*shape, seed=1),
    )


def test_a_sample_of_zeros_stays_one():
    x = lucid.zeros(2, 3, requires_grad=True)
    y = F.rms_norm(x, 3)
    y.sum().backward()
    assert not y.numpy().any() and np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_squares_of_16_bit_floats_are_summed_in_float32(dtype):
    x = jnp.asarray(300 + spaced(2, 1000), dtype)  # a square of 300 is beyond float16
    found = nn.RMSNorm(1000, elementwise_affine=False)(Tensor(x))
    exact = np.asarray(x, np.float64)
    exact = exact / np.sqrt((exact**2).mean(-1, keepdims=True))
    assert found.dtype == dtype
    step = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(found.data, np.float64), exact, rtol=step)


def cosine(x, y, axis=1, eps=1e-8):
    x, y = np.broadcast_arrays(x, y)
    sizes = [np.maximum(np.sqrt((a**2).sum(axis)), eps) for a in (x, y)]
    return (x * y).sum(axis) / (sizes[0] * sizes[1])


@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        (((2, 3), (2, 3)), {}),
        (((2, 3, 4), (3, 1)), {"axis": -1}),
        (((2, 3), (2, 3)), {"eps": 5.0}),
        (((3,), (2, 3)), {"axis": 1}),
        (((0, 3), (1, 3)), {}),
    ],
)
def test_cosine_similarity(shapes, options):
    check_op(
        lambda x, y: F.cosine_similarity(x, y, **options),
        lambda x, y: cosine(x, y, **options),
        *(spaced(*shape, seed=i) for i, shape in enumerate(shapes)),
    )


def test_a_vector_of_zeros_is_similar_to_none():
    x = lucid.zeros(1, 3, requires_grad=True)
    y = F.cosine_similarity(x, lucid.ones(1, 3))
    y.sum().backward()
    assert y.numpy() == [0.0] and np.isfinite(x.grad.numpy()).all()
    assert F.cosine_similarity(x.astype("bfloat16"), x.astype("bfloat16")).dtype == "bfloat16"
    with pytest.raises(ValueError, match="broadcast"):
        F.cosine_similarity(x, lucid.ones(1, 4))
