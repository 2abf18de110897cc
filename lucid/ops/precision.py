"""In which precision to compute."""

from __future__ import annotations

import jax.numpy as jnp

from lucid._core.typing import Array, Operand


def wide(x: Operand) -> Array:
    """`x` in float32 if its dtype is narrower or an integer: for sums, logarithms and powers."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def narrowed(y: Array, like: Operand) -> Array:
    """`y` in the dtype of `like`, the input that it was computed from; as it is for integers."""
    dtype = jnp.result_type(like)
    return y.astype(dtype) if jnp.issubdtype(dtype, jnp.inexact) else y
