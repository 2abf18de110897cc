"""Dropouts: each takes a random state and returns the next state with the thinned input."""

from __future__ import annotations

import math

import jax.numpy as jnp

from lucid._core.typing import Array
from lucid.ops.activation import SELU_ALPHA, SELU_SCALE
from lucid.ops.pool import max_pool
from lucid.ops.precision import wide
from lucid.ops.random import uniform


def dropout(
    state: Array, x: Array, /, p: float, axes: tuple[int, ...], rescale: bool = True
) -> tuple[Array, Array]:
    """Zeros with probability `p`, one draw for each position on `axes`; the rest is scaled up."""
    following, keep = _draw(state, x, p, axes)
    scale = 1 / (1 - p) if rescale and p < 1 else 1.0
    return following, jnp.where(keep, x * scale, 0).astype(x.dtype)


def alpha_dropout(state: Array, x: Array, /, p: float) -> tuple[Array, Array]:
    """Sets to SELU's lower bound with probability `p`, and keeps mean and variance."""
    following, keep = _draw(state, x, p, tuple(range(x.ndim)))
    bound = -SELU_SCALE * SELU_ALPHA
    scale = 1 / math.sqrt((1 - p) * (1 + p * bound**2)) if p < 1 else 0.0
    return following, (jnp.where(keep, x, bound) * scale - scale * bound * p).astype(x.dtype)


def drop_block(
    state: Array, x: Array, /, block_size: int, p: float, eps: float
) -> tuple[Array, Array]:
    """Zeros squares of x (N, C, H, W), about a share `p` of it; the rest is scaled up."""
    height, width = x.shape[2:]
    b = block_size
    inner = (*x.shape[:2], height - b + 1, width - b + 1)
    # Ghiasi et al., arXiv:1810.12890, equation 1.
    gamma = p * height * width / (b * b * inner[2] * inner[3])
    following, draws = uniform(state, 0.0, 1.0, shape=inner, dtype=jnp.float32)
    corners = jnp.pad(
        (draws < gamma).astype(jnp.float32), ((0, 0), (0, 0), (b - 1,) * 2, (b - 1,) * 2)
    )
    keep = 1 - max_pool(corners, rank=2, kernel_size=b, stride=1)
    return following, (wide(x) * keep * (keep.size / (jnp.sum(keep) + eps))).astype(x.dtype)


def _draw(state: Array, x: Array, p: float, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """The next state, and whether to keep; one draw for each position on `axes`."""
    shape = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    following, draws = uniform(state, 0.0, 1.0, shape=shape, dtype=jnp.float32)
    return following, draws >= p
