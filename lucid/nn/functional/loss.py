"""Losses as functions.

`reduction` is "mean", "sum", or None for each value. A target that is one number stands for a
target full of it.
"""

from __future__ import annotations

from lucid._apply import apply
from lucid._tensor import Tensor
from lucid._typing import Operand
from lucid.ops import loss
from lucid.ops.loss import Reduction


def mse_loss(input_: Operand, target: Operand, reduction: Reduction = "mean") -> Tensor:
    """Squared difference.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.mse_loss(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(2.)
    """
    return apply(loss.mse_loss, input_, target, reduction=reduction)


def binary_cross_entropy_with_logits(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    pos_weight: Operand | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross entropy of probabilities sigmoid(input_), finite for every finite input.

    -(pos_weight * target * log(sigmoid(x)) + (1 - target) * log(1 - sigmoid(x))) * weight

    Args:
        input_: logits, of any shape.
        target: probabilities in the same shape, or one number for all.
        weight: factor of each loss; broadcast to the shape of the input.
        pos_weight: factor of the positive term; broadcast likewise.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.binary_cross_entropy_with_logits(Tensor([0.0, 100.0]), Tensor([1.0, 1.0]), reduction=None)
    Tensor([0.6931, 0.    ])
    """
    return apply(
        loss.binary_cross_entropy_with_logits,
        input_,
        target,
        weight,
        pos_weight,
        reduction=reduction,
    )
