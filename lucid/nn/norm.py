"""Normalisation layers; 1-d, 2-d and 3-d are thin classes over one implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from lucid._core.arguments import as_shape, count
from lucid._core.tensor import Tensor
from lucid._core.typing import Shape
from lucid.nn import functional as F
from lucid.nn.module import Module
from lucid.nn.parameter import Buffer, Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GlobalResponseNorm",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "RMSNorm",
]


class _ChannelNorm(Module):
    """What normalisations with a value per channel share: Parameters, running statistics."""

    ranks: ClassVar[tuple[int, ...]]  # numbers of axes that an input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
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

    def _normalised(self, function: Callable[..., Tensor], input_: Tensor, own: bool) -> Tensor:
        """`function` of the input and all that the layer holds; counts a batch of training.

        Args:
            own: whether the input's own statistics are used, and not the running ones.
        """
        tracked = self.num_batches_tracked
        moves = (
            self.training and self.track_running_stats and tracked is not None and input_.size > 0
        )
        counted = tracked + 1 if moves else None
        momentum: float | Tensor | None = self.momentum
        if momentum is None:
            momentum = 0.0 if counted is None else 1.0 / counted
        running = (self.running_mean, self.running_var) if moves or not own else (None, None)
        output = function(input_, *running, self.weight, self.bias, own, momentum, self.eps)
        if counted is not None:
            tracked.data = counted
        return output

    def _check(self, input_: Tensor) -> None:
        if input_.ndim not in self.ranks:
            ranks = " or ".join(map(str, self.ranks))
            raise ValueError(
                f"{type(self).__name__}: an input with {ranks} axes is needed, got shape "
                f"{input_.shape}."
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def forward(self, input_: Tensor) -> Tensor:
        """`input_`, each channel normalised."""
        self._check(input_)
        return self._normalised(F.batch_norm, input_, self.training)


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
            are used in evaluation too. Set to False later, it keeps those that there are.

    An empty batch leaves the running statistics and their count as they are.

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


class _InstanceNorm(_ChannelNorm):
    def forward(self, input_: Tensor) -> Tensor:
        """`input_`, each channel of each sample normalised."""
        self._check(input_)
        own = self.training or not self.track_running_stats
        if input_.ndim == self.ranks[0]:
            return self._normalised(F.instance_norm, input_.unsqueeze(0), own).squeeze(0)
        return self._normalised(F.instance_norm, input_, own)


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sample over its positions, then scales and shifts it.

    y = (x - mean) / sqrt(var + eps) * weight + bias (Ulyanov et al., arXiv:1607.08022). As in
    lucid 2, and unlike PyTorch, `affine` and `track_running_stats` are on by default: evaluation
    then uses the running statistics.

    Shape: (N, C, L) or (C, L), unchanged

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: weight of a batch in the running statistics; None for the mean of all batches.
        affine: whether there are a weight and a bias per channel.
        track_running_stats: whether running statistics are kept for evaluation; also when it is
            set later.

    An empty batch leaves the running statistics and their count as they are.

    Raises:
        ValueError: another number of axes or channels, or one position in training.

    >>> nn.InstanceNorm1d(1, affine=False)(Tensor([[[1.0, 3.0]], [[5.0, 9.0]]]))
    Tensor([[[-1.,  1.]],
            [[-1.,  1.]]])
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each sample over its positions; see `InstanceNorm1d`.

    Shape: (N, C, H, W) or (C, H, W), unchanged

    >>> nn.InstanceNorm2d(3)(lucid.randn(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each sample over its positions; see `InstanceNorm1d`.

    Shape: (N, C, D, H, W) or (C, D, H, W), unchanged

    >>> nn.InstanceNorm3d(3)(lucid.randn(2, 3, 4, 4, 4)).shape
    (2, 3, 4, 4, 4)
    """

    ranks = (4, 5)


class LayerNorm(Module):
    """Normalises each sample over its last axes; Ba et al., arXiv:1607.06450.

    Shape: (*, *normalized_shape), unchanged

    Args:
        normalized_shape: sizes of the last axes, or the size of the last one.
        eps: added to the variance.
        elementwise_affine: whether there is a weight per element of a sample.
        bias: whether there is a bias too.

    Raises:
        ValueError: the input does not end in `normalized_shape`, or that is empty.

    >>> nn.LayerNorm(2, elementwise_affine=False)(Tensor([[1.0, 3.0]]))
    Tensor([[-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape: Shape,
        eps: float = 1e-05,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        affine, shifts = elementwise_affine, elementwise_affine and bias
        self.weight = Parameter(np.ones(self.normalized_shape)) if affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape)) if shifts else None

    def forward(self, input_: Tensor) -> Tensor:
        """`input_`, each sample normalised."""
        return F.layer_norm(input_, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class RMSNorm(Module):
    """Divides each sample by the root of the mean of its squares over its last axes.

    Zhang & Sennrich, arXiv:1910.07467.

    Shape: (*, *normalized_shape), unchanged

    Args:
        normalized_shape: sizes of the last axes, or the size of the last one.
        eps: added to the mean; by default the distance from 1 to the next number.
        elementwise_affine: whether there is a weight per element of a sample.

    Raises:
        ValueError: the input does not end in `normalized_shape`, or that is empty.

    >>> nn.RMSNorm(2, elementwise_affine=False)(Tensor([[1.0, 7.0]]))
    Tensor([[0.2, 1.4]])
    """

    def __init__(
        self, normalized_shape: Shape, eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape)) if elementwise_affine else None

    def forward(self, input_: Tensor) -> Tensor:
        """`input_`, each sample divided."""
        return F.rms_norm(input_, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


def _sizes(call: str, normalized_shape: Shape) -> tuple[int, ...]:
    sizes = as_shape((normalized_shape,))
    if not sizes:
        raise ValueError(f"{call}: normalized_shape must hold one size or more, got ().")
    return sizes


class GroupNorm(Module):
    """Normalises each group of channels of each sample; Wu & He, arXiv:1803.08494.

    Shape: (N, C, *), unchanged

    Args:
        num_groups: number of groups; divides the channels.
        num_channels: number of channels C.
        eps: added to the variance.
        affine: whether there are a weight and a bias per channel.

    Raises:
        ValueError: `num_groups` does not divide `num_channels`, or the input has other channels.

    >>> nn.GroupNorm(2, 4, affine=False)(Tensor([[1.0, 3.0, 5.0, 9.0]]))
    Tensor([[-1.,  1., -1.,  1.]])
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-05, affine: bool = True
    ) -> None:
        super().__init__()
        self.num_groups = count("GroupNorm", "num_groups", num_groups)
        self.num_channels = count("GroupNorm", "num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups must divide num_channels, got {num_groups} and "
                f"{num_channels}."
            )
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(np.ones(num_channels)) if affine else None
        self.bias = Parameter(np.zeros(num_channels)) if affine else None

    def forward(self, input_: Tensor) -> Tensor:
        """`input_`, each group normalised."""
        if input_.ndim < 2 or input_.shape[1] != self.num_channels:
            raise ValueError(
                f"GroupNorm: an input of {self.num_channels} channels is needed, got shape "
                f"{input_.shape}."
            )
        return F.group_norm(input_, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class GlobalResponseNorm(Module):
    """x + gamma * x * s + beta, with s the norm of a channel divided by the mean of all norms.

    Gamma and beta start at 0, so that the layer starts as the identity (Woo et al.,
    arXiv:2301.00808).

    Shape: (N, C, *), unchanged

    Args:
        channels: number of channels C.
        eps: added to the mean of the norms.

    >>> nn.GlobalResponseNorm(2)(Tensor([[[3.0], [1.0]]])).tolist()
    [[[3.0], [1.0]]]
    """

    def __init__(self, channels: int, eps: float = 1e-06) -> None:
        super().__init__()
        self.channels = count("GlobalResponseNorm", "channels", channels)
        self.eps = eps
        self.gamma = Parameter(np.zeros(channels))
        self.beta = Parameter(np.zeros(channels))

    def forward(self, input_: Tensor) -> Tensor:
        """`F.global_response_norm(input_, gamma, beta)`."""
        return F.global_response_norm(input_, self.gamma, self.beta, self.eps)

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}"
