"""Losses. Half-precision inputs are computed in float32; results keep the input's dtype."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from lucid._typing import Array, Operand
from lucid.ops.precision import wide

Reduction = Literal["mean", "sum", "none"] | None


def mse_loss(input_: Operand, target: Operand, /, reduction: Reduction = "mean") -> Array:
    """Squared difference."""
    x, t = _pair("mse_loss", input_, target)
    return _reduced("mse_loss", jnp.square(x - t), reduction, input_)


def binary_cross_entropy_with_logits(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    pos_weight: Operand | None = None,
    /,
    reduction: Reduction = "mean",
) -> Array:
    """Cross entropy of Bernoulli distributions given by logits."""
    call = "binary_cross_entropy_with_logits"
    x, t = _pair(call, input_, target)
    positive = -t * jax.nn.log_sigmoid(x)
    if pos_weight is not None:
        positive = positive * _broadcast(call, "pos_weight", pos_weight, x)
    values = positive - (1 - t) * jax.nn.log_sigmoid(-x)
    if weight is not None:
        values = values * _broadcast(call, "weight", weight, x)
    return _reduced(call, values, reduction, input_)


def _pair(call: str, input_: Operand, target: Operand) -> tuple[Array, Array]:
    """Input and target in the precision to compute in; a target that is one number is broadcast."""
    x, t = wide(input_), wide(target)
    if t.ndim and t.shape != x.shape:
        raise ValueError(
            f"{call}: input and target must have one shape, got {x.shape} and {t.shape}."
        )
    return x, t


def _broadcast(call: str, name: str, value: Operand, like: Array) -> Array:
    """`value`, which must broadcast to the shape of `like` without enlarging it."""
    value = wide(value)
    try:
        fits = jnp.broadcast_shapes(value.shape, like.shape) == like.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{call}: {name} must broadcast to the input's shape {like.shape}, got {value.shape}."
        )
    return value


def _reduced(call: str, values: Array, reduction: Reduction, input_: Operand) -> Array:
    """`values`, their mean or their sum, in the dtype of the input."""
    if reduction == "mean":
        values = jnp.mean(values)
    elif reduction == "sum":
        values = jnp.sum(values)
    elif reduction not in (None, "none"):
        raise ValueError(f'{call}: reduction must be "mean", "sum" or None, got {reduction!r}.')
    dtype = jnp.result_type(input_)
    return values.astype(dtype) if jnp.issubdtype(dtype, jnp.floating) else values
