"""Sizes and arguments of convolutions: normalised, checked, and gathered in one `Form`.

Everything here is a plain integer known when a program is traced, so a check costs nothing when
the compiled program runs. Sizes follow Dumoulin & Visin, arXiv:1603.07285.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias, cast

from lucid._core.arguments import count, ntuple
from lucid._core.typing import Size

# An integer, one integer per axis, one (low, high) pair per axis, "valid" or "same".
Padding: TypeAlias = str | int | Sequence[int | Sequence[int]]
Pairs: TypeAlias = tuple[tuple[int, int], ...]


class SpatialAxis(NamedTuple):
    """One spatial axis: position h of small meets stride h + dilation tap - padding of large."""

    small: int
    large: int
    kernel: int
    stride: int
    padding: int  # on the low side; `small` and `large` imply the high side
    dilation: int

    @property
    def reach(self) -> int:
        """Length of padded `large` that `small` meets: stride (small - 1) + dilation (k - 1) + 1.

        From arXiv:1603.07285, relationship 14, before its padding is cropped.
        """
        return self.stride * (self.small - 1) + self.dilation * (self.kernel - 1) + 1

    @property
    def padding_high(self) -> int:
        """Padding of `large` on the high side; negative where `large` is longer than its use."""
        return self.reach - self.large - self.padding


@dataclasses.dataclass(frozen=True)
class Form:
    """The trilinear form that a convolution, its transpose and their gradients share.

    It joins three arrays: `small` (batch, small_channels, *small), the output of a convolution;
    `large` (batch, large_channels, *large), its input; and `kernel`
    (small_channels, large_channels // groups, *kernel). An element of small at position h meets
    an element of large at position stride * h + dilation * i - padding through the kernel's
    element i. Positions outside `large` count as zeros; positions of `large` that meet nothing
    are legal. Leaving out one of the three arrays gives one of three bilinear maps, see `maps`.
    """

    batch: int
    groups: int
    small_channels: int
    large_channels: int
    small: tuple[int, ...]
    large: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]  # on the low side; `small` and `large` imply the high side
    dilation: tuple[int, ...]
    shards: int = 1  # devices over which the batch may be split; only where a map is lowered

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def small_shape(self) -> tuple[int, ...]:
        return (self.batch, self.small_channels, *self.small)

    @property
    def large_shape(self) -> tuple[int, ...]:
        return (self.batch, self.large_channels, *self.large)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        return (self.small_channels, self.large_channels // self.groups, *self.kernel)

    @property
    def axes(self) -> list[SpatialAxis]:
        """The spatial axes, one by one."""
        lengths = (self.small, self.large, self.kernel, self.stride, self.padding, self.dilation)
        return [SpatialAxis(*values) for values in zip(*lengths, strict=True)]

    @property
    def mixed(self) -> bool:
        """Whether an axis has both a stride and a dilation, so that neither can be removed."""
        return any(axis.stride > 1 and axis.dilation > 1 for axis in self.axes)

    @property
    def padding_high(self) -> tuple[int, ...]:
        """`SpatialAxis.padding_high` of every axis."""
        return tuple(axis.padding_high for axis in self.axes)


class Window(NamedTuple):
    """Checked arguments of a convolution or a transposed one: one entry per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    groups: int
    output_padding: tuple[int, ...]  # zeros for an ordinary convolution

    @property
    def rank(self) -> int:
        return len(self.kernel)


def check_window(
    name: str,
    rank: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    output_padding: Size | None = None,
) -> Window:
    """Normalise the arguments of a convolution, and refuse those that no input could satisfy.

    Args:
        name: opens every error message, as in "conv2d" or "ConvTranspose2d".
        output_padding: None for a convolution; a size for a transposed convolution.

    Raises:
        TypeError: an argument is not made of integers.
        ValueError: an argument has the wrong length or is out of its range.

    >>> check_window("Conv2d", 2, 3, stride=(1, 2), padding=1).padding
    ((1, 1), (1, 1))
    >>> check_window("Conv2d", 2, 3, stride=0)
    Traceback (most recent call last):
        ...
    ValueError: Conv2d: stride must be at least 1, got (0, 0).
    """
    transposed = output_padding is not None
    kernel = _lengths(name, "kernel_size", kernel_size, rank)
    stride = _lengths(name, "stride", stride, rank)
    dilation = _lengths(name, "dilation", dilation, rank)
    groups = count(name, "groups", groups)
    extra = ntuple(0 if output_padding is None else output_padding, rank, f"{name}: output_padding")
    for o, s, d in zip(extra, stride, dilation, strict=True):
        if not 0 <= o < max(s, d):
            raise ValueError(
                f"{name}: output_padding must be at least 0 and smaller than stride or dilation on "
                f"each axis, got output_padding={extra}, stride={stride}, dilation={dilation}."
            )
    pairs = _padding_pairs(name, padding, kernel, stride, dilation, transposed)
    return Window(kernel, stride, pairs, dilation, groups, extra)


def check_channels(name: str, in_channels: int, out_channels: int, groups: int) -> None:
    """Refuse channels that `groups` does not divide.

    Raises:
        TypeError: a number of channels is not an integer.
        ValueError: one is below 1, or groups do not divide it.

    >>> check_channels("Conv2d", 8, 4, groups=3)
    Traceback (most recent call last):
        ...
    ValueError: Conv2d: groups must divide the channels, got groups=3 for 8 input channels and \
4 output channels.
    """
    in_channels = count(name, "in_channels", in_channels)
    out_channels = count(name, "out_channels", out_channels)
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"{name}: groups must divide the channels, got groups={groups} for {in_channels} "
            f"input channels and {out_channels} output channels."
        )


def conv_form(name: str, x_shape: Sequence[int], w_shape: Sequence[int], window: Window) -> Form:
    """Form of a convolution of x (N, I, *large) with w (O, I // groups, *kernel).

    The output length per axis is (length + low + high - dilation * (k - 1) - 1) // stride + 1.
    """
    batch, channels, *large = x_shape
    out_channels, kernel = w_shape[0], window.kernel
    small = tuple(
        (y + low + high - d * (k - 1) - 1) // s + 1
        for y, (low, high), d, k, s in zip(
            large, window.padding, window.dilation, kernel, window.stride, strict=True
        )
    )
    _check_output(name, small, large, window)
    padding = tuple(low for low, _ in window.padding)
    return Form(
        batch, window.groups, out_channels, channels, small, tuple(large), kernel,
        window.stride, padding, window.dilation,
    )  # fmt: skip


def conv_transpose_form(
    name: str,
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    window: Window,
    output_size: Size | None = None,
) -> Form:
    """Form of a transposed convolution of x (N, I, *small) with w (I, O // groups, *kernel).

    The output length per axis is (length - 1) * stride - low - high + dilation * (k - 1)
    + output_padding + 1, or `output_size` where that is given.
    """
    batch, channels, *small = x_shape
    out_channels = w_shape[1] * window.groups
    padding = tuple(low for low, _ in window.padding)
    form = Form(
        batch, window.groups, channels, out_channels, tuple(small), tuple(small), window.kernel,
        window.stride, padding, window.dilation,
    )  # fmt: skip
    shortest = tuple(
        axis.reach - low - high for axis, (low, high) in zip(form.axes, window.padding, strict=True)
    )
    if output_size is None:
        large = tuple(
            length + extra for length, extra in zip(shortest, window.output_padding, strict=True)
        )
    else:
        large = ntuple(output_size, form.rank, f"{name}: output_size")
        longest = tuple(length + s - 1 for length, s in zip(shortest, window.stride, strict=True))
        if not all(a <= y <= b for a, y, b in zip(shortest, large, longest, strict=True)):
            raise ValueError(
                f"{name}: output_size {large} cannot be reached from input size {tuple(small)}; "
                f"allowed per axis: {shortest} to {longest}. Change stride or output_size."
            )
    _check_output(name, large, small, window)
    return dataclasses.replace(form, large=large)


def check_kernel(name: str, w_shape: Sequence[int], window: Window) -> None:
    """Refuse a weight whose kernel is not the window's."""
    if tuple(w_shape[2:]) != window.kernel:
        raise ValueError(
            f"{name}: a weight of shape {tuple(w_shape)} has a kernel of {tuple(w_shape[2:])}, but "
            f"kernel_size is {window.kernel}. Set kernel_size, too."
        )


def check_operands(name: str, rank: int, x_shape: Sequence[int], w_shape: Sequence[int]) -> None:
    """Refuse inputs and weights whose number of axes, or one of whose sizes, is wrong."""
    if len(x_shape) not in (rank + 1, rank + 2):
        raise ValueError(
            f"{name}: input must have {rank + 2} axes (N, C, *spatial) or {rank + 1} axes "
            f"(C, *spatial), got shape {tuple(x_shape)}."
        )
    if len(w_shape) != rank + 2:
        raise ValueError(
            f"{name}: weight must have {rank + 2} axes, two of channels and {rank} of the kernel, "
            f"got shape {tuple(w_shape)}."
        )
    if 0 in x_shape[-rank:]:
        raise ValueError(
            f"{name}: input must not be empty along a spatial axis, got shape {tuple(x_shape)}."
        )


def _lengths(name: str, what: str, value: Size, rank: int) -> tuple[int, ...]:
    values = ntuple(value, rank, f"{name}: {what}")
    if min(values) < 1:
        raise ValueError(f"{name}: {what} must be at least 1, got {values}.")
    return values


def _padding_pairs(
    name: str,
    padding: Padding,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    transposed: bool,
) -> Pairs:
    """(low, high) per axis, from any spelling of `padding`."""
    rank = len(kernel)
    if isinstance(padding, str):
        spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if padding == "valid":
            return ((0, 0),) * rank
        if padding == "same" and transposed:
            return tuple((span // 2, span // 2) for span in spans)
        if padding == "same" and max(stride) == 1:
            return tuple((span // 2, span - span // 2) for span in spans)
        if padding == "same":
            raise ValueError(
                f"{name}: padding='same' keeps the input's size, which needs stride 1, got "
                f"stride={stride}. Give the padding in numbers."
            )
        raise ValueError(f"{name}: padding must be 'valid', 'same' or sizes, got {padding!r}.")
    if isinstance(padding, Iterable) and any(isinstance(side, Iterable) for side in padding):
        sides = [ntuple(side, 2, f"{name}: each axis of padding") for side in padding]
        if len(sides) != rank:
            raise ValueError(
                f"{name}: padding must hold {rank} pairs (low, high), got {len(sides)}: {sides}."
            )
        pairs = tuple((low, high) for low, high in sides)
    else:
        sizes = ntuple(cast(Size, padding), rank, f"{name}: padding")
        pairs = tuple((size, size) for size in sizes)
    if min(side for pair in pairs for side in pair) < 0:
        raise ValueError(f"{name}: padding must not be negative, got {padding}.")
    return pairs


def _check_output(name: str, output: Sequence[int], given: Sequence[int], window: Window) -> None:
    if min(output) < 1:
        raise ValueError(
            f"{name}: output would have size {tuple(output)} from input size {tuple(given)} with "
            f"kernel_size={window.kernel}, stride={window.stride}, padding={window.padding}, "
            f"dilation={window.dilation}. Give a larger input or other sizes."
        )
