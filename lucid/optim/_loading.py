"""Reading an optimizer's state_dict: find all that does not fit before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from lucid._core import spread
from lucid._core.arrays import fitted
from lucid._core.tensor import Tensor
from lucid._core.typing import Array
from lucid.nn.parameter import Parameter
from lucid.optim._checks import NOTES

if TYPE_CHECKING:
    from lucid.optim.optimizer import Optimizer

# How PyTorch shall run a step, which its groups say too.
_EXECUTION = ("foreach", "capturable", "differentiable", "fused")


def place(value: Any, param: Array) -> Array:
    """`value` on the device of `param`, and bound to it just if `param` is.

    JAX compiles anew when an operand that was free becomes bound to a device.
    """
    if not param.committed:
        return jax.device_put(value)
    sharding = param.sharding
    if np.shape(value) != param.shape and isinstance(sharding, jax.sharding.NamedSharding):
        sharding = jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec())
    return spread.put("state of an optimizer", value, sharding)


def read(
    optimizer: Optimizer, state_dict: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[Parameter, dict[str, Array]]]:
    """The hyperparameters of each group, and the state of each parameter.

    Raises:
        ValueError: listing everything that does not fit.
    """
    problems = [f'"{key}" is missing' for key in ("state", "param_groups") if key not in state_dict]
    groups: list[dict[str, Any]] = []
    states: dict[Parameter, dict[str, Array]] = {}
    if not problems:
        saved = state_dict["param_groups"]
        if len(saved) != len(optimizer.param_groups):
            problems.append(f"{len(saved)} groups instead of {len(optimizer.param_groups)}")
        else:
            for i, (old, new) in enumerate(zip(optimizer.param_groups, saved, strict=True)):
                group, wrong = _read_group(optimizer, old, new)
                groups.append(group)
                problems += [f"group {i}: {problem}" for problem in wrong]
                if not wrong:
                    slots = optimizer.slots({**old, **group})
                    for number, param in zip(new["params"], old["params"], strict=True):
                        state = state_dict["state"].get(number)
                        if state is None:  # as PyTorch has it where no step changed a parameter
                            fresh = {key: s.allocate(param.data) for key, s in slots.items()}
                            states[param] = fresh
                            continue
                        states[param], wrong = _read_state(slots, param, state)
                        problems += [f"state {number}: {problem}" for problem in wrong]
    if problems:
        raise ValueError(
            f"load_state_dict: the state does not fit this {type(optimizer).__name__}, and nothing "
            "was changed.\n  " + "\n  ".join(problems)
        )
    return groups, states


def _read_group(
    optimizer: Optimizer, old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    problems = []
    if len(new.get("params", ())) != len(old["params"]):
        problems.append(f"{len(new.get('params', ()))} parameters instead of {len(old['params'])}")
    problems += [f"missing: {name}" for name in optimizer.defaults if name not in new]
    known = {"params", *NOTES, *_EXECUTION, *optimizer.defaults}
    problems += [f"unexpected: {name}" for name in new if name not in known]
    group = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in new.items()
        if name not in ("params", *_EXECUTION)
    }
    if not problems:
        try:
            optimizer.check_group({**old, **group})
        except (TypeError, ValueError) as error:
            problems.append(str(error))
    return group, problems


def _read_state(
    slots: Mapping[str, Any], param: Tensor, state: Mapping[str, Any]
) -> tuple[dict[str, Array], list[str]]:
    # PyTorch also counts the steps of rules that do not need it, and names a momentum of None.
    state = {
        name: value
        for name, value in state.items()
        if value is not None and (name in slots or name != "step")
    }
    problems = [f"missing: {name}" for name in slots if name not in state]
    problems += [f"unexpected: {name}" for name in state if name not in slots]
    arrays: dict[str, Array] = {}
    for name, slot in slots.items():
        if name not in state:
            continue
        value = state[name]
        data = value.data if isinstance(value, Tensor) else value
        if slot.integer:
            data = _count(data)
        try:
            array = fitted(data, slot.shape(param.data), np.dtype(slot.dtype(param.data)))
        except ValueError as error:
            problems.append(f"{name}: {error}")
        else:
            arrays[name] = place(array, param.data)
    return arrays, problems


def _count(value: Any) -> Any:
    """A whole number as an integer, since PyTorch counts steps in floats; else `value`."""
    if "float" in str(getattr(value, "dtype", "")) and value.ndim == 0:
        number = float(value)
        return int(number) if number.is_integer() else value
    return value
