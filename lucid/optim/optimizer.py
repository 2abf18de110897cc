"""Optimizer: parameter groups, state, and the one compiled call that updates a group."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar, overload

import jax
import numpy as np

from lucid._core import epoch
from lucid._core.arrays import as_float
from lucid._core.errors import user_line
from lucid._core.misuse import told
from lucid._core.mode import enable_grad, lock
from lucid._core.mode import state as thread
from lucid._core.tensor import Tensor
from lucid._core.typing import Array
from lucid._core.variable import Variable
from lucid.nn.parameter import Parameter
from lucid.ops.precision import narrowed, wide, wide_dtype
from lucid.optim import _checks, _loading
from lucid.optim._group import Group, groups

# (parameter, gradient, state, **hyperparameters) -> (parameter, state), all arrays.
Rule = Callable[..., tuple[Array, dict[str, Array]]]
Params = Iterable[Parameter] | Iterable[dict[str, Any]]
# A parameter, its gradient and its state, where their values are.
Cells = tuple[Variable, Variable, dict[str, Variable]]
Loss = TypeVar("Loss")


class Slot(NamedTuple):
    """What a rule keeps for a parameter: one or several arrays like it, or one number."""

    fill: float = 0.0
    scalar: bool = False
    integer: bool = False
    rows: int | None = None  # how many arrays, behind a new first axis

    def shape(self, param: Array) -> tuple[int, ...]:
        """The shape of the array for `param`."""
        if self.scalar:
            return ()
        return param.shape if self.rows is None else (self.rows, *param.shape)

    def dtype(self, param: Array) -> Any:
        """The dtype of the array for `param`: an integer, or what the rule computes in."""
        return jax.dtypes.canonicalize_dtype(int) if self.integer else wide_dtype(param.dtype)

    def allocate(self, param: Array) -> Array:
        """The array for `param`, where `param` is, so that a step moves nothing."""
        return _loading.place(np.full(self.shape(param), self.fill, self.dtype(param)), param)


ZEROS = Slot()
COUNT = Slot(0, scalar=True, integer=True)


class Optimizer:
    """Base of all optimizers.

    A subclass names its `rule`, a pure function of arrays, and says with `slots` what the rule
    keeps for a parameter. State is allocated when parameters are added, never in a step.

    State is kept in float32 also for parameters of 16 bits, in which a running mean would stand
    still: what a step adds to it would round away. So Adam needs 8 bytes for each bfloat16 number
    of 2 bytes, as for each float32 number. The parameters are updated in float32 and rounded once.

    Args:
        params: Parameters, or dictionaries with "params" and hyperparameters of their own.
        defaults: the hyperparameters of groups that do not set them. Numbers may be changed in
            `param_groups` at any time and cost no compilation; a flag chooses another program.

    Raises:
        ValueError: there are no parameters, one is given twice, or a hyperparameter is unknown or
            out of range.
        TypeError: something else than Parameters is given, or a hyperparameter is no number.
    """

    rule: ClassVar[Rule]

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Parameter, dict[str, Tensor]] = {}
        for group in self.param_groups_setup(params, defaults):
            self.add_param_group(group)

    def __setattr__(self, name: str, value: Any) -> None:
        # Compiled programs ask an optimizer for changes only when one was announced.
        super().__setattr__(name, groups(value) if name == "param_groups" else value)
        epoch.bump()

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """What the rule keeps for each parameter of `group`, by name.

        It may depend on flags, and of a number on whether it is 0.
        """
        return {}

    def check_group(self, group: dict[str, Any]) -> None:
        """Refuse hyperparameters that are not numbers, or out of range."""
        # A default that the user gave may be of a wrong kind itself.
        own = {
            name: parameter.default
            for name, parameter in inspect.signature(type(self)).parameters.items()
            if parameter.default is not parameter.empty
        }
        kinds = {name: own.get(name, value) for name, value in self.defaults.items()}
        _checks.check_numbers(type(self).__name__, group, kinds)

    def param_groups_setup(self, params: Params, defaults: dict[str, Any]) -> list[dict[str, Any]]:
        """The groups that `params` describes, completed from `defaults`."""
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(f"{name}: Parameters are needed in a list, got one Tensor: [tensor].")
        if not isinstance(params, Iterable):
            raise TypeError(
                f"{name}: Parameters are needed in a list, got {type(params).__name__}; those of a "
                "model are model.parameters()."
            )
        entries: list[Any] = list(params)
        if not entries:
            raise ValueError(
                f"{name}: there are no parameters to optimise. Layers that a Module keeps in a "
                "list or a dictionary count in nn.ModuleList or nn.ModuleDict alone, and a "
                "generator gives its items once."
            )
        grouped = all(isinstance(entry, dict) for entry in entries)
        return [{**defaults, **g} for g in (entries if grouped else [{"params": entries}])]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with hyperparameters of their own where `param_group` names some.

        Raises:
            ValueError: a parameter is given twice, or a hyperparameter is unknown or out of range.
            TypeError: something else than Parameters is given, or a hyperparameter is no number.
        """
        params = _checks.check_params(type(self).__name__, param_group, self.defaults, self.state)
        group = {**self.defaults, **param_group, "params": params}
        self.check_group(group)
        slots = self.slots(group)
        states = [
            {key: Tensor(slot.allocate(param.data)) for key, slot in slots.items()}
            for param in params
        ]
        self.state.update(zip(params, states, strict=True))
        self.param_groups.append(Group(group))

    @told
    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for param in group["params"]:
                param.grad = None

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], Loss]) -> Loss: ...
    def step(self, closure: Callable[[], Loss] | None = None) -> Loss | None:
        """Update all parameters that have a gradient, a whole group in one compiled call.

        Args:
            closure: computes the loss and its gradients anew before the update.

        Returns:
            What the closure returned.

        Raises:
            RuntimeError: a hyperparameter was changed to one that needs state which was not
                allocated, such as a momentum where there was none.
            TypeError: a hyperparameter is a Tensor. Nothing was changed in either case.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if thread.trace is not None:
            thread.trace.watch(self)
        # Each group is checked before any is updated.
        for update in [self._gather(group) for group in self.param_groups]:
            self._update(*update)
        return loss

    def _gather(
        self, group: dict[str, Any]
    ) -> tuple[list[Cells], dict[str, Any], tuple[tuple[str, bool], ...]]:
        """Who takes part in a step, the numbers of the group, and its flags."""
        cells = []
        for param in group["params"]:
            cell = param._cell()
            grad = cell._grad
            if grad is not None:
                state = {key: value._cell() for key, value in self.state[param].items()}
                cells.append((cell, grad._cell(), state))
        if cells and (absent := self.slots(group).keys() - cells[0][2].keys()):
            raise RuntimeError(
                f"{type(self).__name__}: the hyperparameters now need {sorted(absent)}, and state "
                "is only allocated with the parameters. Construct the optimizer with them."
            )
        capture = thread.trace
        numbers, flags = {}, []
        for name in self.defaults:
            value = group[name]
            # A flag chooses a program; a number is an argument of it, and may change for free.
            if isinstance(value, bool):
                flags.append((name, value))
            elif isinstance(value, Tensor):
                place = "" if capture is None else f"{user_line()}: "
                raise TypeError(
                    f"{place}{type(self).__name__}: {name} is a Tensor, and hyperparameters are "
                    f'numbers. Set param_groups[...]["{name}"] to float(tensor); another number '
                    "costs no compilation."
                )
            else:
                numbers[name] = as_float(value) if capture is None else capture.number(group, name)
        return cells, numbers, tuple(flags)

    def _update(
        self, cells: list[Cells], numbers: dict[str, Any], flags: tuple[tuple[str, bool], ...]
    ) -> None:
        if not cells:
            return
        updated = _update_all(
            [param._data for param, _, _ in cells],
            [grad._data for _, grad, _ in cells],
            [{key: value._data for key, value in state.items()} for _, _, state in cells],
            numbers,
            rule=type(self).rule,
            flags=flags,
        )
        for (param, _, state), (new_param, new_state) in zip(cells, updated, strict=True):
            assign(param, new_param)
            for key, value in new_state.items():
                assign(state[key], value)

    def _changes(self) -> list[Tensor]:
        """The Tensors that a step changes, or may: the parameters first."""
        states = (state.values() for state in self.state.values())
        return [*self.state, *itertools.chain.from_iterable(states)]

    def _snapshot(self) -> dict[str, Any]:
        """What a compiled program depends on, apart from numbers and the values of Tensors."""
        return {
            f"param_groups[{i}]": (
                id(group),
                tuple(group["params"]),
                tuple(self.slots(group)),
                {name: v for name, v in group.items() if isinstance(v, (bool, Tensor))},
            )
            for i, group in enumerate(self.param_groups)
        }

    def state_dict(self) -> dict[str, Any]:
        """State and hyperparameters, with parameters by number as PyTorch has them.

        The Tensors keep their values when the optimizer goes on.
        """
        number = {id(param): i for i, param in enumerate(self.state)}
        with lock:  # all of one step
            return self._state_dict(number)

    def _state_dict(self, number: dict[int, int]) -> dict[str, Any]:
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

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; state keeps this optimizer's dtypes and devices.

        It may come from PyTorch's optimizer of the same name, if it holds what this one needs.

        Raises:
            ValueError: groups, parameters, hyperparameters or state do not fit. The message lists
                all that does not, and nothing was changed.

        >>> w = nn.Parameter([1.0])
        >>> first, second = (lucid.optim.Adam([w], lr=lr) for lr in (0.1, 0.2))
        >>> second.load_state_dict(first.state_dict())
        >>> second.param_groups[0]["lr"]
        0.1
        """
        groups, states = _loading.read(self, state_dict)
        for group, loaded in zip(self.param_groups, groups, strict=True):
            group.update(loaded)
        for param, state in states.items():
            current = self.state[param]
            for key in current.keys() - state.keys():
                del current[key]
            for key, value in state.items():
                if key in current:
                    current[key].data = value
                else:
                    current[key] = Tensor(value)

    def __repr__(self) -> str:
        lines = [
            f"  group {i}: {len(group['params'])} parameters, "
            + ", ".join(f"{name}={value}" for name, value in group.items() if name != "params")
            for i, group in enumerate(self.param_groups)
        ]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def assign(cell: Variable, array: Array) -> None:
    """Give a Tensor, or what stands for it in a trace, the array that a step computed."""
    cell._put(array)


def hyperparameters(arguments: dict[str, Any]) -> dict[str, Any]:
    """The defaults among a constructor's `locals()`: all its arguments but the parameters."""
    absent = ("self", "params", "__class__")
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in arguments.items()
        if name not in absent
    }


@functools.partial(jax.jit, static_argnames=("rule", "flags"))
def _update_all(
    params: list[Array],
    grads: list[Array],
    states: list[dict[str, Array]],
    numbers: dict[str, Any],
    *,
    rule: Rule,
    flags: tuple[tuple[str, bool], ...],
) -> list[tuple[Array, dict[str, Array]]]:
    def update(param: Array, grad: Array, state: dict[str, Array]) -> Any:
        new_param, new_state = rule(wide(param), wide(grad), state, **numbers, **dict(flags))
        return narrowed(new_param, param), {
            key: value.astype(state[key].dtype) for key, value in new_state.items()
        }

    return [update(*each) for each in zip(params, grads, states, strict=True)]
