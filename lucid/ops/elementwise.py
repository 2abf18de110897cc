"""Elementwise functions. Operands broadcast against each other as in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.arguments import is_whole
from lucid._core.declaration import op
from lucid._core.typing import DType, Exponent, Operand

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "abs",
    "add",
    "arccos",
    "arcsin",
    "arctan",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "cube",
    "div",
    "exp",
    "floor",
    "log",
    "log2",
    "masked_fill",
    "maximum",
    "minimum",
    "multiply",
    "power",
    "reciprocal",
    "round",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "where",
]


@op
def add(a: Operand, b: Operand) -> Tensor:
    """Sum `a + b`.

    >>> lucid.add(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor([4., 6.])
    """
    return jnp.add(a, b)


@op
def sub(a: Operand, b: Operand) -> Tensor:
    """Difference `a - b`.

    >>> lucid.sub(Tensor([1.0, 2.0]), Tensor([3.0, 5.0]))
    Tensor([-2., -3.])
    """
    return jnp.subtract(a, b)


@op
def multiply(a: Operand, b: Operand) -> Tensor:
    """Product `a * b`.

    >>> lucid.multiply(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor([3., 8.])
    """
    return jnp.multiply(a, b)


@op
def div(a: Operand, b: Operand, floor: bool = False) -> Tensor:
    """Quotient `a / b`, a float; with `floor`, the largest integer that is not above it.

    >>> lucid.div(Tensor([3, 4]), Tensor([2, 2]))
    Tensor([1.5, 2. ])
    >>> lucid.div(Tensor([-3, 4]), Tensor([2, 2]), floor=True)
    Tensor([-2,  2], dtype=int32)
    """
    return jnp.floor_divide(a, b) if floor else jnp.true_divide(a, b)


@op
def floor_div(a: Operand, b: Operand) -> Tensor:
    """The largest integer that is not above `a / b`."""
    return jnp.floor_divide(a, b)


@op
def remainder(a: Operand, b: Operand) -> Tensor:
    """Remainder of `a // b`, with the sign of `b`.

    >>> Tensor([-3, 4]) % Tensor([2, 3])
    Tensor([1, 1], dtype=int32)
    """
    return jnp.remainder(a, b)


@op
def power(a: Operand, b: Exponent) -> Tensor:
    """`a` to the power `b`. A whole Python number multiplies, which is exact for negative `a` too.

    >>> lucid.power(Tensor([2.0, 3.0]), Tensor([3.0, 2.0]))
    Tensor([8., 9.])
    """
    if is_whole(b) and jnp.issubdtype(jnp.result_type(a), jnp.inexact):
        b = int(b)
    return jnp.power(a, b)


@op
def maximum(a: Operand, b: Operand) -> Tensor:
    """The larger operand. At a tie each gets half of the gradient.

    >>> lucid.maximum(Tensor([1.0, 5.0]), Tensor([3.0, 4.0]))
    Tensor([3., 5.])
    """
    return jnp.maximum(a, b)


@op
def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller operand. At a tie each gets half of the gradient.

    >>> lucid.minimum(Tensor([1.0, 5.0]), Tensor([3.0, 4.0]))
    Tensor([1., 4.])
    """
    return jnp.minimum(a, b)


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
def reciprocal(a: Operand) -> Tensor:
    """`1 / a`.

    >>> lucid.reciprocal(Tensor([2.0, 4.0]))
    Tensor([0.5 , 0.25])
    """
    return jnp.reciprocal(a)


@op
def square(a: Operand) -> Tensor:
    """`a` squared.

    >>> lucid.square(Tensor([3.0, -2.0]))
    Tensor([9., 4.])
    """
    return jnp.square(a)


@op
def cube(a: Operand) -> Tensor:
    """`a` cubed.

    >>> lucid.cube(Tensor([3.0, -2.0]))
    Tensor([27., -8.])
    """
    return a * a * a


@op
def sqrt(a: Operand) -> Tensor:
    """Square root.

    >>> lucid.sqrt(Tensor([4.0, 9.0]))
    Tensor([2., 3.])
    """
    return jnp.sqrt(a)


@op
def exp(a: Operand) -> Tensor:
    """e to the power `a`.

    >>> lucid.exp(Tensor([0.0, 1.0]))
    Tensor([1.    , 2.7183])
    """
    return jnp.exp(a)


@op
def log(a: Operand) -> Tensor:
    """Natural logarithm.

    >>> lucid.log(Tensor([1.0, 2.0]))
    Tensor([0.    , 0.6931])
    """
    return jnp.log(a)


@op
def log2(a: Operand) -> Tensor:
    """Logarithm to base 2.

    >>> lucid.log2(Tensor([1.0, 8.0]))
    Tensor([0., 3.])
    """
    return jnp.log2(a)


@op
def sin(a: Operand) -> Tensor:
    """Sine of an angle in radians.

    >>> lucid.sin(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.8415])
    """
    return jnp.sin(a)


@op
def cos(a: Operand) -> Tensor:
    """Cosine of an angle in radians.

    >>> lucid.cos(Tensor([0.0, 1.0]))
    Tensor([1.    , 0.5403])
    """
    return jnp.cos(a)


@op
def tan(a: Operand) -> Tensor:
    """Tangent of an angle in radians.

    >>> lucid.tan(Tensor([0.0, 1.0]))
    Tensor([0.    , 1.5574])
    """
    return jnp.tan(a)


@op
def arcsin(a: Operand) -> Tensor:
    """Inverse sine, in radians.

    >>> lucid.arcsin(Tensor([0.0, 1.0]))
    Tensor([0.    , 1.5708])
    """
    return jnp.arcsin(a)


@op
def arccos(a: Operand) -> Tensor:
    """Inverse cosine, in radians.

    >>> lucid.arccos(Tensor([1.0, 0.0]))
    Tensor([0.    , 1.5708])
    """
    return jnp.arccos(a)


@op
def arctan(a: Operand) -> Tensor:
    """Inverse tangent, in radians.

    >>> lucid.arctan(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7854])
    """
    return jnp.arctan(a)


@op
def sinh(a: Operand) -> Tensor:
    """Hyperbolic sine.

    >>> lucid.sinh(Tensor([0.0, 1.0]))
    Tensor([0.    , 1.1752])
    """
    return jnp.sinh(a)


@op
def cosh(a: Operand) -> Tensor:
    """Hyperbolic cosine.

    >>> lucid.cosh(Tensor([0.0, 1.0]))
    Tensor([1.    , 1.5431])
    """
    return jnp.cosh(a)


@op
def tanh(a: Operand) -> Tensor:
    """Hyperbolic tangent.

    >>> lucid.tanh(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7616])
    """
    return jnp.tanh(a)


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
def round(a: Operand, decimals: int = 0) -> Tensor:
    """`a` to `decimals` places, halves to even; its gradient is 0.

    >>> lucid.round(Tensor([0.5, 1.5, 2.4]))
    Tensor([0., 2., 2.])
    """
    return jnp.round(a, decimals)


@op
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
def where(condition: Operand, a: Operand, b: Operand) -> Tensor:
    """`a` where `condition` is true, else `b`; all three broadcast.

    >>> lucid.where(Tensor([True, False]), Tensor([1.0, 2.0]), 0.0)
    Tensor([1., 0.])
    """
    return jnp.where(condition, a, b)


@op
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
