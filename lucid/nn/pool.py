"""Pooling layers; 1-d, 2-d and 3-d are one class each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lucid._core.arguments import frozen
from lucid._core.tensor import Tensor
from lucid._core.typing import Size
from lucid.nn._windowed import Windowed
from lucid.nn.module import Module
from lucid.ops import pool

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]


class _MaxPool(Windowed):
    _check = staticmethod(pool.check_axes)
    _arguments = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: Size = 1,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = frozen(kernel_size)
        self.stride = self.kernel_size if stride is None else frozen(stride)
        self.padding = frozen(padding)
        self.dilation = frozen(dilation)
        self.ceil_mode = ceil_mode
        _ = self._window  # refuses bad arguments now

    def forward(self, input_: Tensor) -> Tensor:
        """The largest value of each window."""
        return pool.max_over(input_, axes=self._window)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Largest value of each window; of equal ones the first gets the gradient.

    Padding never wins. Further axes have windows of their own kernel, stride and padding.

    Shape: (N, C, L) or (C, L) -> (N, C, L') or (C, L'),
        L' = (L + 2 * padding - dilation * (kernel_size - 1) - 1) / stride + 1, rounded down

    Args:
        kernel_size: number of elements in a window.
        stride: step from one window to the next; `kernel_size` by default.
        padding: positions added at both ends; at most half of the window.
        dilation: step from one element of a window to the next.
        ceil_mode: round L' up; but no window starts in the padding at the end.

    Raises:
        ValueError: an argument is out of its range, or the input is too small.
        TypeError: an argument is not made of integers.

    >>> nn.MaxPool1d(2)(Tensor([[1.0, 3.0, 2.0, 0.0]]))
    Tensor([[3., 2.]])
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """Largest value of each window of the last two axes; see `MaxPool1d`.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')

    >>> nn.MaxPool2d(3, stride=2, padding=1)(lucid.zeros(1, 2, 8, 8)).shape
    (1, 2, 4, 4)
    """

    rank = 2


class MaxPool3d(_MaxPool):
    """Largest value of each window of the last three axes; see `MaxPool1d`.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')

    >>> nn.MaxPool3d((1, 2, 2))(lucid.zeros(1, 2, 4, 8, 8)).shape
    (1, 2, 4, 4, 4)
    """

    rank = 3


class _AvgPool(Windowed):
    _check = staticmethod(pool.check_axes)
    _arguments = ("kernel_size", "stride", "padding", "ceil_mode")

    def __init__(
        self,
        kernel_size: Size = 1,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = frozen(kernel_size)
        self.stride = self.kernel_size if stride is None else frozen(stride)
        self.padding = frozen(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        _ = self._window  # refuses bad arguments now

    def forward(self, input_: Tensor) -> Tensor:
        """The mean of each window."""
        return pool.mean_over(input_, axes=self._window, count_include_pad=self.count_include_pad)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"ceil_mode={self.ceil_mode}, count_include_pad={self.count_include_pad}"
        )


class AvgPool1d(_AvgPool):
    """Mean of each window. Further axes have windows of their own kernel, stride and padding.

    Shape: (N, C, L) or (C, L) -> (N, C, L') or (C, L'),
        L' = (L + 2 * padding - kernel_size) / stride + 1, rounded down

    Args:
        kernel_size: number of elements in a window.
        stride: step from one window to the next; `kernel_size` by default.
        padding: zeros added at both ends; at most half of the window.
        ceil_mode: round L' up; but no window starts in the padding at the end.
        count_include_pad: whether the padding's zeros count in the mean.

    Raises:
        ValueError: an argument is out of its range, or the input is too small.
        TypeError: an argument is not made of integers.

    >>> nn.AvgPool1d(2)(Tensor([[1.0, 3.0, 2.0, 0.0]]))
    Tensor([[2., 1.]])
    """

    rank = 1


class AvgPool2d(_AvgPool):
    """Mean of each window of the last two axes; see `AvgPool1d`.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')

    >>> nn.AvgPool2d(2)(lucid.zeros(1, 2, 8, 8)).shape
    (1, 2, 4, 4)
    """

    rank = 2


class AvgPool3d(_AvgPool):
    """Mean of each window of the last three axes; see `AvgPool1d`.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')

    >>> nn.AvgPool3d(2)(lucid.zeros(1, 2, 8, 8, 8)).shape
    (1, 2, 4, 4, 4)
    """

    rank = 3


class _AdaptivePool(Module):
    rank: ClassVar[int]

    def __init__(self, output_size: int | Sequence[int | None]) -> None:
        super().__init__()
        pool.check_output_size(type(self).__name__, self.rank, output_size)
        self.output_size = frozen(output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(_AdaptivePool):
    def forward(self, input_: Tensor) -> Tensor:
        """The largest value of each window."""
        return pool.adaptive_max_pool(input_, rank=self.rank, output_size=self.output_size)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Largest value of each of `output_size` windows that cover the input evenly.

    Window i of m on an axis of length n reaches from floor(i * n / m) to ceil((i + 1) * n / m).

    Shape: (N, C, L) or (C, L) -> (N, C, L') or (C, L')

    Args:
        output_size: number of windows; with several axes one for all or one each, None to keep
            an axis as it is.

    Raises:
        ValueError: a size is below 1, or the input has another number of axes.

    >>> nn.AdaptiveMaxPool1d(2)(Tensor([[1.0, 3.0, 2.0]]))
    Tensor([[3., 3.]])
    """

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Largest value of each window of an even cover of the last two axes; see `AdaptiveMaxPool1d`.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')

    >>> nn.AdaptiveMaxPool2d((None, 3))(lucid.zeros(1, 2, 8, 8)).shape
    (1, 2, 8, 3)
    """

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Largest value of each window of an even cover of three axes; see `AdaptiveMaxPool1d`.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')

    >>> nn.AdaptiveMaxPool3d((None, 3, 1))(lucid.zeros(1, 2, 8, 8, 8)).shape
    (1, 2, 8, 3, 1)
    """

    rank = 3


class _AdaptiveAvgPool(_AdaptivePool):
    def forward(self, input_: Tensor) -> Tensor:
        """The mean of each window."""
        return pool.adaptive_avg_pool(input_, rank=self.rank, output_size=self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Mean of each of `output_size` windows that cover the input evenly.

    Window i of m on an axis of length n reaches from floor(i * n / m) to ceil((i + 1) * n / m).

    Shape: (N, C, L) or (C, L) -> (N, C, L') or (C, L')

    Args:
        output_size: number of windows; with several axes one for all or one each, None to keep
            an axis as it is.

    Raises:
        ValueError: a size is below 1, or the input has another number of axes.

    >>> nn.AdaptiveAvgPool1d(2)(Tensor([[1.0, 3.0, 2.0]]))
    Tensor([[2. , 2.5]])
    """

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Mean of each window of an even cover of the last two axes; see `AdaptiveAvgPool1d`.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')

    >>> nn.AdaptiveAvgPool2d((None, 3))(lucid.zeros(1, 2, 8, 8)).shape
    (1, 2, 8, 3)
    """

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Mean of each window of an even cover of the last three axes; see `AdaptiveAvgPool1d`.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')

    >>> nn.AdaptiveAvgPool3d((None, 3, 1))(lucid.zeros(1, 2, 8, 8, 8)).shape
    (1, 2, 8, 3, 1)
    """

    rank = 3
