"""GPU lowering of the gradient of a dilated kernel: the dilation removed, then the definition.

Positions that differ by less than the dilation never meet, so that the residues of `small` and of
`large` modulo the dilation are as good as further images. cuDNN computes this gradient for a
dilation of 1 only; XLA makes a convolution of another, with kernels as long as `small`.
"""

from __future__ import annotations

import dataclasses
from math import prod

from jax import Array

from lucid.ops.conv import definition
from lucid.ops.conv.geometry import Form
from lucid.ops.conv.windows import pad_axes, space_to_batch


def claims(out: str, form: Form) -> bool:
    """The map to the kernel with dilation, which is not mixed with a stride on one axis."""
    return out == "kernel" and max(form.dilation) > 1 and not form.mixed


def pays(out: str, form: Form) -> bool:
    """Wherever it can be computed."""
    return True


def kernel(form: Form, small: Array, large: Array) -> Array:
    # Along each axis small has `count` positions per residue and large as many as these meet.
    counts = [-(-axis.small // axis.dilation) for axis in form.axes]
    reach = [
        axis.reach if axis.dilation == 1 else n + axis.kernel - 1
        for n, axis in zip(counts, form.axes, strict=True)
    ]
    small_fill = [(0, n * a.dilation - a.small) for n, a in zip(counts, form.axes, strict=True)]
    large_fill = [
        (a.padding, n * a.dilation - a.padding - a.large)
        for n, a in zip(reach, form.axes, strict=True)
    ]
    without_dilation = dataclasses.replace(
        form,
        batch=form.batch * prod(form.dilation),
        small=tuple(counts),
        large=tuple(reach),
        padding=(0,) * form.rank,
        dilation=(1,) * form.rank,
    )
    return definition.kernel(
        without_dilation,
        space_to_batch(pad_axes(small, small_fill), form.dilation),
        space_to_batch(pad_axes(large, large_fill), form.dilation),
    )
