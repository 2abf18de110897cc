"""Indexing and indexed assignment, with positions as data.

Integers and the starts of slices are traced values, so that a loop over `x[i]` or over minibatches
`x[i : i + 32]` compiles once. What an index selects is first cut out as one dynamic slice, the
region; the rest of the index is static, or index arrays.

Index arrays out of range are refused if they come from the host, or lie ready on the CPU and are
shorter than 65,536. Else they read the nearest element, and assign to none.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax import lax

from lucid._core.declaration import op
from lucid._core.known import check_within
from lucid._core.typing import Operand
from lucid.ops.precision import in_float32, wide_integer
from lucid.ops.shape import broadcast_to

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


class Selection(NamedTuple):
    """The static part of an index."""

    spans: tuple[int, ...]  # size of the region on each axis
    items: tuple[Any, ...]  # what is taken of the region: see `_inside`


def parse(index: Any, shape: tuple[int, ...]) -> tuple[Selection, list[Any]]:
    """Split an index as NumPy takes it into its static part and `[starts, *index arrays]`.

    Raises:
        IndexError: too many indices, an integer out of range, or a mask of another shape.
        TypeError: an index that is none of those of NumPy.
    """
    items = _expand(index if isinstance(index, tuple) else (index,), shape)
    spans: list[int] = []
    starts: list[int] = []
    inside: list[Any] = []
    arrays: list[Any] = []
    axis = 0
    for item in items:
        if item is None:
            inside.append(None)
            continue
        size = shape[axis]
        start, span = 0, size
        if isinstance(item, slice):
            start, span, of_region = _cut(item, size)
            inside.append(of_region)
        elif _is_array(item):
            name = f"the index array of axis {axis}"
            check_within("index", name, item, -size, size - 1, error=IndexError)
            arrays.append(item)
            inside.append("array")
        else:
            start, span = _position(item, size, axis), 1
            inside.append(0)
        starts.append(start)
        spans.append(span)
        axis += 1
    return Selection(tuple(spans), tuple(inside)), [np.array(starts, np.int32), *arrays]


@op
@in_float32
def take(a: Operand, starts: Operand, *arrays: Operand, selection: Selection) -> Tensor:
    """The elements of `a` that an index selects."""
    region = lax.dynamic_slice(a, list(starts), selection.spans)
    return region[_inside(selection, arrays)]


@op
def put(
    a: Operand, values: Operand, starts: Operand, *arrays: Operand, selection: Selection
) -> Tensor:
    """`a` with `values`, broadcast, in the place of the elements that an index selects."""
    region = lax.dynamic_slice(a, list(starts), selection.spans)
    inside = _inside(selection, arrays)
    values = broadcast_to.pure(values, region[inside].shape).astype(a.dtype)
    region = region.at[inside].set(values)
    return lax.dynamic_update_slice(a, region, list(starts))


def _inside(selection: Selection, arrays: tuple[Operand, ...]) -> tuple[Any, ...]:
    source = map(wide_integer, arrays)
    return tuple(
        next(source) if item == "array" else slice(*item) if isinstance(item, tuple) else item
        for item in selection.items
    )


def _expand(items: tuple[Any, ...], shape: tuple[int, ...]) -> list[Any]:
    """The items with lists as arrays, masks as index arrays and `...` written out."""
    items = tuple(_as_index_array(item) for item in items)
    n_axes = [_n_axes(item) for item in items]
    if sum(n_axes) > len(shape):
        raise IndexError(
            f"index: {sum(n_axes)} axes are indexed, but the Tensor of shape {shape} has "
            f"{len(shape)}."
        )
    dots = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexError("index: an index may hold one ellipsis (...), got several.")
    at = dots[0] if dots else len(items)
    rest = (slice(None),) * (len(shape) - sum(n_axes))
    expanded: list[Any] = []
    axis = 0
    for item in (*items[:at], *rest, *items[at + 1 :]):
        if _is_mask(item):
            expanded.extend(_nonzero(item, shape[axis : axis + item.ndim]))
        else:
            expanded.append(item)
        axis += _n_axes(item)
    return expanded


def _as_index_array(item: Any) -> Any:
    if isinstance(item, list):
        array = np.asarray(item)
        return array.astype(np.int32) if array.size == 0 else array
    return np.asarray(item) if isinstance(item, (bool, np.bool_)) else item


def _is_mask(item: Any) -> bool:
    return isinstance(item, (np.ndarray, jax.Array)) and item.dtype == bool


def _n_axes(item: Any) -> int:
    return item.ndim if _is_mask(item) else int(item is not None and item is not Ellipsis)


def _nonzero(mask: Any, covered: tuple[int, ...]) -> tuple[Any, ...]:
    if mask.shape != covered or not covered:
        raise IndexError(
            f"index: a mask of shape {mask.shape} cannot select from axes of shape {covered}."
        )
    return np.nonzero(np.asarray(mask))


def _is_array(item: Any) -> bool:
    if not isinstance(item, (np.ndarray, jax.Array)):
        return False
    if item.dtype.kind not in "iu":
        raise TypeError(f"index: an index array must hold integers or booleans, got {item.dtype}.")
    return True


def _position(item: Any, size: int, axis: int) -> int:
    try:
        position = operator.index(item)
    except TypeError:
        raise TypeError(
            "index: an index must be an integer, a slice, None, ... or an array of integers or "
            f"booleans, got {item!r}."
        ) from None
    if not -size <= position < size:
        raise IndexError(f"index: {position} is out of range for axis {axis} of size {size}.")
    return position % size


def _cut(item: slice, size: int) -> tuple[int, int, tuple[int | None, int | None, int]]:
    """Start and span of the region that a slice covers, and the slice of that region."""
    covered = range(*item.indices(size))
    if len(covered) == 0:
        return 0, 0, (None, None, 1)
    low, high = min(covered[0], covered[-1]), max(covered[0], covered[-1])
    return low, high - low + 1, (None, None, covered.step)
