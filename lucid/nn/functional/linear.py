"""Affine maps as functions."""

from __future__ import annotations

from lucid import ops
from lucid._core.gate import apply
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand


def linear(input_: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """Affine map of the last axis: `input_ @ weight.T + bias`.

    Shape: (..., I), weight (O, I), bias (O,) -> (..., O)

    Raises:
        ValueError: the sizes do not match.

    >>> F.linear(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]]), Tensor([5.0]))
    Tensor([[16.]])
    """
    return apply(ops.linalg.linear, input_, weight, bias)
