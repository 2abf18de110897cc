"""Trigonometric and hyperbolic functions, element by element; angles are in radians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Operand
from lucid.ops.precision import in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "arccos",
    "arcsin",
    "arctan",
    "cos",
    "cosh",
    "sin",
    "sinh",
    "tan",
    "tanh",
]


@op
@in_float32
def sin(a: Operand) -> Tensor:
    """Sine of an angle in radians.

    >>> lucid.sin(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.8415])
    """
    return jnp.sin(a)


@op
@in_float32
def cos(a: Operand) -> Tensor:
    """Cosine of an angle in radians.

    >>> lucid.cos(Tensor([0.0, 1.0]))
    Tensor([1.    , 0.5403])
    """
    return jnp.cos(a)


@op
@in_float32
def tan(a: Operand) -> Tensor:
    """Tangent of an angle in radians.

    >>> lucid.tan(Tensor([0.0, 1.0]))
    Tensor([0.    , 1.5574])
    """
    return jnp.tan(a)


@op
@in_float32
def arcsin(a: Operand) -> Tensor:
    """Inverse sine, in radians.

    >>> lucid.arcsin(Tensor([0.0, 1.0]))
    Tensor([0.    , 1.5708])
    """
    return jnp.arcsin(a)


@op
@in_float32
def arccos(a: Operand) -> Tensor:
    """Inverse cosine, in radians.

    >>> lucid.arccos(Tensor([1.0, 0.0]))
    Tensor([0.    , 1.5708])
    """
    return jnp.arccos(a)


@op
@in_float32
def arctan(a: Operand) -> Tensor:
    """Inverse tangent, in radians.

    >>> lucid.arctan(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7854])
    """
    return jnp.arctan(a)


@op
@in_float32
def sinh(a: Operand) -> Tensor:
    """Hyperbolic sine.

    >>> lucid.sinh(Tensor([0.0, 1.0]))
    Tensor([0.    , 1.1752])
    """
    return jnp.sinh(a)


@op
@in_float32
def cosh(a: Operand) -> Tensor:
    """Hyperbolic cosine.

    >>> lucid.cosh(Tensor([0.0, 1.0]))
    Tensor([1.    , 1.5431])
    """
    return jnp.cosh(a)


@op
@in_float32
def tanh(a: Operand) -> Tensor:
    """Hyperbolic tangent.

    >>> lucid.tanh(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7616])
    """
    return jnp.tanh(a)
