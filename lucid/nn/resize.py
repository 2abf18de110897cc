"""Layers that resize images and sequences."""

from __future__ import annotations

from lucid._core.arguments import count, frozen
from lucid._core.tensor import Tensor
from lucid._core.typing import Size
from lucid.nn import functional as F
from lucid.nn.module import Module
from lucid.ops.resize import Mode, Scale

__all__ = [
    "PixelShuffle",
    "PixelUnshuffle",
    "Upsample",
]


class Upsample(Module):
    """Resamples to another spatial size, larger or smaller.

    Shape: (N, C, *spatial) -> (N, C, *size), size = spatial * scale_factor rounded down

    Args:
        size: the new sizes, one for all axes or one each.
        scale_factor: the new sizes divided by the old ones; one of the two is needed.
        mode: "nearest"; "linear" for 3 axes; "bilinear" or "bicubic" for 4; "trilinear" for 5.
        align_corners: whether the centres of the first and the last element stay at the ends;
            otherwise the outer edges of those elements do. Not for "nearest".

    An element that is NaN or infinite makes all NaN that lies along an axis with it, but for
    "nearest".

    Raises:
        ValueError: not one of size and scale_factor is given, they do not fit the input, or the
            mode does not.

    >>> nn.Upsample(scale_factor=2)(Tensor([[[1.0, 2.0]]]))
    Tensor([[[1., 1., 2., 2.]]])
    >>> nn.Upsample(scale_factor=2, mode="linear", align_corners=True)(Tensor([[[0.0, 3.0]]]))
    Tensor([[[0., 1., 2., 3.]]])
    """

    def __init__(
        self,
        size: Size | None = None,
        scale_factor: Scale | None = None,
        mode: Mode = "nearest",
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.size = frozen(size)
        self.scale_factor = frozen(scale_factor)
        self.mode: Mode = mode
        self.align_corners = align_corners

    def forward(self, input_: Tensor) -> Tensor:
        """`F.interpolate(input_)` with the layer's arguments."""
        return F.interpolate(input_, self.size, self.mode, self.align_corners, self.scale_factor)

    def extra_repr(self) -> str:
        size = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        corners = ", align_corners=True" if self.align_corners else ""
        return f"{size}, mode={self.mode!r}{corners}"


class PixelShuffle(Module):
    """Channels become positions: (*, C * r * r, H, W) -> (*, C, H * r, W * r).

    Shi et al., arXiv:1609.05158.

    Args:
        upscale_factor: r.

    Raises:
        ValueError: the channels are not divisible by r * r.

    >>> nn.PixelShuffle(2)(lucid.zeros(1, 8, 2, 2)).shape
    (1, 2, 4, 4)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = count("PixelShuffle", "upscale_factor", upscale_factor)

    def forward(self, input_: Tensor) -> Tensor:
        """`F.pixel_shuffle(input_, upscale_factor)`."""
        return F.pixel_shuffle(input_, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Positions become channels: (*, C, H * r, W * r) -> (*, C * r * r, H, W).

    Args:
        downscale_factor: r.

    Raises:
        ValueError: height or width is not divisible by r.

    >>> nn.PixelUnshuffle(2)(lucid.zeros(1, 2, 4, 4)).shape
    (1, 8, 2, 2)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = count("PixelUnshuffle", "downscale_factor", downscale_factor)

    def forward(self, input_: Tensor) -> Tensor:
        """`F.pixel_unshuffle(input_, downscale_factor)`."""
        return F.pixel_unshuffle(input_, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
