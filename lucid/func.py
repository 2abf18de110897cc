"""Modules as pure functions, for people who use `jax.grad`, `jax.vmap` or optax directly.

Values of other JAX libraries load layer by layer. Weights lie as in PyTorch here: out channels
first, and in channels first in a transposed convolution, whose kernel is that of the convolution
which it transposes. So only the axes move, and kernels of transposed convolutions are flipped.

From Equinox, `theirs` into `layer`. A Linear or a Conv of any rank:

    layer.load_state_dict({"weight": theirs.weight, "bias": theirs.bias.ravel()})

A ConvTranspose of any rank and any groups:

    parts = jnp.split(theirs.weight, theirs.groups)
    weight = [jnp.flip(part.swapaxes(0, 1), range(2, part.ndim)) for part in parts]
    layer.load_state_dict({"weight": jnp.concatenate(weight), "bias": theirs.bias.ravel()})

From Flax, `theirs` being the dictionary of a layer's values: `variables["params"]` of linen,
`nnx.to_pure_dict(nnx.state(layer))` of nnx. A Dense or Linear, or a Conv of any rank:

    weight = jnp.moveaxis(theirs["kernel"], (-1, -2), (0, 1))
    layer.load_state_dict({"weight": weight, "bias": theirs["bias"]})

A ConvTranspose of any rank; padding="VALID" of Flax is padding=0 here:

    weight = jnp.moveaxis(theirs["kernel"], (-2, -1), (0, 1))
    weight = jnp.flip(weight, range(2, weight.ndim))
    layer.load_state_dict({"weight": weight, "bias": theirs["bias"]})

Flax has channels last, so images move their axes too; and so do the inputs of a Linear that
follows a Flatten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from lucid._core.arrays import as_array, staged
from lucid._core.closing import close_over
from lucid._core.mode import state as thread
from lucid._core.tensor import Tensor
from lucid._core.typing import Array
from lucid.nn.module import Module

State = dict[str, Array]


def functional_call(module: Module, state: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Call a Module with other values in place of its Parameters and Buffers.

    The Module itself does not change; what it would write into a Buffer is dropped. With Tensors
    as values, `backward` goes on into them.

    Args:
        module: the Module.
        state: arrays or Tensors by the names of `state_dict`; those not named keep their values.
        args: arguments of the Module, Tensors or arrays.
        kwargs: keyword arguments of the Module.

    Returns:
        The output; jax arrays instead of Tensors if neither the state nor the arguments hold
        Tensors, so that this is a pure function for JAX.

    Raises:
        ValueError: a name is not one of the Module's, or a shape differs.

    >>> model = nn.Linear(2, 1)
    >>> x = jnp.ones((4, 2))
    >>> def loss(state):
    ...     return (lucid.func.functional_call(model, state, x) ** 2).mean()
    >>> grads = jax.grad(loss)(lucid.func.state_of(model))
    >>> {name: grad.shape for name, grad in grads.items()}
    {'bias': (1,), 'weight': (1, 2)}
    """
    return _call(module, state, args, kwargs)[0]


def functionalize(module: Module) -> tuple[Callable[..., Any], State]:
    """A Module as a pure function of its state, and that state.

    Returns:
        `pure(state, *args, **kwargs) -> (output, new_state)`, where `new_state` holds what the
        Module wrote into its Buffers, and the state as jax arrays by name.

    >>> pure, state = lucid.func.functionalize(nn.Linear(2, 1))
    >>> output, state = jax.jit(pure)(state, jnp.ones((4, 2)))
    >>> output.shape
    (4, 1)
    >>> batched = jax.vmap(lambda x: pure(state, x)[0])
    >>> batched(jnp.ones((5, 4, 2))).shape
    (5, 4, 1)

    Any optax optimizer works on the state:

    >>> import optax
    >>> optimizer = optax.adam(1e-3)
    >>> moments = optimizer.init(state)
    >>> grads = jax.grad(lambda s: pure(s, jnp.ones((4, 2)))[0].mean())(state)
    >>> updates, moments = optimizer.update(grads, moments)
    >>> state = optax.apply_updates(state, updates)
    """

    def pure(state: State, *args: Any, **kwargs: Any) -> tuple[Any, State]:
        output, written = _call(module, state, args, kwargs)
        leaves = _leaves((state, args, kwargs))
        if thread.trace is None and (
            any(isinstance(_array_of(leaf), jax.core.Tracer) for leaf in leaves) or staged()
        ):  # inside a transformation of JAX, which wants arrays
            output = jax.tree.map(_array_of, output, is_leaf=_is_tensor)
        return output, {**state, **written}

    return pure, state_of(module)


def state_of(module: Module) -> State:
    """The Parameters and Buffers of a Module as jax arrays by name.

    >>> sorted(lucid.func.state_of(nn.Linear(2, 1)))
    ['bias', 'weight']
    """
    return {name: tensor.data for name, tensor in _tensors(module).items()}


def _tensors(module: Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _call(
    module: Module, state: Mapping[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, State]:
    """The output, and the new values of the Tensors that the Module wrote to."""
    tensors = _tensors(module)
    problems = [f"{name}: unknown" for name in state if name not in tensors]
    values: dict[str, Tensor] = {}
    for name, value in state.items():
        if name in tensors:
            value = value if isinstance(value, Tensor) else Tensor._wrap(as_array(value))
            values[name] = value
            if value.shape != tensors[name].shape:
                problems.append(f"{name}: shape {value.shape} instead of {tensors[name].shape}")
    if problems:
        raise ValueError(
            f"functional_call: the state does not fit this {type(module).__name__}.\n  "
            + "\n  ".join(problems)
        )
    lifted = any(isinstance(leaf, Tensor) for leaf in _leaves((state, args, kwargs)))
    args, kwargs = jax.tree.map(_as_tensor, (args, kwargs), is_leaf=_is_tensor)
    pure = close_over(module, list(tensors.values()))
    output, written = pure([values.get(name) for name in tensors], args, kwargs)
    if not lifted:
        output = jax.tree.map(_array_of, output, is_leaf=_is_tensor)
    names = list(tensors)
    return output, {names[i]: array for i, array in written.items()}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=_is_tensor)


def _as_tensor(value: Any) -> Any:
    return Tensor(value) if isinstance(value, (jax.Array, np.ndarray)) else value


def _array_of(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value
