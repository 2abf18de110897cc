"""Activation functions. All are elementwise but softmax, log_softmax and prelu."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import jax
import jax.numpy as jnp

from lucid._core.arguments import is_number
from lucid._core.declaration import checks, op
from lucid._core.typing import Operand
from lucid.ops.precision import in_float32

# The fixed point of mean 0 and variance 1: Klambauer et al., arXiv:1706.02515, equation 14.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = [
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_swish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]


@op
def relu(input_: Operand) -> Tensor:
    """max(x, 0); the gradient at 0 is 0.

    >>> F.relu(Tensor([-1.0, 2.0]))
    Tensor([0., 2.])
    """
    return jax.nn.relu(input_)


@op
@in_float32
def relu6(input_: Operand) -> Tensor:
    """min(max(x, 0), 6).

    >>> F.relu6(Tensor([-1.0, 2.0, 7.0]))
    Tensor([0., 2., 6.])
    """
    return hardtanh.pure(input_, 0.0, 6.0)


def _check_hardtanh(input_: Operand, min_val: Operand, max_val: Operand) -> None:
    if is_number(min_val) and is_number(max_val) and not min_val < max_val:
        raise ValueError(f"hardtanh: min_val must be below max_val, got {min_val} and {max_val}.")


@op
@checks(_check_hardtanh)
@in_float32
def hardtanh(input_: Operand, min_val: Operand = -1.0, max_val: Operand = 1.0) -> Tensor:
    """x, but no less than min_val and no more than max_val; there the gradient is 0.

    Raises:
        ValueError: min_val is not below max_val.

    >>> F.hardtanh(Tensor([-2.0, 0.5, 2.0]))
    Tensor([-1. ,  0.5,  1. ])
    """
    x = jnp.asarray(input_)
    return jnp.where(x <= min_val, min_val, jnp.where(x >= max_val, max_val, x)).astype(x.dtype)


@op
@in_float32
def leaky_relu(input_: Operand, negative_slope: Operand = 0.01) -> Tensor:
    """x where it is positive, else negative_slope * x.

    >>> F.leaky_relu(Tensor([-1.0, 2.0]), 0.2)
    Tensor([-0.2,  2. ])
    """
    return jnp.where(input_ > 0, input_, negative_slope * input_)


@op
@in_float32
def prelu(input_: Operand, weight: Operand) -> Tensor:
    """x where it is positive, else weight * x; He et al., arXiv:1502.01852.

    Shape: (N, C, *), weight (1,) or (C,) -> (N, C, *)

    Raises:
        ValueError: the weight has neither 1 value nor one per channel.

    >>> F.prelu(Tensor([-1.0, 2.0]), Tensor([0.25]))
    Tensor([-0.25,  2.  ])
    """
    x, slope = jnp.asarray(input_), jnp.asarray(weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if slope.ndim > 1 or slope.size not in (1, channels):
        raise ValueError(
            f"prelu: weight must hold 1 value or one per channel, {channels}, got shape "
            f"{slope.shape} for input shape {x.shape}."
        )
    if slope.size > 1:
        slope = slope.reshape(-1, *(1,) * (x.ndim - 2))
    elif slope.ndim:
        slope = slope[0]
    return jnp.where(x > 0, x, (slope * x).astype(x.dtype))


@op
@in_float32
def elu(input_: Operand, alpha: Operand = 1.0) -> Tensor:
    """x where it is positive, else alpha * (exp(x) - 1).

    Clevert et al., arXiv:1511.07289.

    >>> F.elu(Tensor([-1.0, 2.0]))
    Tensor([-0.6321,  2.    ])
    """
    negative = jnp.where(input_ > 0, 0, input_)
    return jnp.where(input_ > 0, input_, alpha * jnp.expm1(negative))


@op
@in_float32
def selu(input_: Operand) -> Tensor:
    """1.0507 * elu(x, 1.6733): keeps mean 0 and variance 1 from layer to layer.

    Klambauer et al., arXiv:1706.02515.

    >>> F.selu(Tensor([-1.0, 1.0]))
    Tensor([-1.1113,  1.0507])
    """
    return SELU_SCALE * elu.pure(input_, SELU_ALPHA)


@op
@in_float32
def gelu(input_: Operand, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """x * P(Z <= x) for a standard normal Z; Hendrycks & Gimpel, arXiv:1606.08415.

    Args:
        approximate: "tanh" for x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))).

    Raises:
        ValueError: `approximate` is neither "none" nor "tanh".

    >>> F.gelu(Tensor([-1.0, 1.0])), F.gelu(Tensor([-1.0, 1.0]), approximate="tanh")
    (Tensor([-0.1587,  0.8413]), Tensor([-0.1588,  0.8412]))
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu: approximate must be "none" or "tanh", got {approximate!r}.')
    return jax.nn.gelu(input_, approximate=approximate == "tanh")


@op
@in_float32
def sigmoid(input_: Operand) -> Tensor:
    """1 / (1 + exp(-x)).

    >>> F.sigmoid(Tensor([0.0]))
    Tensor([0.5])
    """
    return jax.nn.sigmoid(input_)


@op
@in_float32
def hard_sigmoid(input_: Operand) -> Tensor:
    """min(max(x + 3, 0), 6) / 6.

    >>> F.hard_sigmoid(Tensor([-4.0, 0.0, 1.5]))
    Tensor([0.  , 0.5 , 0.75])
    """
    return relu6.pure(input_ + 3.0) / 6.0


@op
@in_float32
def silu(input_: Operand) -> Tensor:
    """x * sigmoid(x), also called swish.

    >>> F.silu(Tensor([-1.0, 1.0]))
    Tensor([-0.2689,  0.7311])
    """
    return jax.nn.silu(input_)


@op
@in_float32
def hard_swish(input_: Operand) -> Tensor:
    """x * min(max(x + 3, 0), 6) / 6; Howard et al., arXiv:1905.02244.

    >>> F.hard_swish(Tensor([-4.0, 1.0, 4.0]))
    Tensor([-0.    ,  0.6667,  4.    ])
    """
    return input_ * hard_sigmoid.pure(input_)


@op
@in_float32
def mish(input_: Operand) -> Tensor:
    """x * tanh(softplus(x)); Misra, arXiv:1908.08681.

    >>> F.mish(Tensor([-1.0, 1.0]))
    Tensor([-0.3034,  0.8651])
    """
    return input_ * jnp.tanh(jax.nn.softplus(input_))


def _check_softplus(input_: Operand, beta: Operand, threshold: Operand) -> None:
    if is_number(beta) and beta == 0:
        raise ValueError("softplus: beta must not be 0.")


@op
@checks(_check_softplus)
@in_float32
def softplus(input_: Operand, beta: Operand = 1.0, threshold: Operand = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x is above the threshold.

    Raises:
        ValueError: beta is 0.

    >>> F.softplus(Tensor([-1.0, 0.0, 30.0]))
    Tensor([ 0.3133,  0.6931, 30.    ])
    """
    return jnp.where(beta * input_ > threshold, input_, jax.nn.softplus(beta * input_) / beta)


@op
@in_float32
def softmax(input_: Operand, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`.

    >>> F.softmax(Tensor([0.0, 1.0986123]))
    Tensor([0.25, 0.75])
    """
    return jax.nn.softmax(input_, axis)


@op
@in_float32
def log_softmax(input_: Operand, axis: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `axis`.

    >>> F.log_softmax(Tensor([0.0, 0.0]))
    Tensor([-0.6931, -0.6931])
    """
    return jax.nn.log_softmax(input_, axis)
