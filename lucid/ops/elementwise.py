"""Elementwise functions. Operands broadcast against each other as in NumPy."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.arguments import is_whole
from lucid._core.declaration import checks, op
from lucid._core.integers import integers
from lucid._core.known import known
from lucid._core.typing import Array, DType, Exponent, Operand
from lucid.ops.choice import of_two
from lucid.ops.precision import in_float32, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "abs",
    "add",
    "ceil",
    "clip",
    "cube",
    "div",
    "exp",
    "floor",
    "log",
    "log1p",
    "log2",
    "masked_fill",
    "maximum",
    "minimum",
    "multiply",
    "power",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "sqrt",
    "square",
    "sub",
    "where",
]


@op
@in_float32
def add(a: Operand, b: Operand) -> Tensor:
    """Sum `a + b`.

    >>> lucid.add(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor([4., 6.])
    """
    return jnp.add(a, b)


@op
@in_float32
def sub(a: Operand, b: Operand) -> Tensor:
    """Difference `a - b`.

    >>> lucid.sub(Tensor([1.0, 2.0]), Tensor([3.0, 5.0]))
    Tensor([-2., -3.])
    """
    return jnp.subtract(a, b)


@op
@in_float32
def multiply(a: Operand, b: Operand) -> Tensor:
    """Product `a * b`.

    >>> lucid.multiply(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor([3., 8.])
    """
    return jnp.multiply(a, b)


def _check_divisor(call: str, a: Operand, b: Operand) -> None:
    whole = all(type(x) is int or getattr(x, "dtype", np.bool_) in _WHOLE for x in (a, b))
    values = known(b) if whole else None
    if values is not None and not values.all():
        raise ZeroDivisionError(
            f"{call}: there is no integer that is a quotient by 0. Convert to floats, or choose "
            "other divisors with lucid.where."
        )


_WHOLE = frozenset(map(np.dtype, ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")))


@op
@checks(lambda a, b, floor=False: _check_divisor("div", a, b) if floor else None)
@in_float32
def div(a: Operand, b: Operand, floor: bool = False) -> Tensor:
    """Quotient `a / b`, a float; with `floor`, the largest integer that is not above it.

    >>> lucid.div(Tensor([3, 4]), Tensor([2, 2]))
    Tensor([1.5, 2. ])
    >>> lucid.div(Tensor([-3, 4]), Tensor([2, 2]), floor=True)
    Tensor([-2,  2], dtype=int32)
    """
    return jnp.floor_divide(a, b) if floor else jnp.true_divide(a, b)


@op
@checks(functools.partial(_check_divisor, "floor_div"))
@in_float32
def floor_div(a: Operand, b: Operand) -> Tensor:
    """The largest integer that is not above `a / b`.

    Raises:
        ZeroDivisionError: `b` is 0 where both are integers and its values are known.
    """
    return jnp.floor_divide(a, b)


@op
@checks(functools.partial(_check_divisor, "remainder"))
@in_float32
def remainder(a: Operand, b: Operand) -> Tensor:
    """Remainder of `a // b`, with the sign of `b`.

    Raises:
        ZeroDivisionError: `b` is 0 where both are integers and its values are known.

    >>> Tensor([-3, 4]) % Tensor([2, 3])
    Tensor([1, 1], dtype=int32)
    """
    return jnp.remainder(a, b)


@op
@in_float32
def power(a: Operand, b: Exponent) -> Tensor:
    """`a` to the power `b`. A whole Python number multiplies, which is exact for negative `a` too.

    >>> lucid.power(Tensor([2.0, 3.0]), Tensor([3.0, 2.0]))
    Tensor([8., 9.])
    """
    dtype = jnp.result_type(a, b)
    if not jnp.issubdtype(dtype, jnp.inexact):
        return jnp.power(a, b)
    if is_whole(b):
        return jnp.power(a, int(b))
    return _power(jnp.asarray(a, dtype), jnp.asarray(b, dtype))


@jax.custom_jvp
def _power(a: Array, b: Array) -> Array:
    """A power whose derivatives of every order are right at 0, where JAX's own are 0 * inf."""
    return jnp.power(a, b)


@_power.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (a, b), (a_dot, b_dot) = primals, tangents
    y = _power(a, b)
    of_a = jnp.where(b == 0, 0, b * _power(a, jnp.where(b == 0, 1, b - 1)))
    flat = (a == 0) & (jnp.real(b) >= 0)
    of_b = jnp.where(flat, 0, y * jnp.log(jnp.where(flat, 1, a)))
    return y, of_a * a_dot + of_b * b_dot


def _of_one_dtype(a: Operand, b: Operand) -> tuple[Array, Array]:
    dtype = jnp.result_type(a, b)
    return jnp.asarray(a, dtype), jnp.asarray(b, dtype)


@op
@in_float32
def maximum(a: Operand, b: Operand) -> Tensor:
    """The larger operand. At a tie each gets half of the gradient; NaN is passed on.

    >>> lucid.maximum(Tensor([1.0, 5.0]), Tensor([3.0, 4.0]))
    Tensor([3., 5.])
    """
    return of_two(jnp.maximum, jnp.less, *_of_one_dtype(a, b))


@op
@in_float32
def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller operand. At a tie each gets half of the gradient; NaN is passed on.

    >>> lucid.minimum(Tensor([1.0, 5.0]), Tensor([3.0, 4.0]))
    Tensor([1., 4.])
    """
    return of_two(jnp.minimum, jnp.greater, *_of_one_dtype(a, b))


@op
def negative(a: Operand) -> Tensor:
    """`-a`.

    >>> -Tensor([1.0, -2.0])
    Tensor([-1.,  2.])
    """
    return jnp.negative(a)


@op
def abs(a: Operand) -> Tensor:
    """Absolute value; its gradient at 0 is 0.

    >>> lucid.abs(Tensor([1.0, -2.0]))
    Tensor([1., 2.])
    """
    size = jnp.abs(a)
    # JAX's own gradient at 0 is 1.
    return jnp.where(jnp.equal(a, 0), jnp.zeros_like(size), size)


@op
def sign(a: Operand) -> Tensor:
    """-1, 0 or 1 by the sign of `a`; its gradient is 0.

    >>> lucid.sign(Tensor([3.0, -2.0, 0.0]))
    Tensor([ 1., -1.,  0.])
    """
    return jnp.sign(a)


@op
@in_float32
def reciprocal(a: Operand) -> Tensor:
    """`1 / a`.

    >>> lucid.reciprocal(Tensor([2.0, 4.0]))
    Tensor([0.5 , 0.25])
    """
    return jnp.reciprocal(a)


@op
@in_float32
def square(a: Operand) -> Tensor:
    """`a` squared.

    >>> lucid.square(Tensor([3.0, -2.0]))
    Tensor([9., 4.])
    """
    return jnp.square(a)


@op
@in_float32
def cube(a: Operand) -> Tensor:
    """`a` cubed.

    >>> lucid.cube(Tensor([3.0, -2.0]))
    Tensor([27., -8.])
    """
    return a * a * a


@op
@in_float32
def sqrt(a: Operand) -> Tensor:
    """Square root.

    >>> lucid.sqrt(Tensor([4.0, 9.0]))
    Tensor([2., 3.])
    """
    return jnp.sqrt(a)


@op
@in_float32
def rsqrt(a: Operand) -> Tensor:
    """`1 / sqrt(a)`.

    >>> lucid.rsqrt(Tensor([4.0, 25.0]))
    Tensor([0.5, 0.2])
    """
    return jax.lax.rsqrt(wide(a))


@op
@in_float32
def exp(a: Operand) -> Tensor:
    """e to the power `a`.

    >>> lucid.exp(Tensor([0.0, 1.0]))
    Tensor([1.    , 2.7183])
    """
    return jnp.exp(a)


@op
@in_float32
def log(a: Operand) -> Tensor:
    """Natural logarithm.

    >>> lucid.log(Tensor([1.0, 2.0]))
    Tensor([0.    , 0.6931])
    """
    return jnp.log(a)


@op
@in_float32
def log1p(a: Operand) -> Tensor:
    """Natural logarithm of `1 + a`, exact for small `a` too.

    >>> lucid.log1p(Tensor([1e-10, 1.0]))
    Tensor([1.0000e-10, 6.9315e-01])
    """
    return jnp.log1p(a)


@op
@in_float32
def log2(a: Operand) -> Tensor:
    """Logarithm to base 2.

    >>> lucid.log2(Tensor([1.0, 8.0]))
    Tensor([0., 3.])
    """
    return jnp.log2(a)


@op
def floor(a: Operand) -> Tensor:
    """The largest integer that is not above `a`; its gradient is 0.

    >>> lucid.floor(Tensor([1.5, -1.5]))
    Tensor([ 1., -2.])
    """
    return jnp.floor(a)


@op
def ceil(a: Operand) -> Tensor:
    """The smallest integer that is not below `a`; its gradient is 0.

    >>> lucid.ceil(Tensor([1.5, -1.5]))
    Tensor([ 2., -1.])
    """
    return jnp.ceil(a)


@op
@in_float32
def round(a: Operand, decimals: int = 0) -> Tensor:
    """`a` to `decimals` places, halves to even; its gradient is 0.

    >>> lucid.round(Tensor([0.5, 1.5, 2.4]))
    Tensor([0., 2., 2.])
    """
    return jnp.round(a, decimals)


def _nearest_bound(name: str, value: int, limits: np.iinfo[Any]) -> int | None:
    """A bound that is out of reach bounds nothing, and one that nothing can obey is refused."""
    if name == "min_value":
        return int(limits.min) if value < limits.min else None
    return int(limits.max) if value > limits.max else None


@op
@integers(_nearest_bound)
@in_float32
def clip(a: Operand, min_value: Operand | None = None, max_value: Operand | None = None) -> Tensor:
    """`a` held between two bounds; the gradient is 1 inside and on the bounds, 0 outside.

    >>> lucid.clip(Tensor([-2.0, 0.5, 3.0]), 0.0, 1.0)
    Tensor([0. , 0.5, 1. ])
    """
    a = jnp.asarray(a)
    if min_value is not None:
        a = jnp.where(a < min_value, min_value, a)
    if max_value is not None:
        a = jnp.where(a > max_value, max_value, a)
    return a


@op
@in_float32
def where(condition: Operand, a: Operand, b: Operand) -> Tensor:
    """`a` where `condition` is true, else `b`; all three broadcast.

    >>> lucid.where(Tensor([True, False]), Tensor([1.0, 2.0]), 0.0)
    Tensor([1., 0.])
    """
    return jnp.where(condition, a, b)


@op
@in_float32
def masked_fill(a: Operand, mask: Operand, value: Operand) -> Tensor:
    """`a` with `value` where `mask` is true.

    >>> lucid.masked_fill(Tensor([1.0, 2.0]), Tensor([True, False]), -1.0)
    Tensor([-1.,  2.])
    """
    return jnp.where(mask, value, a)


@op
def astype(a: Operand, dtype: DType) -> Tensor:
    """`a` converted to `dtype`."""
    return jnp.asarray(a, dtype=dtype)
