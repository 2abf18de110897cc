"""Losses as functions.

`reduction` is "mean", "sum", or None for each value. A target that is one number stands for a
target full of it.
"""

from __future__ import annotations

from typing import Literal

from lucid._core.gate import apply
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand
from lucid.ops import classification, loss
from lucid.ops.loss import Reduction


def mse_loss(input_: Operand, target: Operand, reduction: Reduction = "mean") -> Tensor:
    """Squared difference.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.mse_loss(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(2.)
    """
    return apply(loss.mse_loss, input_, target, reduction=reduction)


def l1_loss(input_: Operand, target: Operand, reduction: Reduction = "mean") -> Tensor:
    """Absolute difference.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.l1_loss(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(1.)
    """
    return apply(loss.l1_loss, input_, target, reduction=reduction)


def smooth_l1_loss(
    input_: Operand, target: Operand, reduction: Reduction = "mean", beta: float = 1.0
) -> Tensor:
    """d**2 / (2 * beta) where d = abs(input_ - target) is below beta, else d - beta / 2.

    Girshick, arXiv:1504.08083.

    Raises:
        ValueError: the shapes differ, beta is negative, or the reduction is unknown.

    >>> F.smooth_l1_loss(Tensor([1.0, 2.0]), Tensor([1.5, 4.0]), reduction=None)
    Tensor([0.125, 1.5  ])
    """
    return apply(loss.smooth_l1_loss, input_, target, reduction=reduction, beta=beta)


def huber_loss(
    input_: Operand, target: Operand, delta: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """d**2 / 2 where d = abs(input_ - target) is up to delta, else delta * (d - delta / 2).

    Huber, "Robust estimation of a location parameter", 1964.

    Raises:
        ValueError: the shapes differ, delta is not positive, or the reduction is unknown.

    >>> F.huber_loss(Tensor([1.0, 2.0]), Tensor([1.5, 4.0]), reduction=None)
    Tensor([0.125, 1.5  ])
    """
    return apply(loss.huber_loss, input_, target, delta=delta, reduction=reduction)


def kl_div(
    input_: Operand,
    target: Operand,
    reduction: Reduction | Literal["batchmean"] = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input_): the divergence of the input from the target.

    Args:
        input_: logarithms of probabilities.
        target: probabilities in the same shape, or with `log_target` their logarithms.
        reduction: also "batchmean", the sum divided by the size of axis 0, which is the
            divergence itself; "mean" divides by all sizes.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.kl_div(Tensor([[-1.0, -1.0]]), Tensor([[0.5, 0.5]]), "batchmean")
    Tensor(0.3069)
    """
    return apply(loss.kl_div, input_, target, reduction=reduction, log_target=log_target)


def hinge_loss(
    input_: Operand, target: Operand, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """max(0, margin - target * input_), for targets 1 and -1.

    The discriminator's loss of Lim & Ye, arXiv:1705.02894; one number can be the target.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.hinge_loss(Tensor([0.5, 2.0]), 1, reduction=None)
    Tensor([0.5, 0. ])
    """
    return apply(loss.hinge_loss, input_, target, margin=margin, reduction=reduction)


def hinge_embedding_loss(
    input_: Operand, target: Operand, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """The input where the target is 1, max(0, margin - input_) where it is -1.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.hinge_embedding_loss(Tensor([0.5, 0.25]), Tensor([1.0, -1.0]), reduction=None)
    Tensor([0.5 , 0.75])
    """
    return apply(loss.hinge_embedding_loss, input_, target, margin=margin, reduction=reduction)


def binary_cross_entropy(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    reduction: Reduction = "mean",
    eps: float = 1e-07,
) -> Tensor:
    """Cross entropy of probabilities: -(target * log(p) + (1 - target) * log(1 - p)) * weight.

    Of logits, `binary_cross_entropy_with_logits` is exact for all values.

    Args:
        input_: probabilities p, of any shape; 0 and 1 count as eps and 1 - eps, but their gradient
            is not cut off.
        target: probabilities in the same shape, or one number for all.
        weight: factor of each loss; broadcast to the shape of the input.
        eps: the bound.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.binary_cross_entropy(Tensor([0.5, 0.25]), Tensor([1.0, 0.0]), reduction=None)
    Tensor([0.6931, 0.2877])
    """
    return apply(loss.binary_cross_entropy, input_, target, weight, reduction=reduction, eps=eps)


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


def nll_loss(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    reduction: Reduction = "mean",
    ignore_index: int | None = -100,
) -> Tensor:
    """The negative of the log-probability of the target class; as in `nn.NLLLoss`.

    >>> F.nll_loss(Tensor([[-1.0, -2.0], [-3.0, -4.0]]), Tensor([0, 1]))
    Tensor(2.5)
    """
    return apply(
        classification.nll_loss,
        input_,
        target,
        weight,
        reduction=reduction,
        ignore_index=ignore_index,
    )


def cross_entropy(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    reduction: Reduction = "mean",
    eps: float = 1e-07,
    ignore_index: int | None = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of softmax(input_) and the target; as in `nn.CrossEntropyLoss`.

    >>> F.cross_entropy(Tensor([[0.0, 0.0], [9.0, 9.0]]), Tensor([0, 1]))
    Tensor(0.6931)
    """
    return apply(
        classification.cross_entropy,
        input_,
        target,
        weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
    )
