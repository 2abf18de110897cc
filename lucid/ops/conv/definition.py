"""The three maps of a `Form`, each as one XLA convolution: the definition on every platform.

GPU and TPU compilers recognise these: a dilated left side is a transposed convolution, a dilated
right side with batch and features exchanged is the gradient of a kernel. The CPU compiler is slow
on most of them, hence `lowerings`, which are tested against this module.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from lucid.ops.conv.geometry import Form
from lucid.ops.precision import accumulator as accumulator


def small(form: Form, large: Array, kernel: Array) -> Array:
    """A strided convolution."""
    out = lax.conv_general_dilated(
        large,
        kernel,
        window_strides=form.stride,
        padding=list(zip(form.padding, form.padding_high, strict=True)),
        rhs_dilation=form.dilation,
        feature_group_count=form.groups,
        preferred_element_type=accumulator(large.dtype),
    )
    return out.astype(large.dtype)


def large(form: Form, small: Array, kernel: Array) -> Array:
    """A transposed convolution: zeros between the inputs, the kernel flipped and transposed."""
    # Padding `large` by p moves the first tap p to the left: d (k - 1) - p remains on each side.
    spans = [d * (k - 1) for k, d in zip(form.kernel, form.dilation, strict=True)]
    padding = [
        (span - low, span - high)
        for span, low, high in zip(spans, form.padding, form.padding_high, strict=True)
    ]
    out = lax.conv_general_dilated(
        small,
        exchange_channels(kernel, form.groups),
        window_strides=(1,) * form.rank,
        padding=padding,
        lhs_dilation=form.stride,
        rhs_dilation=form.dilation,
        feature_group_count=form.groups,
        preferred_element_type=accumulator(small.dtype),
    )
    return out.astype(small.dtype)


def kernel(form: Form, small: Array, large: Array) -> Array:
    """A convolution that sums over the batch: stride and dilation exchange their places."""
    spatial = tuple(range(2, 2 + form.rank))
    channels_first = (1, 0, *spatial)  # the batch is summed, as channels are elsewhere
    out = lax.conv_general_dilated(
        large,
        small,
        window_strides=form.dilation,
        padding=list(zip(form.padding, form.padding_high, strict=True)),
        rhs_dilation=form.stride,
        dimension_numbers=lax.ConvDimensionNumbers(channels_first, channels_first, channels_first),
        batch_group_count=form.groups,
        preferred_element_type=accumulator(large.dtype),
    )
    return out.astype(large.dtype)


def exchange_channels(kernel: Array, groups: int) -> Array:
    """(I, O // groups, *k) -> (O, I // groups, *k), the taps reversed; its own inverse."""
    in_, out_per_group, *k = kernel.shape
    kernel = kernel.reshape(groups, in_ // groups, out_per_group, *k).swapaxes(1, 2)
    kernel = jnp.flip(kernel, range(3, kernel.ndim))
    return kernel.reshape(groups * out_per_group, in_ // groups, *k)


def claims(out: str, form: Form) -> bool:
    """Every map of every form."""
    return True


def pays(out: str, form: Form) -> bool:
    """Where a platform has nothing better."""
    return True
