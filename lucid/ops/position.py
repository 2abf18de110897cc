"""Where a token stands, as waves that are added to it or as a rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.precision import narrowed, wide, wide_dtype

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


@op
def sinusoids(positions: Operand, embed_dim: int, dtype: np.dtype[Any]) -> Tensor:
    """sin and cos of angles that grow with the position, in turns: (L,) -> (L, embed_dim)."""
    angles = _angles(positions, embed_dim, wide_dtype(dtype))
    waves = jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1)
    return waves.reshape(*waves.shape[:-2], 2 * waves.shape[-2])[..., :embed_dim].astype(dtype)


@op
def rotary_pos_embedding(
    input_: Operand, position_ids: Operand | None = None, interleaved: bool = True
) -> Tensor:
    """Rotate pairs of elements of the last axis by angles that grow with the position.

    The pair i of D / 2 turns by position * 10000**(-2 * i / D), so that products of rotated queries
    and keys depend on the distance alone (Su et al., arXiv:2104.09864). Angles are computed in
    float32, or float64 of such an input.

    Shape: (..., L, D), unchanged

    Args:
        position_ids: (L,), or (N, L) where the first axis is a batch of N; 0 to L - 1 by default.
        interleaved: pairs are the elements 2 * i and 2 * i + 1, or else i and i + D / 2.

    Raises:
        ValueError: D is odd, or shapes do not fit.

    >>> F.rotary_pos_embedding(Tensor([[1.0, 0.0], [1.0, 0.0]]))
    Tensor([[1.    , 0.    ],
            [0.5403, 0.8415]])
    """
    x = wide(input_)
    if x.ndim < 2 or x.shape[-1] % 2:
        raise ValueError(
            "rotary_pos_embedding: an input (..., L, D) with an even D is needed, got shape "
            f"{x.shape}."
        )
    n = x.shape[-2]
    positions = jnp.arange(n) if position_ids is None else jnp.asarray(position_ids)
    if positions.shape != (n,):
        if x.ndim < 3 or positions.shape != (x.shape[0], n):
            batch = f" or ({x.shape[0]}, {n})" if x.ndim > 2 else ""
            raise ValueError(
                f"rotary_pos_embedding: position_ids must have shape ({n},){batch} for an input of "
                f"shape {x.shape}, got {positions.shape}."
            )
        positions = positions.reshape(x.shape[0], *(1,) * (x.ndim - 3), n)
    angles = _angles(positions, x.shape[-1], x.dtype)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    half = x.shape[-1] // 2
    pairs = x.reshape(*x.shape[:-1], *((half, 2) if interleaved else (2, half)))
    axis = -1 if interleaved else -2
    a, b = jnp.moveaxis(pairs, axis, 0)
    turned = jnp.stack([a * cos - b * sin, a * sin + b * cos], axis)
    return narrowed(turned.reshape(x.shape), input_)


def _angles(positions: Operand, size: int, dtype: Any) -> Array:
    """position * 10000**(-2 * i / size) for each i below size / 2; arXiv:1706.03762, 3.5."""
    rates = 10000.0 ** (-np.arange(0, size, 2) / size)
    return jnp.expand_dims(jnp.asarray(positions, dtype), -1) * rates.astype(dtype)
