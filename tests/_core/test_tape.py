"""The graph: when its memory goes, when a program is compiled, and the gate into it."""

from __future__ import annotations

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np

import lucid
from lucid import Tensor, apply
from tests.helpers import count_compiles, spaced


def leaf(*shape, seed=0):
    return Tensor(spaced(*shape, seed=seed), requires_grad=True)


# --- The graph's memory ---------------------------------------------------------------------------


def intermediate(x):
    """A function of x, and weak references to an array and to a node inside its graph."""
    middle = x * 3
    y = (middle * middle).sum()
    return y, weakref.ref(middle.data), weakref.ref(middle._node)


def test_backward_frees_the_arrays_of_the_graph():
    x = leaf(64)
    y, array, node = intermediate(x)
    assert array() is not None
    y.backward()
    assert array() is None
    del y
    assert node() is None


def test_retain_graph_keeps_the_arrays():
    x = leaf(64)
    y, array, node = intermediate(x)
    y.backward(retain_graph=True)
    assert array() is not None
    del y
    assert (array(), node()) == (None, None)


def test_dropping_a_result_frees_its_graph_without_the_collector():
    x = leaf(64)
    gc.disable()
    try:
        y, array, node = intermediate(x)
        del y
        assert (array(), node()) == (None, None)
    finally:
        gc.enable()


def test_nothing_is_kept_without_grad():
    x = leaf(64)
    with lucid.no_grad():
        y = x * 3
        array = weakref.ref(y.data)
        z = y * y
        del y
    assert array() is None
    assert z.is_leaf


def test_dropping_hooked_and_kept_tensors_frees_the_graph():
    x = leaf(64)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: g)
    node = weakref.ref(y._node)
    (y * y).backward()
    del y
    gc.collect()
    assert node() is None


def test_a_recorded_backward_can_be_dropped():
    x = leaf(64)
    y, array, node = intermediate(x)
    (dx,) = lucid.autograd.grad(y, [x], create_graph=True)
    del y
    assert array() is not None  # the gradient was computed from it
    del dx
    gc.collect()
    assert (array(), node()) == (None, None)


# --- Compilations ---------------------------------------------------------------------------------


def test_nothing_compiles_or_traces_the_second_time():
    def step(data, weights, factor):
        x, w = Tensor(data, requires_grad=True), Tensor(weights, requires_grad=True)
        y = ((x @ w).tanh() * factor - x[0, 1] + lucid.where(x.sum() > 0, 1.0, 2.0)).mean(axis=0)
        y.sum().backward(retain_graph=True)
        dx = lucid.autograd.grad(y, x, create_graph=True)
        (dx * dx).sum().backward()
        return x.grad.numpy(), w.grad.numpy()

    step(spaced(3, 4), spaced(4, 4), 1.5)
    with count_compiles(expect=0):
        step(spaced(3, 4, seed=2), spaced(4, 4, seed=3), 2.5)


def test_an_operation_met_with_a_new_shape_compiles_once():
    x = Tensor(spaced(3, 7))
    with count_compiles(expect=1):
        x * x
    with count_compiles(expect=0):
        x * x


# --- apply ----------------------------------------------------------------------------------------


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
