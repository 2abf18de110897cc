"""Parameters as one vector, and back."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable

import jax

from lucid._core.tensor import Tensor
from lucid._core.typing import Array
from lucid.ops.shape import concatenate


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All `parameters` behind one another in a Tensor with one axis; gradients flow through it.

    Args:
        parameters: at least one.

    Raises:
        ValueError: there are none.

    >>> nn.utils.parameters_to_vector([nn.Parameter([[1.0], [2.0]]), nn.Parameter(3.0)]).data
    Array([1., 2., 3.], dtype=float32)
    """
    flat = [parameter.reshape(-1) for parameter in parameters]
    if not flat:
        raise ValueError("parameters_to_vector: there are no parameters.")
    return concatenate(tuple(flat))


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Fill `parameters` with the numbers of `vec`, in order; each keeps its shape and dtype.

    Args:
        vec: has one axis, as long as all parameters together.
        parameters: what is filled. Nothing is recorded.

    Raises:
        TypeError: `vec` is no Tensor.
        ValueError: `vec` has another size; nothing was changed.

    >>> w = nn.Parameter([[1.0], [2.0]])
    >>> nn.utils.vector_to_parameters(Tensor([3.0, 4.0]), [w])
    >>> w
    Parameter([[3.],
               [4.]])
    """
    targets = list(parameters)
    size = sum(target.size for target in targets)
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: vec must be a Tensor, got {type(vec).__name__}.")
    if vec.shape != (size,):
        raise ValueError(
            f"vector_to_parameters: vec must have shape ({size},), the number of elements of all "
            f"parameters, got {vec.shape}."
        )
    pieces = _split(vec.data, shapes=tuple(target.shape for target in targets))
    for target, piece in zip(targets, pieces, strict=True):
        target.data = piece.astype(target.dtype)


@functools.partial(jax.jit, static_argnames="shapes")
def _split(vector: Array, *, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    pieces, begin = [], 0
    for shape in shapes:
        end = begin + math.prod(shape)
        pieces.append(vector[begin:end].reshape(shape))
        begin = end
    return pieces
