"""Arguments: checked, and brought into one form."""

from __future__ import annotations

import numbers
from typing import Any, TypeGuard


def is_number(value: Any) -> TypeGuard[float]:
    """Whether `value` is a real number of Python or NumPy, whose value can be looked at."""
    return isinstance(value, numbers.Real)


def is_whole(value: Any) -> bool:
    """Whether `value` is a Python number without a fraction."""
    return type(value) is int or (type(value) is float and value.is_integer())
