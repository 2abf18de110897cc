"""CPU lowering: the strides removed, then one matrix product with im2col on the side of `small`.

Cutting `large` into its residues modulo the stride makes them channels on a coarse grid, where the
form has stride 1. There small and large may change places, the kernel flipped, so that im2col
reads `small`: fewer bytes for long kernels and for many channels on the side of `large`.
"""

from __future__ import annotations

from math import prod

from jax import Array

from lucid.ops.conv import matmul
from lucid.ops.conv.definition import exchange_channels
from lucid.ops.conv.geometry import Form
from lucid.ops.conv.windows import depth_to_space, pad_axes, space_to_depth


def claims(out: str, form: Form) -> bool:
    """Strides that divide the kernel and are not mixed with dilation on one axis."""
    return all(
        s == 1 or (d == 1 and k % s == 0)
        for k, s, d in zip(form.kernel, form.stride, form.dilation, strict=True)
    )


def small(form: Form, large: Array, kernel: Array) -> Array:
    return matmul.large(exchanged(form), _cut_large(form, large), _cut_kernel(form, kernel))


def large(form: Form, small: Array, kernel: Array) -> Array:
    phases = matmul.small(exchanged(form), small, _cut_kernel(form, kernel))
    large = depth_to_space(phases, form.stride)
    return pad_axes(large, [(-low, -high) for low, high in _fill(form)])


def kernel(form: Form, small: Array, large: Array) -> Array:
    phases = matmul.kernel(exchanged(form), _cut_large(form, large), small)
    return depth_to_space(exchange_channels(phases, form.groups), form.stride)


def exchanged(form: Form) -> Form:
    """The form on the coarse grid, with small and large in each other's place.

    In blocks of the stride s, large = s (small - m) + tap with m = padding // s. So small meets
    block small - m + u through phase r of the kernel's tap s u + r.
    """
    kernel = tuple(k // s for k, s in zip(form.kernel, form.stride, strict=True))
    blocks = zip(kernel, form.padding, form.stride, form.dilation, strict=True)
    return Form(
        batch=form.batch,
        groups=form.groups,
        small_channels=form.large_channels * prod(form.stride),
        large_channels=form.small_channels,
        small=tuple(_coarse_lengths(form)),
        large=form.small,
        kernel=kernel,
        stride=(1,) * form.rank,
        padding=tuple(d * (q - 1) - p // s for q, p, s, d in blocks),
        dilation=form.dilation,
    )


def traffic(form: Form) -> int:
    """Elements of columns and of phases, which decide the time; compare `matmul.traffic`."""
    coarse = exchanged(form)
    phases = prod(coarse.small_shape) if max(form.stride) > 1 else 0
    return matmul.traffic(coarse) + phases


def _coarse_lengths(form: Form) -> list[int]:
    axes = zip(form.large, form.padding, form.stride, strict=True)
    return [-(-(p % s + y) // s) for y, p, s in axes]


def _fill(form: Form) -> list[tuple[int, int]]:
    """Zeros around `large` that make it a whole number of strides, aligned to the first tap."""
    axes = zip(_coarse_lengths(form), form.large, form.padding, form.stride, strict=True)
    return [(p % s, s * g - p % s - y) for g, y, p, s in axes]


def _cut_large(form: Form, large: Array) -> Array:
    return space_to_depth(pad_axes(large, _fill(form)), form.stride)


def _cut_kernel(form: Form, kernel: Array) -> Array:
    return exchange_channels(space_to_depth(kernel, form.stride), form.groups)
