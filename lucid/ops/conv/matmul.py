"""CPU lowering: one matrix product per map, between columns of `large` and columns of `small`.

The taps of an axis are gathered on one of two sides. On the side of `large` this is im2col. An axis
of stride 1 may be gathered on the side of `small` instead, since large is what the reversed kernel
makes of small. A product sums over the taps of one side and leaves those of the other apart, to be
added where their windows overlap (col2im):

    small  = add_windows(rows @ columns of large)
    large  = add_windows(rows^T @ columns of small)
    kernel = columns of small @ (columns of large)^T

`matmul` has all taps on the side of large. `balanced` and `polyphase` choose other sides.

Arrays are kept channel-major, (groups, channels * taps, batch * positions). Where a program needs
the same columns twice, as both gradients do, the compiler computes them once.
"""

from __future__ import annotations

from math import prod

import jax.numpy as jnp
from jax import Array

from lucid.ops.conv import chunks, tuning
from lucid.ops.conv.geometry import Form, SpatialAxis
from lucid.ops.conv.windows import gather, scatter

Side = list[SpatialAxis]


def claims(out: str, form: Form) -> bool:
    """Every map of every form."""
    return True


def pays(out: str, form: Form) -> bool:
    """It is what the others are compared with."""
    return True


def traffic(form: Form, on_small: tuple[int, ...] = ()) -> int:
    """Elements of the columns of both sides, where the axes `on_small` are gathered on small.

    They decide the time. A side without axes of its own has no columns.
    """
    of_large, of_small = _sides(form, on_small)
    positions = form.batch * prod(axis.small for axis in of_large)
    large = form.large_channels * prod(axis.kernel for axis in of_large)
    small = form.small_channels * prod(axis.kernel for axis in of_small)
    return positions * (large * (len(on_small) < form.rank) + small * bool(on_small))


def small(form: Form, large: Array, kernel: Array, on_small: tuple[int, ...] = ()) -> Array:
    rows = _rows(form, kernel, on_small)

    def run(form: Form, large: Array) -> Array:
        of_large, of_small = _sides(form, on_small)
        windows = rows @ _columns(form, of_large, large)
        return _add_windows(form, of_small, form.small_channels, windows)

    column_bytes = large.dtype.itemsize * traffic(form, on_small)
    return chunks.joined("small", form, column_bytes, run, large)


def large(form: Form, small: Array, kernel: Array, on_small: tuple[int, ...] = ()) -> Array:
    rows = _rows(form, kernel, on_small)

    def run(form: Form, small: Array) -> Array:
        of_large, of_small = _sides(form, on_small)
        columns = _columns(form, of_small, small)
        if _has_few_positions(columns):
            # A transposed copy of the kernel would take longer than the product.
            windows = columns[0].T @ rows[0]
            return _add_windows(form, of_large, form.large_channels, windows, positions_first=True)
        return _add_windows(form, of_large, form.large_channels, rows.mT @ columns)

    column_bytes = small.dtype.itemsize * traffic(form, on_small)
    return chunks.joined("large", form, column_bytes, run, small)


def kernel(form: Form, small: Array, large: Array, on_small: tuple[int, ...] = ()) -> Array:
    def run(form: Form, small: Array, large: Array) -> Array:
        of_large, of_small = _sides(form, on_small)
        x, y = _columns(form, of_small, small), _columns(form, of_large, large)
        # A long sum is up to twice as fast with the more rows on the left.
        more_of_small = x.shape[1] > y.shape[1]
        return _product(x, y) if more_of_small else _product(y, x).mT

    column_bytes = small.dtype.itemsize * traffic(form, on_small)
    rows = chunks.summed(form, column_bytes, run, small, large)
    return _kernel_of_rows(form, rows, on_small)


def _product(x: Array, y: Array) -> Array:
    """x @ y^T, group by group."""
    # Of a batched product, even of one, XLA copies the transposed operand.
    return (x[0] @ y[0].T)[None] if len(x) == 1 else x @ y.mT


def _sides(form: Form, on_small: tuple[int, ...]) -> tuple[Side, Side]:
    """How the columns' positions, as `small` of an axis, lie to large and to small."""
    of_large, of_small = [], []
    for i, axis in enumerate(form.axes):
        h, y, k, s, p, d = axis
        if i in on_small:
            of_large.append(SpatialAxis(axis.reach, y, 1, 1, p, 1))
            of_small.append(SpatialAxis(axis.reach, h, k, 1, d * (k - 1), d))
        else:
            # Where small has length 1 any stride is the same; the kernel's needs no overlap.
            of_large.append(SpatialAxis(h, y, k, k if h == 1 and d == 1 else s, p, d))
            of_small.append(SpatialAxis(h, h, 1, 1, 0, 1))
    return of_large, of_small


def _columns(form: Form, side: Side, x: Array) -> Array:
    """im2col: (groups, channels * taps, batch * positions)"""
    rows = x.shape[1] // form.groups * prod(axis.kernel for axis in side)
    windows = gather(side, x.swapaxes(0, 1), at=1)
    return windows.reshape(form.groups, rows, form.batch * prod(axis.small for axis in side))


def _has_few_positions(columns: Array) -> bool:
    groups, channels, positions = columns.shape
    return groups == 1 and positions <= tuning.FEW_POSITIONS * channels


def _add_windows(
    form: Form, side: Side, channels: int, windows: Array, positions_first: bool = False
) -> Array:
    """col2im, the adjoint of `_columns`."""
    taps, positions = [axis.kernel for axis in side], [axis.small for axis in side]
    if positions_first:
        windows = windows.reshape(form.batch, *positions, channels, *taps)
        n = 1 + len(positions)
        windows = windows.transpose(*range(n, windows.ndim), *range(n))
    windows = windows.reshape(channels, *taps, form.batch, *positions)
    return scatter(side, windows, at=1).swapaxes(0, 1)


# In the kernel's rows the taps gathered on small, reversed, stand beside its channels:
# (groups, small channels * those taps, large channels * other taps).


def _order(form: Form, on_small: tuple[int, ...]) -> list[int]:
    """Axes of (groups, small channels, large channels, *taps) as they lie in rows."""
    others = [i for i in range(form.rank) if i not in on_small]
    return [0, 1, *(3 + i for i in on_small), 2, *(3 + i for i in others)]


def _reversed_axes(on_small: tuple[int, ...]) -> list[int]:
    return [3 + i for i in on_small]


def _rows(form: Form, kernel: Array, on_small: tuple[int, ...]) -> Array:
    per_group = form.small_channels // form.groups
    kernel = kernel.reshape(form.groups, per_group, *form.kernel_shape[1:])
    kernel = jnp.flip(kernel, _reversed_axes(on_small)).transpose(_order(form, on_small))
    return kernel.reshape(form.groups, per_group * prod(form.kernel[i] for i in on_small), -1)


def _kernel_of_rows(form: Form, rows: Array, on_small: tuple[int, ...]) -> Array:
    """The inverse of `_rows`."""
    shape = (form.groups, form.small_channels // form.groups, *form.kernel_shape[1:])
    order = _order(form, on_small)
    kernel = rows.reshape([shape[i] for i in order])
    kernel = kernel.transpose([order.index(i) for i in range(len(order))])
    return jnp.flip(kernel, _reversed_axes(on_small)).reshape(form.kernel_shape)
