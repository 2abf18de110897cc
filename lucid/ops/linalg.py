"""Products of matrices and of higher arrays."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from lucid._core.typing import Array, Operand


def matmul(a: Operand, b: Operand, /) -> Array:
    """Matrix product over the last two axes; leading axes broadcast.

    Shape: (..., n, k), (..., k, m) -> (..., n, m)

    >>> lucid.matmul(Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]]))
    Tensor([[11.]])
    """
    return jnp.matmul(a, b)


def dot(a: Operand, b: Operand, /) -> Array:
    """Sum of products over the last axis of `a` and the last but one of `b`.

    >>> lucid.dot(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor(11.)
    """
    return jnp.dot(a, b)


def outer(a: Operand, b: Operand, /) -> Array:
    """All products of an element of `a` with one of `b`, both flattened.

    >>> lucid.outer(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor([[3., 4.],
            [6., 8.]])
    """
    return jnp.outer(a, b)


def tensordot(
    a: Operand, b: Operand, /, axes: int | Sequence[Sequence[int]] | Sequence[int] = 2
) -> Array:
    """Sum of products over the last `axes` axes of `a` and the first of `b`, or over named pairs.

    >>> a, b = Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> lucid.tensordot(a, b, axes=2)
    Tensor(9.)
    """
    return jnp.tensordot(a, b, axes)


def einsum(*operands: Operand, subscripts: str) -> Array:
    """Sum of products that `subscripts` names, in Einstein's notation."""
    return jnp.einsum(subscripts, *operands)


def linear(x: Operand, weight: Operand, bias: Operand | None = None, /) -> Array:
    """`x @ weight.T + bias`."""
    if jnp.ndim(weight) != 2 or jnp.shape(x)[-1:] != jnp.shape(weight)[1:]:
        raise ValueError(
            "linear: the last axis of the input must be as long as the last of the weight, which "
            f"has two axes; got input {jnp.shape(x)} and weight {jnp.shape(weight)}."
        )
    y = jnp.matmul(x, jnp.swapaxes(weight, 0, 1))
    return y if bias is None else y + bias
