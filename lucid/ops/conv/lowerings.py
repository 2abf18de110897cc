"""How the CPU computes a map, chosen from static shapes; other platforms run the definition.

A lowering is a module with functions `small`, `large` and `kernel` from a form and two operands to
the third array, and `claims`, which says whether it can compute a map of a form.

The choice, by `resolve`:
    depthwise   a group has one channel on one side, and up to 64 taps are unrolled
    polyphase   its columns, and what it cuts, hold under 0.9 of the elements of the columns of
                `matmul`: long kernels with a stride, or fewer channels on the side of small
    balanced    its columns hold under 0.75 of them: kernels of two or three axes with no stride,
                or fewer channels on the side of small
    matmul      all else

A form whose batch is a symbol, as in an export for any batch size, is computed by the definition:
there is no size to choose by.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import ModuleType
from typing import Any

import jax
from jax import Array

from lucid.ops.conv import balanced, definition, depthwise, matmul, polyphase
from lucid.ops.conv.geometry import Form

LOWERINGS: dict[str, ModuleType] = {
    "definition": definition,
    "matmul": matmul,
    "balanced": balanced,
    "polyphase": polyphase,
    "depthwise": depthwise,
}

# What each primitive of `maps` computes.
OUTPUTS = {"conv": "small", "conv_transpose": "large", "conv_kernel": "kernel"}

# `with force_lowering("matmul"): ...` makes the CPU use one lowering for every map that it claims
# and the definition for the others; for tests and benchmarks. It is part of every jit cache's key,
# so a function that was compiled under another choice is compiled again.
force_lowering = jax.make_user_context("auto")


def resolve(lowering: str, out: str, form: Form) -> str:
    """The name of the lowering that computes `out` ("small", "large" or "kernel") on CPU."""
    if not isinstance(form.batch, int):
        return "definition"
    if lowering != "auto":
        return lowering if LOWERINGS[lowering].claims(out, form) else "definition"
    if depthwise.claims(out, form) and prod(form.kernel) <= 64:
        return "depthwise"
    columns = matmul.traffic(form)
    if polyphase.claims(out, form) and polyphase.traffic(form) < 0.9 * columns:
        return "polyphase"
    if balanced.claims(out, form) and balanced.traffic(form) < 0.75 * columns:
        return "balanced"
    return "matmul"


def run(lowering: str, out: str, form: Form, a: Array, b: Array) -> Array:
    """The map to `out` by one lowering; 16-bit floats are computed in float32."""
    dtype = a.dtype
    if lowering != "definition":
        a, b = (v.astype(definition.accumulator(dtype)) for v in (a, b))
    result: Array = getattr(LOWERINGS[lowering], out)(form, a, b)
    return result.astype(dtype)


def chosen_lowerings(function: Callable[..., Any], *args: Any) -> list[tuple[str, str]]:
    """The (operation, lowering on CPU) of every map that `function(*args)` runs, in order.

    >>> from jax import numpy as jnp
    >>> from lucid.ops.conv import conv
    >>> x, w = jnp.zeros((1, 8, 9, 9)), jnp.zeros((8, 1, 3, 3))
    >>> chosen_lowerings(lambda x: conv(x, w, rank=2, groups=8), x)
    [('conv', 'depthwise')]
    """
    found: list[tuple[str, str]] = []
    _collect(jax.make_jaxpr(function)(*args).jaxpr, found)
    return found


def _collect(jaxpr: Any, found: list[tuple[str, str]]) -> None:
    for equation in jaxpr.eqns:
        if isinstance(form := equation.params.get("form"), Form):
            name = equation.primitive.name
            lowering = resolve(equation.params["lowering"], OUTPUTS[name], form)
            found.append((name, lowering))
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                _collect(getattr(inner, "jaxpr", inner), found)


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns")
