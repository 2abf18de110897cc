"""Normalisation layers; 1-d, 2-d and 3-d are thin classes over one implementation."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from lucid._tensor import Tensor
from lucid.nn import functional as F
from lucid.nn.module import Module
from lucid.nn.parameter import Buffer, Parameter
from lucid.ops.conv.geometry import count


class _ChannelNorm(Module):
    """What normalisations with a value per channel share: Parameters, running statistics."""

    ranks: ClassVar[tuple[int, ...]]  # numbers of axes that an input may have

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
    ) -> None:
        super().__init__()
        self.num_features = count(type(self).__name__, "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(np.ones(num_features)) if affine else None
        self.bias = Parameter(np.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", None)
        self.register_buffer("running_var", None)
        self.register_buffer("num_batches_tracked", None)
        self.reset_running_stats()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1 and the count of batches to 0."""
        if self.track_running_stats:
            self.running_mean = Buffer(np.zeros(self.num_features))
            self.running_var = Buffer(np.ones(self.num_features))
            self.num_batches_tracked = Buffer(0)

    def reset_parameters(self) -> None:
        """Set weight to 1, bias to 0, and the running statistics to their start."""
        self.reset_running_stats()
        if self.weight is not None and self.bias is not None:
            self.weight.data = jnp.ones_like(self.weight.data)
            self.bias.data = jnp.zeros_like(self.bias.data)

    def _momentum(self) -> float | Tensor:
        """The weight of the next batch in the running statistics; counts the batch."""
        tracked = self.num_batches_tracked
        if tracked is None:
            return 0.0
        tracked.data = tracked.data + 1
        return 1.0 / tracked.astype("float32") if self.momentum is None else self.momentum

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self.ranks:
            ranks = " or ".join(map(str, self.ranks))
            raise ValueError(
                f"{type(self).__name__}: an input with {ranks} axes is needed, got shape "
                f"{input.shape}."
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats)

    def forward(self, input: Tensor) -> Tensor:
        """`input`, each channel normalised."""
        self._check(input)
        own = self.training or self.running_mean is None
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            own,
            self._momentum() if self.training else 0.0,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Normalises each channel over the batch (and positions), then scales and shifts it.

    y = (x - mean) / sqrt(var + eps) * weight + bias (Ioffe & Szegedy, arXiv:1502.03167). In
    training, mean and var are those of the batch (var divides by n), and the running statistics
    move towards them (there var divides by n - 1); in evaluation the running ones are used.

    Shape: (N, C) or (N, C, L), unchanged

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: weight of a batch in the running statistics; None for the mean of all batches.
        affine: whether there are a weight and a bias per channel.
        track_running_stats: whether running statistics are kept; without them the batch's own
            are used in evaluation too.

    Raises:
        ValueError: another number of axes or channels, or one value per channel in training.

    >>> layer = nn.BatchNorm1d(1, affine=False)
    >>> layer(Tensor([[1.0], [3.0]]))
    Tensor([[-1.],
            [ 1.]])
    >>> layer.running_mean, layer.running_var
    (Buffer([0.2]), Buffer([1.1]))
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises each channel over the batch and positions; see `BatchNorm1d`.

    Shape: (N, C, H, W), unchanged

    >>> nn.BatchNorm2d(3)(lucid.randn(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalises each channel over the batch and positions; see `BatchNorm1d`.

    Shape: (N, C, D, H, W), unchanged

    >>> nn.BatchNorm3d(3)(lucid.randn(2, 3, 4, 4, 4)).shape
    (2, 3, 4, 4, 4)
    """

    ranks = (5,)
