"""From class numbers to vectors, as functions."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from lucid._core.arrays import canonical_dtype
from lucid._core.gate import apply
from lucid._core.mode import no_grad
from lucid._core.tensor import Tensor
from lucid._core.typing import DType, Operand
from lucid.ops import lookup


def embedding(
    input_: Operand,
    weight: Operand,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
) -> Tensor:
    """The rows of `weight` that the integers of `input_` name.

    A row that does not exist is NaN: a compiled program cannot raise.

    Shape: (*), weight (V, E) -> (*, E)

    Args:
        padding_idx: a row that gets no gradient.
        max_norm: rows that are named and have a larger norm are first scaled down, in `weight`
            itself, which must be a Tensor.
        norm_type: the order of that norm.

    Raises:
        TypeError: `input_` does not hold integers; `weight` with a `max_norm` is no Tensor.
        ValueError: `padding_idx` is no row.

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
        with no_grad():
            weight.data = apply(
                lookup.renormalised, weight, input_, max_norm=max_norm, norm_type=norm_type
            )
    return apply(lookup.embedding, input_, weight, padding_idx=padding_idx)


def one_hot(input_: Operand, num_classes: int = -1, dtype: DType = None) -> Tensor:
    """1 at the position that each integer names, else 0; zeros if it is out of range.

    Shape: (*) -> (*, num_classes)

    Args:
        num_classes: -1 for one more than the largest integer, which a compiled function cannot
            know.
        dtype: of the result; integers by default.

    Raises:
        TypeError: `input_` does not hold integers.

    >>> F.one_hot(Tensor([1, 0]), 3)
    Tensor([[0, 1, 0],
            [1, 0, 0]], dtype=int32)
    """
    data: Any = input_.data if isinstance(input_, Tensor) else input_
    classes = int(jnp.max(data)) + 1 if num_classes == -1 else num_classes
    kind = canonical_dtype(int if dtype is None else dtype)
    return apply(lookup.one_hot, input_, num_classes=classes, dtype=kind)
