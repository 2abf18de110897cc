"""Type aliases of the public API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

import jax
import numpy as np

from lucid.types import Numeric

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
# Whole Python numbers among them choose a program of their own: a power that multiplies, say.
Exponent: TypeAlias = Operand
Scalar: TypeAlias = bool | int | float | complex
DType: TypeAlias = "type[Any] | str | np.dtype[Any] | Numeric | None"  # None for the default
Axis: TypeAlias = int | Sequence[int] | None
Shape: TypeAlias = int | Sequence[int]  # of an array; an integer stands for its only axis
Size: TypeAlias = int | Sequence[int]  # along spatial axes; an integer stands for all of them


class Options(TypedDict, total=False):
    """The keyword arguments that all constructors share."""

    dtype: DType
    requires_grad: bool
    keep_grad: bool
    device: str | Device | None
