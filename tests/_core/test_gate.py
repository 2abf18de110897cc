"""`apply`: the gate between Tensors and functions of arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import lucid
from lucid import apply
from tests.helpers import leaf


def test_apply_of_a_function_of_ones_own():
    def scaled(a, b, /, power=1):
        return a * b**power, a

    x, w = leaf(3), leaf(3, seed=1)
    y, same = apply(scaled, x, w, power=3)
    (y + same).backward()
    np.testing.assert_allclose(x.grad.numpy(), w.numpy() ** 3 + 1, rtol=1e-5)
    np.testing.assert_allclose(w.grad.numpy(), 3 * x.numpy() * w.numpy() ** 2, rtol=1e-5)


def test_apply_of_arrays_alone_gives_arrays():
    y = apply(jnp.hypot, jnp.array([3.0]), 4.0)
    assert isinstance(y, jax.Array)
    assert isinstance(lucid.add(jnp.ones(2), 1.0), jax.Array)
    assert jax.grad(lambda x: lucid.sum(lucid.square(x)))(2.0) == 4.0


def test_apply_passes_none():
    def maybe(a, b=None):
        return a if b is None else a + b

    x = leaf(2)
    apply(maybe, x, None).backward()
    assert x.grad.tolist() == [1, 1]


def test_apply_of_a_declared_function_is_its_call():
    x = leaf(3)
    y = apply(lucid.clip, x, min_value=0.0)
    assert y.tolist() == lucid.clip(x, 0.0).tolist()
    assert lucid.jit(lambda x: apply(lucid.exp, x))(x).requires_grad
