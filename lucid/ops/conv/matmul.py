"""CPU lowering: one matrix product per map, with im2col or col2im on the side of `large`.

Arrays are kept channel-major, (groups, channels * taps, batch * positions), so that the kernel is
a matrix as it lies in memory. `small` and `kernel` read the same im2col of `large`; where a
program needs both gradients the compiler computes it once.
"""

from __future__ import annotations

import dataclasses
from math import prod
from typing import cast

import jax.numpy as jnp
from jax import Array, lax

from lucid.ops.conv.chunks import cut
from lucid.ops.conv.geometry import Form
from lucid.ops.conv.windows import gather, scatter


def claims(out: str, form: Form) -> bool:
    """Every map of every form."""
    return True


def traffic(form: Form) -> int:
    """Elements of the columns, which decide the time."""
    return form.batch * form.large_channels * prod(form.kernel) * prod(form.small)


def small(form: Form, large: Array, kernel: Array) -> Array:
    pieces = cut(form, large.dtype.itemsize)
    if pieces is None:
        return _small(form, large, kernel)
    opened = pieces.large.open(large)

    def step(t: Array, out: Array) -> Array:
        piece = _small(pieces.form, pieces.large.at(opened, t), kernel)
        return pieces.small.add(out, t, piece)

    out = pieces.small.open(jnp.zeros(form.small_shape, large.dtype))
    return pieces.small.close(lax.fori_loop(0, pieces.count, step, out))


def large(form: Form, small: Array, kernel: Array) -> Array:
    pieces = cut(form, small.dtype.itemsize)
    if pieces is None:
        return _large(form, small, kernel)
    opened = pieces.small.open(small)

    def step(t: Array, out: Array) -> Array:
        piece = _large(pieces.form, pieces.small.at(opened, t), kernel)
        return pieces.large.add(out, t, piece)

    out = pieces.large.open(jnp.zeros(form.large_shape, small.dtype))
    return pieces.large.close(lax.fori_loop(0, pieces.count, step, out))


def kernel(form: Form, small: Array, large: Array) -> Array:
    pieces = cut(form, small.dtype.itemsize)
    if pieces is None:
        return _kernel(form, small, large)
    opened_small, opened_large = pieces.small.open(small), pieces.large.open(large)

    def step(t: Array, total: Array) -> Array:
        x, y = pieces.small.at(opened_small, t), pieces.large.at(opened_large, t)
        return total + _kernel(pieces.form, x, y)

    zeros = jnp.zeros(form.kernel_shape, small.dtype)
    return cast(Array, lax.fori_loop(0, pieces.count, step, zeros))


def _small(form: Form, large: Array, kernel: Array) -> Array:
    out = _rows(form, kernel) @ _columns(form, large)
    return out.reshape(form.small_channels, form.batch, *form.small).swapaxes(0, 1)


def _large(form: Form, small: Array, kernel: Array) -> Array:
    form = _without_idle_strides(form)
    columns = _rows(form, kernel).mT @ _positions(form, small)
    columns = columns.reshape(form.large_channels, *form.kernel, form.batch, *form.small)
    return scatter(form, columns, at=1).swapaxes(0, 1)


def _kernel(form: Form, small: Array, large: Array) -> Array:
    out = _columns(form, large) @ _positions(form, small).mT
    return out.swapaxes(1, 2).reshape(form.kernel_shape)


def _rows(form: Form, kernel: Array) -> Array:
    """(groups, small channels, large channels * taps)"""
    return kernel.reshape(form.groups, form.small_channels // form.groups, -1)


def _positions(form: Form, small: Array) -> Array:
    """(groups, small channels, batch * positions)"""
    return small.swapaxes(0, 1).reshape(
        form.groups, form.small_channels // form.groups, form.batch * prod(form.small)
    )


def _columns(form: Form, large: Array) -> Array:
    """im2col: (groups, large channels * taps, batch * positions)"""
    windows = gather(_without_idle_strides(form), large.swapaxes(0, 1), at=1)
    rows = form.large_channels // form.groups * prod(form.kernel)
    return windows.reshape(form.groups, rows, form.batch * prod(form.small))


def _without_idle_strides(form: Form) -> Form:
    """Where small has length 1 any stride is the same; the kernel's length needs no overlap."""
    stride = tuple(
        k if h == 1 and d == 1 else s
        for h, k, d, s in zip(form.small, form.kernel, form.dilation, form.stride, strict=True)
    )
    return dataclasses.replace(form, stride=stride)
