"""Connectionist temporal classification: the loss of a sequence that is not aligned to its input.

The recursion runs over the steps in one `lax.scan`, in logarithms; it is differentiated as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.declaration import checks, op
from lucid._core.known import check_within, known
from lucid._core.typing import Array, Operand
from lucid.ops.loss import Reduction, reduced
from lucid.ops.precision import wide, wide_integer

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = ["ctc_loss"]

# Stands for the logarithm of 0: a number, so that sums of it have a gradient.
_NEVER = -1e30


def _check_ctc(
    log_probs: Operand,
    targets: Operand,
    input_lengths: Operand,
    target_lengths: Operand,
    blank: int,
    reduction: Reduction,
    zero_infinity: bool,
) -> None:
    if jnp.ndim(log_probs) not in (2, 3):
        return
    steps, *_, classes = jnp.shape(log_probs)
    if not 0 <= blank < classes:
        raise ValueError(f"ctc_loss: blank must be from 0 to {classes - 1}, got {blank}.")
    check_within("ctc_loss", "input_lengths", input_lengths, 0, steps)
    labels, lengths = known(targets), known(target_lengths)
    if labels is None or lengths is None:
        return
    if labels.ndim == 1:
        total = lengths.sum()
        check_within("ctc_loss", "the sum of target_lengths", total, 0, len(labels))
        used = labels[:total]
    elif labels.ndim == 2 and lengths.shape == labels.shape[:1]:
        check_within("ctc_loss", "target_lengths", lengths, 0, labels.shape[1])
        used = labels[np.arange(labels.shape[1]) < lengths[:, None]]
    else:
        return  # shapes that are refused
    check_within("ctc_loss", "a class of targets", used, 0, classes - 1)


@op
@checks(_check_ctc)
def ctc_loss(
    log_probs: Operand,
    targets: Operand,
    input_lengths: Operand,
    target_lengths: Operand,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability that steps, repeats merged and then blanks left out, are the target.

    Graves et al., "Connectionist temporal classification", ICML 2006. The gradient by `log_probs`
    is that of this function; PyTorch adds exp(log_probs) to it, which a log_softmax takes out
    again, so that behind one both are the same.

    Shape: log_probs (T, N, C) with targets (N, S), or all targets one behind the other, and
        lengths (N,); or (T, C) with (S,) and two numbers. -> () or, not reduced, (N,) or ().

    Args:
        log_probs: logarithms of the probabilities of C classes at each of T steps.
        targets: classes; behind the length of its target a row may hold anything.
        input_lengths: how many steps count, of each sample.
        target_lengths: how many classes count.
        blank: the class that stands for none.
        reduction: "mean" divides each loss by the length of its target, at least 1, first.
        zero_infinity: let losses that are infinite, since the target does not fit into the steps,
            be 0.

    Raises:
        ValueError: shapes do not fit; a class, a length or the blank is out of range, or the
            reduction is unknown. Values that are not looked at, as in `nn.NLLLoss`, give NaN.

    >>> log_probs = Tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    >>> F.ctc_loss(log_probs, Tensor([1]), 2, 1)  # (1, 1), (0, 1) or (1, 0): 7 / 8
    Tensor(0.1335)
    """
    x = wide(log_probs)
    single = x.ndim == 2
    x = x[:, None] if single else x
    if x.ndim != 3:
        raise ValueError(f"ctc_loss: log_probs (T, N, C) or (T, C) are needed, got {x.shape}.")
    steps, n, classes = x.shape
    own, spelt = (_lengths(values, n) for values in (input_lengths, target_lengths))
    labels, ends = _rows(wide_integer(targets), spelt)
    size = labels.shape[1]
    outside = (jnp.arange(size) < spelt[:, None]) & ((labels < 0) | (labels >= classes))
    wrong = outside.any(1) | (own > steps) | (ends > jnp.shape(targets)[-1])
    # A blank before, between and behind the classes.
    path = jnp.full((n, 2 * size + 1), blank, labels.dtype).at[:, 1::2].set(labels)
    path = jnp.clip(path, 0, classes - 1)
    # A blank between two classes may be passed over, unless they are one.
    skips = (path[:, 2:] != blank) & (path[:, 2:] != path[:, :-2])
    skips = jnp.pad(skips, ((0, 0), (2, 0)))[:, : path.shape[1]]
    emitted = jnp.take_along_axis(jnp.maximum(x, _NEVER), path[None], axis=2)

    def advance(reached: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
        at, emitted = step
        before = jnp.pad(reached, ((0, 0), (2, 0)), constant_values=_NEVER)
        skipped = jnp.where(skips, before[:, :-2], _NEVER)
        arrived = jnp.logaddexp(jnp.logaddexp(reached, before[:, 1:-1]), skipped) + emitted
        return jnp.where((at < own)[:, None], arrived, reached), None

    start = jnp.full(path.shape, _NEVER, x.dtype).at[:, 0].set(0)
    reached, _ = jax.lax.scan(advance, start, (jnp.arange(steps), emitted))
    stops = jnp.clip(jnp.stack([2 * spelt, 2 * spelt - 1], 1), 0, 2 * size)
    last = jnp.take_along_axis(reached, stops, axis=1)
    total = jnp.logaddexp(last[:, 0], jnp.where(spelt > 0, last[:, 1], _NEVER))
    impossible = total < _NEVER / 2
    losses = jnp.where(impossible, 0.0 if zero_infinity else jnp.inf, -total)
    losses = jnp.where(wrong, jnp.nan, losses)
    if reduction == "mean":
        losses = losses / jnp.maximum(spelt, 1)
    return reduced("ctc_loss", losses[0] if single else losses, reduction, log_probs)


def _lengths(lengths: Operand, n: int) -> Array:
    values = wide_integer(lengths)
    if values.shape not in ((), (n,)):
        raise ValueError(
            f"ctc_loss: one length for each of {n} samples is needed, got shape {values.shape}."
        )
    return jnp.broadcast_to(values, (n,))


def _rows(targets: Array, lengths: Array) -> tuple[Array, Array]:
    """The target of each sample in a row of its own, and where it ends in `targets`."""
    n = len(lengths)
    if targets.ndim == 2 and len(targets) == n:
        return targets, lengths
    if targets.ndim != 1:
        raise ValueError(
            f"ctc_loss: targets of {n} samples, or all in one row, are needed, got {targets.shape}."
        )
    ends = jnp.cumsum(lengths)
    at = (ends - lengths)[:, None] + jnp.arange(len(targets))
    return jnp.take(targets, at, mode="clip") if len(targets) else targets.reshape(n, 0), ends
