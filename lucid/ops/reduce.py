"""Reductions and scans over axes. `axis=None` means all axes; negative axes count from the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax.numpy as jnp
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from lucid._core.declaration import op
from lucid._core.typing import Array, Axis, Operand
from lucid.ops.choice import over_axes
from lucid.ops.precision import in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "cumprod",
    "cumsum",
    "max",
    "mean",
    "min",
    "prod",
    "sort",
    "sum",
    "topk",
    "var",
]


@op
@in_float32
def sum(a: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over `axis`.

    >>> lucid.sum(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4., 6.])
    """
    return jnp.sum(a, axis, keepdims=keepdims)


@op
@in_float32
def mean(a: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over `axis`.

    >>> lucid.mean(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1, keepdims=True)
    Tensor([[1.5],
            [3.5]])
    """
    return jnp.mean(a, _axes(a, axis), keepdims=keepdims)


@op
@in_float32
def var(a: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Population variance over `axis`: the mean squared distance from the mean.

    >>> lucid.var(Tensor([1.0, 3.0]))
    Tensor(1.)
    """
    return jnp.var(a, _axes(a, axis), keepdims=keepdims)


@op
@in_float32
def prod(a: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Product over `axis`.

    >>> lucid.prod(Tensor([2.0, 3.0, 4.0]))
    Tensor(24.)
    """
    return jnp.prod(a, axis, keepdims=keepdims)


@op
@in_float32
def max(a: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest value over `axis`. Equal largest values share the gradient; NaN is passed on.

    >>> lucid.max(Tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor([5., 4.])
    """
    return _chosen(jnp.max, a, axis, keepdims)


@op
@in_float32
def min(a: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Smallest value over `axis`. Equal smallest values share the gradient; NaN is passed on.

    >>> lucid.min(Tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor([1., 3.])
    """
    return _chosen(jnp.min, a, axis, keepdims)


@op
def all(a: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all values over `axis` are true.

    >>> lucid.all(Tensor([True, False]))
    Tensor(False, dtype=bool)
    """
    return jnp.all(a, axis, keepdims=keepdims)


@op
def any(a: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any value over `axis` is true.

    >>> lucid.any(Tensor([True, False]))
    Tensor(True, dtype=bool)
    """
    return jnp.any(a, axis, keepdims=keepdims)


@op
def argmax(a: Operand, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first largest value along `axis`, or in the flattened `a`.

    >>> lucid.argmax(Tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)
    Tensor([1, 0], dtype=int32)
    """
    return jnp.argmax(a, _axis(a, axis), keepdims=keepdims)


@op
def argmin(a: Operand, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first smallest value along `axis`, or in the flattened `a`.

    >>> lucid.argmin(Tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)
    Tensor([0, 1], dtype=int32)
    """
    return jnp.argmin(a, _axis(a, axis), keepdims=keepdims)


@op
@in_float32
def cumsum(a: Operand, axis: int = -1) -> Tensor:
    """Running sum along `axis`.

    >>> lucid.cumsum(Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 3., 6.])
    """
    return jnp.cumsum(a, axis)


@op
@in_float32
def cumprod(a: Operand, axis: int = -1) -> Tensor:
    """Running product along `axis`.

    >>> lucid.cumprod(Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 2., 6.])
    """
    return jnp.cumprod(a, axis)


@op
def argsort(a: Operand, axis: int = -1, descending: bool = False) -> Tensor:
    """The indices that sort `a` along `axis`, stably.

    >>> lucid.argsort(Tensor([3.0, 1.0, 2.0]))
    Tensor([1, 2, 0], dtype=int32)
    """
    return jnp.argsort(a, axis, descending=descending)


@op
@in_float32
def sort(a: Operand, axis: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    """`a` sorted along `axis`, and the indices that sort it, stably.

    >>> lucid.sort(Tensor([3.0, 1.0, 2.0]), descending=True)
    (Tensor([3., 2., 1.]), Tensor([0, 2, 1], dtype=int32))
    """
    order = jnp.argsort(a, axis, descending=descending)
    return jnp.take_along_axis(a, order, axis), order


@op
@in_float32
def topk(a: Operand, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The `k` largest (or smallest) values along `axis` in order, and their indices.

    Raises:
        ValueError: k is negative, or larger than the axis.

    >>> lucid.topk(Tensor([3.0, 1.0, 2.0]), 2)
    (Tensor([3., 2.]), Tensor([0, 2], dtype=int32))
    """
    values, order = sort.pure(a, axis, descending=largest)
    if not 0 <= k <= values.shape[axis]:
        raise ValueError(
            f"topk: k must be from 0 to the length of the axis, {values.shape[axis]}, got {k}."
        )
    first = [slice(None)] * values.ndim
    first[axis] = slice(k)
    return values[tuple(first)], order[tuple(first)]


def _chosen(reduce: Callable[..., Array], a: Operand, axis: Axis, keepdims: bool) -> Array:
    chosen = over_axes(reduce, jnp.asarray(a), axis)
    if keepdims:
        return chosen
    return chosen.reshape(()) if axis is None else jnp.squeeze(chosen, axis)


# jnp.mean, jnp.var, jnp.argmax and jnp.argmin look up the sizes of axes before they check them.
def _axes(a: Operand, axis: Axis) -> tuple[int, ...] | None:
    return None if axis is None else normalize_axis_tuple(axis, jnp.ndim(a))


def _axis(a: Operand, axis: int | None) -> int | None:
    return None if axis is None else normalize_axis_index(axis, jnp.ndim(a))
