"""Which lowering computes a map on CPU.

A lowering is a module with functions `small`, `large`, `kernel` from a form and two operands to
the third array, and `claims`, which says for which of them and which forms it is meant.
"""

from __future__ import annotations

from types import ModuleType

import jax
from jax import Array

from lucid.ops.conv import definition, depthwise, matmul, polyphase
from lucid.ops.conv.geometry import Form

LOWERINGS: dict[str, ModuleType] = {
    "definition": definition,
    "matmul": matmul,
    "polyphase": polyphase,
    "depthwise": depthwise,
}

# Part of every jit cache's key, so that a compiled function is not reused under another choice.
force_lowering = jax.make_user_context("auto")


def resolve(lowering: str, out: str, form: Form) -> str:
    """The name of the lowering that computes `out` on CPU."""
    return "definition"


def run(lowering: str, out: str, form: Form, a: Array, b: Array) -> Array:
    result: Array = getattr(LOWERINGS[lowering], out)(form, a, b)
    return result
