"""Elementwise functions. Operands broadcast against each other as in NumPy."""

from __future__ import annotations

import jax.numpy as jnp

from lucid._core.typing import Array, DType, Operand, Scalar


def add(a: Operand, b: Operand, /) -> Array:
    """Sum `a + b`.

    >>> lucid.add(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor([4., 6.])
    """
    return jnp.add(a, b)


def sub(a: Operand, b: Operand, /) -> Array:
    """Difference `a - b`.

    >>> lucid.sub(Tensor([1.0, 2.0]), Tensor([3.0, 5.0]))
    Tensor([-2., -3.])
    """
    return jnp.subtract(a, b)


def multiply(a: Operand, b: Operand, /) -> Array:
    """Product `a * b`.

    >>> lucid.multiply(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor([3., 8.])
    """
    return jnp.multiply(a, b)


def div(a: Operand, b: Operand, /, floor: bool = False) -> Array:
    """Quotient `a / b`, a float; with `floor`, the largest integer that is not above it.

    >>> lucid.div(Tensor([3, 4]), Tensor([2, 2]))
    Tensor([1.5, 2. ])
    >>> lucid.div(Tensor([-3, 4]), Tensor([2, 2]), floor=True)
    Tensor([-2,  2], dtype=int32)
    """
    return jnp.floor_divide(a, b) if floor else jnp.true_divide(a, b)


def floor_div(a: Operand, b: Operand, /) -> Array:
    """The largest integer that is not above `a / b`."""
    return jnp.floor_divide(a, b)


def remainder(a: Operand, b: Operand, /) -> Array:
    """Remainder of `a // b`, with the sign of `b`.

    >>> Tensor([-3, 4]) % Tensor([2, 3])
    Tensor([1, 1], dtype=int32)
    """
    return jnp.remainder(a, b)


def power(a: Operand, b: Operand, /) -> Array:
    """`a` to the power `b`.

    >>> lucid.power(Tensor([2.0, 3.0]), Tensor([3.0, 2.0]))
    Tensor([8., 9.])
    """
    return jnp.power(a, b)


def scalar_power(a: Operand, /, exponent: float) -> Array:
    """`a` to a fixed power. A whole exponent multiplies, which is exact for negative `a` too."""
    is_float = jnp.issubdtype(a.dtype, jnp.inexact)
    if is_float and isinstance(exponent, float) and exponent.is_integer():
        exponent = int(exponent)
    return jnp.power(a, exponent)


def maximum(a: Operand, b: Operand, /) -> Array:
    """The larger operand. At a tie each gets half of the gradient.

    >>> lucid.maximum(Tensor([1.0, 5.0]), Tensor([3.0, 4.0]))
    Tensor([3., 5.])
    """
    return jnp.maximum(a, b)


def minimum(a: Operand, b: Operand, /) -> Array:
    """The smaller operand. At a tie each gets half of the gradient.

    >>> lucid.minimum(Tensor([1.0, 5.0]), Tensor([3.0, 4.0]))
    Tensor([1., 4.])
    """
    return jnp.minimum(a, b)


def equal(a: Operand, b: Operand, /) -> Array:
    """Whether `a == b`.

    >>> Tensor([1, 2, 3]) == Tensor([1, 3, 2])
    Tensor([ True, False, False], dtype=bool)
    """
    return jnp.equal(a, b)


def not_equal(a: Operand, b: Operand, /) -> Array:
    """Whether `a != b`.

    >>> Tensor([1, 2, 3]) != Tensor([1, 3, 2])
    Tensor([False,  True,  True], dtype=bool)
    """
    return jnp.not_equal(a, b)


def less(a: Operand, b: Operand, /) -> Array:
    """Whether `a < b`.

    >>> Tensor([1, 2, 3]) < Tensor([1, 3, 2])
    Tensor([False,  True, False], dtype=bool)
    """
    return jnp.less(a, b)


def less_equal(a: Operand, b: Operand, /) -> Array:
    """Whether `a <= b`.

    >>> Tensor([1, 2, 3]) <= Tensor([1, 3, 2])
    Tensor([ True,  True, False], dtype=bool)
    """
    return jnp.less_equal(a, b)


def greater(a: Operand, b: Operand, /) -> Array:
    """Whether `a > b`.

    >>> Tensor([1, 2, 3]) > Tensor([1, 3, 2])
    Tensor([False, False,  True], dtype=bool)
    """
    return jnp.greater(a, b)


def greater_equal(a: Operand, b: Operand, /) -> Array:
    """Whether `a >= b`.

    >>> Tensor([1, 2, 3]) >= Tensor([1, 3, 2])
    Tensor([ True, False,  True], dtype=bool)
    """
    return jnp.greater_equal(a, b)


def bitwise_and(a: Operand, b: Operand, /) -> Array:
    """Bitwise and; logical and of booleans.

    >>> Tensor([True, False]) & Tensor([True, True])
    Tensor([ True, False], dtype=bool)
    """
    return jnp.bitwise_and(a, b)


def bitwise_or(a: Operand, b: Operand, /) -> Array:
    """Bitwise or; logical or of booleans.

    >>> Tensor([True, False]) | Tensor([True, True])
    Tensor([ True,  True], dtype=bool)
    """
    return jnp.bitwise_or(a, b)


def bitwise_xor(a: Operand, b: Operand, /) -> Array:
    """Bitwise exclusive or; logical exclusive or of booleans.

    >>> Tensor([True, False]) ^ Tensor([True, True])
    Tensor([False,  True], dtype=bool)
    """
    return jnp.bitwise_xor(a, b)


def invert(a: Operand, /) -> Array:
    """Bitwise not; logical not of booleans.

    >>> ~Tensor([True, False])
    Tensor([False,  True], dtype=bool)
    """
    return jnp.invert(a)


def negative(a: Operand, /) -> Array:
    """`-a`.

    >>> -Tensor([1.0, -2.0])
    Tensor([-1.,  2.])
    """
    return jnp.negative(a)


def abs(a: Operand, /) -> Array:
    """Absolute value; its gradient at 0 is 0.

    >>> lucid.abs(Tensor([1.0, -2.0]))
    Tensor([1., 2.])
    """
    size = jnp.abs(a)
    # JAX's own gradient at 0 is 1.
    return jnp.where(jnp.equal(a, 0), jnp.zeros_like(size), size)


def sign(a: Operand, /) -> Array:
    """-1, 0 or 1 by the sign of `a`; its gradient is 0.

    >>> lucid.sign(Tensor([3.0, -2.0, 0.0]))
    Tensor([ 1., -1.,  0.])
    """
    return jnp.sign(a)


def reciprocal(a: Operand, /) -> Array:
    """`1 / a`.

    >>> lucid.reciprocal(Tensor([2.0, 4.0]))
    Tensor([0.5 , 0.25])
    """
    return jnp.reciprocal(a)


def square(a: Operand, /) -> Array:
    """`a` squared.

    >>> lucid.square(Tensor([3.0, -2.0]))
    Tensor([9., 4.])
    """
    return jnp.square(a)


def cube(a: Operand, /) -> Array:
    """`a` cubed.

    >>> lucid.cube(Tensor([3.0, -2.0]))
    Tensor([27., -8.])
    """
    return a * a * a


def sqrt(a: Operand, /) -> Array:
    """Square root.

    >>> lucid.sqrt(Tensor([4.0, 9.0]))
    Tensor([2., 3.])
    """
    return jnp.sqrt(a)


def exp(a: Operand, /) -> Array:
    """e to the power `a`.

    >>> lucid.exp(Tensor([0.0, 1.0]))
    Tensor([1.    , 2.7183])
    """
    return jnp.exp(a)


def log(a: Operand, /) -> Array:
    """Natural logarithm.

    >>> lucid.log(Tensor([1.0, 2.0]))
    Tensor([0.    , 0.6931])
    """
    return jnp.log(a)


def log2(a: Operand, /) -> Array:
    """Logarithm to base 2.

    >>> lucid.log2(Tensor([1.0, 8.0]))
    Tensor([0., 3.])
    """
    return jnp.log2(a)


def sin(a: Operand, /) -> Array:
    """Sine of an angle in radians.

    >>> lucid.sin(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.8415])
    """
    return jnp.sin(a)


def cos(a: Operand, /) -> Array:
    """Cosine of an angle in radians.

    >>> lucid.cos(Tensor([0.0, 1.0]))
    Tensor([1.    , 0.5403])
    """
    return jnp.cos(a)


def tan(a: Operand, /) -> Array:
    """Tangent of an angle in radians.

    >>> lucid.tan(Tensor([0.0, 1.0]))
    Tensor([0.    , 1.5574])
    """
    return jnp.tan(a)


def arcsin(a: Operand, /) -> Array:
    """Inverse sine, in radians.

    >>> lucid.arcsin(Tensor([0.0, 1.0]))
    Tensor([0.    , 1.5708])
    """
    return jnp.arcsin(a)


def arccos(a: Operand, /) -> Array:
    """Inverse cosine, in radians.

    >>> lucid.arccos(Tensor([1.0, 0.0]))
    Tensor([0.    , 1.5708])
    """
    return jnp.arccos(a)


def arctan(a: Operand, /) -> Array:
    """Inverse tangent, in radians.

    >>> lucid.arctan(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7854])
    """
    return jnp.arctan(a)


def sinh(a: Operand, /) -> Array:
    """Hyperbolic sine.

    >>> lucid.sinh(Tensor([0.0, 1.0]))
    Tensor([0.    , 1.1752])
    """
    return jnp.sinh(a)


def cosh(a: Operand, /) -> Array:
    """Hyperbolic cosine.

    >>> lucid.cosh(Tensor([0.0, 1.0]))
    Tensor([1.    , 1.5431])
    """
    return jnp.cosh(a)


def tanh(a: Operand, /) -> Array:
    """Hyperbolic tangent.

    >>> lucid.tanh(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7616])
    """
    return jnp.tanh(a)


def floor(a: Operand, /) -> Array:
    """The largest integer that is not above `a`; its gradient is 0.

    >>> lucid.floor(Tensor([1.5, -1.5]))
    Tensor([ 1., -2.])
    """
    return jnp.floor(a)


def ceil(a: Operand, /) -> Array:
    """The smallest integer that is not below `a`; its gradient is 0.

    >>> lucid.ceil(Tensor([1.5, -1.5]))
    Tensor([ 2., -1.])
    """
    return jnp.ceil(a)


def round(a: Operand, /, decimals: int = 0) -> Array:
    """`a` to `decimals` places, halves to even; its gradient is 0.

    >>> lucid.round(Tensor([0.5, 1.5, 2.4]))
    Tensor([0., 2., 2.])
    """
    return jnp.round(a, decimals)


def clip(a: Operand, /, min_value: Scalar | None = None, max_value: Scalar | None = None) -> Array:
    """`a` held between two bounds; the gradient is 1 inside and on the bounds, 0 outside.

    >>> lucid.clip(Tensor([-2.0, 0.5, 3.0]), 0.0, 1.0)
    Tensor([0. , 0.5, 1. ])
    """
    if min_value is not None:
        a = jnp.where(a < min_value, min_value, a)
    if max_value is not None:
        a = jnp.where(a > max_value, max_value, a)
    return jnp.asarray(a)


def where(condition: Operand, a: Operand, b: Operand, /) -> Array:
    """`a` where `condition` is true, else `b`; all three broadcast.

    >>> lucid.where(Tensor([True, False]), Tensor([1.0, 2.0]), 0.0)
    Tensor([1., 0.])
    """
    return jnp.where(condition, a, b)


def masked_fill(a: Operand, mask: Operand, /, value: Scalar) -> Array:
    """`a` with `value` where `mask` is true.

    >>> lucid.masked_fill(Tensor([1.0, 2.0]), Tensor([True, False]), -1.0)
    Tensor([-1.,  2.])
    """
    return jnp.where(mask, value, a)


def astype(a: Operand, /, dtype: DType) -> Array:
    """`a` converted to `dtype`."""
    return jnp.asarray(a, dtype=dtype)
