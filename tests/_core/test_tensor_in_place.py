"""In-place operations: what they change, what they record, and that the tape never sees them."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced


def test_a_leaf_that_requires_a_gradient_is_protected():
    x = nn.Parameter(spaced(3))
    before = x.numpy()
    text = (
        "a leaf that requires a gradient cannot be changed in place while operations are "
        "recorded. Do it under lucid.no_grad()."
    )
    attempts = {
        "add_": lambda: x.add_(1.0),
        "multiply_": lambda: x.__imul__(2.0),
        "index assignment": lambda: x.__setitem__(0, 5.0),
    }
    for name, attempt in attempts.items():
        with pytest.raises(RuntimeError, match=f"^{re.escape(f'{name}: {text}')}$"):
            attempt()
    np.testing.assert_array_equal(x.numpy(), before)


def test_a_leaf_changes_under_no_grad():
    x = nn.Parameter([1.0, 2.0])
    alias = x
    with lucid.no_grad():
        x -= 0.5
        x[0] = 7.0
    assert alias is x
    assert type(x) is nn.Parameter
    assert x.is_leaf
    assert x.requires_grad
    assert x.tolist() == [7.0, 1.5]
    (x * 2).backward()
    assert x.grad.tolist() == [2, 2]


def test_a_saved_operand_never_changes_under_the_tape():
    x = Tensor([2.0, 3.0], requires_grad=True)
    y = x * 1.0
    z = y * y
    y += 100
    y[0] = -5.0
    z.backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_gradients_flow_through_in_place_operations():
    x = Tensor([2.0, 3.0], requires_grad=True)
    y = x * 1.0
    y *= x
    y += 1
    y.exp_().log_()
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), [4, 6], rtol=1e-5)


def test_an_unrecorded_tensor_joins_the_tape():
    x = Tensor([2.0, 3.0], requires_grad=True)
    total = lucid.zeros(2)
    for _ in range(3):
        total += x * x
    assert total.requires_grad
    assert not total.is_leaf
    total.backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.numpy())


def test_overwriting_everything_cuts_the_gradient():
    x = Tensor([2.0, 3.0], requires_grad=True)
    y = x * 1.0
    y[:] = 4.0
    (y * x).backward()
    assert x.grad.tolist() == [4, 4]


def test_under_no_grad_a_computed_tensor_keeps_its_place_on_the_tape():
    x = Tensor([2.0], requires_grad=True)
    y = x * 3
    with lucid.no_grad():
        y += 1
    assert y.tolist() == [7.0]
    y.backward()
    assert x.grad.tolist() == [3.0]


def test_a_kept_gradient_is_that_of_the_new_value():
    x = Tensor([2.0], requires_grad=True)
    y = x * 1.0
    y.retain_grad()
    y *= 5
    (y * 2).backward()
    assert y.grad.tolist() == [2.0]
    assert x.grad.tolist() == [10.0]


def test_shape_and_dtype_stay():
    x, counts = Tensor([1.0, 2.0]), Tensor([1, 2])
    with pytest.raises(
        ValueError,
        match=re.escape(
            "add_: the result has shape (3, 2) and cannot be put into a Tensor of shape (2,)."
        ),
    ):
        x += lucid.ones(3, 2)
    with pytest.raises(
        TypeError,
        match=re.escape(
            "multiply_: the result has dtype float32 and cannot be put into a Tensor of dtype "
            "int32. Use the operation that returns a new Tensor."
        ),
    ):
        counts *= 2.5
    with pytest.raises(TypeError, match=r"^div_: the result has dtype float32"):
        counts /= 2
    assert (x.tolist(), counts.tolist()) == ([1, 2], [1, 2])
    half = lucid.ones(2, dtype="float16")
    half += Tensor([0.5, 1.5])
    assert (half.dtype, half.tolist()) == (np.float16, [1.5, 2.5])


def test_in_place_on_a_view_leaves_the_source():
    # Results of indexing are Tensors of their own, as all results are.
    x = lucid.zeros(2, 2)
    row = x[0]
    row += 1
    assert x.tolist() == [[0, 0], [0, 0]]
    assert row.tolist() == [1, 1]
