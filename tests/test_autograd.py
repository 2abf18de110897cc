"""`lucid.autograd`: gradients on demand, and gradients of gradients."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor
from tests.helpers import leaf

# --- autograd.grad --------------------------------------------------------------------------------


def test_grad_returns_and_stores_nothing():
    x, w = leaf(3), leaf(3, seed=1)
    y = (x * w).sum()
    dx, dw = lucid.autograd.grad(y, [x, w])
    np.testing.assert_array_equal(dx.numpy(), w.numpy())
    np.testing.assert_array_equal(dw.numpy(), x.numpy())
    assert (x.grad, w.grad) == (None, None)
    single = lucid.autograd.grad((x * 2).sum(), x)
    assert single.tolist() == [2, 2, 2]


def test_grad_of_intermediate_tensors():
    x = leaf(3)
    y = x * 2
    z = y * y * x
    dy, dx = lucid.autograd.grad(z, [y, x])
    np.testing.assert_allclose(dy.numpy(), 2 * y.numpy() * x.numpy(), rtol=1e-6)
    np.testing.assert_allclose(dx.numpy(), 12 * x.numpy() ** 2, rtol=1e-5)


def test_grad_with_respect_to_the_output_itself():
    y = leaf(3) * 2
    assert lucid.autograd.grad(y, y).tolist() == [1, 1, 1]


def test_grad_with_grad_outputs():
    x = leaf(3)
    v, u = Tensor([1.0, -2.0, 3.0]), Tensor(2.0)
    found = lucid.autograd.grad([x * x, x.sum()], x, [v, u])
    np.testing.assert_allclose(found.numpy(), 2 * x.numpy() * v.numpy() + 2, rtol=1e-6)
    with pytest.raises(ValueError, match=r"^grad: the gradient has shape \(2,\)"):
        lucid.autograd.grad(x * x, x, lucid.ones(2))


def test_grad_of_unused_inputs():
    x, unused = leaf(3), leaf(2)
    text = "grad: the outputs do not depend on input 1. Pass allow_unused=True to get None for it."
    with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
        lucid.autograd.grad(x * 2, [x, unused])
    dx, none = lucid.autograd.grad(x * 2, [x, unused], allow_unused=True)
    assert dx.tolist() == [2, 2, 2]
    assert none is None
    assert lucid.autograd.grad(x * 2, unused, allow_unused=True) is None
    with pytest.raises(RuntimeError, match=r"^grad: input 0 does not require a gradient"):
        lucid.autograd.grad(x * 2, Tensor([1.0]))


def test_grad_walks_only_the_paths_to_its_inputs():
    x, w = leaf(3), leaf(3, seed=1)
    seen = []
    side = w * 5
    side.register_hook(seen.append)
    lucid.autograd.grad(x * side, x, retain_graph=True)
    assert seen == []


def test_grad_leaves_the_rest_of_the_graph():
    x = leaf(3)
    y = x * x
    z = y * 2
    lucid.autograd.grad(z, y)
    y.backward()  # below the inputs nothing was walked, so nothing was freed
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy(), rtol=1e-6)


def test_a_freed_graph_beside_the_path_does_not_matter():
    x, w = leaf(3), leaf(3, seed=1)
    y = x * x
    y.backward()
    z = y * w
    np.testing.assert_array_equal(lucid.autograd.grad(z, w).numpy(), y.numpy())
    u = y * 2
    assert lucid.autograd.grad(u, y).tolist() == [2, 2, 2]


# --- Gradients of gradients -----------------------------------------------------------------------


def test_create_graph_to_third_order():
    x = leaf(4)
    values = x.numpy()
    y = x**5
    for expected in (5 * values**4, 20 * values**3, 60 * values**2, 120 * values):
        y = lucid.autograd.grad(y, x, create_graph=True)
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5)


def test_backward_with_create_graph():
    x = leaf(3)
    (x * x * x).backward(create_graph=True)
    assert x.grad.requires_grad
    first = x.grad
    x.zero_grad()
    first.backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.numpy(), rtol=1e-6)


def test_accumulation_under_create_graph_is_recorded():
    x = leaf(3)
    (x**2).backward(create_graph=True)
    (x**3).backward(create_graph=True)
    total = x.grad
    x.zero_grad()
    total.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 + 6 * x.numpy(), rtol=1e-5)


def test_gradient_penalty():
    with jax.enable_x64(True):
        x, w = leaf(2, 3), leaf(3, 4, seed=1)
        dx = lucid.autograd.grad((x @ w).tanh().sum(), x, create_graph=True)
        ((dx * dx).sum(axis=1).sqrt() - 1).square().mean().backward()

        def penalty(x, w):
            dx = jax.grad(lambda x: jnp.tanh(x @ w).sum())(x)
            return jnp.mean((jnp.sqrt((dx * dx).sum(1)) - 1) ** 2)

        expected = jax.grad(penalty, argnums=(0, 1))(x.data, w.data)
        np.testing.assert_allclose(x.grad.numpy(), expected[0], rtol=1e-12)
        np.testing.assert_allclose(w.grad.numpy(), expected[1], rtol=1e-12)


def test_second_derivatives_with_respect_to_grad_outputs():
    # The double backward trick: forward mode from two reverse ones.
    x, v = leaf(3), Tensor([1.0, -2.0, 3.0])
    u = lucid.zeros(3, requires_grad=True)
    dx = lucid.autograd.grad(x.sin(), x, u, create_graph=True)
    jvp = lucid.autograd.grad(dx, u, v)
    np.testing.assert_allclose(jvp.numpy(), np.cos(x.numpy()) * v.numpy(), rtol=1e-6)


def test_backward_without_create_graph_records_nothing_even_under_enable_grad():
    x = leaf(3)
    with lucid.enable_grad():
        (x * x).backward()
    assert not x.grad.requires_grad
    (x * x).backward()
    assert not x.grad.requires_grad


def test_backward_under_no_grad_with_create_graph_records():
    x = leaf(3)
    y = x * x * x
    with lucid.no_grad():
        dx = lucid.autograd.grad(y, x, create_graph=True)
        assert dx.requires_grad
        assert not lucid.grad_enabled()
