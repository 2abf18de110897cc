"""Schedules that are a function of the epoch: steps, exponentials, lines, cosines."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from lucid._core.misuse import told
from lucid.optim.lr_scheduler.base import (
    FactorLR,
    LRScheduler,
    check_optimizer,
    check_positive,
    per_group,
)
from lucid.optim.optimizer import Optimizer


class StepLR(FactorLR):
    """Multiplies the learning rates by `gamma` every `step_size` epochs.

    Args:
        optimizer: whose groups are changed.
        step_size: epochs between two changes.
        gamma: the factor.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: `step_size` or `gamma` is not above 0.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     scheduler.step()
    ...     print(scheduler.last_lr)
    [1.0]
    [0.5]
    [0.5]
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        step_size: int,
        gamma: float = 0.1,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        check_positive(self, step_size=step_size, gamma=gamma)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch, verbose)

    def factor(self, epoch: int) -> float:
        """The share of the first rate that `epoch` has."""
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(FactorLR):
    """Multiplies the learning rates by `gamma` at each of the `milestones`.

    Args:
        optimizer: whose groups are changed.
        milestones: epochs; one that is given twice counts twice.
        gamma: the factor.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: `gamma` is not above 0.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     scheduler.step()
    ...     print(scheduler.last_lr)
    [0.5]
    [0.5]
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        check_positive(self, gamma=gamma)
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch, verbose)

    def factor(self, epoch: int) -> float:
        """The share of the first rate that `epoch` has."""
        return self.gamma ** bisect_right(self.milestones, epoch)


class ExponentialLR(FactorLR):
    """Multiplies the learning rates by `gamma` every epoch.

    Args:
        optimizer: whose groups are changed.
        gamma: the factor.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: `gamma` is not above 0.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler.step()
    >>> scheduler.last_lr
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        gamma: float,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        check_positive(self, gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch, verbose)

    def factor(self, epoch: int) -> float:
        """The share of the first rate that `epoch` has."""
        return self.gamma**epoch


class ConstantLR(FactorLR):
    """Multiplies the first learning rates by `factor` until `total_iters` epochs are done.

    Args:
        optimizer: whose groups are changed.
        factor: the share of the first rate.
        total_iters: the epochs that have it.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: `factor` is not in (0, 1], or `total_iters` not above 0.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.ConstantLR(optimizer, 0.5, total_iters=2)
    >>> for _ in range(3):
    ...     print(scheduler.last_lr)
    ...     scheduler.step()
    [0.5]
    [0.5]
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        check_positive(self, factor=factor, total_iters=total_iters)
        if factor > 1:
            raise ValueError(f"ConstantLR: factor must be at most 1, got {factor}.")
        self.share = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch, verbose)

    def factor(self, epoch: int) -> float:
        """The share of the first rate that `epoch` has."""
        return self.share if epoch < self.total_iters else 1.0


class PolynomialLR(FactorLR):
    """Moves the learning rates to 0: (1 - epoch / total_iters)**power of the first rate.

    Args:
        optimizer: whose groups are changed.
        total_iters: the epochs until the rate is 0.
        power: 1 for a line; above 1 the rate falls fast at first.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: `total_iters` or `power` is not above 0.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=2, power=2.0)
    >>> for _ in range(3):
    ...     print(scheduler.last_lr)
    ...     scheduler.step()
    [1.0]
    [0.25]
    [0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        check_positive(self, total_iters=total_iters, power=power)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch, verbose)

    def factor(self, epoch: int) -> float:
        """The share of the first rate that `epoch` has."""
        return (1 - min(epoch, self.total_iters) / self.total_iters) ** self.power


class LinearLR(FactorLR):
    """Moves the learning rates on a line, from one share of the first rate to another.

    Args:
        optimizer: whose groups are changed.
        start_factor: the share of the first epoch.
        end_factor: the share after `total_iters` epochs.
        total_iters: the length of the line.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: `start_factor` is not in (0, 1], `end_factor` not in [0, 1], or `total_iters`
            not above 0.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.LinearLR(optimizer, 0.5, total_iters=2)
    >>> for _ in range(3):
    ...     print(scheduler.last_lr)
    ...     scheduler.step()
    [0.5]
    [0.75]
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        check_positive(self, start_factor=start_factor, total_iters=total_iters)
        if start_factor > 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                f"LinearLR: factors must lie between 0 and 1, got start_factor={start_factor} and "
                f"end_factor={end_factor}."
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch, verbose)

    def factor(self, epoch: int) -> float:
        """The share of the first rate that `epoch` has."""
        done = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class CosineAnnealingLR(FactorLR):
    """Moves the learning rates down to `eta_min` on half a cosine (arXiv:1608.03983).

    Args:
        optimizer: whose groups are changed.
        T_max: epochs to the minimum; after it the rates rise again.
        eta_min: the smallest rate.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: `T_max` is not above 0.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    >>> for _ in range(4):
    ...     scheduler.step()
    ...     print(f"{scheduler.last_lr[0]:.4f}")
    0.8536
    0.5000
    0.1464
    0.0000
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        check_positive(self, T_max=T_max)
        self.T_max = T_max
        self.floor = self.eta_min = eta_min
        super().__init__(optimizer, last_epoch, verbose)

    def factor(self, epoch: int) -> float:
        """The share of the first rate, above `eta_min`, that `epoch` has."""
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class LambdaLR(LRScheduler):
    """The first learning rates times a function of the epoch.

    Args:
        lr_lambda: from the epoch to the factor; a list holds one for each parameter group.
        optimizer: whose groups are changed.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        TypeError: `lr_lambda` cannot be called. It is lucid's first argument, PyTorch's second.
        ValueError: a list does not have one function for each group.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.LambdaLR(lambda epoch: 1 / (1 + epoch), optimizer)
    >>> scheduler.step()
    >>> scheduler.last_lr
    [0.5]
    """

    not_saved: ClassVar[tuple[str, ...]] = (*LRScheduler.not_saved, "lr_lambdas")

    @told
    def __init__(
        self,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        optimizer: Optimizer,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        if isinstance(lr_lambda, Optimizer):
            raise TypeError("LambdaLR: lr_lambda comes first, then the optimizer.")
        self.lr_lambdas = per_group(self, optimizer, "lr_lambda", lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(
                    f"LambdaLR: lr_lambda must be a function, got {type(function).__name__}."
                )
        super().__init__(optimizer, last_epoch, verbose)

    def get_lr(self) -> list[float]:
        """The first rates times the functions of `last_epoch`."""
        return [
            base * function(self.last_epoch)
            for base, function in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]


class NoamScheduler(LRScheduler):
    """The schedule of the Transformer (Vaswani et al., arXiv:1706.03762, section 5.3).

    The rate is `factor * model_size**-0.5 * min(t**-0.5, t * warmup_steps**-1.5)`, whatever the
    optimizer's own is, with t the epoch, at least 1.

    Args:
        optimizer: whose groups are changed.
        model_size: the width of the model.
        warmup_steps: how long the rate rises.
        factor: multiplies the rate.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: a number is not above 0.

    >>> optimizer = lucid.optim.Adam([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.NoamScheduler(optimizer, 64, warmup_steps=4)
    >>> for _ in range(4):
    ...     scheduler.step()
    >>> scheduler.last_lr
    [0.0625]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        model_size: int,
        warmup_steps: int,
        factor: float = 1.0,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        check_optimizer(self, optimizer)
        check_positive(self, model_size=model_size, warmup_steps=warmup_steps, factor=factor)
        self.model_size = model_size
        self.warmup_steps = warmup_steps
        self.factor = factor
        super().__init__(optimizer, last_epoch, verbose)

    def get_lr(self) -> list[float]:
        """The rate of `last_epoch`, the same for all groups."""
        t = max(self.last_epoch, 1)
        rate = self.factor * self.model_size**-0.5 * min(t**-0.5, t * self.warmup_steps**-1.5)
        return [rate] * len(self.base_lrs)
