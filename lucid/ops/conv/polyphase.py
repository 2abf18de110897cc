"""CPU lowering: the strides removed, then one matrix product with im2col on the side of `small`.

Cutting `large` into its residues modulo the stride makes them channels on a coarse grid, where the
form has stride 1 and its taps can be gathered on the side of small: fewer bytes for long kernels,
and for many channels on the side of large.
"""

from __future__ import annotations

import dataclasses
from math import prod

from jax import Array

from lucid.ops.conv import matmul, tuning
from lucid.ops.conv.geometry import Form
from lucid.ops.conv.windows import depth_to_space, pad_axes, space_to_depth


def claims(out: str, form: Form) -> bool:
    """Strides that divide the kernel and are not mixed with dilation on one axis."""
    return max(form.stride) > 1 and all(
        axis.stride == 1 or (axis.dilation == 1 and axis.kernel % axis.stride == 0)
        for axis in form.axes
    )


def pays(out: str, form: Form) -> bool:
    """Long kernels with a stride, or fewer channels on the side of small."""
    return traffic(form) < tuning.POLYPHASE_SHARE * matmul.traffic(form)


def traffic(form: Form) -> int:
    """Elements of columns and of what is cut, which decide the time; compare `matmul.traffic`."""
    on_grid = coarse(form)
    cut = prod(on_grid.large_shape) + prod(on_grid.kernel_shape)
    return matmul.traffic(on_grid, _all_axes(form)) + cut


def small(form: Form, large: Array, kernel: Array) -> Array:
    large, kernel = _cut_large(form, large), space_to_depth(kernel, form.stride)
    return matmul.small(coarse(form), large, kernel, _all_axes(form))


def large(form: Form, small: Array, kernel: Array) -> Array:
    kernel = space_to_depth(kernel, form.stride)
    return join_large(form, matmul.large(coarse(form), small, kernel, _all_axes(form)))


def kernel(form: Form, small: Array, large: Array) -> Array:
    large = _cut_large(form, large)
    return depth_to_space(matmul.kernel(coarse(form), small, large, _all_axes(form)), form.stride)


def coarse(form: Form) -> Form:
    """The form on the grid of strides, with residues of large and of the kernel as channels."""
    return dataclasses.replace(
        form,
        large_channels=form.large_channels * prod(form.stride),
        large=tuple(_coarse_lengths(form)),
        kernel=tuple(axis.kernel // axis.stride for axis in form.axes),
        stride=(1,) * form.rank,
        padding=tuple(axis.padding // axis.stride for axis in form.axes),
    )


def join_large(form: Form, on_grid: Array) -> Array:
    """`large` from its residues, which are channels on the coarse grid."""
    return pad_axes(
        depth_to_space(on_grid, form.stride), [(-low, -high) for low, high in _fill(form)]
    )


def _all_axes(form: Form) -> tuple[int, ...]:
    return tuple(range(form.rank))


def _coarse_lengths(form: Form) -> list[int]:
    return [-(-(a.padding % a.stride + a.large) // a.stride) for a in form.axes]


def _fill(form: Form) -> list[tuple[int, int]]:
    """Zeros around `large` that make it a whole number of strides, aligned to the first tap."""
    return [
        (a.padding % a.stride, n * a.stride - a.padding % a.stride - a.large)
        for n, a in zip(_coarse_lengths(form), form.axes, strict=True)
    ]


def _cut_large(form: Form, large: Array) -> Array:
    return space_to_depth(pad_axes(large, _fill(form)), form.stride)
