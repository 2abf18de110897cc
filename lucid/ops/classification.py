"""Losses of classification. The classes lie on axis 1, or on the only axis of one sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from lucid._core.arguments import is_whole
from lucid._core.declaration import checks, op
from lucid._core.known import check_within
from lucid._core.typing import Array, Exponent, Operand
from lucid.ops.loss import Reduction, reduced
from lucid.ops.precision import wide, wide_integer

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = ["cross_entropy", "nll_loss"]


def _check_classes(call: str, input_: Operand, target: Operand, ignore_index: int | None) -> None:
    """Refuse class numbers that are known and do not exist."""
    shape = getattr(input_, "shape", ())
    dtype = getattr(target, "dtype", None)
    if shape and (isinstance(target, int) if dtype is None else dtype.kind in "iu"):
        classes = shape[min(1, len(shape) - 1)]
        check_within(call, "target", target, 0, classes - 1, ignore_index, IndexError)


def _check_nll_loss(
    input_: Operand,
    target: Operand,
    weight: Operand | None,
    reduction: Reduction,
    ignore_index: int | None,
) -> None:
    _check_classes("nll_loss", input_, target, ignore_index)


@op
@checks(_check_nll_loss)
def nll_loss(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    reduction: Reduction = "mean",
    ignore_index: int | None = -100,
) -> Tensor:
    """The negative of the log-probability of the target class; as in `nn.NLLLoss`.

    >>> F.nll_loss(Tensor([[-1.0, -2.0], [-3.0, -4.0]]), Tensor([0, 1]))
    Tensor(2.5)
    """
    logs = wide(input_)
    return _of_classes("nll_loss", logs, target, weight, reduction, ignore_index, 0.0, input_)


def _check_cross_entropy(
    input_: Operand,
    target: Operand,
    weight: Operand | None,
    reduction: Reduction,
    eps: Operand,
    ignore_index: int | None,
    label_smoothing: Exponent,
) -> None:
    check_within("cross_entropy", "label_smoothing", label_smoothing, 0, 1)
    _check_classes("cross_entropy", input_, target, ignore_index)


@op
@checks(_check_cross_entropy)
def cross_entropy(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    reduction: Reduction = "mean",
    eps: Operand = 1e-07,
    ignore_index: int | None = -100,
    label_smoothing: Exponent = 0.0,
) -> Tensor:
    """Cross entropy of softmax(input_) and the target; as in `nn.CrossEntropyLoss`.

    >>> F.cross_entropy(Tensor([[0.0, 0.0], [9.0, 9.0]]), Tensor([0, 1]))
    Tensor(0.6931)
    """
    call = "cross_entropy"
    logits, target = wide(input_), jnp.asarray(target)
    logs = jax.nn.log_softmax(logits, _class_axis(call, logits))
    if jnp.issubdtype(target.dtype, jnp.integer):
        return _of_classes(
            call, logs, target, weight, reduction, ignore_index, label_smoothing, input_
        )
    return _of_probabilities(call, logs, target, weight, reduction, label_smoothing, input_)


def _of_classes(
    call: str,
    logs: Array,
    target: Operand,
    weight: Operand | None,
    reduction: Reduction,
    ignore_index: int | None,
    smoothing: Operand,
    input_: Operand,
) -> Array:
    axis, target = _class_axis(call, logs), jnp.asarray(target)
    classes = logs.shape[axis]
    expected = (*logs.shape[:axis], *logs.shape[axis + 1 :])
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"{call}: the target must hold class numbers, got dtype {target.dtype}.")
    target = wide_integer(target)
    if target.shape != expected:
        raise ValueError(
            f"{call}: for an input of shape {logs.shape} the target must have shape {expected}, "
            f"got {target.shape}."
        )
    weights = _per_class(call, weight, logs, axis)
    counts = jnp.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    is_target = jnp.expand_dims(target, axis) == _along(jnp.arange(classes), axis, logs.ndim)
    weighted = logs if weights is None else logs * weights
    # Of a class that was not known when it was checked, and does not exist.
    legal = (target >= 0) & (target < classes)
    values = -_sum_where(is_target, weighted, axis, legal)
    if not (is_whole(smoothing) and smoothing == 0):  # else a sum over all classes for nothing
        share = jnp.asarray(smoothing, logs.dtype)
        values = (1 - share) * values - share / classes * jnp.sum(weighted, axis)
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
    target: Operand,
    weight: Operand | None,
    reduction: Reduction,
    smoothing: Operand,
    input_: Operand,
) -> Array:
    if target.shape != logs.shape:
        raise ValueError(
            f"{call}: a target of probabilities must have the input's shape {logs.shape}, got "
            f"{target.shape}. Indices of classes must be integers."
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


def _per_class(call: str, weight: Operand | None, logs: Array, axis: int) -> Array | None:
    if weight is None:
        return None
    values = wide(weight)
    if values.shape != (logs.shape[axis],):
        raise ValueError(
            f"{call}: weight must have one value per class, shape {(logs.shape[axis],)}, got "
            f"{values.shape}."
        )
    return _along(values, axis, logs.ndim)


def _along(values: Array, axis: int, ndim: int) -> Array:
    return values.reshape([-1 if i == axis else 1 for i in range(ndim)])
