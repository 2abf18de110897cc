"""Layers that compare two vectors."""

from __future__ import annotations

from lucid._core.tensor import Tensor
from lucid._core.typing import Operand
from lucid.nn import functional as F
from lucid.nn.module import Module

__all__ = ["CosineSimilarity"]


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `axis`.

    Shape: both (*, N, *), broadcast against each other; the axis of length N is left out.

    Args:
        axis: along which the vectors lie.
        eps: what a norm counts as at least.

    >>> nn.CosineSimilarity()(Tensor([[3.0, 4.0]]), Tensor([[4.0, 3.0], [0.0, -1.0]]))
    Tensor([ 0.96, -0.8 ])
    """

    def __init__(self, axis: int = 1, eps: float = 1e-08) -> None:
        super().__init__()
        self.axis = axis
        self.eps = eps

    def forward(self, x1: Tensor, x2: Operand) -> Tensor:
        """`F.cosine_similarity(x1, x2)`."""
        return F.cosine_similarity(x1, x2, self.axis, self.eps)

    def extra_repr(self) -> str:
        return f"axis={self.axis}, eps={self.eps}"
