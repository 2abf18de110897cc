"""In which precision to compute."""

from __future__ import annotations

import jax.numpy as jnp

from lucid._typing import Array, Operand


def wide(x: Operand) -> Array:
    """`x` in float32 if its dtype is narrower or an integer: for sums, logarithms and powers."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
