"""CPU lowering for one channel per group: one pass of multiply-adds, no matrix product.

A matrix product has nothing to work on when a group holds one channel. Here every tap multiplies
shifted slices elementwise, with axes (batch, groups, small channels, large channels, *positions)
of which one of the two channel axes has length 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import product
from math import prod
from operator import add

import jax.numpy as jnp
from jax import Array, lax

from lucid.ops.conv import tuning
from lucid.ops.conv.geometry import Form
from lucid.ops.conv.windows import join_phases, pad_axes

Taps = tuple[int, ...]


def claims(out: str, form: Form) -> bool:
    """Groups with one channel of small or of large, and few of the other."""
    few = max(form.small_channels, form.large_channels) <= tuning.DEPTHWISE_CHANNELS * form.groups
    return few and form.groups in (form.small_channels, form.large_channels)


def pays(out: str, form: Form) -> bool:
    """Up to so many taps, each of which is a step of the program."""
    return prod(form.kernel) <= tuning.DEPTHWISE_TAPS


def small(form: Form, large: Array, kernel: Array) -> Array:
    at, weight = _slices_of_large(form, large), _weights(form, kernel)
    out = reduce(add, (at(taps) * weight(taps) for taps in _all_taps(form)))
    return out.sum(3).reshape(form.small_shape)


def large(form: Form, small: Array, kernel: Array) -> Array:
    weight = _weights(form, kernel)
    # Position s m + r of large sums the taps with dilation * tap = s shift + r, each of them small
    # moved by `shift`. Padding small once keeps the moved terms plain slices.
    lengths = [-(-axis.reach // axis.stride) for axis in form.axes]
    margins = [axis.dilation * (axis.kernel - 1) // axis.stride for axis in form.axes]
    x = pad_axes(
        _with_group_axes(form, small, large_side=False),
        [(low, n - h) for low, n, h in zip(margins, lengths, form.small, strict=True)],
    )
    phases: dict[Taps, Array] = {}
    for taps in _all_taps(form):
        moves = [divmod(d * i, s) for i, s, d in zip(taps, form.stride, form.dilation, strict=True)]
        starts = [low - shift for low, (shift, _) in zip(margins, moves, strict=True)]
        term = _cut(x, starts, [1] * form.rank, lengths) * weight(taps)
        phase = tuple(residue for _, residue in moves)
        phases[phase] = phases[phase] + term if phase in phases else term
    summed = {residue: phase.sum(2) for residue, phase in phases.items()}
    out = join_phases(summed, form.stride)
    out = out.reshape(form.batch, form.large_channels, *out.shape[-form.rank :])
    ends = zip(form.padding, form.large, out.shape[2:], strict=True)
    return pad_axes(out, [(-p, p + y - n) for p, y, n in ends])


def kernel(form: Form, small: Array, large: Array) -> Array:
    at, x = _slices_of_large(form, large), _with_group_axes(form, small, large_side=False)
    products = [x * at(taps) for taps in _all_taps(form)]
    # One reduction of many operands reads small and large once; a reduction per tap reads them
    # once for each tap, and a matrix product would first write the products' operands out. The
    # batch is summed after it: a sharded axis would be gathered for a reduction of many operands.
    positions = range(4, 4 + form.rank)
    sums: list[Array] = []
    for start in range(0, len(products), tuning.TAPS_PER_REDUCTION):
        some = products[start : start + tuning.TAPS_PER_REDUCTION]
        zeros = [jnp.zeros((), x.dtype)] * len(some)
        sums += lax.reduce(some, zeros, _add_each, positions)
    return jnp.stack(sums, -1).sum(0).reshape(form.kernel_shape)


def _add_each(a: list[Array], b: list[Array]) -> list[Array]:
    return [u + v for u, v in zip(a, b, strict=True)]


def _all_taps(form: Form) -> Iterator[Taps]:
    return product(*map(range, form.kernel))


def _with_group_axes(form: Form, x: Array, *, large_side: bool) -> Array:
    """Axis C of (N, C, *spatial) as three: groups, channels of small, channels of large."""
    per_group = x.shape[1] // form.groups
    channels = (1, per_group) if large_side else (per_group, 1)
    return x.reshape(form.batch, form.groups, *channels, *x.shape[2:])


def _weights(form: Form, kernel: Array) -> Callable[[Taps], Array]:
    kernel = kernel.reshape(form.groups, -1, *kernel.shape[1:])
    return lambda taps: kernel[(..., *taps)].reshape(1, *kernel.shape[:3], *(1,) * form.rank)


def _slices_of_large(form: Form, large: Array) -> Callable[[Taps], Array]:
    """For taps, what every position of small sees of large through them."""
    padding = list(zip(form.padding, form.padding_high, strict=True))
    large = pad_axes(_with_group_axes(form, large, large_side=True), padding)

    def at(taps: Taps) -> Array:
        starts = [d * i for i, d in zip(taps, form.dilation, strict=True)]
        return _cut(large, starts, form.stride, form.small)

    return at


def _cut(x: Array, starts: Sequence[int], strides: Sequence[int], lengths: Sequence[int]) -> Array:
    axes = zip(starts, strides, lengths, strict=True)
    return x[(..., *(slice(i, i + s * (n - 1) + 1, s) for i, s, n in axes))]
