"""The larger and the smaller of values, with the gradients that PyTorch gives them.

At a tie the gradient is shared evenly. NaN is larger, and smaller, than every number, and has its
gradient: JAX's own rules give NaN none, or divide by the zero values that equal it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from lucid._core.typing import Array, Axis

Compare: TypeAlias = Callable[[Array, Array], Array]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def of_two(choose: Compare, worse: Compare, a: Array, b: Array) -> Array:
    """`choose(a, b)` of arrays of one dtype, where `worse` says which of two is not chosen."""
    return choose(a, b)


@of_two.defjvp
def _(
    choose: Compare,
    worse: Compare,
    primals: tuple[Array, Array],
    tangents: tuple[Array, Array],
) -> tuple[Array, Array]:
    (a, b), (a_dot, b_dot) = primals, tangents
    of_a = jnp.where(a == b, 0.5, jnp.where(worse(a, b), 0.0, 1.0)).astype(a.dtype)
    of_b = jnp.where(a == b, 0.5, jnp.where(worse(b, a), 0.0, 1.0)).astype(a.dtype)
    return of_two(choose, worse, a, b), of_a * a_dot + of_b * b_dot


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 2))
def over_axes(reduce: Callable[..., Array], a: Array, axes: Axis) -> Array:
    """`reduce(a, axes)`, a maximum or a minimum, which keeps the axes."""
    return reduce(a, axes, keepdims=True)


@over_axes.defjvp
def _(
    reduce: Callable[..., Array], axes: Axis, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    (a,), (a_dot,) = primals, tangents
    chosen = over_axes(reduce, a, axes)
    hit = ((a == chosen) | (jnp.isnan(a) & jnp.isnan(chosen))).astype(a.dtype)
    share = hit / jnp.sum(hit, axes, keepdims=True)
    return chosen, jnp.sum(share * a_dot, axes, keepdims=True)
