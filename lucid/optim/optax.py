"""Optax's gradient transformations as an optimizer of Parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, Protocol, overload

import jax
import jax.numpy as jnp

from lucid._core.arrays import fitted
from lucid._core.mode import enable_grad
from lucid._core.tensor import Tensor
from lucid._core.typing import Array, Operand
from lucid.nn.parameter import Parameter
from lucid.optim import _checks, _loading
from lucid.optim.optimizer import Loss, Optimizer


class Transformation(Protocol):
    """What optax calls a GradientTransformation; anything with these two methods will do."""

    @property
    def init(self) -> Callable[[Any], Any]:
        """From parameters to the first state."""

    @property
    def update(self) -> Callable[..., tuple[Any, Any]]:
        """From gradients, state and parameters to updates and the next state."""


class Optax(Optimizer):
    """Any optax optimizer, for imperative code and inside `lucid.jit`.

    The transformation sees the same as under plain optax: arrays in the structure of `params`. Its
    hyperparameters and schedules are its own, so `param_groups` holds none and a scheduler of
    `lucid.optim.lr_scheduler` has nothing to set.

    A Parameter without a gradient counts as one with a gradient of zeros, as `jax.grad` gives it,
    and one that does not require a gradient keeps its value. A step in which no Parameter has a
    gradient does nothing.

    Args:
        params: Parameters, or a dictionary of them by name, such as
            `dict(model.named_parameters())`; masks and labels then go by these names.
        transformation: from optax, or any object with `init` and `update`.

    Raises:
        ValueError: there are no parameters, or one is given twice.
        TypeError: something else than Parameters is given, or `transformation` has no `init` and
            `update`.

    Source: optax (DeepMind JAX Ecosystem), `optax.GradientTransformationExtraArgs`.

    >>> import optax
    >>> w = nn.Parameter([1.0])
    >>> optimizer = lucid.optim.Optax([w], optax.chain(optax.clip(1.0), optax.sgd(0.1)))
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    Parameter([0.9])
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Mapping[str, Parameter],
        transformation: Transformation,
    ) -> None:
        if not all(callable(getattr(transformation, name, None)) for name in ("init", "update")):
            raise TypeError(
                "Optax: the transformation must have the methods init and update, as those of "
                f"optax have, got {type(transformation).__name__}."
            )
        if isinstance(params, Tensor):
            raise TypeError("Optax: Parameters are needed in a list or by name, got one Tensor.")
        # In the order in which JAX flattens the structure: a dictionary's keys are sorted.
        entries = dict(params) if isinstance(params, Mapping) else list(params)
        leaves, self._structure = jax.tree.flatten(entries, is_leaf=_is_tensor)
        if not leaves:
            raise ValueError("Optax: there are no parameters to optimise.")
        self.defaults: dict[str, Any] = {}
        self._params = _checks.check_params("Optax", {"params": leaves}, {}, ())
        self.param_groups = [{"params": self._params}]
        self.state = {}
        self._transformation = transformation
        state = transformation.init(self._tree([param.data for param in self._params]))
        paths, self._state_structure = jax.tree.flatten_with_path(state)
        like = self._params[0].data
        self._names = [jax.tree_util.keystr(path) for path, _ in paths]
        self._key_kinds = [jax.random.key_impl(x) if _is_key(x) else None for _, x in paths]
        # JAX compiles anew where a dtype that was weak becomes definite: `astype` makes it so.
        arrays = (_plain(leaf) for _, leaf in paths)
        self._state = [Tensor(_placed(x.astype(x.dtype), like)) for x in arrays]
        self._advance = jax.jit(self._apply)

    def add_param_group(self, param_group: dict[str, Any]) -> NoReturn:
        """Refuse: the transformation's state has the structure of its first parameters.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "Optax: parameters cannot be added, since the state has the structure of those that "
            "it began with. Construct another Optax, or use optax.multi_transform for groups."
        )

    @overload
    def step(self, closure: None = None, **extra: Operand) -> None: ...
    @overload
    def step(self, closure: Callable[[], Loss], **extra: Operand) -> Loss: ...
    def step(self, closure: Callable[[], Loss] | None = None, **extra: Operand) -> Loss | None:
        """Update all parameters in one compiled call.

        Args:
            closure: computes the loss and its gradients anew before the update.
            extra: more that the transformation's update needs, such as `value=loss`; Tensors,
                arrays and numbers.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if all(param.grad is None for param in self._params):
            return loss
        values = [param.data for param in self._params]
        grads = [
            jnp.zeros_like(value) if param.grad is None else param.grad.data
            for param, value in zip(self._params, values, strict=True)
        ]
        arrays = {name: x.data if isinstance(x, Tensor) else x for name, x in extra.items()}
        new_values, state = self._advance(values, grads, [s.data for s in self._state], arrays)
        for param, value in zip(self._params, new_values, strict=True):
            if param.requires_grad:
                param.data = value
        for tensor, value in zip(self._state, state, strict=True):
            tensor.data = value
        return loss

    def _changes(self) -> list[Tensor]:
        return [*self._params, *self._state]

    def _apply(
        self, values: list[Array], grads: list[Array], state: list[Array], extra: dict[str, Any]
    ) -> tuple[list[Array], list[Array]]:
        """One step as a pure function."""
        leaves = [
            array if kind is None else jax.random.wrap_key_data(array, impl=kind)
            for array, kind in zip(state, self._key_kinds, strict=True)
        ]
        updates, following = self._transformation.update(
            self._tree(grads),
            jax.tree.unflatten(self._state_structure, leaves),
            self._tree(values),
            **extra,
        )
        moved = [
            (value + update).astype(value.dtype)
            for value, update in zip(
                values, _leaves("updates", updates, self._structure), strict=True
            )
        ]
        kept = _leaves("state", following, self._state_structure)
        return moved, [new.astype(old.dtype) for new, old in zip(kept, state, strict=True)]

    def _tree(self, leaves: list[Array]) -> Any:
        return jax.tree.unflatten(self._structure, leaves)

    def state_dict(self) -> dict[str, Any]:
        """The transformation's state by its paths in optax's state.

        The Tensors keep their values when the optimizer goes on.

        >>> import optax
        >>> optimizer = lucid.optim.Optax({"w": nn.Parameter([1.0])}, optax.adam(0.1))
        >>> optimizer.state_dict()["state"].keys()
        dict_keys(['[0].count', "[0].mu['w']", "[0].nu['w']"])
        """
        return {"state": {n: s.detach() for n, s in zip(self._names, self._state, strict=True)}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; state keeps this optimizer's dtypes and devices.

        Raises:
            ValueError: names, shapes or kinds of dtype do not fit. The message lists all that does
                not, and nothing was changed.
        """
        saved = state_dict.get("state")
        problems = [] if isinstance(saved, Mapping) else ['"state" is missing']
        loaded: list[Array] = []
        if isinstance(saved, Mapping):
            problems += [f"missing: {name}" for name in self._names if name not in saved]
            problems += [f"unexpected: {name}" for name in saved if name not in self._names]
            for name, current in zip(self._names, self._state, strict=True):
                if name in saved:
                    value = saved[name]
                    data = value.data if isinstance(value, Tensor) else value
                    try:
                        array = fitted(data, current.shape, current.dtype)
                    except ValueError as error:
                        problems.append(f"{name}: {error}")
                    else:
                        loaded.append(_loading.place(array, current.data))
        if problems:
            raise ValueError(
                "load_state_dict: the state does not fit this Optax, and nothing was changed.\n  "
                + "\n  ".join(problems)
            )
        for current, array in zip(self._state, loaded, strict=True):
            current.data = array

    def __repr__(self) -> str:
        return f"Optax({len(self._params)} parameters, {type(self._transformation).__name__})"


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> Array:
    """A leaf of the state as an array of numbers: a key as the integers that it stands for."""
    return jax.random.key_data(leaf) if _is_key(leaf) else jnp.asarray(leaf)


def _leaves(what: str, tree: Any, structure: Any) -> list[Array]:
    leaves, found = jax.tree.flatten(tree)
    if found != structure:
        raise TypeError(
            f"Optax: the transformation returned its {what} in another structure, {found} instead "
            f"of {structure}. A step must keep the structure that init gave."
        )
    return [_plain(leaf) for leaf in leaves]


def _placed(array: Array, param: Array) -> Array:
    """State that optax left to JAX's default, where the parameters are."""
    return array if array.committed else _loading.place(array, param)
