"""Gradients at ties, at NaN and at 0."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import Tensor

NAN = float("nan")


def grads(fn, *values):
    inputs = [Tensor(v, requires_grad=True) for v in values]
    return [g.tolist() for g in lucid.autograd.grad((fn(*inputs).sum(),), inputs)]


@pytest.mark.parametrize("choose", [lucid.max, lucid.min])
def test_reductions_pass_nan_on_and_share_the_gradient_at_a_tie(choose):
    x = [[1.0, 1.0, 1.0], [NAN, 5.0, NAN]]
    np.testing.assert_array_equal(choose(Tensor(x), 1).numpy(), [1.0, NAN])
    third = np.float32(1) / np.float32(3)
    (found,) = grads(lambda a: choose(a, 1), x)
    np.testing.assert_array_equal(found, [[third] * 3, [0.5, 0.0, 0.5]])
    (found,) = grads(choose, x)
    np.testing.assert_array_equal(found, [[0.0] * 3, [0.5, 0.0, 0.5]])


@pytest.mark.parametrize("choose", [lucid.maximum, lucid.minimum])
def test_both_operands_have_the_gradient_where_one_is_nan(choose):
    a, b = [1.0, NAN, 2.0, NAN], [1.0, 3.0, NAN, NAN]
    np.testing.assert_array_equal(choose(Tensor(a), Tensor(b)).numpy(), [1.0, NAN, NAN, NAN])
    assert grads(choose, a, b) == [[0.5, 1.0, 1.0, 1.0], [0.5, 1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    "fn",
    [
        lucid.abs,
        lambda x: F.l1_loss(x, Tensor([0.0, 0.0]), reduction="sum"),
        lambda x: F.smooth_l1_loss(x, Tensor([0.0, 0.0]), reduction="sum", beta=0.0),
        lambda x: F.huber_loss(x, Tensor([0.0, 0.0]), reduction="sum"),
        lambda x: F.normalize(x, ord=1, axis=0),
        lambda x: F.normalize(x, ord=2, axis=0),
    ],
)
def test_what_is_made_of_absolute_values_is_flat_at_0(fn):
    x = Tensor([0.0, 0.0], requires_grad=True)
    (first,) = lucid.autograd.grad((fn(x).sum(),), (x,), create_graph=True)
    assert np.isfinite(first.numpy()).all()
    if first.requires_grad:
        (second,) = lucid.autograd.grad((first.sum(),), (x,), allow_unused=True)
        assert second is None or np.isfinite(second.numpy()).all()


def test_absolute_differences_have_no_gradient_at_a_tie():
    (found,) = grads(lambda x: F.l1_loss(x, Tensor([1.0, 0.0]), reduction="sum"), [1.0, 2.0])
    assert found == [0.0, 1.0]
    (found,) = grads(lambda x: F.smooth_l1_loss(x, Tensor([1.0]), beta=0.0), [1.0])
    assert found == [0.0]


@pytest.mark.parametrize(
    ("exponent", "first", "second"),
    [(0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (2.0, 0.0, 2.0), (3.0, 0.0, 0.0), (1.5, 0.0, np.inf)],
)
def test_powers_at_0_to_second_order(exponent, first, second):
    x, y = Tensor([0.0], requires_grad=True), Tensor([exponent], requires_grad=True)
    by_x, by_y = lucid.autograd.grad(((x**y).sum(),), (x, y), create_graph=True)
    assert by_x.item() == first
    assert by_y.item() == 0.0
    (again,) = lucid.autograd.grad((by_x.sum(),), (x,))
    assert again.item() == second


def test_the_root_at_0_is_infinitely_steep():
    assert grads(lucid.sqrt, [0.0]) == [[np.inf]]


def test_a_norm_has_second_derivatives_where_one_coordinate_is_0():
    """Those of sum(x / |x|) at (0, -1, 2), from the quotient rule."""
    at = np.array([0.0, -1.0, 2.0])
    n, total = np.sqrt(at @ at), at.sum()
    ones = np.ones(3)
    hessian = (
        -(np.outer(ones, at) + np.outer(at, ones) + total * np.eye(3)) / n**3
        + 3 * total * np.outer(at, at) / n**5
    )
    x = Tensor(at, requires_grad=True)
    (first,) = lucid.autograd.grad((F.normalize(x, axis=0).sum(),), (x,), create_graph=True)
    (second,) = lucid.autograd.grad((first.sum(),), (x,))
    np.testing.assert_allclose(second.numpy(), hessian.sum(0), rtol=1e-5)
