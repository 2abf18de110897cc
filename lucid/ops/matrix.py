"""The diagonals and triangles of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Operand
from lucid.ops.precision import in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "diagonal",
    "trace",
    "tril",
    "triu",
]


@op
def diag(v: Operand, k: int = 0) -> Tensor:
    """The matrix with `v` on diagonal `k` and zeros elsewhere; of a matrix, its diagonal `k`."""
    if jnp.ndim(v) not in (1, 2):
        raise ValueError(f"diag: a vector or a matrix is needed, got shape {jnp.shape(v)}.")
    return jnp.diag(v, k)


@op
@in_float32
def trace(a: Operand) -> Tensor:
    """The sum of the diagonal of the first two axes.

    Raises:
        ValueError: there are fewer than two axes.

    >>> lucid.trace(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5.)
    """
    if jnp.ndim(a) < 2:
        raise ValueError(f"trace: a matrix is needed, got shape {jnp.shape(a)}.")
    return jnp.trace(a)


@op
def tril(a: Operand, diagonal: int = 0) -> Tensor:
    """`a` with zeros above the diagonal of its last two axes.

    >>> lucid.tril(lucid.ones(2, 2))
    Tensor([[1., 0.],
            [1., 1.]])
    """
    return jnp.tril(a, diagonal)


@op
def triu(a: Operand, diagonal: int = 0) -> Tensor:
    """`a` with zeros below the diagonal of its last two axes.

    >>> lucid.triu(lucid.ones(2, 2))
    Tensor([[1., 1.],
            [0., 1.]])
    """
    return jnp.triu(a, diagonal)


@op
def diagonal(a: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of two axes, as the last axis.

    >>> lucid.diagonal(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([1., 4.])
    """
    return jnp.diagonal(a, offset, axis1, axis2)
