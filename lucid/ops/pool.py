"""Pooling, one axis after the other: a window is the product of its ranges on the axes.

A pool is a chain of maxima or sums of strided slices. So its derivatives of every order are slices
and pads, which XLA fuses; `lax.reduce_window` differentiates into a scatter that took 8 to 25
times as long on a CPU.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from lucid._core.arguments import ntuple
from lucid._core.typing import Array, Size
from lucid.ops.precision import narrowed, wide


class Window(NamedTuple):
    """The windows of a pool on one axis."""

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


def windows(
    call: str,
    rank: int,
    shape: tuple[int, ...],
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
) -> list[tuple[int, Window]]:
    """The axes of a pool, last one first, each with its checked windows.

    Raises:
        ValueError: an argument is out of its range, or the input is too small.
        TypeError: an argument is not made of integers.
    """
    _check_rank(call, rank, shape)
    kernel = ntuple(kernel_size, rank, f"{call}: kernel_size")
    strides = kernel if stride is None else ntuple(stride, rank, f"{call}: stride")
    paddings = ntuple(padding, rank, f"{call}: padding")
    dilations = ntuple(dilation, rank, f"{call}: dilation")
    for name, values in (("kernel_size", kernel), ("stride", strides), ("dilation", dilations)):
        if min(values) < 1:
            raise ValueError(f"{call}: {name} must be at least 1 on each axis, got {values}.")
    found = []
    for i in reversed(range(rank)):
        window = Window(kernel[i], strides[i], paddings[i], dilations[i], ceil_mode)
        if not 0 <= 2 * window.padding <= window.reach:
            raise ValueError(
                f"{call}: padding must be from 0 to half of the kernel on each axis, got "
                f"padding={paddings} for kernel_size={kernel}."
            )
        axis = len(shape) - rank + i
        if window.count(shape[axis]) < 1:
            raise ValueError(
                f"{call}: the input of shape {shape} is too small for kernel_size={kernel}, "
                f"padding={paddings}, dilation={dilations}."
            )
        found.append((axis, window))
    return found


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
    call = f"max_pool{rank}d"
    for axis, window in windows(
        call, rank, x.shape, kernel_size, stride, padding, dilation, ceil_mode
    ):
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
    y = wide(x)
    for axis, window in windows(
        f"avg_pool{rank}d", rank, x.shape, kernel_size, stride, padding, 1, ceil_mode
    ):
        length = x.shape[axis]
        start = np.arange(window.count(length)) * window.stride - window.padding
        low, high = (-window.padding, length + window.padding) if count_include_pad else (0, length)
        size = np.minimum(start + window.kernel, high) - np.maximum(start, low)
        total = functools.reduce(jnp.add, _slices(y, axis, window, 0))
        y = total / _along(size, axis, y)
    return narrowed(y, x)


def adaptive_max_pool(x: Array, /, rank: int, output_size: Sequence[int | None] | int) -> Array:
    """Largest value of each of `output_size` windows that cover the last `rank` axes evenly."""
    for axis, start, stop in _even_windows("adaptive_max_pool", rank, x.shape, output_size):
        at = np.minimum(start + np.arange((stop - start).max())[:, None], stop - 1)
        x = functools.reduce(_larger, [_take(x, row, axis) for row in at])
    return x


def adaptive_avg_pool(x: Array, /, rank: int, output_size: Sequence[int | None] | int) -> Array:
    """Mean of each of `output_size` windows that cover the last `rank` axes evenly."""
    y = wide(x)
    for axis, start, stop in _even_windows("adaptive_avg_pool", rank, x.shape, output_size):
        if len(start) * (stop[0] - start[0]) == x.shape[axis]:  # windows that do not overlap
            split = (*y.shape[:axis], len(start), -1, *y.shape[axis + 1 :])
            y = jnp.mean(y.reshape(split), axis + 1)
            continue
        at = start + np.arange((stop - start).max())[:, None]
        parts = [
            jnp.where(_along(row < stop, axis, y), _take(y, np.minimum(row, stop - 1), axis), 0)
            for row in at
        ]
        y = functools.reduce(jnp.add, parts) / _along(stop - start, axis, y)
    return narrowed(y, x)


def _slices(x: Array, axis: int, window: Window, fill: float) -> list[Array]:
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


def _even_windows(
    call: str, rank: int, shape: tuple[int, ...], output_size: Sequence[int | None] | int
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """The axes that an adaptive pool changes, last one first, each with its windows' ends.

    Window i of m on an axis of length n reaches from floor(i * n / m) to ceil((i + 1) * n / m).
    """
    call = f"{call}{rank}d"
    _check_rank(call, rank, shape)
    spatial = shape[len(shape) - rank :]
    given: Any = output_size
    if isinstance(output_size, Sequence) and len(output_size) == rank:
        given = [n if m is None else m for m, n in zip(output_size, spatial, strict=True)]
    sizes = ntuple(given, rank, f"{call}: output_size")
    if min(sizes) < 1 or min(spatial) < 1:
        raise ValueError(
            f"{call}: output_size and the input's size must be at least 1 on each axis, got "
            f"{sizes} for input shape {shape}."
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
