"""Indexing and indexed assignment: NumPy's results, their gradients, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lucid
from lucid import Tensor
from tests.helpers import check_op, count_compiles, spaced

MASK = np.array([[True, False, True], [False, False, True], [True, True, True], [False] * 3])
SHAPE = (4, 3, 2)

INDICES = {
    "integer": 1,
    "negative": -1,
    "numpy integer": np.int64(2),
    "integers": (1, -2, 0),
    "slice": slice(1, 3),
    "slice from the end": slice(-3, -1),
    "slice beyond the end": slice(2, 99),
    "step": slice(None, None, 2),
    "step of an offset": slice(1, None, 2),
    "reversed": slice(None, None, -1),
    "reversed step": slice(3, 0, -2),
    "empty slice": slice(3, 1),
    "all": slice(None),
    "ellipsis": (..., 1),
    "ellipsis in the middle": (0, ..., 1),
    "ellipsis that stands for nothing": (0, ..., 1, 1),
    "only ellipsis": ...,
    "nothing": (),
    "new axis": None,
    "new axes": (None, 1, None, slice(1, 3)),
    "new axis, ellipsis": (..., None),
    "list": [0, 2, 2],
    "empty list": [],
    "array": np.array([[3, 0], [-1, 1]]),
    "two arrays": (np.array([0, 1, 3]), np.array([2, 0, 0])),
    "arrays broadcast": (np.array([[0], [2]]), np.array([1, 0])),
    "array and slice": (slice(1, 3), [0, 2]),
    "array and integer": ([0, 2], 1),
    "arrays apart": ([0, 1], slice(None), [1, 0]),
    "integer and array apart": (1, slice(None), [1, 0, 1]),
    "array and new axis": ([0, 1], None, slice(0, 2)),
    "mask": MASK[:, 0],
    "mask of two axes": MASK,
    "mask of all axes": np.stack([MASK, ~MASK], axis=-1),
    "mask of nothing": np.zeros(4, bool),
    "mask and slice": (MASK[:, 0], slice(1, 3)),
    "slice and mask": (slice(None), MASK[0]),
    "mask and integer": (MASK[:, 0], 1),
    "list of booleans": [True, False, False, True],
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_take(index):
    check_op(lambda x: x[index], lambda x: np.array(x[index]), spaced(*SHAPE))


# Each position is written once, so that the result does not depend on the order.
POSITIONS = np.arange(np.prod(SHAPE)).reshape(SHAPE)
WRITABLE = {k: i for k, i in INDICES.items() if np.unique(POSITIONS[i]).size == POSITIONS[i].size}


@pytest.mark.parametrize("index", WRITABLE.values(), ids=WRITABLE)
def test_put(index):
    def assign(x, values):
        x = x * 1.0
        x[index] = values
        return x

    def reference(x, values):
        x = np.array(x)
        x[index] = values
        return x

    values = spaced(*POSITIONS[index].shape, seed=1)
    check_op(assign, reference, spaced(*SHAPE), values)


def test_put_broadcasts_values():
    def assign(x, values):
        x = x * 1.0
        x[1:3, :, 0] = values
        x[0] = 2.0
        return x

    def reference(x, values):
        x = np.array(x)
        x[1:3, :, 0] = values
        x[0] = 2.0
        return x

    check_op(assign, reference, spaced(*SHAPE), spaced(3, seed=1))
    check_op(assign, reference, spaced(*SHAPE), spaced(2, 1, seed=1))


def test_put_of_repeated_positions_keeps_one_of_the_values():
    x = lucid.zeros(3)
    x[[0, 0, 1]] = Tensor([5.0, 6.0, 7.0])
    assert x[0].item() in (5.0, 6.0)
    assert x.tolist()[1:] == [7.0, 0.0]


def test_repeated_indices_accumulate_gradients():
    x = Tensor(spaced(3), requires_grad=True)
    (x[[0, 2, 0, 0]] * Tensor([1.0, 10.0, 100.0, 1000.0])).backward()
    assert x.grad.tolist() == [1101, 0, 10]


def test_augmented_assignment_of_an_index():
    x = Tensor([1.0, 2.0, 3.0])
    y = Tensor(2.0, requires_grad=True)
    x[1:] *= y
    assert x.tolist() == [1, 4, 6]
    x.backward()
    assert y.grad.item() == 5


def test_put_keeps_the_dtype():
    x = Tensor([1, 2, 3])
    x[0] = 7.9
    assert (x.tolist(), x.dtype) == ([7, 2, 3], np.int32)
    y = lucid.zeros(2, dtype="float16")
    y[0] = Tensor(1.5)
    assert y.dtype == np.float16


def test_tensors_as_indices():
    data = spaced(4, 3)
    x = Tensor(data, requires_grad=True)
    rows, mask = Tensor([3, 0, 3]), Tensor(data) > 0
    np.testing.assert_array_equal(x[rows].numpy(), x.numpy()[[3, 0, 3]])
    np.testing.assert_array_equal(
        x[rows, Tensor([0, 1, 2])].numpy(), x.numpy()[[3, 0, 3], [0, 1, 2]]
    )
    np.testing.assert_array_equal(x[mask].numpy(), x.numpy()[data > 0])
    np.testing.assert_array_equal(x[Tensor(2)].numpy(), x.numpy()[2])
    x[rows].backward()
    assert x.grad.tolist() == [[1] * 3, [0] * 3, [0] * 3, [2] * 3]


def test_a_mask_assigns():
    x = Tensor([1.0, -2.0, 3.0])
    x[x < 0] = 0
    assert x.tolist() == [1, 0, 3]
    x[x > 0] = Tensor([5.0, 6.0])
    assert x.tolist() == [5, 0, 6]


ERRORS = {
    "out of range": (4, IndexError, "index: 4 is out of range for axis 0 of size 4."),
    "below range": ((0, -4), IndexError, "index: -4 is out of range for axis 1 of size 3."),
    "array out of range": (
        [0, 4], IndexError, "index: the index array of axis 0 must be from -4 to 3, got 4 at [1].",
    ),
    "too many": (
        (0, 0, 0, 0), IndexError,
        "index: 4 axes are indexed, but the Tensor of shape (4, 3, 2) has 3.",
    ),
    "two ellipses": (
        (..., 0, ...), IndexError, "index: an index may hold one ellipsis (...), got several.",
    ),
    "mask of another shape": (
        np.ones(3, bool), IndexError,
        "index: a mask of shape (3,) cannot select from axes of shape (4,).",
    ),
    "float": (
        1.0, TypeError,
        "index: an index must be an integer, a slice, None, ... or an array of integers or "
        "booleans, got 1.0.",
    ),
    "text": (
        "a", TypeError,
        "index: an index must be an integer, a slice, None, ... or an array of integers or "
        "booleans, got 'a'.",
    ),
    "array of floats": (
        [0.0, 1.0], TypeError,
        "index: an index array must hold integers or booleans, got float64.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_errors(case):
    index, error, text = case
    x = Tensor(spaced(*SHAPE))
    before = x.numpy()
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        x[index]
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        x[index] = 0.0
    np.testing.assert_array_equal(x.numpy(), before)


def test_values_that_do_not_fit():
    x = Tensor(spaced(*SHAPE))
    before = x.numpy()
    with pytest.raises(ValueError, match="broadcast"):
        x[0] = lucid.ones(5)
    with pytest.raises(TypeError, match="Tensor: data must be numbers"):
        x[0] = "text"
    np.testing.assert_array_equal(x.numpy(), before)


def test_integers_and_starts_of_slices_compile_once():
    x = Tensor(spaced(40, 3), requires_grad=True)
    y = x * 1.0
    for i in (0, 1):
        x[i].backward()
        x[i : i + 8].backward()
        y[i] = 0.0
    with count_compiles(expect=0):
        for i in range(2, 20):
            x[i].backward()
            x[i : i + 8].backward()
            x[-i]
            y[i] = 1.0


@st.composite
def arrays_and_indices(draw):
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    index = draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    return shape, index


@given(arrays_and_indices())
@settings(max_examples=60, deadline=None)
def test_any_basic_index_is_numpys(case):
    shape, index = case
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    x = Tensor(data)
    np.testing.assert_array_equal(x[index].numpy(), data[index])
    data[index] = -1
    x[index] = -1.0
    np.testing.assert_array_equal(x.numpy(), data)
