"""Tools for gradients and parameters."""

from typing import TYPE_CHECKING

from lucid._core.package import publish
from lucid.nn.averaging import EMA
from lucid.nn.parametrizations import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from lucid.nn.utils.by_name import get_activation_from_name, get_activation_module_from_name
from lucid.nn.utils.chunking import apply_chunking_to_forward
from lucid.nn.utils.clip import clip_grad_norm, clip_grad_value, get_total_norm, grad_norm
from lucid.nn.utils.convert import parameters_to_vector, vector_to_parameters

if TYPE_CHECKING:
    from lucid.nn.utils import rnn

__all__ = [
    "EMA",
    "apply_chunking_to_forward",
    "clip_grad_norm",
    "clip_grad_value",
    "get_activation_from_name",
    "get_activation_module_from_name",
    "get_total_norm",
    "grad_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]

publish(globals())
