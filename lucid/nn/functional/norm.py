"""Normalisations as functions."""

from __future__ import annotations

from lucid._apply import apply
from lucid._tensor import Tensor
from lucid._typing import Operand
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
    if not training:
        return apply(norm.batch_norm, input_, *running, weight, bias, eps=eps)
    y, mean, var = apply(
        norm.batch_norm_training, input_, *running, weight, bias, momentum, eps=eps
    )
    for old, new in zip(running, (mean, var), strict=True):
        if isinstance(old, Tensor):
            old.data = new
    result: Tensor = y
    return result
