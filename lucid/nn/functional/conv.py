"""Convolutions and transposed convolutions as functions."""

from __future__ import annotations

from lucid._core.declaration import op
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand, Size
from lucid.ops.conv import Padding, conv, conv_transpose

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]


@op
def conv1d(
    input_: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation; arguments, shapes and errors as in `nn.Conv1d`.

    >>> F.conv1d(lucid.zeros(1, 3, 8), lucid.zeros(8, 3, 3), padding=1).shape
    (1, 8, 8)
    """
    return conv(
        input_, weight, bias, rank=1, stride=stride, padding=padding, dilation=dilation,
        groups=groups,
    )  # fmt: skip


@op
def conv2d(
    input_: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation; arguments, shapes and errors as in `nn.Conv2d`.

    >>> F.conv2d(lucid.zeros(1, 3, 8, 8), lucid.zeros(8, 3, 3, 3), padding=1).shape
    (1, 8, 8, 8)
    """
    return conv(
        input_, weight, bias, rank=2, stride=stride, padding=padding, dilation=dilation,
        groups=groups,
    )  # fmt: skip


@op
def conv3d(
    input_: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation; arguments, shapes and errors as in `nn.Conv3d`.

    >>> F.conv3d(lucid.zeros(1, 3, 8, 8, 8), lucid.zeros(8, 3, 3, 3, 3), padding=1).shape
    (1, 8, 8, 8, 8)
    """
    return conv(
        input_, weight, bias, rank=3, stride=stride, padding=padding, dilation=dilation,
        groups=groups,
    )  # fmt: skip


@op
def conv_transpose1d(
    input_: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Transposed convolution; arguments, shapes and errors as in `nn.ConvTranspose1d`.

    >>> x, weight = lucid.zeros(1, 8, 4), lucid.zeros(8, 3, 4)
    >>> F.conv_transpose1d(x, weight, stride=2, padding=1).shape
    (1, 3, 8)
    """
    return conv_transpose(
        input_, weight, bias, rank=1, stride=stride, padding=padding,
        output_padding=output_padding, dilation=dilation, groups=groups,
    )  # fmt: skip


@op
def conv_transpose2d(
    input_: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Transposed convolution; arguments, shapes and errors as in `nn.ConvTranspose2d`.

    What infinities give near the ends, where 0 * inf is NaN: see `lucid.ops.conv.conv_transpose`.

    >>> x, weight = lucid.zeros(1, 8, 4, 4), lucid.zeros(8, 3, 4, 4)
    >>> F.conv_transpose2d(x, weight, stride=2, padding=1).shape
    (1, 3, 8, 8)
    """
    return conv_transpose(
        input_, weight, bias, rank=2, stride=stride, padding=padding,
        output_padding=output_padding, dilation=dilation, groups=groups,
    )  # fmt: skip


@op
def conv_transpose3d(
    input_: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Transposed convolution; arguments, shapes and errors as in `nn.ConvTranspose3d`.

    >>> x, weight = lucid.zeros(1, 8, 4, 4, 4), lucid.zeros(8, 3, 4, 4, 4)
    >>> F.conv_transpose3d(x, weight, stride=2, padding=1).shape
    (1, 3, 8, 8, 8)
    """
    return conv_transpose(
        input_, weight, bias, rank=3, stride=stride, padding=padding,
        output_padding=output_padding, dilation=dilation, groups=groups,
    )  # fmt: skip
