"""Writing keys and values into the places that are kept for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


@op
def written(
    keys: Operand,
    values: Operand,
    length: Operand,
    key: Operand,
    value: Operand,
    positions: Operand | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keys and values (..., S, D) with new ones (..., L, D); their positions, and the new length.

    If a position does not exist, NaN are written, so that all later results show it.

    Args:
        length: how many of the S places are filled.
        positions: (L,), or (N, L) for the first axis; None for those behind the filled places.
    """
    keys, values = jnp.asarray(keys), jnp.asarray(values)
    if positions is None:
        positions = length + jnp.arange(jnp.shape(key)[-2], dtype=jnp.int32)
    at = jnp.asarray(positions, jnp.int32)
    exists = jnp.all((at >= 0) & (at < keys.shape[-2]))
    longest = jnp.maximum(length, jnp.max(at, initial=-1) + 1).astype(jnp.int32)
    return _put(keys, key, at, exists), _put(values, value, at, exists), at, longest


def _put(places: Array, new: Operand, at: Array, exists: Array) -> Array:
    new = jnp.where(exists, new, jnp.nan).astype(places.dtype)
    return jax.vmap(_put_each)(places, new, at) if at.ndim == 2 else _put_each(places, new, at)


def _put_each(places: Array, new: Array, at: Array) -> Array:
    return places.at[..., at, :].set(new, mode="clip")


@op
def latest(
    keys: Operand, values: Operand, length: Operand, n: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and length, the last `n` of the filled places moved to the start."""
    kept = jnp.minimum(length, n).astype(jnp.int32)
    keys, values = (jnp.roll(x, kept - length, -2) for x in (keys, values))
    return keys, values, kept
