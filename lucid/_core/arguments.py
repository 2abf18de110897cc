"""Arguments checked and brought into one form: pure functions that know no array."""

from __future__ import annotations

import numbers
import operator
from typing import Any, TypeGuard

from lucid._core.typing import Size


def count(name: str, what: str, value: int) -> int:
    """`value` as an integer of at least 1."""
    if not hasattr(value, "__index__"):
        raise TypeError(f"{name}: {what} must be an integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name}: {what} must be at least 1, got {value}.")
    return operator.index(value)


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


def as_shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given as one sequence or as several integers."""
    return tuple(sizes[0]) if len(sizes) == 1 and not hasattr(sizes[0], "__index__") else sizes


def frozen(value: Any) -> Any:
    """`value` with its lists as tuples, so that it can be a static argument."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return tuple(map(frozen, value))
    return value


def is_number(value: Any) -> TypeGuard[float]:
    """Whether `value` is a real number of Python or NumPy, whose value can be looked at."""
    return isinstance(value, numbers.Real)


def is_whole(value: Any) -> bool:
    """Whether `value` is a Python number without a fraction."""
    return type(value) is int or (type(value) is float and value.is_integer())
