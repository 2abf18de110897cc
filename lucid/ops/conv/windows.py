"""Windows of an array, one spatial axis at a time: im2col and its adjoint col2im.

An axis of a form relates small and large by large = stride * small + dilation * tap - padding.
`gather` lays the taps of every window out along axes of their own; `scatter` is its adjoint and
adds overlapping windows. Both work axis by axis, so they take k + k steps where all taps at once
take k * k, and the innermost axis, where a step is dear, is the one with the least data.
"""

from __future__ import annotations

from math import prod

import jax.numpy as jnp
from jax import Array, lax

from lucid.ops.conv.geometry import Form


def gather(form: Form, large: Array, at: int) -> Array:
    """im2col: (..., *large) -> (..., *kernel, ..., *small) with the kernel's axes at `at`."""
    large = pad_axes(large, list(zip(form.padding, form.padding_high, strict=True)))
    windows = large
    for i in reversed(range(form.rank)):
        axis = windows.ndim - form.rank + i
        k, s, d, h = form.kernel[i], form.stride[i], form.dilation[i], form.small[i]
        if k == s and d == 1:  # windows do not overlap: taps are a factor of the axis
            windows = split_axis(windows, axis, k)
            windows = jnp.moveaxis(windows, axis + 1, at)
        else:
            last = s * (h - 1) + 1
            taps = [lax.slice_in_dim(windows, d * j, d * j + last, s, axis=axis) for j in range(k)]
            windows = jnp.stack(taps, axis=at)
    return windows


def scatter(form: Form, windows: Array, at: int) -> Array:
    """col2im, the adjoint of `gather`: (..., *kernel, ..., *small) -> (..., *large)."""
    large = windows
    for i in range(form.rank):
        axis = large.ndim - form.rank + i
        k, s, d = form.kernel[i], form.stride[i], form.dilation[i]
        if k == s and d == 1:
            large = merge_axis(jnp.moveaxis(large, at, axis), axis - 1)
        else:
            large = _overlap_add(large, at, axis, s, d)
    cut = [(-low, -high) for low, high in zip(form.padding, form.padding_high, strict=True)]
    return pad_axes(large, cut)


def _overlap_add(windows: Array, at: int, axis: int, stride: int, dilation: int) -> Array:
    """Sum the taps along `at` into windows placed `stride` apart along `axis`."""
    k, h = windows.shape[at], windows.shape[axis]
    reach = stride * (h - 1) + dilation * (k - 1) + 1
    # Of every `stride` positions, each residue is a sum of taps, all of them shifted whole windows.
    length = -(-reach // stride)
    phases: list[Array] = []
    for residue in range(stride):
        phase = None
        for tap in range(k):
            shift, r = divmod(dilation * tap, stride)
            if r == residue:
                term = lax.index_in_dim(windows, tap, at, keepdims=False)
                term = pad_axis(term, axis - 1, shift, length - h - shift)
                phase = term if phase is None else phase + term
        if phase is None:
            phase = jnp.zeros_like(phases[0])  # residue 0 always has tap 0
        phases.append(phase)
    if stride == 1:
        return phases[0]
    large = merge_axis(jnp.stack(phases, axis=axis), axis - 1)
    return lax.slice_in_dim(large, 0, reach, axis=axis - 1)


def space_to_depth(x: Array, stride: tuple[int, ...]) -> Array:
    """(a, b, m s, n s) -> (a, b s s, m, n)."""
    a, b, *lengths = x.shape
    blocks = [n // s for n, s in zip(lengths, stride, strict=True)]
    x = x.reshape(a, b, *(n for pair in zip(blocks, stride, strict=True) for n in pair))
    x = x.transpose(0, 1, *range(3, x.ndim, 2), *range(2, x.ndim, 2))
    return x.reshape(a, b * prod(stride), *blocks)


def depth_to_space(x: Array, stride: tuple[int, ...]) -> Array:
    """(a, b s s, m, n) -> (a, b, m s, n s), the inverse of `space_to_depth`."""
    a, b, *blocks = x.shape
    rank = len(stride)
    x = x.reshape(a, b // prod(stride), *stride, *blocks)
    x = x.transpose(0, 1, *(i + 2 + side for i in range(rank) for side in (rank, 0)))
    lengths = [n * s for n, s in zip(blocks, stride, strict=True)]
    return x.reshape(a, b // prod(stride), *lengths)


def pad_axes(x: Array, pads: list[tuple[int, int]]) -> Array:
    """Pad the last axes with zeros; a negative pad crops."""
    lead = [(0, 0, 0)] * (x.ndim - len(pads))
    return lax.pad(x, jnp.zeros((), x.dtype), [*lead, *((low, high, 0) for low, high in pads)])


def pad_axis(x: Array, axis: int, low: int, high: int) -> Array:
    """Pad one axis with zeros; a negative pad crops."""
    return pad_axes(x, [(low, high), *[(0, 0)] * (x.ndim - axis - 1)])


def split_axis(x: Array, axis: int, inner: int) -> Array:
    """(..., outer * inner, ...) -> (..., outer, inner, ...)."""
    return x.reshape(*x.shape[:axis], x.shape[axis] // inner, inner, *x.shape[axis + 1 :])


def merge_axis(x: Array, axis: int) -> Array:
    """(..., outer, inner, ...) -> (..., outer * inner, ...)."""
    return x.reshape(*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :])
