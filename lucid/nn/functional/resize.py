"""Resizing as functions."""

from __future__ import annotations

from lucid._core.arguments import frozen
from lucid._core.gate import apply
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand, Size
from lucid.ops import resize
from lucid.ops.resize import Mode, Scale


def interpolate(
    input_: Operand,
    size: Size | None = None,
    mode: Mode = "bilinear",
    align_corners: bool = False,
    scale_factor: Scale | None = None,
) -> Tensor:
    """Resample to another spatial size; arguments, shapes and errors as in `nn.Upsample`.

    >>> F.interpolate(Tensor([[[[1.0, 3.0]]]]), size=(1, 4))
    Tensor([[[[1. , 1.5, 2.5, 3. ]]]])
    """
    return apply(
        resize.interpolate,
        input_,
        size=frozen(size),
        scale_factor=frozen(scale_factor),
        mode=mode,
        align_corners=align_corners,
    )


def pixel_shuffle(input_: Operand, upscale_factor: int) -> Tensor:
    """Channels become positions: (*, C * r * r, H, W) -> (*, C, H * r, W * r).

    Shi et al., arXiv:1609.05158.

    Raises:
        ValueError: the channels are not divisible by r * r.

    >>> F.pixel_shuffle(lucid.zeros(1, 8, 2, 2), 2).shape
    (1, 2, 4, 4)
    """
    return apply(resize.pixel_shuffle, input_, upscale_factor=upscale_factor)


def pixel_unshuffle(input_: Operand, downscale_factor: int) -> Tensor:
    """Positions become channels: (*, C, H * r, W * r) -> (*, C * r * r, H, W).

    Raises:
        ValueError: height or width is not divisible by r.

    >>> F.pixel_unshuffle(lucid.zeros(1, 2, 4, 4), 2).shape
    (1, 8, 2, 2)
    """
    return apply(resize.pixel_unshuffle, input_, downscale_factor=downscale_factor)
