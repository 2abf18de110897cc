"""Comparisons, kinds of numbers, and operations on bits. Operands broadcast as in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.integers import by_order, integers
from lucid._core.typing import Operand
from lucid.ops.precision import in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

# The comparisons and operations on bits are Tensor's operators.
__all__ = [
    "allclose",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
]


@op
@integers(by_order)
def equal(a: Operand, b: Operand) -> Tensor:
    """Whether `a == b`.

    >>> Tensor([1, 2, 3]) == Tensor([1, 3, 2])
    Tensor([ True, False, False], dtype=bool)
    """
    return jnp.equal(a, b)


@op
@integers(by_order)
def not_equal(a: Operand, b: Operand) -> Tensor:
    """Whether `a != b`.

    >>> Tensor([1, 2, 3]) != Tensor([1, 3, 2])
    Tensor([False,  True,  True], dtype=bool)
    """
    return jnp.not_equal(a, b)


@op
@integers(by_order)
def less(a: Operand, b: Operand) -> Tensor:
    """Whether `a < b`.

    >>> Tensor([1, 2, 3]) < Tensor([1, 3, 2])
    Tensor([False,  True, False], dtype=bool)
    """
    return jnp.less(a, b)


@op
@integers(by_order)
def less_equal(a: Operand, b: Operand) -> Tensor:
    """Whether `a <= b`.

    >>> Tensor([1, 2, 3]) <= Tensor([1, 3, 2])
    Tensor([ True,  True, False], dtype=bool)
    """
    return jnp.less_equal(a, b)


@op
@integers(by_order)
def greater(a: Operand, b: Operand) -> Tensor:
    """Whether `a > b`.

    >>> Tensor([1, 2, 3]) > Tensor([1, 3, 2])
    Tensor([False, False,  True], dtype=bool)
    """
    return jnp.greater(a, b)


@op
@integers(by_order)
def greater_equal(a: Operand, b: Operand) -> Tensor:
    """Whether `a >= b`.

    >>> Tensor([1, 2, 3]) >= Tensor([1, 3, 2])
    Tensor([ True, False,  True], dtype=bool)
    """
    return jnp.greater_equal(a, b)


@op
@in_float32
def isclose(
    a: Operand,
    b: Operand,
    rtol: Operand = 1e-5,
    atol: Operand = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """Whether `abs(a - b) <= atol + rtol * abs(b)`, or both are the same infinity.

    Args:
        equal_nan: whether NaN is close to NaN.

    >>> lucid.isclose(Tensor([1.0, 2.0]), Tensor([1.000001, 2.1]))
    Tensor([ True, False], dtype=bool)
    """
    return jnp.isclose(a, b, rtol, atol, equal_nan)


@op
@in_float32
def allclose(
    a: Operand,
    b: Operand,
    rtol: Operand = 1e-5,
    atol: Operand = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """Whether `isclose` holds everywhere; a Tensor, for in a compiled function it has no value.

    >>> bool(lucid.allclose(Tensor([1.0, 2.0]), Tensor([1.000001, 2.0])))
    True
    """
    return jnp.allclose(a, b, rtol, atol, equal_nan)


@op
def isnan(a: Operand) -> Tensor:
    """Whether an element is NaN.

    >>> lucid.isnan(Tensor([1.0, lucid.inf, float("nan")]))
    Tensor([False, False,  True], dtype=bool)
    """
    return jnp.isnan(a)


@op
def isinf(a: Operand) -> Tensor:
    """Whether an element is infinite.

    >>> lucid.isinf(Tensor([1.0, -lucid.inf, float("nan")]))
    Tensor([False,  True, False], dtype=bool)
    """
    return jnp.isinf(a)


@op
def isfinite(a: Operand) -> Tensor:
    """Whether an element is neither infinite nor NaN.

    >>> lucid.isfinite(Tensor([1.0, lucid.inf, float("nan")]))
    Tensor([ True, False, False], dtype=bool)
    """
    return jnp.isfinite(a)


@op
def bitwise_and(a: Operand, b: Operand) -> Tensor:
    """Bitwise and; logical and of booleans.

    >>> Tensor([True, False]) & Tensor([True, True])
    Tensor([ True, False], dtype=bool)
    """
    return jnp.bitwise_and(a, b)


@op
def bitwise_or(a: Operand, b: Operand) -> Tensor:
    """Bitwise or; logical or of booleans.

    >>> Tensor([True, False]) | Tensor([True, True])
    Tensor([ True,  True], dtype=bool)
    """
    return jnp.bitwise_or(a, b)


@op
def bitwise_xor(a: Operand, b: Operand) -> Tensor:
    """Bitwise exclusive or; logical exclusive or of booleans.

    >>> Tensor([True, False]) ^ Tensor([True, True])
    Tensor([False,  True], dtype=bool)
    """
    return jnp.bitwise_xor(a, b)


@op
def invert(a: Operand) -> Tensor:
    """Bitwise not; logical not of booleans.

    >>> ~Tensor([True, False])
    Tensor([False,  True], dtype=bool)
    """
    return jnp.invert(a)
