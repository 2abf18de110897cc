"""Loading a state_dict: check everything, then assign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from lucid._core.arrays import fitted
from lucid._core.mode import lock
from lucid._core.tensor import Tensor
from lucid._core.typing import Array


class IncompatibleKeys(NamedTuple):
    """The names that `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load_state(
    owner: str, targets: Mapping[str, Tensor], values: Mapping[str, Any], strict: bool
) -> IncompatibleKeys:
    """Assign `values` to the Tensors in `targets` by name, all of them or none."""
    if not isinstance(values, Mapping):
        raise TypeError(
            f"load_state_dict: a dictionary of values by name is needed, got "
            f"{type(values).__name__}."
        )
    missing = [name for name in targets if name not in values]
    unexpected = [name for name in values if name not in targets]
    problems = []
    if strict and missing:
        problems.append(f"missing: {', '.join(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected: {', '.join(map(str, unexpected))}")
    loaded: dict[str, Array] = {}
    for name, target in targets.items():
        if name not in values:
            continue
        value = values[name]
        try:
            array = fitted(
                value.data if isinstance(value, Tensor) else value, target.shape, target.dtype
            )
        except ValueError as error:
            problems.append(f"{name}: {error}")
        else:
            # Bound to a device just if the target was, or else the next step compiles anew.
            old = target._cell()._data
            place = old.sharding if old.committed else None
            loaded[name] = jax.device_put(array, place)
    if problems:
        raise ValueError(
            f"load_state_dict: the state does not fit this {owner}, and nothing was changed.\n  "
            + "\n  ".join(problems)
        )
    with lock:  # a step of another thread comes before or after
        for name, array in loaded.items():
            targets[name].data = array
    return IncompatibleKeys(missing, unexpected)
