"""Layers as functions: given Tensors they record and return Tensors; given only jax arrays they
are pure functions for `jax.jit`, `jax.grad` and `jax.vmap`, and return jax arrays.
"""

from __future__ import annotations

from lucid import ops
from lucid._apply import apply, frozen
from lucid._tensor import Tensor
from lucid._typing import Operand, Size
from lucid.ops.conv import Padding
from lucid.ops.loss import Reduction


def linear(input_: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """Affine map of the last axis: `input_ @ weight.T + bias`.

    Shape: (..., I), weight (O, I), bias (O,) -> (..., O)

    Raises:
        ValueError: the sizes do not match.

    >>> F.linear(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]]), Tensor([5.0]))
    Tensor([[16.]])
    """
    return apply(ops.linalg.linear, input_, weight, bias)


def relu(input_: Operand) -> Tensor:
    """max(input_, 0), elementwise; the gradient at 0 is 0.

    >>> F.relu(Tensor([-1.0, 2.0]))
    Tensor([0., 2.])
    """
    return apply(ops.activation.relu, input_)


def sigmoid(input_: Operand) -> Tensor:
    """1 / (1 + exp(-input_)), elementwise.

    >>> F.sigmoid(Tensor([0.0]))
    Tensor([0.5])
    """
    return apply(ops.activation.sigmoid, input_)


def tanh(input_: Operand) -> Tensor:
    """Hyperbolic tangent, elementwise.

    >>> F.tanh(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7616])
    """
    return apply(ops.elementwise.tanh, input_)


def mse_loss(input_: Operand, target: Operand, reduction: Reduction = "mean") -> Tensor:
    """Squared difference: its mean, its sum, or with None each value.

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    >>> F.mse_loss(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(2.)
    """
    return apply(ops.loss.mse_loss, input_, target, reduction=reduction)


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
