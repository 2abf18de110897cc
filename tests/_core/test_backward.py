"""`backward`: what it computes, adds up and refuses."""

from __future__ import annotations

import gc
import re
import threading
import weakref

import numpy as np
import pytest

import lucid
from lucid import Tensor
from tests.helpers import leaf, spaced

# --- backward -------------------------------------------------------------------------------------


def test_backward_of_a_scalar():
    x = leaf(3, 2)
    assert (x * x).sum().backward() is None
    assert type(x.grad) is Tensor
    assert not x.grad.requires_grad
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy(), rtol=1e-6)


def test_backward_of_a_non_scalar_starts_from_ones():
    x = leaf(3, 2)
    (x * x).backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy(), rtol=1e-6)


def test_backward_with_a_gradient():
    x, g = leaf(3, 2), Tensor(spaced(3, 2, seed=1))
    (x * x).backward(g)
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy() * g.numpy(), rtol=1e-6)


def test_gradients_accumulate_and_are_forgotten():
    x = leaf(3)
    for n in (1, 2, 3):
        (x * 2.5).backward()
        assert x.grad.tolist() == [2.5 * n] * 3
    x.zero_grad()
    assert x.grad is None
    (x * 2.5).backward()
    assert x.grad.tolist() == [2.5] * 3


def test_backward_of_a_leaf():
    x = leaf(3)
    x.backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_one_value_used_in_several_places():
    x = leaf(4)
    y = x * 3
    z = y * y + y * x + x
    z.backward()
    np.testing.assert_allclose(x.grad.numpy(), 24 * x.numpy() + 1, rtol=1e-5)


def test_only_what_requires_a_gradient_gets_one():
    x, w, c = leaf(3), leaf(3, seed=1), Tensor(spaced(3, seed=2))
    y = (x * c + w.detach()) * c
    assert y.requires_grad
    assert not (c * 2).requires_grad
    y.backward()
    assert (w.grad, c.grad) == (None, None)
    np.testing.assert_allclose(x.grad.numpy(), c.numpy() ** 2, rtol=1e-6)


def test_broadcast_operands_get_gradients_of_their_own_shape():
    x, w = leaf(3, 1, 2), leaf(4, 1, seed=1)
    (x * w).backward()
    assert x.grad.shape == x.shape
    np.testing.assert_allclose(w.grad.numpy(), np.full((4, 1), x.numpy().sum()), rtol=1e-5)


def test_several_outputs_of_one_operation():
    x = leaf(5)
    small, large = lucid.split(x, (2, 3))
    values, order = x.sort()
    assert not order.requires_grad
    (small.sum() * 2 + (large * 3).sum() + values[0] * 10).backward()
    expected = np.array([2, 2, 3, 3, 3.0])
    expected[x.numpy().argmin()] += 10
    np.testing.assert_allclose(x.grad.numpy(), expected)


def test_backward_of_several_tensors():
    x = leaf(3)
    y, z = x * x, x * 2
    lucid.autograd.backward([y, z], [Tensor([1.0, 2, 3]), None])
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy() * [1, 2, 3] + 2, rtol=1e-6)


def test_one_output_given_twice_counts_twice():
    x = leaf(3)
    y = x * 2
    lucid.autograd.backward([y, y])
    assert x.grad.tolist() == [4, 4, 4]


@pytest.mark.slow
def test_a_chain_of_50000_operations():
    x = leaf(2)
    y = x
    for _ in range(25000):
        y = (y * 1.0001) - 0.0001
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 1.0001**25000, rtol=5e-3)
    ref = weakref.ref(y._node)
    del y
    gc.collect()
    assert ref() is None


@pytest.mark.slow
def test_dropping_a_long_unused_chain_does_not_overflow_the_stack():
    y = leaf(2)
    for _ in range(50000):
        y = y * 1.0001
    del y
    gc.collect()


def test_complex_gradient():
    # JAX's convention: the gradient of a real function of z = a + ib is d/da - i d/db.
    z = Tensor([1.0 + 2.0j, -0.5 + 0.25j], requires_grad=True)
    (z * Tensor([2.0 - 1.0j, 1.0j])).abs().sum().backward()
    assert z.grad.dtype == np.complex64


# --- What is refused ------------------------------------------------------------------------------


def test_backward_of_a_tensor_without_gradient():
    text = (
        "backward: this Tensor requires no gradient: nothing it was computed from has "
        "requires_grad=True, or it was computed under no_grad()."
    )
    with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
        Tensor([1.0]).backward()
    with lucid.no_grad():
        y = leaf(2) * 2
    with pytest.raises(RuntimeError, match=re.escape(text)):
        y.backward()


def test_second_backward_on_a_freed_graph():
    x = leaf(3)
    y = (x * x).sum()
    y.backward()
    before = x.grad.tolist()
    text = (
        "backward: the graph behind this Tensor was freed by an earlier backward. Pass "
        "retain_graph=True to the earlier call, or compute the Tensor again."
    )
    attempts = (
        y.backward,
        (y * 2).backward,
        (y + x).backward,
        lambda: lucid.autograd.grad(y, x),
        lambda: lucid.autograd.grad(y, x, allow_unused=True),
        lambda: lucid.autograd.grad(y + x.sum(), x),
    )
    for again in attempts:
        with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
            again()
    assert x.grad.tolist() == before


def test_retain_graph():
    x = leaf(3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * x.numpy(), rtol=1e-6)
    with pytest.raises(RuntimeError, match="was freed by an earlier backward"):
        y.backward()


@pytest.mark.parametrize(
    ("gradient", "error", "text"),
    [
        (
            lambda: lucid.ones(3), ValueError,
            "backward: the gradient has shape (3,); it must have the Tensor's shape (2, 3).",
        ),
        (
            lambda: lucid.ones(2, 3, dtype="float16"), TypeError,
            "backward: the gradient has dtype float16; it must have the Tensor's dtype float32.",
        ),
        (
            lambda: np.ones((2, 3), np.float32), TypeError,
            "backward: the gradient must be a Tensor, got ndarray.",
        ),
    ],
)  # fmt: skip
def test_wrong_gradients_are_refused(gradient, error, text):
    x = leaf(2, 3)
    y = x * 2
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        y.backward(gradient())
    assert x.grad is None
    y.backward(lucid.ones(2, 3))
    assert x.grad.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_wrong_number_of_gradients():
    x = leaf(2)
    with pytest.raises(ValueError, match="one gradient for each Tensor, got 1 for 2"):
        lucid.autograd.backward([x * 2, x * 3], [None])
    with pytest.raises(ValueError, match=r"^backward: at least one Tensor is needed"):
        lucid.autograd.backward([])


def test_backward_in_threads():
    def work(i):
        x = leaf(8, seed=i)
        for _ in range(20):
            x.zero_grad()
            (x * x * x).sum().backward()
        found[i] = np.abs(x.grad.numpy() - 3 * x.numpy() ** 2).max()

    found = {}
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == [0, 1, 2, 3]
    assert max(found.values()) < 1e-5
