"""LRScheduler: the count of epochs, and the one place that writes a learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lucid._core.errors import JitError
from lucid._core.mode import state
from lucid.optim.optimizer import Optimizer


class LRScheduler:
    """Base of all schedulers: each `step` sets the learning rates of an optimizer's groups.

    A subclass computes them in `get_lr` from `last_epoch`, `base_lrs` and the present rates. The
    rates are numbers, so that a changed one costs no compilation.

    Args:
        optimizer: whose groups are changed. They remember their first rate as "initial_lr".
        last_epoch: the epoch that was last done, to resume; -1 to begin. The optimizer's state
            must be loaded before.
        verbose: print each new learning rate.
        base_lrs: what the schedule starts from, if not the first rates of the groups.

    Raises:
        TypeError: `optimizer` is no Optimizer.
        ValueError: resuming, and the groups do not know their first rate.
    """

    # Attributes that state_dict leaves out.
    not_saved: ClassVar[tuple[str, ...]] = ("optimizer", "verbose")

    def __init__(
        self,
        optimizer: Optimizer,
        last_epoch: int = -1,
        verbose: bool = False,
        *,
        base_lrs: Sequence[float] | None = None,
    ) -> None:
        check_optimizer(self, optimizer)
        groups = optimizer.param_groups
        if last_epoch == -1:
            for group in groups:
                group.setdefault("initial_lr", float(group["lr"]))
        elif base_lrs is None and any("initial_lr" not in group for group in groups):
            raise ValueError(
                f"{type(self).__name__}: last_epoch={last_epoch} resumes, but a group of the "
                'optimizer has no "initial_lr". Load the optimizer\'s state_dict first.'
            )
        self.optimizer = optimizer
        self.verbose = verbose
        self.base_lrs: list[float] = (
            [group["initial_lr"] for group in groups] if base_lrs is None else list(base_lrs)
        )
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self._begin()

    def _begin(self) -> None:
        """Set the rates of the first epoch; where the optimizer was resumed, it has them."""
        self.last_epoch += 1
        self._assign(self._first_lr())

    def _first_lr(self) -> list[float]:
        return self.get_lr()

    def _present_lr(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        """The rates of `last_epoch`, one for each group, from those of the epoch before."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr.")

    def _lr_at_epoch(self) -> list[float]:
        """The rates of `last_epoch`, from the first rates alone."""
        return self.get_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or to `epoch`, and set the learning rates.

        Raises:
            ValueError: the optimizer got another parameter group since.
            JitError: the code is compiled by `lucid.jit`.
        """
        self._refuse_tracing()
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(
                f"{type(self).__name__}: the optimizer has {len(groups)} parameter groups, and the "
                f"scheduler was made for {len(self.base_lrs)}. Add groups before."
            )
        previous = self.last_epoch
        self.last_epoch = previous + 1 if epoch is None else epoch
        try:
            rates = self.get_lr() if epoch is None else self._lr_at_epoch()
        except BaseException:
            self.last_epoch = previous
            raise
        self._assign(rates)

    def _refuse_tracing(self) -> None:
        if state.trace is not None:
            raise JitError(
                f"{type(self).__name__}: a scheduler was stepped inside a compiled function, which "
                "would happen only while it is traced. Step it outside."
            )

    def _assign(self, rates: Sequence[float]) -> None:
        for i, (group, rate) in enumerate(zip(self.optimizer.param_groups, rates, strict=True)):
            group["lr"] = float(rate)
            if self.verbose:
                print(f"Epoch {self.last_epoch}: learning rate of group {i} is {group['lr']:.4e}.")
        self._last_lr = self._present_lr()

    @property
    def last_lr(self) -> list[float]:
        """The rates that were set last, one for each group."""
        return list(self._last_lr)

    def get_last_lr(self) -> list[float]:
        """The rates that were set last, one for each group."""
        return self.last_lr

    def __repr__(self) -> str:
        hidden = ("optimizer", "verbose", "base_lrs")
        known = {k: v for k, v in vars(self).items() if k[0] != "_" and k not in hidden}
        shown = {**known, "last_lr": self._last_lr}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"

    def state_dict(self) -> dict[str, Any]:
        """All that the scheduler knows but the optimizer, its own functions and `verbose`."""
        return {
            key: list(value) if isinstance(value, list) else value
            for key, value in vars(self).items()
            if key not in self.not_saved
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned. The optimizer's own state holds the rates.

        Raises:
            ValueError: entries are missing or unexpected, or the number of groups differs; the
                message lists all, and nothing was changed.

        >>> optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
        >>> scheduler = lucid.optim.lr_scheduler.StepLR(optimizer, step_size=2)
        >>> scheduler.step()
        >>> again = lucid.optim.lr_scheduler.StepLR(optimizer, step_size=5)
        >>> again.load_state_dict(scheduler.state_dict())
        >>> again.last_epoch, again.step_size
        (1, 2)
        """
        self._check_state(state_dict)
        self._take(state_dict)

    def _take(self, state_dict: Mapping[str, Any]) -> None:
        for key, value in state_dict.items():
            setattr(self, key, list(value) if isinstance(value, list) else value)

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        own = self.state_dict()
        problems = [f"missing: {key}" for key in own if key not in state_dict]
        problems += [f"unexpected: {key}" for key in state_dict if key not in own]
        for key in ("base_lrs", "_last_lr"):
            if key in own and len(state_dict.get(key, own[key])) != len(own[key]):
                problems.append(f"{key}: {len(state_dict[key])} groups instead of {len(own[key])}")
        if problems:
            raise ValueError(
                f"load_state_dict: the state does not fit this {type(self).__name__}, and nothing "
                "was changed.\n  " + "\n  ".join(problems)
            )


class FactorLR(LRScheduler):
    """Base of schedules whose rate is the first one, above a floor, times `factor(epoch)`.

    A step multiplies the present rate by the quotient of two factors. So schedulers of the same
    optimizer combine, and a rate that was changed by hand stays changed.
    """

    floor: float = 0.0

    def factor(self, epoch: int) -> float:
        """The share of the first rate that `epoch` has."""
        raise NotImplementedError(f"{type(self).__name__} does not define factor.")

    def _first_lr(self) -> list[float]:
        return self._scaled(1.0, self.factor(0)) if self.last_epoch == 0 else self._present_lr()

    def get_lr(self) -> list[float]:
        """The present rates times the quotient of this epoch's factor and the last one's."""
        if self.last_epoch <= 0:
            return self._lr_at_epoch()
        return self._scaled(self.factor(self.last_epoch - 1), self.factor(self.last_epoch))

    def _scaled(self, before: float, now: float) -> list[float]:
        if before == now:
            return self._present_lr()
        if before == 0:
            return self._lr_at_epoch()
        return [self.floor + (lr - self.floor) * (now / before) for lr in self._present_lr()]

    def _lr_at_epoch(self) -> list[float]:
        now = self.factor(self.last_epoch)
        return [self.floor + (base - self.floor) * now for base in self.base_lrs]


def check_optimizer(scheduler: LRScheduler, optimizer: Any) -> None:
    """Refuse what is not an Optimizer with learning rates, before anything is written into it."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{type(scheduler).__name__}: optimizer must be an Optimizer, got "
            f"{type(optimizer).__name__}."
        )
    if any("lr" not in group for group in optimizer.param_groups):
        raise TypeError(
            f"{type(scheduler).__name__}: {type(optimizer).__name__} has no learning rate in its "
            "groups. Give the transformation a schedule of optax."
        )


def check_positive(scheduler: LRScheduler, **values: float) -> None:
    """Refuse numbers that are not above 0."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{type(scheduler).__name__}: {name} must be above 0, got {value}.")


def per_group(scheduler: LRScheduler, optimizer: Any, name: str, value: Any) -> list[Any]:
    """`value` for each parameter group: a sequence must have one entry for each."""
    check_optimizer(scheduler, optimizer)
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{type(scheduler).__name__}: {name} has {len(value)} entries for {count} parameter "
            "groups."
        )
    return list(value)
