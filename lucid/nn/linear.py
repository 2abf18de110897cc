"""Affine maps, and the layers that only rearrange or pass on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn import init
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.ops.patterns import rearrange

__all__ = [
    "Bilinear",
    "Flatten",
    "Identity",
    "Linear",
    "Rearrange",
    "Unflatten",
]


class Linear(Module):
    """Affine map of the last axis: `input @ weight.T + bias`.

    Weight and bias are drawn from U(-sqrt(k), sqrt(k)), k = 1 / in_features, as PyTorch's.

    Shape: (..., in_features) -> (..., out_features)

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        bias: whether a bias is added.

    Raises:
        ValueError: a size is not positive.
        TypeError: a size is no integer.

    >>> nn.Linear(4, 2)(lucid.zeros(3, 4)).shape
    (3, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = count("Linear", "in_features", in_features)
        self.out_features = count("Linear", "out_features", out_features)
        self.weight = Parameter(np.zeros((self.out_features, self.in_features)))
        self.bias = Parameter(np.zeros(self.out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform(self.bias, -bound, bound)

    def forward(self, input_: Tensor) -> Tensor:
        """The affine map of `input_`."""
        return F.linear(input_, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """A bilinear form of two inputs: `y[o] = x1 @ weight[o] @ x2 + bias[o]`.

    Weight and bias are drawn from U(-sqrt(k), sqrt(k)), k = 1 / in1_features, as PyTorch's.

    Shape: (..., in1_features), (..., in2_features) -> (..., out_features)

    Args:
        in1_features: size of the last axis of the first input.
        in2_features: size of the last axis of the second input.
        out_features: size of the last axis of the output.
        bias: whether a bias is added.

    Raises:
        ValueError: a size is not positive.
        TypeError: a size is no integer.

    >>> nn.Bilinear(4, 3, 2)(lucid.zeros(5, 4), lucid.zeros(5, 3)).shape
    (5, 2)
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True
    ) -> None:
        super().__init__()
        self.in1_features = count("Bilinear", "in1_features", in1_features)
        self.in2_features = count("Bilinear", "in2_features", in2_features)
        self.out_features = count("Bilinear", "out_features", out_features)
        sizes = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(np.zeros(sizes))
        self.bias = Parameter(np.zeros(self.out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform(parameter, -bound, bound)

    def forward(self, input_1: Tensor, input_2: Tensor) -> Tensor:
        """The forms of the two inputs."""
        return F.bilinear(input_1, input_2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """The input, unchanged; any arguments of the constructor are ignored.

    >>> nn.Identity()(Tensor([1.0]))
    Tensor([1.])
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()

    def forward(self, input_: Tensor) -> Tensor:
        """The input."""
        return input_


class Flatten(Module):
    """Joins the axes from `start_axis` to `end_axis` into one.

    >>> nn.Flatten()(lucid.zeros(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        super().__init__()
        self.start_axis, self.end_axis = start_axis, end_axis

    def forward(self, input_: Tensor) -> Tensor:
        """`input_` with the axes joined."""
        return input_.flatten(self.start_axis, self.end_axis)

    def extra_repr(self) -> str:
        return f"start_axis={self.start_axis}, end_axis={self.end_axis}"


class Unflatten(Module):
    """Splits an axis into several.

    Args:
        axis: which one.
        unflattened_size: the sizes to split it into; one may be -1 and is inferred.

    Raises:
        ValueError: the sizes do not multiply to that of the axis.

    >>> nn.Unflatten(1, (2, -1))(lucid.zeros(5, 6)).shape
    (5, 2, 3)
    """

    def __init__(self, axis: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.axis, self.unflattened_size = axis, tuple(unflattened_size)

    def forward(self, input_: Tensor) -> Tensor:
        """`input_` with the axis split."""
        sizes, axis = self.unflattened_size, self.axis
        if not -input_.ndim <= axis < input_.ndim:
            raise ValueError(f"Unflatten: shape {input_.shape} has no axis {axis}.")
        axis %= input_.ndim
        known = math.prod(n for n in sizes if n != -1)
        if -1 in sizes and known and sizes.count(-1) == 1:
            sizes = tuple(input_.shape[axis] // known if n == -1 else n for n in sizes)
        if math.prod(sizes) != input_.shape[axis] or min(sizes, default=0) < 0:
            raise ValueError(
                f"Unflatten: axis {axis} of shape {input_.shape} cannot be split into "
                f"{self.unflattened_size}."
            )
        return input_.reshape((*input_.shape[:axis], *sizes, *input_.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"axis={self.axis}, unflattened_size={self.unflattened_size}"


class Rearrange(Module):
    """`lucid.einops.rearrange` as a layer.

    Args:
        pattern: in the language of einops, such as "b (h w) c -> b c h w".
        shapes: sizes of axes by name.

    >>> patches = nn.Rearrange("b c (h y) (w x) -> b (h w) (y x c)", y=4, x=4)
    >>> patches(lucid.zeros(2, 3, 8, 8)).shape
    (2, 4, 48)
    """

    def __init__(self, pattern: str, **shapes: int) -> None:
        super().__init__()
        self.pattern, self.shapes = pattern, shapes

    def forward(self, input_: Tensor) -> Tensor:
        """`input_` with its axes rearranged."""
        return rearrange(input_, self.pattern, **self.shapes)

    def extra_repr(self) -> str:
        return ", ".join([repr(self.pattern), *(f"{k}={n}" for k, n in self.shapes.items())])
