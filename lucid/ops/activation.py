"""Activation functions, elementwise."""

from __future__ import annotations

import jax

from lucid._typing import Array, Operand


def relu(input_: Operand, /) -> Array:
    """max(x, 0); the gradient at 0 is 0.

    >>> F.relu(Tensor([-1.0, 2.0]))
    Tensor([0., 2.])
    """
    return jax.nn.relu(input_)


def leaky_relu(input_: Operand, /, negative_slope: float = 0.01) -> Array:
    """x where it is positive, else negative_slope * x.

    >>> F.leaky_relu(Tensor([-1.0, 2.0]), 0.2)
    Tensor([-0.2,  2. ])
    """
    return jax.numpy.where(input_ > 0, input_, negative_slope * input_)


def sigmoid(input_: Operand, /) -> Array:
    """1 / (1 + exp(-x)).

    >>> F.sigmoid(Tensor([0.0]))
    Tensor([0.5])
    """
    return jax.nn.sigmoid(input_)
