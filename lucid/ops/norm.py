"""Normalisations. Half-precision inputs are normalised in float32; results keep their dtype."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.arguments import is_number, is_whole
from lucid._core.declaration import checks, op
from lucid._core.typing import Array, Exponent, Operand, Shape
from lucid.ops.elementwise import abs
from lucid.ops.precision import narrowed, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "cosine_similarity",
    "global_response_norm",
    "group_norm",
    "layer_norm",
    "normalize",
    "rms_norm",
]


@op
def batch_norm(
    input_: Operand,
    running_mean: Operand | None,
    running_var: Operand | None,
    weight: Operand | None,
    bias: Operand | None,
    eps: Operand,
) -> Tensor:
    """Normalise each channel, axis 1, with the given statistics."""
    x = jnp.asarray(input_)
    _check_channels("batch_norm", x, running_mean, running_var, weight, bias)
    y = (wide(x) - _channels(running_mean, x)) * jax.lax.rsqrt(_channels(running_var, x) + eps)
    return narrowed(_affine(y, weight, bias), x)


@op
def batch_norm_training(
    input_: Operand,
    running_mean: Operand | None,
    running_var: Operand | None,
    weight: Operand | None,
    bias: Operand | None,
    momentum: Operand,
    eps: Operand,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Normalise each channel, axis 1, with its own statistics; returns the new running ones too.

    An empty input has no statistics and leaves the running ones as they are.
    """
    x = jnp.asarray(input_)
    _check_channels("batch_norm", x, running_mean, running_var, weight, bias)
    n = math.prod(x.shape) // x.shape[1] if x.shape[1] else 0
    if n == 1:
        raise ValueError(
            "batch_norm: training needs more than one value per channel, got input shape "
            f"{x.shape}. Use a larger batch, or eval()."
        )
    y, mean, var = _standardised(wide(x), (0, *range(2, x.ndim)), eps)
    y = narrowed(_affine(y, weight, bias), x)
    if running_mean is None or running_var is None or not x.size:
        return y, running_mean, running_var
    new_mean = _moved(running_mean, mean.reshape(-1), momentum)
    new_var = _moved(running_var, var.reshape(-1) * (n / (n - 1)), momentum)
    return y, new_mean, new_var


@op
def instance_norm_training(
    input_: Operand,
    running_mean: Operand | None,
    running_var: Operand | None,
    weight: Operand | None,
    bias: Operand | None,
    momentum: Operand,
    eps: Operand,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Normalise each channel of each sample over its positions; new running statistics too.

    An empty input leaves them as they are.
    """
    x = jnp.asarray(input_)
    _check_channels("instance_norm", x, running_mean, running_var, weight, bias)
    n = math.prod(x.shape[2:])
    if n == 1:
        raise ValueError(
            "instance_norm: more than one value per channel and sample is needed, got input "
            f"shape {x.shape}."
        )
    y, mean, var = _standardised(wide(x), tuple(range(2, x.ndim)), eps)
    y = narrowed(_affine(y, weight, bias), x)
    if running_mean is None or running_var is None or not x.size:
        return y, running_mean, running_var
    mean, var = (jnp.mean(v.reshape(x.shape[:2]), 0) for v in (mean, var))
    new_mean = _moved(running_mean, mean, momentum)
    return y, new_mean, _moved(running_var, var * (n / (n - 1)), momentum)


@op
def layer_norm(
    input_: Operand,
    normalized_shape: Shape,
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: Operand = 1e-05,
) -> Tensor:
    """Normalise each sample over its last axes; Ba et al., arXiv:1607.06450.

    Shape: (*, *normalized_shape), unchanged; weight and bias have the shape `normalized_shape`.

    Raises:
        ValueError: sizes do not match.

    >>> F.layer_norm(Tensor([[1.0, 3.0]]), 2, eps=0.0)
    Tensor([[-1.,  1.]])
    """
    x = jnp.asarray(input_)
    axes = _last_axes("layer_norm", x, normalized_shape, {"weight": weight, "bias": bias})
    y, _, _ = _standardised(wide(x), axes, eps)
    if weight is not None:
        y = y * wide(weight)
    if bias is not None:
        y = y + wide(bias)
    return narrowed(y, x)


@op
def rms_norm(
    input_: Operand,
    normalized_shape: Shape,
    weight: Operand | None = None,
    eps: Operand | None = None,
) -> Tensor:
    """Divide each sample by the root of the mean of its squares over its last axes.

    y = x / sqrt(mean(x**2) + eps) * weight (Zhang & Sennrich, arXiv:1910.07467).

    Shape: (*, *normalized_shape), unchanged; weight has the shape `normalized_shape`.

    Args:
        eps: by default the distance from 1 to the next float32, or float64 of an input of those.

    Raises:
        ValueError: sizes do not match.

    >>> F.rms_norm(Tensor([[1.0, 7.0]]), 2)
    Tensor([[0.2, 1.4]])
    """
    x = jnp.asarray(input_)
    axes = _last_axes("rms_norm", x, normalized_shape, {"weight": weight})
    y = wide(x)
    if eps is None:
        eps = np.finfo(y.dtype).eps
    y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axes, keepdims=True) + eps)
    return narrowed(y if weight is None else y * wide(weight), x)


@op
def group_norm(
    input_: Operand,
    num_groups: int,
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: Operand = 1e-05,
) -> Tensor:
    """Normalise each group of channels of each sample; Wu & He, arXiv:1803.08494.

    Shape: (N, C, *), unchanged; weight and bias (C,)

    Raises:
        ValueError: sizes do not match, or `num_groups` does not divide C.

    >>> F.group_norm(Tensor([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0)
    Tensor([[-1.,  1., -1.,  1.]])
    """
    x = jnp.asarray(input_)
    _check_channels("group_norm", x, None, None, weight, bias)
    if num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: num_groups must divide the channels, got num_groups={num_groups} for "
            f"input shape {x.shape}."
        )
    groups = wide(x).reshape(x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:])
    y, _, _ = _standardised(groups, tuple(range(2, groups.ndim)), eps)
    return narrowed(_affine(y.reshape(x.shape), weight, bias), x)


@op
def global_response_norm(
    input_: Operand, gamma: Operand, beta: Operand, eps: Operand = 1e-06
) -> Tensor:
    """x + gamma * x * s + beta, where s is the norm of a channel divided by the mean of all norms.

    Woo et al., arXiv:2301.00808.

    Shape: (N, C, *), unchanged; gamma and beta hold C values.

    Raises:
        ValueError: sizes do not match.

    >>> F.global_response_norm(Tensor([[[3.0], [1.0]]]), lucid.ones(2), lucid.zeros(2), eps=0.0)
    Tensor([[[7.5],
             [1.5]]])
    """
    x, scale, shift = wide(input_), jnp.ravel(gamma), jnp.ravel(beta)
    _check_channels("global_response_norm", x, None, None, scale, shift)
    norm = vector_norm(x, 2, tuple(range(2, x.ndim)))
    share = norm / (jnp.mean(norm, 1, keepdims=True) + eps)
    return narrowed(_affine(x * share, scale, shift) + x, input_)


def _check_normalize(input_: Operand, ord: Operand, axis: int, eps: Operand) -> None:
    if is_number(ord) and ord <= 0:
        raise ValueError(f"normalize: ord must be positive, got {ord}.")


@op
@checks(_check_normalize)
def normalize(input_: Operand, ord: Exponent = 2, axis: int = 1, eps: Operand = 1e-12) -> Tensor:
    """x / max(norm(x), eps), with the norm of order `ord` along `axis`.

    Raises:
        ValueError: `ord` is not positive.

    >>> F.normalize(Tensor([[3.0, 4.0]]))
    Tensor([[0.6, 0.8]])
    """
    x = wide(input_)
    return narrowed(x / jnp.maximum(vector_norm(x, ord, axis), eps), input_)


@op
def cosine_similarity(x1: Operand, x2: Operand, axis: int = 1, eps: Operand = 1e-08) -> Tensor:
    """The cosine of the angle between vectors along `axis`: x1 @ x2 / (norm(x1) * norm(x2)).

    Each norm counts as no less than `eps`.

    Shape: both (*, N, *), broadcast against each other; the axis of length N is left out.

    Raises:
        ValueError: the shapes do not broadcast, or have no such axis.

    >>> F.cosine_similarity(Tensor([[3.0, 4.0]]), Tensor([[4.0, 3.0], [0.0, -1.0]]))
    Tensor([ 0.96, -0.8 ])
    """
    a, b = jnp.broadcast_arrays(wide(x1), wide(x2))
    a, b = (x / jnp.maximum(vector_norm(x, 2, axis), eps) for x in (a, b))
    return narrowed(jnp.sum(a * b, axis), jnp.result_type(x1, x2))


def vector_norm(x: Array, ord: Exponent, axis: int | tuple[int, ...]) -> Array:
    """The norm of order `ord`, also inf, along `axis`, which stays; at 0 its gradient is 0."""
    if is_whole(ord) and ord % 2 == 0:  # a polynomial, which has a second derivative at 0
        return _root_of_sum(x, int(ord), axis)
    size = abs.pure(x)
    if is_whole(ord):
        return _root_of_sum(size, int(ord), axis)
    largest = jnp.max(size, axis, keepdims=True)
    finite = jnp.where(jnp.isinf(ord), 2.0, ord)
    return jnp.where(jnp.isinf(ord), largest, _root_of_sum(size, finite, axis))


def _root_of_sum(size: Array, ord: Exponent, axis: int | tuple[int, ...]) -> Array:
    total = jnp.sum(size**ord, axis, keepdims=True)
    # The root has no derivative at 0; there the norm counts as constant.
    return jnp.where(total == 0, 0, jnp.where(total == 0, 1, total) ** (1 / ord))


def _last_axes(
    call: str, x: Array, normalized_shape: Shape, named: dict[str, Operand | None]
) -> tuple[int, ...]:
    """The axes that `normalized_shape` names, counted from the end."""
    single = hasattr(normalized_shape, "__index__")
    shape = (int(normalized_shape),) if single else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"{call}: the last axes of the input must be normalized_shape={shape}, got input shape "
            f"{x.shape}."
        )
    _check_sizes(call, named, shape)
    return tuple(range(-len(shape), 0))


def _check_channels(
    call: str,
    x: Operand,
    mean: Operand | None,
    var: Operand | None,
    weight: Operand | None,
    bias: Operand | None,
) -> None:
    x = jnp.asarray(x)
    if x.ndim < 2:
        raise ValueError(f"{call}: the input must have 2 axes or more, got shape {x.shape}.")
    if (mean is None) != (var is None):
        raise ValueError(f"{call}: running_mean and running_var must be given together.")
    named = {"running_mean": mean, "running_var": var, "weight": weight, "bias": bias}
    _check_sizes(call, named, x.shape[1:2])


def _check_sizes(call: str, named: dict[str, Operand | None], shape: tuple[int, ...]) -> None:
    for name, value in named.items():
        if value is not None and jnp.shape(value) != shape:
            raise ValueError(f"{call}: {name} must have shape {shape}, got {jnp.shape(value)}.")


def _standardised(x: Array, axes: tuple[int, ...], eps: Operand) -> tuple[Array, Array, Array]:
    """`x` with mean 0 and variance 1 over `axes`, and its mean and population variance."""
    mean = jnp.mean(x, axes, keepdims=True)
    centred = x - mean
    var = jnp.mean(jnp.square(centred), axes, keepdims=True)
    return centred * jax.lax.rsqrt(var + eps), mean, var


def _moved(running: Operand, new: Array, momentum: Operand) -> Array:
    running, new = jnp.asarray(running), jax.lax.stop_gradient(new)
    return (running + momentum * (new - running)).astype(running.dtype)


def _affine(y: Array, weight: Operand | None, bias: Operand | None) -> Array:
    """`y * weight + bias` along the channels, axis 1."""
    if weight is not None:
        y = y * _channels(weight, y)
    return y if bias is None else y + _channels(bias, y)


def _channels(value: Operand, like: Array) -> Array:
    """A value per channel, shaped to be broadcast along axis 1 of `like`."""
    return wide(value).reshape(-1, *(1,) * (like.ndim - 2))
