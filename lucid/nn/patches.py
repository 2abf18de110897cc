"""Layers that take images apart into windows and put them together again."""

from __future__ import annotations

from lucid._core.arguments import frozen, ntuple
from lucid._core.tensor import Tensor
from lucid._core.typing import Size
from lucid.nn import functional as F
from lucid.nn.module import Module
from lucid.ops.conv import Padding, check_window

__all__ = [
    "Fold",
    "Unfold",
]


class _Windows(Module):
    """The arguments of `Unfold` and `Fold`."""

    def _set_up(self, kernel_size: Size, stride: Size, padding: Padding, dilation: Size) -> None:
        name = type(self).__name__
        window = check_window(name, 2, kernel_size, stride, padding, dilation)
        self.kernel_size, self.stride, self.dilation = window.kernel, window.stride, window.dilation
        self.padding: Padding = frozen(padding)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}, "
            f"dilation={self.dilation}"
        )


class Unfold(_Windows):
    """Every window of an image as a column: what a convolution multiplies with its weights.

    A column runs over channels, then kernel rows, then kernel columns; the columns run over the
    windows row by row. The order of arguments is lucid's; PyTorch's has the stride last.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C * kH * kW, L) or (C * kH * kW, L), where L is the
        number of windows, the product over both axes of
        (length + low + high - dilation * (kernel - 1) - 1) // stride + 1

    Args:
        kernel_size: size of a window: an integer, or one per axis; so are stride and dilation.
        stride: distance between windows.
        padding: zeros around the image: sizes, or one (low, high) pair per axis.
        dilation: distance between the elements of a window.

    Raises:
        ValueError: an argument is out of its range, or no window fits into the image.
        TypeError: an argument is not made of integers.

    >>> nn.Unfold(kernel_size=2, stride=2)(lucid.arange(8.0).reshape(1, 1, 2, 4))
    Tensor([[[0., 2.],
             [1., 3.],
             [4., 6.],
             [5., 7.]]])
    """

    def __init__(
        self, kernel_size: Size, stride: Size = 1, padding: Padding = 0, dilation: Size = 1
    ) -> None:
        super().__init__()
        self._set_up(kernel_size, stride, padding, dilation)

    def forward(self, input_: Tensor) -> Tensor:
        """`F.unfold(input_)` with the layer's arguments."""
        return F.unfold(input_, self.kernel_size, self.stride, self.padding, self.dilation)


class Fold(_Windows):
    """Adjoint of `Unfold`: columns put back as windows of an image, overlaps added.

    Shape: (N, C * kH * kW, L) or (C * kH * kW, L) -> (N, C, *output_size) or (C, *output_size),
        where L is the number of windows that `Unfold` finds in an image of `output_size`

    Args:
        output_size: height and width of the image; an integer for both.
        kernel_size: size of a window: an integer, or one per axis; so are stride and dilation.
        stride: distance between windows.
        padding: what is cropped from the image: sizes, or one (low, high) pair per axis.
        dilation: distance between the elements of a window.

    Raises:
        ValueError: an argument is out of its range, or the input does not fit `output_size`.
        TypeError: an argument is not made of integers.

    >>> nn.Fold((2, 3), kernel_size=2)(lucid.ones(1, 4, 2))
    Tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """

    def __init__(
        self,
        output_size: Size,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
    ) -> None:
        super().__init__()
        self.output_size = ntuple(output_size, 2, "Fold: output_size")
        self._set_up(kernel_size, stride, padding, dilation)

    def forward(self, input_: Tensor) -> Tensor:
        """`F.fold(input_)` with the layer's arguments."""
        return F.fold(
            input_, self.output_size, self.kernel_size, self.stride, self.padding, self.dilation
        )

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
