"""Blocks of several layers that networks repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid._core.typing import Size
from lucid.nn import functional as F
from lucid.nn.activation import ReLU, Sigmoid
from lucid.nn.containers import ModuleList, Sequential
from lucid.nn.conv import Conv1d, Conv2d, Conv3d
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from lucid.nn.pool import AdaptiveAvgPool2d
from lucid.ops.conv.geometry import Padding
from lucid.ops.shape import stack

__all__ = [
    "ConvBNReLU1d",
    "ConvBNReLU2d",
    "ConvBNReLU3d",
    "DepthSeparableConv1d",
    "DepthSeparableConv2d",
    "DepthSeparableConv3d",
    "SEModule",
    "SelectiveKernel",
]

_CONVS = {1: Conv1d, 2: Conv2d, 3: Conv3d}
_NORMS = {1: BatchNorm1d, 2: BatchNorm2d, 3: BatchNorm3d}


class _ConvBNReLU(Module):
    D: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        conv_bias: bool = True,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        bn_affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        self.conv = _CONVS[self.D](
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, conv_bias
        )
        self.bn = _NORMS[self.D](out_channels, eps, momentum, bn_affine, track_running_stats)
        self.relu = ReLU()

    def forward(self, input_: Tensor) -> Tensor:
        """The three layers one after the other."""
        y: Tensor = self.relu(self.bn(self.conv(input_)))
        return y


class ConvBNReLU1d(_ConvBNReLU):
    """`Conv1d`, `BatchNorm1d` and `ReLU`; the arguments are theirs.

    >>> nn.ConvBNReLU1d(3, 2, 3, padding=1)(lucid.zeros(1, 3, 8)).shape
    (1, 2, 8)
    """

    D = 1


class ConvBNReLU2d(_ConvBNReLU):
    """`Conv2d`, `BatchNorm2d` and `ReLU`; the arguments are theirs.

    >>> nn.ConvBNReLU2d(3, 2, 3, padding=1)(lucid.zeros(1, 3, 8, 8)).shape
    (1, 2, 8, 8)
    """

    D = 2


class ConvBNReLU3d(_ConvBNReLU):
    """`Conv3d`, `BatchNorm3d` and `ReLU`; the arguments are theirs.

    >>> nn.ConvBNReLU3d(3, 2, 3, padding=1)(lucid.zeros(1, 3, 4, 4, 4)).shape
    (1, 2, 4, 4, 4)
    """

    D = 3


class _DepthSeparableConv(Module):
    D: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        conv = _CONVS[self.D]
        self.depthwise = conv(
            in_channels, in_channels, kernel_size, stride, padding, dilation, in_channels, bias
        )
        self.pointwise = conv(in_channels, out_channels, 1, bias=bias)

    def forward(self, input_: Tensor) -> Tensor:
        """The convolution of each channel, then the mixture of the channels."""
        y: Tensor = self.pointwise(self.depthwise(input_))
        return y


class DepthSeparableConv1d(_DepthSeparableConv):
    """A convolution per channel, then one of size 1 over all; Chollet, arXiv:1610.02357.

    >>> nn.DepthSeparableConv1d(3, 2, 3, padding=1)(lucid.zeros(1, 3, 8)).shape
    (1, 2, 8)
    """

    D = 1


class DepthSeparableConv2d(_DepthSeparableConv):
    """A convolution per channel, then one of size 1 over all; Chollet, arXiv:1610.02357.

    >>> nn.DepthSeparableConv2d(3, 2, 3, padding=1)(lucid.zeros(1, 3, 8, 8)).shape
    (1, 2, 8, 8)
    """

    D = 2


class DepthSeparableConv3d(_DepthSeparableConv):
    """A convolution per channel, then one of size 1 over all; Chollet, arXiv:1610.02357.

    >>> nn.DepthSeparableConv3d(3, 2, 3, padding=1)(lucid.zeros(1, 3, 4, 4, 4)).shape
    (1, 2, 4, 4, 4)
    """

    D = 3


class SEModule(Module):
    """Squeeze and excitation: each channel times a factor that all channels decide.

    Hu et al., arXiv:1709.01507.

    Shape: (N, C, H, W), unchanged

    Args:
        in_channels: C.
        reduction: how many times fewer features lie between the two affine maps.

    Raises:
        ValueError: a number is not positive, or nothing is left between the maps.
        TypeError: a number is no integer.

    >>> nn.SEModule(8, reduction=4)(lucid.zeros(1, 8, 4, 4)).shape
    (1, 8, 4, 4)
    """

    def __init__(self, in_channels: int, reduction: int = 16) -> None:
        super().__init__()
        channels = count("SEModule", "in_channels", in_channels)
        inner = channels // count("SEModule", "reduction", reduction)
        if inner == 0:
            raise ValueError(
                f"SEModule: reduction={reduction} leaves none of in_channels={channels}."
            )
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = Linear(channels, inner), Linear(inner, channels)
        self.relu, self.sigmoid = ReLU(), Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """`x` with its channels weighed."""
        squeezed = self.avgpool(x).reshape(x.shape[:2])
        weights = self.sigmoid(self.fc2(self.relu(self.fc1(squeezed))))
        return x * weights.reshape(*weights.shape, 1, 1)


class SelectiveKernel(Module):
    """Convolutions with kernels of several sizes, mixed per channel by attention.

    Li et al., "Selective kernel networks", arXiv:1903.06586.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H', W')

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel_sizes: one for each branch.
        stride: of every branch.
        padding: of every branch; by default half of its kernel, which keeps the size.
        groups: of every branch.
        reduction: how many times fewer features decide the mixture.

    Raises:
        ValueError: there are no kernel sizes, or a number is out of its range.

    >>> nn.SelectiveKernel(4, 8, [3, 5], reduction=4)(lucid.zeros(1, 4, 6, 6)).shape
    (1, 8, 6, 6)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int],
        stride: int = 1,
        padding: Padding | None = None,
        groups: int = 1,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        if not kernel_sizes:
            raise ValueError("SelectiveKernel: at least one kernel size is needed.")
        self.branches = ModuleList(
            [
                ConvBNReLU2d(
                    in_channels,
                    out_channels,
                    size,
                    stride=stride,
                    padding=size // 2 if padding is None else padding,
                    groups=groups,
                    conv_bias=False,
                )
                for size in kernel_sizes
            ]
        )
        inner = max(1, out_channels // count("SelectiveKernel", "reduction", reduction))
        self.attention = Sequential(
            AdaptiveAvgPool2d(1),
            Conv2d(out_channels, inner, 1),
            ReLU(),
            Conv2d(inner, out_channels * len(kernel_sizes), 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The branches, weighed."""
        branches = stack([branch(x) for branch in self.branches], 1)
        n, k, channels = branches.shape[:3]
        logits = self.attention(branches.sum(1)).reshape(n, k, channels, 1, 1)
        return (branches * F.softmax(logits, 1)).sum(1)
