"""Losses as layers."""

from __future__ import annotations

from lucid._tensor import Tensor
from lucid.nn import functional as F
from lucid.nn.module import Module
from lucid.ops.loss import Reduction


class MSELoss(Module):
    """Squared difference of input and target: its mean, its sum, or with None each value.

    >>> nn.MSELoss()(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(2.)
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`F.mse_loss(input, target)`."""
        return F.mse_loss(input, target, self.reduction)
