"""Dropouts: each takes a random state and returns the next state with the thinned input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.activation import SELU_ALPHA, SELU_SCALE
from lucid.ops.pool import max_pool
from lucid.ops.precision import wide
from lucid.ops.random import uniform

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


@op
def dropout(
    state: Operand, input_: Operand, p: Operand, axes: tuple[int, ...], rescale: bool = True
) -> tuple[Tensor, Tensor]:
    """Zeros with probability `p`, one draw for each position on `axes`; the rest is scaled up."""
    x = jnp.asarray(input_)
    following, keep = _draw(state, x, p, axes)
    scale = jnp.where(p < 1, 1 / (1 - _below_one(p)), 1.0) if rescale else 1.0
    return following, jnp.where(keep, x * scale, 0).astype(x.dtype)


@op
def alpha_dropout(state: Operand, input_: Operand, p: Operand) -> tuple[Tensor, Tensor]:
    """Sets to SELU's lower bound with probability `p`, and keeps mean and variance."""
    x = jnp.asarray(input_)
    following, keep = _draw(state, x, p, tuple(range(x.ndim)))
    bound = -SELU_SCALE * SELU_ALPHA
    q = _below_one(p)
    scale = jnp.where(p < 1, 1 / jnp.sqrt((1 - q) * (1 + q * bound**2)), 0.0)
    return following, (jnp.where(keep, x, bound) * scale - scale * bound * p).astype(x.dtype)


@op
def drop_block(
    state: Operand, input_: Operand, p: Operand, eps: Operand, block_size: int
) -> tuple[Tensor, Tensor]:
    """Zeros squares of (N, C, H, W), about a share `p` of it; the rest is scaled up."""
    x, b = jnp.asarray(input_), block_size
    height, width = x.shape[2:]
    inner = (*x.shape[:2], height - b + 1, width - b + 1)
    # Ghiasi et al., arXiv:1810.12890, equation 1.
    gamma = p * (height * width / (b * b * inner[2] * inner[3]))
    following, draws = uniform(state, 0.0, 1.0, shape=inner, dtype=jnp.float32)
    corners = jnp.pad(
        (draws < gamma).astype(jnp.float32), ((0, 0), (0, 0), (b - 1,) * 2, (b - 1,) * 2)
    )
    keep = 1 - max_pool(corners, rank=2, kernel_size=b, stride=1)
    return following, (wide(x) * keep * (keep.size / (jnp.sum(keep) + eps))).astype(x.dtype)


def _below_one(p: Operand) -> Array:
    """`p`, or 0 in place of 1, by which nothing can be scaled."""
    return jnp.where(p < 1, p, 0.0)


def _draw(state: Operand, x: Array, p: Operand, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """The next state, and whether to keep; one draw for each position on `axes`."""
    shape = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    following, draws = uniform(state, 0.0, 1.0, shape=shape, dtype=jnp.float32)
    return following, draws >= p
