"""The helpers notice what they are there to notice."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lucid import apply
from tests.helpers import check_op, count_compiles, numeric_grad, numeric_hvp, spaced


def test_count_compiles_sees_a_compilation_and_none():
    double = jax.jit(lambda x: x * 2.125)
    with count_compiles(expect=1):
        double(np.float32(3))
    with count_compiles(expect=0):
        double(np.float32(4))
    with pytest.raises(AssertionError, match="1 programs were compiled, not 0"), count_compiles(0):
        double(np.zeros(2, np.float32))


def test_count_compiles_sees_a_trace_without_a_compilation():
    with pytest.raises(AssertionError, match="functions were traced, not 0"), count_compiles(0):
        jax.make_jaxpr(lambda x: x * 3.25)(np.float32(1))


def test_finite_differences():
    x, y, v, w = (spaced(2, 3, seed=i) for i in range(4))

    def fn(x, y):
        return np.sum(x**3 * y)

    dx, dy = numeric_grad(fn, [x, y], [True, True])
    np.testing.assert_allclose(dx, 3 * x**2 * y, rtol=1e-9)
    np.testing.assert_allclose(dy, x**3, rtol=1e-9)
    second = numeric_hvp(fn, [x, y], [True, True], [v, w])
    np.testing.assert_allclose(second[0], 6 * x * y * v + 3 * x**2 * w, rtol=1e-7)
    np.testing.assert_allclose(second[1], 3 * x**2 * v, rtol=1e-7)


@jax.custom_vjp
def wrong_gradient(x):
    return x * x


wrong_gradient.defvjp(lambda x: (x * x, x), lambda x, g: (2.001 * x * g,))


@jax.custom_vjp
def wrong_second(x):
    return x * x * x


wrong_second.defvjp(lambda x: (x * x * x, x), lambda x, g: (3 * jax.lax.stop_gradient(x) * x * g,))


def test_check_op_sees_a_wrong_value():
    with pytest.raises(AssertionError, match="Not equal"):
        check_op(lambda x: x * x, lambda x: x**2 + 1e-9, spaced(3))


def test_check_op_sees_a_wrong_shape():
    with pytest.raises(AssertionError):
        check_op(lambda x: x.sum(), lambda x: np.sum(x, keepdims=True), spaced(3))


def test_check_op_sees_a_lost_dtype():
    with pytest.raises(AssertionError):
        check_op(lambda x: apply(_through_float32, x), lambda x: x, np.array([1.0, 2.0]))


def _through_float32(x):
    return x.astype(jnp.float32)


def test_check_op_sees_a_wrong_gradient():
    with pytest.raises(AssertionError, match="Not equal"):
        check_op(lambda x: apply(wrong_gradient, x), lambda x: x**2, spaced(3))


def test_check_op_sees_a_wrong_second_derivative():
    with pytest.raises(AssertionError, match="Not equal"):
        check_op(lambda x: apply(wrong_second, x), lambda x: x**3, spaced(3))


def test_check_op_passes_what_is_right():
    check_op(lambda x, y: (x * y, x - y), lambda x, y: (x * y, x - y), spaced(3), spaced(3, seed=1))
