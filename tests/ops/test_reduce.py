"""Every reduction and scan: values, gradients and second derivatives over all kinds of axes."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.ops import reduce
from tests.helpers import HAS_TORCH, check_op, public_functions, spaced

if HAS_TORCH:
    import torch
else:
    torch = None

X = spaced(2, 3, 4)
SMALL = spaced(2, 3, low=0.3, high=1.8)
INTS = np.array([[3, -1, 2], [0, 5, -4]])
AXES = [{}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 2)}, {"keepdims": True}]
ONE_AXIS = [{}, {"axis": 0}, {"axis": -1, "keepdims": True}]


def over(fn, axes, operand=X, torch_name=None):
    return [(operand, static, fn, torch_name) for static in axes]


def descend(order, axis):
    return np.flip(order, axis)


def ranked(a, k, axis, largest):
    order = np.argsort(-a if largest else a, axis, kind="stable").take(range(k), axis)
    return np.take_along_axis(a, order, axis), order.astype(np.int64)


# Function: cases of (operand, static arguments, NumPy's function, torch's name or None).
CASES = {
    "sum": over(np.sum, AXES) + over(np.sum, AXES[:2], INTS) + over(np.sum, AXES[1:2], X > 0),
    "mean": over(np.mean, AXES) + over(np.mean, [{"axis": 1}], INTS),
    "var": over(np.var, AXES),
    "prod": over(np.prod, AXES[:4], SMALL[None] * np.ones((2, 1, 1)) + spaced(2, 2, 3) * 0.1)
    + over(np.prod, AXES[:2], INTS),
    "max": over(np.max, AXES) + over(np.max, AXES[:2], INTS),
    "min": over(np.min, AXES) + over(np.min, AXES[:2], INTS),
    "all": over(np.all, AXES, X > -1) + over(np.all, AXES[:2], INTS),
    "any": over(np.any, AXES, X > 1) + over(np.any, AXES[:2], INTS),
    "argmax": over(np.argmax, ONE_AXIS) + over(np.argmax, ONE_AXIS, INTS),
    "argmin": over(np.argmin, ONE_AXIS) + over(np.argmin, ONE_AXIS, INTS),
    "cumsum": over(np.cumsum, [{"axis": 0}, {"axis": 1}, {"axis": -1}], X, "cumsum"),
    "cumprod": over(np.cumprod, [{"axis": 0}, {"axis": -1}], SMALL, "cumprod"),
    "argsort": [
        (X, {"axis": 1}, lambda a, axis: np.argsort(a, axis), None),
        (
            X, {"axis": -1, "descending": True},
            lambda a, axis, descending: np.flip(np.argsort(a, axis), axis), None,
        ),
    ],
    "sort": [
        (X, {}, lambda a: (np.sort(a), np.argsort(a)), "sort"),
        (X, {"axis": 0}, lambda a, axis: (np.sort(a, axis), np.argsort(a, axis)), None),
        (
            X, {"axis": 1, "descending": True},
            lambda a, axis, descending: (
                np.flip(np.sort(a, axis), axis), np.flip(np.argsort(a, axis), axis)
            ),
            None,
        ),
    ],
    "topk": [
        (X, {"k": k, "axis": axis, "largest": largest}, ranked, None)
        for k, axis, largest in ((1, -1, True), (2, 0, True), (2, 1, False), (4, 2, False))
    ],
}  # fmt: skip
FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]


@pytest.mark.parametrize("case", FLAT, ids=[f"{case[0]} {case[2]}" for case in FLAT])
def test_function(case):
    name, operand, static, reference, torch_name = case
    fn = getattr(reduce, name)
    positions = {"axis": "dim"}
    torch_static = {positions.get(key, key): value for key, value in static.items()}
    check_op(
        lambda x: fn(x, **static),
        lambda x: reference(x, **static),
        operand,
        torch_fn=torch and torch_name and (lambda x: getattr(torch, torch_name)(x, **torch_static)),
        rtol=1e-11,
    )


def test_every_function_is_in_the_table():
    assert set(CASES) == public_functions(reduce)


def test_the_first_of_equals_is_named():
    x = Tensor([2.0, 7.0, 7.0, -1.0, -1.0])
    assert (x.argmax().item(), x.argmin().item()) == (1, 3)
    assert x.argsort().tolist() == [3, 4, 0, 1, 2]
    assert x.argsort(descending=True).tolist() == [1, 2, 0, 3, 4]
    assert x.topk(2)[1].tolist() == [1, 2]


def test_gradients_of_products_with_zeros():
    x = Tensor([2.0, 0.0, 3.0], requires_grad=True)
    x.prod().backward()
    assert x.grad.tolist() == [0, 6, 0]


@pytest.mark.parametrize("call", [
    lambda x: x.sum([0, 2]),
    lambda x: x.sum(axis=[0, 2]),
    lambda x: lucid.sum(x, (0, 2)),
])  # fmt: skip
def test_axes_as_lists_and_tuples(call):
    np.testing.assert_allclose(call(Tensor(X)).numpy(), X.sum((0, 2)), rtol=1e-5)


def test_an_axis_out_of_range():
    for name in ("sum", "mean", "var", "max", "cumsum", "sort", "argmax"):
        with pytest.raises(ValueError, match=r"axis 3 .*out of bounds.* 3"):
            getattr(Tensor(X), name)(axis=3)


def test_empty_reductions():
    empty = lucid.zeros(0, 3)
    assert empty.sum().item() == 0
    assert empty.prod(axis=0).tolist() == [1, 1, 1]
    assert empty.all().item() is True
    with pytest.raises(ValueError, match="zero-size array"):
        empty.max()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("k", [-1, 4])
def test_topk_of_more_than_there_are(k, compiled):
    def call(x):
        return x.topk(k)

    text = rf"^topk: k must be from 0 to the length of the axis, 3, got {k}\.$"
    with pytest.raises(ValueError, match=text):
        (lucid.jit(call) if compiled else call)(Tensor([3.0, 1.0, 2.0]))


def test_topk_of_none_and_of_all():
    x = Tensor([[3.0, 1.0, 2.0]])
    assert [y.shape for y in x.topk(0)] == [(1, 0)] * 2
    assert [y.tolist() for y in x.topk(3, largest=False)] == [[[1, 2, 3]], [[1, 2, 0]]]
