"""GPU lowering of transposed convolutions: the strides removed, then the definition.

The residues of `large` modulo the stride become channels on a coarse grid, as in `polyphase`, and
there one convolution without zeros between its inputs computes all of them. cuDNN's own transposed
convolution is slow where `large` has few channels or the stride is long, and XLA has none for
groups.
"""

from __future__ import annotations

import dataclasses
from math import prod

from jax import Array

from lucid.ops.conv import definition, tuning
from lucid.ops.conv.geometry import Form
from lucid.ops.conv.polyphase import coarse, join_large
from lucid.ops.conv.windows import pad_axes, space_to_depth


def claims(out: str, form: Form) -> bool:
    """The map to large with strides, of which none is mixed with dilation on one axis."""
    return (
        out == "large"
        and max(form.stride) > 1
        and all(axis.stride == 1 or axis.dilation == 1 for axis in form.axes)
    )


def pays(out: str, form: Form) -> bool:
    """Groups, few channels, or a long stride."""
    return (
        form.groups > 1
        or form.large_channels < tuning.PHASES_CHANNELS
        or prod(form.stride) >= tuning.PHASES_STRIDE
    )


def large(form: Form, small: Array, kernel: Array) -> Array:
    # Taps of zero make the kernel a whole number of strides.
    fill = [-axis.kernel % axis.stride for axis in form.axes]
    form = dataclasses.replace(
        form, kernel=tuple(k + more for k, more in zip(form.kernel, fill, strict=True))
    )
    kernel = space_to_depth(pad_axes(kernel, [(0, more) for more in fill]), form.stride)
    return join_large(form, definition.large(coarse(form), small, kernel))
