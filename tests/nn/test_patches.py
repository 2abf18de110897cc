"""Fold and Unfold: values, adjointness, printing and refusals."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import check_op

GEOMETRIES = [
    {"kernel_size": 2},
    {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 0)},
    {"kernel_size": (3, 2), "stride": 2, "padding": ((0, 2), (1, 0)), "dilation": (1, 2)},
]


def loop(x, kernel_size, stride=1, padding=0, dilation=1):
    """Columns in the order channels, kernel rows, kernel columns; window by window."""
    (k, s, d) = (np.broadcast_to(v, 2) for v in (kernel_size, stride, dilation))
    pads = np.broadcast_to(
        np.reshape(padding, (-1, 1)) if np.ndim(padding) < 2 else padding, (2, 2)
    )
    x = np.pad(x, ((0, 0), (0, 0), *map(tuple, pads)))
    count = [
        (n - dd * (kk - 1) - 1) // ss + 1
        for n, kk, ss, dd in zip(x.shape[2:], k, s, d, strict=True)
    ]
    columns = []
    for i in range(count[0]):
        for j in range(count[1]):
            rows = s[0] * i + d[0] * np.arange(k[0])
            window = x[:, :, rows][..., s[1] * j + d[1] * np.arange(k[1])]
            columns.append(window.reshape(len(x), -1))
    return np.stack(columns, -1)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_values_and_adjoint(geometry):
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 7)).astype(np.float32)
    columns = nn.Unfold(**geometry)(Tensor(x))
    np.testing.assert_array_equal(columns.numpy(), loop(x, **geometry))
    np.testing.assert_array_equal(nn.Unfold(**geometry)(Tensor(x[0])).numpy(), columns.numpy()[0])

    # <unfold x, y> = <x, fold y>: fold is the gradient of unfold.
    y = np.random.default_rng(1).standard_normal(columns.shape).astype(np.float32)
    folded = nn.Fold((6, 7), **geometry)(Tensor(y))
    _, vjp = jax.vjp(nn.Unfold(**geometry), Tensor(x))
    np.testing.assert_allclose(folded.numpy(), vjp(Tensor(y))[0].numpy(), rtol=1e-6, atol=1e-6)


def test_functions_take_arguments_in_lucids_order():
    x = jnp.arange(30.0).reshape(1, 1, 5, 6)
    arguments = (2, 2), (1, 2), (1, 0), (2, 1)  # filter_size, stride, padding, dilation
    columns = F.unfold(x, *arguments)
    assert isinstance(columns, jax.Array)  # no Tensor came in
    layer = nn.Unfold(*arguments)
    np.testing.assert_array_equal(columns, layer(Tensor(x)).numpy())
    counts = F.fold(F.unfold(jnp.ones_like(x), *arguments), (5, 6), *arguments)
    np.testing.assert_array_equal(F.fold(columns, (5, 6), *arguments), counts * x)


def test_gradients():
    def there_and_back(x):
        return F.fold(F.unfold(x, (2, 3), 2, 1) ** 2, (4, 5), (2, 3), 2, 1)

    places = loop(np.arange(1, 21).reshape(1, 1, 4, 5), (2, 3), 2, 1)  # 0 is the padding
    windows_at = np.bincount(places.ravel())[1:].reshape(4, 5)
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 5))
    check_op(there_and_back, lambda x: x**2 * windows_at, x)


def test_repr():
    assert repr(nn.Unfold(3, padding=1)) == (
        "Unfold(kernel_size=(3, 3), stride=(1, 1), padding=1, dilation=(1, 1))"
    )
    assert repr(nn.Fold(8, (2, 3), stride=2, padding="valid")) == (
        "Fold(output_size=(8, 8), kernel_size=(2, 3), stride=(2, 2), padding='valid', "
        "dilation=(1, 1))"
    )


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.Unfold(0), ValueError, "Unfold: kernel_size must be at least 1, got (0, 0)."),
        (
            lambda: nn.Fold((4, 4, 4), 2),
            ValueError,
            "Fold: output_size must be an integer or a tuple of 2 integers, got 3: (4, 4, 4).",
        ),
        (
            lambda: nn.Unfold(2)(lucid.zeros(4, 4)),
            ValueError,
            "unfold: input must have shape (N, C, H, W) or (C, H, W) with C, H and W at least 1, "
            "got (4, 4).",
        ),
        (
            lambda: nn.Fold(4, 2)(lucid.zeros(1, 4, 8)),
            ValueError,
            "fold: output_size (4, 4) has 9 windows, 3 by 3, but the input has 8 columns.",
        ),
    ],
)
def test_refusals(make, error, text):
    with pytest.raises(error, match=rf"^{re.escape(text)}( \(in (Unf|F)old\))?$"):
        make()
