"""Normalisations as functions."""

from __future__ import annotations

from lucid._core.arguments import as_shape
from lucid._core.gate import apply
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand, Shape
from lucid.ops import norm


def batch_norm(
    input_: Operand,
    running_mean: Operand | None = None,
    running_var: Operand | None = None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    training: bool = True,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Normalise each channel over the batch and all positions.

    y = (x - mean) / sqrt(var + eps) * weight + bias (Ioffe & Szegedy, arXiv:1502.03167). With
    `training`, or without running statistics, mean and var are those of the input; var is the
    population's. Else they are the running ones.

    With `training`, running statistics that are Tensors get new data:
    (1 - momentum) * running + momentum * new, where the new variance is the sample's (n - 1).

    Shape: (N, C, *) -> (N, C, *); all others (C,)

    Raises:
        ValueError: sizes do not match; one running statistic comes without the other; one value
            per channel is to be normalised with its own statistics.

    >>> F.batch_norm(Tensor([[1.0], [3.0]]), eps=0.0)
    Tensor([[-1.],
            [ 1.]])
    """
    running = (running_mean, running_var)
    operands = (input_, *running, weight, bias)
    if not training and running_mean is not None:
        return apply(norm.batch_norm, *operands, eps=eps)
    return _moving(running, *apply(norm.batch_norm_training, *operands, momentum, eps=eps))


def instance_norm(
    input_: Operand,
    running_mean: Operand | None = None,
    running_var: Operand | None = None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    training: bool = True,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Normalise each channel of each sample over its positions; Ulyanov et al., arXiv:1607.08022.

    As `batch_norm`, but for the axes; the running statistics move towards the mean over the batch.

    Shape: (N, C, *) -> (N, C, *); all others (C,)

    Raises:
        ValueError: sizes do not match; one running statistic comes without the other; one value
            per channel is to be normalised with its own statistics.

    >>> F.instance_norm(Tensor([[[1.0, 3.0]], [[5.0, 9.0]]]), eps=0.0)
    Tensor([[[-1.,  1.]],
            [[-1.,  1.]]])
    """
    running = (running_mean, running_var)
    operands = (input_, *running, weight, bias)
    if not training and running_mean is not None:
        return apply(norm.batch_norm, *operands, eps=eps)
    return _moving(running, *apply(norm.instance_norm_training, *operands, momentum, eps=eps))


def layer_norm(
    input_: Operand,
    normalized_shape: Shape,
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """Normalise each sample over its last axes; Ba et al., arXiv:1607.06450.

    Shape: (*, *normalized_shape), unchanged; weight and bias have the shape `normalized_shape`.

    Raises:
        ValueError: sizes do not match.

    >>> F.layer_norm(Tensor([[1.0, 3.0]]), 2, eps=0.0)
    Tensor([[-1.,  1.]])
    """
    shape = as_shape((normalized_shape,))
    return apply(norm.layer_norm, input_, weight, bias, normalized_shape=shape, eps=eps)


def group_norm(
    input_: Operand,
    num_groups: int,
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """Normalise each group of channels of each sample; Wu & He, arXiv:1803.08494.

    Shape: (N, C, *), unchanged; weight and bias (C,)

    Raises:
        ValueError: sizes do not match, or `num_groups` does not divide C.

    >>> F.group_norm(Tensor([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0)
    Tensor([[-1.,  1., -1.,  1.]])
    """
    return apply(norm.group_norm, input_, weight, bias, num_groups=num_groups, eps=eps)


def global_response_norm(
    input_: Operand, gamma: Operand, beta: Operand, eps: float = 1e-06
) -> Tensor:
    """x + gamma * x * s + beta, where s is the norm of a channel divided by the mean of all norms.

    Woo et al., arXiv:2301.00808.

    Shape: (N, C, *), unchanged; gamma and beta hold C values.

    Raises:
        ValueError: sizes do not match.

    >>> F.global_response_norm(Tensor([[[3.0], [1.0]]]), lucid.ones(2), lucid.zeros(2), eps=0.0)
    Tensor([[[7.5],
             [1.5]]])
    """
    return apply(norm.global_response_norm, input_, gamma, beta, eps=eps)


def normalize(input_: Operand, ord: float = 2, axis: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(norm(x), eps), with the norm of order `ord` along `axis`.

    Raises:
        ValueError: `ord` is not positive.

    >>> F.normalize(Tensor([[3.0, 4.0]]))
    Tensor([[0.6, 0.8]])
    """
    return apply(norm.normalize, input_, ord=ord, axis=axis, eps=eps)


def _moving(
    running: tuple[Operand | None, ...], y: Tensor, mean: Operand | None, var: Operand | None
) -> Tensor:
    """`y`, once the running statistics have their new values."""
    for old, new in zip(running, (mean, var), strict=True):
        if isinstance(old, Tensor):
            old.data = new
    return y
