"""`conv` and `conv_transpose`: arguments checked, then one of the three maps, then the bias.

A layer, whose arguments are checked when it is made, begins at the second step: `convolve` and
`convolve_transpose` take them as one `Window`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from lucid._core.declaration import op
from lucid._core.typing import Operand, Size
from lucid.ops.conv.geometry import (
    Form,
    Padding,
    Window,
    check_channels,
    check_kernel,
    check_operands,
    check_window,
    conv_form,
    conv_transpose_form,
)
from lucid.ops.padding import OWN_VALUES, extended
from lucid.ops.precision import check_one_dtype, in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]

# `with force_lowering("matmul"): ...` makes every platform use this lowering for every map that it
# claims, and the definition for the others; for tests and benchmarks. It is part of every
# jit cache's key, so a function that was compiled under another choice is compiled again.
force_lowering = jax.make_user_context("auto")


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    /,
    *,
    rank: int,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "zeros",
) -> Array:
    """Cross-correlation of `x` with `w` over `rank` spatial axes, plus a bias per channel.

    Shape: x (N, I, *length) or (I, *length), w (O, I // groups, *k), b (O,) ->
        (N, O, *length') or (O, *length'), with per axis
        length' = (length + low + high - dilation * (k - 1) - 1) // stride + 1

    Args:
        rank: 1, 2 or 3.
        padding: sizes, one (low, high) pair per axis, "valid" (none) or "same" (stride 1: the
            output is as long as the input; the odd element goes to the high side).
        padding_mode: what the padding holds: "zeros", "reflect", "replicate" or "circular".

    Raises:
        TypeError: an argument is not made of integers, or dtypes differ.
        ValueError: an argument or a shape is out of its range.

    >>> x, w = jnp.arange(5.0).reshape(1, 5), jnp.ones((1, 1, 3))
    >>> print(conv(x, w, rank=1, padding=1))
    [[1. 3. 6. 9. 7.]]
    """
    name = f"conv{rank}d"
    check_operands(name, rank, x.shape, w.shape)
    window = check_window(name, rank, w.shape[2:], stride, padding, dilation, groups)
    return convolve.pure(x, w, b, window=window, padding_mode=padding_mode)


@op
def convolve(
    x: Operand,
    w: Operand,
    b: Operand | None = None,
    *,
    window: Window,
    padding_mode: PaddingMode = "zeros",
) -> Tensor:
    """`conv` with arguments that `check_window` has checked: only shapes and dtypes are left."""
    rank = window.rank
    name = f"conv{rank}d"
    _check_arrays(name, x, w, b, window)
    batched = x.ndim == rank + 2
    if not batched:
        x = x[None]
    check_channels(name, x.shape[1], w.shape[0], window.groups)
    taken = w.shape[1] * window.groups
    if x.shape[1] != taken:
        raise ValueError(
            f"{name}: a weight of shape {w.shape} with groups={window.groups} takes {taken} input "
            f"channels (weight.shape[1] * groups), but the input has {x.shape[1]}."
        )
    if padding_mode != "zeros":
        check_padding_mode(name, padding_mode)
        x = extended(f"{name}: padding_mode", x, window.padding, padding_mode)
        window = window._replace(padding=((0, 0),) * rank)
    form = conv_form(name, x.shape, w.shape, window)
    y = _map({"large": x, "kernel": w}, form)
    return _finish(name, y, b, batched)


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    /,
    *,
    rank: int,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
    output_size: Size | None = None,
) -> Array:
    """Adjoint of `conv` in its input, with the same weight and geometry, plus a bias per channel.

    Shape: x (N, I, *length) or (I, *length), w (I, O // groups, *k), b (O,) ->
        (N, O, *length') or (O, *length'), with per axis
        length' = (length - 1) * stride - low - high + dilation * (k - 1) + output_padding + 1

    Args:
        rank: 1, 2 or 3.
        padding: what is cropped from the output: sizes, one (low, high) pair per axis, "valid"
            (nothing) or "same" (dilation * (k - 1) // 2 on both sides).
        output_padding: more output on the high side, computed and not filled with zeros.
        output_size: the output's spatial sizes, or its whole shape; output_padding is then
            ignored. Reachable are stride sizes per axis, from the one that output_padding=0 gives.

    Raises:
        TypeError: an argument is not made of integers, or dtypes differ.
        ValueError: an argument or a shape is out of its range, or output_size is not reachable.

    Infinities: on CPU an infinite input reaches the outputs that its kernel covers, and no other.
        An infinite weight also meets the zeros beyond the input's ends, and 0 * inf is NaN; which
        outputs near the ends are NaN depends on the lowering. Compilers for GPU and TPU may also
        multiply the zeros between inputs that stride inserts. `conv` differs in the same way.

    Source: Dumoulin & Visin, arXiv:1603.07285, relationship 14.

    >>> x, w = jnp.array([[1.0, 10.0]]), jnp.array([[[1.0, 2.0, 3.0]]])
    >>> print(conv_transpose(x, w, rank=1, stride=2))
    [[ 1.  2. 13. 20. 30.]]
    """
    name = f"conv_transpose{rank}d"
    check_operands(name, rank, x.shape, w.shape)
    extra = 0 if output_size is not None else output_padding
    window = check_window(name, rank, w.shape[2:], stride, padding, dilation, groups, extra)
    return convolve_transpose.pure(x, w, b, window=window, output_size=output_size)


@op
def convolve_transpose(
    x: Operand,
    w: Operand,
    b: Operand | None = None,
    *,
    window: Window,
    output_size: Size | None = None,
) -> Tensor:
    """`conv_transpose` with arguments that `check_window` has checked."""
    rank = window.rank
    name = f"conv_transpose{rank}d"
    _check_arrays(name, x, w, b, window)
    if isinstance(output_size, Sequence) and len(output_size) == x.ndim:
        output_size = output_size[-rank:]
    batched = x.ndim == rank + 2
    if not batched:
        x = x[None]
    check_channels(name, x.shape[1], w.shape[1] * window.groups, window.groups)
    if x.shape[1] != w.shape[0]:
        raise ValueError(
            f"{name}: a weight of shape {w.shape} takes {w.shape[0]} input channels "
            f"(weight.shape[0]), but the input has {x.shape[1]}."
        )
    form = conv_transpose_form(name, x.shape, w.shape, window, output_size)
    y = _map({"small": x, "kernel": w}, form)
    return _finish(name, y, b, batched)


def _map(values: dict[str, Array], form: Form) -> Array:
    # Imported when the first convolution is traced: the primitives need jax.extend, which loads
    # Pallas and would take a quarter of the time that importing lucid does.
    from lucid.ops.conv.maps import bind

    return bind(values, form, force_lowering.value)


def _check_arrays(name: str, x: Array, w: Array, b: Array | None, window: Window) -> None:
    check_operands(name, window.rank, x.shape, w.shape)
    check_kernel(name, w.shape, window)
    check_one_dtype(name, x, w, b)


def check_padding_mode(name: str, mode: PaddingMode) -> None:
    """Refuse a padding mode that `conv` does not know."""
    if mode != "zeros" and mode not in OWN_VALUES:
        raise ValueError(
            f"{name}: padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', "
            f"got {mode!r}."
        )


def _finish(name: str, y: Array, b: Array | None, batched: bool) -> Array:
    if b is not None:
        channels = y.shape[1]
        if b.shape != (channels,):
            raise ValueError(
                f"{name}: bias must have shape ({channels},), one per output channel, "
                f"got {b.shape}."
            )
        y = in_float32(jnp.add)(y, b.reshape(channels, *(1,) * (y.ndim - 2)))
    return y if batched else y[0]
