"""The class of lucid's dtypes, and all of them. Everything else builds on this module."""

from __future__ import annotations

from typing import Any

import jax.numpy
import numpy as np

__all__ = [
    "BFloat16",
    "Bool",
    "Char",
    "Complex",
    "Complex64",
    "Double",
    "Float",
    "Float16",
    "Float32",
    "Float64",
    "Half",
    "Int",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Long",
    "Numeric",
    "Short",
]

_USUAL_BITS = {int: 32, float: 32, complex: 64}


class Numeric:
    """A dtype by its kind of number and its bits; where NumPy or JAX take a dtype, they take it.

    It is equal to the NumPy dtype, to NumPy's class and to the name of the same numbers, and hashes
    as the NumPy dtype does.

    Args:
        base_dtype: `int`, `float` or `complex`.
        bits: of one number; None for as many as usual: 32, and 64 of complex numbers.

    Raises:
        TypeError: there is no such dtype.

    >>> lucid.Float32 == np.float32, lucid.Float32 == "float32", lucid.Float32 == lucid.Float16
    (True, True, False)
    >>> np.zeros(2, lucid.Int8).dtype, Tensor([1.5]).dtype == lucid.Float32
    (dtype('int8'), True)
    >>> lucid.types.Numeric(float, 16)
    lucid.Float16
    """

    __slots__ = ("base_dtype", "bits", "dtype")

    def __init__(self, base_dtype: type[int | float | complex], bits: int | None) -> None:
        self.base_dtype = base_dtype
        self.bits = bits
        self.dtype = np.dtype(f"{base_dtype.__name__}{bits or _USUAL_BITS[base_dtype]}")

    @property
    def cpu(self) -> type[Any] | None:
        """NumPy's class of these numbers; None if the bits are left open."""
        return None if self.bits is None else self.dtype.type

    @property
    def gpu(self) -> type[Any] | None:
        """The same, since JAX's dtypes are NumPy's on all devices."""
        return self.cpu

    @property
    def is_bit_free(self) -> bool:
        """Whether the bits are left open."""
        return self.bits is None

    def parse(self, device: str) -> type[Any] | None:
        """`cpu` or `gpu`, by the name of the device."""
        return self.cpu if device == "cpu" else self.gpu

    def auto_parse(self, data_dtype: Any, device: str) -> type[Any] | None:
        """NumPy's class of numbers of this kind, with the bits of `data_dtype`; None without one.

        >>> lucid.Float.auto_parse(lucid.Int16, "cpu")
        <class 'numpy.float16'>
        """
        name = f"{self.base_dtype.__name__}{8 * np.dtype(data_dtype).itemsize}"
        found: type[Any] | None = getattr(np, name, None)
        return found

    def __getattr__(self, name: str) -> Any:  # what else NumPy says of a dtype
        return getattr(object.__getattribute__(self, "dtype"), name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Numeric):
            return self.dtype == other.dtype
        return other is not None and bool(self.dtype == other)  # to NumPy, None is float64

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return Numeric, (self.base_dtype, self.bits)

    def __str__(self) -> str:
        return self.dtype.name

    def __repr__(self) -> str:
        return f"lucid.{self.base_dtype.__name__.capitalize()}{self.bits or ''}"


Int = Numeric(int, None)
Int8 = Char = Numeric(int, 8)
Int16 = Short = Numeric(int, 16)
Int32 = Numeric(int, 32)
Int64 = Long = Numeric(int, 64)
Float = Numeric(float, None)
Float16 = Half = Numeric(float, 16)
Float32 = Numeric(float, 32)
Float64 = Double = Numeric(float, 64)
Complex = Numeric(complex, None)
Complex64 = Numeric(complex, 64)
BFloat16 = np.dtype(jax.numpy.bfloat16)
Bool = np.dtype("bool")
