"""Windows of images as columns, and back, as functions."""

from __future__ import annotations

from lucid._core.declaration import op
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand, Size
from lucid.ops import conv
from lucid.ops.conv import Padding
from lucid.ops.precision import in_float32

__all__ = [
    "fold",
    "unfold",
]


@op
@in_float32
def unfold(
    input_: Operand,
    filter_size: Size,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
) -> Tensor:
    """Every window of an image as a column; shapes and errors as in `nn.Unfold`.

    >>> F.unfold(lucid.zeros(1, 3, 8, 8), 2, stride=2).shape
    (1, 12, 16)
    """
    return conv.unfold(
        input_,
        kernel_size=filter_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )


@op
@in_float32
def fold(
    input_: Operand,
    output_size: Size,
    filter_size: Size,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
) -> Tensor:
    """Columns put back as windows, overlaps added; shapes and errors as in `nn.Fold`.

    >>> F.fold(lucid.zeros(1, 12, 16), 8, 2, stride=2).shape
    (1, 3, 8, 8)
    """
    return conv.fold(
        input_,
        output_size=output_size,
        kernel_size=filter_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
