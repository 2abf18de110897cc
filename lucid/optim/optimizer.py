"""Optimizer: parameter groups, state, and the one compiled call that updates a group."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax

from lucid import _epoch
from lucid._autograd import state as thread
from lucid._tensor import Tensor
from lucid._typing import Array
from lucid.nn.parameter import Parameter

# (parameter, gradient, state, **hyperparameters) -> (parameter, state), all arrays.
Rule = Callable[..., tuple[Array, dict[str, Array]]]


class Optimizer:
    """Base of all optimizers.

    A subclass names its `rule`, a pure function of arrays, and says with `initial_state` what the
    rule keeps for a parameter. State is allocated when parameters are added, never in a step.

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        defaults: the hyperparameters of groups that do not set them.

    Raises:
        ValueError: there are no parameters, or one is given twice.
        TypeError: something else than Parameters is given.
    """

    rule: ClassVar[Rule]

    def __init__(
        self, params: Iterable[Parameter] | Iterable[dict[str, Any]], defaults: dict[str, Any]
    ) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Parameter, dict[str, Tensor]] = {}
        entries = list(params)
        if not entries:
            raise ValueError(f"{type(self).__name__}: there are no parameters to optimise.")
        if all(isinstance(entry, dict) for entry in entries):
            groups: list[Any] = entries
        else:
            groups = [{"params": entries}]
        for group in groups:
            self.add_param_group(group)

    def initial_state(self, param: Array, group: dict[str, Any]) -> dict[str, Array]:
        """What the rule keeps for a parameter, before the first step."""
        return {}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with hyperparameters of their own where `param_group` names some.

        Raises:
            ValueError: a parameter is given twice, or a hyperparameter is unknown.
            TypeError: something else than Parameters is given.
        """
        name = type(self).__name__
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        unknown = set(param_group) - {"params"} - set(self.defaults)
        if unknown:
            raise ValueError(
                f"{name}: unknown hyperparameters {sorted(unknown)}; known are "
                f"{sorted(self.defaults)}."
            )
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"{name}: Parameters are needed, got {type(param).__name__}.")
            if not param.is_leaf:
                raise ValueError(f"{name}: only leaves can be optimised, not computed Tensors.")
        if len({id(p) for p in params} | {id(p) for p in self.state}) < len(params) + len(
            self.state
        ):
            raise ValueError(f"{name}: a parameter is given twice.")
        group = {**self.defaults, **param_group, "params": params}
        states = [self.initial_state(param.data, group) for param in params]
        for param, state in zip(params, states, strict=True):
            self.state[param] = {key: Tensor(value) for key, value in state.items()}
        self.param_groups.append(group)
        _epoch.bump()

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for param in group["params"]:
                param.grad = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient, a whole group in one compiled call.

        Args:
            closure: computes the loss and its gradients anew before the update.

        Returns:
            What the closure returned.
        """
        loss = None if closure is None else closure()
        for group in self.param_groups:
            self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        if not params:
            return
        hyper = {name: value for name, value in group.items() if name != "params"}
        # A flag chooses a program; a number is an argument of it, and may change for free.
        flags = tuple((n, v) for n, v in hyper.items() if isinstance(v, (bool, type(None))))
        numbers = {n: v for n, v in hyper.items() if not isinstance(v, (bool, type(None)))}
        capture = thread.capture
        if capture is not None:
            capture.touch(self)
            numbers = {name: capture.number(group, name) for name in numbers}
        states = [self.state[param] for param in params]
        updated = _update_all(
            [param.data for param in params],
            [param.grad.data for param in params],
            [{key: value.data for key, value in state.items()} for state in states],
            numbers,
            rule=type(self).rule,
            flags=flags,
        )
        for param, state, (new_param, new_state) in zip(params, states, updated, strict=True):
            param.data = new_param
            for key, value in new_state.items():
                state[key].data = value

    def _snapshot(self) -> dict[str, Any]:
        """What a compiled program depends on, apart from numbers and the values of Tensors."""
        return {"param_groups": tuple(len(group["params"]) for group in self.param_groups)}

    def state_dict(self) -> dict[str, Any]:
        """State and hyperparameters, with parameters by number as PyTorch has them."""
        number = {id(param): i for i, param in enumerate(self.state)}
        return {
            "state": {
                number[id(param)]: {key: value.detach() for key, value in state.items()}
                for param, state in self.state.items()
            },
            "param_groups": [
                {**group, "params": [number[id(param)] for param in group["params"]]}
                for group in self.param_groups
            ],
        }

    def __repr__(self) -> str:
        lines = [
            f"  group {i}: {len(group['params'])} parameters, "
            + ", ".join(f"{name}={value}" for name, value in group.items() if name != "params")
            for i, group in enumerate(self.param_groups)
        ]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


@functools.partial(jax.jit, static_argnames=("rule", "flags"))
def _update_all(
    params: list[Array],
    grads: list[Array],
    states: list[dict[str, Array]],
    numbers: dict[str, Any],
    *,
    rule: Rule,
    flags: tuple[tuple[str, Any], ...],
) -> list[tuple[Array, dict[str, Array]]]:
    return [
        rule(param, grad, state, **numbers, **dict(flags))
        for param, grad, state in zip(params, grads, states, strict=True)
    ]
