"""Windows of images as columns, and back, as functions."""

from __future__ import annotations

from lucid import ops
from lucid._core.arguments import frozen
from lucid._core.gate import apply
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand, Size
from lucid.ops.conv import Padding


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
    return apply(
        ops.conv.unfold,
        input_,
        kernel_size=frozen(filter_size),
        stride=frozen(stride),
        padding=frozen(padding),
        dilation=frozen(dilation),
    )


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
    return apply(
        ops.conv.fold,
        input_,
        output_size=frozen(output_size),
        kernel_size=frozen(filter_size),
        stride=frozen(stride),
        padding=frozen(padding),
        dilation=frozen(dilation),
    )
