"""Histograms: how many values lie in each of several bins of equal width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.precision import wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "histogram",
    "histogram2d",
    "histogramdd",
]

Range: TypeAlias = tuple[float, float]


class Histogram(NamedTuple):
    """How many values lie in each bin, and where the bins begin and end."""

    hist: Tensor
    bin_edges: Tensor


@op
def histogram(
    a: Operand, bins: int = 10, range: Range | None = None, density: bool = False
) -> Histogram:
    """How many values of `a` lie in each bin. A bin begins with its first edge; the last has both.

    Values outside, and NaN, lie in none. Histograms have no gradient.

    Shape: (*) -> hist (bins,), bin_edges (bins + 1,)

    Args:
        bins: their number.
        range: where the first begins and the last ends; of the values the least and the largest
            by default, and half a unit to both sides where these are equal.
        density: divide by the number of values and by the width of a bin, so that the integral
            is 1.

    Returns:
        A named tuple of `hist` and `bin_edges`.

    Raises:
        ValueError: there are no bins, or the range is empty or infinite.

    >>> lucid.histogram(Tensor([1.0, 2.0, 2.5, 4.0]), bins=3, range=(1, 4)).hist
    Tensor([1., 2., 1.])
    """
    limits = None if range is None else (range,)
    counts, edges = _count("histogram", jnp.reshape(a, (-1, 1)), (bins,), limits, density)
    return Histogram(counts, edges[0])


@op
def histogram2d(
    a: Operand,
    b: Operand,
    bins: Sequence[int] = (10, 10),
    range: Sequence[Range] | None = None,
    density: bool = False,
) -> Histogram:
    """`histogramdd` of the points (a, b).

    Shape: a (N,), b (N,) -> hist (bins[0], bins[1]), bin_edges (2, max(bins) + 1)

    >>> lucid.histogram2d(Tensor([0.0, 1.0]), Tensor([0.0, 0.9]), bins=[2, 2]).hist
    Tensor([[1., 0.],
            [0., 1.]])
    """
    points = jnp.stack([jnp.ravel(a), jnp.ravel(b)], 1)
    return _count("histogram2d", points, bins, range, density)


@op
def histogramdd(
    a: Operand,
    bins: int | Sequence[int],
    range: Sequence[Range] | None = None,
    density: bool = False,
) -> Histogram:
    """How many points lie in each cell of a grid; along each axis as in `histogram`.

    Shape: a (N, D) -> hist (*bins), bin_edges (D, max(bins) + 1)

    Args:
        a: N points of D coordinates.
        bins: their number along each axis, or one number for all.
        range: for each axis where the bins begin and end.

    Returns:
        A named tuple of `hist` and `bin_edges`; a row of the edges that is shorter than the others
        ends in NaN.

    Raises:
        ValueError: `a` does not have 2 axes, `bins` or `range` does not have one entry for each
            coordinate, there are no bins, or a range is empty or infinite.

    >>> hist, bin_edges = lucid.histogramdd(Tensor([[0.5, 0.5], [1.5, 0.2]]), 2, [(0, 2), (0, 1)])
    >>> hist, bin_edges
    (Tensor([[0., 1.],
            [1., 0.]]), Tensor([[0. , 1. , 2. ],
            [0. , 0.5, 1. ]]))
    """
    return _count("histogramdd", jnp.asarray(a), bins, range, density)


def _count(
    call: str,
    points: Array,
    bins: int | Sequence[int],
    limits: Sequence[Range] | None,
    density: bool,
) -> Histogram:
    if points.ndim != 2:
        raise ValueError(f"{call}: points (N, D) are needed, got shape {points.shape}.")
    points, n_axes = wide(points), points.shape[1]
    numbers = (bins,) * n_axes if isinstance(bins, int) else tuple(bins)
    ranges = (None,) * n_axes if limits is None else tuple(limits)
    _check(call, n_axes, numbers, ranges)
    edges = [
        _edges(points[:, i], n, limit)
        for i, (n, limit) in enumerate(zip(numbers, ranges, strict=True))
    ]
    cell, inside = jnp.zeros(len(points), int), jnp.ones(len(points), bool)
    for i, (n, ends) in enumerate(zip(numbers, edges, strict=True)):
        x = points[:, i]
        bin = jnp.where(x == ends[-1], n - 1, jnp.searchsorted(ends, x, side="right") - 1)
        inside &= (bin >= 0) & (bin < n)
        cell = cell * n + bin
    # Integers count on where floats stop.
    counts = (
        jnp.zeros(math.prod(numbers), int)
        .at[jnp.where(inside, cell, -1)]
        .add(jnp.asarray(inside, int), mode="drop")
    )
    hist = counts.reshape(numbers).astype(points.dtype)
    if density:
        hist = hist / jnp.sum(hist)
        for i, ends in enumerate(edges):
            widths = jnp.diff(ends).reshape(-1, *(1,) * (n_axes - 1 - i))
            hist = hist / widths
    longest = max(numbers, default=0) + 1
    rows = [jnp.pad(ends, (0, longest - len(ends)), constant_values=jnp.nan) for ends in edges]
    return Histogram(hist, jnp.stack(rows))


def _edges(x: Array, n: int, limits: Range | None) -> Array:
    low, high = limits or ((jnp.min(x), jnp.max(x)) if x.size else (0.0, 1.0))
    half = jnp.where(low == high, 0.5, 0.0)
    part = np.linspace(0, 1, n + 1)  # on the host, where it is exact
    return ((low - half) * (1 - part) + (high + half) * part).astype(x.dtype)


def _check(
    call: str, n_axes: int, numbers: tuple[int, ...], ranges: tuple[Range | None, ...]
) -> None:
    if len(numbers) != n_axes or len(ranges) != n_axes:
        raise ValueError(
            f"{call}: bins and range must have an entry for each of the {n_axes} coordinates, got "
            f"{len(numbers)} and {len(ranges)}."
        )
    if min(numbers, default=1) < 1:
        raise ValueError(f"{call}: there must be at least one bin, got bins={numbers}.")
    for limits in ranges:
        if limits is not None and not (
            math.isfinite(limits[0]) and math.isfinite(limits[1]) and limits[0] <= limits[1]
        ):
            raise ValueError(f"{call}: a range must be finite and ascending, got {limits}.")
