"""A function applied part by part."""

from __future__ import annotations

from collections.abc import Callable

from lucid._core.tensor import Tensor
from lucid.ops.shape import concatenate, split


def apply_chunking_to_forward(
    forward_fn: Callable[..., Tensor], chunk_size: int, chunk_dim: int, *input_tensors: Tensor
) -> Tensor:
    """`forward_fn(*input_tensors)`, of one part of an axis after another, to need less memory.

    It is the same if the function treats the positions along that axis independently.

    Args:
        forward_fn: takes as many Tensors as there are, and returns one.
        chunk_size: the length of a part; 0 to apply the function to the whole.
        chunk_dim: the axis, of all inputs and of the result.
        input_tensors: as long as each other along the axis.

    Raises:
        ValueError: there are no inputs, chunk_size is negative or does not divide the axis, or the
            inputs lack the axis or differ in its length.

    >>> x = lucid.randn(6, 2)
    >>> halves = nn.utils.apply_chunking_to_forward(F.gelu, 3, 0, x)
    >>> bool((halves == F.gelu(x)).all())
    True
    """
    call = "apply_chunking_to_forward"
    if not input_tensors:
        raise ValueError(f"{call}: at least one input is needed.")
    ranks = {x.ndim for x in input_tensors}
    if len(ranks) > 1 or not -min(ranks) <= chunk_dim < min(ranks):
        shapes = ", ".join(str(x.shape) for x in input_tensors)
        raise ValueError(
            f"{call}: the inputs must have as many axes and an axis {chunk_dim}, got {shapes}."
        )
    lengths = sorted({x.shape[chunk_dim] for x in input_tensors})
    if len(lengths) > 1:
        raise ValueError(f"{call}: the inputs differ along axis {chunk_dim}: {lengths}.")
    if chunk_size == 0:
        return forward_fn(*input_tensors)
    if chunk_size < 0 or lengths[0] % chunk_size or not lengths[0]:
        raise ValueError(
            f"{call}: chunk_size {chunk_size} does not divide the {lengths[0]} of axis {chunk_dim}."
        )
    parts = zip(*(split(x, chunk_size, chunk_dim) for x in input_tensors), strict=True)
    return concatenate(tuple(forward_fn(*part) for part in parts), chunk_dim)
