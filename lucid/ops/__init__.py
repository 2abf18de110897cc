"""Pure functions from jax arrays to jax arrays; they know nothing of Tensor."""

from lucid.ops import (
    activation,
    conv,
    elementwise,
    indexing,
    linalg,
    loss,
    norm,
    random,
    reduce,
    shape,
)

__all__ = [
    "activation",
    "conv",
    "elementwise",
    "indexing",
    "linalg",
    "loss",
    "norm",
    "random",
    "reduce",
    "shape",
]
