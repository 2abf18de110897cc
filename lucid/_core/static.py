"""Static arguments: the Python values that decide which program runs."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from lucid._core import hints
from lucid._core.op import Op
from lucid._core.variable import Variable

_PROGRAMS = 256  # that one function keeps; the oldest goes first
_PLAIN = frozenset({bool, int, str, bytes, type(None)})


def static_key(value: Any) -> Any:
    """What tells one static value from another: 1, 1.0, True, 0.0, -0.0 and NaN are six."""
    kind = type(value)
    if kind in _PLAIN:
        return kind, value
    if kind is tuple or kind is list:  # a list stands for a tuple
        return tuple([static_key(item) for item in value])
    if kind is float:
        return kind, value.hex()
    if kind is complex:
        return kind, value.real.hex(), value.imag.hex()
    if kind is frozenset:
        return kind, frozenset(map(static_key, value))
    if dataclasses.is_dataclass(kind):  # some fields may take no part in its own comparison
        return kind, tuple([static_key(getattr(value, f.name)) for f in dataclasses.fields(value)])
    if isinstance(value, Variable):  # within one of these
        return kind, id(value)
    return kind, value


def is_data(value: Any) -> bool:
    """Whether a value, or a part of it, is a Tensor or an array."""
    if isinstance(value, tuple):
        return any(map(is_data, value))
    return isinstance(value, (Variable, jax.Array, np.ndarray))


def refuse_static(call: str, name: str, value: Any) -> None:
    """Raise unless `value` can be a static argument.

    Raises:
        TypeError: it is a Tensor or an array, or is not hashable.
    """
    if is_data(value):
        raise TypeError(
            f"{call}: {name} must be a plain Python value, since it decides which program runs, "
            f"got {_described(value)}. Pass a number of it, such as int(x).{hints.advice(call)}"
        )
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"{call}: {name} must be a hashable Python value, since it decides which program "
            f"runs, got {type(value).__name__}."
        ) from None


def _described(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a {type(value).__name__} with {_described(next(filter(is_data, value)))}"
    kind = "a Tensor" if isinstance(value, Variable) else "an array"
    return f"{kind} of shape {tuple(value.shape)}"


def keep(programs: dict[Any, Op], key: Any, program: Op) -> None:
    """Put a program into a cache of bounded size."""
    programs[key] = program
    while len(programs) > _PROGRAMS:
        programs.pop(next(iter(programs)), None)
