"""Affine maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Operand
from lucid.ops.precision import in_float32, summed_in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = ["linear"]


@op
@summed_in_float32
def linear(input_: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """Affine map of the last axis: `input_ @ weight.T + bias`.

    Shape: (..., I), weight (O, I), bias (O,) -> (..., O)

    Raises:
        ValueError: the sizes do not match.

    >>> F.linear(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]]), Tensor([5.0]))
    Tensor([[16.]])
    """
    if jnp.ndim(weight) != 2 or jnp.shape(input_)[-1:] != jnp.shape(weight)[1:]:
        raise ValueError(
            "linear: the last axis of the input must be as long as the last of the weight, which "
            f"has two axes; got input {jnp.shape(input_)} and weight {jnp.shape(weight)}."
        )
    y = jnp.matmul(input_, jnp.swapaxes(weight, 0, 1))
    return y if bias is None else in_float32(jnp.add)(y, bias)
