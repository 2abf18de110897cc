"""The norm of all gradients, and clipping: one compiled call each, and no value is read."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from lucid._core.tensor import Tensor
from lucid._core.typing import Array
from lucid.ops.precision import narrowed, wide


def get_total_norm(parameters: Iterable[Tensor] | Tensor, norm_type: float = 2) -> Tensor:
    """The norm of the gradients of all `parameters`, taken as one vector.

    Args:
        parameters: one Tensor or several; those without a gradient are passed over.
        norm_type: the order of the norm, above 0; `lucid.inf` for the largest absolute value.

    Returns:
        A Tensor without axes.

    Raises:
        ValueError: `norm_type` is not above 0.

    >>> w = nn.Parameter([3.0, 4.0])
    >>> (w * w / 2).backward()
    >>> nn.utils.get_total_norm([w])
    Tensor(5.)
    """
    grads = [tensor.grad.data for tensor in _with_grad(parameters)]
    order = _order("get_total_norm", norm_type)
    return Tensor(_norm(grads, order, fixed=_fixed(order)))


def grad_norm(parameters: Iterable[Tensor] | Tensor, norm_type: float = 2) -> Tensor:
    """Another name for `get_total_norm`.

    >>> w = nn.Parameter([3.0, 4.0])
    >>> (w * w / 2).backward()
    >>> nn.utils.grad_norm(w, norm_type=1)
    Tensor(7.)
    """
    return get_total_norm(parameters, norm_type)


def clip_grad_norm(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float = 2,
    eps: float = 1e-7,
) -> Tensor:
    """Scale the gradients of all `parameters` so that their norm is at most `max_norm`.

    They are multiplied by `max_norm / (norm + eps)` where that is below 1 (Pascanu, Mikolov &
    Bengio, arXiv:1211.5063, algorithm 1).

    Args:
        parameters: one Tensor or several; those without a gradient are passed over.
        max_norm: the largest norm; another value costs no compilation.
        norm_type: the order of the norm, above 0; `lucid.inf` for the largest absolute value.
        eps: added to the norm, which may be 0.

    Returns:
        The norm before clipping, as a Tensor without axes, so that nothing waits for its value.

    Raises:
        ValueError: `norm_type` is not above 0.

    >>> w = nn.Parameter([3.0, 4.0])
    >>> (w * w / 2).backward()
    >>> nn.utils.clip_grad_norm([w], max_norm=1.0)
    Tensor(5.)
    >>> w.grad
    Tensor([0.6, 0.8])
    """
    tensors, order = _with_grad(parameters), _order("clip_grad_norm", norm_type)
    grads = [tensor.grad.data for tensor in tensors]
    norm, clipped = _clip_norm(grads, _number(max_norm), _number(eps), order, fixed=_fixed(order))
    _assign(tensors, clipped)
    return Tensor(norm)


def clip_grad_value(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Clip each element of the gradients of `parameters` to [-clip_value, clip_value].

    Args:
        parameters: one Tensor or several; those without a gradient are passed over.
        clip_value: the largest absolute value; another one costs no compilation.

    >>> w = nn.Parameter([3.0, -4.0])
    >>> (w * w / 2).backward()
    >>> nn.utils.clip_grad_value(w, 3.5)
    >>> w.grad
    Tensor([ 3. , -3.5])
    """
    tensors = _with_grad(parameters)
    grads = [tensor.grad.data for tensor in tensors]
    _assign(tensors, _clip_value(grads, _number(clip_value)))


def _with_grad(parameters: Iterable[Tensor] | Tensor) -> list[Any]:
    """The Tensors that have a gradient, each once, or it would count twice."""
    if not isinstance(parameters, Iterable):
        raise TypeError(
            f"clipping: Parameters are needed in a list, got {type(parameters).__name__}; those of "
            "a model are model.parameters()."
        )
    tensors = [parameters] if isinstance(parameters, Tensor) else parameters
    return list({id(t): t for t in tensors if t.grad is not None}.values())


def _assign(tensors: list[Any], grads: list[Array]) -> None:
    # New Tensors: who holds the old gradient, such as the caller of backward, keeps its values.
    for tensor, grad in zip(tensors, grads, strict=True):
        tensor.grad = Tensor(grad)


def _number(value: Any) -> Any:
    """As an argument of a compiled function: an int would be another program than a float."""
    return float(value) if isinstance(value, (int, float)) else getattr(value, "data", value)


def _order(call: str, norm_type: float) -> float:
    if not norm_type > 0:
        raise ValueError(f"{call}: norm_type must be above 0, or inf, got {norm_type}.")
    return float(norm_type)


def _fixed(order: float) -> float | None:
    """The order if it chooses a program of its own; all others share one."""
    return order if order.is_integer() or math.isinf(order) else None


@functools.partial(jax.jit, static_argnames="fixed")
def _norm(grads: list[Array], order: Any, *, fixed: float | None) -> Array:
    if not grads:
        return jnp.zeros(())
    sizes = [jnp.abs(wide(g)) for g in grads]
    if fixed == math.inf:
        return functools.reduce(jnp.maximum, [jnp.max(size, initial=0) for size in sizes])
    if fixed == 2:
        return jnp.sqrt(sum(jnp.sum(size * size) for size in sizes))
    power = order if fixed is None else fixed
    return sum(jnp.sum(size**power) for size in sizes) ** (1 / power)


@functools.partial(jax.jit, static_argnames="fixed")
def _clip_norm(
    grads: list[Array], max_norm: Any, eps: Any, order: Any, *, fixed: float | None
) -> tuple[Array, list[Array]]:
    norm = _norm(grads, order, fixed=fixed)
    factor = jnp.minimum(max_norm / (norm + eps), 1)
    return norm, [narrowed(wide(g) * factor, g) for g in grads]


@jax.jit
def _clip_value(grads: list[Array], limit: Any) -> list[Array]:
    return [narrowed(jnp.clip(wide(g), -limit, limit), g) for g in grads]
