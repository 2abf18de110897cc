"""Pooling, one axis after the other: a window is the product of its ranges on the axes.

A pool is a chain of maxima or sums of strided slices. So its derivatives of every order are slices
and pads, which XLA fuses; `lax.reduce_window` differentiates into a scatter that took 8 to 25
times as long on a CPU.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import jax.numpy as jnp
import numpy as np
from jax import lax

from lucid._core.arguments import ntuple
from lucid._core.declaration import op
from lucid._core.typing import Array, Operand, Size
from lucid.ops.precision import narrowed, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


class PoolAxis(NamedTuple):
    """The windows of a pool on one spatial axis."""

    kernel: int
    stride: int
    padding: int
    dilation: int
    ceil_mode: bool

    @property
    def reach(self) -> int:
        """Length of one window: dilation * (kernel - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    def count(self, length: int) -> int:
        """Number of windows: (length + 2 * padding - reach) / stride + 1, rounded.

        With `ceil_mode` it is rounded up, but a window must start before the padding at the end.
        """
        room = length + 2 * self.padding - self.reach
        count = (-(-room // self.stride) if self.ceil_mode else room // self.stride) + 1
        if self.ceil_mode and (count - 1) * self.stride >= length + self.padding:
            count -= 1
        return count


PoolAxes: TypeAlias = tuple[PoolAxis, ...]  # one for each spatial axis


def check_axes(
    name: str,
    rank: int,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> PoolAxes:
    """Normalise the arguments of a pool, and refuse those that no input could satisfy.

    Args:
        name: opens every error message, as in "max_pool2d" or "MaxPool2d".

    Raises:
        ValueError: an argument is out of its range.
        TypeError: an argument is not made of integers.
    """
    kernel = ntuple(kernel_size, rank, f"{name}: kernel_size")
    strides = kernel if stride is None else ntuple(stride, rank, f"{name}: stride")
    paddings = ntuple(padding, rank, f"{name}: padding")
    dilations = ntuple(dilation, rank, f"{name}: dilation")
    for what, values in (("kernel_size", kernel), ("stride", strides), ("dilation", dilations)):
        if min(values) < 1:
            raise ValueError(f"{name}: {what} must be at least 1 on each axis, got {values}.")
    axes = tuple(
        PoolAxis(k, s, p, d, ceil_mode)
        for k, s, p, d in zip(kernel, strides, paddings, dilations, strict=True)
    )
    if not all(0 <= 2 * axis.padding <= axis.reach for axis in axes):
        raise ValueError(
            f"{name}: padding must be from 0 to half of the kernel on each axis, got "
            f"padding={paddings} for kernel_size={kernel}."
        )
    return axes


def max_pool(
    x: Array,
    /,
    rank: int,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """Largest value of each window of the last `rank` axes; of equal ones the first counts."""
    axes = check_axes(f"max_pool{rank}d", rank, kernel_size, stride, padding, dilation, ceil_mode)
    return max_over.pure(x, axes=axes)


@op
def max_over(x: Operand, *, axes: PoolAxes) -> Tensor:
    """`max_pool` with arguments that `check_axes` has checked."""
    for axis, window in _placed(f"max_pool{len(axes)}d", axes, x.shape):
        x = functools.reduce(_larger, _slices(x, axis, window, _lowest(x)))
    return x


def avg_pool(
    x: Array,
    /,
    rank: int,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Mean of each window of the last `rank` axes."""
    axes = check_axes(f"avg_pool{rank}d", rank, kernel_size, stride, padding, ceil_mode=ceil_mode)
    return mean_over.pure(x, axes=axes, count_include_pad=count_include_pad)


@op
def mean_over(x: Operand, *, axes: PoolAxes, count_include_pad: bool = True) -> Tensor:
    """`avg_pool` with arguments that `check_axes` has checked."""
    y = wide(x)
    for axis, window in _placed(f"avg_pool{len(axes)}d", axes, x.shape):
        length = x.shape[axis]
        start = np.arange(window.count(length)) * window.stride - window.padding
        low, high = (-window.padding, length + window.padding) if count_include_pad else (0, length)
        size = np.minimum(start + window.kernel, high) - np.maximum(start, low)
        total = functools.reduce(jnp.add, _slices(y, axis, window, 0))
        y = total / _along(size, axis, y)
    return narrowed(y, x)


@op
def adaptive_max_pool(x: Operand, rank: int, output_size: Sequence[int | None] | int) -> Tensor:
    """Largest value of each of `output_size` windows that cover the last `rank` axes evenly."""
    for axis, start, stop in _even_windows("adaptive_max_pool", rank, x.shape, output_size):
        at = np.minimum(start + np.arange((stop - start).max())[:, None], stop - 1)
        x = functools.reduce(_larger, [_take(x, row, axis) for row in at])
    return x


@op
def adaptive_avg_pool(x: Operand, rank: int, output_size: Sequence[int | None] | int) -> Tensor:
    """Mean of each of `output_size` windows that cover the last `rank` axes evenly."""
    y = wide(x)
    for axis, start, stop in _even_windows("adaptive_avg_pool", rank, x.shape, output_size):
        length = int(stop[0] - start[0])
        if len(start) * length == x.shape[axis]:  # windows that do not overlap
            split = (*y.shape[:axis], len(start), length, *y.shape[axis + 1 :])
            y = jnp.mean(y.reshape(split), axis + 1)
            continue
        at = start + np.arange((stop - start).max())[:, None]
        parts = [
            jnp.where(_along(row < stop, axis, y), _take(y, np.minimum(row, stop - 1), axis), 0)
            for row in at
        ]
        y = functools.reduce(jnp.add, parts) / _along(stop - start, axis, y)
    return narrowed(y, x)


def _placed(call: str, axes: PoolAxes, shape: tuple[int, ...]) -> list[tuple[int, PoolAxis]]:
    """The axes with their places in an array of this shape, last one first."""
    _check_rank(call, len(axes), shape)
    placed = list(zip(range(len(shape) - len(axes), len(shape)), axes, strict=True))
    if any(one.count(shape[i]) < 1 for i, one in placed):
        raise ValueError(
            f"{call}: the input of shape {shape} is too small for "
            f"kernel_size={tuple(one.kernel for one in axes)}, "
            f"padding={tuple(one.padding for one in axes)}, "
            f"dilation={tuple(one.dilation for one in axes)}."
        )
    return placed[::-1]


def _slices(x: Array, axis: int, window: PoolAxis, fill: float) -> list[Array]:
    """The first element of all windows, the second of all, and so on; padded with `fill`."""
    length, count = x.shape[axis], window.count(x.shape[axis])
    last = (count - 1) * window.stride
    high = max(last + window.reach - length - window.padding, 0)
    if window.padding or high:
        pads = [(0, 0, 0)] * x.ndim
        pads[axis] = (window.padding, high, 0)
        x = lax.pad(x, jnp.asarray(fill, x.dtype), pads)
    return [
        lax.slice_in_dim(x, i, i + last + 1, window.stride, axis)
        for i in range(0, window.reach, window.dilation)
    ]


def _larger(a: Array, b: Array) -> Array:
    """`b` where it is larger than `a` or no number, else `a`."""
    takes = b > a
    if jnp.issubdtype(b.dtype, jnp.floating):
        takes |= jnp.isnan(b)
    return jnp.where(takes, b, a)


def _lowest(x: Array) -> float:
    return -math.inf if jnp.issubdtype(x.dtype, jnp.floating) else int(np.iinfo(x.dtype).min)


def check_output_size(name: str, rank: int, output_size: Sequence[int | None] | int) -> None:
    """Refuse an output size of an adaptive pool that no input could satisfy.

    Raises:
        ValueError: a size is below 1.
        TypeError: a size is neither an integer nor None.
    """
    sizes = _output_sizes(name, rank, output_size)
    if any(m is not None and m < 1 for m in sizes):
        raise ValueError(f"{name}: output_size must be at least 1 on each axis, got {sizes}.")


def _output_sizes(
    name: str, rank: int, output_size: Sequence[int | None] | int
) -> tuple[int | None, ...]:
    """One size per axis, or None where the input's is kept."""
    if not isinstance(output_size, Sequence) or len(output_size) != rank:
        return ntuple(cast(Size, output_size), rank, f"{name}: output_size")
    given = ntuple([0 if m is None else m for m in output_size], rank, f"{name}: output_size")
    return tuple(None if m is None else n for m, n in zip(output_size, given, strict=True))


def _even_windows(
    call: str, rank: int, shape: tuple[int, ...], output_size: Sequence[int | None] | int
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """The axes that an adaptive pool changes, last one first, each with its windows' ends.

    Window i of m on an axis of length n reaches from floor(i * n / m) to ceil((i + 1) * n / m).
    """
    call = f"{call}{rank}d"
    _check_rank(call, rank, shape)
    spatial = shape[len(shape) - rank :]
    sizes = [
        n if m is None else m
        for m, n in zip(_output_sizes(call, rank, output_size), spatial, strict=True)
    ]
    if min(sizes) < 1 or min(spatial) < 1:
        raise ValueError(
            f"{call}: output_size and the input's size must be at least 1 on each axis, got "
            f"{tuple(sizes)} for input shape {shape}."
        )
    found = []
    for i in reversed(range(rank)):
        m, n = sizes[i], spatial[i]
        steps = np.arange(m + 1) * n
        if m != n:
            found.append((len(shape) - rank + i, steps[:-1] // m, -(-steps[1:] // m)))
    return found


def _take(x: Array, at: np.ndarray, axis: int) -> Array:
    """`x` at the positions `at` of an axis; a slice where they are evenly spaced."""
    step = int(at[1] - at[0]) if len(at) > 1 else 1
    if step > 0 and np.all(np.diff(at) == step):
        return lax.slice_in_dim(x, int(at[0]), int(at[-1]) + 1, step, axis)
    return jnp.take(x, at, axis, mode="clip")


def _along(values: np.ndarray, axis: int, like: Array) -> np.ndarray:
    """A value per position of an axis, shaped to be broadcast, in a dtype that keeps `like`'s."""
    dtype = values.dtype if values.dtype == bool else like.dtype
    return values.astype(dtype).reshape([-1 if i == axis else 1 for i in range(like.ndim)])


def _check_rank(call: str, rank: int, shape: tuple[int, ...]) -> None:
    if len(shape) not in (rank + 1, rank + 2):
        raise ValueError(
            f"{call}: input must have {rank + 2} axes (N, C, *spatial) or {rank + 1} axes "
            f"(C, *spatial), got shape {shape}."
        )
