"""`unfold` and its adjoint `fold`, in PyTorch's element order."""

from __future__ import annotations

from math import prod

from jax import Array

from lucid._core.arguments import ntuple
from lucid._core.typing import Size
from lucid.ops.conv.geometry import Form, Padding, check_window, conv_form
from lucid.ops.conv.windows import gather, scatter


def unfold(
    x: Array,
    /,
    *,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Padding = 0,
    stride: Size = 1,
) -> Array:
    """Every window of `x` as a column: what a convolution multiplies with its weights.

    Shape: x (N, C, H, W) or (C, H, W) -> (N, C * kH * kW, L) or (C * kH * kW, L), where L is the
        number of windows: the product of the output sizes of a convolution. A column runs over
        channels, then kernel rows, then kernel columns; the columns run over windows row by row.

    Raises:
        TypeError: an argument is not made of integers.
        ValueError: an argument or a shape is out of its range.

    >>> from jax import numpy as jnp
    >>> print(unfold(jnp.arange(6.0).reshape(1, 2, 3), kernel_size=2))
    [[0. 1.]
     [1. 2.]
     [3. 4.]
     [4. 5.]]
    """
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(
            "unfold: input must have shape (N, C, H, W) or (C, H, W) with C, H and W at least 1, "
            f"got {x.shape}."
        )
    batched = x if x.ndim == 4 else x[None]
    form = _form("unfold", batched.shape, kernel_size, dilation, padding, stride)
    columns = gather(form.axes, batched, at=2)
    rows, count = form.large_channels * prod(form.kernel), prod(form.small)
    return columns.reshape(*x.shape[:-3], rows, count)


def fold(
    x: Array,
    /,
    *,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Padding = 0,
    stride: Size = 1,
) -> Array:
    """Adjoint of `unfold`: columns put back as windows, overlaps added.

    Shape: x (N, C * kH * kW, L) or (C * kH * kW, L) -> (N, C, *output_size) or (C, *output_size),
        where L is the number of windows that `unfold` finds in an input of `output_size`.

    Raises:
        TypeError: an argument is not made of integers.
        ValueError: an argument is out of its range, or the shape does not fit `output_size`.

    >>> from jax import numpy as jnp
    >>> print(fold(jnp.ones((4, 2)), output_size=(2, 3), kernel_size=2))
    [[[1. 2. 1.]
      [1. 2. 1.]]]
    """
    large = ntuple(output_size, 2, "fold: output_size")
    taps = prod(ntuple(kernel_size, 2, "fold: kernel_size"))
    if x.ndim not in (2, 3) or taps < 1 or x.shape[-2] < 1 or x.shape[-2] % taps:
        raise ValueError(
            "fold: input must have shape (N, C * kH * kW, L) or (C * kH * kW, L), got "
            f"{x.shape} with kernel_size={kernel_size}."
        )
    batch = x.shape[0] if x.ndim == 3 else 1
    channels = x.shape[-2] // taps
    form = _form("fold", (batch, channels, *large), kernel_size, dilation, padding, stride)
    if x.shape[-1] != prod(form.small):
        raise ValueError(
            f"fold: output_size {large} has {prod(form.small)} windows, {form.small[0]} by "
            f"{form.small[1]}, but the input has {x.shape[-1]} columns."
        )
    columns = x.reshape(batch, channels, *form.kernel, *form.small)
    out = scatter(form.axes, columns, at=2)
    return out.reshape(*x.shape[:-2], channels, *large)


def _form(
    name: str,
    large_shape: tuple[int, ...],
    kernel_size: Size,
    dilation: Size,
    padding: Padding,
    stride: Size,
) -> Form:
    """Windows do not mix channels: the form of a depthwise convolution."""
    channels = large_shape[1]
    window = check_window(name, 2, kernel_size, stride, padding, dilation, channels)
    return conv_form(name, large_shape, (channels, 1, *window.kernel), window)
