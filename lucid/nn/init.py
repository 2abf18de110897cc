"""Initial values of Parameters; each function fills a Tensor in place and returns None.

A fan is the number of inputs (fan_in) or outputs (fan_out) that one value meets: for a weight of
shape (a, b, *k), fan_in = b * prod(k) and fan_out = a * prod(k). These are PyTorch's rules, also
for the weight (in, out // groups, *k) of a transposed convolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from lucid import random
from lucid._core.package import publish
from lucid._core.tensor import Tensor
from lucid.creation import empty, full_like
from lucid.ops.precision import wide_dtype

Mode = Literal["fan_in", "fan_out"]


def _check(tensor: Tensor) -> None:
    """Refuse what cannot be filled in place."""
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"init: a Tensor to fill is needed, such as layer.weight, got {type(tensor).__name__}. "
            "An array, such as layer.weight.data, cannot be changed in place."
        )


def _check_axes(call: str, tensor: Tensor, counts: tuple[int, ...]) -> None:
    _check(tensor)
    if tensor.ndim not in counts:
        allowed = " or ".join(map(str, counts))
        raise ValueError(f"init.{call}: a weight of {allowed} axes is needed, got {tensor.shape}.")


def _put(tensor: Tensor, values: np.ndarray[Any, Any]) -> None:
    tensor.data = Tensor(values, dtype=tensor.dtype, device=_device(tensor)).data


def _device(tensor: Tensor) -> str | None:
    # A Tensor that is bound to no device stays so, or else the programs that read it would be
    # compiled again when all of their other state is bound to its device too.
    data = tensor.data
    bound = not isinstance(data, jax.core.Tracer) and getattr(data, "committed", False)
    return tensor.device if bound else None


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
    _put(tensor, values)


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


def trunc_normal(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> None:
    """Fill from the normal distribution, of which only the values from `a` to `b` are drawn.

    A uniform number is carried through the inverse of the distribution function.

    Raises:
        ValueError: the normal distribution has next to nothing between `a` and `b`.

    >>> w = lucid.empty(3, 3)
    >>> nn.init.trunc_normal(w, std=0.02, a=-0.04, b=0.04)
    >>> bool((abs(w.data) <= 0.04).all())
    True
    """
    _check(tensor)
    low, high = (math.erf((end - mean) / (std * math.sqrt(2))) for end in (a, b))
    if not high - low > 1e-6:
        raise ValueError(
            f"init.trunc_normal: of a normal distribution of mean {mean} and std {std} there is "
            f"next to nothing between a={a} and b={b}."
        )
    dtype = wide_dtype(tensor.dtype)
    drawn = random.uniform(low, high, tensor.shape, dtype=dtype, device=_device(tensor)).data
    # The ends can be drawn, where the inverse is infinite if `a` or `b` is far away.
    nearest = 2.0**-53 if dtype == np.float64 else 2.0**-24
    drawn = jnp.clip(drawn, nearest - 1, 1 - nearest)
    values = mean + std * math.sqrt(2) * jax.lax.erf_inv(drawn)
    tensor.data = jnp.clip(values, a, b).astype(tensor.dtype)


def orthogonal(tensor: Tensor, gain: float = 1.0) -> None:
    """Fill so that, with all axes but the first as one, rows or columns are orthonormal.

    These are the fewer of both, times `gain`. Drawn uniformly: Q of the decomposition of a normal
    matrix, its signs those that make R's diagonal positive (Saxe et al., arXiv:1312.6120).

    Raises:
        ValueError: the Tensor has fewer than two axes.

    >>> w = lucid.empty(2, 3)
    >>> nn.init.orthogonal(w, gain=2.0)
    >>> np.allclose(w.numpy() @ w.numpy().T, 4 * np.eye(2), atol=1e-5)
    True
    """
    fans(tensor)  # refuses what has too few axes
    dtype = wide_dtype(tensor.dtype)
    drawn = random.normal(0, 1, tensor.shape, dtype=dtype, device=_device(tensor)).data
    if not drawn.size:
        return
    matrix = drawn.reshape(len(drawn), -1)
    tall = matrix.shape[0] >= matrix.shape[1]
    q, r = jnp.linalg.qr(matrix if tall else matrix.T)
    q = q * jnp.where(jnp.diagonal(r) < 0, -gain, gain)
    tensor.data = (q if tall else q.T).reshape(tensor.shape).astype(tensor.dtype)


def sparse(tensor: Tensor, sparsity: float, std: float = 0.01) -> None:
    """Fill with normal values and, in each column, a share `sparsity` of zeros, rounded up.

    Martens, "Deep learning via Hessian-free optimization", ICML 2010.

    Raises:
        ValueError: the Tensor does not have two axes.

    >>> w = lucid.empty(10, 3)
    >>> nn.init.sparse(w, 0.75)
    >>> (w.data == 0).sum(0).tolist()
    [8, 8, 8]
    """
    _check_axes("sparse", tensor, (2,))
    rank = random.rand(tensor.shape, device=_device(tensor)).data.argsort(0).argsort(0)
    normal(tensor, 0.0, std)
    tensor.data = jnp.where(rank < math.ceil(sparsity * tensor.shape[0]), 0, tensor.data)


def eye(tensor: Tensor) -> None:
    """Fill with the identity matrix, so that `Linear` keeps as many inputs as it can.

    Raises:
        ValueError: the Tensor does not have two axes.

    >>> w = lucid.empty(2, 3)
    >>> nn.init.eye(w)
    >>> w
    Tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    _check_axes("eye", tensor, (2,))
    rows, columns = tensor.shape
    _put(tensor, np.eye(rows, columns))


def dirac(tensor: Tensor, groups: int = 1) -> None:
    """Fill the weight of a convolution so that it keeps as many channels of each group as it can.

    Raises:
        ValueError: the Tensor has no 3 to 5 axes, or the first is not divisible by `groups`.

    >>> w = lucid.empty(1, 1, 3)
    >>> nn.init.dirac(w)
    >>> w
    Tensor([[[0., 1., 0.]]])
    """
    _check_axes("dirac", tensor, (3, 4, 5))
    out, in_, *kernel = tensor.shape
    if groups < 1 or out % groups:
        raise ValueError(
            f"init.dirac: groups={groups} must divide the first axis of the weight, {out}."
        )
    centre = np.zeros(kernel)
    centre[tuple(k // 2 for k in kernel)] = 1
    channels = np.tile(np.eye(out // groups, in_), (groups, 1))
    _put(tensor, np.multiply.outer(channels, centre))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor of initial values that keeps the variance of what a nonlinearity returns.

    Args:
        nonlinearity: "relu" gives sqrt(2); "leaky_relu" sqrt(2 / (1 + slope**2)); "tanh" 5 / 3;
            "selu" 3 / 4; "linear", "sigmoid" and the names of convolutions 1.
        param: the slope of the leaky ReLU; 0.01 by default.

    Raises:
        ValueError: the nonlinearity is another one.

    >>> nn.init.calculate_gain("leaky_relu", 1.0)
    1.0
    """
    slope = 0.01 if param is None else param
    gains = {
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "tanh": 5 / 3,
        "selu": 3 / 4,
        **dict.fromkeys(("linear", "sigmoid"), 1.0),
        **{f"conv{kind}{rank}d": 1.0 for kind in ("", "_transpose") for rank in (1, 2, 3)},
    }
    if nonlinearity not in gains:
        raise ValueError(
            f"init.calculate_gain: nonlinearity must be one of {', '.join(gains)}; got "
            f"{nonlinearity!r}."
        )
    return gains[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """fan_in and fan_out of a weight.

    Raises:
        ValueError: the Tensor has fewer than two axes.

    >>> nn.init.fans(lucid.empty(8, 4, 3, 3))
    (36, 72)
    """
    _check(tensor)
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
