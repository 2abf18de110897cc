"""Normalisations with running statistics, as functions."""

from __future__ import annotations

from lucid._core.tensor import Tensor
from lucid._core.typing import Operand
from lucid.ops import norm


def batch_norm(
    input_: Operand,
    running_mean: Operand | None = None,
    running_var: Operand | None = None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    training: bool = True,
    momentum: Operand = 0.1,
    eps: Operand = 1e-05,
) -> Tensor:
    """Normalise each channel over the batch and all positions.

    y = (x - mean) / sqrt(var + eps) * weight + bias (Ioffe & Szegedy, arXiv:1502.03167). With
    `training`, or without running statistics, mean and var are those of the input; var is the
    population's. Else they are the running ones.

    With `training`, running statistics that are Tensors get new data:
    (1 - momentum) * running + momentum * new, where the new variance is the sample's (n - 1). An
    empty input leaves them as they are.

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
        return norm.batch_norm(*operands, eps)
    return _moving(running, *norm.batch_norm_training(*operands, momentum, eps))


def instance_norm(
    input_: Operand,
    running_mean: Operand | None = None,
    running_var: Operand | None = None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    training: bool = True,
    momentum: Operand = 0.1,
    eps: Operand = 1e-05,
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
        return norm.batch_norm(*operands, eps)
    return _moving(running, *norm.instance_norm_training(*operands, momentum, eps))


def _moving(
    running: tuple[Operand | None, ...], y: Tensor, mean: Operand | None, var: Operand | None
) -> Tensor:
    """`y`, once the running statistics have their new values."""
    for old, new in zip(running, (mean, var), strict=True):
        if isinstance(old, Tensor):
            old.data = new
    return y
