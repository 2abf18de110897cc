"""Pure functions from jax arrays to jax arrays; they know nothing of Tensor."""

from lucid.ops import elementwise, indexing, linalg, random, reduce, shape

__all__ = ["elementwise", "indexing", "linalg", "random", "reduce", "shape"]
