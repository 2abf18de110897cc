"""Losses as layers.

`reduction` is "mean", "sum", or None for each value. A target that is one number stands for a
target full of it.
"""

from __future__ import annotations

from typing import Literal

from lucid._core.tensor import Tensor
from lucid._core.typing import Operand
from lucid.nn import functional as F
from lucid.nn.module import Module
from lucid.ops.loss import Reduction

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CrossEntropyLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]


class _Loss(Module):
    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """Squared difference of input and target.

    Args:
        reduction: "mean", "sum", or None for each value.

    >>> nn.MSELoss()(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(2.)
    """

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.mse_loss(input_, target)`."""
        return F.mse_loss(input_, target, self.reduction)


class L1Loss(_Loss):
    """Absolute difference of input and target.

    Args:
        reduction: "mean", "sum", or None for each value.

    >>> nn.L1Loss()(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(1.)
    """

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.l1_loss(input_, target)`."""
        return F.l1_loss(input_, target, self.reduction)


class SmoothL1Loss(_Loss):
    """d**2 / (2 * beta) where d = abs(input - target) is below beta, else d - beta / 2.

    Girshick, arXiv:1504.08083.

    Args:
        reduction: "mean", "sum", or None for each value.
        beta: where the parabola ends; 0 for `L1Loss`.

    >>> nn.SmoothL1Loss("sum")(Tensor([1.0, 2.0]), Tensor([1.5, 4.0]))
    Tensor(1.625)
    """

    def __init__(self, reduction: Reduction = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.smooth_l1_loss(input_, target)`."""
        return F.smooth_l1_loss(input_, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """d**2 / 2 where d = abs(input - target) is up to delta, else delta * (d - delta / 2).

    Huber, "Robust estimation of a location parameter", 1964.

    Args:
        reduction: "mean", "sum", or None for each value.
        delta: where the parabola ends.

    >>> nn.HuberLoss("sum")(Tensor([1.0, 2.0]), Tensor([1.5, 4.0]))
    Tensor(1.625)
    """

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.huber_loss(input_, target)`."""
        return F.huber_loss(input_, target, self.delta, self.reduction)


class KLDivLoss(Module):
    """target * (log(target) - input): the divergence of the input from the target.

    Args:
        reduction: "mean", "sum", None for each value, or "batchmean" for the sum divided by the
            size of axis 0, which is the divergence itself.
        log_target: whether the target holds logarithms, as the input always does.

    >>> nn.KLDivLoss("batchmean")(Tensor([[-1.0, -1.0]]), Tensor([[0.5, 0.5]]))
    Tensor(0.3069)
    """

    def __init__(
        self, reduction: Reduction | Literal["batchmean"] = "mean", log_target: bool = False
    ) -> None:
        super().__init__()
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.kl_div(input_, target)`."""
        return F.kl_div(input_, target, self.reduction, self.log_target)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, log_target={self.log_target}"


class HingeLoss(_Loss):
    """max(0, margin - target * input), for targets 1 and -1; Lim & Ye, arXiv:1705.02894.

    Args:
        margin: from where on an input costs nothing.
        reduction: "mean", "sum", or None for each value.

    >>> nn.HingeLoss()(Tensor([0.5, 2.0]), 1)
    Tensor(0.25)
    """

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.hinge_loss(input_, target)`."""
        return F.hinge_loss(input_, target, self.margin, self.reduction)


class HingeEmbeddingLoss(_Loss):
    """The input where the target is 1, max(0, margin - input) where it is -1.

    Args:
        margin: from where on a distance with target -1 costs nothing.
        reduction: "mean", "sum", or None for each value.

    >>> nn.HingeEmbeddingLoss()(Tensor([0.5, 0.25]), Tensor([1.0, -1.0]))
    Tensor(0.625)
    """

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.hinge_embedding_loss(input_, target)`."""
        return F.hinge_embedding_loss(input_, target, self.margin, self.reduction)


class _WeightedLoss(_Loss):
    def __init__(self, weight: Tensor | None, reduction: Reduction) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)


class BCELoss(_WeightedLoss):
    """Cross entropy of probabilities: -(target * log(p) + (1 - target) * log(1 - p)) * weight.

    Of logits, `BCEWithLogitsLoss` is exact for all values.

    Args:
        weight: factor of each loss; broadcast to the shape of the input.
        reduction: "mean", "sum", or None for each value.
        eps: has no effect; a logarithm counts as no less than -100.

    Raises:
        ValueError: the shapes differ, or a probability is not from 0 to 1. Values that are not
            looked at, as in `NLLLoss`, give NaN as the input, and a number as the target.

    >>> nn.BCELoss()(Tensor([0.5, 0.5]), 1.0)
    Tensor(0.6931)
    """

    def __init__(
        self, weight: Tensor | None = None, reduction: Reduction = "mean", eps: float = 1e-07
    ) -> None:
        super().__init__(weight, reduction)

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.binary_cross_entropy(input_, target, weight)`."""
        return F.binary_cross_entropy(input_, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
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
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.binary_cross_entropy_with_logits(input_, target)` with the weights."""
        return F.binary_cross_entropy_with_logits(
            input_, target, self.weight, self.pos_weight, self.reduction
        )


class NLLLoss(_WeightedLoss):
    """The negative of the log-probability of the target class.

    The mean divides by the sum of the target classes' weights. A class that does not exist is an
    error if the target comes from the host, or lies ready on the CPU and holds fewer than 65,536
    elements; else, as in a compiled function, its loss is NaN.

    Shape: input (N, C, *) or (C,) of log-probabilities, target (N, *) or () of class numbers

    Args:
        weight: factor of each class, (C,).
        reduction: "mean", "sum", or None for each value.
        ignore_index: a target that does not count; None for none.

    Raises:
        ValueError: the shapes do not fit, or the reduction is unknown.
        IndexError: a class does not exist.
        TypeError: the target does not hold integers.

    >>> nn.NLLLoss()(Tensor([[-1.0, -2.0], [-3.0, -4.0]]), Tensor([0, 1]))
    Tensor(2.5)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: Reduction = "mean",
        ignore_index: int | None = -100,
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.nll_loss(input_, target, weight)`."""
        return F.nll_loss(input_, target, self.weight, self.reduction, self.ignore_index)


class CrossEntropyLoss(_WeightedLoss):
    """Cross entropy of softmax(input) and the target.

    With class numbers the mean divides by the sum of the target classes' weights; a class that
    does not exist is an error, or its loss NaN, as in `NLLLoss`.

    Shape: input (N, C, *) or (C,) of logits; target (N, *) or () of class numbers, or
        probabilities in the input's shape

    Args:
        weight: factor of each class, (C,).
        reduction: "mean", "sum", or None for each value.
        eps: has no effect; the logarithm of softmax needs no bound.
        ignore_index: a class number that does not count; None for none.
        label_smoothing: the share of the target that is spread over all classes; Szegedy et al.,
            arXiv:1512.00567.

    Raises:
        ValueError: the shapes do not fit, or an option is out of its range.
        IndexError: a class does not exist.

    >>> nn.CrossEntropyLoss()(Tensor([[0.0, 0.0], [9.0, 9.0]]), Tensor([0, 1]))
    Tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: Reduction = "mean",
        eps: float = 1e-07,
        ignore_index: int | None = -100,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input_: Tensor, target: Operand) -> Tensor:
        """`F.cross_entropy(input_, target, weight)`."""
        return F.cross_entropy(
            input_,
            target,
            self.weight,
            self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )


class CTCLoss(_Loss):
    """-log of the probability that steps spell a target to which they are not aligned.

    Graves et al., "Connectionist temporal classification", ICML 2006; shapes and checks are those
    of `F.ctc_loss`.

    Args:
        blank: the class that stands for none.
        reduction: "mean" of the losses, each divided by the length of its target; "sum", or None
            for each value.
        zero_infinity: let infinite losses, of targets that do not fit, be 0.

    >>> log_probs = Tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    >>> nn.CTCLoss()(log_probs, Tensor([1]), 2, 1)
    Tensor(0.1335)
    """

    def __init__(
        self, blank: int = 0, reduction: Reduction = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Operand, input_lengths: Operand, target_lengths: Operand
    ) -> Tensor:
        """`F.ctc_loss` with the layer's arguments."""
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction,
            self.zero_infinity,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"blank={self.blank}, {super().extra_repr()}, zero_infinity={self.zero_infinity}"
