"""Type aliases of the public API, and the one normaliser of per-axis arguments."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

import jax
import numpy as np

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

    class Device(Protocol):
        """`jax.Device`: a C class without types, which checkers would take for Any."""

        platform: str
        id: int

        def __hash__(self) -> int: ...

else:
    Device = jax.Device

Array: TypeAlias = jax.Array
Number: TypeAlias = bool | int | float | complex
# What an operation takes as data; see `lucid._core.declaration`.
Operand: TypeAlias = "Tensor | jax.Array | np.ndarray[Any, Any] | np.generic | Number"
Exponent: TypeAlias = Operand  # whole Python numbers among them choose a program that multiplies
Scalar: TypeAlias = bool | int | float | complex
DType: TypeAlias = "type[Any] | str | np.dtype[Any] | None"  # None for the default
Axis: TypeAlias = int | Sequence[int] | None
Shape: TypeAlias = int | Sequence[int]
Size: TypeAlias = int | Sequence[int]


class Options(TypedDict, total=False):
    """The keyword arguments that all constructors share."""

    dtype: DType
    requires_grad: bool
    keep_grad: bool
    device: str | Device | None


def ntuple(value: Size, n: int, name: str) -> tuple[int, ...]:
    """Return `value` as `n` integers: an integer is repeated, a sequence must have length `n`.

    `name` opens the error message, as in "Conv2d: stride".

    >>> ntuple(2, 3, "stride"), ntuple((1, 2), 2, "stride")
    ((2, 2, 2), (1, 2))
    """
    try:
        return (operator.index(value),) * n  # type: ignore[arg-type]
    except TypeError:
        pass
    try:
        values = tuple(operator.index(v) for v in value)  # type: ignore[union-attr]
    except TypeError:
        raise TypeError(
            f"{name} must be an integer or a tuple of {n} integers, got {value!r}."
        ) from None
    if len(values) != n:
        raise ValueError(
            f"{name} must be an integer or a tuple of {n} integers, got {len(values)}: {values}."
        )
    return values
