"""Functions whose results have shapes that depend on values, which no compiled function knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.declaration import by_value, op
from lucid._core.errors import JitError, user_line
from lucid._core.typing import Operand
from lucid.ops.precision import in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "masked_select",
    "nonzero",
    "unique",
]


@op
@by_value
def nonzero(a: Operand) -> Tensor:
    """The index of each element that is not 0, in row-major order; one row for each.

    Shape: (*) -> (number of such elements, number of axes)

    Raises:
        JitError: inside a compiled function, where the number of rows is not known.

    >>> lucid.nonzero(Tensor([[0.0, 5.0], [7.0, 0.0]]))
    Tensor([[0, 1],
            [1, 0]], dtype=int32)
    """
    return jnp.asarray(np.argwhere(_values("nonzero", a)), int)


@op
@by_value
@in_float32
def masked_select(a: Operand, mask: Operand) -> Tensor:
    """The elements of `a` where `mask` is true, in row-major order; both broadcast.

    Raises:
        TypeError: the mask is not boolean.
        JitError: inside a compiled function, where their number is not known.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> lucid.masked_select(x, x > 1.5)
    Tensor([2., 3., 4.])
    """
    chosen = _values("masked_select", mask)
    if chosen.dtype != bool:
        raise TypeError(f"masked_select: the mask must be boolean, got {chosen.dtype}.")
    shape = np.broadcast_shapes(jnp.shape(a), chosen.shape)
    places = np.nonzero(np.broadcast_to(chosen, shape).ravel())[0]
    return jnp.broadcast_to(a, shape).ravel()[places]


@overload
def unique(
    a: Operand,
    sorted: bool = True,
    axis: int | None = None,
    return_inverse: Literal[False] = False,
    return_counts: Literal[False] = False,
) -> Tensor: ...
@overload
def unique(
    a: Operand,
    sorted: bool = True,
    axis: int | None = None,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> Tensor | tuple[Tensor, ...]: ...
@op
@by_value
def unique(
    a: Operand,
    sorted: bool = True,
    axis: int | None = None,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> Tensor | tuple[Tensor, ...]:
    """The different elements of `a`, or the different slices along `axis`; each NaN is one.

    The gradient of each goes to the first element of `a` that equals it.

    Args:
        sorted: in ascending order; else in the order in which they first occur.
        axis: None for the elements.
        return_inverse: whether to return also the place of each element of `a` in the result.
        return_counts: whether to return also how often each occurs.

    Raises:
        JitError: inside a compiled function, where their number is not known.

    >>> lucid.unique(Tensor([3, 1, 3, 2]))
    Tensor([1, 2, 3], dtype=int32)
    >>> lucid.unique(Tensor([3, 1, 3]), sorted=False, return_inverse=True)
    (Tensor([3, 1], dtype=int32), Tensor([0, 1, 0], dtype=int32))
    """
    values = _values("unique", a)
    _, first, inverse, counts = np.unique(values, True, True, True, axis, equal_nan=False)
    inverse = inverse.reshape(values.shape if axis is None else -1)
    if not sorted:
        order = np.argsort(first)
        first, inverse, counts = first[order], np.argsort(order)[inverse], counts[order]
    found = jnp.ravel(a)[first] if axis is None else jnp.take(jnp.asarray(a), first, axis)
    wanted = ((inverse, return_inverse), (counts, return_counts))
    more = [jnp.asarray(integers, int) for integers, wants in wanted if wants]
    return (found, *more) if more else found


def _values(call: str, x: Any) -> np.ndarray[Any, Any]:
    x = jax.lax.stop_gradient(x)  # what JAX only differentiates has its value below
    if isinstance(x, jax.core.Tracer):
        raise JitError(
            f"{user_line()}: {call} needs values, on which the shape of its result depends, and in "
            "a compiled function there are none. Call it outside, or keep the shape, with "
            "lucid.where or masked_fill."
        )
    values = np.asarray(x)
    # NumPy cannot sort the dtypes that it does not know itself.
    return values.astype(np.float32) if values.dtype.kind == "V" else values
