"""Weights computed from other Parameters."""

from __future__ import annotations

import jax.numpy as jnp

from lucid._core.typing import Array
from lucid.ops.precision import narrowed, wide


def power_iteration(
    weight: Array, u: Array, v: Array, /, dim: int, steps: int, eps: float
) -> tuple[Array, Array]:
    """Better estimates of the first left and right singular vectors of `as_matrix(weight)`."""
    matrix, left, right = as_matrix(weight, dim), wide(u), wide(v)
    for _ in range(steps):
        right = _unit(matrix.T @ left, eps)
        left = _unit(matrix @ right, eps)
    return narrowed(left, u), narrowed(right, v)


def spectral_norm(weight: Array, u: Array, v: Array, /, dim: int) -> Array:
    """`weight` divided by its spectral norm, of which u and v are the singular vectors."""
    sigma = wide(u) @ as_matrix(weight, dim) @ wide(v)
    return narrowed(wide(weight) / sigma, weight)


def weight_norm(g: Array, v: Array, /, dim: int | None) -> Array:
    """`v` scaled to the norm `g` in each slice along `dim`."""
    return narrowed(wide(v) * (wide(g) / slice_norm(v, dim)), v)


def slice_norm(v: Array, /, dim: int | None) -> Array:
    """The Euclidean norm of each slice along `dim`, all other axes being 1; of all if None."""
    axes = None if dim is None else tuple(i for i in range(v.ndim) if i != dim % v.ndim)
    return narrowed(
        jnp.sqrt(jnp.sum(jnp.square(wide(v)), axes, keepdims=dim is not None)),
        v,
    )


def as_matrix(weight: Array, dim: int) -> Array:
    """`weight` with the axis `dim` as rows and all others as columns."""
    return jnp.moveaxis(wide(weight), dim, 0).reshape(weight.shape[dim], -1)


def _unit(vector: Array, eps: float) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), eps)
