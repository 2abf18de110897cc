"""Windows of an array: im2col (`gather`), its adjoint col2im (`scatter`), and strides as channels.

An axis of a form relates small and large by large = stride * small + dilation * tap - padding.
`gather` lays the taps of every window out along axes of their own; `scatter` is its adjoint and
adds overlapping windows.
"""

from __future__ import annotations

from itertools import product
from math import prod

import jax.numpy as jnp
from jax import Array, lax

from lucid.ops.conv.geometry import Form

# Adding all taps in one pass reads every window once, but is a program of one step per tap.
TAPS_AT_ONCE = 64


def gather(form: Form, large: Array, at: int) -> Array:
    """im2col: (..., *large) -> (..., *kernel, ..., *small) with the kernel's axes at `at`.

    One axis after the other, the innermost first: k + k copies in place of k * k, and the slices
    with a stride in memory are those of the least data.
    """
    windows = pad_axes(large, list(zip(form.padding, form.padding_high, strict=True)))
    for i in reversed(range(form.rank)):
        axis = windows.ndim - form.rank + i
        k, s, d, h = form.kernel[i], form.stride[i], form.dilation[i], form.small[i]
        if k == s and d == 1:  # windows do not overlap: taps are a factor of the axis
            shape = windows.shape
            windows = windows.reshape(*shape[:axis], h, k, *shape[axis + 1 :])
            windows = jnp.moveaxis(windows, axis + 1, at)
        else:
            last = s * (h - 1) + 1
            taps = [lax.slice_in_dim(windows, d * tap, d * tap + last, s, axis) for tap in range(k)]
            windows = jnp.stack(taps, at)
    return windows


def scatter(form: Form, windows: Array, at: int) -> Array:
    """col2im, the adjoint of `gather`: (..., *kernel, ..., *small) -> (..., *large)."""
    rank = form.rank
    if form.kernel == form.stride and set(form.dilation) == {1}:
        front = windows.ndim - 2 * rank  # windows do not overlap: a transpose
        moved = jnp.moveaxis(windows, range(at, at + rank), range(front, front + rank))
        large = _interleave(moved, rank)
    elif prod(form.kernel) <= TAPS_AT_ONCE:
        large = _overlap_add(form, windows, at, range(rank))
    else:
        large = windows
        for axis in range(rank):
            large = _overlap_add(form, large, at, range(axis, axis + 1))
    ends = zip(form.padding, form.large, large.shape[-rank:], strict=True)
    return pad_axes(large, [(-p, p + y - n) for p, y, n in ends])


def _overlap_add(form: Form, windows: Array, at: int, axes: range) -> Array:
    """Sum the taps of some spatial axes, which lie at `at`, into the windows' places.

    Position s m + r of the sum takes the taps with dilation * tap = s shift + r, each of them all
    windows moved by `shift`.
    """
    stride, lengths = [1] * form.rank, list(windows.shape[-form.rank :])
    for i in axes:
        stride[i] = form.stride[i]
        lengths[i] = -(-form.reach[i] // form.stride[i])
    phases: dict[tuple[int, ...], Array] = {}
    for taps in product(*(range(form.kernel[i]) for i in axes)):
        shifts, residues = [0] * form.rank, [0] * form.rank
        for i, tap in zip(axes, taps, strict=True):
            shifts[i], residues[i] = divmod(form.dilation[i] * tap, form.stride[i])
        term = windows[(*[slice(None)] * at, *taps)]
        ends = zip(shifts, lengths, term.shape[-form.rank :], strict=True)
        term = pad_axes(term, [(low, n - low - h) for low, n, h in ends])
        phase = tuple(residues)
        phases[phase] = phases[phase] + term if phase in phases else term
    return join_phases(phases, tuple(stride))


def join_phases(phases: dict[tuple[int, ...], Array], stride: tuple[int, ...]) -> Array:
    """Position s m + r of the result is position m of phase r, or zero where phase r is missing."""
    one = next(iter(phases.values()))
    every = [
        phases[residue] if residue in phases else jnp.zeros_like(one)
        for residue in product(*map(range, stride))
    ]
    if len(every) == 1:
        return one
    lead, blocks = one.shape[: -len(stride)], one.shape[-len(stride) :]
    stacked = jnp.stack(every, len(lead)).reshape(*lead, *stride, *blocks)
    return _interleave(stacked, len(stride))


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
    return _interleave(x.reshape(a, b // prod(stride), *stride, *blocks), len(stride))


def _interleave(x: Array, rank: int) -> Array:
    """(..., s, s, m, n) -> (..., m s, n s)."""
    front = x.ndim - 2 * rank
    lead, stride, blocks = x.shape[:front], x.shape[front : front + rank], x.shape[front + rank :]
    pairs = (front + i + side for i in range(rank) for side in (rank, 0))
    lengths = [n * s for n, s in zip(blocks, stride, strict=True)]
    return x.transpose(*range(front), *pairs).reshape(*lead, *lengths)


def pad_axes(x: Array, pads: list[tuple[int, int]]) -> Array:
    """Pad the last axes with zeros; a negative pad crops."""
    lead = [(0, 0, 0)] * (x.ndim - len(pads))
    return lax.pad(x, jnp.zeros((), x.dtype), [*lead, *((low, high, 0) for low, high in pads)])


def pad_axis(x: Array, axis: int, low: int, high: int) -> Array:
    """Pad one axis with zeros; a negative pad crops."""
    return pad_axes(x, [(low, high), *[(0, 0)] * (x.ndim - axis - 1)])
