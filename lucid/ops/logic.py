"""Comparisons, and operations on bits. Operands broadcast against each other as in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.integers import by_order, integers
from lucid._core.typing import Operand

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


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
