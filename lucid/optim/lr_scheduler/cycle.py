"""Schedules that cycle the learning rate, and the momentum against it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from lucid.optim.lr_scheduler.base import LRScheduler, check_positive, per_group
from lucid.optim.optimizer import Optimizer

Rates = float | Sequence[float]


class _MomentumCycle(LRScheduler):
    """Writes momenta next to the rates: `momentum`, or the first of `betas`."""

    cycle_momentum: bool
    base_momentums: list[float]
    max_momentums: list[float]

    def _set_up_momentum(
        self, optimizer: Optimizer, cycle: bool, base: Rates, largest: Rates
    ) -> None:
        """Check all, and write nothing."""
        self.cycle_momentum = cycle
        if cycle and any(not _momentum(group) for group in optimizer.param_groups):
            raise ValueError(
                f"{type(self).__name__}: cycle_momentum needs betas or a momentum above 0 in every "
                "group. Pass cycle_momentum=False, or give the optimizer a momentum."
            )
        self.base_momentums = per_group(self, optimizer, "base_momentum", base)
        self.max_momentums = per_group(self, optimizer, "max_momentum", largest)

    def get_momentum(self) -> list[float]:
        """The momenta of `last_epoch`, one for each group."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_momentum.")

    def _assign(self, rates: Sequence[float]) -> None:
        if self.cycle_momentum:
            groups = self.optimizer.param_groups
            for group, momentum in zip(groups, self.get_momentum(), strict=True):
                if "betas" in group:
                    group["betas"] = (float(momentum), *group["betas"][1:])
                else:
                    group["momentum"] = float(momentum)
        super()._assign(rates)


def _momentum(group: dict[str, Any]) -> bool:
    """Whether the optimizer keeps a velocity for the group."""
    return "betas" in group or bool(group.get("momentum"))


class CosineAnnealingWarmRestarts(LRScheduler):
    """Moves the learning rates down to `eta_min` on half a cosine, again and again.

    Loshchilov & Hutter, arXiv:1608.03983.

    Args:
        optimizer: whose groups are changed.
        T_0: epochs of the first half cosine.
        T_mult: how many times longer each one is than the one before; an integer.
        eta_min: the smallest rate.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: `T_0` is not above 0, or `T_mult` is no integer of at least 1.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> for _ in range(4):
    ...     print(f"{scheduler.last_lr[0]:.4f}")
    ...     scheduler.step()
    1.0000
    0.5000
    1.0000
    0.8536
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        check_positive(self, T_0=T_0, T_mult=T_mult)
        if T_mult != int(T_mult):
            raise ValueError(
                f"CosineAnnealingWarmRestarts: T_mult must be an integer, got {T_mult}."
            )
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch, verbose)

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to `epoch`, which may have a fraction, as within an epoch."""
        super().step(epoch)  # type: ignore[arg-type]  # which only counts on from it

    def get_lr(self) -> list[float]:
        """The rates of `last_epoch`, one for each group, from the first rates alone."""
        at, length = float(self.last_epoch), self.T_0
        if self.T_mult == 1:
            at %= length
        while at >= length:
            at -= length
            length *= self.T_mult
        share = (1 + math.cos(math.pi * at / length)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class CyclicLR(_MomentumCycle):
    """Moves the learning rates up and down in triangles (Smith, arXiv:1506.01186).

    Args:
        optimizer: whose groups are changed.
        base_lr: the lowest rate, or one for each group.
        max_lr: the highest rate, or one for each group.
        step_size_up: epochs from the lowest to the highest rate.
        step_size_down: epochs back; `step_size_up` if None.
        mode: "triangular", "triangular2" halves the triangles from cycle to cycle, "exp_range"
            scales them by `gamma**epoch`.
        gamma: see `mode`.
        scale_fn: scales the triangles instead of `mode`.
        cycle_momentum: move the momenta against the rates.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.
        scale_mode: whether `scale_fn` is of the cycle, counted from 1, or of the epoch.
        base_momentum: the lowest momentum, or one for each group.
        max_momentum: the highest momentum, or one for each group.

    Raises:
        ValueError: a step size is not above 0, a mode is unknown, a sequence does not have one
            entry for each group, or a group has no momentum to cycle.

    >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> scheduler = lucid.optim.lr_scheduler.CyclicLR(
    ...     optimizer, base_lr=1.0, max_lr=3.0, step_size_up=2, cycle_momentum=False
    ... )
    >>> for _ in range(4):
    ...     scheduler.step()
    ...     print(scheduler.last_lr)
    [2.0]
    [3.0]
    [2.0]
    [1.0]
    """

    not_saved: ClassVar[tuple[str, ...]] = (*LRScheduler.not_saved, "scale_fn")

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Rates,
        max_lr: Rates,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[int], float] | None = None,
        cycle_momentum: bool = True,
        last_epoch: int = -1,
        verbose: bool = False,
        *,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        base_momentum: Rates = 0.8,
        max_momentum: Rates = 0.9,
    ) -> None:
        base_lrs = per_group(self, optimizer, "base_lr", base_lr)
        self.max_lrs = per_group(self, optimizer, "max_lr", max_lr)
        down = step_size_up if step_size_down is None else step_size_down
        check_positive(self, step_size_up=step_size_up, step_size_down=down)
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(
                f'CyclicLR: mode must be "triangular", "triangular2" or "exp_range", got {mode!r}.'
            )
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(
                f'CyclicLR: scale_mode must be "cycle" or "iterations", got {scale_mode!r}.'
            )
        self._set_up_momentum(optimizer, cycle_momentum, base_momentum, max_momentum)
        self.total_size = step_size_up + down
        self.step_ratio = step_size_up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self.scale_fn = scale_fn
        self.scale_mode = scale_mode
        if last_epoch == -1:
            for rate, group in zip(base_lrs, optimizer.param_groups, strict=True):
                group["lr"] = float(rate)
        super().__init__(optimizer, last_epoch, verbose, base_lrs=base_lrs)

    def _height(self) -> float:
        """Where in its triangle `last_epoch` is, from 0 to the scale of the triangle."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        return height * self._scale(cycle)

    def _scale(self, cycle: int) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.mode == "triangular2":
            return 0.5 ** (cycle - 1)
        return self.gamma**self.last_epoch if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        """The rates of `last_epoch`, one for each group."""
        height = self._height()
        return [
            low + (high - low) * height
            for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def get_momentum(self) -> list[float]:
        """The momenta of `last_epoch`, one for each group."""
        height = self._height()
        return [
            high - (high - low) * height
            for low, high in zip(self.base_momentums, self.max_momentums, strict=True)
        ]


class OneCycleLR(_MomentumCycle):
    """One cycle of the learning rate, up and down to almost nothing (Smith, arXiv:1708.07120).

    Args:
        optimizer: whose groups are changed.
        max_lr: the highest rate, or one for each group.
        total_steps: the length of the cycle.
        epochs: with `steps_per_epoch`, instead of `total_steps`.
        steps_per_epoch: see `epochs`.
        pct_start: share of the cycle in which the rate rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momenta against the rates.
        base_momentum: the lowest momentum, or one for each group.
        max_momentum: the highest momentum, or one for each group.
        div_factor: the first rate is `max_lr / div_factor`.
        final_div_factor: the last rate is the first divided by this.
        three_phase: return to the first rate, and only then go on to the last.
        last_epoch: the epoch that was last done, to resume; -1 to begin.
        verbose: print each new learning rate.

    Raises:
        ValueError: no length is given, a number is out of range, a sequence does not have one
            entry for each group, or a group has no momentum to cycle. Also by `step` after the end.

    >>> optimizer = lucid.optim.Adam([nn.Parameter([1.0])])
    >>> scheduler = lucid.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> for _ in range(2):
    ...     scheduler.step()
    >>> scheduler.last_lr, optimizer.param_groups[0]["betas"]
    ([1.0], (0.85, 0.999))
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Rates,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: Rates = 0.85,
        max_momentum: Rates = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        self.max_lrs = per_group(self, optimizer, "max_lr", max_lr)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch.")
            check_positive(self, epochs=epochs, steps_per_epoch=steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        check_positive(
            self, total_steps=total_steps, div_factor=div_factor, final_div_factor=final_div_factor
        )
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must lie between 0 and 1, got {pct_start}.")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f'OneCycleLR: anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}.'
            )
        self._set_up_momentum(optimizer, cycle_momentum, base_momentum, max_momentum)
        self.total_steps = total_steps
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.final_div_factor = final_div_factor
        self.three_phase = three_phase
        base_lrs = [float(rate / div_factor) for rate in self.max_lrs]
        if last_epoch == -1:
            for rate, group in zip(base_lrs, optimizer.param_groups, strict=True):
                group["lr"] = rate
        super().__init__(optimizer, last_epoch, verbose, base_lrs=base_lrs)

    def _between(self, low: float, high: float, last: float) -> float:
        """Where `last_epoch` is on the way from `low` to `high`, and back, or on to `last`."""
        end = self.total_steps - 1
        top = self.pct_start * self.total_steps - 1
        legs = [(top, low, high), (end, high, last)]
        if self.three_phase:
            foot = 2 * self.pct_start * self.total_steps - 2
            legs = [(top, low, high), (foot, high, low), (end, low, last)]
        begin = 0.0
        for i, (stop, start, target) in enumerate(legs):
            if self.last_epoch <= stop or i == len(legs) - 1:
                # A leg of no length, where the cycle is a single step, is at its end.
                done = (self.last_epoch - begin) / (stop - begin) if stop != begin else 1.0
                if self.anneal_strategy == "linear":
                    return start + (target - start) * done
                return target + (start - target) / 2 * (1 + math.cos(math.pi * done))
            begin = stop
        raise AssertionError("the last leg takes every epoch")

    def get_lr(self) -> list[float]:
        """The rates of `last_epoch`, one for each group."""
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"OneCycleLR: the cycle has {self.total_steps} steps, and step {self.last_epoch} "
                "was asked for."
            )
        return [
            self._between(base, high, base / self.final_div_factor)
            for base, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def get_momentum(self) -> list[float]:
        """The momenta of `last_epoch`, one for each group."""
        return [
            self._between(high, low, high)
            for low, high in zip(self.base_momentums, self.max_momentums, strict=True)
        ]
