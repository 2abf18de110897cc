"""Pools as functions."""

from __future__ import annotations

from collections.abc import Sequence

from lucid._core.arguments import frozen
from lucid._core.gate import apply
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand, Size
from lucid.ops import pool


def max_pool1d(
    input_: Operand,
    kernel_size: Size = 1,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Largest value of each window; arguments, shapes and errors as in `nn.MaxPool1d`.

    >>> F.max_pool1d(lucid.zeros(1, 2, 8), 2).shape
    (1, 2, 4)
    """
    return _max(1, input_, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input_: Operand,
    kernel_size: Size = 1,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Largest value of each window; arguments, shapes and errors as in `nn.MaxPool2d`.

    >>> F.max_pool2d(lucid.zeros(1, 2, 8, 8), 2).shape
    (1, 2, 4, 4)
    """
    return _max(2, input_, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(
    input_: Operand,
    kernel_size: Size = 1,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Largest value of each window; arguments, shapes and errors as in `nn.MaxPool3d`.

    >>> F.max_pool3d(lucid.zeros(1, 2, 8, 8, 8), 2).shape
    (1, 2, 4, 4, 4)
    """
    return _max(3, input_, kernel_size, stride, padding, dilation, ceil_mode)


def avg_pool1d(
    input_: Operand,
    kernel_size: Size = 1,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean of each window; arguments, shapes and errors as in `nn.AvgPool1d`.

    >>> F.avg_pool1d(lucid.zeros(1, 2, 8), 2).shape
    (1, 2, 4)
    """
    return _avg(1, input_, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input_: Operand,
    kernel_size: Size = 1,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean of each window; arguments, shapes and errors as in `nn.AvgPool2d`.

    >>> F.avg_pool2d(lucid.zeros(1, 2, 8, 8), 2).shape
    (1, 2, 4, 4)
    """
    return _avg(2, input_, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool3d(
    input_: Operand,
    kernel_size: Size = 1,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean of each window; arguments, shapes and errors as in `nn.AvgPool3d`.

    >>> F.avg_pool3d(lucid.zeros(1, 2, 8, 8, 8), 2).shape
    (1, 2, 4, 4, 4)
    """
    return _avg(3, input_, kernel_size, stride, padding, ceil_mode, count_include_pad)


def adaptive_max_pool1d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Largest value of each window of an even cover; as in `nn.AdaptiveMaxPool1d`.

    >>> F.adaptive_max_pool1d(lucid.zeros(1, 2, 8), 4).shape
    (1, 2, 4)
    """
    return apply(pool.adaptive_max_pool, input_, rank=1, output_size=frozen(output_size))


def adaptive_max_pool2d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Largest value of each window of an even cover; as in `nn.AdaptiveMaxPool2d`.

    >>> F.adaptive_max_pool2d(lucid.zeros(1, 2, 8, 8), 4).shape
    (1, 2, 4, 4)
    """
    return apply(pool.adaptive_max_pool, input_, rank=2, output_size=frozen(output_size))


def adaptive_max_pool3d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Largest value of each window of an even cover; as in `nn.AdaptiveMaxPool3d`.

    >>> F.adaptive_max_pool3d(lucid.zeros(1, 2, 8, 8, 8), 4).shape
    (1, 2, 4, 4, 4)
    """
    return apply(pool.adaptive_max_pool, input_, rank=3, output_size=frozen(output_size))


def adaptive_avg_pool1d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Mean of each window of an even cover; as in `nn.AdaptiveAvgPool1d`.

    >>> F.adaptive_avg_pool1d(lucid.zeros(1, 2, 8), 4).shape
    (1, 2, 4)
    """
    return apply(pool.adaptive_avg_pool, input_, rank=1, output_size=frozen(output_size))


def adaptive_avg_pool2d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Mean of each window of an even cover; as in `nn.AdaptiveAvgPool2d`.

    >>> F.adaptive_avg_pool2d(lucid.zeros(1, 2, 8, 8), 4).shape
    (1, 2, 4, 4)
    """
    return apply(pool.adaptive_avg_pool, input_, rank=2, output_size=frozen(output_size))


def adaptive_avg_pool3d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Mean of each window of an even cover; as in `nn.AdaptiveAvgPool3d`.

    >>> F.adaptive_avg_pool3d(lucid.zeros(1, 2, 8, 8, 8), 4).shape
    (1, 2, 4, 4, 4)
    """
    return apply(pool.adaptive_avg_pool, input_, rank=3, output_size=frozen(output_size))


def _max(
    rank: int,
    input_: Operand,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
) -> Tensor:
    return apply(
        pool.max_pool,
        input_,
        rank=rank,
        kernel_size=frozen(kernel_size),
        stride=frozen(stride),
        padding=frozen(padding),
        dilation=frozen(dilation),
        ceil_mode=ceil_mode,
    )


def _avg(
    rank: int,
    input_: Operand,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Tensor:
    return apply(
        pool.avg_pool,
        input_,
        rank=rank,
        kernel_size=frozen(kernel_size),
        stride=frozen(stride),
        padding=frozen(padding),
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
