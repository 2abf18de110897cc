"""Positions as vectors."""

from __future__ import annotations

import numpy as np

from lucid._core.arguments import count
from lucid._core.arrays import canonical_dtype
from lucid._core.tensor import Tensor
from lucid._core.typing import Device, DType
from lucid.ops.position import sinusoids


def sinusoidal_pos_embedding(
    seq_len: int,
    embed_dim: int,
    device: str | Device | None = None,
    dtype: DType = None,
) -> Tensor:
    """For each position sin and cos of it, slower and slower from pair to pair.

    The elements 2 * i and 2 * i + 1 are sin and cos of position * 10000**(-2 * i / embed_dim);
    Vaswani et al., arXiv:1706.03762, section 3.5.

    Shape: (seq_len, embed_dim)

    Raises:
        ValueError: a size is not positive.
        TypeError: a size is no integer.

    >>> F.sinusoidal_pos_embedding(2, 2)
    Tensor([[0.    , 1.    ],
            [0.8415, 0.5403]])
    """
    n = count("sinusoidal_pos_embedding", "seq_len", seq_len)
    size = count("sinusoidal_pos_embedding", "embed_dim", embed_dim)
    table = sinusoids(
        Tensor(np.arange(n)), size, canonical_dtype(float if dtype is None else dtype)
    )
    return table if device is None else table.to(device)
