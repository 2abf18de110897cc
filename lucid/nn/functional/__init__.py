"""Layers as functions: given Tensors they record and return Tensors; given only jax arrays they
are pure functions for `jax.jit`, `jax.grad` and `jax.vmap`, and return jax arrays.
"""

from lucid.nn.functional.activation import leaky_relu, relu, sigmoid, tanh
from lucid.nn.functional.conv import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from lucid.nn.functional.linear import linear
from lucid.nn.functional.loss import binary_cross_entropy_with_logits, mse_loss
from lucid.nn.functional.norm import batch_norm

__all__ = [
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "leaky_relu",
    "linear",
    "mse_loss",
    "relu",
    "sigmoid",
    "tanh",
]
