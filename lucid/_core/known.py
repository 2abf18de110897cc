"""What is known of data without waiting for it, and the checks of its values.

A compiled program cannot raise. So values are checked before one runs, where that costs little: all
that come from the host, as numbers and NumPy arrays do, and those of small arrays that lie on the
CPU and are ready. What is computed elsewhere or not yet, and what is traced, stays unchecked; the
functions say what they give for it then. A NumPy array that a traced function meets is checked as
it is at that time.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from lucid._core.variable import Variable

_FEW = 2**16  # elements, which take some microseconds to look at


def known(data: Any) -> np.ndarray[Any, Any] | None:
    """The values of `data`, not to be changed; None if they are unknown."""
    if isinstance(data, Variable):
        data = data._cell()._share()
    if isinstance(data, jax.Array):
        if isinstance(data, jax.core.Tracer) or data.size >= _FEW:
            return None
        if data.is_deleted() or not data.is_ready():  # type: ignore[attr-defined]
            return None
        if [device.platform for device in data.devices()] != ["cpu"]:
            return None
    elif not isinstance(data, (np.ndarray, np.generic, int, float)):
        return None  # no data
    values = np.asarray(data)
    # Of the dtypes that NumPy does not know itself, even comparisons with NaN warn.
    return values.astype(np.float32) if values.dtype.kind == "V" else values


def check_within(
    call: str,
    name: str,
    data: Any,
    low: float,
    high: float = math.inf,
    besides: int | None = None,
    error: type[Exception] = ValueError,
) -> None:
    """Refuse values that are known and are neither from `low` to `high` nor equal to `besides`.

    Raises:
        ValueError: there is one; or another `error`.
    """
    if type(data) in (int, float) and low <= data <= high:  # the usual number
        return
    values = known(data)
    if values is None or values.dtype.kind not in "biuf" or not values.size:
        return
    if low <= values.min() and values.max() <= high:
        return
    outside = ~((values >= low) & (values <= high))
    if besides is not None:
        outside &= values != besides
    if not outside.any():
        return
    at = tuple(map(int, np.argwhere(outside)[0]))
    allowed = f"at least {low}" if high == math.inf else f"from {low} to {high}"
    if besides is not None:
        allowed += f" or {besides}"
    place = f" at {list(at)}" if at else ""
    raise error(f"{call}: {name} must be {allowed}, got {values[at]}{place}.")
