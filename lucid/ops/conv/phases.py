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
    return out == "large" and max(form.stride) > 1 and not form.mixed


def pays(out: str, form: Form) -> bool:
    """Groups, few channels, or a long stride, unless taps of zero more than double the work."""
    if form.groups > 1:
        return True
    few, long = tuning.PHASES_CHANNELS, tuning.PHASES_STRIDE
    filled = prod(_whole_strides(form)) <= 2 * prod(form.kernel)
    return filled and (form.large_channels < few or prod(form.stride) >= long)


def large(form: Form, small: Array, kernel: Array) -> Array:
    lengths = _whole_strides(form)
    fill = [(0, n - k) for n, k in zip(lengths, form.kernel, strict=True)]
    kernel = space_to_depth(pad_axes(kernel, fill), form.stride)
    form = dataclasses.replace(form, kernel=lengths)
    return join_large(form, definition.large(coarse(form), small, kernel))


def _whole_strides(form: Form) -> tuple[int, ...]:
    """The kernel's lengths, rounded up to a whole number of strides."""
    return tuple(axis.kernel + -axis.kernel % axis.stride for axis in form.axes)
