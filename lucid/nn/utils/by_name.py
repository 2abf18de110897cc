"""Activations by their names, as configurations hold them."""

from __future__ import annotations

from collections.abc import Callable

from lucid._core.tensor import Tensor
from lucid.nn import activation, functional
from lucid.nn.module import Module
from lucid.ops.activation import __all__ as names


def get_activation_from_name(act_name: str) -> Callable[..., Tensor] | None:
    """The activation of that name in `nn.functional`; None if there is none.

    >>> nn.utils.get_activation_from_name("gelu") is F.gelu
    True
    """
    found: Callable[..., Tensor] | None = None
    if act_name in (*names, "tanh"):
        found = getattr(functional, act_name)
    return found


def get_activation_module_from_name(act_name: str) -> type[Module] | None:
    """The activation layer of that name; None if there is none.

    Args:
        act_name: of the layer or of its function; case and underscores do not matter.

    >>> nn.utils.get_activation_module_from_name("leaky_relu")().negative_slope
    0.01
    """
    plain = {name.lower(): name for name in activation.__all__}
    found: type[Module] | None = getattr(activation, plain.get(_plain(act_name), ""), None)
    return found


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
