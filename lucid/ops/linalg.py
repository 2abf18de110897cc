"""Products of matrices and of higher arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Operand
from lucid.ops.precision import in_float32, summed_in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "dot",
    "einsum",
    "inner",
    "matmul",
    "outer",
    "tensordot",
]


@op
@summed_in_float32
def matmul(a: Operand, b: Operand) -> Tensor:
    """Matrix product over the last two axes; leading axes broadcast.

    Shape: (..., n, k), (..., k, m) -> (..., n, m)

    Raises:
        ValueError: the sizes do not match.

    >>> lucid.matmul(Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]]))
    Tensor([[11.]])
    """
    first, second = jnp.shape(a), jnp.shape(b)
    if first and second and first[-1] != second[-2:][0]:
        raise ValueError(
            "matmul: the last axis of a must be as long as the last but one of b, got "
            f"{first} and {second}."
        )
    return jnp.matmul(a, b)


@op
@summed_in_float32
def dot(a: Operand, b: Operand) -> Tensor:
    """Sum of products over the last axis of `a` and the last but one of `b`.

    >>> lucid.dot(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor(11.)
    """
    return jnp.dot(a, b)


@op
@summed_in_float32
def inner(a: Operand, b: Operand) -> Tensor:
    """Sum of products over the last axis of both.

    Shape: (*A, k), (*B, k) -> (*A, *B)

    >>> lucid.inner(Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([10.0, 1.0]))
    Tensor([12., 34.])
    """
    return jnp.inner(a, b)


@op
@in_float32
def outer(a: Operand, b: Operand) -> Tensor:
    """All products of an element of `a` with one of `b`, both flattened.

    >>> lucid.outer(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor([[3., 4.],
            [6., 8.]])
    """
    return jnp.outer(a, b)


@op
@summed_in_float32
def tensordot(
    a: Operand, b: Operand, axes: int | Sequence[Sequence[int]] | Sequence[int] = 2
) -> Tensor:
    """Sum of products over the last `axes` axes of `a` and the first of `b`, or over named pairs.

    >>> a, b = Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> lucid.tensordot(a, b, axes=2)
    Tensor(9.)
    """
    return jnp.tensordot(a, b, axes)


@op
@summed_in_float32
def einsum(subscripts: str, *operands: Operand) -> Tensor:
    """Sum of products that `subscripts` names, in Einstein's notation.

    >>> lucid.einsum("ij,j->i", Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([1.0, 1.0]))
    Tensor([3., 7.])
    """
    return jnp.einsum(subscripts, *operands)
