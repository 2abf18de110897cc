"""Running sums, products and extremes along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import lax

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.axes import along
from lucid.ops.precision import in_float32
from lucid.ops.sorting import Ranked

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
]


@op
@in_float32
def cumsum(a: Operand, axis: int = -1) -> Tensor:
    """Running sum along `axis`.

    >>> lucid.cumsum(Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 3., 6.])
    """
    return along(jnp.cumsum, a, axis)


@op
@in_float32
def cumprod(a: Operand, axis: int = -1) -> Tensor:
    """Running product along `axis`.

    >>> lucid.cumprod(Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 2., 6.])
    """
    return along(jnp.cumprod, a, axis)


@op
@in_float32
def cummax(a: Operand, axis: int = -1) -> Ranked:
    """The largest value so far along `axis`, and its index; of equal ones the last.

    NaN counts as larger than every number. The gradient of a value goes to the element at its
    index.

    Returns:
        A named tuple of `values` and `indices`.

    >>> lucid.cummax(Tensor([1.0, 3.0, 2.0])).values
    Tensor([1., 3., 3.])
    """
    return along(lambda x, axis: _running(lax.cummax, x, axis), a, axis)


@op
@in_float32
def cummin(a: Operand, axis: int = -1) -> Ranked:
    """The smallest value so far along `axis`, and its index; of equal ones the last.

    NaN counts as smaller than every number. The gradient of a value goes to the element at its
    index.

    Returns:
        A named tuple of `values` and `indices`.

    >>> lucid.cummin(Tensor([2.0, 3.0, 1.0])).values
    Tensor([2., 2., 1.])
    """
    return along(lambda x, axis: _running(lax.cummin, x, axis), a, axis)


def _running(extreme: Callable[[Array, int], Array], x: Array, axis: int) -> Ranked:
    size = lax.stop_gradient(x.astype(jnp.int8) if x.dtype == bool else x)
    found = extreme(size, axis)
    place = lax.broadcasted_iota(jnp.int32, x.shape, axis)
    hit = (size == found) | (jnp.isnan(size) & jnp.isnan(found))
    at = lax.cummax(jnp.where(hit, place, 0), axis)
    return Ranked(jnp.take_along_axis(x, at, axis), at)
