"""Functions along one axis, which a number without axes has too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from numpy.lib.array_utils import normalize_axis_index

from lucid._core.typing import Array, Operand

Results = TypeVar("Results")


def along(fn: Callable[[Array, int], Results], a: Operand, axis: int) -> Results:
    """`fn(a, axis)` with an axis from 0 on; a number counts as a vector of one element.

    Raises:
        ValueError: there is no such axis.
    """
    x = jnp.asarray(a)
    if x.ndim:
        return fn(x, normalize_axis_index(axis, x.ndim))
    of_vector = fn(x.reshape(1), normalize_axis_index(axis, 1))
    return jax.tree.map(lambda y: y.reshape(()), of_vector)
