"""Normalisations. Half-precision inputs are normalised in float32; results keep their dtype."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from lucid._core.typing import Array, Operand
from lucid.ops.precision import narrowed, wide


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
    _check_channels("batch_norm", x, mean, var, weight, bias)
    y = (wide(x) - _channels(mean, x)) * jax.lax.rsqrt(_channels(var, x) + eps)
    return narrowed(_affine(y, weight, bias), x)


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
    _check_channels("batch_norm", x, running_mean, running_var, weight, bias)
    n = math.prod(x.shape) // x.shape[1] if x.shape[1] else 0
    if n == 1:
        raise ValueError(
            "batch_norm: training needs more than one value per channel, got input shape "
            f"{x.shape}. Use a larger batch, or eval()."
        )
    y, mean, var = _standardised(wide(x), (0, *range(2, x.ndim)), eps)
    y = narrowed(_affine(y, weight, bias), x)
    if running_mean is None or running_var is None:
        return y, None, None
    new_mean = _moved(running_mean, mean.reshape(-1), momentum)
    new_var = _moved(running_var, var.reshape(-1) * (n / max(n - 1, 1)), momentum)
    return y, new_mean, new_var


def instance_norm_training(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None,
    bias: Array | None,
    momentum: Operand,
    /,
    eps: float,
) -> tuple[Array, Array | None, Array | None]:
    """Normalise each channel of each sample over its positions; new running statistics too."""
    _check_channels("instance_norm", x, running_mean, running_var, weight, bias)
    n = math.prod(x.shape[2:])
    if n == 1:
        raise ValueError(
            "instance_norm: more than one value per channel and sample is needed, got input "
            f"shape {x.shape}."
        )
    y, mean, var = _standardised(wide(x), tuple(range(2, x.ndim)), eps)
    y = narrowed(_affine(y, weight, bias), x)
    if running_mean is None or running_var is None:
        return y, None, None
    mean, var = (jnp.mean(v.reshape(x.shape[:2]), 0) for v in (mean, var))
    new_mean = _moved(running_mean, mean, momentum)
    return y, new_mean, _moved(running_var, var * (n / (n - 1)), momentum)


def layer_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    /,
    normalized_shape: tuple[int, ...],
    eps: float,
) -> Array:
    """Normalise each sample over its last axes."""
    rank = len(normalized_shape)
    if rank == 0 or x.shape[-rank:] != normalized_shape:
        raise ValueError(
            f"layer_norm: the last axes of the input must be normalized_shape={normalized_shape}, "
            f"got input shape {x.shape}."
        )
    _check_sizes("layer_norm", {"weight": weight, "bias": bias}, normalized_shape)
    y, _, _ = _standardised(wide(x), tuple(range(-rank, 0)), eps)
    if weight is not None:
        y = y * wide(weight)
    if bias is not None:
        y = y + wide(bias)
    return narrowed(y, x)


def group_norm(
    x: Array, weight: Array | None, bias: Array | None, /, num_groups: int, eps: float
) -> Array:
    """Normalise each group of channels of each sample."""
    _check_channels("group_norm", x, None, None, weight, bias)
    if num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: num_groups must divide the channels, got num_groups={num_groups} for "
            f"input shape {x.shape}."
        )
    groups = wide(x).reshape(x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:])
    y, _, _ = _standardised(groups, tuple(range(2, groups.ndim)), eps)
    return narrowed(_affine(y.reshape(x.shape), weight, bias), x)


def normalize(x: Operand, /, ord: float, axis: int, eps: float) -> Array:
    """`x` divided by its norm along `axis`, or by `eps` where that is larger."""
    if ord <= 0:
        raise ValueError(f"normalize: ord must be positive, got {ord}.")
    size = jnp.abs(wide(x))
    if math.isinf(ord):
        norm = jnp.max(size, axis, keepdims=True)
    else:
        total = jnp.sum(size**ord, axis, keepdims=True)
        # The root has no derivative at 0; there the norm counts as constant.
        norm = jnp.where(total > 0, jnp.where(total > 0, total, 1) ** (1 / ord), 0)
    return narrowed(wide(x) / jnp.maximum(norm, eps), x)


def global_response_norm(x: Array, gamma: Array, beta: Array, /, eps: float) -> Array:
    """Scale each channel by its share of all channels' norms, and add the input."""
    _check_channels("global_response_norm", x, None, None, gamma.reshape(-1), beta.reshape(-1))
    total = jnp.sum(jnp.square(wide(x)), tuple(range(2, x.ndim)), keepdims=True)
    norm = jnp.where(total > 0, jnp.sqrt(jnp.where(total > 0, total, 1)), 0)
    share = norm / (jnp.mean(norm, 1, keepdims=True) + eps)
    return narrowed(_affine(wide(x) * share, gamma.reshape(-1), beta.reshape(-1)) + wide(x), x)


def _check_channels(
    call: str,
    x: Array,
    mean: Array | None,
    var: Array | None,
    weight: Array | None,
    bias: Array | None,
) -> None:
    if x.ndim < 2:
        raise ValueError(f"{call}: the input must have 2 axes or more, got shape {x.shape}.")
    if (mean is None) != (var is None):
        raise ValueError(f"{call}: running_mean and running_var must be given together.")
    named = {"running_mean": mean, "running_var": var, "weight": weight, "bias": bias}
    _check_sizes(call, named, x.shape[1:2])


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
