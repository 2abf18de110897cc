"""Losses. Half-precision inputs are computed in float32; results keep the input's dtype."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from lucid._core.typing import Array, Operand
from lucid.ops.precision import narrowed, wide

Reduction = Literal["mean", "sum", "none"] | None


def mse_loss(input_: Operand, target: Operand, /, reduction: Reduction = "mean") -> Array:
    """Squared difference."""
    x, t = paired("mse_loss", input_, target)
    return reduced("mse_loss", jnp.square(x - t), reduction, input_)


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
    x, t = paired(call, input_, target)
    positive = -t * jax.nn.log_sigmoid(x)
    if pos_weight is not None:
        positive = positive * _broadcast(call, "pos_weight", pos_weight, x)
    values = positive - (1 - t) * jax.nn.log_sigmoid(-x)
    if weight is not None:
        values = values * _broadcast(call, "weight", weight, x)
    return reduced(call, values, reduction, input_)


def l1_loss(input_: Operand, target: Operand, /, reduction: Reduction = "mean") -> Array:
    """Absolute difference."""
    x, t = paired("l1_loss", input_, target)
    return reduced("l1_loss", jnp.abs(x - t), reduction, input_)


def smooth_l1_loss(
    input_: Operand, target: Operand, /, reduction: Reduction = "mean", beta: float = 1.0
) -> Array:
    """Squared difference / (2 * beta) below beta, else the absolute difference - beta / 2."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}.")
    x, t = paired("smooth_l1_loss", input_, target)
    size = jnp.abs(x - t)
    if beta > 0:
        size = jnp.where(size < beta, jnp.square(x - t) * (0.5 / beta), size - 0.5 * beta)
    return reduced("smooth_l1_loss", size, reduction, input_)


def huber_loss(
    input_: Operand, target: Operand, /, delta: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """Squared difference / 2 up to delta, else delta * (absolute difference - delta / 2)."""
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}.")
    x, t = paired("huber_loss", input_, target)
    size = jnp.abs(x - t)
    values = jnp.where(size <= delta, 0.5 * jnp.square(x - t), delta * (size - 0.5 * delta))
    return reduced("huber_loss", values, reduction, input_)


def binary_cross_entropy(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    /,
    reduction: Reduction = "mean",
    eps: float = 1e-7,
) -> Array:
    """Cross entropy of Bernoulli distributions given by probabilities."""
    call = "binary_cross_entropy"
    p, t = paired(call, input_, target)
    # Bounded away from 0 and 1 in value alone: a saturated probability still gets a gradient.
    p = p + jax.lax.stop_gradient(jnp.clip(p, eps, 1 - eps) - p)
    values = -t * jnp.log(p) - (1 - t) * jnp.log1p(-p)
    if weight is not None:
        values = values * _broadcast(call, "weight", weight, p)
    return reduced(call, values, reduction, input_)


def hinge_loss(
    input_: Operand, target: Operand, /, margin: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """max(0, margin - target * input), for targets 1 and -1."""
    x, t = paired("hinge_loss", input_, target)
    return reduced("hinge_loss", jax.nn.relu(margin - t * x), reduction, input_)


def hinge_embedding_loss(
    input_: Operand, target: Operand, /, margin: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """The input where the target is 1, max(0, margin - input) where it is -1."""
    x, t = paired("hinge_embedding_loss", input_, target)
    values = jnp.where(t != -1, x, 0) + jnp.where(t != 1, jax.nn.relu(margin - x), 0)
    return reduced("hinge_embedding_loss", values, reduction, input_)


def kl_div(
    input_: Operand,
    target: Operand,
    /,
    reduction: Reduction | Literal["batchmean"] = "mean",
    log_target: bool = False,
) -> Array:
    """target * (log(target) - input), the input being a logarithm of probabilities."""
    x, t = paired("kl_div", input_, target)
    if log_target:
        values = jnp.exp(t) * (t - x)
    else:
        values = jax.scipy.special.xlogy(t, t) - t * x
    if reduction == "batchmean":
        return reduced("kl_div", jnp.sum(values) / x.shape[0], None, input_)
    return reduced("kl_div", values, reduction, input_)


def paired(call: str, input_: Operand, target: Operand) -> tuple[Array, Array]:
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


def reduced(call: str, values: Array, reduction: Reduction, input_: Operand) -> Array:
    """`values`, their mean or their sum, in the dtype of the input."""
    if reduction == "mean":
        values = jnp.mean(values)
    elif reduction == "sum":
        values = jnp.sum(values)
    elif reduction not in (None, "none"):
        raise ValueError(f'{call}: reduction must be "mean", "sum" or None, got {reduction!r}.')
    return narrowed(values, input_)
