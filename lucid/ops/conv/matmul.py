"""CPU lowering: one matrix product per map, with im2col or col2im on the side of `large`.

Arrays are kept channel-major, (groups, channels * taps, batch * positions), so that the kernel is
a matrix as it lies in memory. `small` and `kernel` read the same im2col of `large`; where a
program needs both gradients the compiler computes it once.
"""

from __future__ import annotations

import dataclasses
from math import prod

import jax.numpy as jnp
from jax import Array

from lucid.ops.conv.geometry import Form
from lucid.ops.conv.windows import gather, scatter


def claims(out: str, form: Form) -> bool:
    """Every map of every form."""
    return True


def small(form: Form, large: Array, kernel: Array) -> Array:
    out = _dot("gcm,gmp->gcp", _rows(form, kernel), _columns(form, large))
    return out.reshape(form.small_channels, form.batch, *form.small).swapaxes(0, 1)


def large(form: Form, small: Array, kernel: Array) -> Array:
    form = _without_idle_strides(form)
    columns = _dot("gcm,gcp->gmp", _rows(form, kernel), _positions(form, small))
    columns = columns.reshape(form.large_channels, *form.kernel, form.batch, *form.small)
    return scatter(form, columns, at=1).swapaxes(0, 1)


def kernel(form: Form, small: Array, large: Array) -> Array:
    out = _dot("gmp,gcp->gmc", _columns(form, large), _positions(form, small))
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


def _dot(subscripts: str, a: Array, b: Array) -> Array:
    """einsum over (groups, rows, columns); one group is not batched, which is faster."""
    if a.shape[0] == 1:
        return jnp.einsum(subscripts.replace("g", ""), a[0], b[0])[None]
    return jnp.einsum(subscripts, a, b)
