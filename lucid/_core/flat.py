"""Flat: the small gradients of a step as one array, which is cut when one of them is read.

Each array that a program returns costs about a microsecond of JAX's, and a step that leaves its
gradients where they are found seldom has them read: the next one forgets them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import jax
import jax.numpy as jnp

from lucid._core.mode import state
from lucid._core.tensor import Tensor
from lucid._core.typing import Array

Cut = Callable[[Array], list[Array]]


def flatten(arrays: Sequence[Array]) -> Array:
    """Arrays of one dtype in one, after one another."""
    return jnp.concatenate([array.ravel() for array in arrays])


def cut_like(arrays: Sequence[Array]) -> Cut:
    """The compiled inverse of `flatten` for arrays of these shapes."""
    shapes = [array.shape for array in arrays]

    @jax.jit
    def cut(flat: Array) -> list[Array]:
        found = []
        start = 0
        for shape in shapes:
            size = math.prod(shape)
            found.append(flat[start : start + size].reshape(shape))
            start += size
        return found

    return cut


class Flat:
    """Gradients in one array, which is the data of `whole`."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self.whole = Tensor._wrap(None)  # type: ignore[arg-type]  # a program sets it

    @cached_property
    def tensors(self) -> list[Tensor]:
        """The gradients, each a Tensor of its own from now on."""
        # Also for a function that is traced, these are Tensors from outside.
        before, state.trace = state.trace, None
        try:
            with jax.core.eval_context():
                return [Tensor._wrap(array) for array in self._cut(self.whole._data)]
        finally:
            state.trace = before
