"""What parameter groups may hold: checked before an optimizer changes anything."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lucid._core.tensor import Tensor

# What a scheduler leaves in a group; the rules do not see it.
NOTES = ("initial_lr",)


def check_params(
    name: str, group: Mapping[str, Any], defaults: Mapping[str, Any], present: Iterable[Tensor]
) -> list[Any]:
    """The parameters of a new group, if all of them can be optimised and none is in `present`."""
    if "params" not in group:
        raise ValueError(f'{name}: a parameter group needs "params", got only {sorted(group)}.')
    unknown = set(group) - {"params", *NOTES} - set(defaults)
    if unknown:
        raise ValueError(
            f"{name}: unknown hyperparameters {sorted(unknown)}; known are {sorted(defaults)}."
        )
    params = group["params"]
    params = [params] if isinstance(params, Tensor) else list(params)
    seen = {id(param) for param in present}
    for param in params:
        if not isinstance(param, Tensor):
            raise TypeError(f"{name}: Parameters are needed, got {type(param).__name__}.")
        if not param.is_leaf:
            raise ValueError(f"{name}: only leaves can be optimised, not computed Tensors.")
        if np.issubdtype(param.dtype, np.complexfloating):
            raise TypeError(
                f"{name}: a parameter is complex, and the rules are for real ones. Optimise its "
                "real and imaginary part."
            )
        if id(param) in seen:
            raise ValueError(f"{name}: a parameter is given twice.")
        seen.add(id(param))
    return params


def check_numbers(name: str, group: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse hyperparameters of another kind than the default's, negative ones, and betas of 1."""
    for key, default in (*defaults.items(), *((note, 0.0) for note in NOTES if note in group)):
        value = group[key]
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise TypeError(f"{name}: {key} must be True or False, got {value!r}.")
            continue
        parts = value if isinstance(default, tuple) else (value,)
        if isinstance(default, tuple) and not (
            isinstance(value, (tuple, list)) and len(value) == len(default)
        ):
            raise TypeError(f"{name}: {key} must be {len(default)} numbers, got {value!r}.")
        for part in parts:
            if isinstance(part, bool) or not isinstance(part, numbers.Real):
                raise TypeError(f"{name}: {key} must be a number, got {part!r}.")
            if not 0 <= float(part) < (1 if key == "betas" else math.inf):
                limit = " and below 1" if key == "betas" else " and finite"
                raise ValueError(f"{name}: {key} must be at least 0{limit}, got {value}.")
