"""Activation functions, elementwise."""

from __future__ import annotations

import jax

from lucid._typing import Array, Operand


def relu(a: Operand, /) -> Array:
    """max(a, 0); the gradient at 0 is 0."""
    return jax.nn.relu(a)


def sigmoid(a: Operand, /) -> Array:
    """1 / (1 + exp(-a))."""
    return jax.nn.sigmoid(a)
