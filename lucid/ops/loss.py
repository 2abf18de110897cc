"""Losses."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp

from lucid._typing import Array, Operand

Reduction = Literal["mean", "sum"] | None


def reduced(call: str, values: Array, reduction: Reduction | Literal["none"]) -> Array:
    """`values`, their mean or their sum."""
    if reduction == "mean":
        return jnp.mean(values)
    if reduction == "sum":
        return jnp.sum(values)
    if reduction in (None, "none"):
        return values
    raise ValueError(f'{call}: reduction must be "mean", "sum" or None, got {reduction!r}.')


def mse_loss(input: Operand, target: Operand, /, reduction: Reduction = "mean") -> Array:
    """Squared difference."""
    if jnp.shape(input) != jnp.shape(target):
        raise ValueError(
            f"mse_loss: input and target must have one shape, got {jnp.shape(input)} and "
            f"{jnp.shape(target)}."
        )
    return reduced("mse_loss", jnp.square(jnp.subtract(input, target)), reduction)
