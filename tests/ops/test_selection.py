"""What has as many results as the values say: against NumPy, and refused in compiled functions."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.ops import selection
from tests.helpers import HAS_TORCH, check_op, public_functions, spaced

if HAS_TORCH:
    import torch
else:
    torch = None

X = spaced(2, 3)
INTS = np.array([[3, -1, 3], [0, 5, 0]])
MASKS = {"same": X > 0, "row": np.array([True, False, True]), "none": X > 9, "all": X < 9}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_masked_select(mask):
    check_op(
        lucid.masked_select,
        lambda a, m: a[np.broadcast_to(m, a.shape)],
        X,
        mask,
        torch_fn=torch and torch.masked_select,
    )


def test_masked_select_broadcasts_the_values_too():
    row = spaced(3)
    check_op(
        lucid.masked_select,
        lambda a, m: np.broadcast_to(a, m.shape)[m],
        row,
        X > -1,
        torch_fn=torch and torch.masked_select,
    )
    assert Tensor([1, 2]).masked_select(np.array([False, True])).tolist() == [2]
    with pytest.raises(TypeError, match=r"^masked_select: the mask must be boolean, got int32\.$"):
        lucid.masked_select(Tensor(X), Tensor(INTS))


@pytest.mark.parametrize("operand", [X * (X > 0), INTS, X > 0, np.zeros((2, 0)), X > 9])
def test_nonzero(operand):
    check_op(lucid.nonzero, np.argwhere, operand, torch_fn=torch and torch.nonzero)


def test_nonzero_of_numbers():
    assert lucid.nonzero(Tensor(3.0)).shape == (1, 0)
    assert lucid.nonzero(Tensor(0.0)).shape == (0, 0)
    assert Tensor([0.0, np.nan]).nonzero().tolist() == [[1]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int8", "bool", "complex64"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_unique_gives_the_elements_back(axis, dtype):
    x = Tensor(np.array([[3, 0, 3, 1], [2, 0, 2, 1], [3, 0, 3, 1]]), dtype=dtype)
    expected = np.unique(x.astype("complex64").numpy(), axis=axis)
    values, inverse, counts = lucid.unique(x, True, axis, True, True)
    assert values.dtype == x.dtype
    np.testing.assert_array_equal(values.astype("complex64").numpy(), expected)
    if axis is None:
        assert inverse.shape == x.shape
        again = values[inverse]
    else:
        again = Tensor(np.take(values.astype("complex64").numpy(), inverse.numpy(), axis))
    np.testing.assert_array_equal(again.astype("complex64").numpy(), x.astype("complex64").numpy())
    assert counts.tolist() == np.bincount(inverse.numpy().ravel()).tolist()
    assert inverse.dtype == counts.dtype == np.int32


def test_unique_in_the_order_of_occurrence():
    x = Tensor([3.0, 1.0, 2.0, 3.0, 2.0, 4.0])
    values, inverse, counts = x.unique(sorted=False, return_inverse=True, return_counts=True)
    assert values.tolist() == [3, 1, 2, 4]
    assert inverse.tolist() == [0, 1, 2, 0, 2, 3]
    assert counts.tolist() == [2, 1, 2, 1]
    assert x.unique(return_counts=True)[1].tolist() == [1, 2, 2, 1]


def test_unique_of_nan_of_numbers_and_of_nothing():
    assert lucid.unique(Tensor([np.nan, 1.0, np.nan])).shape == (3,)
    assert lucid.unique(Tensor(3.0)).tolist() == [3]
    assert lucid.unique(lucid.zeros(0)).shape == (0,)


def test_the_gradient_of_what_is_unique_goes_to_the_first():
    x = Tensor([3.0, 1.0, 3.0], requires_grad=True)
    (lucid.unique(x) ** 3).sum().backward()
    assert x.grad.tolist() == [27, 3, 0]
    check_op(lucid.unique, np.unique, X)
    check_op(lambda a: lucid.unique(a, axis=1), lambda a: np.unique(a, axis=1), X)


CALLS = {
    "nonzero": lucid.nonzero,
    "unique": lucid.unique,
    "masked_select": lambda x: lucid.masked_select(x, x > 0),
}


@pytest.mark.parametrize("transform", [lucid.jit, jax.jit, jax.vmap])
@pytest.mark.parametrize("name", CALLS)
def test_compiled_functions_cannot_know_the_shape(name, transform):
    text = (
        rf"^test_selection\.py:\d+: `.*`: {name} needs values, on which the shape of its result "
        r"depends, and in a compiled function there are none\. Call it outside, or keep the shape, "
        r"with lucid\.where or masked_fill\.(\n|$)"
    )

    def call(x):
        return CALLS[name](x)

    with pytest.raises(lucid.JitError, match=text):
        transform(call)(Tensor(X) if transform is lucid.jit else X)


def test_in_a_compiled_function_they_take_numpys_arrays_no_more_than_tensors():
    with pytest.raises(lucid.JitError, match="nonzero needs values"):
        lucid.jit(lambda x: x + lucid.nonzero(INTS).sum())(Tensor(X))


def test_pure_functions():
    mask = X > 0
    gradient = jax.grad(lambda a: (lucid.masked_select(a, mask) ** 2).sum())(X.astype("f"))
    np.testing.assert_allclose(gradient, np.where(mask, 2 * X, 0), rtol=1e-6)


def test_every_function_is_tested():
    assert set(CALLS) == public_functions(selection)
