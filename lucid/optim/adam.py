"""Adam and its relatives."""

from __future__ import annotations

from typing import Any

from lucid.optim import rules
from lucid.optim.optimizer import COUNT, ZEROS, Optimizer, Params, Slot, hyperparameters

MOMENTS = {"step": COUNT, "exp_avg": ZEROS, "exp_avg_sq": ZEROS}


class Adam(Optimizer):
    """Adam (Kingma & Ba, arXiv:1412.6980); with `amsgrad`, Reddi et al., arXiv:1904.09237.

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the denominator.
        weight_decay: weight of the L2 penalty.
        amsgrad: divide by the largest second moment so far.
        decoupled_weight_decay: shrink the parameters instead of adding a penalty; see `AdamW`.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative, or a beta not below 1.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.Adam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.9])
    """

    rule = staticmethod(rules.adam)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The step count and the running means."""
        return {**MOMENTS, "max_exp_avg_sq": ZEROS} if group["amsgrad"] else MOMENTS


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101).

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the denominator.
        weight_decay: each step first multiplies the parameters by `1 - lr * weight_decay`.
        amsgrad: divide by the largest second moment so far.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative, or a beta not below 1.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.85])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            decoupled_weight_decay=True,
            maximize=maximize,
        )


class Adamax(Optimizer):
    """Adam by the maximum norm (Kingma & Ba, arXiv:1412.6980, algorithm 2).

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        betas: decay of the running mean of the gradient and of the running maximum.
        eps: added to the absolute gradient.
        weight_decay: weight of the L2 penalty.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative, or a beta not below 1.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.Adamax([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.9])
    """

    rule = staticmethod(rules.adamax)

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The step count, the running mean and the running maximum."""
        return {"step": COUNT, "exp_avg": ZEROS, "exp_inf": ZEROS}


class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, ICLR workshop 2016).

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the denominator.
        weight_decay: weight of the L2 penalty.
        momentum_decay: speed with which the momentum rises to betas[0].
        decoupled_weight_decay: shrink the parameters instead of adding a penalty; see `AdamW`.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative, or a beta not below 1.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.NAdam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.8944])
    """

    rule = staticmethod(rules.nadam)

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        *,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The step count, the product of all momenta and the running means."""
        return {**MOMENTS, "mu_product": Slot(1.0, scalar=True)}


class RAdam(Optimizer):
    """Adam that waits for the variance of its rate (Liu et al., arXiv:1908.03265).

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the denominator.
        weight_decay: weight of the L2 penalty.
        decoupled_weight_decay: shrink the parameters instead of adding a penalty; see `AdamW`.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative, or a beta not below 1.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.RAdam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.8])
    """

    rule = staticmethod(rules.radam)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The step count and the running means."""
        return MOMENTS
