"""Constraints on the kernels of a convolution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.precision import in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


@op
@in_float32
def constrained(
    weight: Operand, eps: Operand, limit: Operand, center: Operand, constraint: str, rank: int
) -> Tensor:
    """`weight` with each kernel, its last `rank` axes, as the constraint wants it."""
    axes = tuple(range(-rank, 0))

    def scaled(kernels: Array, to: Array) -> Array:
        return kernels / (jnp.sum(kernels, axes, keepdims=True) + eps) * to

    length = jnp.sqrt(jnp.sum(weight * weight, axes, keepdims=True) + eps)
    if constraint == "nonneg":
        return jax.nn.relu(weight)
    if constraint == "sum_to_one":
        return scaled(weight, 1)
    if constraint == "zero_mean":
        return weight - jnp.mean(weight, axes, keepdims=True)
    if constraint == "nonneg_sum1":
        return scaled(jax.nn.relu(weight), 1)
    if constraint == "unit_l2":
        return weight / length
    if constraint == "max_l2":
        return weight * jnp.minimum(limit / length, 1)
    sizes = weight.shape[-rank:]
    middle = jnp.arange(math.prod(sizes)).reshape(sizes) == math.prod(sizes) // 2
    return jnp.where(middle, center, scaled(jnp.where(middle, 0, weight), limit))
