"""Functions that move, join, split and repeat elements without computing with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from lucid._core.arguments import as_shape
from lucid._core.declaration import checks, op
from lucid._core.known import check_within
from lucid._core.typing import Axis, DType, Operand, Shape
from lucid.ops.precision import in_float32, wide_integer

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "broadcast_to",
    "chunk",
    "clone",
    "concatenate",
    "expand",
    "expand_dims",
    "flatten",
    "flip",
    "gather",
    "hstack",
    "meshgrid",
    "pad",
    "ravel",
    "repeat",
    "reshape",
    "roll",
    "shape",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "take_along_axis",
    "tile",
    "transpose",
    "unbind",
    "unsqueeze",
    "vstack",
]


@op
def clone(a: Operand) -> Tensor:
    """The same values in a new Tensor; recorded.

    >>> x = Tensor([1.0, 2.0])
    >>> y = lucid.clone(x)
    >>> x += 1
    >>> y
    Tensor([1., 2.])
    """
    return jnp.array(a)


def shape(a: Operand) -> tuple[int, ...]:
    """The sizes of the axes of `a`.

    >>> lucid.shape(lucid.zeros(2, 3))
    (2, 3)
    """
    return tuple(np.shape(a))


@op
def reshape(a: Operand, shape: Shape) -> Tensor:
    """The same elements in another shape; one size may be -1 and is inferred.

    Raises:
        ValueError: a size is to be inferred beside a size of 0, where any would do.
        TypeError: the new shape has another number of elements.

    >>> lucid.reshape(Tensor([1, 2, 3, 4]), (2, -1)).shape
    (2, 2)
    """
    sizes = as_shape((shape,))
    if -1 in sizes and 0 in sizes:
        raise ValueError(
            f"reshape: the size -1 of the new shape {tuple(sizes)} cannot be inferred beside a "
            f"size of 0, got input shape {jnp.shape(a)}. Name it."
        )
    return jnp.reshape(a, shape)


@op
def transpose(a: Operand, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order, reversed unless `axes` says otherwise.

    >>> lucid.transpose(lucid.zeros(2, 3, 4), (1, 0, 2)).shape
    (3, 2, 4)
    """
    return jnp.transpose(a, axes)


@op
def swapaxes(a: Operand, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged.

    >>> lucid.swapaxes(lucid.zeros(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    return jnp.swapaxes(a, axis1, axis2)


@op
def squeeze(a: Operand, axis: Axis = None) -> Tensor:
    """Without the axes of size 1, or without those named.

    Raises:
        ValueError: an axis that is named has another size, or does not exist.

    >>> lucid.squeeze(lucid.zeros(1, 3, 1), axis=0).shape
    (3, 1)
    """
    for at in () if axis is None else (axis,) if hasattr(axis, "__index__") else axis:
        if _length("squeeze", a, at) != 1:
            raise ValueError(f"squeeze: axis {at} of shape {jnp.shape(a)} does not have size 1.")
    return jnp.squeeze(a, axis)


@op
def unsqueeze(a: Operand, axis: int | Sequence[int]) -> Tensor:
    """With new axes of size 1 where `axis` says.

    >>> lucid.unsqueeze(lucid.zeros(3), axis=0).shape
    (1, 3)
    """
    return jnp.expand_dims(a, axis)


@op
def flatten(a: Operand, start_axis: int = 0, end_axis: int = -1) -> Tensor:
    """The axes from `start_axis` to `end_axis`, both included, as one.

    Raises:
        ValueError: an axis does not exist, or the first lies behind the last.

    >>> lucid.flatten(lucid.zeros(2, 3, 4), start_axis=1).shape
    (2, 12)
    """
    sizes = jnp.shape(a)
    if not sizes:
        return jnp.reshape(a, (1,))
    for axis in (start_axis, end_axis):
        _length("flatten", a, axis)
    start, end = start_axis % len(sizes), end_axis % len(sizes)
    if start > end:
        raise ValueError(
            f"flatten: start_axis {start_axis} lies behind end_axis {end_axis} of shape {sizes}."
        )
    return jnp.reshape(a, (*sizes[:start], math.prod(sizes[start : end + 1]), *sizes[end + 1 :]))


@op
def ravel(a: Operand) -> Tensor:
    """All elements in one axis, in row-major order.

    >>> lucid.ravel(lucid.zeros(2, 3)).shape
    (6,)
    """
    return jnp.ravel(a)


@op
@in_float32
def broadcast_to(a: Operand, shape: Shape) -> Tensor:
    """`a` repeated along new axes and axes of size 1 until it has `shape`.

    >>> lucid.broadcast_to(Tensor([1, 2]), (2, 2))
    Tensor([[1, 2],
            [1, 2]], dtype=int32)
    """
    return jnp.broadcast_to(a, shape)


@op
@in_float32
def expand(a: Operand, *sizes: Shape) -> Tensor:
    """`broadcast_to`, in which a size of -1 keeps the axis as it is.

    Args:
        sizes: one tuple or several integers.

    >>> lucid.expand(lucid.zeros(1, 3), 2, -1).shape
    (2, 3)
    """
    own, wanted = jnp.shape(a), as_shape(sizes)
    new = len(wanted) - len(own)
    shape = [own[i - new] if size == -1 and i >= new else size for i, size in enumerate(wanted)]
    return jnp.broadcast_to(a, shape)


@op
def concatenate(arr: Sequence[Operand], axis: int = 0) -> Tensor:
    """The Tensors one behind the other along an axis that they have.

    >>> lucid.concatenate([Tensor([1.0]), Tensor([2.0, 3.0])])
    Tensor([1., 2., 3.])
    """
    return jnp.concatenate(arr, axis)


@op
def stack(arr: Sequence[Operand], axis: int = 0) -> Tensor:
    """The Tensors one behind the other along a new axis.

    >>> lucid.stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])], axis=1)
    Tensor([[1., 3.],
            [2., 4.]])
    """
    return jnp.stack(arr, axis)


@op
def hstack(arr: Sequence[Operand]) -> Tensor:
    """The Tensors side by side: along the second axis, or along the only one of vectors.

    >>> lucid.hstack([Tensor([[1.0], [2.0]]), Tensor([[3.0], [4.0]])])
    Tensor([[1., 3.],
            [2., 4.]])
    """
    return jnp.hstack(arr)


@op
def vstack(arr: Sequence[Operand]) -> Tensor:
    """The Tensors one below the other: along the first axis, vectors counting as rows.

    >>> lucid.vstack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    Tensor([[1., 2.],
            [3., 4.]])
    """
    return jnp.vstack(arr)


@op
@in_float32
def meshgrid(*arr: Operand, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid: each vector repeated along the axes of all others.

    Shape: (n0,), (n1,), ... -> each (n0, n1, ...); with `indexing="xy"`, (n1, n0, ...)

    Args:
        indexing: "ij" varies the first vector along axis 0, "xy" along axis 1.

    Raises:
        ValueError: an operand has several axes, or `indexing` is neither of these.

    >>> i, j = lucid.meshgrid(Tensor([1, 2]), Tensor([3, 4]))
    >>> i, j
    (Tensor([[1, 1],
            [2, 2]], dtype=int32), Tensor([[3, 4],
            [3, 4]], dtype=int32))
    """
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}.")
    for x in arr:
        if jnp.ndim(x) > 1:
            raise ValueError(f"meshgrid: vectors are needed, got shape {jnp.shape(x)}.")
    return tuple(jnp.meshgrid(*arr, indexing=indexing))


@op
def split(a: Operand, size_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Pieces of `size_or_sections` along `axis` (the last may be smaller), or of the sizes named.

    >>> [piece.shape for piece in lucid.split(lucid.zeros(5), 2)]
    [(2,), (2,), (1,)]
    >>> [piece.shape for piece in lucid.split(lucid.zeros(5), (1, 4))]
    [(1,), (4,)]
    """
    length = _length("split", a, axis)
    if isinstance(size_or_sections, int):
        if size_or_sections < 1:
            raise ValueError(f"split: a piece must have a positive size, got {size_or_sections}.")
        ends = list(range(size_or_sections, length, size_or_sections))
    else:
        ends = [sum(size_or_sections[: i + 1]) for i in range(len(size_or_sections) - 1)]
        if min(size_or_sections, default=0) < 0:
            raise ValueError(f"split: sizes must not be negative, got {tuple(size_or_sections)}.")
        if sum(size_or_sections) != length:
            raise ValueError(
                f"split: the sizes {tuple(size_or_sections)} add up to {sum(size_or_sections)}, "
                f"but axis {axis} has length {length}."
            )
    return tuple(jnp.split(a, ends, axis))


@op
def chunk(a: Operand, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal size along `axis`; the last may be smaller.

    >>> [piece.shape for piece in lucid.chunk(lucid.zeros(5), 2)]
    [(3,), (2,)]
    """
    if chunks < 1:
        raise ValueError(f"chunk: the number of chunks must be positive, got {chunks}.")
    return split.pure(a, max(1, -(-_length("chunk", a, axis) // chunks)), axis)


def _length(call: str, a: Operand, axis: int) -> int:
    sizes = jnp.shape(a)
    if not -len(sizes) <= axis < len(sizes):
        raise ValueError(f"{call}: shape {sizes} has no axis {axis}.")
    return sizes[axis]


@op
def unbind(a: Operand, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along `axis`, without that axis.

    >>> lucid.unbind(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    (Tensor([1., 2.]), Tensor([3., 4.]))
    """
    return tuple(jnp.moveaxis(a, axis, 0))


@op
@in_float32
def pad(
    a: Operand, pad_width: int | Sequence[int] | Sequence[Sequence[int]], value: Operand = 0
) -> Tensor:
    """`a` with `value` before and after each axis; widths as in `numpy.pad`.

    >>> lucid.pad(Tensor([1.0, 2.0]), (1, 2))
    Tensor([0., 1., 2., 0., 0.])
    """
    return jnp.pad(a, pad_width, constant_values=value)


@op
@in_float32
def full(shape: tuple[int, ...], fill_value: Operand, dtype: DType) -> Tensor:
    """`fill_value`, broadcast to a shape."""
    return jnp.broadcast_to(fill_value, shape).astype(dtype)


@op
@in_float32
def repeat(a: Operand, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each element `repeats` times along `axis`, or of the flattened `a`.

    Raises:
        ValueError: a number is negative, or there is not one for each element.

    >>> lucid.repeat(Tensor([1, 2]), 2)
    Tensor([1, 1, 2, 2], dtype=int32)
    """
    _check_counts("repeat", "repeats", repeats)
    if np.ndim(repeats):
        length = math.prod(jnp.shape(a)) if axis is None else _length("repeat", a, axis)
        if np.size(repeats) not in (1, length):
            raise ValueError(
                f"repeat: one number for each of {length} elements is needed, got {repeats}. "
                "The whole is repeated by lucid.tile(a, reps)."
            )
    return jnp.repeat(a, repeats if isinstance(repeats, int) else np.asarray(repeats), axis)


@op
@in_float32
def tile(a: Operand, reps: int | Sequence[int]) -> Tensor:
    """The whole of `a`, `reps` times along each axis.

    Raises:
        ValueError: a number is negative.

    >>> lucid.tile(Tensor([1, 2]), 2)
    Tensor([1, 2, 1, 2], dtype=int32)
    """
    _check_counts("tile", "reps", reps)
    return jnp.tile(a, reps)


def _check_counts(call: str, name: str, counts: int | Sequence[int]) -> None:
    if min(as_shape((counts,)), default=0) < 0:
        raise ValueError(f"{call}: {name} must not be negative, got {counts}.")


@op
def flip(a: Operand, axis: Axis = None) -> Tensor:
    """The elements in reverse order along `axis`, which may be several; None for all.

    >>> lucid.flip(Tensor([[1, 2], [3, 4]]), axis=1)
    Tensor([[2, 1],
            [4, 3]], dtype=int32)
    """
    return jnp.flip(a, axis)


@op
def roll(a: Operand, shifts: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Elements shifted along `axis`; those that fall off one end enter at the other.

    >>> lucid.roll(Tensor([1, 2, 3]), 1)
    Tensor([3, 1, 2], dtype=int32)
    """
    return jnp.roll(a, shifts, axis)


def _check_gather(
    a: Operand, axis: int, index: Operand, call: str = "gather", name: str = "index"
) -> None:
    shape = getattr(a, "shape", ())
    if isinstance(axis, int) and -len(shape) <= axis < len(shape):
        size = shape[axis]
        check_within(call, name, index, -size, size - 1, error=IndexError)


@op
@checks(_check_gather)
@in_float32
def gather(a: Operand, axis: int, index: Operand) -> Tensor:
    """The elements of `a` that `index` names along `axis`, in the shape of `index`.

    Along the other axes `index` may be shorter than `a`: it reads the beginning.

    An index out of range is an error if the indices come from the host, or lie ready on the CPU
    and are fewer than 65,536; else, as in a compiled function, it gives NaN, or the least integer
    (of unsigned ones the largest).

    Raises:
        IndexError: an index is out of range; negative ones count from the end.
        TypeError: the indices are no integers.
        ValueError: `index` has another number of axes, or is longer than `a` along another axis.

    >>> lucid.gather(Tensor([[1.0, 2.0], [3.0, 4.0]]), 1, Tensor([[1], [0]]))
    Tensor([[2.],
            [3.]])
    """
    values, at = jnp.asarray(a), jnp.asarray(index)
    others = [i for i in range(values.ndim) if i != axis % max(values.ndim, 1)]
    if at.ndim != values.ndim or any(at.shape[i] > values.shape[i] for i in others):
        raise ValueError(
            f"gather: an index of shape {at.shape} does not fit a Tensor of shape {values.shape}: "
            f"it has as many axes, none longer but axis {axis}."
        )
    read = tuple(slice(at.shape[i] if i in others else None) for i in range(values.ndim))
    return jnp.take_along_axis(values[read], wide_integer(index), axis)


def _check_take(a: Operand, indices: Operand, axis: int) -> None:
    _check_gather(a, axis, indices, "take_along_axis", "indices")


@op
@checks(_check_take)
@in_float32
def take_along_axis(a: Operand, indices: Operand, axis: int = -1) -> Tensor:
    """`gather` as NumPy has it, which broadcasts the other axes; undoes what `argsort` names.

    >>> x = Tensor([3.0, 1.0, 2.0])
    >>> lucid.take_along_axis(x, lucid.argsort(x))
    Tensor([1., 2., 3.])
    """
    return jnp.take_along_axis(a, wide_integer(indices), axis)


expand_dims = unsqueeze  # both are names of lucid 2
