"""Embeddings."""

from __future__ import annotations

import numpy as np

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn import init
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.ops.lookup import padding_row

__all__ = [
    "Embedding",
]


class Embedding(Module):
    """A learned vector for each of `num_embeddings` integers, drawn from the normal distribution.

    An integer out of range is an error, or its vector NaN, as in `F.embedding`.

    Shape: (*) of integers -> (*, embedding_dim)

    Args:
        num_embeddings: number of vectors.
        embedding_dim: length of a vector.
        padding_idx: a row that starts at zero and gets no gradient.
        max_norm: rows that are used and have a larger norm are first scaled down, in place.
        norm_type: the order of that norm.
        _weight: initial vectors in place of random ones.

    Raises:
        ValueError: a size is not positive, `padding_idx` is no row, `max_norm` is negative, or
            `_weight` has another shape.
        TypeError: a size is no integer, or the input does not hold integers.
        IndexError: an integer of the input is negative, or not below `num_embeddings`.

    >>> nn.Embedding(10, 3)(Tensor([[1, 2], [3, 4]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        _weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = count("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = count("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None:
            padding_idx = padding_row("Embedding", padding_idx, num_embeddings)
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        shape = (self.num_embeddings, self.embedding_dim)
        if _weight is None:
            self.weight = Parameter(np.zeros(shape))
            self.reset_parameters()
        elif tuple(_weight.shape) != shape:
            raise ValueError(f"Embedding: _weight must have shape {shape}, got {_weight.shape}.")
        else:
            self.weight = Parameter(_weight)

    def reset_parameters(self) -> None:
        """Draw the vectors anew."""
        init.normal(self.weight)
        if self.padding_idx is not None:
            self.weight.data = self.weight.data.at[self.padding_idx].set(0)

    def forward(self, input_: Tensor) -> Tensor:
        """The vectors of the integers in `input_`."""
        return F.embedding(input_, self.weight, self.padding_idx, self.max_norm, self.norm_type)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
