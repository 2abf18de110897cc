"""Weights that are computed from other Parameters each time they are read."""

from __future__ import annotations

from typing import Any, TypeVar

from lucid import random
from lucid._core.handle import Handle
from lucid._core.mode import no_grad
from lucid._core.tensor import Tensor
from lucid.nn.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from lucid.nn.module import Module
from lucid.nn.parameter import Buffer, Parameter
from lucid.ops import reparametrize

M = TypeVar("M", bound=Module)

_STEPS_AT_START = 15  # as many as PyTorch's parametrizations.spectral_norm begins with


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide a weight by its largest singular value; Miyato et al., arXiv:1802.05957.

    The Parameter becomes `<name>_orig`; reading `<name>` computes the normalised weight. Each
    forward pass in training first improves the estimate of the singular vectors, the Buffers
    `<name>_u` and `<name>_v`, by power iteration; no gradient flows through that.

    Args:
        module: the layer, which is changed and returned.
        name: the Parameter's name.
        n_power_iterations: steps in each forward pass.
        eps: bound of the norms that vectors are divided by.
        dim: the axis of outputs, the rows of the matrix: 1 for transposed convolutions, else 0.

    Raises:
        ValueError: there is no such Parameter, or it has fewer than 2 axes; no steps.

    >>> layer = nn.utils.spectral_norm(nn.Linear(3, 4))
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    >>> largest = np.linalg.svd(layer.weight.numpy())[1][0]
    >>> bool(abs(largest - 1) < 0.05)
    True
    """
    weight = _parameter("spectral_norm", module, name)
    if n_power_iterations < 1:
        raise ValueError(
            f"spectral_norm: n_power_iterations must be at least 1, got {n_power_iterations}."
        )
    if dim is None:
        transposed = isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d))
        dim = 1 if transposed else 0
    if weight.ndim < 2 or not -weight.ndim <= dim < weight.ndim:
        raise ValueError(
            f"spectral_norm: a {name} with 2 axes or more, among them dim={dim}, is needed, got "
            f"shape {weight.shape}."
        )
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    rows = weight.shape[dim]
    for suffix, size in (("u", rows), ("v", weight.size // rows)):
        start = random.randn(size, dtype=weight.dtype)
        module.register_buffer(f"{name}_{suffix}", start)
    rule = _SpectralNorm(name, dim, n_power_iterations, eps)
    rule.improve(module, _STEPS_AT_START)
    module._derived[name] = rule
    rule.handle = module.register_forward_pre_hook(rule.before_forward)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undo `spectral_norm`: the normalised weight becomes the Parameter.

    Raises:
        ValueError: the weight is not normalised so.

    >>> layer = nn.utils.remove_spectral_norm(nn.utils.spectral_norm(nn.Linear(3, 4)))
    >>> list(layer.state_dict())
    ['bias', 'weight']
    """
    rule = _remove("spectral_norm", module, name, _SpectralNorm, ("orig", "u", "v"))
    rule.handle.remove()
    return module


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn norm and direction of a weight separately; Salimans & Kingma, arXiv:1602.07868.

    The Parameter becomes `<name>_g`, the norm of each slice along `dim`, and `<name>_v`; reading
    `<name>` computes g * v / norm(v).

    Args:
        module: the layer, which is changed and returned.
        name: the Parameter's name.
        dim: the axis whose slices have norms of their own; None for one norm.

    Raises:
        ValueError: there is no such Parameter, or no such axis.

    >>> layer = nn.utils.weight_norm(nn.Linear(3, 4))
    >>> {name: value.shape for name, value in layer.state_dict().items()}
    {'bias': (4,), 'weight_g': (4, 1), 'weight_v': (4, 3)}
    """
    weight = _parameter("weight_norm", module, name)
    if dim is not None and not -weight.ndim <= dim < weight.ndim:
        raise ValueError(f"weight_norm: {name} of shape {weight.shape} has no axis {dim}.")
    delattr(module, name)
    norm = reparametrize.slice_norm(weight.detach(), dim)
    module.register_parameter(f"{name}_g", Parameter(norm))
    module.register_parameter(f"{name}_v", weight)
    module._derived[name] = _WeightNorm(name, dim)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undo `weight_norm`: the computed weight becomes the Parameter.

    Raises:
        ValueError: the weight is not normalised so.

    >>> layer = nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(3, 4)))
    >>> list(layer.state_dict())
    ['bias', 'weight']
    """
    _remove("weight_norm", module, name, _WeightNorm, ("g", "v"))
    return module


class _SpectralNorm:
    """How a module computes a spectrally normalised weight."""

    handle: Handle

    def __init__(self, name: str, dim: int, steps: int, eps: float) -> None:
        self.name, self.dim, self.steps, self.eps = name, dim, steps, eps

    def __call__(self, module: Module) -> Tensor:
        return reparametrize.spectral_norm(*self._operands(module), self.dim)

    def before_forward(self, module: Module, args: tuple[Any, ...]) -> None:
        if module.training:
            self.improve(module, self.steps)

    def improve(self, module: Module, steps: int) -> None:
        """Take steps of the power iteration."""
        weight, u, v = self._operands(module)
        with no_grad():
            u.data, v.data = reparametrize.power_iteration(weight, u, v, self.dim, steps, self.eps)

    def _operands(self, module: Module) -> tuple[Parameter, Buffer, Buffer]:
        weight, u, v = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        return weight, u, v


class _WeightNorm:
    """How a module computes a weight from its norms and its direction."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def __call__(self, module: Module) -> Tensor:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return reparametrize.weight_norm(g, v, self.dim)


def _parameter(call: str, module: Module, name: str) -> Parameter:
    parameter = module._parameters.get(name)
    if parameter is None:
        raise ValueError(f'{call}: {type(module).__name__} has no Parameter "{name}".')
    return parameter


def _remove(call: str, module: Module, name: str, kind: type, parts: tuple[str, ...]) -> Any:
    rule = module._derived.get(name)
    if not isinstance(rule, kind):
        raise ValueError(f'{call}: "{name}" of this {type(module).__name__} is not normalised.')
    with no_grad():
        weight = Parameter(getattr(module, name))
    del module._derived[name]
    for part in parts:
        delattr(module, f"{name}_{part}")
    module.register_parameter(name, weight)
    return rule
