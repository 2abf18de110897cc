"""Reductions over axes. `axis=None` means all axes; negative axes count from the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from lucid._core.arguments import is_number
from lucid._core.declaration import checks, op
from lucid._core.typing import Array, Axis, Exponent, Operand
from lucid.ops.choice import over_axes
from lucid.ops.elementwise import abs
from lucid.ops.norm import vector_norm
from lucid.ops.precision import in_float32, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "std",
    "sum",
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
def var(a: Operand, axis: Axis = None, keepdims: bool = False, correction: float = 0) -> Tensor:
    """Population variance over `axis`: the mean squared distance from the mean.

    Args:
        correction: what the number of elements is lowered by before it divides; 1 gives the
            unbiased estimate from a sample, which is PyTorch's default.

    >>> lucid.var(Tensor([1.0, 3.0])), lucid.var(Tensor([1.0, 3.0]), correction=1)
    (Tensor(1.), Tensor(2.))
    """
    return jnp.var(a, _axes(a, axis), ddof=correction, keepdims=keepdims)


@op
@in_float32
def std(a: Operand, axis: Axis = None, keepdims: bool = False, correction: float = 0) -> Tensor:
    """Standard deviation over `axis`, the root of `var`; where it is 0, so is its gradient.

    >>> lucid.std(Tensor([1.0, 3.0])), lucid.std(Tensor([1.0, 3.0]), correction=1)
    (Tensor(1.), Tensor(1.4142))
    """
    variance = var.pure(a, axis, keepdims, correction)
    constant = variance == 0
    return jnp.where(constant, 0, jnp.sqrt(jnp.where(constant, 1, variance)))


def _check_norm(a: Operand, ord: Operand, axis: Axis, keepdims: bool) -> None:
    if is_number(ord) and ord <= 0:
        raise ValueError(f"norm: ord must be positive, got {ord}.")


@op
@checks(_check_norm)
@in_float32
def norm(a: Operand, ord: Exponent = 2, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The norm of order `ord` of all values over `axis`: (sum of abs(a)**ord) ** (1 / ord).

    Of a matrix too: `ord=2` is its Frobenius norm; the spectral one is `svd(a)[1].max()`. With
    `ord=lucid.inf` it is the largest absolute value. Where the norm is 0, so is its gradient.

    Args:
        ord: a positive number; a fractional one may be a Tensor.

    Raises:
        ValueError: `ord` is not positive.

    >>> lucid.norm(Tensor([[3.0, 0.0], [0.0, 4.0]]))
    Tensor(5.)
    >>> lucid.norm(Tensor([[3.0, 4.0], [1.0, -2.0]]), ord=1, axis=1)
    Tensor([7., 3.])
    """
    x = wide(a)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    size = abs.pure(x) if jnp.iscomplexobj(x) else x
    found = vector_norm(size, ord, axes)
    return found if keepdims else jnp.squeeze(found, axes)


@op
@in_float32
def logsumexp(a: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The logarithm of the sum of exponentials over `axis`, which overflows for no finite `a`.

    >>> lucid.logsumexp(Tensor([1000.0, 1000.0]))
    Tensor(1000.6932)
    """
    return jax.nn.logsumexp(a, _axes(a, axis), keepdims=keepdims)


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
