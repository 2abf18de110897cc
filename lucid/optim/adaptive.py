"""Optimizers with a rate for every element, from the squares of its gradients."""

from __future__ import annotations

from typing import Any

from lucid.optim import rules
from lucid.optim.optimizer import COUNT, ZEROS, Optimizer, Params, Slot, hyperparameters


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer, JMLR 12, 2011).

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        eps: added to the denominator.
        weight_decay: weight of the L2 penalty.
        initial_accumulator_value: what the sums of squares start from.
        lr_decay: decay of the rate, `lr / (1 + (t - 1) * lr_decay)`.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.Adagrad([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.9])
    """

    rule = staticmethod(rules.adagrad)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        *,
        lr_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The step count and the sum of squared gradients."""
        return {"step": COUNT, "sum": Slot(group["initial_accumulator_value"])}


class Adadelta(Optimizer):
    """Adadelta (Zeiler, arXiv:1212.5701).

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate; the paper has 1.
        rho: decay of the running means of squared gradients and squared steps.
        eps: added under both roots.
        weight_decay: weight of the L2 penalty.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative, or rho above 1.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.Adadelta([w], eps=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.1056])
    """

    rule = staticmethod(rules.adadelta)

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def check_group(self, group: dict[str, Any]) -> None:
        """Also refuse a rho above 1."""
        super().check_group(group)
        if group["rho"] > 1:
            raise ValueError(f"Adadelta: rho must be at most 1, got {group['rho']}.")

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The running means of squared gradients and squared steps."""
        return {"square_avg": ZEROS, "acc_delta": ZEROS}


class RMSprop(Optimizer):
    """RMSprop (Hinton's lecture 6e, 2012; centered: Graves, arXiv:1308.0850).

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        alpha: decay of the running mean of squared gradients.
        eps: added to the denominator.
        weight_decay: weight of the L2 penalty.
        momentum: share of the previous step that is kept.
        centered: divide by the estimated variance instead of the mean square.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative, or alpha above 1.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.RMSprop([w], lr=0.01)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.9])
    """

    rule = staticmethod(rules.rmsprop)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def check_group(self, group: dict[str, Any]) -> None:
        """Also refuse an alpha above 1."""
        super().check_group(group)
        if group["alpha"] > 1:
            raise ValueError(f"RMSprop: alpha must be at most 1, got {group['alpha']}.")

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The running mean of squares, and what centering and momentum need."""
        slots = {"square_avg": ZEROS}
        if group["centered"]:
            slots["grad_avg"] = ZEROS
        if group["momentum"]:
            slots["momentum_buffer"] = ZEROS
        return slots
