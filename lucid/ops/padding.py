"""Padding of the last axes, by a number or by the array's own values."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import jax
import jax.numpy as jnp

from lucid._core.arguments import is_number
from lucid._core.declaration import checks, op
from lucid._core.typing import Array, Operand
from lucid.ops import shape
from lucid.ops.precision import in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = ["pad"]

PadMode: TypeAlias = Literal["constant", "reflect", "replicate", "circular"]
OWN_VALUES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # jnp.pad's names


def _check_pad(input_: Operand, pad: Sequence[int], mode: str, value: Operand | None) -> None:
    if mode != "constant" and mode not in OWN_VALUES:
        raise ValueError(
            f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}."
        )
    if mode != "constant" and value is not None and not (is_number(value) and value == 0):
        raise ValueError(f"pad: mode={mode!r} takes its values from the input; leave value out.")


@op
@checks(_check_pad)
def pad(
    input_: Operand,
    pad: Sequence[int],
    mode: PadMode = "constant",
    value: Operand | None = None,
) -> Tensor:
    """`input_` with more elements, or with fewer, at the ends of its last axes.

    `lucid.pad` takes NumPy's widths instead, those of the first axis first.

    Args:
        input_: of any shape.
        pad: (low, high) of the last axis, then (low, high) of the one before it, and so on, as
            in PyTorch; of each axis that is named, negative numbers cut off that many elements.
        mode: "constant" adds `value`; "reflect" mirrors at the outermost elements, "replicate"
            repeats them, and "circular" goes on at the other end.
        value: of "constant"; 0 by default.

    Raises:
        ValueError: `pad` has an odd length, or more pairs than there are axes; an axis is too
            short for the mode; the mode is unknown, or has no value.
        TypeError: `pad` is no sequence of integers.

    >>> F.pad(Tensor([[1.0, 2.0]]), (1, 2, 0, 1))
    Tensor([[0., 1., 2., 0., 0.],
            [0., 0., 0., 0., 0.]])
    >>> F.pad(Tensor([1.0, 2.0, 3.0]), (2, -1), "replicate")
    Tensor([1., 1., 1., 2.])
    """
    x = jnp.asarray(input_)
    try:
        widths = [operator.index(width) for width in pad]
    except TypeError:
        raise TypeError(f"pad: pad must be a sequence of integers, got {pad!r}.") from None
    if len(widths) % 2 or len(widths) > 2 * x.ndim:
        raise ValueError(
            f"pad: pad must have two numbers for each of the last axes, got {len(widths)} numbers "
            f"for shape {x.shape}."
        )
    pairs = tuple(zip(widths[-2::-2], widths[::-2], strict=True))
    axes = range(x.ndim - len(pairs), x.ndim)
    for axis, (low, high) in zip(axes, pairs, strict=True):
        first, end = max(-low, 0), x.shape[axis] - max(-high, 0)
        if first > end:
            raise ValueError(f"pad: {(low, high)} cuts off more than axis {axis} of {x.shape} has.")
        x = jax.lax.slice_in_dim(x, first, end, axis=axis)
    more = tuple((max(low, 0), max(high, 0)) for low, high in pairs)
    if mode != "constant":
        return extended("pad: mode", x, more, mode)
    return shape.pad.pure(x, ((0, 0),) * axes.start + more, 0 if value is None else value)


def extended(what: str, x: Array, padding: tuple[tuple[int, int], ...], mode: str) -> Array:
    """`x`, its last axes padded by its own values; `what` opens the error for an axis too short."""
    sizes = x.shape[x.ndim - len(padding) :]
    for n, pair in zip(sizes, padding, strict=True):
        most = {"reflect": n - 1, "circular": n, "replicate": math.inf if n else 0}[mode]
        if max(pair) > max(most, 0):
            relation = "smaller than" if mode == "reflect" else "at most"
            raise ValueError(
                f"{what}={mode!r} needs a padding {relation} the input on each axis, got "
                f"padding={padding} for input size {sizes}."
            )
    pairs = ((0, 0),) * (x.ndim - len(padding)) + padding
    return in_float32(jnp.pad)(x, pairs, mode=OWN_VALUES[mode])
