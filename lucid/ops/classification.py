"""Losses of classification. The classes lie on axis 1, or on the only axis of one sample."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lucid._core.typing import Array, Operand
from lucid.ops.loss import Reduction, reduced
from lucid.ops.precision import wide


def nll_loss(
    input_: Array,
    target: Array,
    weight: Array | None = None,
    /,
    reduction: Reduction = "mean",
    ignore_index: int | None = -100,
) -> Array:
    """The negative of the log-probability of the target class."""
    logs = wide(input_)
    return _of_classes("nll_loss", logs, target, weight, reduction, ignore_index, 0.0, input_)


def cross_entropy(
    input_: Array,
    target: Array,
    weight: Array | None = None,
    /,
    reduction: Reduction = "mean",
    ignore_index: int | None = -100,
    label_smoothing: float = 0.0,
) -> Array:
    """Cross entropy of softmax(input) and the target: class numbers, or probabilities."""
    call = "cross_entropy"
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{call}: label_smoothing must be from 0 to 1, got {label_smoothing}.")
    logs = jax.nn.log_softmax(wide(input_), _class_axis(call, input_))
    if jnp.issubdtype(target.dtype, jnp.integer):
        return _of_classes(
            call, logs, target, weight, reduction, ignore_index, label_smoothing, input_
        )
    return _of_probabilities(call, logs, target, weight, reduction, label_smoothing, input_)


def _of_classes(
    call: str,
    logs: Array,
    target: Array,
    weight: Array | None,
    reduction: Reduction,
    ignore_index: int | None,
    smoothing: float,
    input_: Operand,
) -> Array:
    axis = _class_axis(call, logs)
    classes = logs.shape[axis]
    expected = (*logs.shape[:axis], *logs.shape[axis + 1 :])
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"{call}: the target must hold class numbers, got dtype {target.dtype}.")
    if target.shape != expected:
        raise ValueError(
            f"{call}: for an input of shape {logs.shape} the target must have shape {expected}, "
            f"got {target.shape}."
        )
    weights = _per_class(call, weight, logs, axis)
    counts = jnp.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    is_target = jnp.expand_dims(target, axis) == _along(jnp.arange(classes), axis, logs.ndim)
    weighted = logs if weights is None else logs * weights
    # A compiled program cannot raise: a class that does not exist gives NaN.
    legal = (target >= 0) & (target < classes)
    values = -_sum_where(is_target, weighted, axis, legal)
    if smoothing:
        values = (1 - smoothing) * values - smoothing / classes * jnp.sum(weighted, axis)
    values = jnp.where(counts, values, 0)
    if reduction != "mean":
        return reduced(call, values, reduction, input_)
    if weights is None:
        total = jnp.sum(counts).astype(logs.dtype)
    else:
        spread = jnp.broadcast_to(weights, logs.shape)
        total = jnp.sum(jnp.where(counts, _sum_where(is_target, spread, axis, legal), 0))
    return reduced(call, jnp.sum(values) / total, None, input_)


def _of_probabilities(
    call: str,
    logs: Array,
    target: Array,
    weight: Array | None,
    reduction: Reduction,
    smoothing: float,
    input_: Operand,
) -> Array:
    if target.shape != logs.shape:
        raise ValueError(
            f"{call}: a target of probabilities must have the input's shape {logs.shape}, got "
            f"{target.shape}."
        )
    axis = _class_axis(call, logs)
    p = wide(target) * (1 - smoothing) + smoothing / logs.shape[axis]
    weights = _per_class(call, weight, logs, axis)
    values = -jnp.sum(logs * p if weights is None else logs * p * weights, axis)
    return reduced(call, values, reduction, input_)


def _sum_where(is_target: Array, values: Array, axis: int, legal: Array) -> Array:
    """The value at the target class; NaN where there is no such class.

    A sum and not a gather, since the gradient of a gather is a scatter, which is slow.
    """
    return jnp.where(legal, jnp.sum(jnp.where(is_target, values, 0), axis), jnp.nan)


def _class_axis(call: str, logits: Array) -> int:
    if logits.ndim == 0:
        raise ValueError(f"{call}: the input must have an axis of classes, got shape ().")
    return min(1, logits.ndim - 1)


def _per_class(call: str, weight: Array | None, logs: Array, axis: int) -> Array | None:
    if weight is None:
        return None
    if weight.shape != (logs.shape[axis],):
        raise ValueError(
            f"{call}: weight must have one value per class, shape {(logs.shape[axis],)}, got "
            f"{weight.shape}."
        )
    return _along(wide(weight), axis, logs.ndim)


def _along(values: Array, axis: int, ndim: int) -> Array:
    return values.reshape([-1 if i == axis else 1 for i in range(ndim)])
