"""Random draws as pure functions: each takes a state and returns the next state with the values."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from lucid._core.typing import Array, DType


def _draw(
    state: Array, shape: tuple[int, ...], sample: Callable[[Array, tuple[int]], Array]
) -> tuple[Array, Array]:
    # The generator is named, so that a program's numbers do not depend on JAX's configuration.
    key = jax.random.wrap_key_data(state, impl="threefry2x32")
    following, own = jax.random.split(key)
    # The numbers are those of a draw in `shape`, but XLA takes four times as long to compile
    # Threefry over four axes on CPU as over one.
    values = sample(own, (prod(shape),)).reshape(shape)
    return jax.random.key_data(following), values


def normal(state: Array, /, shape: tuple[int, ...], dtype: DType) -> tuple[Array, Array]:
    """Standard normal values."""
    return _draw(state, shape, lambda key, flat: jax.random.normal(key, flat, dtype))


def uniform(
    state: Array, low: Any, high: Any, /, shape: tuple[int, ...], dtype: DType
) -> tuple[Array, Array]:
    """Values spread evenly over [low, high)."""
    return _draw(state, shape, lambda key, flat: jax.random.uniform(key, flat, dtype, low, high))


def randint(state: Array, low: Any, high: Any, /, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Integers spread evenly over [low, high)."""
    return _draw(state, shape, lambda key, flat: jax.random.randint(key, flat, low, high))


def permutation(state: Array, /, n: int) -> tuple[Array, Array]:
    """The integers from 0 to n - 1 in random order."""
    return _draw(state, (n,), lambda key, _: jax.random.permutation(key, n))


def bernoulli(state: Array, probs: Array, /) -> tuple[Array, Array]:
    """One with probability `probs`, else zero, in the dtype of `probs`."""
    probs = jnp.asarray(probs)

    def sample(key: Array, flat: tuple[int]) -> Array:
        return jax.random.bernoulli(key, probs.reshape(flat)).astype(probs.dtype)

    return _draw(state, probs.shape, sample)
