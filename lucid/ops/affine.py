"""Affine maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.precision import check_one_dtype, in_float32, summed_in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = ["bilinear", "linear"]


@op
def linear(input_: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """Affine map of the last axis: `input_ @ weight.T + bias`.

    Shape: (..., I), weight (O, I), bias (O,) -> (..., O)

    Raises:
        ValueError: the sizes do not match.
        TypeError: dtypes differ.

    >>> F.linear(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]]), Tensor([5.0]))
    Tensor([[16.]])
    """
    if jnp.ndim(weight) != 2 or jnp.shape(input_)[-1:] != jnp.shape(weight)[1:]:
        raise ValueError(
            "linear: the last axis of the input must be as long as the last of the weight, which "
            f"has two axes; got input {jnp.shape(input_)} and weight {jnp.shape(weight)}."
        )
    check_one_dtype("linear", input_, weight, bias)
    return _linear(input_, weight, bias)


@summed_in_float32
def _linear(x: Operand, weight: Operand, bias: Operand | None) -> Array:
    return _with_bias(jnp.matmul(x, jnp.swapaxes(weight, 0, 1)), bias)


@op
def bilinear(
    input_1: Operand, input_2: Operand, weight: Operand, bias: Operand | None = None
) -> Tensor:
    """A bilinear form for each output: `y[o] = x1 @ weight[o] @ x2 + bias[o]`.

    Shape: (..., I1), (..., I2), weight (O, I1, I2), bias (O,) -> (..., O)

    Raises:
        ValueError: the sizes do not match.
        TypeError: dtypes differ.

    >>> F.bilinear(Tensor([[1.0, 2.0]]), Tensor([[3.0]]), Tensor([[[1.0], [10.0]]]))
    Tensor([[63.]])
    """
    shapes = [jnp.shape(x) for x in (input_1, input_2, weight)]
    first, second, of_weight = shapes
    if (
        len(of_weight) != 3
        or (*first[-1:], *second[-1:]) != of_weight[1:]
        or first[:-1] != second[:-1]
    ):
        raise ValueError(
            "bilinear: inputs (..., I1) and (..., I2) and a weight (O, I1, I2) are needed, got "
            f"{first}, {second} and {of_weight}."
        )
    check_one_dtype("bilinear", input_1, input_2, weight, bias)
    return _bilinear(input_1, input_2, weight, bias)


@summed_in_float32
def _bilinear(a: Operand, b: Operand, weight: Operand, bias: Operand | None) -> Array:
    return _with_bias(jnp.einsum("...i,oij,...j->...o", a, weight, b), bias)


def _with_bias(y: Array, bias: Operand | None) -> Array:
    return y if bias is None else in_float32(jnp.add)(y, bias)
