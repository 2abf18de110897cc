"""Convolution and transposed convolution layers; 1-d, 2-d and 3-d are one N-d class each."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from lucid._core.arguments import frozen
from lucid._core.tensor import Tensor
from lucid._core.typing import Size
from lucid.nn import init
from lucid.nn._windowed import Windowed
from lucid.nn.parameter import Parameter
from lucid.ops.conv import (
    Padding,
    PaddingMode,
    check_channels,
    check_padding_mode,
    check_window,
    convolve,
    convolve_transpose,
)

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]


class _ConvNd(Windowed):
    """What all convolutions share: arguments, Parameters and their initial values."""

    _check = staticmethod(check_window)
    _arguments: ClassVar[tuple[str, ...]] = (
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
    )
    padding: str | tuple[int, ...] | tuple[tuple[int, int], ...]

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        bias: bool,
        transposed: bool,
        **arguments: Any,
    ) -> None:
        window = self._check(type(self).__name__, self.rank, **arguments)
        check_channels(type(self).__name__, in_channels, out_channels, window.groups)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.dilation = window.kernel, window.stride, window.dilation
        self.groups = window.groups
        if isinstance(arguments["padding"], str):
            self.padding = arguments["padding"]
        elif all(low == high for low, high in window.padding):
            self.padding = tuple(low for low, _ in window.padding)
        else:
            self.padding = window.padding
        if transposed:
            self.output_padding = window.output_padding
        self._window = window
        first, second = (in_channels, out_channels)[:: 1 if transposed else -1]
        self.weight = Parameter(np.zeros((first, second // window.groups, *window.kernel)))
        self.bias = Parameter(np.zeros(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans(self.weight)[0])
            init.uniform(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        ones, zeros = (1,) * self.rank, (0,) * self.rank
        for name, default in (
            ("stride", ones),
            ("padding", zeros),
            ("output_padding", zeros),
            ("dilation", ones),
            ("groups", 1),
            ("padding_mode", "zeros"),
        ):
            value = getattr(self, name, default)
            if value != default:
                parts.append(f"{name}={value!r}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__()
        check_padding_mode(type(self).__name__, padding_mode)
        self.padding_mode = padding_mode
        self._set_up(
            in_channels,
            out_channels,
            bias,
            transposed=False,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )

    def forward(self, input_: Tensor) -> Tensor:
        """The convolution of `input_`."""
        return convolve(
            input_,
            self.weight,
            self.bias,
            window=self._window,
            padding_mode=self.padding_mode,
        )


class _ConvTranspose(_ConvNd):
    _arguments = (*_ConvNd._arguments, "output_padding")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        output_padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self._set_up(
            in_channels,
            out_channels,
            bias,
            transposed=True,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            dilation=dilation,
            groups=groups,
        )

    def forward(self, input_: Tensor, output_size: Size | None = None) -> Tensor:
        """The transposed convolution of `input_`.

        Args:
            output_size: the output's spatial sizes, or its whole shape; `output_padding` is then
                ignored. Reachable are `stride` sizes per axis, from the one that
                `output_padding=0` gives.

        Raises:
            ValueError: the input does not fit, or `output_size` cannot be reached.
        """
        return convolve_transpose(
            input_,
            self.weight,
            self.bias,
            window=self._window,
            output_size=frozen(output_size),
        )


class Conv1d(_Conv):
    """1-d cross-correlation: each output channel sums `weight` times windows of the input.

    Weight and bias are drawn from U(-sqrt(k), sqrt(k)), k = 1 / fan_in, as PyTorch's, with
    fan_in = in_channels // groups * prod(kernel_size).

    Shape: (N, I, L) or (I, L) -> (N, O, L') or (O, L'), per axis
        L' = (L + low + high - dilation * (kernel - 1) - 1) // stride + 1,
        weight (out_channels, in_channels // groups, kL), bias (out_channels,) or None

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: an integer, or one per axis; so are stride and dilation.
        stride: distance between windows.
        padding: sizes, one (low, high) pair per axis, "valid" (none) or "same" (the output is as
            long as the input; stride 1 only).
        dilation: distance between the elements of a window.
        groups: into how many groups, convolved independently, the channels are divided.
        bias: whether a bias is added.
        padding_mode: what the padding holds: "zeros", "reflect", "replicate" or "circular".

    Raises:
        ValueError: an argument is out of its range, or groups do not divide the channels.
        TypeError: an argument is not made of integers.

    >>> nn.Conv1d(3, 8, kernel_size=3, stride=2, padding=1)(lucid.zeros(1, 3, 8)).shape
    (1, 8, 4)
    """

    rank = 1


class Conv2d(_Conv):
    """Cross-correlation over the last two axes; see `Conv1d` for arguments and errors.

    Shape: (N, I, H, W) or (I, H, W) -> (N, O, H', W') or (O, H', W'), per axis
        L' = (L + low + high - dilation * (kernel - 1) - 1) // stride + 1,
        weight (out_channels, in_channels // groups, kH, kW), bias (out_channels,) or None

    >>> nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)(lucid.zeros(1, 3, 8, 8)).shape
    (1, 8, 4, 4)
    """

    rank = 2


class Conv3d(_Conv):
    """Cross-correlation over the last three axes; see `Conv1d` for arguments and errors.

    Shape: (N, I, D, H, W) or (I, D, H, W) -> (N, O, D', H', W') or (O, D', H', W'), per axis
        L' = (L + low + high - dilation * (kernel - 1) - 1) // stride + 1,
        weight (out_channels, in_channels // groups, kD, kH, kW), bias (out_channels,) or None

    >>> nn.Conv3d(3, 8, kernel_size=3, stride=2, padding=1)(lucid.zeros(1, 3, 8, 8, 8)).shape
    (1, 8, 4, 4, 4)
    """

    rank = 3


class ConvTranspose1d(_ConvTranspose):
    """1-d transposed convolution: the adjoint of `Conv1d` in its input.

    Dumoulin & Visin, arXiv:1603.07285, relationship 14. Weight and bias are drawn from
    U(-sqrt(k), sqrt(k)), k = 1 / fan_in, as PyTorch's, with
    fan_in = out_channels // groups * prod(kernel_size).

    Shape: (N, I, L) or (I, L) -> (N, O, L') or (O, L'), per axis
        L' = (L - 1) * stride - low - high + dilation * (kernel - 1) + output_padding + 1,
        weight (in_channels, out_channels // groups, kL), bias (out_channels,) or None

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: an integer, or one per axis; so are stride, output_padding and dilation.
        stride: how far apart the input's elements are laid out.
        padding: what is cropped from the output: sizes, one (low, high) pair per axis, "valid"
            (nothing) or "same" (dilation * (kernel - 1) // 2 on both sides).
        output_padding: more output on the high side, computed and not filled with zeros; smaller
            than stride or than dilation.
        dilation: distance between the elements of the kernel.
        groups: into how many groups, convolved independently, the channels are divided.
        bias: whether a bias is added.

    Raises:
        ValueError: an argument is out of its range, or groups do not divide the channels.
        TypeError: an argument is not made of integers.

    >>> deconv = nn.ConvTranspose1d(3, 2, kernel_size=4, stride=2, padding=1)
    >>> deconv(lucid.zeros(1, 3, 8)).shape
    (1, 2, 16)
    """

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """Adjoint of `Conv2d` in its input; see `ConvTranspose1d` for arguments and errors.

    Shape: (N, I, H, W) or (I, H, W) -> (N, O, H', W') or (O, H', W'), per axis
        L' = (L - 1) * stride - low - high + dilation * (kernel - 1) + output_padding + 1,
        weight (in_channels, out_channels // groups, kH, kW), bias (out_channels,) or None

    >>> x = Tensor.randn(1, 3, 16, 16, requires_grad=True)
    >>> deconv2d = nn.ConvTranspose2d(
    ...     3, 2, kernel_size=3, stride=2, padding=1, output_padding=1
    ... )
    >>> y = deconv2d(x)
    >>> print(y.shape)
    (1, 2, 32, 32)
    >>> y.backward()
    >>> print(x.grad.shape)
    (1, 3, 16, 16)
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """Adjoint of `Conv3d` in its input; see `ConvTranspose1d` for arguments and errors.

    Shape: (N, I, D, H, W) or (I, D, H, W) -> (N, O, D', H', W') or (O, D', H', W'), per axis
        L' = (L - 1) * stride - low - high + dilation * (kernel - 1) + output_padding + 1,
        weight (in_channels, out_channels // groups, kD, kH, kW), bias (out_channels,) or None

    >>> deconv = nn.ConvTranspose3d(3, 2, kernel_size=4, stride=2, padding=1)
    >>> deconv(lucid.zeros(1, 3, 8, 8, 8)).shape
    (1, 2, 16, 16, 16)
    """

    rank = 3
