"""Windows of an array: im2col (`gather`), its adjoint col2im (`scatter`), and strides as channels.

A `SpatialAxis` relates small and large by large = stride * small + dilation * tap - padding.
`gather` lays the taps of every window out along axes of their own; `scatter` is its adjoint and
adds overlapping windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from math import prod
from operator import add

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lucid.ops.conv import tuning
from lucid.ops.conv.geometry import SpatialAxis


def gather(axes: Sequence[SpatialAxis], large: Array, at: int) -> Array:
    """im2col: (..., *large) -> (..., *kernel, ..., *small) with the kernel's axes at `at`.

    One axis after the other, the innermost first: k + k copies in place of k * k, and the slices
    with a stride in memory are those of the least data.
    """
    rank = len(axes)
    windows = pad_axes(large, [(axis.padding, axis.padding_high) for axis in axes])
    for i in reversed(range(rank)):
        axis = windows.ndim - rank + i
        if axes[i].kernel == axes[i].stride == 1:
            windows = lax.expand_dims(windows, [at])
        elif _is_made_of_blocks(axes[i]):
            windows = _gather_blocks(axes[i], windows, axis, at)
        else:
            h, _, k, s, _, d = axes[i]
            last = s * (h - 1) + 1
            taps = [lax.slice_in_dim(windows, d * tap, d * tap + last, s, axis) for tap in range(k)]
            windows = jnp.stack(taps, at)
    return windows


def _is_made_of_blocks(axis: SpatialAxis) -> bool:
    """Whether to take the taps of a stride together: few steps for a long kernel.

    Otherwise there is one step for each tap; the compiler takes seconds for hundreds of them.
    """
    return axis.dilation == 1 and (
        axis.kernel == axis.stride or (axis.kernel > tuning.LONG_KERNEL and axis.stride > 1)
    )


def _gather_blocks(one: SpatialAxis, large: Array, axis: int, at: int) -> Array:
    """`gather` along one axis: tap s u + r is residue r of the blocks from u on."""
    h, _, k, s, _, _ = one
    count = -(-k // s)
    large = pad_axis(large, axis, 0, s * (h - 1 + count) - large.shape[axis])
    blocks = large.reshape(*large.shape[:axis], h - 1 + count, s, *large.shape[axis + 1 :])
    residues = jnp.moveaxis(blocks, axis + 1, at)
    taps = jnp.stack([lax.slice_in_dim(residues, u, u + h, 1, axis + 1) for u in range(count)], at)
    taps = taps.reshape(*taps.shape[:at], count * s, *taps.shape[at + 2 :])
    return lax.slice_in_dim(taps, 0, k, 1, at)


def scatter(axes: Sequence[SpatialAxis], windows: Array, at: int) -> Array:
    """col2im, the adjoint of `gather`: (..., *kernel, ..., *small) -> (..., *large)."""
    rank = len(axes)
    if all(axis.kernel == axis.stride and axis.dilation == 1 for axis in axes):
        front = windows.ndim - 2 * rank  # windows do not overlap: a transpose
        moved = jnp.moveaxis(windows, range(at, at + rank), range(front, front + rank))
        large = _interleave(moved, rank)
        return pad_axes(large, [(-axis.padding, -axis.padding_high) for axis in axes])
    if prod(axis.kernel for axis in axes) <= tuning.TAPS_PER_SCATTER:
        return _overlap_add(axes, windows, at, range(rank))
    for i in range(rank):
        if _is_made_of_blocks(axes[i]):
            windows = _add_blocks(axes[i], windows, windows.ndim - rank + i, at)
        else:
            windows = _overlap_add(axes, windows, at, range(i, i + 1))
    return windows


def _add_blocks(one: SpatialAxis, windows: Array, axis: int, at: int) -> Array:
    """`scatter` along one axis, the adjoint of `_gather_blocks`, and the padding's crop."""
    h, y, k, s, p, _ = one
    count = -(-k // s)
    taps = pad_axis(windows, at, 0, count * s - k)
    taps = taps.reshape(*taps.shape[:at], count, s, *taps.shape[at + 1 :])
    terms = (taps[(*[slice(None)] * at, u)] for u in range(count))
    residues = reduce(add, (pad_axis(t, axis, u, count - 1 - u) for u, t in enumerate(terms)))
    blocks = jnp.moveaxis(residues, at, axis)
    length = s * (h - 1 + count)
    large = blocks.reshape(*blocks.shape[: axis - 1], length, *blocks.shape[axis + 1 :])
    return pad_axis(large, axis - 1, -p, p + y - length)


def _overlap_add(axes: Sequence[SpatialAxis], windows: Array, at: int, along: range) -> Array:
    """Sum the taps of some axes, which lie at `at`, into the windows' places in large.

    Position s m + r of large takes the taps with dilation tap - padding = s shift + r, each of them
    all windows moved by `shift`.
    """
    stride, lengths = [1] * len(axes), list(windows.shape[-len(axes) :])
    for i in along:
        stride[i], lengths[i] = axes[i].stride, -(-axes[i].large // axes[i].stride)
    phases: dict[tuple[int, ...], Array] = {}
    for taps in product(*(range(axes[i].kernel) for i in along)):
        shifts, residues = [0] * len(axes), [0] * len(axes)
        for i, tap in zip(along, taps, strict=True):
            starts = axes[i].dilation * tap - axes[i].padding
            shifts[i], residues[i] = divmod(starts, axes[i].stride)
        term = windows[(*[slice(None)] * at, *taps)]
        ends = zip(shifts, lengths, term.shape[-len(axes) :], strict=True)
        term = pad_axes(term, [(low, n - low - h) for low, n, h in ends])
        phase = tuple(residues)
        phases[phase] = phases[phase] + term if phase in phases else term
    large = join_phases(phases, tuple(stride))
    crops = [(0, 0)] * len(axes)
    for i in along:
        crops[i] = (0, axes[i].large - stride[i] * lengths[i])
    return pad_axes(large, crops)


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


def space_to_batch(x: Array, stride: tuple[int, ...]) -> Array:
    """(a, b, m s, n s) -> (a s s, b, m, n): each residue modulo the stride an image of its own."""
    a, b = x.shape[:2]
    x = space_to_depth(x, stride)
    x = x.reshape(a, b, prod(stride), *x.shape[2:]).swapaxes(1, 2)
    return x.reshape(a * prod(stride), b, *x.shape[3:])


def _interleave(x: Array, rank: int) -> Array:
    """(..., s, s, m, n) -> (..., m s, n s)."""
    front = x.ndim - 2 * rank
    lead, stride, blocks = x.shape[:front], x.shape[front : front + rank], x.shape[front + rank :]
    pairs = (front + i + side for i in range(rank) for side in (rank, 0))
    lengths = [n * s for n, s in zip(blocks, stride, strict=True)]
    return x.transpose(*range(front), *pairs).reshape(*lead, *lengths)


def pad_axes(x: Array, pads: list[tuple[int, int]]) -> Array:
    """Pad the last axes with zeros; a negative pad crops."""
    if not any(low or high for low, high in pads):
        return x
    lead = [(0, 0, 0)] * (x.ndim - len(pads))
    return lax.pad(x, np.zeros((), x.dtype), [*lead, *((low, high, 0) for low, high in pads)])


def pad_axis(x: Array, axis: int, low: int, high: int) -> Array:
    """Pad one axis with zeros; a negative pad crops."""
    return pad_axes(x, [(low, high), *[(0, 0)] * (x.ndim - axis - 1)])
