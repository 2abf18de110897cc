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


class BCEWithLogitsLoss(Module):
    """Cross entropy of probabilities sigmoid(input), finite for every finite input.

    Args:
        weight: factor of each loss; broadcast to the shape of the input.
        reduction: "mean", "sum", or None for each value.
        eps: has no effect; this form needs no bound.
        pos_weight: factor of the positive term; broadcast likewise.

    >>> nn.BCEWithLogitsLoss()(Tensor([0.0, 100.0]), Tensor([1.0, 1.0]))
    Tensor(0.3466)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: Reduction = "mean",
        eps: float = 1e-07,
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`F.binary_cross_entropy_with_logits(input, target)` with the weights."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, self.pos_weight, self.reduction
        )
