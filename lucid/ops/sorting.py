"""Order along an axis. Equal elements keep theirs; NaN counts as larger than every number."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.axes import along
from lucid.ops.precision import in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "argsort",
    "sort",
    "topk",
]


class Ranked(NamedTuple):
    """Elements that were chosen along an axis, and their places in it."""

    values: Tensor
    indices: Tensor


@op
def argsort(
    a: Operand,
    axis: int = -1,
    descending: bool = False,
    kind: str | None = None,
    stable: bool = False,
) -> Tensor:
    """The indices that sort `a` along `axis`.

    Args:
        kind: an algorithm by NumPy's name. There is one here, which is stable, so it and `stable`
            change nothing.

    Raises:
        ValueError: `kind` is none of NumPy's.

    >>> lucid.argsort(Tensor([3.0, 1.0, 2.0]))
    Tensor([1, 2, 0], dtype=int32)
    """
    _check_kind("argsort", kind)
    return along(lambda x, axis: jnp.argsort(x, axis, descending=descending), a, axis)


@op
@in_float32
def sort(
    a: Operand,
    axis: int = -1,
    descending: bool = False,
    kind: str | None = None,
    stable: bool = False,
) -> Ranked:
    """`a` sorted along `axis`, and the indices that sort it.

    Args:
        kind: an algorithm by NumPy's name. There is one here, which is stable, so it and `stable`
            change nothing.

    Returns:
        A named tuple of `values` and `indices`.

    Raises:
        ValueError: `kind` is none of NumPy's.

    >>> values, indices = lucid.sort(Tensor([3.0, 1.0, 2.0]), descending=True)
    >>> values, indices
    (Tensor([3., 2., 1.]), Tensor([0, 2, 1], dtype=int32))
    """
    _check_kind("sort", kind)
    return along(lambda x, axis: _sorted(x, axis, descending), a, axis)


@op
@in_float32
def topk(a: Operand, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> Ranked:
    """The `k` largest (or smallest) values along `axis`, and their indices; of NaN, the largest.

    Args:
        sorted: whether the values must be in order. They are in any case.

    Returns:
        A named tuple of `values` and `indices`.

    Raises:
        ValueError: k is negative, or larger than the axis.

    >>> lucid.topk(Tensor([3.0, 1.0, 2.0]), 2).indices
    Tensor([0, 2], dtype=int32)
    """

    def first(x: Array, axis: int) -> Ranked:
        if not 0 <= k <= x.shape[axis]:
            raise ValueError(
                f"topk: k must be from 0 to the length of the axis, {x.shape[axis]}, got {k}."
            )
        part = (*(slice(None),) * axis, slice(k))
        ranked = _sorted(x, axis, largest)
        return Ranked(ranked.values[part], ranked.indices[part])

    return along(first, a, axis)


def _sorted(x: Array, axis: int, descending: bool) -> Ranked:
    order = jnp.argsort(x, axis, descending=descending)
    return Ranked(jnp.take_along_axis(x, order, axis), order)


def _check_kind(call: str, kind: str | None) -> None:
    known = (None, "quicksort", "mergesort", "heapsort", "stable")
    if kind not in known:
        raise ValueError(f"{call}: kind must be one of {known}, got {kind!r}.")
