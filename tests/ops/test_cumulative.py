"""Running sums, products and extremes: values, gradients, second derivatives, ties and NaN."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.ops import cumulative
from tests.helpers import HAS_TORCH, check_op, public_functions, spaced

if HAS_TORCH:
    import torch
else:
    torch = None

X = spaced(2, 3, 4)
SMALL = spaced(2, 3, low=0.3, high=1.8)
INTS = np.array([[3, -1, 3], [0, 5, 0]])


def running(better):
    """The extreme so far and its place, element by element."""

    def loop(a, axis=-1):
        a = np.moveaxis(a, axis, -1)
        values, places = np.array(a), np.zeros(a.shape, int)
        for at in np.ndindex(a.shape[:-1]):
            best = 0
            for i, x in enumerate(a[at]):
                best = i if better(x, a[at][best]) else best
                values[(*at, i)], places[(*at, i)] = a[at][best], best
        return np.moveaxis(values, -1, axis), np.moveaxis(places, -1, axis)

    return loop


AXES = [{}, {"axis": 0}, {"axis": -2}]
CASES = {
    "cumsum": [(X, static, lambda a, axis=-1: np.cumsum(a, axis)) for static in AXES]
    + [(INTS, {}, lambda a: np.cumsum(a, -1)), (X > 0, {}, lambda a: np.cumsum(a, -1))],
    "cumprod": [(SMALL, static, lambda a, axis=-1: np.cumprod(a, axis)) for static in AXES]
    + [(INTS, {}, lambda a: np.cumprod(a, -1))],
    "cummax": [(X, static, running(lambda x, y: x >= y)) for static in AXES]
    + [(INTS, {}, running(lambda x, y: x >= y)), (X > 0, {}, running(lambda x, y: x >= y))],
    "cummin": [(X, static, running(lambda x, y: x <= y)) for static in AXES]
    + [(INTS, {}, running(lambda x, y: x <= y)), (X > 0, {}, running(lambda x, y: x <= y))],
}  # fmt: skip
FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]
IDS = [f"{name} {a.dtype} {static}" for name, a, static, _ in FLAT]


@pytest.mark.parametrize(("name", "operand", "static", "reference"), FLAT, ids=IDS)
def test_function(name, operand, static, reference):
    fn, axis = getattr(cumulative, name), static.get("axis", -1)
    check_op(
        lambda x: fn(x, **static),
        lambda x: reference(x, **static),
        operand,
        torch_fn=torch and (lambda x: getattr(torch, name)(x, axis)),
        rtol=1e-11,
    )


def test_every_function_is_in_the_table():
    assert set(CASES) == public_functions(cumulative)


def test_once_there_is_nan_the_extreme_is_nan():
    x = Tensor([1.0, 3.0, 3.0, np.nan, 5.0, np.nan, 2.0], requires_grad=True)
    for extreme in (lucid.cummax, lucid.cummin):
        values, indices = extreme(x)
        assert np.isnan(values.numpy()).tolist() == [False] * 3 + [True] * 4
        assert indices.tolist()[3:] == [3, 3, 5, 5]
    assert lucid.cummax(x).indices.tolist()[:3] == [0, 1, 2]


@pytest.mark.parametrize("name", CASES)
def test_numbers_nothing_and_axes_that_there_are_not(name):
    fn = getattr(lucid, name)
    for axis in (0, -1):
        result = fn(Tensor(3.0, requires_grad=True), axis)
        value = result if isinstance(result, Tensor) else result.values
        assert value.shape == () and value.item() == 3
    result = fn(lucid.zeros(2, 0))
    assert (result if isinstance(result, Tensor) else result.values).shape == (2, 0)
    with pytest.raises(ValueError, match=r"axis 3 is out of bounds .* dimension 3"):
        fn(Tensor(X), 3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_dtypes(dtype):
    x = Tensor(np.array([3, 0, 2]), dtype=dtype)
    for extreme in (lucid.cummax, lucid.cummin):
        values, indices = extreme(x)
        assert (values.dtype, indices.dtype) == (x.dtype, np.int32)
    assert lucid.cumsum(x).dtype == x.dtype


def test_compiled():
    x = Tensor(X, requires_grad=True)

    def gradient(x):
        return lucid.autograd.grad((lucid.cummax(x, 1).values ** 2).sum(), x)

    np.testing.assert_array_equal(lucid.jit(gradient)(x).numpy(), gradient(x).numpy())
