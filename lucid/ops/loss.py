"""Losses of one value per element.

`reduction` is "mean", "sum", or None for each value. A target that is one number stands for a
target full of it. Half-precision inputs are computed in float32; results keep the input's dtype.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

import jax
import jax.numpy as jnp

from lucid._core.arguments import is_number
from lucid._core.declaration import checks, op
from lucid._core.known import check_within
from lucid._core.typing import Array, Operand
from lucid.ops.elementwise import abs, clip
from lucid.ops.precision import narrowed, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

Reduction = Literal["mean", "sum", "none"] | None

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]


@op
def mse_loss(input_: Operand, target: Operand, reduction: Reduction = "mean") -> Tensor:
    """Squared difference.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.mse_loss(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(2.)
    """
    x, t = _paired("mse_loss", input_, target)
    return reduced("mse_loss", jnp.square(x - t), reduction, input_)


@op
def l1_loss(input_: Operand, target: Operand, reduction: Reduction = "mean") -> Tensor:
    """Absolute difference.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.l1_loss(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(1.)
    """
    x, t = _paired("l1_loss", input_, target)
    return reduced("l1_loss", abs.pure(x - t), reduction, input_)


def _check_smooth_l1(input_: Operand, target: Operand, reduction: Reduction, beta: Operand) -> None:
    if is_number(beta) and beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}.")


@op
@checks(_check_smooth_l1)
def smooth_l1_loss(
    input_: Operand, target: Operand, reduction: Reduction = "mean", beta: Operand = 1.0
) -> Tensor:
    """d**2 / (2 * beta) where d = abs(input_ - target) is below beta, else d - beta / 2.

    Girshick, arXiv:1504.08083.

    Raises:
        ValueError: the shapes differ, beta is negative, or the reduction is unknown.

    >>> F.smooth_l1_loss(Tensor([1.0, 2.0]), Tensor([1.5, 4.0]), reduction=None)
    Tensor([0.125, 1.5  ])
    """
    x, t = _paired("smooth_l1_loss", input_, target)
    size = abs.pure(x - t)
    near = jnp.where(size < beta, x - t, 0)  # a square far away would have an infinite gradient
    divisor = jnp.where(beta == 0, 1.0, beta)  # of 0 no element is below beta
    values = jnp.where(size < beta, jnp.square(near) * (0.5 / divisor), size - 0.5 * beta)
    return reduced("smooth_l1_loss", values, reduction, input_)


def _check_huber(input_: Operand, target: Operand, delta: Operand, reduction: Reduction) -> None:
    if is_number(delta) and delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}.")


@op
@checks(_check_huber)
def huber_loss(
    input_: Operand, target: Operand, delta: Operand = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """d**2 / 2 where d = abs(input_ - target) is up to delta, else delta * (d - delta / 2).

    Huber, "Robust estimation of a location parameter", 1964.

    Raises:
        ValueError: the shapes differ, delta is not positive, or the reduction is unknown.

    >>> F.huber_loss(Tensor([1.0, 2.0]), Tensor([1.5, 4.0]), reduction=None)
    Tensor([0.125, 1.5  ])
    """
    x, t = _paired("huber_loss", input_, target)
    size = abs.pure(x - t)
    near = jnp.where(size <= delta, x - t, 0)  # as in smooth_l1_loss
    values = jnp.where(size <= delta, 0.5 * jnp.square(near), delta * (size - 0.5 * delta))
    return reduced("huber_loss", values, reduction, input_)


def _check_kl_div(
    input_: Operand, target: Operand, reduction: Reduction | Literal["batchmean"], log_target: bool
) -> None:
    if not log_target:
        check_within("kl_div", "target", target, 0)


@op
@checks(_check_kl_div)
def kl_div(
    input_: Operand,
    target: Operand,
    reduction: Reduction | Literal["batchmean"] = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input_): the divergence of the input from the target.

    Args:
        input_: logarithms of probabilities.
        target: probabilities in the same shape, or with `log_target` their logarithms.
        reduction: also "batchmean", the sum divided by the size of axis 0, which is the
            divergence itself; "mean" divides by all sizes.

    Raises:
        ValueError: the shapes differ, a probability of the target is negative, or the reduction is
            unknown. Targets that are not looked at, as in `nn.NLLLoss`, give NaN.

    >>> F.kl_div(Tensor([[-1.0, -1.0]]), Tensor([[0.5, 0.5]]), "batchmean")
    Tensor(0.3069)
    """
    x, t = _paired("kl_div", input_, target)
    if log_target:
        values = jnp.exp(t) * (t - x)
    else:
        values = jax.scipy.special.xlogy(t, t) - t * x
    if reduction == "batchmean":
        return reduced("kl_div", jnp.sum(values) / x.shape[0], None, input_)
    return reduced("kl_div", values, reduction, input_)


@op
def hinge_loss(
    input_: Operand, target: Operand, margin: Operand = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """max(0, margin - target * input_), for targets 1 and -1.

    The discriminator's loss of Lim & Ye, arXiv:1705.02894; one number can be the target.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.hinge_loss(Tensor([0.5, 2.0]), 1, reduction=None)
    Tensor([0.5, 0. ])
    """
    x, t = _paired("hinge_loss", input_, target)
    return reduced("hinge_loss", jax.nn.relu(margin - t * x), reduction, input_)


@op
def hinge_embedding_loss(
    input_: Operand, target: Operand, margin: Operand = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """The input where the target is 1, max(0, margin - input_) where it is -1.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.hinge_embedding_loss(Tensor([0.5, 0.25]), Tensor([1.0, -1.0]), reduction=None)
    Tensor([0.5 , 0.75])
    """
    x, t = _paired("hinge_embedding_loss", input_, target)
    values = jnp.where(t != -1, x, 0) + jnp.where(t != 1, clip.pure(margin - x, 0), 0)
    return reduced("hinge_embedding_loss", values, reduction, input_)


def _check_binary_cross_entropy(
    input_: Operand,
    target: Operand,
    weight: Operand | None,
    reduction: Reduction,
    eps: Operand,
) -> None:
    check_within("binary_cross_entropy", "input", input_, 0, 1)
    check_within("binary_cross_entropy", "target", target, 0, 1)


@op
@checks(_check_binary_cross_entropy)
def binary_cross_entropy(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    reduction: Reduction = "mean",
    eps: Operand = 1e-07,
) -> Tensor:
    """Cross entropy of probabilities: -(target * log(p) + (1 - target) * log(1 - p)) * weight.

    Of logits, `binary_cross_entropy_with_logits` is exact for all values.

    Args:
        input_: probabilities p, of any shape. As in PyTorch, a logarithm counts as no less than
            -100, and p * (1 - p) in the denominator of the gradient as no less than 1e-12 (1.5e-5
            in float16); so a saturated probability still has a loss and a gradient.
        target: probabilities in the same shape, or one number for all.
        weight: factor of each loss; broadcast to the shape of the input.
        eps: has no effect; the logarithms are bounded themselves.

    Raises:
        ValueError: the shapes differ, a probability is not from 0 to 1, or the reduction is
            unknown. Values that are not looked at, as in `nn.NLLLoss`, give NaN as the input, and a
            number as the target.

    >>> F.binary_cross_entropy(Tensor([0.5, 0.25]), Tensor([1.0, 0.0]), reduction=None)
    Tensor([0.6931, 0.2877])
    """
    call = "binary_cross_entropy"
    p, t = _paired(call, input_, target)
    # The largest gradient must not overflow in float16, where PyTorch's does.
    largest = jnp.finfo(narrowed(p, input_).dtype).max  # type: ignore[no-untyped-call]
    bound = max(1e-12, 1 / float(largest))
    values = _bernoulli_cross_entropy(bound, p, t)
    if weight is not None:
        values = values * _broadcast(call, "weight", weight, p)
    return reduced(call, values, reduction, input_)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _bernoulli_cross_entropy(bound: float, p: Array, t: Array) -> Array:
    yes, no = _bounded_logs(p)
    return -t * yes - (1 - t) * no


@_bernoulli_cross_entropy.defjvp
def _(
    bound: float, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    (p, t), (p_dot, t_dot) = primals, tangents
    yes, no = _bounded_logs(p)
    slope = (p - t) / jnp.maximum(p * (1 - p), bound)
    # The value by the function itself, so that whoever differentiates this finds the rule again.
    return _bernoulli_cross_entropy(bound, p, t), slope * p_dot + (no - yes) * t_dot


def _bounded_logs(p: Array) -> tuple[Array, Array]:
    """The logarithms of `p` and of 1 - `p`, but no less than -100."""
    return jnp.maximum(jnp.log(p), -100), jnp.maximum(jnp.log1p(-p), -100)


@op
def binary_cross_entropy_with_logits(
    input_: Operand,
    target: Operand,
    weight: Operand | None = None,
    pos_weight: Operand | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross entropy of probabilities sigmoid(input_), finite for every finite input.

    -(pos_weight * target * log(sigmoid(x)) + (1 - target) * log(1 - sigmoid(x))) * weight

    Args:
        input_: logits, of any shape.
        target: probabilities in the same shape, or one number for all.
        weight: factor of each loss; broadcast to the shape of the input.
        pos_weight: factor of the positive term; broadcast likewise.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.binary_cross_entropy_with_logits(Tensor([0.0, 100.0]), Tensor([1.0, 1.0]), reduction=None)
    Tensor([0.6931, 0.    ])
    """
    call = "binary_cross_entropy_with_logits"
    x, t = _paired(call, input_, target)
    positive = -t * jax.nn.log_sigmoid(x)
    if pos_weight is not None:
        positive = positive * _broadcast(call, "pos_weight", pos_weight, x)
    values = positive - (1 - t) * jax.nn.log_sigmoid(-x)
    if weight is not None:
        values = values * _broadcast(call, "weight", weight, x)
    return reduced(call, values, reduction, input_)


def _paired(call: str, input_: Operand, target: Operand) -> tuple[Array, Array]:
    """Input and target in the precision to compute in; a target that is one number is broadcast."""
    x, t = wide(input_), wide(target)
    if t.ndim and t.shape != x.shape:
        raise ValueError(
            f"{call}: input and target must have one shape, got {x.shape} and {t.shape}."
        )
    return x, t


def _broadcast(call: str, name: str, value: Operand, like: Array) -> Array:
    """`value`, which must broadcast to the shape of `like` without enlarging it."""
    value = wide(value)
    try:
        fits = jnp.broadcast_shapes(value.shape, like.shape) == like.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{call}: {name} must broadcast to the input's shape {like.shape}, got {value.shape}."
        )
    return value


def reduced(call: str, values: Array, reduction: Reduction, input_: Operand) -> Array:
    """`values`, their mean or their sum, in the dtype of the input."""
    if reduction == "mean":
        values = jnp.mean(values)
    elif reduction == "sum":
        values = jnp.sum(values)
    elif reduction not in (None, "none"):
        raise ValueError(f'{call}: reduction must be "mean", "sum" or None, got {reduction!r}.')
    return narrowed(values, input_)
