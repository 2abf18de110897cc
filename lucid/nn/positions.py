"""Layers that tell tokens where they stand."""

from __future__ import annotations

import math

import numpy as np

from lucid._core.arguments import count
from lucid._core.known import check_within
from lucid._core.op import is_inexact
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn.lookup import Embedding
from lucid.nn.module import Module
from lucid.ops.position import sinusoids

__all__ = [
    "LearnedPosEmbedding",
    "RotaryPosEmbedding",
    "SinusoidalPosEmbedding",
]


class SinusoidalPosEmbedding(Module):
    """Adds `F.sinusoidal_pos_embedding` to a sequence.

    Shape: (..., L, E), unchanged

    Args:
        seq_len: the only length L that is allowed; None for any.
        embed_dim: the only size E that is allowed; None for any.

    Raises:
        ValueError: the input has another length or size, or fewer than 2 axes.
        TypeError: it holds no floats.

    >>> nn.SinusoidalPosEmbedding()(lucid.zeros(1, 2, 2))
    Tensor([[[0.    , 1.    ],
             [0.8415, 0.5403]]])
    """

    def __init__(self, seq_len: int | None = None, embed_dim: int | None = None) -> None:
        super().__init__()
        self.seq_len = seq_len
        self.embed_dim = embed_dim

    def forward(self, input_: Tensor, offset: int | Tensor = 0) -> Tensor:
        """`input_` with its positions, the first of which is `offset`."""
        n, size = _sequence("SinusoidalPosEmbedding", input_, self.embed_dim)
        if self.seq_len not in (None, n):
            raise ValueError(
                f"SinusoidalPosEmbedding: a length of seq_len={self.seq_len} is needed, got shape "
                f"{input_.shape}."
            )
        return input_ + sinusoids(_positions(n, offset), size, input_.dtype)

    def extra_repr(self) -> str:
        return f"seq_len={self.seq_len}, embed_dim={self.embed_dim}"


class LearnedPosEmbedding(Module):
    """Adds a learned vector for each position to a sequence.

    Shape: (..., L, embed_dim), unchanged

    Args:
        max_len: number of positions.
        embed_dim: size of a vector.

    Raises:
        ValueError: sizes do not match, or the sequence goes beyond the last position; where that
            is unknown, in a compiled function, the result is NaN.
        TypeError: the input holds no floats.

    >>> nn.LearnedPosEmbedding(16, 4)(lucid.zeros(2, 3, 4), offset=5).shape
    (2, 3, 4)
    """

    def __init__(self, max_len: int, embed_dim: int) -> None:
        super().__init__()
        self.max_len = count("LearnedPosEmbedding", "max_len", max_len)
        self.embed_dim = count("LearnedPosEmbedding", "embed_dim", embed_dim)
        self.pos_emb = Embedding(max_len, embed_dim)

    def forward(self, input_: Tensor, offset: int | Tensor = 0) -> Tensor:
        """`input_` with its positions, the first of which is `offset`."""
        n, _ = _sequence("LearnedPosEmbedding", input_, self.embed_dim)
        if n > self.max_len:
            raise ValueError(
                f"LearnedPosEmbedding: there are max_len={self.max_len} positions, got shape "
                f"{input_.shape}."
            )
        check_within("LearnedPosEmbedding", "offset", offset, 0, self.max_len - n)
        return input_ + self.pos_emb(_positions(n, offset))

    def extra_repr(self) -> str:
        return f"{self.max_len}, {self.embed_dim}"


class RotaryPosEmbedding(Module):
    """`F.rotary_pos_embedding`, for queries and keys.

    Shape: (..., L, D), unchanged

    Args:
        embed_dim: the only size D that is allowed; None for any even one.
        max_seq_len: number of positions; None for any number.
        interleaved: pairs are the elements 2 * i and 2 * i + 1, or else i and i + D / 2.

    Raises:
        ValueError: sizes do not match, or a position that is known is out of range.
        TypeError: the input holds no floats.

    >>> nn.RotaryPosEmbedding()(Tensor([[1.0, 0.0]]), Tensor([1]))
    Tensor([[0.5403, 0.8415]])
    """

    def __init__(
        self,
        embed_dim: int | None = None,
        max_seq_len: int | None = None,
        interleaved: bool = True,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.max_seq_len = max_seq_len
        self.interleaved = interleaved

    def forward(self, input_: Tensor, position_ids: Tensor | None = None) -> Tensor:
        """`input_`, rotated by its positions: 0 to L - 1, or `position_ids`, (L,) or (N, L)."""
        n, _ = _sequence("RotaryPosEmbedding", input_, self.embed_dim)
        last = math.inf if self.max_seq_len is None else self.max_seq_len - 1
        if position_ids is not None:
            check_within("RotaryPosEmbedding", "position_ids", position_ids, 0, last)
        elif n - 1 > last:
            raise ValueError(
                f"RotaryPosEmbedding: there are max_seq_len={self.max_seq_len} positions, got "
                f"shape {input_.shape}."
            )
        return F.rotary_pos_embedding(input_, position_ids, self.interleaved)

    def extra_repr(self) -> str:
        return (
            f"embed_dim={self.embed_dim}, max_seq_len={self.max_seq_len}, "
            f"interleaved={self.interleaved}"
        )


def _sequence(call: str, x: Tensor, size: int | None) -> tuple[int, int]:
    """Length and size of a sequence."""
    if x.ndim < 2 or size not in (None, x.shape[-1]):
        raise ValueError(
            f"{call}: an input (..., L, {'E' if size is None else size}) is needed, got shape "
            f"{x.shape}."
        )
    if not is_inexact(x.dtype):
        raise TypeError(f"{call}: an input of floats is needed, got {x.dtype}.")
    n, found = x.shape[-2:]
    return n, found


def _positions(n: int, offset: int | Tensor) -> Tensor:
    return Tensor(np.arange(n)) + offset
