"""Initial values of Parameters; each function fills a Tensor in place and returns None.

A fan is the number of inputs (fan_in) or outputs (fan_out) that one value meets: for a weight of
shape (a, b, *k), fan_in = b * prod(k) and fan_out = a * prod(k). These are PyTorch's rules, also
for the weight (in, out // groups, *k) of a transposed convolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from lucid import random
from lucid._core.package import publish
from lucid._core.tensor import Tensor
from lucid.creation import empty, full_like

Mode = Literal["fan_in", "fan_out"]


def _check(tensor: Tensor) -> None:
    """Refuse what cannot be filled in place."""
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"init: a Tensor to fill is needed, such as layer.weight, got {type(tensor).__name__}. "
            "An array, such as layer.weight.data, cannot be changed in place."
        )


def _device(tensor: Tensor) -> str | None:
    # A Tensor that is bound to no device stays so, or else the programs that read it would be
    # compiled again when all of their other state is bound to its device too.
    return tensor.device if getattr(tensor.data, "committed", False) else None


def uniform(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> None:
    """Fill with values from U(a, b).

    >>> w = lucid.empty(2, 3)
    >>> nn.init.uniform(w, 1, 2)
    >>> bool(((w >= 1) & (w < 2)).all())
    True
    """
    _check(tensor)
    tensor.data = random.uniform(a, b, tensor.shape, dtype=tensor.dtype, device=_device(tensor))


def normal(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> None:
    """Fill with values from the normal distribution.

    >>> w = lucid.empty(100, 100)
    >>> nn.init.normal(w, mean=3.0, std=0.1)
    >>> round(w.mean().item(), 1)
    3.0
    """
    _check(tensor)
    tensor.data = random.normal(mean, std, tensor.shape, dtype=tensor.dtype, device=_device(tensor))


def constant(tensor: Tensor, val: float) -> None:
    """Fill with one value.

    >>> w = lucid.empty(2)
    >>> nn.init.constant(w, 3.0)
    >>> w
    Tensor([3., 3.])
    """
    _check(tensor)
    tensor.data = full_like(tensor, val).data


def zeros(tensor: Tensor) -> None:
    """Fill with zeros.

    >>> w = lucid.ones(2)
    >>> nn.init.zeros(w)
    >>> w
    Tensor([0., 0.])
    """
    constant(tensor, 0.0)


def ones(tensor: Tensor) -> None:
    """Fill with ones.

    >>> w = lucid.empty(2)
    >>> nn.init.ones(w)
    >>> w
    Tensor([1., 1.])
    """
    constant(tensor, 1.0)


def xavier_uniform(tensor: Tensor, gain: float = 1.0) -> None:
    """Fill from U(-b, b), b = gain * sqrt(6 / (fan_in + fan_out)).

    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 16.

    >>> w = lucid.empty(2, 4)
    >>> nn.init.xavier_uniform(w)
    >>> bool((w.data**2 <= 1).all())
    True
    """
    bound = gain * math.sqrt(6 / (sum(fans(tensor)) or 1))  # 0 of a weight without elements
    uniform(tensor, -bound, bound)


def xavier_normal(tensor: Tensor, gain: float = 1.0) -> None:
    """Fill from the normal distribution with std = gain * sqrt(2 / (fan_in + fan_out)).

    Glorot & Bengio, AISTATS 2010, equation 12.

    >>> w = lucid.empty(100, 100)
    >>> nn.init.xavier_normal(w)
    >>> round((w * w).mean().item(), 3)
    0.01
    """
    normal(tensor, 0.0, gain * math.sqrt(2 / (sum(fans(tensor)) or 1)))


def kaiming_uniform(tensor: Tensor, mode: Mode = "fan_in", a: float = 0.0) -> None:
    """Fill from U(-b, b), b = sqrt(6 / ((1 + a**2) * fan)).

    He et al., arXiv:1502.01852, equation 15.

    Args:
        mode: which fan.
        a: slope of the leaky ReLU that follows; 0 for ReLU.

    >>> w = lucid.empty(2, 6)
    >>> nn.init.kaiming_uniform(w)
    >>> bool((w.data**2 <= 1).all())
    True
    """
    uniform(tensor, *(sign * math.sqrt(3) * _kaiming_std(tensor, mode, a) for sign in (-1, 1)))


def kaiming_normal(tensor: Tensor, mode: Mode = "fan_in", a: float = 0.0) -> None:
    """Fill from the normal distribution with std = sqrt(2 / ((1 + a**2) * fan)).

    He et al., arXiv:1502.01852, equation 15. Arguments as in `kaiming_uniform`.

    >>> w = lucid.empty(100, 200)
    >>> nn.init.kaiming_normal(w)
    >>> round((w * w).mean().item(), 3)
    0.01
    """
    normal(tensor, 0.0, _kaiming_std(tensor, mode, a))


def bilinear(tensor: Tensor) -> None:
    """Fill the weight of a transposed convolution so that it interpolates linearly.

    Along each axis, element i of a kernel of length k is 1 - abs(i - c) / s, where s = (k + 1) // 2
    is the layer's stride and c = s - 1 for odd k, s - 0.5 for even k. Every channel is resampled
    by itself. To make an image exactly s times as large, let k = 2 * s - s % 2 and
    padding = s // 2; away from the borders that is `F.interpolate(mode="bilinear")`.

    Long et al., "Fully convolutional networks for semantic segmentation", arXiv:1411.4038, 3.3.

    Args:
        tensor: a weight (channels, channels, *k), or (channels, 1, *k) with groups=channels.

    Raises:
        ValueError: the Tensor has another shape.

    >>> w = lucid.empty(1, 1, 4)
    >>> nn.init.bilinear(w)
    >>> w
    Tensor([[[0.25, 0.75, 0.75, 0.25]]])
    """
    _check(tensor)
    if tensor.ndim < 3 or tensor.shape[1] not in (1, tensor.shape[0]):
        raise ValueError(
            "init.bilinear: a weight (channels, channels, *k) or (channels, 1, *k) is needed, "
            f"got {tensor.shape}."
        )
    in_, out, *kernel = tensor.shape
    hat = np.ones(())
    for k in kernel:
        s = (k + 1) // 2
        centre = s - 1 if k % 2 else s - 0.5
        hat = np.multiply.outer(hat, 1 - np.abs(np.arange(k) - centre) / s)
    values = np.zeros(tensor.shape)
    values[range(in_), range(out) if out > 1 else 0] = hat
    tensor.data = Tensor(values, dtype=tensor.dtype, device=tensor.device).data


def icnr(tensor: Tensor, init: Callable[[Tensor], None], upscale_factor: int = 2) -> None:
    """Fill the weight of a convolution before `PixelShuffle` so that no checkerboard appears.

    Each of the upscale_factor ** 2 output channels that become one block of pixels gets the same
    kernel, drawn by `init`; at first the two layers enlarge like nearest-neighbour interpolation.

    Aitken et al., "Checkerboard artifact free sub-pixel convolution", arXiv:1707.02937, 3.

    Args:
        tensor: a weight (channels * upscale_factor ** 2, in, kH, kW).
        init: fills a weight (channels, in, kH, kW); any function of this module.
        upscale_factor: that of the `PixelShuffle`.

    Raises:
        ValueError: the first axis of the Tensor is not divisible by upscale_factor ** 2.

    >>> w = lucid.empty(4, 1, 1, 1)
    >>> nn.init.icnr(w, nn.init.kaiming_normal)
    >>> bool((w == w[0]).all())
    True
    """
    _check(tensor)
    block = upscale_factor**2
    if tensor.ndim < 2 or upscale_factor < 1 or tensor.shape[0] % block:
        raise ValueError(
            "init.icnr: the first axis of the weight must be divisible by upscale_factor ** 2 = "
            f"{block}, got {tensor.shape}."
        )
    shape = (tensor.shape[0] // block, *tensor.shape[1:])
    kernels = empty(shape, dtype=tensor.dtype, device=tensor.device)
    init(kernels)
    tensor.data = kernels.data.repeat(block, axis=0)


def fans(tensor: Tensor) -> tuple[int, int]:
    """fan_in and fan_out of a weight.

    Raises:
        ValueError: the Tensor has fewer than two axes.

    >>> nn.init.fans(lucid.empty(8, 4, 3, 3))
    (36, 72)
    """
    if tensor.ndim < 2:
        raise ValueError(f"init: a weight with at least two axes is needed, got {tensor.shape}.")
    out, in_, *kernel = tensor.shape
    return in_ * math.prod(kernel), out * math.prod(kernel)


def _kaiming_std(tensor: Tensor, mode: Mode, a: float) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode must be 'fan_in' or 'fan_out', got {mode!r}.")
    fan = fans(tensor)[mode == "fan_out"] or 1
    return math.sqrt(2 / ((1 + a * a) * fan))


publish(globals())
