"""GradScaler: a factor of the loss that keeps small gradients in the range of float16."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.arguments import is_number
from lucid._core.mode import untraced
from lucid._core.tensor import Tensor
from lucid._core.typing import Array
from lucid.ops.precision import narrowed, wide
from lucid.optim.optimizer import Optimizer, assign

# What has happened to the gradients of an optimizer since the last update.
_FRESH, _UNSCALED, _OVERFLOWN = range(3)

# Of each number: its dtype, and the open interval that it lies in.
_NUMBERS = {
    "scale": (np.float32, 0, math.inf),
    "growth_factor": (np.float32, 1, math.inf),
    "backoff_factor": (np.float32, 0, 1),
    "growth_interval": (np.int32, 0, 2**31),
    "_growth_tracker": (np.int32, -1, 2**31),
}


class GradScaler:
    """Scales a loss, and with it all gradients, so that small ones do not vanish in float16.

    Gradients are divided by the scale before a step; one of them that is infinite or NaN makes the
    step leave parameters and optimizer as they are, bit for bit, and `update` reduce the scale.
    After `growth_interval` updates without any the scale grows. Micikevicius et al.,
    arXiv:1710.03740, section 3.2.

    All that changes is kept in Tensors, so every call works in `lucid.jit` too, compiles once, and
    waits for no value.

    Args:
        init_scale: the first scale.
        growth_factor: what the scale is multiplied by when it grows, above 1.
        backoff_factor: what it is multiplied by after an overflow, between 0 and 1.
        growth_interval: after how many updates without an overflow it grows.

    Raises:
        ValueError: a number is out of its range.

    >>> w = nn.Parameter([1.0])
    >>> optimizer, scaler = lucid.optim.SGD([w], lr=0.5), lucid.optim.GradScaler()
    >>> for factor in (1.0, lucid.inf):
    ...     w.grad = None
    ...     scaler.scale((w * factor).sum()).backward()
    ...     scaler.step(optimizer)
    ...     scaler.update()
    ...     print(w, scaler.get_scale())
    Parameter([0.5]) 65536.0
    Parameter([0.5]) 32768.0
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
    ) -> None:
        values = (init_scale, growth_factor, backoff_factor, growth_interval, 0)
        arrays, problems = _read(dict(zip(_NUMBERS, values, strict=True)), {"scale": "init_scale"})
        if problems:
            raise ValueError(f"GradScaler: {'; '.join(problems)}.")
        self._numbers = {name: Tensor(array) for name, array in arrays.items()}
        self._overflow = Tensor(np.zeros((), bool))  # of any optimizer since the last update
        self._stages: dict[Optimizer, Tensor] = {}

    def scale(self, loss: Tensor) -> Tensor:
        """The loss times the scale.

        Raises:
            TypeError: the loss is no Tensor.
        """
        if not isinstance(loss, Tensor):
            raise TypeError(f"GradScaler.scale: a Tensor is needed, got {type(loss).__name__}.")
        return loss * self._numbers["scale"]

    def get_scale(self) -> float:
        """The scale."""
        return self.state_dict()["scale"]

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients by the scale, for what looks at them before the step.

        A second call before `step` or `update` changes nothing.

        Raises:
            TypeError: `optimizer` is none.
            ValueError: a gradient has the dtype float16, in which it would vanish again.
        """
        stage = self._stage(optimizer)
        given = [param for group in optimizer.param_groups for param in group["params"]]
        params = [param for param in given if param.grad is not None]
        if any(param.dtype == np.float16 for param in params):
            raise ValueError(
                "GradScaler: a gradient in float16 vanishes again when it is divided by the scale. "
                "Keep Parameters in float32, and compute the loss under lucid.autocast."
            )
        scale, overflow = self._numbers["scale"]._cell(), self._overflow._cell()
        grads, *flags = _unscaled(
            [param.grad._cell()._data for param in params],
            scale._data,
            stage._cell()._data,
            overflow._data,
        )
        for param, grad in zip(params, grads, strict=True):
            param.grad = Tensor(grad)
        for tensor, flag in zip((stage, self._overflow), flags, strict=True):
            assign(tensor._cell(), flag)

    def step(self, optimizer: Optimizer) -> None:
        """`optimizer.step()` with unscaled gradients, or nothing if one of them is not finite.

        Afterwards the gradients are no longer scaled: a next step needs a backward of its own.

        Raises:
            TypeError: `optimizer` is none.
            ValueError: a gradient has the dtype float16.
        """
        self.unscale_(optimizer)
        stage = self._stages[optimizer]._cell()
        cells = [tensor._cell() for tensor in optimizer._changes()]
        before = [cell._data for cell in cells]
        optimizer.step()
        moved = [(c, old) for c, old in zip(cells, before, strict=True) if c._data is not old]
        chosen = _chosen(stage._data, [old for _, old in moved], [cell._data for cell, _ in moved])
        for (cell, _), array in zip(moved, chosen, strict=True):
            assign(cell, array)
        assign(stage, jnp.full_like(stage._data, _FRESH))

    def update(self) -> None:
        """Adapt the scale, once after the steps of all optimizers."""
        cells = {name: tensor._cell() for name, tensor in self._numbers.items()}
        overflow = self._overflow._cell()
        values = [cell._data for cell in cells.values()]
        scale, tracker = _adapted(*values, overflow._data)
        assign(cells["scale"], scale)
        assign(cells["_growth_tracker"], tracker)
        for cell in (overflow, *(stage._cell() for stage in self._stages.values())):
            assign(cell, jnp.zeros_like(cell._data))

    def state_dict(self) -> dict[str, float]:
        """The scale, the factors and the count, by the names that PyTorch gives them."""
        return {name: tensor.numpy().item() for name, tensor in self._numbers.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; that of PyTorch's GradScaler will do.

        An overflow since the last update is forgotten.

        Raises:
            TypeError: `state_dict` is none.
            ValueError: a number is missing or out of its range. Nothing was changed.

        >>> scaler = lucid.optim.GradScaler()
        >>> scaler.load_state_dict(lucid.optim.GradScaler(init_scale=8.0).state_dict())
        >>> scaler.get_scale()
        8.0
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"load_state_dict: what state_dict returned is needed, got "
                f"{type(state_dict).__name__}."
            )
        missing = [f'"{name}" is missing' for name in _NUMBERS if name not in state_dict]
        arrays, problems = ({}, missing) if missing else _read(state_dict)
        if problems:
            raise ValueError(
                f"load_state_dict: {'; '.join(problems)}. This GradScaler was not changed."
            )
        for name, array in arrays.items():
            self._numbers[name].data = array
        for tensor in (self._overflow, *self._stages.values()):
            tensor.data = jnp.zeros_like(tensor.data)

    def _stage(self, optimizer: Optimizer) -> Tensor:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"GradScaler: an Optimizer is needed, got {type(optimizer).__name__}.")
        if optimizer not in self._stages:
            with untraced():  # state, although a program may be traced that is its first reader
                self._stages[optimizer] = Tensor(np.full((), _FRESH, np.int32))
        return self._stages[optimizer]

    def __repr__(self) -> str:
        return f"GradScaler({', '.join(f'{k}={v}' for k, v in self.state_dict().items())})"


def _read(
    values: Mapping[str, Any], called: Mapping[str, str] = MappingProxyType({})
) -> tuple[dict[str, Any], list[str]]:
    """The numbers as arrays, and what is wrong with those that the caller knows by other names."""
    arrays, problems = {}, []
    for name, (dtype, low, high) in _NUMBERS.items():
        value = values[name]
        if hasattr(value, "item") and np.size(value) == 1:
            value = value.item()
        if _lies_between(value, dtype, low, high):
            arrays[name] = np.array(value, dtype)
        else:
            kind = "a number" if dtype is np.float32 else "a whole number"
            limit = f" and below {high}" if high < math.inf else ", finite"
            what = f"{called.get(name, name)} must be {kind} above {low}{limit}"
            problems.append(f"{what}, got {value!r}")
    return arrays, problems


def _lies_between(value: Any, dtype: type, low: float, high: float) -> bool:
    """Whether a number fits, also once it is rounded to its dtype."""
    if not is_number(value) or not low < value < high:
        return False
    with np.errstate(over="ignore"):
        rounded = dtype(value)
    return bool(low < rounded < high and (dtype is np.float32 or rounded == value))


@jax.jit
def _unscaled(
    grads: Sequence[Array], scale: Array, stage: Array, overflow: Array
) -> tuple[list[Array], Array, Array]:
    """The gradients, the stage and whether there was an overflow, after `unscale_`."""
    fresh = stage == _FRESH
    divided = [narrowed(wide(g) / jnp.where(fresh, scale, 1), g) for g in grads]
    finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(g)) for g in divided]))
    found = jnp.where(finite, _UNSCALED, _OVERFLOWN).astype(stage.dtype)
    return divided, jnp.where(fresh, found, stage), overflow | (fresh & ~finite)


@jax.jit
def _chosen(stage: Array, before: Sequence[Array], after: Sequence[Array]) -> list[Array]:
    kept = stage == _OVERFLOWN
    return [jnp.where(kept, old, new) for old, new in zip(before, after, strict=True)]


@jax.jit
def _adapted(
    scale: Array, growth: Array, backoff: Array, interval: Array, tracker: Array, overflow: Array
) -> tuple[Array, Array]:
    """The scale, and the number of updates since it changed, after an update."""
    count = tracker + 1
    grown = scale * growth
    grows = count >= interval
    larger = jnp.where(grows & jnp.isfinite(grown), grown, scale)
    return (
        jnp.where(overflow, scale * backoff, larger),
        jnp.where(overflow | grows, 0, count),
    )
