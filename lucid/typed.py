"""Tensors of one dtype each, by the names that lucid 2 gives them.

Each takes `data`, `requires_grad`, `keep_grad` and `device` as `Tensor` does. What is computed from
one is a plain Tensor.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lucid import types
from lucid._core.tensor import Tensor, register_pytree
from lucid._core.typing import Device, DType

__all__ = [
    "BoolTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
]


class _Typed(Tensor):
    __slots__ = ()
    _kind: ClassVar[DType]

    def __init_subclass__(cls) -> None:
        register_pytree(cls)

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        keep_grad: bool = False,
        device: str | Device | None = None,
    ) -> None:
        super().__init__(data, requires_grad, keep_grad, self._kind, device)


class BoolTensor(_Typed):
    """A Tensor of truth values.

    >>> lucid.BoolTensor([0, 2])
    BoolTensor([False,  True], dtype=bool)
    """

    __slots__ = ()
    _kind = types.Bool


class CharTensor(_Typed):
    """A Tensor of 8-bit integers.

    >>> lucid.CharTensor([1, 2])
    CharTensor([1, 2], dtype=int8)
    """

    __slots__ = ()
    _kind = types.Int8


class ShortTensor(_Typed):
    """A Tensor of 16-bit integers.

    >>> lucid.ShortTensor([1, 2])
    ShortTensor([1, 2], dtype=int16)
    """

    __slots__ = ()
    _kind = types.Int16


class IntTensor(_Typed):
    """A Tensor of 32-bit integers.

    >>> lucid.IntTensor([1, 2])
    IntTensor([1, 2], dtype=int32)
    """

    __slots__ = ()
    _kind = types.Int32


class LongTensor(_Typed):
    """A Tensor of 64-bit integers, and of 32-bit ones while JAX's x64 mode is off.

    >>> lucid.LongTensor([1, 2])
    LongTensor([1, 2], dtype=int32)
    """

    __slots__ = ()
    _kind = types.Int64


class HalfTensor(_Typed):
    """A Tensor of 16-bit floats.

    >>> lucid.HalfTensor([1, 2])
    HalfTensor([1., 2.], dtype=float16)
    """

    __slots__ = ()
    _kind = types.Float16


class FloatTensor(_Typed):
    """A Tensor of 32-bit floats.

    >>> lucid.FloatTensor([1, 2])
    FloatTensor([1., 2.])
    """

    __slots__ = ()
    _kind = types.Float32


class DoubleTensor(_Typed):
    """A Tensor of 64-bit floats, which need JAX's x64 mode.

    Raises:
        ValueError: x64 mode is off.

    >>> with jax.enable_x64(True):
    ...     lucid.DoubleTensor([1, 2])
    DoubleTensor([1., 2.], dtype=float64)
    """

    __slots__ = ()
    _kind = types.Float64
