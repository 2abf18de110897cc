"""Tensor: construction, copying, assignment of data, leaves and their gradients."""

from __future__ import annotations

import copy
import pickle

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import leaf, spaced

# --- Construction ---------------------------------------------------------------------------------


def test_requires_grad_of_integers_is_refused():
    text = "only floating-point and complex Tensors have gradients, this one has dtype int32"
    with pytest.raises(TypeError, match=f"^Tensor: {text}"):
        Tensor(np.array([1]), requires_grad=True)
    with pytest.raises(TypeError, match=f"^requires_grad_: {text}"):
        Tensor([1]).requires_grad_()


@pytest.mark.parametrize("data", [1, [1, 2], ((1, 2), (3, 4))])
def test_python_integers_that_require_a_gradient_are_floats(data):
    for x in (Tensor(data, requires_grad=True), lucid.tensor(data, True), nn.Parameter(data)):
        assert (x.dtype, x.tolist()) == (np.float32, np.array(data, float).tolist())
        (x * x).backward()
        assert x.grad.tolist() == (2 * np.array(data, float)).tolist()
    assert Tensor(data).dtype == Tensor(data, keep_grad=True).dtype == np.int32
    with jax.enable_x64(True):
        assert Tensor(data, requires_grad=True).dtype == np.float64
    for refused in (int, "int8"):
        with pytest.raises(TypeError, match="only floating-point and complex Tensors"):
            Tensor(data, requires_grad=True, dtype=refused)
    with pytest.raises(TypeError, match="this one has dtype bool"):
        Tensor(True, requires_grad=True)


def test_tensor_of_a_recorded_tensor_is_a_leaf():
    x = Tensor([2.0], requires_grad=True)
    y = Tensor(x * 3)
    assert y.is_leaf
    assert not y.requires_grad
    assert y.item() == 6.0


# --- Copies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Tensor, nn.Parameter, nn.Buffer])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(kind, copied):
    x = kind(spaced(2, 3))
    y = copied(x)
    assert type(y) is kind
    assert (y.requires_grad, y.dtype, y.is_leaf) == (x.requires_grad, x.dtype, True)
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    y.data = np.zeros(3)
    np.testing.assert_array_equal(x.numpy(), spaced(2, 3).astype(np.float32))


def test_deepcopy_keeps_the_gradient_and_sharing():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * 3).backward()
    x.register_hook(lambda g: g * 100)
    first, second = copy.deepcopy([x, x])
    assert first is second
    assert first.grad.tolist() == [3, 3]
    (first * 2).backward()
    assert first.grad.tolist() == [5, 5]  # the hook is not copied
    assert x.grad.tolist() == [3, 3]


def test_deepcopy_of_a_computed_tensor_is_a_leaf_of_its_own():
    x = Tensor([2.0], requires_grad=True)
    y = copy.deepcopy(x * 3)
    assert y.is_leaf
    assert y.requires_grad
    (y * y).backward()
    assert y.grad.tolist() == [12.0]
    assert x.grad is None


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8", "bool", "complex64"])
def test_pickling_keeps_the_dtype(dtype):
    x = Tensor([1, 0, 2], dtype=dtype)
    y = pickle.loads(pickle.dumps(x))
    assert y.dtype == dtype
    assert y.tolist() == x.tolist()


def test_a_tensor_is_a_key_by_identity():
    x, y = Tensor([1.0]), Tensor([1.0])
    table = {x: "x", y: "y"}
    assert (table[x], table[y]) == ("x", "y")


# --- Data assignment ------------------------------------------------------------------------------


def test_assigning_data():
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.data = Tensor([3.0, 4.0])
    assert x.tolist() == [3.0, 4.0]
    assert x.is_leaf
    x.data = [5, 6.5]
    assert (x.tolist(), x.requires_grad) == ([5, 6.5], True)
    y = x * x
    x.data = [0.0, 0.0]
    y.backward()
    assert x.grad.tolist() == [10.0, 13.0]  # of the values that were multiplied


def test_an_unknown_attribute():
    with pytest.raises(AttributeError):
        Tensor([1.0]).unknown = 3
    with pytest.raises(AttributeError, match="shpe"):
        _ = Tensor([1.0]).shpe


# --- Leaves and gradients -------------------------------------------------------------------------


def test_assigning_grad():
    x = leaf(2)
    x.grad = Tensor([1.0, 2.0])
    (x * 3).backward()
    assert x.grad.tolist() == [4.0, 5.0]
    with pytest.raises(ValueError, match=r"^grad has shape \(3,\); .* shape \(2,\)"):
        x.grad = lucid.ones(3)
    with pytest.raises(TypeError, match=r"^grad has dtype int32; .* dtype float32"):
        x.grad = Tensor([1, 2])
    with pytest.raises(TypeError, match=r"^grad must be a Tensor, got list"):
        x.grad = [1.0, 2.0]
    assert x.grad.tolist() == [4.0, 5.0]


def test_requires_grad_of_a_computed_tensor_stays():
    y = leaf(2) * 2
    with pytest.raises(RuntimeError, match=r"^requires_grad_: .* Use detach\(\)"):
        y.requires_grad_(False)
    with pytest.raises(RuntimeError, match=r"^requires_grad_: .* Use detach\(\)"):
        y.requires_grad = False
    assert y.requires_grad


def test_requires_grad_of_a_leaf():
    x = Tensor([1.0, 2.0])
    assert x.requires_grad_() is x
    (x * 2).backward()
    assert x.requires_grad_(False).requires_grad is False
    assert not (x * 2).requires_grad
    assert x.grad.tolist() == [2, 2]


def test_leaves():
    x = leaf(2)
    assert x.is_leaf
    assert (x.detach() * 2).is_leaf
    assert not (x * 2).is_leaf
    assert (x * 2).detach().is_leaf
    assert (x > 0).is_leaf
    with lucid.no_grad():
        assert (x * 2).is_leaf


def test_detach_shares_values_and_stops_gradients():
    x = leaf(3)
    y = x.detach()
    assert y.data is x.data
    (x * y).backward()
    np.testing.assert_array_equal(x.grad.numpy(), x.numpy())
