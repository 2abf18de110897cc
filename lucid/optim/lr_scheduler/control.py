"""Schedules that follow a measurement, or other schedules."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from lucid.optim.lr_scheduler.base import LRScheduler, check_optimizer, per_group
from lucid.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the learning rates by `factor` when a measurement no longer improves.

    Args:
        optimizer: whose groups are changed.
        mode: "min" if smaller is better, "max" if larger is.
        factor: the factor, below 1.
        patience: epochs without improvement that are accepted.
        threshold: by how much an improvement must surpass the best value.
        threshold_mode: "rel" for a share of the best value, "abs" for a difference.
        cooldown: epochs after a reduction that do not count.
        min_lr: the lowest rate, or one for each group.
        eps: reductions below this are left out.
        verbose: print each new learning rate.

    Raises:
        ValueError: `factor` is not between 0 and 1, a mode is unknown, or `min_lr` does not have
            one entry for each group.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     scheduler.step(loss)
    ...     print(scheduler.last_lr)
    [1.0]
    [1.0]
    [1.0]
    [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        verbose: bool = False,
    ) -> None:
        if not 0 <= factor < 1:
            raise ValueError(
                f"ReduceLROnPlateau: factor must be at least 0 and below 1, got {factor}."
            )
        if mode not in ("min", "max"):
            raise ValueError(f'ReduceLROnPlateau: mode must be "min" or "max", got {mode!r}.')
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f'ReduceLROnPlateau: threshold_mode must be "rel" or "abs", got {threshold_mode!r}.'
            )
        self.min_lrs = per_group(self, optimizer, "min_lr", min_lr)
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        super().__init__(optimizer, verbose=verbose)

    def _begin(self) -> None:
        self.last_epoch = 0
        self._last_lr = self._present_lr()

    def get_lr(self) -> list[float]:
        """The rates after a reduction, one for each group."""
        reduced = [
            max(lr * self.factor, low)
            for lr, low in zip(self._present_lr(), self.min_lrs, strict=True)
        ]
        return [
            new if lr - new > self.eps else lr
            for lr, new in zip(self._present_lr(), reduced, strict=True)
        ]

    def is_better(self, metrics: float) -> bool:
        """Whether `metrics` surpasses the best value by the threshold."""
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            return sign * metrics > sign * self.best * (1 + sign * self.threshold)
        return sign * metrics > sign * self.best + self.threshold

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take note of the measurement of an epoch, and reduce the rates if it is time.

        Args:
            metrics: a number, or a Tensor with one element, whose value is read.
            epoch: the number of the epoch; by default the next one.
        """
        self._refuse_tracing()
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
            self._assign(self.get_lr())
        self._last_lr = self._present_lr()


class SequentialLR(LRScheduler):
    """One scheduler after the other: each counts its epochs from its milestone.

    Args:
        optimizer: whose groups are changed.
        schedulers: of this optimizer.
        milestones: the epochs at which the second, third, ... scheduler begins, ascending.
        verbose: print each new learning rate.

    Raises:
        TypeError: one of the schedulers is none.
        ValueError: the numbers of schedulers and milestones do not fit, milestones do not ascend,
            a scheduler belongs to another optimizer, or it follows a measurement.

    >>> from lucid.optim.lr_scheduler import ExponentialLR, LinearLR, SequentialLR
    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> warmup = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = SequentialLR(optimizer, [warmup, decay], milestones=[2])
    >>> for _ in range(4):
    ...     print(scheduler.last_lr)
    ...     scheduler.step()
    [0.5]
    [0.75]
    [1.0]
    [0.5]
    """

    not_saved: ClassVar[tuple[str, ...]] = (*LRScheduler.not_saved, "schedulers")

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        *,
        verbose: bool = False,
    ) -> None:
        check_optimizer(self, optimizer)
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "SequentialLR: there must be one milestone less than schedulers, got "
                f"{len(milestones)} milestones and {len(schedulers)} schedulers."
            )
        if any(a >= b for a, b in zip([0, *milestones], milestones, strict=False)):
            raise ValueError(
                f"SequentialLR: milestones must ascend from above 0, got {[*milestones]}."
            )
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(
                    f"SequentialLR: scheduler {i} must be an LRScheduler, got "
                    f"{type(scheduler).__name__}."
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"SequentialLR: scheduler {i} is a ReduceLROnPlateau, which needs a "
                    "measurement at every step. Step it on its own."
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: scheduler {i} belongs to another optimizer.")
        self.schedulers = list(schedulers)
        self.milestones = list(milestones)
        super().__init__(optimizer, verbose=verbose)

    def _begin(self) -> None:
        # The constructors of all schedulers have set rates; only the first one's shall count.
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self.last_epoch = 0
        first = self.schedulers[0]
        first.last_epoch = -1
        first._begin()
        self._last_lr = self._present_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or to `epoch`, and let its scheduler set the learning rates."""
        target = self.last_epoch + 1 if epoch is None else epoch
        i = bisect_right(self.milestones, target)
        begin = self.milestones[i - 1] if i else 0
        if epoch is None and target != begin:
            self.schedulers[i].step()
        else:
            self.schedulers[i].step(target - begin)
        self.last_epoch = target
        self._assign(self._present_lr())

    def state_dict(self) -> dict[str, Any]:
        """All that the scheduler knows, and the states of its schedulers."""
        return {
            **super().state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
        }

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        super()._check_state(state_dict)
        states = state_dict["schedulers"]
        if len(states) != len(self.schedulers):
            raise ValueError(
                "load_state_dict: the state does not fit this SequentialLR, and nothing was "
                f"changed.\n  {len(states)} schedulers instead of {len(self.schedulers)}"
            )
        for scheduler, state in zip(self.schedulers, states, strict=True):
            scheduler._check_state(state)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, also for its schedulers.

        Raises:
            ValueError: entries are missing or unexpected; nothing was changed.
        """
        self._check_state(state_dict)
        rest = {key: value for key, value in state_dict.items() if key != "schedulers"}
        self._take(rest)
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
