"""Norms and clipping of gradients, parameters as a vector."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import utils
from tests.helpers import count_compiles

SHAPES = [(3, 2), (5,), ()]


def with_grads(dtype=np.float32, scale=1.0):
    rng = np.random.default_rng(0)
    params = [nn.Parameter(np.zeros(shape, dtype)) for shape in SHAPES]
    for param in params:
        param.grad = Tensor((scale * rng.standard_normal(param.shape)).astype(dtype))
    return [*params, nn.Parameter(np.zeros(2, dtype))]  # the last one has no gradient


def vector(params):
    return np.concatenate([np.ravel(p.grad.numpy()) for p in params if p.grad is not None])


@pytest.mark.parametrize("order", [1, 2, 3, 2.5, lucid.inf])
def test_norms(order):
    with jax.enable_x64(True):
        params = with_grads(np.float64)
        expected = np.linalg.norm(vector(params), order)
        for norm in (utils.get_total_norm, utils.grad_norm):
            result = norm(params, order)
            assert isinstance(result, Tensor)
            assert result.shape == ()
            np.testing.assert_allclose(result.numpy(), expected, rtol=1e-14)
        one = utils.grad_norm(params[0], order)
        np.testing.assert_allclose(one.numpy(), np.linalg.norm(vector(params[:1]), order))


@pytest.mark.parametrize("order", [1, 2, lucid.inf])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_grad_norm(order, limit):
    with jax.enable_x64(True):
        params = with_grads(np.float64)
        before = vector(params)
        norm = utils.clip_grad_norm(params, limit, order)
        np.testing.assert_allclose(norm.numpy(), np.linalg.norm(before, order), rtol=1e-14)
        factor = min(1, limit / (norm.numpy() + 1e-7))
        np.testing.assert_allclose(vector(params), before * factor, rtol=1e-14)
    assert params[-1].grad is None


def test_clip_grad_value():
    params = with_grads()
    before = vector(params)
    assert utils.clip_grad_value(params, 0.5) is None
    np.testing.assert_array_equal(vector(params), np.clip(before, -0.5, 0.5))


def test_a_parameter_given_twice_counts_once():
    params = with_grads()
    assert utils.grad_norm(params + params).item() == utils.grad_norm(params).item()


def test_clipping_leaves_the_old_gradient_to_who_holds_it():
    params = with_grads()
    held, values = params[0].grad, params[0].grad.numpy().copy()
    utils.clip_grad_norm(params, 0.1)
    np.testing.assert_array_equal(held.numpy(), values)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
def test_half_precision_does_not_overflow(dtype):
    params = with_grads(dtype, scale=1000.0)
    expected = np.linalg.norm(vector(params).astype(np.float64))
    norm = utils.clip_grad_norm(params, 1.0)
    assert norm.dtype == np.float32
    np.testing.assert_allclose(norm.numpy(), expected, rtol=1e-6)
    assert {p.grad.dtype for p in params[:-1]} == {np.dtype(dtype)}
    np.testing.assert_allclose(utils.grad_norm(params).numpy(), 1.0, rtol=1e-2)


def test_nothing_to_clip():
    empty = [nn.Parameter([1.0])]
    assert utils.clip_grad_norm(empty, 1.0).item() == utils.grad_norm([]).item() == 0
    utils.clip_grad_value(empty, 1.0)
    assert empty[0].grad is None


def test_limits_compile_nothing():
    params = with_grads()
    utils.clip_grad_norm(params, 1.0)
    utils.clip_grad_value(params, 1.0)
    with count_compiles(expect=0):
        utils.clip_grad_norm(params, 2)
        utils.clip_grad_norm(params, Tensor(0.5).item())
        utils.clip_grad_value(params, 3)


@pytest.mark.parametrize("order", [0, -1, float("nan")])
def test_orders(order):
    params = with_grads()
    before = vector(params)
    with pytest.raises(ValueError, match="clip_grad_norm: norm_type must be above 0, or inf, got"):
        utils.clip_grad_norm(params, 1.0, order)
    with pytest.raises(ValueError, match="get_total_norm: norm_type must be above 0"):
        utils.get_total_norm(params, order)
    np.testing.assert_array_equal(vector(params), before)


def test_vector_round_trip():
    rng = np.random.default_rng(0)
    params = [nn.Parameter(rng.standard_normal(shape)) for shape in SHAPES]
    flat = utils.parameters_to_vector(params)
    assert flat.shape == (12,)
    (flat * flat).sum().backward()
    for param in params:
        np.testing.assert_allclose(param.grad.numpy(), 2 * param.numpy(), rtol=1e-6)
    others = [nn.Parameter(np.zeros(shape, np.float16)) for shape in SHAPES]
    utils.vector_to_parameters(flat, others)
    for param, other in zip(params, others, strict=True):
        assert other.dtype == np.float16
        np.testing.assert_array_equal(other.numpy(), param.numpy().astype(np.float16))


def test_vector_errors():
    (w,) = params = [nn.Parameter([1.0, 2.0])]
    with pytest.raises(ValueError, match=r"vec must have shape \(2,\), .* got \(3,\)"):
        utils.vector_to_parameters(Tensor([1.0, 2.0, 3.0]), params)
    with pytest.raises(TypeError, match="vec must be a Tensor, got list"):
        utils.vector_to_parameters([1.0, 2.0], params)
    with pytest.raises(ValueError, match="there are no parameters"):
        utils.parameters_to_vector([])
    np.testing.assert_array_equal(w.numpy(), [1.0, 2.0])
