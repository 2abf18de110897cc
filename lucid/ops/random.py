"""Random draws as pure functions: each takes a state and returns the next state with the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lucid._typing import Array, DType


def _draw(state: Array, sample: Callable[[Array], Array]) -> tuple[Array, Array]:
    # The generator is named, so that a program's numbers do not depend on JAX's configuration.
    key = jax.random.wrap_key_data(state, impl="threefry2x32")
    following, own = jax.random.split(key)
    return jax.random.key_data(following), sample(own)


def normal(state: Array, /, shape: tuple[int, ...], dtype: DType) -> tuple[Array, Array]:
    """Standard normal values."""
    return _draw(state, lambda key: jax.random.normal(key, shape, dtype))


def uniform(
    state: Array, low: Any, high: Any, /, shape: tuple[int, ...], dtype: DType
) -> tuple[Array, Array]:
    """Values spread evenly over [low, high)."""
    return _draw(state, lambda key: jax.random.uniform(key, shape, dtype, low, high))


def randint(state: Array, low: Any, high: Any, /, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Integers spread evenly over [low, high)."""
    return _draw(state, lambda key: jax.random.randint(key, shape, low, high))


def permutation(state: Array, /, n: int) -> tuple[Array, Array]:
    """The integers from 0 to n - 1 in random order."""
    return _draw(state, lambda key: jax.random.permutation(key, n))


def bernoulli(state: Array, probs: Array, /) -> tuple[Array, Array]:
    """One with probability `probs`, else zero, in the dtype of `probs`."""

    def sample(key: Array) -> Array:
        return jax.random.bernoulli(key, probs).astype(jnp.asarray(probs).dtype)

    return _draw(state, sample)
