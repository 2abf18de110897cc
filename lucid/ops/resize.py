"""Resizing of images and sequences, one axis after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import jax.numpy as jnp
import numpy as np
from jax import lax

from lucid._core.arguments import ntuple
from lucid._core.declaration import op
from lucid._core.typing import Array, Operand, Size
from lucid.ops.precision import narrowed, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = ["interpolate", "pixel_shuffle", "pixel_unshuffle"]

Mode = Literal["nearest", "linear", "bilinear", "bicubic", "trilinear"]
Scale = float | Sequence[float]

_RANKS = {
    "nearest": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
}
_CUBIC = -0.75  # the parameter a of Keys, "Cubic convolution interpolation", 1981; PyTorch's value


@op
def interpolate(
    input_: Operand,
    size: Size | None = None,
    mode: Mode = "bilinear",
    align_corners: bool = False,
    scale_factor: Scale | None = None,
) -> Tensor:
    """Resample to another spatial size; arguments, shapes and errors as in `nn.Upsample`.

    >>> F.interpolate(Tensor([[[[1.0, 3.0]]]]), size=(1, 4))
    Tensor([[[[1. , 1.5, 2.5, 3. ]]]])
    """
    x = jnp.asarray(input_)
    rank = x.ndim - 2
    _check(mode, rank, x.shape, align_corners)
    sizes, ratios = _sizes(x.shape[2:], size, scale_factor)
    y = x if mode == "nearest" else wide(x)
    for i in range(rank):
        n, m, axis = x.shape[2 + i], sizes[i], 2 + i
        if mode == "nearest":
            y = _nearest(y, axis, m, ratios[i])
        elif m != n or ratios[i] is not None:
            weights = _weights(n, m, ratios[i], align_corners, mode == "bicubic")
            y = _mapped(y, axis, weights)
    return narrowed(y, x)


@op
def pixel_shuffle(input_: Operand, upscale_factor: int) -> Tensor:
    """Channels become positions: (*, C * r * r, H, W) -> (*, C, H * r, W * r).

    Shi et al., arXiv:1609.05158.

    Raises:
        ValueError: the channels are not divisible by r * r.

    >>> F.pixel_shuffle(lucid.zeros(1, 8, 2, 2), 2).shape
    (1, 2, 4, 4)
    """
    x, r = jnp.asarray(input_), upscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-3] % (r * r):
        raise ValueError(
            f"pixel_shuffle: the channels must be divisible by upscale_factor ** 2 = {r * r}, got "
            f"input shape {x.shape}."
        )
    *batch, channels, height, width = x.shape
    n = len(batch)
    y = x.reshape(*batch, channels // (r * r), r, r, height, width)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return y.transpose(order).reshape(*batch, channels // (r * r), height * r, width * r)


@op
def pixel_unshuffle(input_: Operand, downscale_factor: int) -> Tensor:
    """Positions become channels: (*, C, H * r, W * r) -> (*, C * r * r, H, W).

    Raises:
        ValueError: height or width is not divisible by r.

    >>> F.pixel_unshuffle(lucid.zeros(1, 2, 4, 4), 2).shape
    (1, 8, 2, 2)
    """
    x, r = jnp.asarray(input_), downscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(
            f"pixel_unshuffle: height and width must be divisible by downscale_factor={r}, got "
            f"input shape {x.shape}."
        )
    *batch, channels, height, width = x.shape
    n = len(batch)
    y = x.reshape(*batch, channels, height // r, r, width // r, r)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return y.transpose(order).reshape(*batch, channels * r * r, height // r, width // r)


def _check(mode: str, rank: int, shape: tuple[int, ...], align_corners: bool) -> None:
    if mode not in _RANKS:
        raise ValueError(f"interpolate: mode must be one of {', '.join(_RANKS)}; got {mode!r}.")
    if rank not in _RANKS[mode]:
        axes = " or ".join(str(r + 2) for r in _RANKS[mode])
        raise ValueError(
            f'interpolate: mode "{mode}" needs an input of {axes} axes (N, C, *spatial), got shape '
            f"{shape}."
        )
    if align_corners and mode == "nearest":
        raise ValueError('interpolate: align_corners has no meaning for mode "nearest".')
    if 0 in shape[2:]:
        raise ValueError(f"interpolate: the input must not be empty, got shape {shape}.")


def _sizes(
    spatial: tuple[int, ...], size: Size | None, scale_factor: Scale | None
) -> tuple[tuple[int, ...], list[float | None]]:
    """The new sizes; and per axis the step between positions in the input, None for n / m."""
    rank = len(spatial)
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "interpolate: one of size and scale_factor is needed, got "
            f"size={size} and scale_factor={scale_factor}."
        )
    steps: list[float | None] = [None] * rank
    if size is not None:
        sizes = ntuple(size, rank, "interpolate: size")
    else:
        given = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor,) * rank
        scales = [float(s) for s in given if s is not None]
        if len(scales) != rank or min(scales) <= 0:
            raise ValueError(
                f"interpolate: scale_factor must be positive, one number or {rank}, got "
                f"{scale_factor}."
            )
        sizes = tuple(math.floor(n * s) for n, s in zip(spatial, scales, strict=True))
        # A factor that does not give a whole size is still the step, as in PyTorch.
        exact = [m == n * s for m, n, s in zip(sizes, spatial, scales, strict=True)]
        steps = [None if e else 1 / s for e, s in zip(exact, scales, strict=True)]
    if min(sizes) < 1:
        raise ValueError(f"interpolate: the new size must be at least 1 on each axis, got {sizes}.")
    return sizes, steps


def _nearest(x: Array, axis: int, m: int, step: float | None) -> Array:
    """Position i shows the element floor(i * n / m)."""
    n = x.shape[axis]
    if step is None and m % n == 0:
        return x if m == n else jnp.repeat(x, m // n, axis)
    if step is None:
        at = np.arange(m) * n // m
    else:
        at = np.minimum(np.floor(np.arange(m) * step).astype(int), n - 1)
    return jnp.take(x, at, axis, mode="clip")


def _weights(n: int, m: int, step: float | None, align_corners: bool, cubic: bool) -> np.ndarray:
    """The matrix (n, m) that resamples n elements to m positions."""
    if align_corners:
        at = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        at = (np.arange(m) + 0.5) * (n / m if step is None else step) - 0.5
        at = at if cubic else np.maximum(at, 0)
    low = np.floor(at).astype(int)
    t = at - low
    if cubic:
        taps = [(-1, _cubic_far(1 + t)), (0, _cubic_near(t)), (1, _cubic_near(1 - t))]
        taps.append((2, _cubic_far(2 - t)))
    else:
        taps = [(0, 1 - t), (1, t)]
    weights = np.zeros((n, m))
    for offset, weight in taps:
        np.add.at(weights, (np.clip(low + offset, 0, n - 1), np.arange(m)), weight)
    return weights


def _cubic_near(d: np.ndarray) -> np.ndarray:
    """Keys' kernel at a distance of at most 1."""
    return ((_CUBIC + 2) * d - (_CUBIC + 3)) * d * d + 1


def _cubic_far(d: np.ndarray) -> np.ndarray:
    """Keys' kernel at a distance from 1 to 2."""
    return ((_CUBIC * d - 5 * _CUBIC) * d + 8 * _CUBIC) * d - 4 * _CUBIC


def _mapped(x: Array, axis: int, weights: np.ndarray) -> Array:
    """`x` multiplied by a matrix along an axis.

    A product of matrices and not a gather, whose gradient would be a scatter: that took 12 times
    as long on a CPU at 32x32, and 6 times at 256x256.
    """
    matrix = jnp.asarray(weights, x.dtype)
    contract = (((axis,), (0,)), ((), ()))
    y = lax.dot_general(x, matrix, contract, precision=lax.Precision.HIGHEST)
    return jnp.moveaxis(y, -1, axis)
