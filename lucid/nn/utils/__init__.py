"""Tools for gradients and parameters."""

from lucid.nn.utils.clip import clip_grad_norm, clip_grad_value, get_total_norm, grad_norm
from lucid.nn.utils.convert import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm",
    "clip_grad_value",
    "get_total_norm",
    "grad_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]
