"""Pure functions from jax arrays to jax arrays; they know nothing of Tensor."""

from lucid.ops import (
    activation,
    classification,
    conv,
    dropout,
    elementwise,
    indexing,
    linalg,
    lookup,
    loss,
    norm,
    pool,
    precision,
    random,
    reduce,
    resize,
    shape,
)

__all__ = [
    "activation",
    "classification",
    "conv",
    "dropout",
    "elementwise",
    "indexing",
    "linalg",
    "lookup",
    "loss",
    "norm",
    "pool",
    "precision",
    "random",
    "reduce",
    "resize",
    "shape",
]
