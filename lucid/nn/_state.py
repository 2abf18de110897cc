"""Loading a state_dict: check everything, then assign."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from lucid._core import spread
from lucid._core.arrays import fitted
from lucid._core.mode import lock
from lucid._core.tensor import Tensor
from lucid._core.typing import Array


class IncompatibleKeys(NamedTuple):
    """The names that `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


# PyTorch's parametrizations.spectral_norm and weight_norm name what they keep by its place.
_PARAMETRIZED = re.compile(r"(.*\.|)parametrizations\.(\w+)\.(original[01]?|0\._[uv])")
_PARTS = {"original": "orig", "original0": "g", "original1": "v", "0._u": "u", "0._v": "v"}


def _own_name(name: Any, targets: Mapping[str, Tensor]) -> Any:
    """What a name of PyTorch's parametrizations is here; any other name as it is."""
    found = None if name in targets else _PARAMETRIZED.fullmatch(str(name))
    return name if found is None else f"{found[1]}{found[2]}_{_PARTS[found[3]]}"


def _prefix(missing: list[str], unexpected: list[Any]) -> list[str]:
    """What to say if all that is missing was given, behind a common beginning."""
    first = next((str(n) for n in unexpected if missing and str(n).endswith(missing[0])), "")
    prefix = first[: len(first) - len(missing[0])] if first else ""
    if not prefix or not {prefix + name for name in missing} <= set(unexpected):
        return []
    advice = f"{{name.removeprefix({prefix!r}): value for name, value in state_dict.items()}}"
    return [f"the names begin with {prefix!r}, as a wrapper of the model makes them; load {advice}"]


def load_state(
    owner: str, targets: Mapping[str, Tensor], values: Mapping[str, Any], strict: bool
) -> IncompatibleKeys:
    """Assign `values` to the Tensors in `targets` by name, all of them or none."""
    if not isinstance(values, Mapping):
        raise TypeError(
            f"load_state_dict: a dictionary of values by name is needed, got "
            f"{type(values).__name__}."
        )
    values = {_own_name(name, targets): value for name, value in values.items()}
    # Of a Tensor with several names, one is enough.
    given = {id(target) for name, target in targets.items() if name in values}
    missing = [name for name, t in targets.items() if name not in values and id(t) not in given]
    unexpected = [name for name in values if name not in targets]
    problems = []
    if strict and missing:
        problems.append(f"missing: {', '.join(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected: {', '.join(map(str, unexpected))}")
        problems += _prefix(missing, unexpected)
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
            loaded[name] = spread.put(f"load_state_dict: {name}", array, place)
    if problems:
        raise ValueError(
            f"load_state_dict: the state does not fit this {owner}, and nothing was changed.\n  "
            + "\n  ".join(problems)
        )
    with lock:  # a step of another thread comes before or after
        for name, array in loaded.items():
            targets[name].data = array
    return IncompatibleKeys(missing, unexpected)
