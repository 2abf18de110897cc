"""Gradient descent: SGD, its average over steps, and Rprop."""

from __future__ import annotations

from typing import Any

from lucid._core.tensor import Tensor
from lucid.ops.precision import narrowed
from lucid.optim import rules
from lucid.optim.optimizer import COUNT, ZEROS, Optimizer, Params, Slot, hyperparameters


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Sutskever et al., ICML 2013).

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate.
        momentum: share of the previous step that is kept.
        weight_decay: weight of the L2 penalty.
        dampening: share of the gradient that momentum leaves out, after the first step.
        nesterov: whether momentum looks ahead.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative, or nesterov has no momentum or has dampening.

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
        dampening: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def check_group(self, group: dict[str, Any]) -> None:
        """Also refuse nesterov without momentum."""
        super().check_group(group)
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("SGD: nesterov needs a momentum above 0 and a dampening of 0.")

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The velocity, if there is momentum; the step count, if it is dampened."""
        if not group["momentum"]:
            return {}
        return {"momentum_buffer": ZEROS, **({"step": COUNT} if group["dampening"] else {})}


class ASGD(Optimizer):
    """Averaged stochastic gradient descent (Polyak & Juditsky, SIAM J. Control Optim. 30, 1992).

    The parameters follow a gradient descent whose rate falls as
    `lr / (1 + lambd * lr * t) ** alpha`; `get_averages` returns their averages, which have a
    smaller variance.

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: learning rate of the first step.
        momentum: share of the previous step that is kept.
        weight_decay: weight of the L2 penalty.
        alpha: power of the decay of the rate.
        t0: the step at which averaging begins.
        lambd: speed of the decay of the rate, and shrinkage of the parameters.
        maximize: climb instead of descend.

    Raises:
        ValueError: a number is negative.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.ASGD([w], lr=0.1, t0=0, lambd=0.0)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     (w * w).backward()
    ...     optimizer.step()
    >>> w, optimizer.get_averages()
    (Parameter([0.512]), [Tensor([0.576])])
    """

    rule = staticmethod(rules.asgd)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        alpha: float = 0.75,
        t0: float = 1e6,
        lambd: float = 1e-4,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The step count, the rate, the average, and the velocity if there is momentum."""
        slots = {"step": COUNT, "eta": Slot(group["lr"], scalar=True), "ax": ZEROS}
        return {**slots, "momentum_buffer": ZEROS} if group["momentum"] else slots

    def get_averages(self) -> list[Tensor]:
        """The average of each parameter, in the order in which parameters were given."""
        return [
            Tensor(narrowed(state["ax"].data, param.data)) for param, state in self.state.items()
        ]


class Rprop(Optimizer):
    """Resilient backpropagation (Riedmiller & Braun, ICNN 1993): steps by signs, for full batches.

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        lr: size of the first step.
        etas: factors of the step size after a change of sign, and without one.
        step_sizes: the smallest and the largest step.
        maximize: climb instead of descend.

    Raises:
        ValueError: not 0 < etas[0] < 1 < etas[1], or the step sizes are negative or descend.

    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.Rprop([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.9])
    """

    rule = staticmethod(rules.rprop)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, hyperparameters(locals()))

    def check_group(self, group: dict[str, Any]) -> None:
        """Also refuse factors and step sizes in a wrong order."""
        super().check_group(group)
        (shrink, grow), (low, high) = group["etas"], group["step_sizes"]
        if not 0 < shrink < 1 < grow:
            raise ValueError(f"Rprop: etas must be 0 < a < 1 < b, got {group['etas']}.")
        if low > high:
            raise ValueError(f"Rprop: step_sizes must ascend, got {group['step_sizes']}.")

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The step count, the previous gradient and the size of each element's step."""
        return {"step": COUNT, "prev": ZEROS, "step_size": Slot(group["lr"])}
