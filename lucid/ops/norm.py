"""Normalisations. Half-precision inputs are normalised in float32; results keep their dtype."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from lucid._typing import Array, Operand
from lucid.ops.precision import wide


def batch_norm(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    /,
    eps: float,
) -> Array:
    """Normalise each channel, axis 1, with the given statistics."""
    _check_batch_norm(x, mean, var, weight, bias)
    y = (wide(x) - _channels(mean, x)) * jax.lax.rsqrt(_channels(var, x) + eps)
    return _affine(y, weight, bias).astype(x.dtype)


def batch_norm_training(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None,
    bias: Array | None,
    momentum: Operand,
    /,
    eps: float,
) -> tuple[Array, Array | None, Array | None]:
    """Normalise each channel, axis 1, with its own statistics; returns the new running ones too."""
    _check_batch_norm(x, running_mean, running_var, weight, bias)
    n = math.prod(x.shape) // x.shape[1] if x.shape[1] else 0
    if n == 1:
        raise ValueError(
            "batch_norm: training needs more than one value per channel, got input shape "
            f"{x.shape}. Use a larger batch, or eval()."
        )
    y, mean, var = _standardised(wide(x), (0, *range(2, x.ndim)), eps)
    y = _affine(y, weight, bias).astype(x.dtype)
    if running_mean is None or running_var is None:
        return y, None, None
    new_mean = _moved(running_mean, mean.reshape(-1), momentum)
    new_var = _moved(running_var, var.reshape(-1) * (n / max(n - 1, 1)), momentum)
    return y, new_mean, new_var


def _check_batch_norm(
    x: Array,
    mean: Array | None,
    var: Array | None,
    weight: Array | None,
    bias: Array | None,
) -> None:
    if x.ndim < 2:
        raise ValueError(f"batch_norm: the input must have 2 axes or more, got shape {x.shape}.")
    if (mean is None) != (var is None):
        raise ValueError("batch_norm: running_mean and running_var must be given together.")
    named = {"running_mean": mean, "running_var": var, "weight": weight, "bias": bias}
    _check_sizes("batch_norm", named, x.shape[1:2])


def _check_sizes(call: str, named: dict[str, Array | None], shape: tuple[int, ...]) -> None:
    for name, value in named.items():
        if value is not None and value.shape != shape:
            raise ValueError(f"{call}: {name} must have shape {shape}, got {value.shape}.")


def _standardised(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array]:
    """`x` with mean 0 and variance 1 over `axes`, and its mean and population variance."""
    mean = jnp.mean(x, axes, keepdims=True)
    centred = x - mean
    var = jnp.mean(jnp.square(centred), axes, keepdims=True)
    return centred * jax.lax.rsqrt(var + eps), mean, var


def _moved(running: Array, new: Array, momentum: Operand) -> Array:
    new = jax.lax.stop_gradient(new)
    return (running + momentum * (new - running)).astype(running.dtype)


def _affine(y: Array, weight: Array | None, bias: Array | None) -> Array:
    """`y * weight + bias` along the channels, axis 1."""
    if weight is not None:
        y = y * _channels(weight, y)
    return y if bias is None else y + _channels(bias, y)


def _channels(value: Array, like: Array) -> Array:
    """A value per channel, shaped to be broadcast along axis 1 of `like`."""
    return wide(value).reshape(-1, *(1,) * (like.ndim - 2))
