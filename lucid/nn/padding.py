"""Layers that pad the last axes; 1-d, 2-d and 3-d are one class each."""

from __future__ import annotations

from typing import ClassVar

from lucid._core.arguments import ntuple
from lucid._core.tensor import Tensor
from lucid._core.typing import Size
from lucid.nn import functional as F
from lucid.nn.module import Module
from lucid.ops.padding import PadMode

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    rank: ClassVar[int]
    mode: ClassVar[PadMode]

    def __init__(self, padding: Size) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self.rank, f"{type(self).__name__}: padding")

    def forward(self, input: Tensor) -> Tensor:
        """`F.pad(input)` with the layer's arguments."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"padding={self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Size, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """`F.pad(input)` with the layer's arguments."""
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, value={self.value}"


class _ZeroPad(_Pad):
    mode = "constant"


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class ConstantPad1d(_ConstantPad):
    """One number around the last axis.

    Shape: (*, L) -> (*, low + L + high)

    Args:
        padding: (low, high) of the last axis, then (low, high) of the one before it, and so on; an
            integer for all. Negative numbers cut elements off.
        value: the number.

    Raises:
        ValueError: there are not two numbers for each axis, or more is cut off than there is.
        TypeError: `padding` is not made of integers.

    >>> nn.ConstantPad1d((1, 2), 5.0)(Tensor([[1.0, 2.0, 3.0]]))
    Tensor([[5., 1., 2., 3., 5., 5.]])
    """

    rank = 1


class ConstantPad2d(_ConstantPad):
    """One number around the last two axes; see `ConstantPad1d`.

    Shape: (*, H, W) -> (*, H', W')

    >>> nn.ConstantPad2d(1, 5.0)(lucid.ones(1, 3, 4)).shape
    (1, 5, 6)
    """

    rank = 2


class ConstantPad3d(_ConstantPad):
    """One number around the last three axes; see `ConstantPad1d`.

    Shape: (*, D, H, W) -> (*, D', H', W')

    >>> nn.ConstantPad3d(1, 5.0)(lucid.ones(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank = 3


class ZeroPad1d(_ZeroPad):
    """Zeros around the last axis.

    Shape: (*, L) -> (*, low + L + high)

    Args:
        padding: as in `ConstantPad1d`.

    Raises:
        ValueError: there are not two numbers for each axis, or more is cut off than there is.
        TypeError: `padding` is not made of integers.

    >>> nn.ZeroPad1d((1, 2))(Tensor([[1.0, 2.0, 3.0]]))
    Tensor([[0., 1., 2., 3., 0., 0.]])
    """

    rank = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around the last two axes; see `ZeroPad1d`.

    Shape: (*, H, W) -> (*, H', W')

    >>> nn.ZeroPad2d(1)(lucid.ones(1, 3, 4)).shape
    (1, 5, 6)
    """

    rank = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around the last three axes; see `ZeroPad1d`.

    Shape: (*, D, H, W) -> (*, D', H', W')

    >>> nn.ZeroPad3d(1)(lucid.ones(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank = 3


class ReflectionPad1d(_ReflectionPad):
    """The last axis mirrored at the outermost elements.

    Shape: (*, L) -> (*, low + L + high)

    Args:
        padding: as in `ConstantPad1d`.

    Raises:
        ValueError: there are not two numbers for each axis, or the input is too short.
        TypeError: `padding` is not made of integers.

    >>> nn.ReflectionPad1d((1, 2))(Tensor([[1.0, 2.0, 3.0]]))
    Tensor([[2., 1., 2., 3., 2., 1.]])
    """

    rank = 1


class ReflectionPad2d(_ReflectionPad):
    """The last two axes mirrored at the outermost elements; see `ReflectionPad1d`.

    Shape: (*, H, W) -> (*, H', W')

    >>> nn.ReflectionPad2d(1)(lucid.ones(1, 3, 4)).shape
    (1, 5, 6)
    """

    rank = 2


class ReflectionPad3d(_ReflectionPad):
    """The last three axes mirrored at the outermost elements; see `ReflectionPad1d`.

    Shape: (*, D, H, W) -> (*, D', H', W')

    >>> nn.ReflectionPad3d(1)(lucid.ones(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank = 3


class ReplicationPad1d(_ReplicationPad):
    """The outermost elements of the last axis repeated.

    Shape: (*, L) -> (*, low + L + high)

    Args:
        padding: as in `ConstantPad1d`.

    Raises:
        ValueError: there are not two numbers for each axis, or the input is too short.
        TypeError: `padding` is not made of integers.

    >>> nn.ReplicationPad1d((1, 2))(Tensor([[1.0, 2.0, 3.0]]))
    Tensor([[1., 1., 2., 3., 3., 3.]])
    """

    rank = 1


class ReplicationPad2d(_ReplicationPad):
    """The outermost elements of the last two axes repeated; see `ReplicationPad1d`.

    Shape: (*, H, W) -> (*, H', W')

    >>> nn.ReplicationPad2d(1)(lucid.ones(1, 3, 4)).shape
    (1, 5, 6)
    """

    rank = 2


class ReplicationPad3d(_ReplicationPad):
    """The outermost elements of the last three axes repeated; see `ReplicationPad1d`.

    Shape: (*, D, H, W) -> (*, D', H', W')

    >>> nn.ReplicationPad3d(1)(lucid.ones(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank = 3


class CircularPad1d(_CircularPad):
    """The last axis going on at the other end.

    Shape: (*, L) -> (*, low + L + high)

    Args:
        padding: as in `ConstantPad1d`.

    Raises:
        ValueError: there are not two numbers for each axis, or the input is too short.
        TypeError: `padding` is not made of integers.

    >>> nn.CircularPad1d((1, 2))(Tensor([[1.0, 2.0, 3.0]]))
    Tensor([[3., 1., 2., 3., 1., 2.]])
    """

    rank = 1


class CircularPad2d(_CircularPad):
    """The last two axes going on at the other end; see `CircularPad1d`.

    Shape: (*, H, W) -> (*, H', W')

    >>> nn.CircularPad2d(1)(lucid.ones(1, 3, 4)).shape
    (1, 5, 6)
    """

    rank = 2


class CircularPad3d(_CircularPad):
    """The last three axes going on at the other end; see `CircularPad1d`.

    Shape: (*, D, H, W) -> (*, D', H', W')

    >>> nn.CircularPad3d(1)(lucid.ones(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank = 3
