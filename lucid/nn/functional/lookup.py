"""From class numbers to vectors, as functions."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from lucid._core.arrays import canonical_dtype
from lucid._core.mode import no_grad
from lucid._core.tensor import Tensor
from lucid._core.typing import DType, Exponent, Operand
from lucid.ops import lookup


def embedding(
    input_: Operand,
    weight: Operand,
    padding_idx: int | None = None,
    max_norm: Operand | None = None,
    norm_type: Exponent = 2.0,
) -> Tensor:
    """The rows of `weight` that the integers of `input_` name.

    A row that does not exist is an error if the integers come from the host, or lie ready on the
    CPU and are fewer than 65,536; else, as in a compiled function, it is NaN.

    Shape: (*), weight (V, E) -> (*, E)

    Args:
        padding_idx: a row that gets no gradient.
        max_norm: rows that are named and have a larger norm are first scaled down, in `weight`
            itself, which must be a Tensor.
        norm_type: the order of that norm.

    Raises:
        TypeError: `input_` does not hold integers; `weight` with a `max_norm` is no Tensor.
        ValueError: `padding_idx` is no row, or `max_norm` is negative.
        IndexError: an integer of `input_` names no row.

    >>> F.embedding(Tensor([2, 0]), Tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]))
    Tensor([[4., 5.],
            [0., 1.]])
    """
    if max_norm is not None:
        if not isinstance(weight, Tensor):
            raise TypeError(
                f"embedding: with max_norm the weight is changed in place and must be a Tensor, "
                f"got {type(weight).__name__}."
            )
        if padding_idx is not None:  # before the weight changes
            lookup.padding_row("embedding", padding_idx, len(weight))
        with no_grad():
            weight.data = lookup.renormalised(weight, input_, max_norm, norm_type)
    return lookup.embedding(input_, weight, padding_idx)


def one_hot(input_: Operand, num_classes: int = -1, dtype: DType = None) -> Tensor:
    """1 at the position that each integer names, else 0.

    An integer out of range is an error, or gives zeros where `embedding` gives NaN.

    Shape: (*) -> (*, num_classes)

    Args:
        num_classes: -1 for one more than the largest integer, which a compiled function cannot
            know.
        dtype: of the result; integers by default.

    Raises:
        TypeError: `input_` does not hold integers, or `num_classes` is none.
        IndexError: an integer is negative, or not below `num_classes`.
        ValueError: `num_classes` is neither positive nor -1, or is -1 and `input_` is empty.

    >>> F.one_hot(Tensor([1, 0]), 3)
    Tensor([[0, 1, 0],
            [1, 0, 0]], dtype=int32)
    """
    data: Any = input_.data if isinstance(input_, Tensor) else input_
    if not hasattr(num_classes, "__index__"):
        raise TypeError(f"one_hot: num_classes must be an integer, got {num_classes!r}.")
    if num_classes < -1 or num_classes == 0 or (num_classes == -1 and not jnp.size(data)):
        raise ValueError(
            "one_hot: num_classes must be positive, or -1 for one more than the largest integer of "
            f"an input that is not empty, got {num_classes} for input shape {jnp.shape(data)}."
        )
    classes = max(1, int(jnp.max(data)) + 1) if num_classes == -1 else num_classes
    kind = canonical_dtype(int if dtype is None else dtype)
    return lookup.one_hot(input_, classes, kind)
