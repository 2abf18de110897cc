"""Type aliases of the public API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypedDict

import jax

Array: TypeAlias = jax.Array
# What an operation takes as data: a Tensor, a jax or NumPy array, or a Python number. Duck-typed,
# because the pure functions below `lucid._core.tensor` must not know Tensor.
Operand: TypeAlias = Any
Scalar: TypeAlias = bool | int | float | complex
DType: TypeAlias = Any  # whatever `numpy.dtype` takes
Axis: TypeAlias = int | Sequence[int] | None
Shape: TypeAlias = int | Sequence[int]  # of an array; an integer stands for its only axis
Size: TypeAlias = int | Sequence[int]  # along spatial axes; an integer stands for all of them


class Options(TypedDict, total=False):
    """The keyword arguments that all constructors share."""

    dtype: DType | None
    requires_grad: bool
    keep_grad: bool
    device: str | jax.Device | None
