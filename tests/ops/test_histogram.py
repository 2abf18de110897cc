"""Histograms against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.ops import histogram
from tests.helpers import public_functions, spaced

POINTS = spaced(60, 3)
# On the edges of bins too.
VALUES = np.concatenate([np.linspace(-2, 2, 9), spaced(40)])


def compare(found, hist, edges, x64=False):
    assert found._fields == ("hist", "bin_edges")
    np.testing.assert_allclose(found.hist.numpy(), hist, rtol=1e-5)
    for row, expected in zip(np.atleast_2d(found.bin_edges.numpy()), edges, strict=True):
        np.testing.assert_allclose(row[: len(expected)], expected, rtol=1e-5, atol=1e-6)
        assert np.isnan(row[len(expected) :]).all()


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize(
    "static", [{}, {"bins": 4}, {"bins": 8, "range": (-2, 2)}, {"bins": 3, "range": (0.5, 1.0)}]
)
@pytest.mark.parametrize("shape", [(49,), (7, 7)])
def test_histogram(static, density, shape):
    values = VALUES.astype("f").reshape(shape)
    hist, edges = np.histogram(values, density=density, **static)
    compare(lucid.histogram(Tensor(values), density=density, **static), hist, [edges])
    compiled = lucid.jit(lambda x: lucid.histogram(x, density=density, **static))
    compare(compiled(Tensor(values)), hist, [edges])


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize("range", [None, [(-1.0, 1.0), (-2, 2)]])
@pytest.mark.parametrize("bins", [[3, 3], (2, 5)])
def test_histogram2d(bins, range, density):
    a, b = POINTS[:, 0].astype("f"), POINTS[:, 1].astype("f")
    hist, *edges = np.histogram2d(a, b, bins, range, density)
    found = lucid.histogram2d(Tensor(a), Tensor(b), bins, range, density)
    compare(found, hist, edges)
    assert found.bin_edges.shape == (2, max(bins) + 1)


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize("range", [None, [(-1.0, 1.0), (-2, 2), (0, 1)]])
@pytest.mark.parametrize("bins", [2, [4, 1, 3]])
def test_histogramdd(bins, range, density):
    points = POINTS.astype("f")
    hist, edges = np.histogramdd(points, bins, range, density)
    compare(lucid.histogramdd(Tensor(points), bins, range, density), hist, edges)


def test_values_outside_and_nan_are_not_counted():
    x = Tensor([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan, np.inf, -np.inf])
    assert lucid.histogram(x, 2, (0, 1)).hist.tolist() == [1, 2]


def test_equal_values_and_none():
    hist, edges = lucid.histogram(Tensor([3.0, 3.0]), 2)
    assert (hist.tolist(), edges.tolist()) == ([0, 2], [2.5, 3, 3.5])
    hist, edges = lucid.histogram(lucid.zeros(0), 2)
    assert (hist.tolist(), edges.tolist()) == ([0, 0], [0, 0.5, 1])


@pytest.mark.parametrize("dtype", ["int32", "bool", "bfloat16", "float16"])
def test_dtypes(dtype):
    x = Tensor([1, 0, 1, 1], dtype=dtype)
    hist, edges = lucid.histogram(x, 2)
    assert (hist.tolist(), edges.tolist()) == ([1, 3], [0, 0.5, 1])
    assert hist.dtype == edges.dtype == np.float32


def test_a_histogram_has_no_gradient():
    x = Tensor([1.0, 2.0], requires_grad=True)
    lucid.histogram(x, 2, (0, 2)).hist.sum().backward()
    assert x.grad.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: lucid.histogram(Tensor([1.0]), 0),
            r"histogram: there must be at least one bin, got bins=\(0,\)\.",
        ),
        (
            lambda: lucid.histogram(Tensor([1.0]), 2, (1, 0)),
            r"histogram: a range must be finite and ascending, got \(1, 0\)\.",
        ),
        (
            lambda: lucid.histogram(Tensor([1.0]), 2, (0, lucid.inf)),
            r"histogram: a range must be finite and ascending, got \(0, inf\)\.",
        ),
        (
            lambda: lucid.histogramdd(lucid.zeros(4, 2), [1, 2, 3]),
            r"histogramdd: bins and range must have an entry for each of the 2 coordinates, got 3 "
            r"and 2\.",
        ),
        (
            lambda: lucid.histogramdd(lucid.zeros(4), 2),
            r"histogramdd: points \(N, D\) are needed, got shape \(4,\)\.",
        ),
    ],
)
def test_what_is_refused(call, text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        call()


def test_every_function_is_tested():
    assert public_functions(histogram) == {"histogram", "histogram2d", "histogramdd"}
