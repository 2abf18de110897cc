"""From Tensors to a walk through their graph, and from its gradients back to Tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.gate import run
from lucid._core.mode import off_tape, set_grad_enabled
from lucid._core.op import is_inexact
from lucid._core.tape import Recorder, key, walk
from lucid._core.typing import Array
from lucid._core.variable import Edge, Variable

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


def backward(
    tensors: Sequence[Variable],
    gradients: Sequence[Any] | None,
    retain_graph: bool,
    create_graph: bool,
) -> None:
    """Add the gradients of `tensors` to their leaves; see `Tensor.backward`."""
    seeds = _seeds("backward", tensors, gradients, create_graph)
    with set_grad_enabled(create_graph):
        found = walk(
            seeds,
            retain_graph=retain_graph or create_graph,
            recorder=_recorder(tensors, create_graph),
        )
        for at, tensor in found.tensors.items():
            gradient = (
                found.values[at] if create_graph else tensor._wrap(off_tape(found.values[at]))
            )
            tensor._grad = gradient if tensor._grad is None else tensor._grad + gradient


def grad(
    outputs: Sequence[Variable],
    inputs: Sequence[Variable],
    grad_outputs: Sequence[Any] | None,
    retain_graph: bool,
    create_graph: bool,
    allow_unused: bool,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`; see `lucid.autograd.grad`."""
    seeds = _seeds("grad", outputs, grad_outputs, create_graph)
    edges = []
    for i, x in enumerate(inputs):
        edge = x._cell()._edge()
        if edge is None:
            raise RuntimeError(f"grad: input {i} does not require a gradient.")
        edges.append(edge)
    with set_grad_enabled(create_graph):
        found = walk(
            seeds,
            edges,
            retain_graph=retain_graph or create_graph,
            recorder=_recorder(outputs, create_graph),
        )
    gradients = [found.values.get(key(edge)) for edge in edges]
    unused = [str(i) for i, gradient in enumerate(gradients) if gradient is None]
    if unused and not allow_unused:
        raise RuntimeError(
            f"grad: the outputs do not depend on input {', '.join(unused)}. Pass "
            "allow_unused=True to get None for it."
        )
    return tuple(
        gradient if gradient is None or create_graph else x._wrap(off_tape(gradient))
        for x, gradient in zip(inputs, gradients, strict=True)
    )


def _seeds(
    call: str,
    tensors: Sequence[Variable],
    gradients: Sequence[Any] | None,
    create_graph: bool,
) -> list[tuple[Edge, Any]]:
    if not tensors:
        raise ValueError(f"{call}: at least one Tensor is needed.")
    if gradients is None:
        gradients = [None] * len(tensors)
    if len(gradients) != len(tensors):
        raise ValueError(
            f"{call}: there must be one gradient for each Tensor, got {len(gradients)} for "
            f"{len(tensors)}."
        )
    seeds = []
    for tensor, gradient in zip(tensors, gradients, strict=True):
        cell = tensor._cell()
        edge = cell._edge()
        if edge is None:
            raise RuntimeError(
                f"{call}: this Tensor requires no gradient: nothing it was computed from has "
                "requires_grad=True, or it was computed under no_grad()."
            )
        if gradient is None:
            gradient = tensor._wrap(_ones_like(cell._data))
        check_gradient(f"{call}: the gradient", gradient, cell._data)
        seeds.append((edge, gradient if create_graph else gradient._cell()._data))
    return seeds


def _recorder(tensors: Sequence[Variable], create_graph: bool) -> Recorder | None:
    return Recorder(run, tensors[0]._wrap) if create_graph else None


def _ones_like(data: Array) -> Array:
    if isinstance(data, jax.core.Tracer):
        return jnp.ones_like(data)
    # Without a compiled program for each shape; and bound to a device just if `data` is, or else
    # everything computed from it becomes bound, and the next step compiles anew.
    return jax.device_put(
        np.ones(data.shape, data.dtype), data.sharding if data.committed else None
    )


def check_differentiable(call: str, array: Array) -> None:
    """Refuse integers and booleans, which have no gradients."""
    if not is_inexact(array.dtype):
        raise TypeError(
            f"{call}: only floating-point and complex Tensors have gradients, this one has dtype "
            f"{array.dtype}. Convert it first, for example with float()."
        )


def check_gradient(what: str, gradient: Any, of: Array) -> None:
    """Refuse what cannot be the gradient of a Tensor that holds `of`."""
    if not isinstance(gradient, Variable):
        raise TypeError(f"{what} must be a Tensor, got {type(gradient).__name__}.")
    data = gradient._cell()._data
    if data.shape != of.shape:
        raise ValueError(
            f"{what} has shape {data.shape}; it must have the Tensor's shape {of.shape}."
        )
    if data.dtype != of.dtype:
        raise TypeError(
            f"{what} has dtype {data.dtype}; it must have the Tensor's dtype {of.dtype}."
        )
