"""Python integers beside Tensors: none wraps around on its way into a small dtype.

NumPy 2 gives a Python number the dtype of the array that it meets, and refuses an integer which
that does not hold. Where only order counts, as in comparisons, it counts by its value instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from lucid._core.arrays import canonical_dtype
from lucid._core.op import Op

F = TypeVar("F", bound=Callable[..., Any])

# (parameter, integer, what the dtype holds) -> what takes the integer's place; None refuses it.
Rule = Callable[[str, int, np.iinfo[Any]], float | None]


def integers(rule: Rule) -> Callable[[F], F]:
    """What a declared function computes with in place of an integer that its dtype cannot hold."""

    def declare(fn: F) -> F:
        fn.__integers__ = rule  # type: ignore[attr-defined]
        return fn

    return declare


def by_order(name: str, value: int, limits: np.iinfo[Any]) -> float:
    """An integer beyond all of a dtype compares with each of them as infinity does."""
    return math.copysign(math.inf, value)


def fitted_integers(op: Op, inputs: Sequence[Any]) -> Sequence[Any]:
    """`inputs` with the Python integers among them as the others' dtype can hold them.

    Raises:
        OverflowError: it cannot hold one.
    """
    dtypes = [x.dtype for x in inputs if hasattr(x, "dtype")]
    if any(dtype.kind == "f" for dtype in dtypes) and all(
        type(x) is not int or -(2**31) <= x < 2**31 for x in inputs
    ):
        return inputs  # the usual number beside floats
    return [_fitted(op, i, x, dtypes) if type(x) is int else x for i, x in enumerate(inputs)]


def _fitted(op: Op, at: int, value: int, dtypes: list[Any]) -> Any:
    whole = canonical_dtype(int)
    dtype = np.dtype(jnp.result_type(*dtypes)) if dtypes else whole
    if dtype.kind == "b":
        dtype = whole
    if dtype.kind not in "iu":  # a float holds any integer, if not exactly
        limits = np.iinfo(whole)
        if limits.min <= value <= limits.max:
            return value
        if value.bit_length() > 1023:
            raise _overflow(op.name, value, dtype)
        return float(value)
    limits = np.iinfo(dtype)
    taken: float | None = value
    if not limits.min <= value <= limits.max:
        declaration = getattr(op.source, "declaration", None)
        rule = None if declaration is None else declaration.integers
        taken = None if rule is None else rule(op.source.names()[at], value, limits)
    if taken is None:
        raise _overflow(op.name, value, dtype)
    # JAX takes a Python integer for one of its own default dtype first.
    large = isinstance(taken, int) and taken > np.iinfo(whole).max
    return dtype.type(taken) if large else taken


def check_integer(call: str, value: Any, dtype: Any) -> None:
    """Refuse an integer of Python or NumPy that `dtype` cannot hold.

    Raises:
        OverflowError: it cannot.
    """
    dtype = np.dtype(dtype)
    if dtype.kind in "iu" and isinstance(value, (int, np.integer)):
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:
            raise _overflow(call, int(value), dtype)


def _overflow(call: str, value: int, dtype: np.dtype[Any]) -> OverflowError:
    if dtype.kind not in "iu":
        return OverflowError(f"{call}: an integer of {value.bit_length()} bits fits into no float.")
    wider = "lucid.Int32" if dtype.itemsize < 4 else "float"
    return OverflowError(
        f"{call}: the integer {value} does not fit into {dtype}. Use a wider dtype, for example "
        f"with astype({wider})."
    )
