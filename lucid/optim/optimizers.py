"""The optimizers: each names its hyperparameters, its rule, and the state of a parameter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from lucid._typing import Array
from lucid.nn.parameter import Parameter
from lucid.optim import rules
from lucid.optim.optimizer import Optimizer

Params = Iterable[Parameter] | Iterable[dict[str, Any]]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Sutskever et al., ICML 2013).

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        momentum: share of the previous step that is kept.
        weight_decay: weight of the L2 penalty.
        nesterov: whether momentum looks ahead.
        maximize: climb instead of descend.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.SGD([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.8])
    """

    rule = staticmethod(rules.sgd)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        *,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None:
        check_range("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum above 0.")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def initial_state(self, param: Array, group: dict[str, Any]) -> dict[str, Array]:
        """The velocity, if there is momentum."""
        return {"momentum_buffer": jnp.zeros_like(param)} if group["momentum"] else {}


class Adam(Optimizer):
    """Adam (Kingma & Ba, arXiv:1412.6980); with `amsgrad`, Reddi et al., arXiv:1904.09237.

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the denominator.
        weight_decay: weight of the L2 penalty.
        amsgrad: divide by the largest second moment so far.
        maximize: climb instead of descend.

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
        maximize: bool = False,
    ) -> None:
        check_range("Adam", lr=lr, eps=eps, weight_decay=weight_decay)
        check_range("Adam", below_one=True, beta1=betas[0], beta2=betas[1])
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": tuple(betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def initial_state(self, param: Array, group: dict[str, Any]) -> dict[str, Array]:
        """The step count and the running means."""
        names = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]
        return {"step": jnp.zeros((), int), **{name: jnp.zeros_like(param) for name in names}}


def check_range(optimizer: str, below_one: bool = False, **values: float) -> None:
    """Refuse hyperparameters that are negative, or not below 1."""
    for name, value in values.items():
        if not 0 <= value < (1 if below_one else float("inf")):
            limit = " and below 1" if below_one else ""
            raise ValueError(f"{optimizer}: {name} must be at least 0{limit}, got {value}.")
