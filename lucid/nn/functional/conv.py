"""Convolutions and transposed convolutions as functions."""

from __future__ import annotations

from lucid import ops
from lucid._core.arguments import frozen
from lucid._core.gate import apply
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand, Size
from lucid.ops.conv import Padding


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
    return _conv(1, input_, weight, bias, stride, padding, dilation, groups)


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
    return _conv(2, input_, weight, bias, stride, padding, dilation, groups)


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
    return _conv(3, input_, weight, bias, stride, padding, dilation, groups)


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
    return _conv_transpose(
        1, input_, weight, bias, stride, padding, output_padding, dilation, groups
    )


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
    return _conv_transpose(
        2, input_, weight, bias, stride, padding, output_padding, dilation, groups
    )


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
    return _conv_transpose(
        3, input_, weight, bias, stride, padding, output_padding, dilation, groups
    )


def _conv(
    rank: int,
    input_: Operand,
    weight: Operand,
    bias: Operand | None,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: int,
) -> Tensor:
    return apply(
        ops.conv.conv,
        input_,
        weight,
        bias,
        rank=rank,
        stride=frozen(stride),
        padding=frozen(padding),
        dilation=frozen(dilation),
        groups=groups,
    )


def _conv_transpose(
    rank: int,
    input_: Operand,
    weight: Operand,
    bias: Operand | None,
    stride: Size,
    padding: Padding,
    output_padding: Size,
    dilation: Size,
    groups: int,
) -> Tensor:
    return apply(
        ops.conv.conv_transpose,
        input_,
        weight,
        bias,
        rank=rank,
        stride=frozen(stride),
        padding=frozen(padding),
        output_padding=frozen(output_padding),
        dilation=frozen(dilation),
        groups=groups,
    )
