"""Weights computed from other Parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.precision import narrowed, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


@op
def power_iteration(
    weight: Operand, u: Operand, v: Operand, dim: int, steps: int, eps: Operand
) -> tuple[Tensor, Tensor]:
    """Better estimates of the first left and right singular vectors of `as_matrix(weight)`."""
    matrix, left, right = as_matrix(weight, dim), wide(u), wide(v)
    for _ in range(steps):
        right = _unit(matrix.T @ left, eps)
        left = _unit(matrix @ right, eps)
    return narrowed(left, u), narrowed(right, v)


@op
def spectral_norm(weight: Operand, u: Operand, v: Operand, dim: int) -> Tensor:
    """`weight` divided by its spectral norm, of which u and v are the singular vectors."""
    sigma = wide(u) @ as_matrix(weight, dim) @ wide(v)
    return narrowed(wide(weight) / sigma, weight)


@op
def weight_norm(g: Operand, v: Operand, dim: int | None) -> Tensor:
    """`v` scaled to the norm `g` in each slice along `dim`."""
    return narrowed(wide(v) * (wide(g) / slice_norm.pure(v, dim)), v)


@op
def slice_norm(v: Operand, dim: int | None) -> Tensor:
    """The Euclidean norm of each slice along `dim`, all other axes being 1; of all if None."""
    x = wide(v)
    axes = None if dim is None else tuple(i for i in range(x.ndim) if i != dim % x.ndim)
    return narrowed(jnp.sqrt(jnp.sum(jnp.square(x), axes, keepdims=dim is not None)), v)


def as_matrix(weight: Operand, dim: int) -> Array:
    """`weight` with the axis `dim` as rows and all others as columns."""
    rows = jnp.moveaxis(wide(weight), dim, 0)
    return rows.reshape(rows.shape[0], -1)


def _unit(vector: Array, eps: Operand) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), eps)
