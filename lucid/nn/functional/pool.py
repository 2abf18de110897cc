"""Pools as functions."""

from __future__ import annotations

from collections.abc import Sequence

from lucid._core.declaration import op
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand, Size
from lucid.ops import pool

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


@op
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
    return pool.max_pool(input_, 1, kernel_size, stride, padding, dilation, ceil_mode)


@op
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
    return pool.max_pool(input_, 2, kernel_size, stride, padding, dilation, ceil_mode)


@op
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
    return pool.max_pool(input_, 3, kernel_size, stride, padding, dilation, ceil_mode)


@op
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
    return pool.avg_pool(input_, 1, kernel_size, stride, padding, ceil_mode, count_include_pad)


@op
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
    return pool.avg_pool(input_, 2, kernel_size, stride, padding, ceil_mode, count_include_pad)


@op
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
    return pool.avg_pool(input_, 3, kernel_size, stride, padding, ceil_mode, count_include_pad)


@op
def adaptive_max_pool1d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Largest value of each window of an even cover; as in `nn.AdaptiveMaxPool1d`.

    >>> F.adaptive_max_pool1d(lucid.zeros(1, 2, 8), 4).shape
    (1, 2, 4)
    """
    return pool.adaptive_max_pool.pure(input_, rank=1, output_size=output_size)


@op
def adaptive_max_pool2d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Largest value of each window of an even cover; as in `nn.AdaptiveMaxPool2d`.

    >>> F.adaptive_max_pool2d(lucid.zeros(1, 2, 8, 8), 4).shape
    (1, 2, 4, 4)
    """
    return pool.adaptive_max_pool.pure(input_, rank=2, output_size=output_size)


@op
def adaptive_max_pool3d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Largest value of each window of an even cover; as in `nn.AdaptiveMaxPool3d`.

    >>> F.adaptive_max_pool3d(lucid.zeros(1, 2, 8, 8, 8), 4).shape
    (1, 2, 4, 4, 4)
    """
    return pool.adaptive_max_pool.pure(input_, rank=3, output_size=output_size)


@op
def adaptive_avg_pool1d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Mean of each window of an even cover; as in `nn.AdaptiveAvgPool1d`.

    >>> F.adaptive_avg_pool1d(lucid.zeros(1, 2, 8), 4).shape
    (1, 2, 4)
    """
    return pool.adaptive_avg_pool.pure(input_, rank=1, output_size=output_size)


@op
def adaptive_avg_pool2d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Mean of each window of an even cover; as in `nn.AdaptiveAvgPool2d`.

    >>> F.adaptive_avg_pool2d(lucid.zeros(1, 2, 8, 8), 4).shape
    (1, 2, 4, 4)
    """
    return pool.adaptive_avg_pool.pure(input_, rank=2, output_size=output_size)


@op
def adaptive_avg_pool3d(input_: Operand, output_size: int | Sequence[int | None]) -> Tensor:
    """Mean of each window of an even cover; as in `nn.AdaptiveAvgPool3d`.

    >>> F.adaptive_avg_pool3d(lucid.zeros(1, 2, 8, 8, 8), 4).shape
    (1, 2, 4, 4, 4)
    """
    return pool.adaptive_avg_pool.pure(input_, rank=3, output_size=output_size)
