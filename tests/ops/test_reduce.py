"""Every reduction: values, gradients and second derivatives over all kinds of axes."""

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


def p_norm(a, ord=2, axis=None, keepdims=False):
    size = np.abs(a)
    if ord == np.inf:
        return size.max(axis, keepdims=keepdims)
    return np.sum(size**ord, axis, keepdims=keepdims) ** (1 / ord)


def log_sum_exp(a, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(a), axis, keepdims=keepdims))


# Function: cases of (operand, static arguments, NumPy's function, torch's name or None).
CASES = {
    "sum": over(np.sum, AXES) + over(np.sum, AXES[:2], INTS) + over(np.sum, AXES[1:2], X > 0),
    "mean": over(np.mean, AXES) + over(np.mean, [{"axis": 1}], INTS),
    "var": over(np.var, AXES)
    + over(lambda a, correction, **rest: np.var(a, ddof=correction, **rest), [
        {"correction": 1}, {"correction": 0.5, "axis": (0, 2)}
    ]),
    "prod": over(np.prod, AXES[:4], SMALL[None] * np.ones((2, 1, 1)) + spaced(2, 2, 3) * 0.1)
    + over(np.prod, AXES[:2], INTS),
    "max": over(np.max, AXES) + over(np.max, AXES[:2], INTS),
    "min": over(np.min, AXES) + over(np.min, AXES[:2], INTS),
    "all": over(np.all, AXES, X > -1) + over(np.all, AXES[:2], INTS),
    "any": over(np.any, AXES, X > 1) + over(np.any, AXES[:2], INTS),
    "argmax": over(np.argmax, ONE_AXIS) + over(np.argmax, ONE_AXIS, INTS),
    "argmin": over(np.argmin, ONE_AXIS) + over(np.argmin, ONE_AXIS, INTS),
    "std": over(np.std, AXES) + over(np.std, [{"axis": 1}], INTS)
    + over(lambda a, correction, **rest: np.std(a, ddof=correction, **rest), [
        {"correction": 1}, {"correction": 0.5, "axis": (0, 2)}
    ]),
    "norm": over(p_norm, AXES) + [
        (X, {"ord": ord, "axis": 1}, p_norm, None) for ord in (1, 3, 2.5, np.inf)
    ],
    "logsumexp": over(log_sum_exp, AXES),
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
    for name in ("sum", "mean", "var", "std", "norm", "max", "argmax", "logsumexp"):
        with pytest.raises(ValueError, match=r"axis 3 .*out of bounds.* 3"):
            getattr(Tensor(X), name)(axis=3)


def test_empty_reductions():
    empty = lucid.zeros(0, 3)
    assert empty.sum().item() == 0
    assert empty.prod(axis=0).tolist() == [1, 1, 1]
    assert empty.all().item() is True
    with pytest.raises(ValueError, match="zero-size array"):
        empty.max()


def test_where_all_values_are_equal_the_deviation_has_no_gradient():
    x = Tensor([[2.0, 2.0], [1.0, 3.0]], requires_grad=True)
    x.std(axis=1).sum().backward()
    assert x.grad.tolist() == [[0, 0], [-0.5, 0.5]]


def test_a_correction_that_leaves_nothing_to_divide_by():
    assert np.isnan(Tensor([1.0]).var(correction=1).item())
    assert np.isnan(Tensor([1.0]).std(correction=1).item())


@pytest.mark.parametrize("ord", [1, 2, 2.5, lucid.inf])
def test_norms_of_zeros_of_nan_and_of_nothing(ord):
    x = lucid.zeros(3, requires_grad=True)
    x.norm(ord).backward()
    assert x.grad.tolist() == [0, 0, 0]
    assert np.isnan(Tensor([1.0, np.nan]).norm(ord).item())
    if ord != lucid.inf:
        assert lucid.zeros(0, 2).norm(ord if ord in (1, 2) else 2, axis=0).tolist() == [0, 0]


def test_norms_of_numbers_and_of_complex_values():
    assert Tensor(-3.0).norm().item() == 3
    z = Tensor([3 + 4j, 0j, 12j], requires_grad=True)
    np.testing.assert_allclose(z.norm().item(), 13, rtol=1e-6)
    np.testing.assert_allclose(z.norm(1).item(), 17, rtol=1e-6)
    z.norm().backward()
    # In PyTorch's convention, d/da + i d/db of a + ib, which JAX has as the conjugate.
    np.testing.assert_allclose(z.grad.numpy(), z.numpy() / 13, rtol=1e-6)


@pytest.mark.parametrize("ord", [0, -1.0, -lucid.inf])
def test_orders_of_norms_that_there_are_not(ord):
    with pytest.raises(ValueError, match=rf"^norm: ord must be positive, got {ord}\.$"):
        lucid.norm(Tensor([1.0]), ord)


def test_logsumexp_neither_overflows_nor_ends_at_infinity():
    x = Tensor([[1000.0, 999.0], [-1000.0, -np.inf], [-np.inf, -np.inf]])
    expected = [1000 + np.log1p(np.exp(-1)), -1000, -np.inf]
    np.testing.assert_allclose(x.logsumexp(axis=1).numpy(), expected, rtol=1e-6)
    assert lucid.logsumexp(lucid.zeros(0, 2), axis=0).tolist() == [-np.inf] * 2


def test_reductions_of_16_bits_and_of_booleans_keep_or_leave_their_dtype():
    half, flags = lucid.ones(3, dtype="bfloat16"), Tensor([True, False])
    for name in ("std", "norm", "logsumexp", "var"):
        assert getattr(half, name)().dtype == lucid.BFloat16
        assert getattr(flags, name)().dtype == np.float32
